/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The proxy role: its main thread takes configurations from the parent and hands them to the worker
 * threads; traffic never waits for it.
 */
#include "proxy/proxy.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proxy/connections.h"
#include "proxy/thread.h"

#define TICK (100 * NS_PER_MS)

void proxy_let_go(struct proxy *p, const struct role_conf *rc)
{
	pthread_mutex_lock(&p->lock);
	/* More than the list holds cannot be unused at once; what does not fit stays mapped. */
	if (p->nunused < ARRAY_LEN(p->unused))
		p->unused[p->nunused++] = rc;
	pthread_mutex_unlock(&p->lock);
}

static void release_unused(struct proxy *p)
{
	const struct role_conf *list[ARRAY_LEN(p->unused)];
	unsigned i, n;

	pthread_mutex_lock(&p->lock);
	n = p->nunused;
	memcpy(list, p->unused, n * sizeof(list[0]));
	p->nunused = 0;
	pthread_mutex_unlock(&p->lock);
	for (i = 0; i < n; i++)
		role_release(p->role, list[i]);
}

static void on_tick(struct loop_timer *timer)
{
	struct proxy *p = CONTAINER_OF(timer, struct proxy, tick);

	release_unused(p);
	if (p->draining && atomic_load(p->connections) == 0) {
		access_log_free(p->log);
		role_exit(p->role);
		return;
	}
	loop_timer_set(p->role->loop, timer, TICK);
}

unsigned proxy_threads(const struct conf *c)
{
	long n = c->threads != 0 ? (long)c->threads : sysconf(_SC_NPROCESSORS_ONLN);

	return (unsigned)MIN(MAX(n, 1), (long)BOARD_THREADS);
}

/* Starts the threads that a configuration wants and that are not there yet. */
static int make_threads(struct proxy *p, unsigned wanted, char *why, size_t why_size)
{
	while (p->nthreads < wanted) {
		const unsigned n = p->nthreads;
		struct thread *t = thread_start(p, n);

		if (t == NULL) {
			snprintf(why, why_size, "thread %u of %u cannot be started", n + 1, wanted);
			return ERR_SYSTEM;
		}
		p->threads[n] = t;
		p->nthreads = n + 1; /* other threads read it: wake_others() */
	}
	return OK;
}

static void set_logs(struct proxy *p, const struct role_conf *rc)
{
	uint32_t i;

	for (i = 0; i < rc->conf->nlisteners; i++) {
		const struct conf_listener *l = &rc->conf->listeners[i];
		int fd = role_conf_fd(rc, ROLE_FD_ACCESS_LOG, i, 0);

		if (l->access_log.on)
			access_log_set(p->log, l->slot, fd >= 0 ? dup(fd) : -1,
			               (enum conf_log_format)l->access_log.format);
		else
			access_log_set(p->log, l->slot, -1, LOG_FORMAT_JSON);
	}
}

/* Hands a snapshot to all threads at once and waits until each has it. */
static void hand_over(struct proxy *p, struct snapshot *s)
{
	unsigned i, wanted = proxy_threads(s->conf);

	for (i = 0; i < p->nthreads; i++)
		thread_order(p->threads[i], s, i < wanted ? THREAD_RUN : THREAD_RETIRE);
	for (i = 0; i < p->nthreads; i++)
		thread_wait(p->threads[i]);
}

static int proxy_start(struct role *r, const struct role_conf *first, char *why, size_t why_size)
{
	struct proxy *p = calloc(1, sizeof(*p));
	int err;

	snprintf(why, why_size, "out of memory");
	if (p == NULL)
		return ERR_NOMEM;
	r->data = p;
	p->role = r;
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->changed, NULL);
	p->notify = role_conf_fd(first, ROLE_FD_NOTIFY, 0, 0);
	if (p->notify >= 0)
		p->notify = dup(p->notify);
	p->connections = &board_node(r->board)->connections[r->instance];
	p->log = access_log_new(BOARD_THREADS);
	p->current = p->log ? snapshot_new(p, first, NULL, why, why_size) : NULL;
	if (p->current == NULL)
		return ERR_NOMEM;
	p->current->committed = true;
	err = make_threads(p, proxy_threads(first->conf), why, why_size);
	if (err != OK)
		return err;
	set_logs(p, first);
	hand_over(p, p->current);
	p->tick.fn = on_tick;
	loop_timer_set(r->loop, &p->tick, TICK);
	role_ready(r);
	return OK;
}

static int proxy_prepare(struct role *r, const struct role_conf *next, char *why, size_t why_size)
{
	struct proxy *p = r->data;
	int err = make_threads(p, proxy_threads(next->conf), why, why_size);

	if (err != OK)
		return err;
	p->prepared = snapshot_new(p, next, p->current, why, why_size);
	return p->prepared != NULL ? OK : ERR_NOMEM;
}

static void proxy_commit(struct role *r)
{
	struct proxy *p = r->data;
	struct snapshot *old = p->current;

	p->current = p->prepared;
	p->prepared = NULL;
	set_logs(p, p->current->rc);
	if (!p->draining)
		hand_over(p, p->current);
	snapshot_replace(old, p->current);
	release_unused(p);
}

static void proxy_abort(struct role *r)
{
	struct proxy *p = r->data;

	if (p->prepared != NULL)
		snapshot_abandon(p->prepared);
	p->prepared = NULL;
	release_unused(p);
}

static void proxy_drain(struct role *r)
{
	struct proxy *p = r->data;
	unsigned i;

	if (p->draining)
		return;
	p->draining = true;
	for (i = 0; i < p->nthreads; i++)
		thread_order(p->threads[i], NULL, THREAD_DRAIN);
	for (i = 0; i < p->nthreads; i++)
		thread_wait(p->threads[i]);
	snapshot_close_sockets(p->current);
	log_notice("draining", NULL, "%u connections are open; each gets the answer it waits for",
	           atomic_load(p->connections));
}

/* New certificates: what new connections are shown; those that are open keep theirs. */
static void take_certs(struct proxy *p, const struct ipc_msg *m)
{
	struct certs *next, *old = p->current->certs;
	char why[256] = "no store came with the message";
	int err = ERR_INVALID;
	unsigned i;

	if (m->nfds > 0) {
		snprintf(why, sizeof(why), "the store cannot be mapped");
		err = certs_new(m->fds[0], &next);
	}
	if (err == OK) {
		err = certs_prove(next, p->current->conf, why, sizeof(why));
		if (err != OK)
			certs_drop(next);
	}
	if (err == OK) {
		why[0] = '\0';
		p->current->certs = next;
		for (i = 0; i < p->nthreads; i++)
			thread_certs(p->threads[i]);
		for (i = 0; i < p->nthreads; i++)
			thread_wait(p->threads[i]);
		certs_drop(old);
	}
	if (p->role->parent >= 0)
		ipc_send_result(p->role->parent, IPC_CERTED, m->id, err, 0, why);
}

/* Reopened access logs: as they come with a configuration. */
static void proxy_message(struct role *r, struct ipc_msg *m)
{
	struct proxy *p = r->data;

	if (m->type == IPC_LIST)
		connections_answer(p, m);
	if (m->type == IPC_LOGS)
		set_logs(p, p->current->rc);
	else if (m->type == IPC_CERTS)
		take_certs(p, m);
}

const struct role_ops proxy_role = {
	.name = "proxy",
	.keeps_conf = true,
	.overlaps = true,
	.start = proxy_start,
	.prepare = proxy_prepare,
	.commit = proxy_commit,
	.abort = proxy_abort,
	.drain = proxy_drain,
	.message = proxy_message,
};
