/* SPDX-License-Identifier: Apache-2.0 */
/* Orders of people, kept in a file. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "core/orders.h"

#define SERVER(pool, n, at) \
	{ \
		.name = STR(n), .id = STR(pool "/" n), .slot = at \
	}

static const struct conf_server api[] = { SERVER("api", "x", 0) };
static const struct conf_server web[] = { SERVER("web", "a", 1), SERVER("web", "b", 2),
	                                  SERVER("web", "c", 3) };
static const struct conf_pool pools[] = {
	{ .name = STR("api"), .servers = api, .nservers = 1 },
	{ .name = STR("web"), .servers = web, .nservers = 3 },
};
static const struct conf conf = { .pools = pools, .npools = 2 };
static const struct conf without_web = { .pools = pools, .npools = 1 };

static char dir[64];
static char path[96];
static char why[512];
static struct orders *o;
static struct board *board;

/* As check carries an order out. */
static void in_force(unsigned slot, enum server_order order)
{
	union server_word w = { .state = SERVER_UP, .order = order, .ramp = 100 };

	atomic_store(&board_server(board, slot)->word, w.word);
}

static int setup(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		in_force(i, ORDER_READY);
		atomic_store(&board_server(board, i)->end_wall_ms, 0);
		atomic_store(&board_server(board, i)->ended, 0);
	}
	strcpy(dir, "/tmp/holdfast-orders-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/orders.json", dir);
	return orders_open(path, board, &o, why, sizeof(why));
}

static int teardown(void **state)
{
	char aside[128];

	(void)state;
	orders_free(o);
	snprintf(aside, sizeof(aside), "%s.broken", path);
	unlink(path);
	unlink(aside);
	return rmdir(dir);
}

static int set(const char *target, enum server_order order, unsigned *count)
{
	return orders_set(o, &conf, str_from(target), order, 0, count, why, sizeof(why));
}

static void drain(const char *target, uint64_t end)
{
	unsigned n;

	assert_int_equal(orders_set(o, &conf, str_from(target), ORDER_DRAIN, end, &n, why,
	                            sizeof(why)),
	                 OK);
	for (unsigned i = 0; i < 4; i++)
		in_force(i, ORDER_DRAIN);
}

static uint64_t end_on_board(unsigned slot)
{
	return atomic_load(&board_server(board, slot)->end_wall_ms);
}

/* "" where nothing is. */
static const char *due(const struct conf *c, uint64_t now)
{
	static struct ipc_list q;

	if (!orders_due(o, c, now, &q))
		return "";
	assert_int_equal(q.end, 1);
	assert_true((q.pool[0] == '\0') != (q.server[0] == '\0'));
	return q.pool[0] != '\0' ? q.pool : q.server;
}

static void reopen(void)
{
	assert_int_equal(orders_save(o), OK);
	orders_free(o);
	assert_int_equal(orders_open(path, board, &o, why, sizeof(why)), OK);
}

static char listed[256];

static void list(void *arg, struct str id, enum server_order order)
{
	size_t n = strlen(listed);

	(void)arg;
	snprintf(listed + n, sizeof(listed) - n, "%.*s=%s ", STR_ARG(id), server_order_name[order]);
}

static const char *all(const struct conf *c)
{
	listed[0] = '\0';
	orders_each(o, c, list, NULL);
	return listed;
}

static void one_server(void **state)
{
	unsigned n;

	(void)state;
	assert_int_equal(set("web/b", ORDER_DRAIN, &n), OK);
	assert_int_equal(n, 1);
	reopen();
	assert_string_equal(all(&conf), "web/b=drain ");
}

static void a_whole_pool_by_both_names(void **state)
{
	unsigned n;

	(void)state;
	assert_int_equal(set("web", ORDER_DISABLE, &n), OK);
	assert_int_equal(n, 3);
	assert_int_equal(orders_count(o), 3);
	assert_int_equal(set("web/*", ORDER_READY, &n), OK);
	assert_int_equal(n, 3);
	assert_int_equal(orders_count(o), 0);
}

static void ready_takes_one_back(void **state)
{
	unsigned n;

	(void)state;
	set("web", ORDER_DRAIN, &n);
	set("web/a", ORDER_READY, &n);
	set("web/c", ORDER_DISABLE, &n);
	reopen();
	assert_int_equal(orders_count(o), 2);
	assert_non_null(strstr(all(&conf), "web/b=drain "));
	assert_non_null(strstr(all(&conf), "web/c=disable "));
	assert_int_equal(set("web/a", ORDER_READY, &n), OK); /* nothing to take back is well */
}

static void the_node_is_drained_beside_its_servers(void **state)
{
	unsigned n;

	(void)state;
	assert_false(orders_node(o));
	orders_set_node(o, true);
	set("web/a", ORDER_DRAIN, &n);
	reopen();
	assert_true(orders_node(o));
	assert_string_equal(all(&conf), "web/a=drain ");
	assert_int_equal(orders_count(o), 1);
	orders_set_node(o, false);
	reopen();
	assert_false(orders_node(o));
}

static void unknown_targets_are_told(void **state)
{
	static const char *const unknown[] = { "webb", "web/d", "", "/", "web/", "*", "web/a/b" };
	unsigned n;

	(void)state;
	for (unsigned i = 0; i < sizeof(unknown) / sizeof(unknown[0]); i++) {
		assert_int_equal(set(unknown[i], ORDER_DRAIN, &n), ERR_NOT_FOUND);
		assert_int_equal(n, 0);
		assert_non_null(strstr(why, "there is no "));
	}
	assert_int_equal(set("web/a", ORDER_COUNT, &n), ERR_INVALID);
	assert_int_equal(orders_count(o), 0);
}

static void a_server_that_is_away_keeps_its_order(void **state)
{
	unsigned n;

	(void)state;
	set("web/a", ORDER_DRAIN, &n);
	assert_string_equal(all(&without_web), "");
	reopen();
	assert_string_equal(all(&conf), "web/a=drain ");
}

static void write_file(const char *text)
{
	int fd = open(path, O_CREAT | O_WRONLY | O_TRUNC, 0600);

	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void a_broken_file_is_set_aside(void **state)
{
	static const char *const broken[] = { "", "{", "[]", "{\"orders\": 3}", "\xff\xfe" };
	char aside[128];

	(void)state;
	snprintf(aside, sizeof(aside), "%s.broken", path);
	for (unsigned i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		write_file(broken[i]);
		orders_free(o);
		assert_int_equal(orders_open(path, board, &o, why, sizeof(why)), ERR_SYNTAX);
		assert_non_null(strstr(why, path));
		assert_int_equal(orders_count(o), 0);
		assert_int_equal(access(aside, F_OK), 0);
		assert_int_equal(access(path, F_OK), -1);
	}
}

static void unknown_orders_in_the_file_are_left_out(void **state)
{
	(void)state;
	write_file("{\"orders\": {\"web/a\": \"drain\", \"web/b\": \"dance\", \"web/c\": 7,"
	           " \"api/x\": \"ready\"}, \"node\": \"ready\"}");
	orders_free(o);
	assert_int_equal(orders_open(path, board, &o, why, sizeof(why)), OK);
	assert_string_equal(all(&conf), "web/a=drain ");
	assert_false(orders_node(o));
}

static void a_folder_that_is_gone_is_told(void **state)
{
	unsigned n;

	(void)state;
	set("web/a", ORDER_DRAIN, &n);
	assert_int_equal(rmdir(dir), 0);
	assert_int_equal(orders_save(o), ERR_SYSTEM);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(mkdir(dir, 0700), 0);
}

/* --- when what is open is ended ------------------------------------------------------------- */

static void a_time_is_kept_and_told(void **state)
{
	unsigned n;

	(void)state;
	atomic_store(&board_server(board, 2)->ended, 7);
	drain("web/b", 5000);
	assert_int_equal(end_on_board(2), 5000);
	assert_int_equal(atomic_load(&board_server(board, 2)->ended), 0);
	reopen();
	atomic_store(&board_server(board, 2)->end_wall_ms, 0);
	orders_publish(o, &conf);
	assert_int_equal(end_on_board(2), 5000);
	assert_int_equal(end_on_board(1), 0);
	assert_string_equal(due(&conf, 4999), "");
	assert_string_equal(due(&conf, 5000), "web/b");
	orders_ended(o, &conf, STR("web/b"), 5000);
	assert_string_equal(due(&conf, UINT64_MAX), "");
	assert_int_equal(end_on_board(2), 0);
	assert_string_equal(all(&conf), "web/b=drain "); /* the order stays */
	assert_int_equal(set("web/b", ORDER_READY, &n), OK);
}

static void every_later_order_forgets_it(void **state)
{
	static const enum server_order orders[] = { ORDER_READY, ORDER_DISABLE, ORDER_DRAIN };
	unsigned n;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		drain("web/a", 1);
		assert_int_equal(set("web/a", orders[i], &n), OK);
		assert_int_equal(end_on_board(1), 0);
		assert_string_equal(due(&conf, UINT64_MAX), "");
	}
	drain("web/a", 1);
	drain("web/a", 9);
	assert_string_equal(due(&conf, 8), "");
	orders_ended(o, &conf, STR("web/a"), 8); /* of the earlier one: too late */
	assert_string_equal(due(&conf, 9), "web/a");
}

static void a_pool_is_ended_as_one(void **state)
{
	unsigned n;

	(void)state;
	drain("web", 100);
	drain("api", 100);
	assert_string_equal(due(&conf, 99), "");
	set("web/b", ORDER_READY, &n);
	in_force(2, ORDER_READY);
	assert_string_not_equal(due(&conf, 100), "web"); /* one of it was taken back */
	drain("web", 100);
	drain("web/c", 200);
	assert_string_not_equal(due(&conf, 100), "web"); /* one has more time */
	orders_ended(o, &conf, STR("api/x"), 200);
	assert_string_equal(due(&conf, 200), "web");
	orders_ended(o, &conf, STR("web"), 200);
	assert_string_equal(due(&conf, UINT64_MAX), "");
}

static void it_waits_for_the_order_to_be_in_force(void **state)
{
	(void)state;
	drain("web/a", 100);
	in_force(1, ORDER_READY);
	assert_string_equal(due(&conf, 100), "");
	in_force(1, ORDER_DRAIN);
	assert_string_equal(due(&conf, 100), "web/a");
}

static void a_server_that_was_taken_out_of_the_file_is_meant(void **state)
{
	(void)state;
	drain("web/a", 100);
	assert_string_equal(due(&without_web, 99), "");
	assert_string_equal(due(&without_web, 100), "web/a");
	orders_ended(o, &without_web, STR("web/a"), 100);
	assert_string_equal(due(&conf, UINT64_MAX), "");
}

static void times_in_the_file_that_are_none_are_left_out(void **state)
{
	(void)state;
	write_file("{\"orders\": {\"web/a\": \"drain\", \"web/b\": \"disable\", \"\": \"drain\","
	           " \"web\": \"drain\", \"api/x\": \"drain\"}, \"ends\": {\"web/a\": \"soon\","
	           " \"web/b\": 5, \"web/c\": 5, \"\": 5, \"web\": 5, \"api/x\": -5}}");
	orders_free(o);
	assert_int_equal(orders_open(path, board, &o, why, sizeof(why)), OK);
	for (unsigned i = 0; i < 4; i++)
		in_force(i, ORDER_DRAIN);
	assert_string_equal(due(&conf, UINT64_MAX), "");
}

static int group_setup(void **state)
{
	int fd;

	(void)state;
	return board_create(&board, &fd) == OK ? close(fd) : -1;
}

static int group_teardown(void **state)
{
	(void)state;
	board_unmap(board);
	return 0;
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(one_server),
		T(a_whole_pool_by_both_names),
		T(ready_takes_one_back),
		T(the_node_is_drained_beside_its_servers),
		T(unknown_targets_are_told),
		T(a_server_that_is_away_keeps_its_order),
		T(a_broken_file_is_set_aside),
		T(unknown_orders_in_the_file_are_left_out),
		T(a_folder_that_is_gone_is_told),
		T(a_time_is_kept_and_told),
		T(every_later_order_forgets_it),
		T(a_pool_is_ended_as_one),
		T(it_waits_for_the_order_to_be_in_force),
		T(a_server_that_was_taken_out_of_the_file_is_meant),
		T(times_in_the_file_that_are_none_are_left_out),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
