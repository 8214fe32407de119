/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets keyed by address: opened once, kept, shut down when no longer named. */
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

#include "base/err.h"
#include "core/listen.h"
#include "net/sock.h"

static struct listen_set set;
static struct net_addr addrs[4];
static struct str texts[4];
static struct conf_listener listeners[2];
static struct conf c;

/* An address with a port that was free just now. */
static struct net_addr free_address(void)
{
	struct net_addr a;
	struct net_addr got;
	int fd;

	assert_int_equal(net_addr_parse(STR("127.0.0.1:1"), &a, NULL), OK);
	a.in.sin_port = 0;
	fd = net_listen(&a, 1, 0);
	assert_true(fd >= 0);
	net_local_addr(fd, &got);
	close(fd);
	return got;
}

static int setup(void **state)
{
	(void)state;
	listen_init(&set);
	for (unsigned i = 0; i < 4; i++)
		addrs[i] = free_address();
	listeners[0] = (struct conf_listener){
		.name = STR("a"), .bind = addrs, .bind_text = texts, .nbind = 2
	};
	listeners[1] = (struct conf_listener){
		.name = STR("b"), .bind = addrs + 2, .bind_text = texts, .nbind = 1
	};
	c = (struct conf){ .listeners = listeners, .nlisteners = 2 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	listen_sweep(&set, NULL);
	return 0;
}

static bool connects(const struct net_addr *a)
{
	int fd = socket(a->sa.sa_family, SOCK_STREAM, 0);
	bool well = connect(fd, &a->sa, a->len) == 0;

	close(fd);
	return well;
}

static void opens_every_address_once(void **state)
{
	char why[300];
	int first;

	(void)state;
	assert_int_equal(listen_open(&set, &c, why, sizeof(why)), OK);
	first = listen_fd(&set, &addrs[0], false);
	assert_true(first >= 0);
	assert_int_equal(listen_open(&set, &c, why, sizeof(why)), OK);
	assert_int_equal(listen_fd(&set, &addrs[0], false), first);
	for (unsigned i = 0; i < 3; i++)
		assert_true(connects(&addrs[i]));
	assert_int_equal(listen_fd(&set, &addrs[3], false), -1);
}

static void sweeping_closes_what_is_not_named(void **state)
{
	char why[300];

	(void)state;
	assert_int_equal(listen_open(&set, &c, why, sizeof(why)), OK);
	c.nlisteners = 1;
	listen_sweep(&set, &c);
	assert_true(connects(&addrs[0]));
	assert_true(connects(&addrs[1]));
	assert_false(connects(&addrs[2]));
	assert_int_equal(listen_fd(&set, &addrs[2], false), -1);
}

static void a_copy_in_another_process_listens_no_more(void **state)
{
	char why[300];
	int copy;

	(void)state;
	assert_int_equal(listen_open(&set, &c, why, sizeof(why)), OK);
	copy = dup(listen_fd(&set, &addrs[2], false));
	c.nlisteners = 1;
	listen_sweep(&set, &c);
	assert_false(connects(&addrs[2]));
	close(copy);
}

static void a_port_in_use_is_named(void **state)
{
	char why[300];
	char addr[NET_ADDR_TEXT];
	int other = net_listen(&addrs[2], 1, 0);

	(void)state;
	assert_true(other >= 0);
	assert_int_equal(listen_open(&set, &c, why, sizeof(why)), ERR_SYSTEM);
	assert_non_null(strstr(why, "listener \"b\""));
	assert_non_null(strstr(why, net_addr_format(&addrs[2], addr)));
	assert_non_null(strstr(why, "Address already in use"));
	close(other);
	assert_int_equal(listen_open(&set, &c, why, sizeof(why)), OK);
}

static void control_has_a_socket_too(void **state)
{
	char why[300];

	(void)state;
	c.control.on = true;
	c.control.bind = addrs[3];
	assert_int_equal(listen_open(&set, &c, why, sizeof(why)), OK);
	assert_true(connects(&addrs[3]));
	listen_close(&set, &c); /* the listeners' only */
	assert_true(connects(&addrs[3]));
	assert_false(connects(&addrs[0]));
}

static void adopted_sockets_are_used(void **state)
{
	char why[300];
	int fd = net_listen(&addrs[0], 8, 0);

	(void)state;
	assert_int_equal(listen_adopt(&set, &addrs[0], fd), OK);
	assert_int_equal(listen_adopt(&set, &addrs[0], dup(fd)), ERR_EXISTS);
	assert_int_equal(listen_open(&set, &c, why, sizeof(why)), OK);
	assert_int_equal(listen_fd(&set, &addrs[0], false), fd);
}

static void unix_paths_are_removed(void **state)
{
	char why[300];
	char path[64];
	char text[80];

	(void)state;
	snprintf(path, sizeof(path), "/tmp/holdfast-listen-%d.sock", (int)getpid());
	snprintf(text, sizeof(text), "unix:%s", path);
	assert_int_equal(net_addr_parse(str_from(text), &addrs[2], NULL), OK);
	assert_int_equal(listen_open(&set, &c, why, sizeof(why)), OK);
	assert_true(connects(&addrs[2]));
	c.nlisteners = 1;
	listen_sweep(&set, &c);
	assert_int_equal(access(path, F_OK), -1);
}

/* The node that stands by listens on a virtual address all the same. */
static void a_virtual_address_may_be_absent(void **state)
{
	static const char *const absent[] = { "203.0.113.77:1", "[2001:db8::1]:1" };
	char why[300];

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct conf_vip_address address = { 0 };
		struct conf_vip vip = { .addresses = &address, .naddresses = 1 };
		uint16_t port = addrs[2].in.sin_port;

		assert_int_equal(net_addr_parse(str_from(absent[i]), &addrs[2], NULL), OK);
		address.ip = addrs[2];
		*(i == 0 ? &addrs[2].in.sin_port : &addrs[2].in6.sin6_port) = port;
		c.vips = &vip;
		c.nvips = 0;
		assert_int_equal(listen_open(&set, &c, why, sizeof(why)), ERR_SYSTEM);
		if (strstr(why, "not supported"))
			continue; /* no IPv6 here */
		assert_non_null(strstr(why, "Cannot assign requested address"));
		c.nvips = 1;
		assert_int_equal(listen_open(&set, &c, why, sizeof(why)), OK);
		assert_true(listen_fd(&set, &addrs[2], false) >= 0);
		c.nvips = 0;
		c.vips = NULL;
		addrs[2].in.sin_port = port;
	}
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(opens_every_address_once),
		T(sweeping_closes_what_is_not_named),
		T(a_copy_in_another_process_listens_no_more),
		T(a_port_in_use_is_named),
		T(control_has_a_socket_too),
		T(adopted_sockets_are_used),
		T(unix_paths_are_removed),
		T(a_virtual_address_may_be_absent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
