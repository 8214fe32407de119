/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The states on the board. One function makes a change visible everywhere at once: the pool's
 * counts, the state word that proxy threads read, the reason, the epoch and the log line. Role
 * check, main thread: the board's only writer of these.
 */
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "check/server.h"

static bool is_ejected(const struct damp *d)
{
	return d->state == SERVER_DOWN && d->ejected;
}

static void count(struct check_pool *pool, const struct damp *d, int by)
{
	pool->up += d->state == SERVER_UP ? (uint32_t)by : 0;
	pool->unproved += d->state == SERVER_UNPROVED ? (uint32_t)by : 0;
	pool->ejected += is_ejected(d) ? (uint32_t)by : 0;
}

/* Details are read under a sequence that is odd while they change. */
static void detail_begin(struct board_server *b)
{
	atomic_fetch_add_explicit(&b->detail_seq, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
}

static void detail_end(struct board_server *b)
{
	atomic_fetch_add_explicit(&b->detail_seq, 1, memory_order_release);
}

void check_publish_to(struct check *c, const struct role_conf *conf)
{
	c->states = role_conf_fd(conf, ROLE_FD_STATES, 0, 0);
}

static void tell(const struct check *c)
{
	const uint64_t one = 1;

	if (c->states >= 0 && write(c->states, &one, sizeof(one)) < 0) {
		return; /* its count is full: the reader has been told often enough */
	}
}

static void write_word(struct check_server *s)
{
	union server_word word = damp_word(&s->damp);

	word.epoch = board_server_word(s->board).epoch + 1;
	atomic_store_explicit(&s->board->word, word.word, memory_order_release);
	atomic_fetch_add_explicit(board_epoch(s->check->role->board), 1, memory_order_release);
}

static void write_reason(struct check_server *s, bool since)
{
	detail_begin(s->board);
	damp_reason(&s->damp, s->board->reason);
	if (since) {
		s->board->since_wall_ms = clock_wall_ms();
	}
	detail_end(s->board);
}

static void log_order(const struct check_server *s)
{
	const struct damp *d = &s->damp;

	log_notice("server_order", s->conf->id.s, "%s by order (%s: %s)",
	           server_order_name[d->order], server_state_name[d->state], d->why);
}

/* quiet: one of many that a starting node finds well. */
static void log_state(const struct check_server *s, bool quiet)
{
	const struct damp *d = &s->damp;
	const struct check_pool *pool = s->pool;

	if (pool->named) {
		if (d->state == SERVER_UP) {
			log_write(quiet ? LOG_LEVEL_INFO : LOG_LEVEL_NOTICE, "check_up",
			          s->conf->id.s, "up: %s", d->why);
		} else {
			log_warning("check_down", s->conf->id.s, "down: %s", d->why);
		}
		return;
	}
	if (d->state == SERVER_UP) {
		log_write(quiet ? LOG_LEVEL_INFO : LOG_LEVEL_NOTICE, "server_up", s->conf->id.s,
		          "up: %s (%u of %u up in pool %s)", d->why, pool->up, pool->conf->nservers,
		          pool->conf->name.s);
		return;
	}
	log_warning(is_ejected(d) ? "server_ejected" : "server_down", s->conf->id.s,
	            "down: %s (%u of %u up in pool %s)", d->why, pool->up, pool->conf->nservers,
	            pool->conf->name.s);
}

static bool is_dead(const struct check_pool *pool)
{
	return pool->up == 0 && pool->unproved == 0;
}

/* A pool's last server went, or one came back. */
static void log_pool(struct check_pool *pool)
{
	if (is_dead(pool) == pool->dead) {
		return;
	}
	pool->dead = !pool->dead;
	if (pool->named) {
		return; /* it is its one server */
	}
	if (pool->dead) {
		log_error("pool_down", pool->conf->name.s, "no server of the pool is up");
	} else {
		log_notice("pool_up", pool->conf->name.s, "a server of the pool is up again");
	}
}

void check_publish(struct check_server *s, enum damp_change change, const struct damp *before)
{
	if (s->board == NULL || change == DAMP_SAME) {
		return;
	}
	if (change == DAMP_DETAIL) {
		write_reason(s, false);
		return;
	}
	if (change == DAMP_RAMP) {
		write_word(s);
		return;
	}
	count(s->pool, before, -1);
	count(s->pool, &s->damp, 1);
	if (before->state == SERVER_UNPROVED && s->damp.state != SERVER_UNPROVED) {
		s->check->unproved--;
	}
	if (before->state != SERVER_UP && s->damp.state == SERVER_UP) {
		/* What live traffic saw before does not count against it now. */
		atomic_store_explicit(&s->board->fail_streak, 0, memory_order_relaxed);
	}
	write_reason(s, true);
	write_word(s);
	tell(s->check);
	if (before->order != s->damp.order) {
		log_order(s);
	} else {
		log_state(s, before->state == SERVER_UNPROVED && !s->check->ready);
	}
	log_pool(s->pool);
}

void check_publish_all(struct check_server *s, struct board_server *board)
{
	union server_word old = board_server_word(board);
	union server_word want = damp_word(&s->damp);
	char reason[DAMP_REASON];
	bool moved;

	s->board = board;
	count(s->pool, &s->damp, 1);
	s->check->unproved += s->damp.state == SERVER_UNPROVED;
	s->pool->dead = is_dead(s->pool);
	damp_reason(&s->damp, reason);
	want.epoch = old.epoch;
	if (old.word == want.word && strcmp(board->reason, reason) == 0) {
		return;
	}
	moved = old.state != want.state || old.ejected != want.ejected;
	write_reason(s, moved || board->since_wall_ms == 0);
	if (old.word == want.word) {
		return;
	}
	write_word(s);
	tell(s->check);
	if (moved && want.state != SERVER_UNPROVED && s->pool->conf->check.probe != PROBE_NONE) {
		log_state(s, false);
	}
}

void check_publish_probe(struct check_server *s, const struct probe_result *result)
{
	struct board_server *b = s->board;
	uint64_t us = result->ns / NS_PER_US;

	if (b == NULL || result->end == PROBE_UNDECIDED) {
		return;
	}
	detail_begin(b);
	b->last_us = (uint32_t)us;
	b->checked_wall_ms = clock_wall_ms();
	detail_end(b);
	stat_add(result->end == PROBE_OK ? &b->checks_ok : &b->checks_failed, 1);
	stat_add(&b->check_latency[stat_bucket(us)], 1);
	stat_add(&b->check_sum_us, us);
}
