/* SPDX-License-Identifier: Apache-2.0 */
/* When a role that ended is started again: virtual time. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/backoff.h"

#define MS NS_PER_MS

static void one_that_lived_is_started_at_once(void **state)
{
	struct backoff b = { 0 };

	(void)state;
	for (int i = 0; i < 100; i++)
		assert_int_equal(backoff_died(&b, 5 * NS_PER_S), 0);
	assert_false(backoff_crash_loop(&b));
}

static void the_first_early_death_costs_nothing(void **state)
{
	struct backoff b = { 0 };

	(void)state;
	assert_int_equal(backoff_died(&b, 10 * MS), 0);
	assert_int_equal(backoff_died(&b, 10 * MS), 100 * MS);
}

static void waits_double_up_to_ten_seconds(void **state)
{
	static const uint64_t want[] = { 0, 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };
	struct backoff b = { 0 };

	(void)state;
	for (unsigned i = 0; i < sizeof(want) / sizeof(want[0]); i++)
		assert_int_equal(backoff_died(&b, 0), want[i] * MS);
	for (unsigned i = 0; i < 1000; i++)
		assert_int_equal(backoff_died(&b, 0), BACKOFF_MAX);
}

static void a_long_life_forgets_all(void **state)
{
	struct backoff b = { 0 };

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		backoff_died(&b, 999 * MS);
	assert_true(backoff_crash_loop(&b));
	assert_int_equal(backoff_died(&b, 1000 * MS), 0);
	assert_false(backoff_crash_loop(&b));
	assert_int_equal(backoff_died(&b, 0), 0);
	assert_int_equal(backoff_died(&b, 0), 100 * MS);
}

static void five_early_deaths_are_a_crash_loop(void **state)
{
	struct backoff b = { 0 };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		backoff_died(&b, 0);
		assert_false(backoff_crash_loop(&b));
	}
	backoff_died(&b, 0);
	assert_true(backoff_crash_loop(&b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_that_lived_is_started_at_once),
		cmocka_unit_test(the_first_early_death_costs_nothing),
		cmocka_unit_test(waits_double_up_to_ten_seconds),
		cmocka_unit_test(a_long_life_forgets_all),
		cmocka_unit_test(five_early_deaths_are_a_crash_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
