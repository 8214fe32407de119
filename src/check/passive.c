/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Passive checks: proxy threads count a server's consecutive failures on the board and notify when
 * the count reaches the pool's limit; here such servers are ejected for a time, as far as the pool
 * can spare them. Nothing is scanned without a notification. Role check, main thread.
 */
#include <stdint.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "check/server.h"

#define HELD_LOG   (10 * NS_PER_S)
#define SCAN_PAUSE (10 * NS_PER_MS) /* failures in masses do not make masses of scans */

static const char *why_of(const struct board_server *b)
{
	uint32_t why = atomic_load_explicit(&b->fail_why, memory_order_relaxed);

	return fail_text(why < FAILS ? (enum fail_why)why : FAIL_NONE);
}

static void hold_back(struct check_server *s, uint32_t failures)
{
	struct check_pool *pool = s->pool;
	uint64_t now = s->check->env.loop->now;

	if (pool->held_log != 0 && now - pool->held_log < HELD_LOG) {
		return;
	}
	pool->held_log = now;
	log_warning(
	    "ejection_held", s->conf->id.s,
	    "not ejected after %u consecutive failures (%s): %u of %u servers of pool %s are "
	    "in service, %u ejected, max_ejected is %u %%",
	    failures, why_of(s->board), check_pool_in_service(pool), pool->conf->nservers,
	    pool->conf->name.s, pool->ejected, pool->conf->passive.max_ejected);
}

static void look_at(struct check_server *s)
{
	const struct conf_passive *passive = &s->pool->conf->passive;
	uint32_t failures = atomic_load_explicit(&s->board->fail_streak, memory_order_relaxed);
	struct damp_event e = {
		.kind = DAMP_EJECT,
		.now = s->check->env.loop->now,
		.why = why_of(s->board),
		.failures = failures,
	};

	if (failures < passive->failures) {
		return;
	}
	atomic_store_explicit(&s->board->fail_streak, 0, memory_order_relaxed);
	if (s->damp.state != SERVER_UP) {
		return;
	}
	if (!damp_may_eject(s->pool->conf->nservers, check_pool_in_service(s->pool),
	                    s->pool->ejected, passive->max_ejected)) {
		hold_back(s, failures);
		return;
	}
	check_server_step(s, &e);
}

void check_passive_scan(struct check *c)
{
	struct check_set *set = c->now;

	c->scanned = c->env.loop->now;
	for (uint32_t i = 0; i < set->npools; i++) {
		struct check_pool *pool = &set->pools[i];

		if (!pool->conf->passive.on || pool->conf->passive.failures == 0) {
			continue;
		}
		for (uint32_t k = 0; k < pool->conf->nservers; k++) {
			look_at(pool->servers[k]);
		}
	}
}

static void on_scan(struct loop_timer *t)
{
	check_passive_scan(CONTAINER_OF(t, struct check, scan));
}

static void on_notify(struct loop_io *io, uint32_t events)
{
	struct check *c = CONTAINER_OF(io, struct check, notify);
	uint64_t now = c->env.loop->now;
	uint64_t n;

	(void)events;
	if (read(io->fd, &n, sizeof(n)) != (ssize_t)sizeof(n) || c->scan.due != 0) {
		return;
	}
	if (now - c->scanned >= SCAN_PAUSE) {
		check_passive_scan(c);
	} else {
		loop_timer_set(c->env.loop, &c->scan, SCAN_PAUSE);
	}
}

void check_passive_listen(struct check *c, const struct role_conf *conf)
{
	if (c->notify.fd >= 0) {
		loop_remove(c->env.loop, &c->notify);
	}
	c->notify.fd = role_conf_fd(conf, ROLE_FD_NOTIFY, 0, 0);
	c->notify.fn = on_notify;
	c->scan.fn = on_scan;
	if (c->notify.fd < 0) {
		return;
	}
	if (loop_add_level(c->env.loop, &c->notify, LOOP_IN, false) != OK) {
		log_warning("passive_deaf", NULL, "cannot watch for passive failures");
		c->notify.fd = -1;
	}
}
