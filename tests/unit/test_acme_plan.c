/* SPDX-License-Identifier: Apache-2.0 */
/* When certificates are ordered, renewed, and tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "acme/http.h"
#include "acme/plan.h"

#define DAY   86400ULL
#define NOW   1700000000ULL
#define MONTH (30 * DAY)

static void what_is_not_there_is_ordered_at_once(void **state)
{
	struct plan p = { 0 };

	assert_true(acme_plan_due(&p, MONTH, 500) <= NOW);
}

static void renewal_is_in_the_last_third_at_most(void **state)
{
	struct plan p = { 0 };

	acme_plan_issued(&p, NOW, NOW, NOW + 90 * DAY);
	assert_int_equal(acme_plan_due(&p, MONTH, 0), NOW + 60 * DAY);
	assert_int_equal(acme_plan_due(&p, 10 * DAY, 0), NOW + 80 * DAY);
	assert_int_equal(acme_plan_due(&p, 365 * DAY, 0), NOW + 60 * DAY);
	assert_in_range(acme_plan_due(&p, MONTH, 999), NOW + 62 * DAY, NOW + 63 * DAY);
	acme_plan_issued(&p, NOW, NOW, NOW + 6 * DAY); /* short-lived ones */
	assert_int_equal(acme_plan_due(&p, MONTH, 0), NOW + 4 * DAY);
	acme_plan_issued(&p, NOW, NOW - 10, NOW + 20);
	assert_int_equal(acme_plan_due(&p, MONTH, 0), NOW + 10);
}

static void lost_pair_is_not_ordered_each_minute(void **state)
{
	struct plan p = { 0 };

	acme_plan_issued(&p, NOW, NOW, NOW + 90 * DAY);
	p.not_before = p.not_after = 0; /* somebody removed it */
	assert_int_equal(acme_plan_due(&p, MONTH, 0), NOW + PLAN_AGAIN);
}

static void failures_wait_longer_and_longer(void **state)
{
	static const enum order_failure kinds[] = { ORDER_UNREACHABLE, ORDER_REFUSED,
		                                    ORDER_LIMITED };

	for (unsigned k = 0; k < 3; k++) {
		uint64_t before = 0;

		for (unsigned n = 1; n < 100; n++) {
			uint64_t wait = acme_plan_retry(kinds[k], n, 0, 0);

			assert_true(wait >= 120); /* minutes, at least */
			assert_true(wait >= before && wait <= PLAN_LONGEST);
			assert_in_range(acme_plan_retry(kinds[k], n, 0, 999), wait,
			                wait + wait / 5);
			before = wait;
		}
		assert_int_equal(before, PLAN_LONGEST);
	}
	assert_true(acme_plan_retry(ORDER_LIMITED, 1, 0, 0) >= 3600);
}

static void retry_after_counts(void **state)
{
	assert_int_equal(acme_plan_retry(ORDER_LIMITED, 1, 2 * DAY, 0), 2 * DAY);
	assert_int_equal(acme_plan_retry(ORDER_UNREACHABLE, 1, 1, 0), PLAN_FIRST_RETRY);
	assert_int_equal(acme_plan_retry(ORDER_UNREACHABLE, 1, UINT32_MAX, 0), PLAN_LONGEST_ASKED);
}

static void failed_renewal_waits_and_success_forgets(void **state)
{
	struct plan p = { 0 };

	acme_plan_issued(&p, NOW, NOW, NOW + 90 * DAY);
	acme_plan_failed(&p, NOW + 60 * DAY, ORDER_REFUSED, 0, 0);
	assert_int_equal(acme_plan_due(&p, MONTH, 0), NOW + 60 * DAY + PLAN_FIRST_REFUSED);
	acme_plan_failed(&p, NOW + 60 * DAY, ORDER_REFUSED, 0, 0);
	assert_int_equal(p.failures, 2);
	assert_int_equal(acme_plan_due(&p, MONTH, 0), NOW + 60 * DAY + 2 * PLAN_FIRST_REFUSED);
	acme_plan_issued(&p, NOW + 61 * DAY, NOW + 61 * DAY, NOW + 151 * DAY);
	assert_int_equal(acme_plan_due(&p, MONTH, 0), NOW + 121 * DAY);
}

static void retry_after_is_a_number_or_a_date(void **state)
{
	assert_int_equal(acme_http_retry_after(STR("120"), NOW), 120);
	assert_int_equal(acme_http_retry_after(STR("Tue, 14 Nov 2023 22:14:20 GMT"), NOW), 60);
	assert_int_equal(acme_http_retry_after(STR("Tue, 14 Nov 2023 22:13:20 GMT"), NOW), 0);
	assert_int_equal(acme_http_retry_after(STR("soon"), NOW), 0);
	assert_int_equal(acme_http_retry_after(STR("-5"), NOW), 0);
	assert_int_equal(acme_http_retry_after(STR(""), NOW), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_not_there_is_ordered_at_once),
		cmocka_unit_test(renewal_is_in_the_last_third_at_most),
		cmocka_unit_test(lost_pair_is_not_ordered_each_minute),
		cmocka_unit_test(failures_wait_longer_and_longer),
		cmocka_unit_test(retry_after_counts),
		cmocka_unit_test(failed_renewal_waits_and_success_forgets),
		cmocka_unit_test(retry_after_is_a_number_or_a_date),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
