/* SPDX-License-Identifier: Apache-2.0 */
/* When probes start: spread, jitter, intervals by state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "check/schedule.h"

static const struct conf_check check = {
	.probe = PROBE_TCP,
	.interval = 2 * NS_PER_S,
	.fast_interval = 500 * NS_PER_MS,
	.down_interval = 10 * NS_PER_S,
	.rise = 2,
	.fall = 3,
	.jitter = 10,
};

static void test_first_at_once(void **state)
{
	assert_int_equal(schedule_first(&check, 0, false, 12345), 0);
	assert_in_range(schedule_first(&check, 9999, false, 12345), 100 * NS_PER_MS, NS_PER_S);
}

static void test_first_of_known_is_spread(void **state)
{
	assert_int_equal(schedule_first(&check, 7, true, 0), 0);
	assert_in_range(schedule_first(&check, 7, true, UINT64_MAX / 2), 990 * NS_PER_MS,
	                1010 * NS_PER_MS);
	assert_in_range(schedule_first(&check, 7, true, UINT64_MAX), 1990 * NS_PER_MS,
	                2 * NS_PER_S);
}

static void test_jitter_bounds(void **state)
{
	struct damp d = { .state = SERVER_UP };

	assert_int_equal(schedule_next(&check, &d, false, 0), 1800 * NS_PER_MS);
	assert_in_range(schedule_next(&check, &d, false, UINT64_MAX), 2199 * NS_PER_MS,
	                2200 * NS_PER_MS);
}

static void test_no_jitter(void **state)
{
	struct conf_check exact = check;
	struct damp d = { .state = SERVER_UP };

	exact.jitter = 0;
	assert_int_equal(schedule_next(&exact, &d, false, UINT64_MAX), 2 * NS_PER_S);
	assert_int_equal(schedule_next(&exact, &d, false, 0), 2 * NS_PER_S);
}

static void test_fast_while_changing(void **state)
{
	struct damp failing = { .state = SERVER_UP, .streak = 1 };
	struct damp rising = { .state = SERVER_DOWN, .streak = 1 };

	assert_int_equal(schedule_next(&check, &failing, false, 0), 450 * NS_PER_MS);
	assert_int_equal(schedule_next(&check, &rising, false, 0), 450 * NS_PER_MS);
}

static void test_down_interval(void **state)
{
	struct damp down = { .state = SERVER_DOWN };
	struct damp ejected = { .state = SERVER_DOWN, .ejected = true };

	assert_int_equal(schedule_next(&check, &down, false, 0), 9 * NS_PER_S);
	assert_int_equal(schedule_next(&check, &ejected, false, 0), 1800 * NS_PER_MS);
}

static void test_plain_interval_without_the_others(void **state)
{
	struct conf_check plain = { .interval = NS_PER_S };
	struct damp failing = { .state = SERVER_UP, .streak = 1 };
	struct damp down = { .state = SERVER_DOWN };

	assert_int_equal(schedule_next(&plain, &failing, false, 7), NS_PER_S);
	assert_int_equal(schedule_next(&plain, &down, false, 7), NS_PER_S);
}

/* What started together does not stay together: each tenth of the interval gets its share. */
static void test_second_probes_are_spread(void **state)
{
	struct damp d = { .state = SERVER_UP };
	unsigned tenth[11] = { 0 };

	for (unsigned i = 0; i < 10000; i++) {
		uint64_t ns = schedule_next(&check, &d, true, random_u64());

		assert_in_range(ns, 1, 2 * NS_PER_S + NS_PER_MS);
		tenth[ns / (200 * NS_PER_MS)]++;
	}
	for (unsigned i = 0; i < 10; i++) {
		assert_in_range(tenth[i], 700, 1300);
	}
}

static void test_never_zero(void **state)
{
	struct conf_check tiny = { .interval = 1, .jitter = 100 };
	struct damp d = { .state = SERVER_UP };

	assert_true(schedule_next(&tiny, &d, false, 0) >= NS_PER_MS);
	assert_true(schedule_next(&tiny, &d, true, 0) >= NS_PER_MS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_first_at_once),
		cmocka_unit_test(test_first_of_known_is_spread),
		cmocka_unit_test(test_jitter_bounds),
		cmocka_unit_test(test_no_jitter),
		cmocka_unit_test(test_fast_while_changing),
		cmocka_unit_test(test_down_interval),
		cmocka_unit_test(test_plain_interval_without_the_others),
		cmocka_unit_test(test_second_probes_are_spread),
		cmocka_unit_test(test_never_zero),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
