/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One server: its probe is started by its timer, the result goes through the damping, what that
 * says is published, and the timers are set anew. Role check, main thread.
 */
#include "check/server.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "check/schedule.h"

#define LOCAL_LOG (10 * NS_PER_S)

static struct loop *loop_of(const struct check_server *s)
{
	return s->check->env.loop;
}

static bool has_check(const struct check_server *s)
{
	return s->pool->conf->check.probe != PROBE_NONE;
}

/* The parent runs the program of the server in force; another server of that name has to wait. */
static bool may_probe(const struct check_server *s)
{
	if (s->pool->conf->check.probe == PROBE_EXEC && s->board == NULL) {
		return s->check->by_slot[s->conf->slot] == NULL;
	}
	return has_check(s);
}

static void set_tick(struct check_server *s, uint64_t now)
{
	uint64_t next = damp_next(&s->damp, s->pool->conf, now);

	if (next == 0) {
		loop_timer_stop(loop_of(s), &s->tick);
	} else {
		loop_timer_set(loop_of(s), &s->tick, next - now);
	}
}

void check_server_step(struct check_server *s, const struct damp_event *e)
{
	struct damp before = s->damp;
	enum damp_change change = damp_step(&s->damp, s->pool->conf, e);

	check_publish(s, change, &before);
	if (change >= DAMP_RAMP || e->kind == DAMP_TICK) {
		set_tick(s, e->now);
	}
	if (change == DAMP_STATE && !s->check->progress.queued) {
		loop_defer(loop_of(s), &s->check->progress);
	}
}

static void probe_now(struct check_server *s)
{
	if (!s->probe.running && may_probe(s)) {
		loop_timer_stop(loop_of(s), &s->timer);
		probe_start(&s->probe);
	}
}

static void on_timer(struct loop_timer *t)
{
	struct check_server *s = CONTAINER_OF(t, struct check_server, timer);

	CHECK_MAGIC(s, CHECK_SERVER_MAGIC);
	probe_now(s);
}

static void on_tick(struct loop_timer *t)
{
	struct check_server *s = CONTAINER_OF(t, struct check_server, tick);
	struct damp_event e = { .kind = DAMP_TICK, .now = loop_of(s)->now };

	CHECK_MAGIC(s, CHECK_SERVER_MAGIC);
	if (s->damp.ejected && e.now >= s->damp.eject_until) {
		probe_now(s); /* its time is over: one success brings it back */
	}
	check_server_step(s, &e);
}

static void log_local(struct check_server *s, const char *text)
{
	uint64_t now = loop_of(s)->now;

	if (s->check->local_log != 0 && now - s->check->local_log < LOCAL_LOG) {
		return;
	}
	s->check->local_log = now;
	log_warning("check_not_run", s->conf->id.s, "%s (its state stays as it is)", text);
}

static void on_done(struct probe *p, const struct probe_result *result)
{
	struct check_server *s = CONTAINER_OF(p, struct check_server, probe);
	uint64_t gone = clock_mono() - p->started;
	uint64_t delay;
	struct damp_event e = {
		.kind = result->end == PROBE_OK ? DAMP_OK : DAMP_FAIL,
		.now = loop_of(s)->now,
		.why = result->text,
	};

	CHECK_MAGIC(s, CHECK_SERVER_MAGIC);
	check_publish_probe(s, result);
	if (result->end == PROBE_UNDECIDED) {
		log_local(s, result->text);
	} else {
		check_server_step(s, &e);
	}
	delay = schedule_next(&s->pool->conf->check, &s->damp, s->first, random_u64());
	s->first = false;
	loop_timer_set(loop_of(s), &s->timer, delay > gone ? delay - gone : NS_PER_MS);
}

/* Whom the certificate of a server is to be for. */
static struct str tls_name(const struct check_server *s)
{
	const struct conf_pool_tls *t = conf_check_tls(s->pool->conf);

	return t != NULL && t->server_name.len > 0 ? t->server_name : s->conf->address_text;
}

/* Hands the probe what it asks, and whom. */
static void hand_over(struct check_server *s)
{
	const struct check_pool *pool = s->pool;

	probe_ask(&s->probe, &pool->conf->check, &pool->text, &s->conf->address, s->conf->id.s);
	probe_ask_tls(&s->probe, conf_check_tls(pool->conf) != NULL, pool->tls, tls_name(s));
	probe_ask_proxy(&s->probe, conf_check_send_proxy(pool->conf));
}

void check_server_tls(struct check_server *s)
{
	bool running = s->probe.running;

	probe_stop(&s->probe);
	hand_over(s);
	if (running) {
		loop_timer_set(loop_of(s), &s->timer, 0);
	}
}

struct check_server *check_server_new(struct check *c, struct check_pool *pool,
                                      const struct conf_server *conf, bool warm)
{
	struct check_server *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		return NULL;
	}
	s->magic = CHECK_SERVER_MAGIC;
	s->check = c;
	s->pool = pool;
	s->conf = conf;
	s->first = true;
	s->timer.fn = on_timer;
	s->tick.fn = on_tick;
	damp_init(&s->damp, pool->conf, warm);
	probe_init(&s->probe, &c->env, on_done);
	hand_over(s);
	return s;
}

void check_server_free(struct check_server *s)
{
	loop_timer_stop(loop_of(s), &s->timer);
	loop_timer_stop(loop_of(s), &s->tick);
	probe_stop(&s->probe);
	s->magic = 0;
	free(s);
}

void check_server_begin(struct check_server *s, uint32_t n, bool known)
{
	if (has_check(s)) {
		s->first = s->first && !known;
		loop_timer_set(loop_of(s), &s->timer,
		               schedule_first(&s->pool->conf->check, n, known, random_u64()));
	}
	set_tick(s, loop_of(s)->now);
}

/* Whether both pools' servers are asked the same in the same way. */
static bool same_question(const struct check_pool *a, const struct check_pool *b)
{
	return probe_same(&a->conf->check, &b->conf->check) && a->tls_key == b->tls_key &&
	       conf_check_send_proxy(a->conf) == conf_check_send_proxy(b->conf) &&
	       conf_check_h2(a->conf) == conf_check_h2(b->conf);
}

void check_server_move(struct check_server *s, struct check_pool *pool,
                       const struct conf_server *conf)
{
	const struct conf_check *old = &s->pool->conf->check;
	const struct conf_check *check = &pool->conf->check;
	bool same = same_question(s->pool, pool);
	bool sooner = check->interval < old->interval;
	struct damp_event e = { .kind = DAMP_RULES, .now = loop_of(s)->now };

	if (!same) {
		probe_stop(&s->probe);
	}
	s->pool = pool;
	s->conf = conf;
	hand_over(s);
	check_server_step(s, &e);
	if (!has_check(s)) {
		loop_timer_stop(loop_of(s), &s->timer);
	} else if (!same) {
		loop_timer_set(loop_of(s), &s->timer, 0);
	} else if (sooner && !s->probe.running) {
		loop_timer_set(loop_of(s), &s->timer,
		               schedule_next(check, &s->damp, true, random_u64()));
	}
}
