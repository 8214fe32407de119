/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP server of the program's own interfaces, over real sockets on one loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "ipc/httpd.h"
#include "net/sock.h"

#define PATIENCE (30 * NS_PER_S)

static struct loop *loop;
static struct httpd *server;
static int listening;
static struct net_addr address;
static unsigned requests;
static uint64_t deferred; /* id of a request to /later */
static size_t last_body;
static bool last_local;

static void handle(struct httpd *h, const struct httpd_request *r, void *arg)
{
	struct httpd_answer a = { .status = 200, .type = "text/plain" };

	(void)arg;
	requests++;
	last_body = r->body.len;
	last_local = r->local;
	if (str_eq(r->head->path, STR("/later"))) {
		deferred = r->id;
		return;
	}
	if (str_eq(r->head->path, STR("/big"))) {
		for (unsigned i = 0; i < 1 << 18; i++)
			buf_adds(&a.body, "0123456789abcdef");
	} else {
		buf_printf(&a.body, "%u %.*s %.*s", requests, STR_ARG(r->head->path),
		           STR_ARG(r->body));
	}
	httpd_answer(h, r->id, &a);
}

static void start(const struct httpd_limits *limits)
{
	socklen_t len = sizeof(address.in);

	requests = 0;
	deferred = 0;
	loop = loop_new();
	assert_non_null(loop);
	assert_int_equal(net_addr_parse(STR("127.0.0.1:1"), &address, NULL), OK);
	address.in.sin_port = 0; /* the kernel chooses */
	listening = net_listen(&address, 128, 0);
	assert_true(listening >= 0);
	assert_int_equal(getsockname(listening, &address.sa, &len), 0);
	server = httpd_new(loop, limits != NULL ? limits : &httpd_limits_default, handle, NULL);
	assert_int_equal(httpd_listen(server, listening, false), OK);
}

static void stop(void)
{
	httpd_free(server);
	loop_turn(loop, 0);
	loop_free(loop);
	close(listening);
}

static int client(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, &address.sa, address.len), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void say(int fd, const char *text)
{
	size_t len = strlen(text);

	assert_int_equal(send(fd, text, len, MSG_NOSIGNAL), (ssize_t)len);
}

/* Runs the loop until fd has given `want` somewhere in what it says, or its end when want is NULL.
 * Returns what it said, to free(). */
static char *hear(int fd, const char *want)
{
	struct buf b = BUF_INIT;
	uint64_t end = clock_mono() + PATIENCE;

	for (;;) {
		char bytes[65536];
		ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

		if (n > 0)
			buf_add(&b, bytes, (size_t)n);
		if (want != NULL && strstr(buf_cstr(&b), want) != NULL)
			break;
		if (n == 0 || (n < 0 && errno != EAGAIN)) {
			if (want != NULL)
				fail_msg("ended after: %s", buf_cstr(&b));
			break;
		}
		if (clock_mono() > end)
			fail_msg("waited in vain after: %s", buf_cstr(&b));
		loop_turn(loop, NS_PER_MS);
	}
	buf_cstr(&b);
	return buf_take(&b);
}

static void expect(int fd, const char *want)
{
	free(hear(fd, want));
}

static void expect_end(int fd, const char *want)
{
	char *all = hear(fd, NULL);

	if (want != NULL && (all == NULL || strstr(all, want) == NULL))
		fail_msg("no \"%s\" in: %s", want, all != NULL ? all : "");
	free(all);
	close(fd);
}

static unsigned count(const char *all, const char *what)
{
	size_t len = strlen(all), n = strlen(what);
	unsigned found = 0;

	/* strstr() under AddressSanitizer looks at the whole rest each time. */
	for (size_t i = 0; i + n <= len; i++)
		found += memcmp(all + i, what, n) == 0;
	return found;
}

static void test_keep_alive(void **state)
{
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(fd, "1 /a");
	say(fd, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(fd, "2 /b");
	assert_int_equal(httpd_connections(server), 1);
	assert_false(last_local);
	close(fd);
	stop();
}

static void test_close_asked(void **state)
{
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	say(fd, "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	expect_end(fd, "Connection: close");
	stop();
}

static void test_http10(void **state)
{
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	say(fd, "GET /a HTTP/1.0\r\n\r\n");
	expect_end(fd, "1 /a");
	stop();
}

static void test_byte_by_byte(void **state)
{
	static const char text[] = "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello";
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	for (size_t i = 0; i < sizeof(text) - 1; i++) {
		assert_int_equal(send(fd, text + i, 1, MSG_NOSIGNAL), 1);
		loop_turn(loop, 0);
	}
	expect(fd, "1 /p hello");
	close(fd);
	stop();
}

static void test_chunked(void **state)
{
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	say(fd, "POST /p HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n");
	loop_turn(loop, NS_PER_MS);
	say(fd, "3\r\nllo\r\n0\r\n\r\nGET /next HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(fd, "2 /next");
	close(fd);
	stop();
}

static void test_pipelining(void **state)
{
	struct buf many = BUF_INIT;
	char *all;
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	for (unsigned i = 0; i < 200; i++)
		buf_printf(&many, "GET /n HTTP/1.1\r\nHost: x\r\n\r\n");
	buf_adds(&many, "GET /n HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	say(fd, buf_cstr(&many));
	all = hear(fd, NULL);
	assert_int_equal(count(all, "HTTP/1.1 200 OK"), 201);
	assert_non_null(strstr(all, "201 /n"));
	free(all);
	buf_free(&many);
	close(fd);
	stop();
}

static void test_pipelined_then_half_closed(void **state)
{
	char *all;
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	say(fd, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n");
	shutdown(fd, SHUT_WR);
	all = hear(fd, NULL);
	assert_int_equal(count(all, "HTTP/1.1 200 OK"), 2);
	free(all);
	close(fd);
	stop();
}

static void test_head_has_no_body(void **state)
{
	char *all;
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	say(fd, "HEAD /abc HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	all = hear(fd, NULL);
	assert_non_null(strstr(all, "Content-Length: 7\r\n"));
	assert_null(strstr(all, "/abc"));
	free(all);
	close(fd);
	stop();
}

static void test_expect_continue(void **state)
{
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	say(fd, "POST /p HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
	expect(fd, "HTTP/1.1 100 Continue\r\n\r\n");
	say(fd, "ok");
	expect(fd, "1 /p ok");
	close(fd);
	stop();
}

static void refused(const char *text, const char *want)
{
	int fd = client();

	say(fd, text);
	expect_end(fd, want);
}

static void test_refusals(void **state)
{
	(void)state;
	start(NULL);
	refused("GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 ");
	refused("GET / HTTP/1.1\nHost: x\n\n", "HTTP/1.1 400 ");
	refused("\x16\x03\x01\x02\x01", "HTTP/1.1 400 ");
	refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: "
	        "chunked\r\n\r\n",
	        "HTTP/1.1 400 ");
	refused("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
	        "HTTP/1.1 400 ");
	refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", "HTTP/1.1 413 ");
	refused("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n",
	        "HTTP/1.1 4");
	assert_int_equal(requests, 0);
	stop();
}

static void test_huge_head(void **state)
{
	struct buf b = BUF_INIT;
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	buf_adds(&b, "GET / HTTP/1.1\r\nHost: x\r\nA: ");
	for (unsigned i = 0; i < 20000; i++)
		buf_addc(&b, 'a');
	say(fd, buf_cstr(&b));
	expect_end(fd, "HTTP/1.1 431 ");
	buf_free(&b);
	stop();
}

static void test_chunked_too_large(void **state)
{
	struct httpd_limits limits = httpd_limits_default;
	struct buf b = BUF_INIT;
	int fd;

	(void)state;
	limits.max_body = 1000;
	start(&limits);
	fd = client();
	buf_adds(&b, "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (unsigned i = 0; i < 1001; i++)
		buf_adds(&b, "1\r\na\r\n");
	say(fd, buf_cstr(&b));
	expect_end(fd, "HTTP/1.1 413 ");
	assert_int_equal(requests, 0);
	buf_free(&b);
	stop();
}

static void test_slow_request(void **state)
{
	struct httpd_limits limits = httpd_limits_default;
	int fd;

	(void)state;
	limits.request_time = 50 * NS_PER_MS;
	start(&limits);
	fd = client();
	say(fd, "GET / HTT");
	expect_end(fd, "HTTP/1.1 408 ");
	stop();
}

static void test_silent_client(void **state)
{
	struct httpd_limits limits = httpd_limits_default;
	int fd;

	(void)state;
	limits.request_time = 50 * NS_PER_MS;
	start(&limits);
	fd = client();
	expect_end(fd, NULL);
	stop();
}

static void test_idle_client(void **state)
{
	struct httpd_limits limits = httpd_limits_default;
	int fd;

	(void)state;
	limits.idle_time = 50 * NS_PER_MS;
	start(&limits);
	fd = client();
	say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	expect_end(fd, "1 /a");
	stop();
}

static void test_big_answer(void **state)
{
	size_t pieces = 0;
	const char *body;
	char *all;
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	say(fd, "GET /big HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	all = hear(fd, NULL);
	body = strstr(all, "\r\n\r\n");
	assert_non_null(body);
	for (body += 4; strncmp(body, "0123456789abcdef", 16) == 0; body += 16)
		pieces++;
	assert_int_equal(pieces, 1 << 18);
	assert_int_equal(*body, 0);
	free(all);
	close(fd);
	stop();
}

static void test_client_that_does_not_read(void **state)
{
	struct httpd_limits limits = httpd_limits_default;
	uint64_t end = clock_mono() + PATIENCE;
	int fd;

	(void)state;
	limits.write_time = 50 * NS_PER_MS;
	start(&limits);
	fd = client();
	say(fd, "GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
	while (httpd_unsent(server) == 0 && clock_mono() < end)
		loop_turn(loop, NS_PER_MS);
	assert_int_equal(httpd_unsent(server), 16 << 18);
	do
		loop_turn(loop, NS_PER_MS);
	while ((requests == 0 || httpd_connections(server) > 0) && clock_mono() < end);
	assert_int_equal(requests, 1);
	assert_int_equal(httpd_connections(server), 0);
	assert_int_equal(httpd_unsent(server), 0);
	close(fd);
	stop();
}

static void test_deferred_answer(void **state)
{
	struct httpd_answer a = { .status = 202, .type = "text/plain" };
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	say(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
	while (deferred == 0)
		loop_turn(loop, NS_PER_MS);
	assert_int_equal(requests, 1);
	buf_adds(&a.body, "at last");
	httpd_answer(server, deferred, &a);
	expect(fd, "2 /b");
	close(fd);
	stop();
}

static void test_deferred_client_gone(void **state)
{
	struct httpd_answer a = { .status = 202 };
	uint64_t end = clock_mono() + PATIENCE;
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	say(fd, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	while (deferred == 0)
		loop_turn(loop, NS_PER_MS);
	net_close_reset(fd);
	while (httpd_connections(server) > 0 && clock_mono() < end)
		loop_turn(loop, NS_PER_MS);
	assert_int_equal(httpd_connections(server), 0);
	buf_adds(&a.body, "for nobody");
	httpd_answer(server, deferred, &a);
	stop();
}

static void test_too_many_idle(void **state)
{
	struct httpd_limits limits = httpd_limits_default;
	int fd[5];

	(void)state;
	limits.max_connections = 4;
	start(&limits);
	for (unsigned i = 0; i < 5; i++) {
		fd[i] = client();
		say(fd[i], "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
		expect(fd[i], " /a");
	}
	/* The first was idle longest and made room. */
	expect_end(fd[0], NULL);
	assert_int_equal(httpd_connections(server), 4);
	for (unsigned i = 1; i < 5; i++)
		close(fd[i]);
	stop();
}

static void test_too_many_busy(void **state)
{
	struct httpd_limits limits = httpd_limits_default;
	int fd[3];

	(void)state;
	limits.max_connections = 2;
	start(&limits);
	for (unsigned i = 0; i < 2; i++) {
		fd[i] = client();
		say(fd[i], "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
		while (requests < i + 1)
			loop_turn(loop, NS_PER_MS);
	}
	fd[2] = client();
	expect_end(fd[2], "HTTP/1.1 503 ");
	close(fd[0]);
	close(fd[1]);
	stop();
}

static void test_unlisten(void **state)
{
	int fd;

	(void)state;
	start(NULL);
	fd = client();
	say(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(fd, "1 /a");
	httpd_unlisten(server, listening);
	say(fd, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(fd, "2 /b");
	close(fd);
	stop();
}

static void test_drain(void **state)
{
	struct httpd_answer a = { .status = 200 };
	int idle;
	int busy;

	(void)state;
	start(NULL);
	idle = client();
	say(idle, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
	expect(idle, "1 /a");
	busy = client();
	say(busy, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	while (deferred == 0)
		loop_turn(loop, NS_PER_MS);
	httpd_drain(server);
	expect_end(idle, NULL);
	buf_adds(&a.body, "done");
	httpd_answer(server, deferred, &a);
	expect_end(busy, "done");
	stop();
}

static void test_linger_flood_is_bounded(void **state)
{
	char junk[4096];
	uint64_t end = clock_mono() + PATIENCE;
	int fd;

	(void)state;
	start(NULL);
	memset(junk, 'j', sizeof(junk));
	fd = client();
	say(fd, "GET / HTTP/1.1\r\nBad Header: x\r\n\r\n");
	/* Goes on sending after the refusal: cut off in bounded time. */
	while (clock_mono() < end) {
		if (send(fd, junk, sizeof(junk), MSG_NOSIGNAL) < 0 && errno != EAGAIN)
			break;
		loop_turn(loop, 0);
	}
	assert_true(clock_mono() < end);
	assert_int_equal(httpd_connections(server), 0);
	close(fd);
	stop();
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keep_alive),
		cmocka_unit_test(test_close_asked),
		cmocka_unit_test(test_http10),
		cmocka_unit_test(test_byte_by_byte),
		cmocka_unit_test(test_chunked),
		cmocka_unit_test(test_pipelining),
		cmocka_unit_test(test_pipelined_then_half_closed),
		cmocka_unit_test(test_head_has_no_body),
		cmocka_unit_test(test_expect_continue),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_huge_head),
		cmocka_unit_test(test_chunked_too_large),
		cmocka_unit_test(test_slow_request),
		cmocka_unit_test(test_silent_client),
		cmocka_unit_test(test_idle_client),
		cmocka_unit_test(test_big_answer),
		cmocka_unit_test(test_client_that_does_not_read),
		cmocka_unit_test(test_deferred_answer),
		cmocka_unit_test(test_deferred_client_gone),
		cmocka_unit_test(test_too_many_idle),
		cmocka_unit_test(test_too_many_busy),
		cmocka_unit_test(test_unlisten),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_linger_flood_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
