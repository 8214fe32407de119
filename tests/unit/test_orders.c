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

#define SERVER(pool, n) \
	{ \
		.name = STR(n), .id = STR(pool "/" n) \
	}

static const struct conf_server api[] = { SERVER("api", "x") };
static const struct conf_server web[] = { SERVER("web", "a"), SERVER("web", "b"),
	                                  SERVER("web", "c") };
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

static int setup(void **state)
{
	(void)state;
	strcpy(dir, "/tmp/holdfast-orders-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/orders.json", dir);
	return orders_open(path, &o, why, sizeof(why));
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
	return orders_set(o, &conf, str_from(target), order, count, why, sizeof(why));
}

static void reopen(void)
{
	assert_int_equal(orders_save(o), OK);
	orders_free(o);
	assert_int_equal(orders_open(path, &o, why, sizeof(why)), OK);
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
		assert_int_equal(orders_open(path, &o, why, sizeof(why)), ERR_SYNTAX);
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
	assert_int_equal(orders_open(path, &o, why, sizeof(why)), OK);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
