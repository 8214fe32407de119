/* SPDX-License-Identifier: Apache-2.0 */
/* The retry budget in virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"
#include "proxy/retry_budget.h"

#define T0 (1000 * NS_PER_S)

static unsigned take_all(struct retry_budget *b, uint64_t now, uint32_t percent, unsigned tries)
{
	unsigned n = 0;

	for (unsigned i = 0; i < tries; i++)
		n += retry_budget_take(b, now, percent);
	return n;
}

static void requests(struct retry_budget *b, uint64_t now, unsigned n)
{
	while (n-- > 0)
		retry_budget_request(b, now);
}

static void a_few_are_free(void **state)
{
	struct retry_budget b = { 0 };

	assert_int_equal(take_all(&b, T0, 20, 100), RETRY_BUDGET_FREE);
}

static void free_ones_with_zero_percent(void **state)
{
	struct retry_budget b = { 0 };

	requests(&b, T0, 100000);
	assert_int_equal(take_all(&b, T0, 0, 100), RETRY_BUDGET_FREE);
}

static void share_of_requests(void **state)
{
	struct retry_budget b = { 0 };

	requests(&b, T0, 1000);
	assert_int_equal(take_all(&b, T0, 20, 5000), 200);
}

static void share_is_over_the_window(void **state)
{
	struct retry_budget b = { 0 };

	for (unsigned s = 0; s < 10; s++)
		requests(&b, T0 + s * NS_PER_S, 100);
	assert_int_equal(take_all(&b, T0 + 9 * NS_PER_S, 20, 5000), 200);
}

static void requests_age(void **state)
{
	struct retry_budget b = { 0 };

	requests(&b, T0, 1000);
	/* In the tenth second they still count, in the eleventh no more. */
	assert_int_equal(take_all(&b, T0 + 9 * NS_PER_S, 5, 1000), 50);
	b = (struct retry_budget){ 0 };
	requests(&b, T0, 1000);
	assert_int_equal(take_all(&b, T0 + 10 * NS_PER_S, 5, 1000), RETRY_BUDGET_FREE);
}

static void retries_age(void **state)
{
	struct retry_budget b = { 0 };

	assert_int_equal(take_all(&b, T0, 20, 100), 10);
	assert_int_equal(take_all(&b, T0 + 9 * NS_PER_S, 20, 100), 0);
	assert_int_equal(take_all(&b, T0 + 10 * NS_PER_S, 20, 100), 10);
}

static void long_silence(void **state)
{
	struct retry_budget b = { 0 };

	requests(&b, T0, 1000);
	take_all(&b, T0, 20, 1000);
	assert_int_equal(take_all(&b, T0 + 86400 * NS_PER_S, 20, 100), 10);
	assert_int_equal(b.sum_requests, 0);
}

static void sums_agree_with_slots(void **state)
{
	struct retry_budget b = { 0 };
	uint64_t now = T0, x = 1;

	for (unsigned i = 0; i < 20000; i++) {
		uint32_t sum_requests = 0, sum_retries = 0;

		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		now += (x >> 33) % (200 * NS_PER_MS);
		if (i % 1000 == 0)
			now += (x >> 40) % 30 * NS_PER_S;
		if ((x >> 60) < 12)
			retry_budget_request(&b, now);
		else
			retry_budget_take(&b, now, 20);
		for (unsigned s = 0; s < 10; s++) {
			sum_requests += b.requests[s];
			sum_retries += b.retries[s];
		}
		assert_int_equal(sum_requests, b.sum_requests);
		assert_int_equal(sum_retries, b.sum_retries);
	}
}

static void storm_is_bounded(void **state)
{
	struct retry_budget b = { 0 };
	unsigned made = 0;

	/* A minute in which each of 1000 requests a second fails and wants two retries. */
	for (uint64_t ms = 0; ms < 60000; ms++) {
		uint64_t now = T0 + ms * NS_PER_MS;

		retry_budget_request(&b, now);
		made += take_all(&b, now, 20, 2);
	}
	assert_in_range(made, 11000, 14500);
}

static void hundred_percent(void **state)
{
	struct retry_budget b = { 0 };

	requests(&b, T0, 500);
	assert_int_equal(take_all(&b, T0, 100, 1000), 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_few_are_free),    cmocka_unit_test(free_ones_with_zero_percent),
		cmocka_unit_test(share_of_requests), cmocka_unit_test(share_is_over_the_window),
		cmocka_unit_test(requests_age),      cmocka_unit_test(retries_age),
		cmocka_unit_test(long_silence),      cmocka_unit_test(sums_agree_with_slots),
		cmocka_unit_test(storm_is_bounded),  cmocka_unit_test(hundred_percent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
