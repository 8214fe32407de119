/* SPDX-License-Identifier: Apache-2.0 */
/* Giving rights up, in a child each. What only root can give up is skipped for others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <linux/capability.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "core/privilege.h"

#define BIT(cap) (UINT64_C(1) << (cap))
#define BOTH     (BIT(CAP_NET_ADMIN) | BIT(CAP_NET_RAW))

/* Runs fn in a child: its exit status. */
static int in_child(int (*fn)(void))
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(fn());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Root that may become another and has what is to be kept. */
static bool can_drop(void)
{
	struct privilege p;
	char note[300];

	privilege_find("nobody", &p, note, sizeof(note));
	return p.drop && privilege_missing(BOTH) == 0;
}

static int drop_all(void)
{
	struct privilege p;

	if (privilege_user("nobody", &p) != OK || privilege_drop_but(&p, 0) != OK)
		return 1;
	return getuid() == p.uid && privilege_missing(BOTH) == BOTH ? 0 : 2;
}

static int drop_but(void)
{
	struct privilege p;

	if (privilege_user("nobody", &p) != OK || privilege_drop_but(&p, BOTH) != OK)
		return 1;
	if (getuid() != p.uid || privilege_missing(BOTH | BIT(CAP_SETUID)) != BIT(CAP_SETUID))
		return 2;
	/* As the role does, which needs less. */
	privilege_confine(true, false, BIT(CAP_NET_RAW));
	return privilege_missing(BOTH) == BIT(CAP_NET_ADMIN) ? 0 : 3;
}

static void test_drop(void **state)
{
	(void)state;
	if (!can_drop())
		skip();
	assert_int_equal(in_child(drop_all), 0);
	assert_int_equal(in_child(drop_but), 0);
}

static int policy_of_child(void)
{
	return sched_getscheduler(0) == SCHED_OTHER ? 0 : 1;
}

static int realtime(void)
{
	int status = 0;
	pid_t pid;

	if (privilege_realtime() != OK)
		return privilege_is_realtime() ? 1 : 0; /* not permitted here */
	if (!privilege_is_realtime())
		return 2;
	pid = fork();
	if (pid == 0)
		_exit(policy_of_child());
	waitpid(pid, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 3;
}

static void test_realtime(void **state)
{
	(void)state;
	assert_false(privilege_is_realtime());
	assert_int_equal(in_child(realtime), 0);
	assert_false(privilege_is_realtime());
}

static void test_names(void **state)
{
	char out[64];
	char little[12];

	(void)state;
	assert_string_equal(privilege_names(BOTH, out, sizeof(out)), "cap_net_admin, cap_net_raw");
	assert_string_equal(privilege_names(0, out, sizeof(out)), "");
	privilege_names(BOTH, little, sizeof(little));
	assert_true(strlen(little) < sizeof(little));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_realtime),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
