/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of hooks: in order for each virtual IP, bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "vrrp/hook.h"

static struct vrrp_hooks q;
static struct ipc_hook lost;

static struct ipc_hook of(const char *vip, uint64_t number)
{
	struct ipc_hook h = { .number = number };

	(void)snprintf(h.vip, sizeof(h.vip), "%s", vip);
	return h;
}

static bool push(const char *vip, uint64_t number)
{
	struct ipc_hook h = of(vip, number);

	return vrrp_hooks_push(&q, &h, 100, &lost);
}

static bool done(const char *vip, uint64_t number)
{
	struct ipc_hook h = of(vip, number);

	return vrrp_hooks_done(&q, &h);
}

/* Sends the next; 0: none may be sent. */
static uint64_t send_next(uint64_t now)
{
	struct vrrp_hook *h = vrrp_hooks_next(&q);

	if (h == NULL) {
		return 0;
	}
	vrrp_hooks_sent(h, now);
	return h->hook.number;
}

static int setup(void **state)
{
	(void)state;
	memset(&q, 0, sizeof(q));
	return 0;
}

static void the_next_waits_for_the_one_before(void **state)
{
	(void)state;
	push("web", 1);
	push("web", 2);
	push("db", 7);
	assert_int_equal(send_next(1), 1);
	assert_int_equal(send_next(1), 7); /* another virtual IP does not wait */
	assert_int_equal(send_next(1), 0);
	assert_false(done("web", 2)); /* nobody has sent that */
	assert_true(done("web", 1));
	assert_false(done("web", 1));
	assert_int_equal(send_next(1), 2);
	assert_true(done("web", 2));
	assert_true(done("db", 7));
	assert_int_equal(q.n, 0);
}

static void a_full_queue_drops_the_oldest_that_waits(void **state)
{
	(void)state;
	for (uint64_t i = 1; i <= VRRP_HOOKS; i++) {
		assert_false(push("web", i));
	}
	assert_int_equal(send_next(1), 1);
	assert_true(push("web", VRRP_HOOKS + 1));
	assert_int_equal(lost.number, 2);
	assert_int_equal(q.n, VRRP_HOOKS);
	assert_true(done("web", 1));
	for (uint64_t i = 3; i <= VRRP_HOOKS + 1; i++) {
		assert_int_equal(send_next(1), i);
		assert_true(done("web", i));
	}
	assert_int_equal(send_next(1), 0);
}

static void one_that_never_ends_holds_up_the_next_for_its_time(void **state)
{
	(void)state;
	push("web", 1);
	push("web", 2);
	assert_int_equal(send_next(1000), 1);
	assert_false(vrrp_hooks_overdue(&q, 1099, &lost));
	assert_true(vrrp_hooks_overdue(&q, 1100, &lost));
	assert_int_equal(lost.number, 1);
	assert_false(vrrp_hooks_overdue(&q, 5000, &lost)); /* the second was not sent */
	assert_int_equal(send_next(1100), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_next_waits_for_the_one_before, setup),
		cmocka_unit_test_setup(a_full_queue_drops_the_oldest_that_waits, setup),
		cmocka_unit_test_setup(one_that_never_ends_holds_up_the_next_for_its_time, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
