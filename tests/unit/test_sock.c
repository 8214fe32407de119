/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets: listening, connecting, accepting, resets, descriptors over a pair. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
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
#include "net/sock.h"

#define WAIT_MS 30000

static void await(int fd, short events)
{
	struct pollfd p = { .fd = fd, .events = events };

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
}

/* Listens on a port of the kernel's choice and fills *ret with it. */
static int listen_loopback(struct net_addr *ret)
{
	struct net_addr a;
	int fd;

	assert_int_equal(net_addr_parse(STR("127.0.0.1:1"), &a, NULL), OK);
	a.in.sin_port = 0;
	fd = net_listen(&a, 16, 0);
	assert_true(fd >= 0);
	net_local_addr(fd, ret);
	return fd;
}

static void expect_flags(int fd)
{
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	assert_true(fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static int option(int fd, int level, int name)
{
	int value = -1;
	socklen_t len = sizeof(value);

	assert_int_equal(getsockopt(fd, level, name, &value, &len), 0);
	return value;
}

static int connect_to(const struct net_addr *a)
{
	bool done = false;
	int fd = net_connect(a, &done);

	assert_true(fd >= 0);
	if (!done) {
		await(fd, POLLOUT);
	}
	assert_int_equal(net_connect_error(fd), 0);
	return fd;
}

static void test_tcp(void **state)
{
	struct net_addr at, peer, mine;
	int l = listen_loopback(&at), c, s;

	(void)state;
	assert_int_equal(net_accept(l, &peer), ERR_AGAIN);
	c = connect_to(&at);
	await(l, POLLIN);
	s = net_accept(l, &peer);
	assert_true(s >= 0);
	expect_flags(l);
	expect_flags(c);
	expect_flags(s);
	assert_int_not_equal(option(c, IPPROTO_TCP, TCP_NODELAY), 0);
	assert_int_not_equal(option(s, IPPROTO_TCP, TCP_NODELAY), 0);
	net_local_addr(c, &mine);
	assert_true(net_addr_eq(&mine, &peer));
	assert_int_equal(send(c, "hi", 2, 0), 2);
	await(s, POLLIN);
	net_close(c);
	net_close(s);
	net_close(l);
}

static void test_port_in_use(void **state)
{
	struct net_addr at;
	int l = listen_loopback(&at);

	(void)state;
	assert_int_equal(net_listen(&at, 16, 0), ERR_SYSTEM);
	assert_int_equal(errno, EADDRINUSE);
	net_close(l);
}

/* A port that is taken but not listened on: nobody else can get it meanwhile. */
static void test_refused(void **state)
{
	struct net_addr at;
	bool done = false;
	int holder = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

	(void)state;
	assert_int_equal(net_addr_parse(STR("127.0.0.1:1"), &at, NULL), OK);
	at.in.sin_port = 0;
	assert_int_equal(bind(holder, &at.sa, at.len), 0);
	net_local_addr(holder, &at);
	fd = net_connect(&at, &done);
	if (fd >= 0) {
		await(fd, POLLOUT);
		assert_int_equal(net_connect_error(fd), ECONNREFUSED);
		net_close(fd);
	} else {
		assert_int_equal(errno, ECONNREFUSED);
	}
	close(holder);
}

static void test_close_reset(void **state)
{
	struct net_addr at, peer;
	int l = listen_loopback(&at), c = connect_to(&at), s;
	char byte;

	(void)state;
	await(l, POLLIN);
	s = net_accept(l, &peer);
	assert_true(s >= 0);
	net_close_reset(s);
	await(c, POLLIN);
	assert_int_equal(recv(c, &byte, 1, 0), -1);
	assert_int_equal(errno, ECONNRESET);
	net_close(c);
	net_close(l);
}

/* "*" takes IPv4 clients, and IPv6 ones where the machine has IPv6. */
static void test_wildcard(void **state)
{
	struct net_addr any, at, to, peer;
	char out[NET_ADDR_TEXT];
	int l, c, s;

	(void)state;
	assert_int_equal(net_addr_parse(STR("*:1"), &any, NULL), OK);
	any.in6.sin6_port = 0;
	l = net_listen(&any, 16, 0);
	assert_true(l >= 0);
	net_local_addr(l, &at);
	assert_int_equal(net_addr_parse(STR("127.0.0.1:1"), &to, NULL), OK);
	to.in.sin_port = htons(net_addr_port(&at));
	c = connect_to(&to);
	await(l, POLLIN);
	s = net_accept(l, &peer);
	assert_true(s >= 0);
	assert_string_equal(net_addr_host(&peer, out), "127.0.0.1");
	net_close(s);
	net_close(c);
	net_close(l);
}

/* "[::]" leaves the port to IPv4. */
static void test_v6_only(void **state)
{
	struct net_addr six, four;
	int l6, l4;

	(void)state;
	assert_int_equal(net_addr_parse(STR("[::]:1"), &six, NULL), OK);
	six.in6.sin6_port = 0;
	l6 = net_listen(&six, 16, 0);
	if (l6 < 0) {
		skip(); /* no IPv6 here */
	}
	assert_int_equal(option(l6, IPPROTO_IPV6, IPV6_V6ONLY), 1);
	net_local_addr(l6, &six);
	assert_int_equal(net_addr_parse(STR("0.0.0.0:1"), &four, NULL), OK);
	four.in.sin_port = six.in6.sin6_port;
	l4 = net_listen(&four, 16, 0);
	assert_true(l4 >= 0 || errno == EADDRINUSE); /* another program may have it */
	if (l4 >= 0) {
		net_close(l4);
	}
	net_close(l6);
}

static void test_unix(void **state)
{
	char dir[] = "/tmp/test_sock.XXXXXX", text[64];
	struct net_addr a, peer;
	struct stat st;
	bool done = false;
	int l, c, s;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(text, sizeof(text), "unix:%s/s", dir);
	assert_int_equal(net_addr_parse(str_from(text), &a, NULL), OK);
	l = net_listen(&a, 16, 0660);
	assert_true(l >= 0);
	expect_flags(l);
	assert_int_equal(stat(a.un.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	c = net_connect(&a, &done);
	assert_true(c >= 0);
	assert_true(done);
	s = net_accept(l, &peer);
	assert_true(s >= 0);
	assert_int_equal(peer.sa.sa_family, AF_UNIX);
	/* In use: refused. Left behind: replaced. */
	assert_int_equal(net_listen(&a, 16, 0), ERR_SYSTEM);
	assert_int_equal(errno, EADDRINUSE);
	net_close(l);
	l = net_listen(&a, 16, 0);
	assert_true(l >= 0);
	assert_int_equal(stat(a.un.sun_path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0666);
	net_close(l);
	net_close(c);
	net_close(s);
	unlink(a.un.sun_path);
	rmdir(dir);
}

static void test_unix_no_socket(void **state)
{
	char path[] = "/tmp/test_sock.XXXXXX", text[64];
	struct net_addr a;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	snprintf(text, sizeof(text), "unix:%s", path);
	assert_int_equal(net_addr_parse(str_from(text), &a, NULL), OK);
	assert_int_equal(net_listen(&a, 16, 0), ERR_SYSTEM); /* a file of someone's: not replaced */
	assert_int_equal(errno, EADDRINUSE);
	assert_int_equal(access(path, F_OK), 0);
	close(fd);
	unlink(path);
}

static void test_pair(void **state)
{
	char data[64];
	int pair[2], n = 0;

	(void)state;
	assert_int_equal(net_pair(pair), OK);
	expect_flags(pair[0]);
	expect_flags(pair[1]);
	assert_int_equal(net_recv_fds(pair[1], data, sizeof(data), NULL, &n), ERR_AGAIN);
	assert_int_equal(net_send_fds(pair[0], "one", 3, NULL, 0), OK);
	assert_int_equal(net_send_fds(pair[0], "four", 4, NULL, 0), OK);
	n = 0;
	assert_int_equal(net_recv_fds(pair[1], data, sizeof(data), NULL, &n), 3);
	assert_memory_equal(data, "one", 3);
	assert_int_equal(net_recv_fds(pair[1], data, sizeof(data), NULL, &n), 4);
	net_close(pair[0]);
	assert_int_equal(net_recv_fds(pair[1], data, sizeof(data), NULL, &n), ERR_CLOSED);
	assert_int_equal(net_send_fds(pair[1], "x", 1, NULL, 0), ERR_CLOSED);
	net_close(pair[1]);
}

static void test_pass_fds(void **state)
{
	int pair[2], pipes[2], fds[8], n = 8;
	char data[8];

	(void)state;
	assert_int_equal(net_pair(pair), OK);
	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(net_send_fds(pair[0], "p", 1, pipes, 2), OK);
	close(pipes[0]);
	assert_int_equal(net_recv_fds(pair[1], data, sizeof(data), fds, &n), 1);
	assert_int_equal(n, 2);
	assert_true(fcntl(fds[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(write(pipes[1], "through", 7), 7);
	assert_int_equal(read(fds[0], data, sizeof(data)), 7);
	close(pipes[1]);
	close(fds[0]);
	close(fds[1]);
	net_close(pair[0]);
	net_close(pair[1]);
}

/* More descriptors, or more bytes, than there is room for: an error, and nothing leaks. */
static void test_too_much(void **state)
{
	int pair[2], pipes[2], six[6], fds[6], n = 2;
	char data[4];

	(void)state;
	assert_int_equal(net_pair(pair), OK);
	assert_int_equal(pipe2(pipes, O_NONBLOCK), 0);
	for (unsigned i = 0; i < 6; i++) {
		six[i] = pipes[1];
	}
	assert_int_equal(net_send_fds(pair[0], "x", 1, six, 6), OK);
	assert_int_equal(net_send_fds(pair[0], "longer", 6, six, 1), OK);
	close(pipes[1]);
	assert_int_equal(net_recv_fds(pair[1], data, sizeof(data), fds, &n), ERR_TOO_LARGE);
	assert_int_equal(n, 0);
	n = 6;
	assert_int_equal(net_recv_fds(pair[1], data, sizeof(data), fds, &n), ERR_TOO_LARGE);
	assert_int_equal(n, 0);
	assert_int_equal(read(pipes[0], data, 1), 0); /* all copies of the other end are closed */
	close(pipes[0]);
	net_close(pair[0]);
	net_close(pair[1]);
}

static void test_pair_full(void **state)
{
	static char packet[4096];
	int pair[2], err = OK;

	(void)state;
	assert_int_equal(net_pair(pair), OK);
	for (unsigned i = 0; i < 100000 && err == OK; i++) {
		err = net_send_fds(pair[0], packet, sizeof(packet), NULL, 0);
	}
	assert_int_equal(err, ERR_AGAIN);
	net_close(pair[0]);
	net_close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),      cmocka_unit_test(test_port_in_use),
		cmocka_unit_test(test_refused),  cmocka_unit_test(test_close_reset),
		cmocka_unit_test(test_wildcard), cmocka_unit_test(test_v6_only),
		cmocka_unit_test(test_unix),     cmocka_unit_test(test_unix_no_socket),
		cmocka_unit_test(test_pair),     cmocka_unit_test(test_pass_fds),
		cmocka_unit_test(test_too_much), cmocka_unit_test(test_pair_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
