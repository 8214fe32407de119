/* SPDX-License-Identifier: Apache-2.0 */
/* What a drill measures: gaps, failures, outage, split brain, streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "cli/command.h"
#include "drill/drill.h"

const struct cli_command *const cli_commands[] = { NULL };

#define MS      NS_PER_MS
#define SAMPLES 2000

static struct drill_sample s[SAMPLES];
static size_t n;
static struct drill_measure m;
static const struct drill_window window = {
	.begin_ns = 1000 * MS,
	.fault_ns = 2000 * MS,
	.mend_ns = 4000 * MS,
	.well_ns = 4500 * MS,
	.end_ns = 6000 * MS,
};

static struct drill_sample *add(uint64_t due_ms, uint64_t end_ms, unsigned status)
{
	assert_true(n < SAMPLES);
	s[n] = (struct drill_sample){ .due_ns = due_ms * MS,
		                      .end_ns = end_ms * MS,
		                      .status = (uint16_t)status,
		                      .kind = DRILL_NEW };
	return &s[n++];
}

/* One good answer each 5 ms, but for what is due from a to b. */
static void steady(uint64_t a, uint64_t b)
{
	n = 0;
	for (uint64_t t = 1000; t < 6000; t += 5) {
		if (t < a || t >= b)
			add(t, t + 1, 200);
	}
}

static void measure(void)
{
	drill_measure(s, n, NULL, 0, &window, &m);
}

static void test_nothing_happens(void **state)
{
	(void)state;
	steady(0, 0);
	measure();
	assert_int_equal(m.requests, 800);
	assert_int_equal(m.failed, 0);
	assert_int_equal(m.gap_ns, 5 * MS);
	assert_int_equal(m.quiet_gap_ns, 5 * MS);
	assert_int_equal(m.outage_ns, 0);
	assert_int_equal(m.p50_ns, MS);
	assert_int_equal(m.max_ns, MS);
	assert_int_equal(m.recovery_ns, 500 * MS);
	assert_false(m.watched_streams);
}

static void test_gap_is_by_completion(void **state)
{
	(void)state;
	steady(2000, 2150);
	/* What was due in the gap is answered late: it is no failure, and the gap is not shorter.
	 */
	for (uint64_t t = 2000; t < 2150; t += 5)
		add(t, t + 1000, 200);
	measure();
	assert_int_equal(m.failed, 0);
	assert_int_equal(m.gap_ns, 151 * MS); /* from the fault to the answer at 2151 */
	assert_int_equal(m.gap_at_ns, 2000 * MS);
	assert_int_equal(m.max_ns, 1000 * MS);
	assert_int_equal(m.outage_ns, 0);
}

static void test_gap_counts_from_the_fault(void **state)
{
	(void)state;
	steady(1500, 2100);
	measure();
	assert_int_equal(m.gap_ns, 101 * MS);
}

static void test_gap_to_the_end(void **state)
{
	(void)state;
	steady(5000, 9000);
	measure();
	assert_int_equal(m.gap_ns, 6000 * MS - 4996 * MS);
}

static void test_kept_connections_do_not_close_a_gap(void **state)
{
	(void)state;
	steady(3000, 3400);
	for (uint64_t t = 3000; t < 3400; t += 5)
		add(t, t + 1, 200)->kind = DRILL_KEPT;
	measure();
	assert_int_equal(m.gap_ns, 405 * MS);
	assert_int_equal(m.requests, 800);
}

static void test_failures(void **state)
{
	struct drill_sample *x;

	(void)state;
	steady(2000, 2100);
	x = add(2000, 4000, 0);
	x->error = DRILL_TIMEOUT;
	x = add(2050, 2051, 0);
	x->error = DRILL_REFUSED;
	add(2090, 2092, 502);
	x = add(1200, 1300, 0); /* before the fault */
	x->error = DRILL_RESET;
	x = add(1990, 2010, 0); /* begun before, lost by it */
	x->error = DRILL_RESET;
	measure();
	assert_int_equal(m.failed, 4);
	/* The last that failed was due at 2090; the next good one ended at 2101. */
	assert_int_equal(m.outage_ns, 101 * MS);
	assert_int_equal(m.refused, 1);
	assert_int_equal(m.failed_before, 1);
	assert_int_equal(m.failed_after, 0); /* it was taken back at 4000 */
	add(4000, 4010, 0)->error = DRILL_RESET;
	measure();
	assert_int_equal(m.failed_after, 1);
}

static void test_outage_that_never_ends(void **state)
{
	(void)state;
	steady(2000, 9000);
	add(5990, 5995, 0)->error = DRILL_REFUSED;
	measure();
	assert_int_equal(m.outage_ns, 4000 * MS);
	assert_int_equal(m.gap_ns, 4000 * MS);
}

static void test_an_error_may_be_the_answer(void **state)
{
	struct drill_window w = window;

	(void)state;
	steady(2000, 3000);
	for (uint64_t t = 2000; t < 3000; t += 5)
		add(t, t + 1, 503);
	measure();
	assert_int_equal(m.failed, 200);
	w.expected_status = 503;
	drill_measure(s, n, NULL, 0, &w, &m);
	assert_int_equal(m.failed, 0);
	assert_int_equal(m.gap_ns, 5 * MS);
}

static void test_recovery(void **state)
{
	struct drill_window w = window;

	(void)state;
	steady(0, 0);
	w.mend_ns = 0; /* it heals by itself */
	drill_measure(s, n, NULL, 0, &w, &m);
	assert_int_equal(m.recovery_ns, 2500 * MS);
	w.well_ns = 0;
	drill_measure(s, n, NULL, 0, &w, &m);
	assert_true(m.recovery_ns == UINT64_MAX);
}

static void test_no_samples(void **state)
{
	(void)state;
	n = 0;
	measure();
	assert_int_equal(m.requests, 0);
	assert_int_equal(m.gap_ns, 4000 * MS);
	assert_int_equal(m.quiet_gap_ns, 0);
}

/* --- split brain ---------------------------------------------------------------------------- */

static struct drill_event event(uint64_t at_ms, unsigned node, unsigned vip, bool held)
{
	return (struct drill_event){ at_ms * MS, (uint16_t)node, (uint16_t)vip, held };
}

static void test_split(void **state)
{
	const struct drill_event e[] = {
		event(500, 0, 0, true),   /* long before */
		event(1500, 1, 0, true),  /* two hold it before the fault already */
		event(2100, 0, 0, false), /* 100 ms of it after */
		event(3900, 0, 0, true),  event(4050, 1, 0, false), /* 150 ms, 50 after mending */
		event(4100, 1, 1, true),                            /* another address: no split */
	};

	(void)state;
	steady(0, 0);
	drill_measure(s, n, e, ARRAY_LEN(e), &window, &m);
	assert_int_equal(m.split_ns, 250 * MS);
	assert_int_equal(m.split_after_ns, 50 * MS);
}

static void test_split_to_the_end_and_strange_events(void **state)
{
	const struct drill_event e[] = {
		event(100, 0, 0, true),   event(5000, 1, 0, true),  event(5500, 64, 0, true),
		event(5500, 0, 64, true), event(9000, 1, 0, false),
	};

	(void)state;
	steady(0, 0);
	drill_measure(s, n, e, ARRAY_LEN(e), &window, &m);
	assert_int_equal(m.split_ns, 1000 * MS);
}

/* --- streams -------------------------------------------------------------------------------- */

static void test_streams(void **state)
{
	struct drill_sample *download, *echo;

	(void)state;
	steady(0, 0);
	download = add(1000, 5000, 200);
	download->kind = DRILL_DOWNLOAD;
	echo = add(1100, 1101, 101);
	echo->kind = DRILL_WEBSOCKET;
	add(6000, 6001, 101)->kind = DRILL_WEBSOCKET;
	measure();
	assert_int_equal(m.requests, 800); /* they are no requests */
	assert_true(m.watched_streams && m.download_intact && m.websocket_intact);
	assert_int_equal(m.echoes, 2);
	echo->error = DRILL_RESET;
	measure();
	assert_true(m.download_intact && !m.websocket_intact);
	download->error = DRILL_BAD;
	measure();
	assert_false(m.download_intact);
}

static void test_a_websocket_without_an_echo_proves_nothing(void **state)
{
	struct drill_sample *x;

	(void)state;
	steady(0, 0);
	x = add(1000, 6000, 101);
	x->kind = DRILL_WEBSOCKET;
	x->running = true;
	measure();
	assert_true(m.watched_streams);
	assert_false(m.websocket_intact);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_happens),
		cmocka_unit_test(test_gap_is_by_completion),
		cmocka_unit_test(test_gap_counts_from_the_fault),
		cmocka_unit_test(test_gap_to_the_end),
		cmocka_unit_test(test_kept_connections_do_not_close_a_gap),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_outage_that_never_ends),
		cmocka_unit_test(test_an_error_may_be_the_answer),
		cmocka_unit_test(test_recovery),
		cmocka_unit_test(test_no_samples),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_split_to_the_end_and_strange_events),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_a_websocket_without_an_echo_proves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
