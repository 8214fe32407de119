/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running programs for the roles `check` (exec checks) and `acme` (records in the DNS), which may
 * not: only those of the configuration (the committed one, or the one being prepared), so many at a
 * time. Main thread of the parent.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "core/parent.h"

struct exec_run {
	TAILQ_ENTRY(exec_run) link;
	struct parent *parent;
	struct asker asker;
	struct ipc_exec x;
	struct ipc_acme_exec record; /* acme: its issuer is x.server */
	bool is_acme;
	struct program program;
	struct loop_task gone;
};

static void run_next(struct parent *p);

void exec_init(struct parent *p)
{
	TAILQ_INIT(&p->execs.running);
	TAILQ_INIT(&p->execs.waiting);
}

static void answer(struct exec_run *e, int status, const char *output)
{
	struct child *c = child_find(e->parent, e->asker.child);

	e->x.status = status;
	snprintf(e->x.output, sizeof(e->x.output), "%s", output);
	if (c)
		child_send(c, IPC_EXECUTED, e->asker.id, &e->x, sizeof(e->x), NULL, 0);
}

static void not_run(struct exec_run *e, const char *why)
{
	answer(e, -1, why);
	free(e);
}

/* --- running -------------------------------------------------------------------------------- */

struct target {
	const struct conf_pool *pool;
	const struct conf_server *server;
	bool named; /* a named check rather than a pool's server */
};

static void set_environment(const void *arg)
{
	const struct target *t = arg;
	char addr[NET_ADDR_TEXT];

	if (t->named) {
		setenv("HOLDFAST_CHECK", t->pool->name.s, 1);
	} else {
		setenv("HOLDFAST_POOL", t->pool->name.s, 1);
		setenv("HOLDFAST_SERVER", t->server->name.s, 1);
	}
	if (t->server->address.len > 0)
		setenv("HOLDFAST_ADDRESS", net_addr_format(&t->server->address, addr), 1);
}

static bool find_in(const struct conf *c, const char *id, struct target *t)
{
	t->server = conf_probed_find(c, str_from(id), &t->pool);
	t->named = t->server && conf_server_find(c, str_from(id), NULL) == NULL;
	return t->server && t->pool->check.probe == PROBE_EXEC && t->pool->check.exec.n > 0;
}

static void set_acme_environment(const void *arg)
{
	const struct ipc_acme_exec *r = arg;

	setenv("HOLDFAST_ACME_ACTION", r->remove ? "remove" : "add", 1);
	setenv("HOLDFAST_ACME_NAME", r->name, 1);
	setenv("HOLDFAST_ACME_VALUE", r->value, 1);
}

static const struct conf_issuer *find_issuer(const struct conf *c, const char *name)
{
	for (uint32_t i = 0; i < c->nissuers; i++) {
		const struct conf_issuer *issuer = &c->issuers[i];

		if (str_eq(issuer->name, str_from(name)) && issuer->dns == ACME_DNS_EXEC &&
		    issuer->dns_exec.n > 0)
			return issuer;
	}
	return NULL;
}

static void on_gone(struct loop_task *t)
{
	free(CONTAINER_OF(t, struct exec_run, gone));
}

static void finish(struct exec_run *e, int status, const char *output)
{
	struct parent *p = e->parent;

	answer(e, status, output);
	TAILQ_REMOVE(&p->execs.running, e, link);
	p->execs.nrunning--;
	e->gone.fn = on_gone;
	loop_defer(p->loop, &e->gone);
}

static void on_ended(struct program *g)
{
	struct exec_run *e = CONTAINER_OF(g, struct exec_run, program);
	struct parent *p = e->parent;

	finish(e, g->status, g->output);
	run_next(p);
}

/* What is to be run; false with why when there is nothing. */
static bool describe(struct parent *p, struct exec_run *e, struct target *t,
                     struct program_order *o, const char **why)
{
	const struct conf_issuer *issuer;

	if (e->is_acme) {
		issuer = find_issuer(p->cur->conf, e->x.server);
		if (!issuer && p->former) /* what a reload has removed takes its records back */
			issuer = find_issuer(p->former, e->x.server);
		*why = "the configuration has no such issuer with a program";
		*o = (struct program_order){ .environment = set_acme_environment,
			                     .arg = &e->record,
			                     .timeout = EXEC_ACME_TIME };
		if (issuer) {
			o->exec = &issuer->dns_exec;
			o->user = issuer->dns_user;
		}
		return issuer != NULL;
	}
	*why = "the configuration has no such exec check";
	if (!find_in(p->cur->conf, e->x.server, t) &&
	    !(p->reload.next && find_in(p->reload.next->conf, e->x.server, t)))
		return false;
	*o = (struct program_order){ .environment = set_environment,
		                     .arg = t,
		                     .exec = &t->pool->check.exec,
		                     .user = t->pool->check.user,
		                     .timeout = t->pool->check.timeout };
	return true;
}

static void run(struct parent *p, struct exec_run *e)
{
	struct target t;
	struct program_order o;
	const char *why;

	if (!describe(p, e, &t, &o, &why)) {
		not_run(e, why);
		return;
	}
	e->program.ended = on_ended;
	if (program_start(p, &e->program, &o) != OK) {
		not_run(e, e->program.output);
		return;
	}
	TAILQ_INSERT_TAIL(&p->execs.running, e, link);
	p->execs.nrunning++;
}

static void run_next(struct parent *p)
{
	struct exec_run *e;

	while (p->execs.nrunning < EXEC_RUNNING && (e = TAILQ_FIRST(&p->execs.waiting))) {
		TAILQ_REMOVE(&p->execs.waiting, e, link);
		p->execs.nwaiting--;
		run(p, e);
	}
}

/* What the message asks for; false where it is none of the two. */
static bool take(struct exec_run *e, const struct child *c, const struct ipc_msg *m)
{
	struct ipc_acme_exec *r = &e->record;

	e->is_acme = service_is(c->service, "acme");
	if (!e->is_acme)
		return ipc_payload(m, &e->x, sizeof(e->x));
	if (!ipc_payload(m, r, sizeof(*r)))
		return false;
	r->issuer[sizeof(r->issuer) - 1] = r->name[sizeof(r->name) - 1] =
	    r->value[sizeof(r->value) - 1] = '\0';
	snprintf(e->x.server, sizeof(e->x.server), "%s", r->issuer);
	return true;
}

void exec_request(struct child *c, const struct ipc_msg *m)
{
	struct parent *p = c->parent;
	bool ending = p->stop.begun && !p->stop.yielding;
	struct exec_run *e = calloc(1, sizeof(*e));

	if (!e)
		return;
	e->parent = p;
	e->asker = (struct asker){ c->serial, m->id };
	if (!take(e, c, m)) {
		free(e);
		return;
	}
	e->x.server[sizeof(e->x.server) - 1] = '\0';
	memset(e->x.output, 0, sizeof(e->x.output));
	if (ending || p->execs.nwaiting >= EXEC_WAITING) {
		not_run(e, ending ? "the node is ending" : "too many programs wait");
		return;
	}
	TAILQ_INSERT_TAIL(&p->execs.waiting, e, link);
	p->execs.nwaiting++;
	run_next(p);
}

void exec_forget(struct parent *p, const struct child *c)
{
	struct exec_run *e;
	struct exec_run *next;

	for (e = TAILQ_FIRST(&p->execs.waiting); e; e = next) {
		next = TAILQ_NEXT(e, link);
		if (c && e->asker.child != c->serial)
			continue;
		TAILQ_REMOVE(&p->execs.waiting, e, link);
		p->execs.nwaiting--;
		free(e);
	}
	TAILQ_FOREACH (e, &p->execs.running, link) {
		if (!c || e->asker.child == c->serial)
			program_kill(&e->program);
	}
}

void exec_end_all(struct parent *p)
{
	struct exec_run *e;

	exec_forget(p, NULL);
	while ((e = TAILQ_FIRST(&p->execs.running))) {
		program_end(&e->program);
		finish(e, -1, "ended: the node takes a new program into service");
	}
}
