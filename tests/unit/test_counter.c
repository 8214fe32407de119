/* SPDX-License-Identifier: Apache-2.0 */
/* Counters: buckets, codes in a crowded table, sums, quantiles; words of failures. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "stat/board.h"
#include "stat/fail.h"

static uint64_t code(const struct stat_block *b, enum stat_method method, unsigned status)
{
	for (unsigned i = 0; i < STAT_CODES; i++) {
		if (b->codes[i] >> 48 == ((uint64_t)method << 12 | status)) {
			return b->codes[i] & ((1ULL << 48) - 1);
		}
	}
	return 0;
}

static uint64_t all_codes(const struct stat_block *b)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < STAT_CODES; i++) {
		n += b->codes[i] & ((1ULL << 48) - 1);
	}
	return n;
}

static void test_bounds(void **state)
{
	(void)state;
	assert_int_equal(stat_bucket_us[0], 1000);
	assert_int_equal(stat_bucket_us[STAT_BUCKETS - 1], 10000000);
	for (unsigned i = 1; i < STAT_BUCKETS; i++) {
		assert_true(stat_bucket_us[i] > stat_bucket_us[i - 1]);
	}
}

static void test_bucket(void **state)
{
	(void)state;
	assert_int_equal(stat_bucket(0), 0);
	for (unsigned i = 0; i < STAT_BUCKETS; i++) { /* a bound belongs to its bucket: "le" */
		assert_int_equal(stat_bucket(stat_bucket_us[i]), i);
		assert_int_equal(stat_bucket(stat_bucket_us[i] + 1), i + 1);
	}
	assert_int_equal(stat_bucket(UINT64_MAX), STAT_BUCKETS);
}

static void test_request(void **state)
{
	struct stat_block b = { 0 };

	(void)state;
	stat_request(&b, STAT_GET, 200, 1500 * NS_PER_US);
	stat_request(&b, STAT_GET, 200, 500 * NS_PER_US);
	stat_request(&b, STAT_POST, 200, 20 * NS_PER_S);
	stat_request(&b, STAT_GET, 503, NS_PER_MS + 1);
	assert_int_equal(code(&b, STAT_GET, 200), 2);
	assert_int_equal(code(&b, STAT_POST, 200), 1);
	assert_int_equal(code(&b, STAT_GET, 503), 1);
	assert_int_equal(b.latency[0], 1);
	assert_int_equal(b.latency[1], 2); /* 1 ms and 1 ns is more than 1 ms */
	assert_int_equal(b.latency[STAT_BUCKETS], 1);
	assert_int_equal(b.latency_sum_us, 1500 + 500 + 20000000 + 1000);
}

static void test_request_odd_status(void **state)
{
	struct stat_block b = { 0 };

	(void)state;
	stat_request(&b, STAT_GET, 0, 0);
	stat_request(&b, STAT_GET, 99, 0);
	stat_request(&b, STAT_GET, 1000, 0);
	stat_request(&b, STAT_GET, 100, 0);
	stat_request(&b, STAT_GET, 999, 0);
	assert_int_equal(code(&b, STAT_GET, 999), 4);
	assert_int_equal(code(&b, STAT_GET, 100), 1);
}

/* A server that answers with every code there is: none is lost, each keeps its class. */
static void test_crowded(void **state)
{
	struct stat_block b = { 0 };
	uint64_t classes[10] = { 0 };

	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned method = 0; method < STAT_METHODS; method++) {
			for (unsigned status = 100; status <= 999; status++) {
				stat_request(&b, (enum stat_method)method, status, 0);
			}
		}
	}
	assert_int_equal(all_codes(&b), 2 * STAT_METHODS * 900);
	for (unsigned i = 0; i < STAT_CODES; i++) {
		classes[(b.codes[i] >> 48 & 0xfff) / 100] += b.codes[i] & ((1ULL << 48) - 1);
	}
	for (unsigned class = 1; class <= 5; class ++) {
		assert_int_equal(classes[class], 2 * STAT_METHODS * 100);
	}
	/* A code that came early keeps an entry of its own. */
	assert_int_equal(code(&b, STAT_GET, 100), 2);
	assert_true(code(&b, STAT_OTHER, 599) > 0);
}

static void test_sum(void **state)
{
	struct stat_block a = { 0 }, b = { 0 }, sum = { 0 };

	(void)state;
	stat_request(&a, STAT_GET, 200, NS_PER_MS);
	stat_request(&b, STAT_GET, 200, NS_PER_MS);
	stat_request(&b, STAT_GET, 404, 3 * NS_PER_MS);
	stat_add(&a.c[STAT_RETRIES], 2);
	stat_add(&b.c[STAT_RETRIES], 3);
	stat_add(&a.c[STAT_OPEN], 1); /* opened by one thread, closed by another */
	stat_add(&b.c[STAT_OPEN], (uint64_t)-1);
	stat_sum(&sum, &a);
	stat_sum(&sum, &b);
	assert_int_equal(code(&sum, STAT_GET, 200), 2);
	assert_int_equal(code(&sum, STAT_GET, 404), 1);
	assert_int_equal(sum.c[STAT_RETRIES], 5);
	assert_int_equal(sum.c[STAT_OPEN], 0);
	assert_int_equal(sum.latency[0], 2);
	assert_int_equal(sum.latency_sum_us, 5000);
}

static void test_sum_crowded(void **state)
{
	struct stat_block a = { 0 }, b = { 0 }, sum = { 0 };

	(void)state;
	for (unsigned i = 0; i < 22; i++) {
		stat_request(&a, STAT_GET, 200 + i, 0);
		stat_request(&b, STAT_GET, 400 + i, 0);
	}
	stat_sum(&sum, &a);
	stat_sum(&sum, &b);
	assert_int_equal(all_codes(&sum), 44);
	assert_true(code(&sum, STAT_GET, 499) > 0);
}

static bool near(double x, double want)
{
	return x > want * 0.999 - 0.001 && x < want * 1.001 + 0.001;
}

static void test_quantile(void **state)
{
	uint64_t latency[STAT_BUCKETS + 1] = { 0 };

	(void)state;
	assert_true(stat_quantile(latency, 0.5) == 0);
	latency[0] = 100; /* even over 0 … 1000 us */
	assert_true(near(stat_quantile(latency, 0.5), 500));
	assert_true(near(stat_quantile(latency, 1), 1000));
	assert_true(near(stat_quantile(latency, 0), 0));
	assert_true(near(stat_quantile(latency, 7), 1000));
	latency[4] = 100; /* 5 … 10 ms */
	assert_true(near(stat_quantile(latency, 0.5), 1000));
	assert_true(near(stat_quantile(latency, 0.75), 7500));
	latency[STAT_BUCKETS] = 1000;
	assert_true(near(stat_quantile(latency, 0.99), 10000000));
}

static void test_names(void **state)
{
	(void)state;
	assert_string_equal(stat_method_name[STAT_GET], "GET");
	assert_string_equal(stat_method_name[STAT_OTHER], "other");
	assert_string_equal(server_state_name[SERVER_UNPROVED], "starting");
	assert_string_equal(server_order_name[ORDER_DISABLE], "disable");
}

static void test_fail_words(void **state)
{
	(void)state;
	assert_string_equal(fail_text(FAIL_NONE), "none");
	assert_string_equal(fail_text(FAIL_REFUSED), "connect refused");
	assert_string_equal(fail_text(FAIL_LOCAL), "no local resources");
	assert_string_equal(fail_text(FAILS), "unknown");
	for (unsigned i = 0; i < FAILS; i++) {
		assert_true(strlen(fail_text((enum fail_why)i)) > 0);
	}
}

static void test_fail_errno(void **state)
{
	(void)state;
	assert_int_equal(fail_errno(0), FAIL_NONE);
	assert_int_equal(fail_errno(ECONNREFUSED), FAIL_REFUSED);
	assert_int_equal(fail_errno(EHOSTUNREACH), FAIL_UNREACHABLE);
	assert_int_equal(fail_errno(ENETUNREACH), FAIL_UNREACHABLE);
	assert_int_equal(fail_errno(ETIMEDOUT), FAIL_CONNECT_TIMEOUT);
	assert_int_equal(fail_errno(ECONNRESET), FAIL_RESET);
	assert_int_equal(fail_errno(EPIPE), FAIL_RESET);
	assert_int_equal(fail_errno(EMFILE), FAIL_LOCAL);
	assert_int_equal(fail_errno(EADDRNOTAVAIL), FAIL_LOCAL);
	assert_int_equal(fail_errno(ENOENT), FAIL_CONNECT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),      cmocka_unit_test(test_bucket),
		cmocka_unit_test(test_request),     cmocka_unit_test(test_request_odd_status),
		cmocka_unit_test(test_crowded),     cmocka_unit_test(test_sum),
		cmocka_unit_test(test_sum_crowded), cmocka_unit_test(test_quantile),
		cmocka_unit_test(test_names),       cmocka_unit_test(test_fail_words),
		cmocka_unit_test(test_fail_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
