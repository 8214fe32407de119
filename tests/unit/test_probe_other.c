/* SPDX-License-Identifier: Apache-2.0 */
/* The tcp and exec probes. */
#include "probe_fixture.h"

static struct {
	unsigned calls;
	uint32_t id;
	char server[64];
	int answer;
} asked;

static int fake_exec(struct probe_env *env, uint32_t id, const char *server)
{
	(void)env;
	asked.calls++;
	asked.id = id;
	(void)snprintf(asked.server, sizeof(asked.server), "%s", server);
	return asked.answer;
}

static int setup_tcp(void **state)
{
	fixture_setup(state);
	((struct fixture *)*state)->check.probe = PROBE_TCP;
	return 0;
}

static int setup_exec(void **state)
{
	struct fixture *f;

	fixture_setup(state);
	f = *state;
	f->check.probe = PROBE_EXEC;
	f->env.exec = fake_exec;
	memset(&asked, 0, sizeof(asked));
	return 0;
}

static void test_tcp_ok(void **state)
{
	struct fixture *f = *state;

	fixture_ready(f);
	expect_ok(f);
	expect_ok(f);
	assert_int_equal(f->probe.s.io.fd, -1);
}

static void test_tcp_refused(void **state)
{
	struct fixture *f = *state;

	fixture_ready(f);
	close(f->listen);
	f->listen = -1;
	expect_failure(f, FAIL_REFUSED, "connect refused");
}

static void test_tcp_unix(void **state)
{
	struct fixture *f = *state;
	char text[128];

	(void)snprintf(text, sizeof(text), "unix:/tmp/holdfast-tcp-%d.sock", (int)getpid());
	assert_int_equal(net_addr_parse(str_from(text), &f->address, NULL), OK);
	close(f->listen);
	f->listen = net_listen(&f->address, 8, 0600);
	assert_true(f->listen >= 0);
	fixture_ready(f);
	expect_ok(f);
	close(f->listen);
	f->listen = -1;
	expect_failure(f, FAIL_REFUSED, "connect refused");
	unlink(text + 5);
}

static void test_exec_ok(void **state)
{
	struct fixture *f = *state;

	fixture_ready(f);
	probe_start(&f->probe);
	assert_int_equal(asked.calls, 1);
	assert_string_equal(asked.server, "web/a");
	assert_int_equal(f->verdicts, 0);
	assert_true(probe_executed(&f->env, asked.id, 0, ""));
	assert_int_equal(f->verdicts, 1);
	assert_int_equal(f->end, PROBE_OK);
}

static void test_exec_fails(void **state)
{
	struct fixture *f = *state;

	fixture_ready(f);
	probe_start(&f->probe);
	assert_true(probe_executed(&f->env, asked.id, 2, "disk is full"));
	assert_int_equal(f->end, PROBE_FAILED);
	assert_int_equal(f->why, FAIL_EXIT);
	assert_string_equal(f->said, "exit 2: disk is full");
	probe_start(&f->probe);
	assert_true(probe_executed(&f->env, asked.id, 1, ""));
	assert_string_equal(f->said, "exit 1");
	probe_start(&f->probe);
	assert_true(probe_executed(&f->env, asked.id, -1, "timed out after 1s"));
	assert_string_equal(f->said, "program failed: timed out after 1s");
}

static void test_exec_stale_answer(void **state)
{
	struct fixture *f = *state;
	uint32_t old;

	fixture_ready(f);
	probe_start(&f->probe);
	old = asked.id;
	probe_stop(&f->probe);
	assert_false(probe_executed(&f->env, old, 1, ""));
	probe_start(&f->probe);
	assert_false(probe_executed(&f->env, old, 1, ""));
	assert_int_equal(f->verdicts, 0);
	assert_true(probe_executed(&f->env, asked.id, 0, ""));
	assert_int_equal(f->verdicts, 1);
}

static void test_exec_without_parent(void **state)
{
	struct fixture *f = *state;

	fixture_ready(f);
	asked.answer = ERR_CLOSED;
	probe_start(&f->probe);
	assert_int_equal(f->verdicts, 1);
	assert_int_equal(f->end, PROBE_UNDECIDED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_tcp_ok, setup_tcp, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_tcp_refused, setup_tcp, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_tcp_unix, setup_tcp, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_exec_ok, setup_exec, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_exec_fails, setup_exec, fixture_teardown),
		cmocka_unit_test_setup_teardown(test_exec_stale_answer, setup_exec,
		                                fixture_teardown),
		cmocka_unit_test_setup_teardown(test_exec_without_parent, setup_exec,
		                                fixture_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
