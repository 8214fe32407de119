/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damping in virtual time: a script of events ("ok@2000": a probe succeeds after 2,000 ms) is run
 * against a pool's settings, and the trace of what changed is compared as text. "wait@T" feeds
 * every tick that damp_next asks for until T.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/clock.h"
#include "check/damping.h"

#define BASE 1000000 /* ms: virtual time begins long after 0 */

static uint64_t at_ms(uint64_t ms)
{
	return (BASE + ms) * NS_PER_MS;
}

static struct conf_pool pool_of(uint32_t rise, uint32_t fall)
{
	return (struct conf_pool){
		.check = { .probe = PROBE_TCP, .rise = rise, .fall = fall },
		.passive = { .on = true, .failures = 5, .eject = 10 * NS_PER_S, .max_ejected = 50 },
	};
}

static void trace(struct buf *out, uint64_t ms, const struct damp *d, enum damp_change change)
{
	char reason[DAMP_REASON];

	if (change == DAMP_SAME) {
		return;
	}
	if (change == DAMP_RAMP) {
		buf_printf(out, "%llu ramp %u\n", (unsigned long long)ms, d->ramp);
		return;
	}
	damp_reason(d, reason);
	buf_printf(out, "%llu %s%s", (unsigned long long)ms, change == DAMP_DETAIL ? "(" : "",
	           server_state_name[d->state]);
	if (d->ejected) {
		buf_adds(out, " ejected");
	}
	if (d->ramp != 100) {
		buf_printf(out, " ramp %u", d->ramp);
	}
	buf_printf(out, "%s: %s\n", change == DAMP_DETAIL ? ")" : "", reason);
}

static void wait_until(struct damp *d, const struct conf_pool *pool, uint64_t *now, uint64_t end,
                       struct buf *out)
{
	for (unsigned ticks = 0; ticks < 10000; ticks++) {
		uint64_t next = damp_next(d, pool, at_ms(*now));
		struct damp_event e = { .kind = DAMP_TICK, .now = next };

		if (next == 0 || next > at_ms(end)) {
			break;
		}
		*now = next / NS_PER_MS - BASE;
		trace(out, *now, d, damp_step(d, pool, &e));
	}
	*now = end;
}

static const struct {
	const char *word;
	struct damp_event event;
} words[] = {
	{ "ok", { .kind = DAMP_OK } },
	{ "refused", { .kind = DAMP_FAIL, .why = "connect refused" } },
	{ "503", { .kind = DAMP_FAIL, .why = "HTTP 503" } },
	{ "eject", { .kind = DAMP_EJECT, .why = "connection reset", .failures = 5 } },
	{ "drain", { .kind = DAMP_ORDER, .order = ORDER_DRAIN } },
	{ "disable", { .kind = DAMP_ORDER, .order = ORDER_DISABLE } },
	{ "ready", { .kind = DAMP_ORDER, .order = ORDER_READY } },
	{ "tick", { .kind = DAMP_TICK } },
	{ "rules", { .kind = DAMP_RULES } },
};

static void play(struct damp *d, const struct conf_pool *pool, const char *script, struct buf *out)
{
	char *copy = strdup(script);
	uint64_t now = 0;
	char *save = NULL;

	assert_non_null(copy);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		char *when = strchr(w, '@');
		struct damp_event e;
		bool found = false;
		uint64_t ms;

		assert_non_null(when);
		*when = '\0';
		ms = strtoull(when + 1, NULL, 10);
		if (strcmp(w, "wait") == 0) {
			wait_until(d, pool, &now, ms, out);
			continue;
		}
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]) && !found; i++) {
			found = strcmp(words[i].word, w) == 0;
			e = words[i].event;
		}
		assert_true(found);
		now = ms;
		e.now = at_ms(ms);
		trace(out, now, d, damp_step(d, pool, &e));
	}
	free(copy);
}

static void expect(struct damp *d, const struct conf_pool *pool, const char *script,
                   const char *want)
{
	struct buf out = BUF_INIT;

	play(d, pool, script, &out);
	assert_string_equal(buf_cstr(&out), want);
	buf_free(&out);
}

/* A server unknown at first, in a node that runs (slow start applies) or starts (warm). */
static void run(const struct conf_pool *pool, bool warm, const char *script, const char *want)
{
	struct damp d;

	damp_init(&d, pool, warm);
	expect(&d, pool, script, want);
}

/* --- active checks -------------------------------------------------------------------------- */

static void test_first_success(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	run(&pool, true, "ok@0 ok@2000", "0 up: first check succeeded\n");
}

static void test_first_failure(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	run(&pool, true, "refused@0", "0 down: connect refused (first check)\n");
}

static void test_first_failure_then_rise(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	run(&pool, true, "refused@0 ok@2000 ok@4000",
	    "0 down: connect refused (first check)\n"
	    "4000 up: 2 checks succeeded\n");
}

static void test_fall(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	run(&pool, true, "ok@0 refused@2000 refused@4000 refused@6000",
	    "0 up: first check succeeded\n"
	    "2000 (up): 1 of 3 checks failed (connect refused)\n"
	    "4000 (up): 2 of 3 checks failed (connect refused)\n"
	    "6000 down: connect refused (3 of 3 checks)\n");
}

static void test_fall_interrupted(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	run(&pool, true, "ok@0 503@1 503@2 ok@3 503@4 503@5 ok@6",
	    "0 up: first check succeeded\n"
	    "1 (up): 1 of 3 checks failed (HTTP 503)\n"
	    "2 (up): 2 of 3 checks failed (HTTP 503)\n"
	    "3 (up): checks succeed\n"
	    "4 (up): 1 of 3 checks failed (HTTP 503)\n"
	    "5 (up): 2 of 3 checks failed (HTTP 503)\n"
	    "6 (up): checks succeed\n");
}

static void test_fall_of_one(void **state)
{
	struct conf_pool pool = pool_of(1, 1);

	run(&pool, true, "ok@0 503@1 ok@2",
	    "0 up: first check succeeded\n"
	    "1 down: HTTP 503 (1 of 1 checks)\n"
	    "2 up: 1 check succeeded\n");
}

static void test_rise_interrupted(void **state)
{
	struct conf_pool pool = pool_of(3, 1);

	run(&pool, true, "503@0 ok@1 ok@2 503@3 ok@4 ok@5 ok@6",
	    "0 down: HTTP 503 (first check)\n"
	    "6 up: 3 checks succeeded\n");
}

static void test_last_reason_counts(void **state)
{
	struct conf_pool pool = pool_of(2, 2);

	run(&pool, true, "ok@0 503@1 refused@2",
	    "0 up: first check succeeded\n"
	    "1 (up): 1 of 2 checks failed (HTTP 503)\n"
	    "2 down: connect refused (2 of 2 checks)\n");
}

static void test_reason_changes_while_down(void **state)
{
	struct conf_pool pool = pool_of(2, 2);

	run(&pool, true, "refused@0 refused@1 503@2 503@3 refused@4",
	    "0 down: connect refused (first check)\n"
	    "2 (down): HTTP 503\n"
	    "4 (down): connect refused\n");
}

static void test_flapping_needs_all(void **state)
{
	struct conf_pool pool = pool_of(2, 2);

	run(&pool, true, "ok@0 503@1 ok@2 503@3 ok@4 503@5 503@6 ok@7 503@8 ok@9 ok@10",
	    "0 up: first check succeeded\n"
	    "1 (up): 1 of 2 checks failed (HTTP 503)\n"
	    "2 (up): checks succeed\n"
	    "3 (up): 1 of 2 checks failed (HTTP 503)\n"
	    "4 (up): checks succeed\n"
	    "5 (up): 1 of 2 checks failed (HTTP 503)\n"
	    "6 down: HTTP 503 (2 of 2 checks)\n"
	    "10 up: 2 checks succeeded\n");
}

static void test_no_check(void **state)
{
	struct conf_pool pool = pool_of(2, 3);
	struct damp d;
	char reason[DAMP_REASON];

	pool.check.probe = PROBE_NONE;
	damp_init(&d, &pool, false);
	assert_int_equal(d.state, SERVER_UP);
	damp_reason(&d, reason);
	assert_string_equal(reason, "no check configured");
	assert_int_equal(damp_next(&d, &pool, at_ms(0)), 0);
}

static void test_changing(void **state)
{
	struct conf_pool pool = pool_of(2, 3);
	struct damp_event ok = { .kind = DAMP_OK, .now = at_ms(0) };
	struct damp_event fail = { .kind = DAMP_FAIL, .now = at_ms(1), .why = "x" };
	struct damp d;

	damp_init(&d, &pool, true);
	damp_step(&d, &pool, &ok);
	assert_false(damp_changing(&d));
	damp_step(&d, &pool, &fail);
	assert_true(damp_changing(&d));
	damp_step(&d, &pool, &fail);
	damp_step(&d, &pool, &fail);
	assert_false(damp_changing(&d)); /* it is down */
	damp_step(&d, &pool, &ok);
	assert_true(damp_changing(&d));
}

/* --- slow start ----------------------------------------------------------------------------- */

static void test_slow_start(void **state)
{
	struct conf_pool pool = pool_of(1, 1);

	pool.slow_start = 500 * NS_PER_MS;
	run(&pool, false, "ok@0 wait@2000",
	    "0 up ramp 1: first check succeeded\n"
	    "50 ramp 10\n"
	    "100 ramp 20\n"
	    "150 ramp 30\n"
	    "200 ramp 40\n"
	    "250 ramp 50\n"
	    "300 ramp 60\n"
	    "350 ramp 70\n"
	    "400 ramp 80\n"
	    "450 ramp 90\n"
	    "500 ramp 100\n");
}

static void test_slow_start_not_at_start(void **state)
{
	struct conf_pool pool = pool_of(1, 1);

	pool.slow_start = NS_PER_S;
	run(&pool, true, "ok@0 wait@2000", "0 up: first check succeeded\n");
}

static void test_slow_start_after_down(void **state)
{
	struct conf_pool pool = pool_of(1, 1);

	pool.slow_start = 100 * NS_PER_MS;
	run(&pool, true, "ok@0 503@10 ok@20 wait@1000",
	    "0 up: first check succeeded\n"
	    "10 down: HTTP 503 (1 of 1 checks)\n"
	    "20 up ramp 1: 1 check succeeded\n"
	    "70 ramp 50\n"
	    "120 ramp 100\n");
}

static void test_slow_start_cut_by_down(void **state)
{
	struct conf_pool pool = pool_of(1, 1);

	pool.slow_start = 100 * NS_PER_MS;
	run(&pool, false, "ok@0 wait@60 503@60 wait@500",
	    "0 up ramp 1: first check succeeded\n"
	    "50 ramp 50\n"
	    "60 down: HTTP 503 (1 of 1 checks)\n");
}

static void test_slow_start_after_order(void **state)
{
	struct conf_pool pool = pool_of(1, 1);

	pool.slow_start = 100 * NS_PER_MS;
	run(&pool, true, "ok@0 disable@10 wait@400 ready@500 wait@1000",
	    "0 up: first check succeeded\n"
	    "10 up: disable by order (first check succeeded)\n"
	    "500 up ramp 1: first check succeeded\n"
	    "550 ramp 50\n"
	    "600 ramp 100\n");
}

static void test_slow_start_taken_out(void **state)
{
	struct conf_pool pool = pool_of(1, 1);

	pool.slow_start = 100 * NS_PER_MS;
	run(&pool, false, "ok@0 drain@10 wait@1000",
	    "0 up ramp 1: first check succeeded\n"
	    "10 up: drain by order (first check succeeded)\n");
}

static void test_slow_start_long(void **state)
{
	struct conf_pool pool = pool_of(1, 1);
	struct damp d;
	struct damp_event ok = { .kind = DAMP_OK, .now = at_ms(0) };
	unsigned last = 0, steps = 0;

	pool.slow_start = 60 * NS_PER_S;
	damp_init(&d, &pool, false);
	damp_step(&d, &pool, &ok);
	for (uint64_t now = at_ms(0); now != 0; now = damp_next(&d, &pool, now)) {
		struct damp_event e = { .kind = DAMP_TICK, .now = now };

		damp_step(&d, &pool, &e);
		assert_true(d.ramp >= last);
		assert_true(d.ramp - last <= 2); /* smooth */
		last = d.ramp;
		steps++;
	}
	assert_int_equal(last, 100);
	assert_in_range(steps, 60, 70); /* and no more often than each second */
}

/* --- orders --------------------------------------------------------------------------------- */

static void test_orders(void **state)
{
	struct conf_pool pool = pool_of(1, 1);

	run(&pool, true, "ok@0 drain@1 drain@2 disable@3 ready@4 ready@5",
	    "0 up: first check succeeded\n"
	    "1 up: drain by order (first check succeeded)\n"
	    "3 up: disable by order (first check succeeded)\n"
	    "4 up: first check succeeded\n");
}

static void test_checks_go_on_under_order(void **state)
{
	struct conf_pool pool = pool_of(1, 1);

	run(&pool, true, "drain@0 ok@1 503@2 ready@3 ok@4",
	    "0 starting: drain by order (not checked yet)\n"
	    "1 up: drain by order (first check succeeded)\n"
	    "2 down: drain by order (HTTP 503 (1 of 1 checks))\n"
	    "3 down: HTTP 503 (1 of 1 checks)\n"
	    "4 up: 1 check succeeded\n");
}

/* --- live traffic --------------------------------------------------------------------------- */

static void test_eject(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	run(&pool, true, "ok@0 eject@100 ok@2000 ok@8000 wait@10500 ok@11000",
	    "0 up: first check succeeded\n"
	    "100 down ejected: ejected for 10.0s: 5 consecutive failures (connection reset)\n"
	    "11000 up: check succeeded after an ejection of 10.0s\n");
}

static void test_eject_needs_a_success(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	run(&pool, true, "ok@0 eject@100 wait@20000 503@20000 ok@22000",
	    "0 up: first check succeeded\n"
	    "100 down ejected: ejected for 10.0s: 5 consecutive failures (connection reset)\n"
	    "22000 up: check succeeded after an ejection of 10.0s\n");
}

static void test_eject_confirmed_by_checks(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	run(&pool, true, "ok@0 eject@1 503@2 503@3 503@4 ok@11000 ok@13000",
	    "0 up: first check succeeded\n"
	    "1 down ejected: ejected for 10.0s: 5 consecutive failures (connection reset)\n"
	    "4 down: HTTP 503 (3 of 3 checks)\n"
	    "13000 up: 2 checks succeeded\n");
}

static void test_eject_without_check(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	pool.check.probe = PROBE_NONE;
	run(&pool, true, "eject@100 wait@30000",
	    "100 down ejected: ejected for 10.0s: 5 consecutive failures (connection reset)\n"
	    "10100 up: on trial after an ejection of 10.0s\n");
}

static void test_eject_grows(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	pool.check.probe = PROBE_NONE;
	run(&pool, true, "eject@0 wait@10000 eject@10100 wait@30100 eject@30200 wait@70000",
	    "0 down ejected: ejected for 10.0s: 5 consecutive failures (connection reset)\n"
	    "10000 up: on trial after an ejection of 10.0s\n"
	    "10100 down ejected: ejected for 20.0s: 5 consecutive failures (connection reset)\n"
	    "30100 up: on trial after an ejection of 20.0s\n"
	    "30200 down ejected: ejected for 30.0s: 5 consecutive failures (connection reset)\n"
	    "60200 up: on trial after an ejection of 30.0s\n");
}

static void test_eject_growth_ends(void **state)
{
	struct conf_pool pool = pool_of(2, 3);
	struct damp d;
	uint64_t now = at_ms(0);

	pool.check.probe = PROBE_NONE;
	damp_init(&d, &pool, true);
	for (unsigned i = 1; i <= 15; i++) {
		struct damp_event e = { .kind = DAMP_EJECT, .now = now, .why = "x" };
		unsigned want = i < DAMP_MAX_REPEATS ? i : DAMP_MAX_REPEATS;

		assert_int_equal(damp_step(&d, &pool, &e), DAMP_STATE);
		assert_int_equal(d.eject_until - now, want * pool.passive.eject);
		e = (struct damp_event){ .kind = DAMP_TICK, .now = d.eject_until };
		assert_int_equal(damp_step(&d, &pool, &e), DAMP_STATE);
		now = e.now + NS_PER_S;
	}
}

static void test_eject_forgiven(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	pool.check.probe = PROBE_NONE;
	run(&pool, true, "eject@0 wait@10000 eject@10100 wait@30100 eject@200000",
	    "0 down ejected: ejected for 10.0s: 5 consecutive failures (connection reset)\n"
	    "10000 up: on trial after an ejection of 10.0s\n"
	    "10100 down ejected: ejected for 20.0s: 5 consecutive failures (connection reset)\n"
	    "30100 up: on trial after an ejection of 20.0s\n"
	    "200000 down ejected: ejected for 10.0s: 5 consecutive failures (connection reset)\n");
}

static void test_eject_only_up(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	run(&pool, true, "eject@0 503@1 eject@2", "1 down: HTTP 503 (first check)\n");
}

static void test_eject_off(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	pool.passive.on = false;
	run(&pool, true, "ok@0 eject@2", "0 up: first check succeeded\n");
}

static void test_eject_returns_slowly(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	pool.check.probe = PROBE_NONE;
	pool.slow_start = 100 * NS_PER_MS;
	run(&pool, true, "eject@0 wait@11000",
	    "0 down ejected: ejected for 10.0s: 5 consecutive failures (connection reset)\n"
	    "10000 up ramp 1: on trial after an ejection of 10.0s\n"
	    "10050 ramp 50\n"
	    "10100 ramp 100\n");
}

static void test_may_eject(void **state)
{
	assert_true(damp_may_eject(10, 10, 0, 50));
	assert_true(damp_may_eject(10, 6, 4, 50));
	assert_false(damp_may_eject(10, 5, 5, 50));
	assert_true(damp_may_eject(2, 2, 0, 50));
	assert_false(damp_may_eject(2, 1, 1, 50));
	assert_true(damp_may_eject(2, 2, 0, 10)); /* one, where there are two */
	assert_true(damp_may_eject(3, 3, 0, 10));
	assert_false(damp_may_eject(3, 2, 1, 10));
	assert_false(damp_may_eject(1, 1, 0, 100)); /* never the last */
	assert_false(damp_may_eject(5, 1, 0, 100)); /* … in service */
	assert_true(damp_may_eject(5, 2, 3, 100));
	assert_false(damp_may_eject(5, 5, 0, 0));
}

/* --- restarts and reloads ------------------------------------------------------------------- */

static struct damp restored(const struct conf_pool *pool, union server_word word)
{
	struct damp d;

	damp_restore(&d, pool, word, "as it was", at_ms(0));
	return d;
}

static void test_restore_up(void **state)
{
	struct conf_pool pool = pool_of(2, 3);
	struct damp d = restored(&pool, (union server_word){ .state = SERVER_UP, .ramp = 100 });

	expect(&d, &pool, "503@1 ok@2 503@3 503@4 503@5",
	       "1 (up): 1 of 3 checks failed (HTTP 503)\n"
	       "2 (up): checks succeed\n"
	       "3 (up): 1 of 3 checks failed (HTTP 503)\n"
	       "4 (up): 2 of 3 checks failed (HTTP 503)\n"
	       "5 down: HTTP 503 (3 of 3 checks)\n");
}

static void test_restore_down_needs_rise(void **state)
{
	struct conf_pool pool = pool_of(2, 3);
	struct damp d = restored(&pool, (union server_word){ .state = SERVER_DOWN, .ramp = 100 });

	assert_string_equal(d.why, "as it was");
	expect(&d, &pool, "ok@1 ok@2", "2 up: 2 checks succeeded\n");
}

static void test_restore_ejected(void **state)
{
	struct conf_pool pool = pool_of(2, 3);
	struct damp d =
	    restored(&pool, (union server_word){ .state = SERVER_DOWN, .ejected = 1, .ramp = 100 });

	expect(&d, &pool, "ok@1 ok@9999 ok@10001",
	       "10001 up: check succeeded after an ejection of 10.0s\n");
}

static void test_restore_order(void **state)
{
	struct conf_pool pool = pool_of(2, 3);
	struct damp d =
	    restored(&pool,
	             (union server_word){ .state = SERVER_UP, .order = ORDER_DRAIN, .ramp = 100 });

	expect(&d, &pool, "drain@1 ready@2", "2 up: kept from before a restart of the checks\n");
}

static void test_restore_ramp(void **state)
{
	struct conf_pool pool = pool_of(2, 3);
	struct damp d;

	pool.slow_start = 200 * NS_PER_MS;
	d = restored(&pool, (union server_word){ .state = SERVER_UP, .ramp = 50 });
	expect(&d, &pool, "wait@1000", "50 ramp 75\n100 ramp 100\n");
}

static void test_restore_nothing(void **state)
{
	struct conf_pool pool = pool_of(2, 3);
	struct damp d = restored(&pool, (union server_word){ .word = 0 });

	assert_int_equal(d.state, SERVER_UNPROVED);
	expect(&d, &pool, "ok@1", "1 up: first check succeeded\n");
}

/* The checks that found it down went with a reload in which the role died. */
static void test_restore_without_check(void **state)
{
	struct conf_pool pool = pool_of(2, 3);
	struct damp d;

	pool.check.probe = PROBE_NONE;
	d = restored(&pool, (union server_word){ .state = SERVER_DOWN, .ramp = 100 });
	assert_int_equal(d.state, SERVER_UP);
	assert_string_equal(d.why, "no check configured");
	d = restored(&pool, (union server_word){ .state = SERVER_DOWN, .ejected = 1, .ramp = 100 });
	expect(&d, &pool, "wait@20000", "10000 up: on trial after an ejection of 10.0s\n");
}

static void test_restore_nonsense(void **state)
{
	struct conf_pool pool = pool_of(2, 3);
	struct damp d =
	    restored(&pool, (union server_word){ .state = 77, .order = 99, .ramp = 200 });

	assert_int_equal(d.state, SERVER_UNPROVED);
	assert_int_equal(d.order, ORDER_READY);
	assert_int_equal(d.ramp, 100);
}

static void test_check_removed(void **state)
{
	struct conf_pool pool = pool_of(2, 3);
	struct damp d;

	damp_init(&d, &pool, true);
	expect(&d, &pool, "503@0", "0 down: HTTP 503 (first check)\n");
	pool.check.probe = PROBE_NONE;
	expect(&d, &pool, "rules@5", "5 up: no check configured\n");
}

static void test_passive_removed(void **state)
{
	struct conf_pool pool = pool_of(2, 3);
	struct damp d;

	damp_init(&d, &pool, true);
	expect(&d, &pool, "ok@0 eject@1",
	       "0 up: first check succeeded\n"
	       "1 down ejected: ejected for 10.0s: 5 consecutive failures (connection reset)\n");
	pool.passive.on = false;
	expect(&d, &pool, "rules@5 ok@6", "6 up: check succeeded after an ejection of 10.0s\n");
}

static void test_slow_start_removed(void **state)
{
	struct conf_pool pool = pool_of(2, 3);
	struct damp d;

	pool.slow_start = 60 * NS_PER_S;
	damp_init(&d, &pool, false);
	expect(&d, &pool, "ok@0", "0 up ramp 1: first check succeeded\n");
	pool.slow_start = 0;
	expect(&d, &pool, "rules@5 wait@1000", "5 ramp 100\n");
}

static void test_rules_unchanged(void **state)
{
	struct conf_pool pool = pool_of(2, 3);

	run(&pool, true, "rules@0 ok@1 rules@2 503@3 503@4 503@5 rules@6",
	    "1 up: first check succeeded\n"
	    "3 (up): 1 of 3 checks failed (HTTP 503)\n"
	    "4 (up): 2 of 3 checks failed (HTTP 503)\n"
	    "5 down: HTTP 503 (3 of 3 checks)\n");
}

static void test_long_words_are_cut(void **state)
{
	struct conf_pool pool = pool_of(1, 1);
	char longest[400];
	struct damp_event e = { .kind = DAMP_FAIL, .now = at_ms(0), .why = longest };
	char reason[DAMP_REASON];
	struct damp d;

	memset(longest, 'x', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	damp_init(&d, &pool, true);
	damp_step(&d, &pool, &e);
	e = (struct damp_event){ .kind = DAMP_ORDER, .now = at_ms(1), .order = ORDER_DISABLE };
	damp_step(&d, &pool, &e);
	damp_reason(&d, reason);
	assert_true(strlen(reason) < DAMP_REASON);
	assert_memory_equal(reason, "disable by order (xxx", 21);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_success),
		cmocka_unit_test(test_first_failure),
		cmocka_unit_test(test_first_failure_then_rise),
		cmocka_unit_test(test_fall),
		cmocka_unit_test(test_fall_interrupted),
		cmocka_unit_test(test_fall_of_one),
		cmocka_unit_test(test_rise_interrupted),
		cmocka_unit_test(test_last_reason_counts),
		cmocka_unit_test(test_reason_changes_while_down),
		cmocka_unit_test(test_flapping_needs_all),
		cmocka_unit_test(test_no_check),
		cmocka_unit_test(test_changing),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_slow_start_not_at_start),
		cmocka_unit_test(test_slow_start_after_down),
		cmocka_unit_test(test_slow_start_cut_by_down),
		cmocka_unit_test(test_slow_start_after_order),
		cmocka_unit_test(test_slow_start_taken_out),
		cmocka_unit_test(test_slow_start_long),
		cmocka_unit_test(test_orders),
		cmocka_unit_test(test_checks_go_on_under_order),
		cmocka_unit_test(test_eject),
		cmocka_unit_test(test_eject_needs_a_success),
		cmocka_unit_test(test_eject_confirmed_by_checks),
		cmocka_unit_test(test_eject_without_check),
		cmocka_unit_test(test_eject_grows),
		cmocka_unit_test(test_eject_growth_ends),
		cmocka_unit_test(test_eject_forgiven),
		cmocka_unit_test(test_eject_only_up),
		cmocka_unit_test(test_eject_off),
		cmocka_unit_test(test_eject_returns_slowly),
		cmocka_unit_test(test_may_eject),
		cmocka_unit_test(test_restore_up),
		cmocka_unit_test(test_restore_down_needs_rise),
		cmocka_unit_test(test_restore_ejected),
		cmocka_unit_test(test_restore_order),
		cmocka_unit_test(test_restore_ramp),
		cmocka_unit_test(test_restore_nothing),
		cmocka_unit_test(test_restore_without_check),
		cmocka_unit_test(test_restore_nonsense),
		cmocka_unit_test(test_check_removed),
		cmocka_unit_test(test_passive_removed),
		cmocka_unit_test(test_slow_start_removed),
		cmocka_unit_test(test_rules_unchanged),
		cmocka_unit_test(test_long_words_are_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
