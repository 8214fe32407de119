/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damping, as a step function. rise and fall count consecutive probes against the present state;
 * the first probe alone decides about a server of which nothing is known. An ejected server is down
 * for a time that grows with repeats; then one successful probe, or without a check a trial, brings
 * it back. Every entry into service after an absence begins with the slow start, if there is one.
 */
#include "check/damping.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"

#define RAMP_STEPS    20
#define RAMP_STEP_MIN (50 * NS_PER_MS)
#define RAMP_STEP_MAX NS_PER_S

static bool has_check(const struct conf_pool *pool)
{
	return pool->check.probe != PROBE_NONE;
}

static void set_why(struct damp *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void set_why(struct damp *d, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(d->why, sizeof(d->why), fmt, ap);
	va_end(ap);
}

static void ramp_begin(struct damp *d, const struct conf_pool *pool, uint64_t now)
{
	if (pool->slow_start == 0 || d->order != ORDER_READY) {
		d->ramp = 100;
		d->ramp_from = 0;
		return;
	}
	d->ramp = 1;
	d->ramp_from = now;
}

static void ramp_end(struct damp *d)
{
	d->ramp = 100;
	d->ramp_from = 0;
}

static void go_up(struct damp *d, const struct conf_pool *pool, uint64_t now)
{
	if (d->ejected) {
		d->returned = now;
	}
	d->state = SERVER_UP;
	d->ejected = false;
	d->streak = 0;
	if (d->warm) {
		ramp_end(d);
	} else {
		ramp_begin(d, pool, now);
	}
	d->warm = false;
}

static void go_down(struct damp *d)
{
	d->state = SERVER_DOWN;
	d->streak = 0;
	d->warm = false;
	ramp_end(d);
}

void damp_init(struct damp *d, const struct conf_pool *pool, bool warm)
{
	*d = (struct damp){ .state = SERVER_UNPROVED, .ramp = 100, .warm = warm };
	set_why(d, "not checked yet");
	if (!has_check(pool)) {
		d->state = SERVER_UP;
		set_why(d, "no check configured");
	}
}

void damp_restore(struct damp *d, const struct conf_pool *pool, union server_word word,
                  const char *reason, uint64_t now)
{
	damp_init(d, pool, true);
	d->order = word.order < ORDER_COUNT ? word.order : ORDER_READY;
	if (word.state == SERVER_UNPROVED || word.state >= SERVER_STATES) {
		return;
	}
	if (word.state == SERVER_DOWN && word.ejected == 0 && !has_check(pool)) {
		return; /* down by checks that are no more */
	}
	d->state = word.state;
	d->warm = false;
	if (d->order == ORDER_READY && reason[0] != '\0') {
		set_why(d, "%s", reason);
	} else {
		set_why(d, "kept from before a restart of the checks");
	}
	if (word.ejected != 0 && word.state == SERVER_DOWN) {
		d->ejected = true;
		d->repeats = 1;
		d->eject_span = pool->passive.eject;
		d->eject_until = now + pool->passive.eject;
	}
	if (word.state == SERVER_UP && word.ramp >= 1 && word.ramp < 100 && pool->slow_start != 0) {
		uint64_t gone = pool->slow_start / 100 * word.ramp;

		d->ramp = word.ramp;
		d->ramp_from = now > gone ? now - gone : 1;
	}
}

static enum damp_change step_ok(struct damp *d, const struct conf_pool *pool, uint64_t now)
{
	char span[32];

	switch (d->state) {
	case SERVER_UNPROVED:
		set_why(d, "first check succeeded");
		go_up(d, pool, now);
		return DAMP_STATE;
	case SERVER_UP:
		if (d->streak == 0) {
			return DAMP_SAME;
		}
		d->streak = 0;
		set_why(d, "checks succeed");
		return DAMP_DETAIL;
	default:
		break;
	}
	if (d->ejected) {
		d->streak = 0;
		if (now < d->eject_until) {
			return DAMP_SAME;
		}
		clock_format_span(d->eject_span, span);
		set_why(d, "check succeeded after an ejection of %s", span);
		go_up(d, pool, now);
		return DAMP_STATE;
	}
	if (++d->streak < pool->check.rise) {
		return DAMP_SAME;
	}
	set_why(d, "%u check%s succeeded", d->streak, d->streak == 1 ? "" : "s");
	go_up(d, pool, now);
	return DAMP_STATE;
}

static enum damp_change step_fail(struct damp *d, const struct conf_pool *pool, const char *why)
{
	uint32_t fall = pool->check.fall;

	switch (d->state) {
	case SERVER_UNPROVED:
		set_why(d, "%s (first check)", why);
		go_down(d);
		return DAMP_STATE;
	case SERVER_UP:
		if (++d->streak < fall) {
			set_why(d, "%u of %u checks failed (%s)", d->streak, fall, why);
			return DAMP_DETAIL;
		}
		set_why(d, "%s (%u of %u checks)", why, d->streak, fall);
		go_down(d);
		return DAMP_STATE;
	default:
		break;
	}
	if (d->ejected) {
		if (++d->streak < fall) {
			return DAMP_SAME;
		}
		/* The checks agree with live traffic: from now on they alone bring it back. */
		set_why(d, "%s (%u of %u checks)", why, d->streak, fall);
		d->ejected = false;
		go_down(d);
		return DAMP_STATE;
	}
	d->streak = 0;
	if (strncmp(d->why, why, strlen(why)) == 0) {
		return DAMP_SAME;
	}
	set_why(d, "%s", why);
	return DAMP_DETAIL;
}

static enum damp_change step_eject(struct damp *d, const struct conf_pool *pool,
                                   const struct damp_event *e)
{
	uint64_t base = pool->passive.eject;
	char span[32];

	if (d->state != SERVER_UP || !pool->passive.on) {
		return DAMP_SAME;
	}
	if (d->returned != 0 && e->now - d->returned > DAMP_MAX_REPEATS * base) {
		d->repeats = 0; /* it was well for long enough */
	}
	d->repeats = MIN(d->repeats + 1, DAMP_MAX_REPEATS);
	d->eject_span = base * d->repeats;
	d->eject_until = e->now + d->eject_span;
	clock_format_span(d->eject_span, span);
	set_why(d, "ejected for %s: %u consecutive failures (%s)", span, e->failures, e->why);
	go_down(d);
	d->ejected = true;
	return DAMP_STATE;
}

static enum damp_change step_order(struct damp *d, const struct conf_pool *pool,
                                   const struct damp_event *e)
{
	if (d->order == e->order) {
		return DAMP_SAME;
	}
	d->order = (uint8_t)e->order;
	if (d->state == SERVER_UP) {
		ramp_begin(d, pool, e->now);
	}
	return DAMP_STATE;
}

static enum damp_change step_ramp(struct damp *d, const struct conf_pool *pool, uint64_t now)
{
	uint64_t gone = now - d->ramp_from;
	uint8_t ramp;

	if (gone >= pool->slow_start) {
		ramp_end(d);
		return DAMP_RAMP;
	}
	ramp = (uint8_t)(1 + gone * 99 / pool->slow_start);
	if (ramp == d->ramp) {
		return DAMP_SAME;
	}
	d->ramp = ramp;
	return DAMP_RAMP;
}

static enum damp_change step_tick(struct damp *d, const struct conf_pool *pool, uint64_t now)
{
	char span[32];

	if (d->ejected && now >= d->eject_until && !has_check(pool)) {
		clock_format_span(d->eject_span, span);
		set_why(d, "on trial after an ejection of %s", span);
		go_up(d, pool, now);
		return DAMP_STATE;
	}
	return d->ramp_from != 0 ? step_ramp(d, pool, now) : DAMP_SAME;
}

static enum damp_change step_rules(struct damp *d, const struct conf_pool *pool, uint64_t now)
{
	if (d->ejected && !pool->passive.on) {
		d->eject_until = now;
		if (!has_check(pool)) {
			set_why(d, "no check configured");
			go_up(d, pool, now);
			return DAMP_STATE;
		}
		return DAMP_SAME;
	}
	if (!has_check(pool) && d->state != SERVER_UP && !d->ejected) {
		set_why(d, "no check configured");
		go_up(d, pool, now);
		return DAMP_STATE;
	}
	return d->ramp_from != 0 ? step_ramp(d, pool, now) : DAMP_SAME;
}

enum damp_change damp_step(struct damp *d, const struct conf_pool *pool, const struct damp_event *e)
{
	switch (e->kind) {
	case DAMP_OK:
		return step_ok(d, pool, e->now);
	case DAMP_FAIL:
		return step_fail(d, pool, e->why);
	case DAMP_EJECT:
		return step_eject(d, pool, e);
	case DAMP_ORDER:
		return step_order(d, pool, e);
	case DAMP_TICK:
		return step_tick(d, pool, e->now);
	case DAMP_RULES:
		return step_rules(d, pool, e->now);
	}
	return DAMP_SAME;
}

uint64_t damp_next(const struct damp *d, const struct conf_pool *pool, uint64_t now)
{
	uint64_t step, end;

	if (d->ejected) {
		return d->eject_until > now ? d->eject_until : 0;
	}
	if (d->ramp_from == 0) {
		return 0;
	}
	step = pool->slow_start / RAMP_STEPS;
	step = MIN(MAX(step, RAMP_STEP_MIN), RAMP_STEP_MAX);
	end = d->ramp_from + pool->slow_start;
	return end > now ? MIN(now + step, end) : now + 1;
}

bool damp_changing(const struct damp *d)
{
	return d->streak != 0;
}

void damp_reason(const struct damp *d, char out[DAMP_REASON])
{
	if (d->order == ORDER_READY) {
		memcpy(out, d->why, DAMP_REASON);
		return;
	}
	(void)snprintf(out, DAMP_REASON, "%.12s by order (%.70s)", server_order_name[d->order],
	               d->why);
}

union server_word damp_word(const struct damp *d)
{
	return (union server_word){
		.state = d->state,
		.order = d->order,
		.ejected = d->ejected ? 1 : 0,
		.ramp = d->ramp,
	};
}

bool damp_may_eject(uint32_t servers, uint32_t in_service, uint32_t ejected, uint32_t max_percent)
{
	uint32_t allowed = (uint32_t)((uint64_t)servers * max_percent / 100);

	if (allowed == 0 && servers >= 2 && max_percent != 0) {
		allowed = 1;
	}
	return in_service >= 2 && ejected < allowed;
}
