/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates as the parent sees them: when to have a store made, who gets it, who waits for it.
 * One helper runs at a time; while a reload is under way its own comes first. Main thread of the
 * parent.
 */
#include "core/certs.h"

#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/certs_helper.h"
#include "core/parent.h"
#include "tls/store.h"

#define CERTS_LOOK    (60 * NS_PER_S)   /* between two looks that nothing has asked for */
#define CERTS_SETTLE  (200 * NS_PER_MS) /* after a change: the other half of it follows */
#define CERTS_LONGEST (2 * NS_PER_S)    /* that changes may put a look off */
#define CERTS_LEAST   (50 * NS_PER_MS)
#define CERTS_WAIT    (10 * NS_PER_S) /* for proxies to take a store */

static void begin(struct parent *p, struct generation *g);

static bool pool_needs(const struct conf_pool *p)
{
	return p->tls.on || p->check.tls.on;
}

bool certs_wanted(const struct conf *c)
{
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		if (c->listeners[i].tls.on)
			return true;
	}
	for (uint32_t i = 0; i < c->npools; i++) {
		if (pool_needs(&c->pools[i]))
			return true;
	}
	for (uint32_t i = 0; i < c->nchecks; i++) {
		if (pool_needs(&c->checks[i]))
			return true;
	}
	return c->nissuers > 0;
}

/* --- answers -------------------------------------------------------------------------------- */

static void answer_issued(struct parent *p, int err, const char *text)
{
	struct certs *s = &p->certs;

	for (unsigned i = 0; i < s->now.n; i++) {
		struct child *c = child_find(p, s->now.v[i].child);

		if (c)
			child_result(c, IPC_ISSUED, s->now.v[i].id, err, 0, text);
	}
	s->now.n = 0;
	s->taken_by = 0;
}

static bool all_have_it(const struct parent *p)
{
	const struct child *c;

	TAILQ_FOREACH (c, &p->children, link) {
		if (c->certs_id != 0 && service_is(c->service, "proxy"))
			return false;
	}
	return true;
}

static void look_whether_taken(struct parent *p)
{
	if (p->certs.taken_by != 0 && all_have_it(p))
		answer_issued(p, OK, "");
}

void certs_answered(struct child *c, const struct ipc_msg *m)
{
	struct ipc_result r;

	if (!ipc_result(m, &r) || m->id != c->certs_id)
		return;
	c->certs_id = 0;
	if (r.err != OK)
		log_error("certificates", c->service->ops->name,
		          "it goes on with the former ones: %s", r.text);
	look_whether_taken(c->parent);
}

void certs_issued(struct child *c, const struct ipc_msg *m)
{
	struct certs *s = &c->parent->certs;

	if (s->later.n == CERTS_ASKERS) {
		child_result(c, IPC_ISSUED, m->id, ERR_FULL, 0, "too many wait already");
		return;
	}
	s->later.v[s->later.n++] = (struct asker){ c->serial, m->id };
	certs_look(c->parent);
}

void certs_child_died(struct parent *p)
{
	look_whether_taken(p);
}

/* --- handing out ---------------------------------------------------------------------------- */

static void hand_to(struct child *c, int fd)
{
	if (fd < 0 || !c->started || c->foreign || c->draining)
		return;
	if (child_send(c, IPC_CERTS, c->parent->certs.id, NULL, 0, &fd, 1) == OK)
		c->certs_id = c->parent->certs.id;
}

static void hand_out(struct parent *p, bool files_too)
{
	struct child *c;

	p->certs.id = ++p->ids;
	TAILQ_FOREACH (c, &p->children, link) {
		if (service_is(c->service, "proxy"))
			hand_to(c, p->cur->certs);
		else if (service_is(c->service, "check") && files_too)
			hand_to(c, p->cur->certs_files);
	}
}

static void take_over(struct generation *g, struct certs_answer *a)
{
	if (g->certs >= 0)
		close(g->certs);
	if (g->certs_files >= 0)
		close(g->certs_files);
	g->certs = a->store;
	g->certs_files = a->files;
	a->store = a->files = -1;
}

/* --- looking -------------------------------------------------------------------------------- */

/* A change that came while a helper was at work has asked for a look of its own: that stays. */
static void plan(struct parent *p, uint64_t next_ms)
{
	uint64_t now_ms = clock_wall_ms(), ns = CERTS_LOOK;

	if (p->certs.changed_at != 0 && p->certs.timer.due != 0)
		return;
	if (next_ms != 0) {
		uint64_t left = next_ms > now_ms ? next_ms - now_ms : 0;

		ns = MIN(ns, MAX(left * NS_PER_MS, CERTS_LEAST));
	}
	loop_timer_set(p->loop, &p->certs.timer, ns);
}

static void on_look(struct loop_timer *t)
{
	struct parent *p = CONTAINER_OF(t, struct parent, certs.timer);

	p->certs.changed_at = 0;
	if (p->certs.job.pid > 0 || p->reload.phase != RELOAD_IDLE) {
		p->certs.again = true;
		return;
	}
	if (p->certs.taken_by != 0) {
		if (p->loop->now < p->certs.taken_by) {
			p->certs.again = true;
			loop_timer_set(p->loop, t, CERTS_SETTLE);
			return;
		}
		answer_issued(p, ERR_TIMEOUT, "the proxies did not take the certificates in time");
	}
	begin(p, p->cur);
}

void certs_look(struct parent *p)
{
	if (!p->certs.on)
		return;
	loop_timer_set(p->loop, &p->certs.timer, CERTS_LEAST);
}

void certs_changed(struct parent *p)
{
	struct certs *s = &p->certs;
	uint64_t now = p->loop->now;

	if (!s->on)
		return;
	if (s->changed_at == 0)
		s->changed_at = now;
	if (now + CERTS_SETTLE < s->changed_at + CERTS_LONGEST)
		loop_timer_set(p->loop, &s->timer, CERTS_SETTLE);
	else if (s->timer.due == 0 || s->timer.due > now + CERTS_SETTLE)
		loop_timer_set(p->loop, &s->timer, CERTS_LEAST);
}

/* --- the helper's end ----------------------------------------------------------------------- */

static void done_present(struct parent *p, struct certs_answer *a)
{
	bool news = a->changed && !store_same(p->cur->certs, a->store);
	bool files_too = news && !store_same(p->cur->certs_files, a->files);

	if (a->err != OK) {
		log_error("certificates", NULL,
		          "the process that reads them gave no answer (%s): those in service stay",
		          err_text(a->err));
	} else {
		certs_report(p, a);
		if (a->changed) {
			take_over(p->cur, a);
			if (news)
				hand_out(p, files_too);
		}
	}
	if (p->certs.now.n > 0) {
		p->certs.taken_by = p->loop->now + CERTS_WAIT;
		if (a->err != OK)
			answer_issued(p, a->err, "the certificates could not be read");
		else
			look_whether_taken(p);
	}
}

/* What the present generation has is what the next one needs, too. */
static int share(struct generation *g, const struct generation *cur)
{
	g->certs = fcntl(cur->certs, F_DUPFD_CLOEXEC, 3);
	g->certs_files = fcntl(cur->certs_files, F_DUPFD_CLOEXEC, 3);
	return g->certs >= 0 && g->certs_files >= 0 ? OK : ERR_SYSTEM;
}

static void done_next(struct parent *p, struct generation *g, struct certs_answer *a)
{
	if (a->err == OK) {
		p->certs.next_due_ms = a->next_ms;
		certs_report(p, a);
		if (a->changed)
			take_over(g, a);
		else if (share(g, p->cur) != OK)
			a->err = ERR_SYSTEM;
	}
	reload_has_certs(p, a->err);
}

static void on_job(struct loop_io *io, uint32_t events)
{
	struct parent *p = CONTAINER_OF(io, struct parent, certs.job_io);
	struct certs *s = &p->certs;
	struct generation *g = s->of;
	struct certs_answer a;

	(void)events;
	loop_timer_stop(p->loop, &s->limit);
	loop_remove(p->loop, io);
	s->of = NULL;
	certs_finish(&s->job, NS_PER_S, &a);
	plan(p, a.err == OK ? a.next_ms : 0);
	if (s->watch.stale || !s->watch.on)
		certs_watch_set(p);
	if (g == p->cur)
		done_present(p, &a);
	else
		done_next(p, g, &a);
	certs_answer_drop(&a);
	if (s->again || s->later.n > 0) {
		s->again = false;
		certs_look(p);
	}
}

static void on_limit(struct loop_timer *t)
{
	struct parent *p = CONTAINER_OF(t, struct parent, certs.limit);

	on_job(&p->certs.job_io, 0); /* it finds none, and ends the process */
}

static void fail(struct parent *p, struct generation *g)
{
	log_error("certificates", NULL, "cannot start the process that reads them");
	plan(p, 0);
	if (g != p->cur)
		reload_has_certs(p, ERR_SYSTEM);
}

static void begin(struct parent *p, struct generation *g)
{
	struct certs *s = &p->certs;

	if (g == p->cur && s->now.n == 0) {
		s->now = s->later;
		s->later.n = 0;
	}
	if (certs_start(&s->job, g->image, p->cur ? p->cur->certs : -1, p->paths.keep) != OK) {
		fail(p, g);
		return;
	}
	s->of = g;
	s->job_io = (struct loop_io){ .fd = s->job.fd, .fn = on_job };
	s->limit.fn = on_limit;
	loop_timer_set(p->loop, &s->limit, (CERTS_TIME + 1) * NS_PER_S);
	if (loop_add_level(p->loop, &s->job_io, LOOP_IN, false) != OK) {
		loop_timer_stop(p->loop, &s->limit);
		helper_end(&s->job);
		s->of = NULL;
		fail(p, g);
	}
}

static void cancel(struct parent *p)
{
	struct certs *s = &p->certs;

	if (s->job.pid <= 0)
		return;
	loop_timer_stop(p->loop, &s->limit);
	loop_remove(p->loop, &s->job_io);
	helper_end(&s->job);
	s->of = NULL;
}

/* --- with a configuration ------------------------------------------------------------------- */

int certs_first(struct parent *p, struct generation *g, char *why, size_t why_size)
{
	struct certs_answer a;

	if (!certs_wanted(g->conf) || g->certs >= 0)
		return OK;
	if (certs_start(&p->certs.job, g->image, -1, p->paths.keep) != OK) {
		snprintf(why, why_size, "cannot start the process that reads certificates");
		return ERR_SYSTEM;
	}
	certs_finish(&p->certs.job, (CERTS_TIME + 1) * NS_PER_S, &a);
	if (a.err != OK) {
		snprintf(why, why_size, "the process that reads certificates gave no answer: %s",
		         err_text(a.err));
		return a.err;
	}
	certs_report(p, &a);
	p->certs.next_due_ms = a.next_ms;
	take_over(g, &a);
	certs_answer_drop(&a);
	return OK;
}

/* Watching begins, goes on with other folders, or ends. */
static void follow(struct parent *p)
{
	struct certs *s = &p->certs;
	bool was = s->on;

	s->on = certs_wanted(p->cur->conf);
	s->timer.fn = on_look;
	if (s->on) {
		certs_watch_set(p);
		return;
	}
	certs_watch_stop(p);
	loop_timer_stop(p->loop, &s->timer);
	if (was)
		board_certs_write(p->board, NULL, 0, 0, 0, "");
}

void certs_begin(struct parent *p)
{
	follow(p);
	if (p->certs.on && p->adopted)
		certs_look(p); /* what has changed while there was no parent */
	else if (p->certs.on)
		plan(p, p->certs.next_due_ms);
}

bool certs_prepare(struct parent *p, struct generation *next)
{
	if (!certs_wanted(next->conf))
		return false;
	if (p->certs.job.pid > 0) {
		cancel(p);
		p->certs.again = true;
		for (unsigned i = 0; i < p->certs.now.n && p->certs.later.n < CERTS_ASKERS; i++)
			p->certs.later.v[p->certs.later.n++] = p->certs.now.v[i];
		p->certs.now.n = 0;
	}
	begin(p, next);
	return true;
}

void certs_prepare_stop(struct parent *p)
{
	if (p->certs.of && p->certs.of != p->cur)
		cancel(p);
}

void certs_settled(struct parent *p, bool committed)
{
	if (committed)
		follow(p);
	if (!p->certs.on)
		return;
	if (p->certs.again || p->certs.later.n > 0 || !committed)
		certs_look(p);
	else
		plan(p, p->certs.next_due_ms);
	p->certs.again = false;
}

void certs_end(struct parent *p)
{
	cancel(p);
	certs_watch_stop(p);
	loop_timer_stop(p->loop, &p->certs.timer);
	p->certs.on = false;
}

/* --- adoption ------------------------------------------------------------------------------- */

static uint64_t number_of(int fd)
{
	uint64_t head[2]; /* magic word, number: tls/store.c */

	return pread(fd, head, sizeof(head), 0) == (ssize_t)sizeof(head) ? head[1] : 0;
}

bool certs_adopt(struct parent *p, bool files, int fd)
{
	int *place = files ? &p->certs.adopted_files : &p->certs.adopted;

	if (*place >= 0 && number_of(*place) >= number_of(fd))
		return false;
	if (*place >= 0)
		close(*place);
	*place = fd;
	return true;
}

void certs_adopted(struct parent *p)
{
	struct certs *s = &p->certs;

	if (p->cur && p->cur->certs < 0) {
		p->cur->certs = s->adopted;
		p->cur->certs_files = s->adopted_files;
	}
	s->adopted = s->adopted_files = -1;
}
