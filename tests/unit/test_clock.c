/* SPDX-License-Identifier: Apache-2.0 */
/* Times and durations as text; random numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"

struct span {
	uint64_t ns;
	const char *text;
};

static void test_mono(void **state)
{
	uint64_t a = clock_mono(), b = clock_mono();

	(void)state;
	assert_true(b >= a);
	assert_true(a > 0);
}

static void test_wall(void **state)
{
	(void)state;
	assert_true(clock_wall_ms() > 1600000000000ULL);
}

static void test_utc(void **state)
{
	char out[32];

	(void)state;
	clock_format_utc(0, out);
	assert_string_equal(out, "1970-01-01T00:00:00.000Z");
	clock_format_utc(1795253400123ULL, out);
	assert_string_equal(out, "2026-11-21T09:30:00.123Z");
	clock_format_utc(951782400007ULL, out);
	assert_string_equal(out, "2000-02-29T00:00:00.007Z");
	clock_format_utc(UINT64_MAX, out);
	assert_string_equal(out, "9999-12-31T23:59:59.999Z");
}

static void test_span(void **state)
{
	static const struct span cases[] = {
		{ 0, "0ms" },
		{ 1, "1us" },
		{ 850 * NS_PER_US, "850us" },
		{ 350 * NS_PER_MS, "350ms" },
		{ NS_PER_S - 1, "999ms" },
		{ 2 * NS_PER_S, "2.0s" },
		{ 2 * NS_PER_S + 599 * NS_PER_MS, "2.5s" },
		{ 60 * NS_PER_S - 1, "59.9s" },
		{ 60 * NS_PER_S, "1m00s" },
		{ 252 * NS_PER_S, "4m12s" },
		{ 3 * 3600 * NS_PER_S + 300 * NS_PER_S, "3h05m" },
		{ 52 * 3600 * NS_PER_S, "2d4h" },
		{ UINT64_MAX, "213503d23h" },
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		clock_format_span(cases[i].ns, out);
		assert_string_equal(out, cases[i].text);
	}
}

static void test_conf(void **state)
{
	static const struct span cases[] = {
		{ 0, "0s" },
		{ 40 * NS_PER_MS, "40ms" },
		{ 2 * NS_PER_S, "2s" },
		{ 1500 * NS_PER_MS, "1500ms" },
		{ 300 * NS_PER_S, "5m" },
		{ 90 * NS_PER_S, "90s" },
		{ 7200 * NS_PER_S, "2h" },
		{ 86400 * NS_PER_S, "1d" },
		{ 5 * NS_PER_US, "5us" },
		{ 1, "1ns" },
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		clock_format_conf(cases[i].ns, out);
		assert_string_equal(out, cases[i].text);
	}
}

static void test_random(void **state)
{
	uint64_t ones = 0, zeros = 0;

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		uint64_t x = random_u64();

		ones |= x;
		zeros |= ~x;
	}
	assert_true(ones == UINT64_MAX && zeros == UINT64_MAX);
	assert_true(random_u64() != random_u64());
}

static void test_random_below(void **state)
{
	unsigned seen[7] = { 0 };

	(void)state;
	for (unsigned i = 0; i < 7000; i++) {
		uint64_t x = random_below(7);

		assert_true(x < 7);
		seen[x]++;
	}
	for (unsigned i = 0; i < 7; i++) { /* 1000 expected; 700 is ten standard deviations off */
		assert_true(seen[i] > 700 && seen[i] < 1300);
	}
	assert_int_equal(random_below(1), 0);
	for (unsigned i = 0; i < 100; i++) {
		assert_true(random_below(UINT64_MAX / 2 + 2) < UINT64_MAX / 2 + 2);
	}
}

static void test_secret(void **state)
{
	unsigned char a[64] = { 0 }, b[64] = { 0 };

	(void)state;
	random_secret(a, sizeof(a));
	random_secret(b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
	random_secret(a, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_mono),         cmocka_unit_test(test_wall),
		cmocka_unit_test(test_utc),          cmocka_unit_test(test_span),
		cmocka_unit_test(test_conf),         cmocka_unit_test(test_random),
		cmocka_unit_test(test_random_below), cmocka_unit_test(test_secret),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
