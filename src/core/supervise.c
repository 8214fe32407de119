/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keeping the roles alive: start, readiness, death, restart with back-off, life signs. The one
 * place that keeps processes, the board's table of roles and the log together. Main thread of the
 * parent.
 */
#include <signal.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/notify.h"
#include "core/parent.h"
#include "core/spawn.h"

#define SUPERVISE_SILENCE (10 * NS_PER_S) /* without a life sign a role counts as hung */
#define SUPERVISE_ABORT   (2 * NS_PER_S)  /* between SIGABRT and SIGKILL */

bool service_is(const struct service *s, const char *name)
{
	return strcmp(s->ops->name, name) == 0;
}

struct service *service_find(struct parent *p, const char *name)
{
	for (unsigned i = 0; i < p->nservices; i++) {
		if (service_is(&p->services[i], name))
			return &p->services[i];
	}
	return NULL;
}

bool service_wanted(const struct service *s)
{
	return !s->ops->wanted || s->ops->wanted(s->parent->cur->conf);
}

/* Which process the board names: the present one, but until that is ready the one before it, for as
 * long as that lives. The new one may wait for its end. */
static const struct child *counting(const struct service *s)
{
	const struct child *former = NULL;
	const struct child *c;

	if (!s->current || s->current->ready)
		return s->current;
	TAILQ_FOREACH (c, &s->parent->children, link) {
		if (c->service == s && c != s->current)
			former = c;
	}
	return former ? former : s->current;
}

/* The role's line on the board as it is now; reason NULL: the last end's stays. */
void supervise_board(struct service *s, const char *reason)
{
	struct board_role *r = &board_node(s->parent->board)->roles[s->index];
	const struct child *c = counting(s);
	int32_t pid = c ? (int32_t)c->pid : 0;

	if (strcmp(r->name, s->ops->name) != 0 || (!c && !service_wanted(s)))
		*r = (struct board_role){ 0 };
	if (!c && !service_wanted(s))
		return;
	snprintf(r->name, sizeof(r->name), "%s", s->ops->name);
	if (r->pid != pid)
		r->since_wall_ms = clock_wall_ms();
	r->pid = pid;
	r->instance = c ? c->instance : 0;
	r->ready = s->current && s->current->ready;
	if (reason)
		snprintf(r->reason, sizeof(r->reason), "%s", reason);
}

/* --- starting ------------------------------------------------------------------------------- */

static void give_start(struct child *c)
{
	struct parent *p = c->parent;

	reload_disturbed(p, c, false);
	c->started = true;
	if (generation_send(p, c, IPC_START, 0, p->cur) != OK) {
		child_kill(c, SIGKILL, "its configuration could not be sent");
		return;
	}
	if (service_is(c->service, "check"))
		order_send_all(c);
	else if (service_is(c->service, "vrrp"))
		vips_send_node(c);
	else if (service_is(c->service, "control"))
		hook_send_posts(c);
}

/* A number that no living process of the role has. When all are taken by draining ones, the oldest
 * of them has to go. */
static unsigned free_instance(const struct service *s)
{
	struct child *oldest = NULL;
	struct child *c;
	unsigned used = 0;

	TAILQ_FOREACH (c, &s->parent->children, link) {
		if (c->service != s)
			continue;
		used |= 1u << c->instance;
		if (c->draining && !oldest)
			oldest = c;
	}
	for (unsigned i = 0; i < BOARD_INSTANCES; i++) {
		if (!(used & 1u << i))
			return i;
	}
	if (oldest)
		child_kill(oldest, SIGKILL, "too many processes of the role are ending");
	return BOARD_INSTANCES;
}

struct child *supervise_spawn(struct service *s)
{
	struct parent *p = s->parent;
	unsigned instance = free_instance(s);
	struct spawned sp;
	char why[256];
	struct child *c;

	if (instance == BOARD_INSTANCES)
		return NULL;
	if (service_is(s, "proxy"))
		board_instance_reset(p->board, instance);
	if (spawn_role(s->ops, instance, &p->paths, &p->privilege, &sp, why, sizeof(why)) != OK) {
		log_error("role_start", s->ops->name, "cannot start: %s", why);
		return NULL;
	}
	c = child_new(p, s, instance, sp.pid, sp.pidfd, sp.fd);
	log_info("role_start", s->ops->name, "started as pid %d", (int)sp.pid);
	if (!(p->holding && service_is(s, "proxy")))
		give_start(c);
	return c;
}

static void try_later(struct service *s)
{
	uint64_t wait = backoff_died(&s->backoff, 0);

	loop_timer_set(s->parent->loop, &s->restart, MAX(wait, BACKOFF_FIRST));
}

/* After a crash loop the sockets were closed: they must be there before the proxy is. */
static bool reopen_sockets(struct service *s)
{
	char why[512];

	if (!s->crash_loop)
		return true;
	if (listen_open(&s->parent->sockets, s->parent->cur->conf, why, sizeof(why)) == OK)
		return true;
	log_error("listen", s->ops->name, "%s", why);
	return false;
}

static void start(struct service *s)
{
	if (s->current || s->parent->stop.begun)
		return;
	if (!reopen_sockets(s)) {
		try_later(s);
		return;
	}
	s->current = supervise_spawn(s);
	if (!s->current)
		try_later(s);
	supervise_board(s, NULL);
}

static void on_restart(struct loop_timer *t)
{
	start(CONTAINER_OF(t, struct service, restart));
}

static void release(struct parent *p)
{
	struct child *c;

	if (!p->holding)
		return;
	p->holding = false;
	loop_timer_stop(p->loop, &p->hold);
	TAILQ_FOREACH (c, &p->children, link) {
		if (!c->started && !c->draining)
			give_start(c);
	}
}

static void on_hold(struct loop_timer *t)
{
	release(CONTAINER_OF(t, struct parent, hold));
}

/* The configuration does without it. */
static void dismiss(struct service *s)
{
	struct parent *p = s->parent;

	loop_timer_stop(p->loop, &s->restart);
	s->backoff = (struct backoff){ 0 };
	s->crash_loop = false;
	if (s->current && !s->current->draining) {
		log_notice("role_end", s->ops->name,
		           "the configuration no longer needs it: pid %d ends",
		           (int)s->current->pid);
		s->replacing = true; /* should it be needed again before it has ended */
		child_drain(s->current, p->cur->conf->shutdown_timeout + NS_PER_S);
	}
	supervise_board(s, NULL);
}

void supervise_adjust(struct parent *p)
{
	for (unsigned i = 0; i < p->nservices; i++) {
		if (service_wanted(&p->services[i]))
			start(&p->services[i]);
		else
			dismiss(&p->services[i]);
	}
}

void supervise_start(struct parent *p)
{
	p->hold.fn = on_hold;
	if (p->holding)
		loop_timer_set(p->loop, &p->hold, 1500 * NS_PER_MS);
	for (unsigned i = 0; i < p->nservices; i++)
		p->services[i].restart.fn = on_restart;
	supervise_adjust(p);
}

static void tell_ready(struct parent *p)
{
	if (p->told_ready)
		return;
	for (unsigned i = 0; i < p->nservices; i++) {
		const struct service *s = &p->services[i];

		if (service_wanted(s) && (!s->current || !s->current->ready))
			return;
	}
	p->told_ready = true;
	log_notice("node_ready", NULL, "all roles are ready");
	notify_ready("serving");
}

void supervise_ready(struct child *c)
{
	struct service *s = c->service;

	if (c->ready)
		return;
	c->ready = true;
	log_info("role_ready", s->ops->name, "ready as pid %d", (int)c->pid);
	if (service_is(s, "check"))
		release(c->parent);
	upgrade_child_ready(c);
	supervise_board(s, NULL);
	tell_ready(c->parent);
}

/* --- ends ----------------------------------------------------------------------------------- */

/* By then the condition `proxy` has failed long since (each wait before the last of the early ends
 * is longer than it allows), and a virtual IP that another node may take is with that. */
static void close_in_crash_loop(struct service *s)
{
	struct parent *p = s->parent;

	if (!service_is(s, "proxy") || !backoff_crash_loop(&s->backoff) || p->stop.begun)
		return;
	if (!s->crash_loop)
		log_error("crash_loop", s->ops->name,
		          "it ended %u times right after its start: its listening sockets are "
		          "closed until it lives, so that clients are refused and do not hang",
		          s->backoff.early);
	s->crash_loop = true;
	listen_close(&p->sockets, p->cur->conf);
}

static void restart(struct service *s, uint64_t lived)
{
	uint64_t wait;
	char span[32];

	if (s->parent->stop.begun)
		return;
	if (s->parent->options->no_restart && service_wanted(s)) {
		log_warning("role_restart", s->ops->name, "not started again: --no-restart");
		return;
	}
	wait = s->replacing ? 0 : backoff_died(&s->backoff, lived);
	s->replacing = false;
	if (!service_wanted(s))
		return;
	if (wait == 0) {
		start(s);
		return;
	}
	clock_format_span(wait, span);
	log_warning("role_restart", s->ops->name, "starting again in %s: %u early ends in a row",
	            span, s->backoff.early);
	loop_timer_set(s->parent->loop, &s->restart, wait);
	close_in_crash_loop(s);
}

/* Loud when nobody asked for it. */
static void log_end(const struct child *c, const char *reason)
{
	if (c->draining)
		log_notice("role_end", c->service->ops->name, "pid %d %s", (int)c->pid, reason);
	else
		log_error("role_died", c->service->ops->name, "pid %d %s", (int)c->pid, reason);
}

void supervise_leaving(struct child *c)
{
	struct parent *p = c->parent;
	struct service *s = c->service;

	if (c->draining)
		return;
	if (p->stop.begun) {
		child_send(c, IPC_DRAIN, IPC_DRAIN_LATER, NULL, 0, NULL, 0);
		return;
	}
	log_notice("role_end", s->ops->name, "pid %d was told by a signal to end: replacing it",
	           (int)c->pid);
	child_drain(c, p->cur->conf->shutdown_timeout + NS_PER_S);
	reload_disturbed(p, c, true);
	if (s->current != c)
		return;
	s->current = NULL;
	board_node(p->board)->roles[s->index].restarts++;
	supervise_board(s, "told to end by a signal");
	restart(s, c->born ? p->loop->now - c->born : BACKOFF_EARLY);
}

void supervise_died(struct child *c, const char *how)
{
	struct parent *p = c->parent;
	struct service *s = c->service;
	bool was_current = s->current == c;
	char reason[320];

	snprintf(reason, sizeof(reason), "%s%s%s", how, c->why[0] ? ": " : "", c->why);
	log_end(c, reason);
	spawn_forget(&p->paths, s->ops->name, c->instance);
	if (was_current) {
		s->current = NULL;
		if (!c->draining)
			board_node(p->board)->roles[s->index].restarts++;
	}
	supervise_board(s, was_current ? reason : NULL);
	if (service_is(s, "proxy"))
		board_instance_reset(p->board, c->instance);
	exec_forget(p, c);
	list_child_died(c);
	if (service_is(s, "check"))
		order_check_died(p);
	if (service_is(s, "vrrp"))
		vips_died(p);
	certs_child_died(p);
	reload_disturbed(p, c, true);
	upgrade_child_died(c);
	if (was_current && !s->current)
		restart(s, c->born ? p->loop->now - c->born : BACKOFF_EARLY);
	if (service_is(s, "check"))
		release(p);
	stop_child_died(p);
}

/* --- life signs ----------------------------------------------------------------------------- */

static void look_at(struct child *c, uint64_t now)
{
	if (c->kill_at && now >= c->kill_at) {
		c->kill_at = now + NS_PER_S;
		child_kill(c, SIGKILL, c->kill_why);
		return;
	}
	if (c->kill_at || now < c->pulse + SUPERVISE_SILENCE)
		return;
	log_error("role_hung", c->service->ops->name,
	          "pid %d gave no sign of life for %u s: ending it", (int)c->pid,
	          (unsigned)(SUPERVISE_SILENCE / NS_PER_S));
	c->kill_at = now + SUPERVISE_ABORT;
	child_kill(c, SIGABRT, "hung: it gave no sign of life");
}

void supervise_tick(struct parent *p)
{
	uint64_t now = p->loop->now;
	bool slept = now > p->ticked + 3 * NS_PER_S;
	struct child *c;
	struct child *next;

	/* A parent that was itself stopped has seen no pulses: that proves nothing. */
	for (c = TAILQ_FIRST(&p->children); c; c = next) {
		next = TAILQ_NEXT(c, link);
		if (slept)
			c->pulse = now;
		look_at(c, now);
	}
	for (unsigned i = 0; i < p->nservices; i++) {
		struct service *s = &p->services[i];

		if (s->crash_loop && s->current && s->current->ready &&
		    now > s->current->born + BACKOFF_EARLY) {
			s->crash_loop = false;
			s->backoff.early = 0;
			log_notice("crash_loop", s->ops->name, "it lives: crash loop over");
		}
	}
	vips_tick(p);
	list_tick(p);
	p->ticked = now;
}
