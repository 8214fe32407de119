/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hooks of virtual IPs: vrrp tells of each transition, and the program that the configuration names
 * for that virtual IP is run; those of one virtual IP one after the other, in the order in which
 * they were told. The webhook is the role control's. Whatever a hook does, vrrp goes on. Main
 * thread of the parent.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/parent.h"

struct hook {
	TAILQ_ENTRY(hook) link;
	struct parent *parent;
	struct ipc_hook h;
	struct program program;
	bool running;
	struct loop_task gone;
};

static void run_next(struct parent *p);

void hook_init(struct parent *p)
{
	TAILQ_INIT(&p->hooks.list);
	TAILQ_INIT(&p->hooks.posts);
}

bool hook_busy(const struct parent *p)
{
	return !TAILQ_EMPTY(&p->hooks.list);
}

/* In the committed configuration, or in the one before it: what a reload has removed is given up
 * after its commit. */
static const struct conf_vip *find(const struct parent *p, const char *name,
                                   const struct conf **ret)
{
	const struct conf_vip *v = conf_vip_find(p->cur->conf, str_from(name));

	*ret = p->cur->conf;
	if (!v && p->former) {
		*ret = p->former;
		v = conf_vip_find(p->former, str_from(name));
	}
	return v;
}

/* --- the program ---------------------------------------------------------------------------- */

struct occasion {
	const struct parent *parent;
	const struct conf *conf;
	const struct conf_vip *vip;
	const struct ipc_hook *h;
};

static void set_environment(const void *arg)
{
	const struct occasion *o = arg;
	char text[32];

	setenv("HOLDFAST_VIP", o->vip->name.s, 1);
	setenv("HOLDFAST_FROM", o->h->from, 1);
	setenv("HOLDFAST_TO", o->h->to, 1);
	setenv("HOLDFAST_REASON", o->h->reason, 1);
	setenv("HOLDFAST_NODE", board_node(o->parent->board)->node, 1);
	setenv("HOLDFAST_CLUSTER", o->conf->cluster.len > 0 ? o->conf->cluster.s : "", 1);
	setenv("HOLDFAST_ADDRESSES", o->h->addresses, 1);
	setenv("HOLDFAST_INTERFACE", o->h->interface, 1);
	snprintf(text, sizeof(text), "%u", o->h->priority);
	setenv("HOLDFAST_PRIORITY", text, 1);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)o->h->number);
	setenv("HOLDFAST_NUMBER", text, 1);
}

static void on_gone(struct loop_task *t)
{
	free(CONTAINER_OF(t, struct hook, gone));
}

/* It has been run, or will not be: why then. */
static void finish(struct hook *k, int status, const char *output)
{
	struct parent *p = k->parent;
	char how[32] = "";

	if (status > 0)
		snprintf(how, sizeof(how), "exit status %d%s", status, output[0] ? ": " : "");
	if (status != 0)
		log_warning("hook_failed", k->h.vip, "transition %llu, %s to %s: %s%s",
		            (unsigned long long)k->h.number, k->h.from, k->h.to, how, output);
	else
		log_info("hook", k->h.vip, "transition %llu, %s to %s: the program has ended",
		         (unsigned long long)k->h.number, k->h.from, k->h.to);
	TAILQ_REMOVE(&p->hooks.list, k, link);
	k->gone.fn = on_gone;
	loop_defer(p->loop, &k->gone);
}

static void on_ended(struct program *g)
{
	struct hook *k = CONTAINER_OF(g, struct hook, program);
	struct parent *p = k->parent;

	finish(k, g->status, g->output);
	run_next(p);
}

static void run(struct hook *k)
{
	struct parent *p = k->parent;
	struct occasion occasion = { .parent = p, .h = &k->h };
	struct program_order o = { .environment = set_environment, .arg = &occasion };

	occasion.vip = find(p, k->h.vip, &occasion.conf);
	if (!occasion.vip || occasion.vip->notify.exec.n == 0) {
		finish(k, -1, "the configuration has no such hook any more");
		return;
	}
	o.exec = &occasion.vip->notify.exec;
	o.user = occasion.vip->notify.user;
	o.timeout = occasion.vip->notify.timeout;
	k->program.ended = on_ended;
	k->running = true;
	if (program_start(p, &k->program, &o) != OK)
		finish(k, -1, k->program.output);
}

/* --- the queue ------------------------------------------------------------------------------ */

/* Whether an earlier one of its virtual IP has not ended yet. */
static bool must_wait(const struct hook *k)
{
	const struct hook *e;

	TAILQ_FOREACH (e, &k->parent->hooks.list, link) {
		if (e == k)
			return false;
		if (strcmp(e->h.vip, k->h.vip) == 0)
			return true;
	}
	return false;
}

static void run_next(struct parent *p)
{
	struct hook *k;
	struct hook *next;

	for (k = TAILQ_FIRST(&p->hooks.list); k; k = next) {
		next = TAILQ_NEXT(k, link);
		if (!k->running && !must_wait(k))
			run(k);
	}
	if (!hook_busy(p)) {
		upgrade_hooks_ended(p);
		stop_child_died(p);
	}
}

/* A hook that hangs while its virtual IP flaps must not fill the memory: the oldest that waits is
 * given up, so that the last word is the newest state. */
static void make_room(struct parent *p, const char *vip)
{
	struct hook *oldest = NULL;
	struct hook *k;
	unsigned n = 0;

	TAILQ_FOREACH (k, &p->hooks.list, link) {
		if (strcmp(k->h.vip, vip) != 0)
			continue;
		n++;
		if (!k->running && !oldest)
			oldest = k;
	}
	if (n >= HOOKS_WAITING && oldest)
		finish(oldest, -1, "not run: too many hooks of this virtual IP wait");
}

static void clean(char *text, size_t size)
{
	text[size - 1] = '\0';
	for (; *text; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = ' ';
	}
}

/* --- webhooks ------------------------------------------------------------------------------- */

/* To control, or kept until it is there. */
static void post(struct parent *p, const struct ipc_hook *h)
{
	const struct service *s = service_find(p, "control");
	struct hook *k;

	if (s && s->current && s->current->started && !s->current->draining) {
		child_send(s->current, IPC_HOOK, 0, h, sizeof(*h), NULL, 0);
		return;
	}
	if (p->hooks.nposts >= HOOKS_WAITING) {
		k = TAILQ_FIRST(&p->hooks.posts);
		TAILQ_REMOVE(&p->hooks.posts, k, link);
		log_warning("hook_failed", k->h.vip,
		            "transition %llu: its webhook is given up, control does not run",
		            (unsigned long long)k->h.number);
	} else {
		k = malloc(sizeof(*k));
		p->hooks.nposts += k != NULL;
	}
	if (!k)
		return;
	*k = (struct hook){ .parent = p, .h = *h };
	TAILQ_INSERT_TAIL(&p->hooks.posts, k, link);
}

void hook_send_posts(struct child *control)
{
	struct hooks *hooks = &control->parent->hooks;
	struct hook *k;

	while ((k = TAILQ_FIRST(&hooks->posts))) {
		child_send(control, IPC_HOOK, 0, &k->h, sizeof(k->h), NULL, 0);
		TAILQ_REMOVE(&hooks->posts, k, link);
		free(k);
	}
	hooks->nposts = 0;
}

/* --- from and for vrrp ---------------------------------------------------------------------- */

void hook_request(struct child *c, const struct ipc_msg *m)
{
	struct parent *p = c->parent;
	const struct conf_vip *vip;
	const struct conf *conf;
	struct hook *k = calloc(1, sizeof(*k));

	if (!k || !ipc_payload(m, &k->h, sizeof(k->h))) {
		free(k);
		return;
	}
	clean(k->h.vip, sizeof(k->h.vip));
	clean(k->h.from, sizeof(k->h.from));
	clean(k->h.to, sizeof(k->h.to));
	clean(k->h.reason, sizeof(k->h.reason));
	clean(k->h.addresses, sizeof(k->h.addresses));
	clean(k->h.interface, sizeof(k->h.interface));
	vip = find(p, k->h.vip, &conf);
	if (vip && vip->notify.webhook.len > 0)
		post(p, &k->h);
	if (!vip || vip->notify.exec.n == 0) {
		free(k);
		return;
	}
	k->parent = p;
	make_room(p, k->h.vip);
	TAILQ_INSERT_TAIL(&p->hooks.list, k, link);
	run_next(p);
}

void hook_end_all(struct parent *p)
{
	struct hook *k;
	struct hook *next;

	for (k = TAILQ_FIRST(&p->hooks.list); k; k = next) {
		next = TAILQ_NEXT(k, link);
		if (k->running)
			program_end(&k->program);
		finish(k, -1, "not finished: the node ends, or its program is replaced");
	}
}
