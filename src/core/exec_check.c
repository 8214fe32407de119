/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running exec checks for the role `check`, which may not: only programs of the configuration (the
 * committed one, or the one being prepared), so many at a time. Main thread of the parent.
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

static void run(struct parent *p, struct exec_run *e)
{
	struct target t;
	struct program_order o = { .environment = set_environment, .arg = &t };

	if (!find_in(p->cur->conf, e->x.server, &t) &&
	    !(p->reload.next && find_in(p->reload.next->conf, e->x.server, &t))) {
		not_run(e, "the configuration has no such exec check");
		return;
	}
	o.exec = &t.pool->check.exec;
	o.user = t.pool->check.user;
	o.timeout = t.pool->check.timeout;
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

void exec_request(struct child *c, const struct ipc_msg *m)
{
	struct parent *p = c->parent;
	bool ending = p->stop.begun && !p->stop.yielding;
	struct exec_run *e = calloc(1, sizeof(*e));

	if (!e)
		return;
	e->parent = p;
	e->asker = (struct asker){ c->serial, m->id };
	if (!ipc_payload(m, &e->x, sizeof(e->x))) {
		free(e);
		return;
	}
	e->x.server[sizeof(e->x.server) - 1] = '\0';
	memset(e->x.output, 0, sizeof(e->x.output));
	if (ending || p->execs.nwaiting >= EXEC_WAITING) {
		not_run(e, ending ? "the node is ending" : "too many exec checks wait");
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
