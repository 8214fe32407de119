/* SPDX-License-Identifier: Apache-2.0 */
/* Flows and streams: bytes that wait, partial writes, short reads, ends and resets, on real
 * sockets. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/err.h"
#include "net/sock.h"
#include "net/stream.h"

#define WAIT_MS 30000
#define BIG     ((size_t)4 * 1024 * 1024)

static struct flow flow;
static struct stream s;
static int peer;

static void on_event(struct loop_io *io, uint32_t events)
{
}

/* Far less than BIG, whatever the machine's defaults. */
static void limit_buffer(int fd)
{
	const int size = 65536;

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
}

static int setup_pair(void **state)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	                 0);
	limit_buffer(fds[0]);
	stream_init(&s, fds[0], on_event);
	peer = fds[1];
	return 0;
}

/* A TCP connection, for what only that knows: resets. */
static int setup_tcp(void **state)
{
	struct net_addr a;
	bool done;
	int lfd, fd;

	assert_int_equal(net_addr_parse(STR("127.0.0.1:1"), &a, NULL), OK);
	a.in.sin_port = 0;
	lfd = net_listen(&a, 4, 0);
	assert_true(lfd >= 0);
	net_local_addr(lfd, &a);
	fd = net_connect(&a, &done);
	assert_true(fd >= 0);
	assert_int_equal(poll(&(struct pollfd){ .fd = lfd, .events = POLLIN }, 1, WAIT_MS), 1);
	peer = net_accept(lfd, &a);
	assert_true(peer >= 0);
	close(lfd);
	assert_int_equal(poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, WAIT_MS), 1);
	limit_buffer(fd);
	stream_init(&s, fd, on_event);
	return 0;
}

static int teardown(void **state)
{
	stream_close(&s, false);
	if (peer >= 0)
		close(peer);
	peer = -1;
	flow_free(&flow);
	return 0;
}

static int teardown_flow(void **state)
{
	flow_free(&flow);
	return 0;
}

/* What the kernel has to say of the stream's socket, as the loop would note it; waits for some of
 * `events`, or the end. */
static void note(uint32_t events)
{
	struct pollfd p = { .fd = s.io.fd, .events = (short)(events | EPOLLRDHUP) };

	assert_int_equal(poll(&p, 1, WAIT_MS), 1);
	stream_events(&s, (uint32_t)p.revents);
}

static char *pattern(size_t len)
{
	char *p = malloc(len);

	assert_non_null(p);
	for (size_t i = 0; i < len; i++)
		p[i] = (char)((i * 31) ^ (i >> 8));
	return p;
}

static int send_all(const void *p, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)p, len };

	return stream_send(&s, &iov, 1);
}

/* Reads at the peer what is there, at most len bytes. */
static size_t drain(char *to, size_t len)
{
	size_t n = 0;

	while (n < len) {
		ssize_t r = read(peer, to + n, len - n);

		if (r <= 0)
			break;
		n += (size_t)r;
	}
	return n;
}

/* Lets the peer read until it has `want` bytes, flushing the stream as its socket takes more. */
static void pass(char *to, size_t have, size_t want)
{
	while (have < want) {
		struct pollfd p[2] = { { .fd = peer, .events = POLLIN },
			               { .fd = flow_empty(&s.out) ? -1 : s.io.fd,
			                 .events = POLLOUT } };

		assert_true(poll(p, 2, WAIT_MS) > 0);
		have += drain(to + have, want - have);
		if (p[1].revents != 0) {
			stream_events(&s, (uint32_t)p[1].revents);
			assert_int_equal(stream_flush(&s), OK);
		}
	}
	assert_int_equal(have, want);
}

/* --- flows ---------------------------------------------------------------------------------- */

static void test_flow_empty(void **state)
{
	assert_true(flow_empty(&flow));
	assert_int_equal(flow_str(&flow).len, 0);
	assert_int_equal(flow_add(&flow, "x", 0), OK);
	assert_null(flow.p); /* no memory for nothing */
	flow_drop(&flow, 0);
	flow_free(&flow);
}

static void test_flow_order(void **state)
{
	assert_int_equal(flow_add(&flow, "abc", 3), OK);
	assert_int_equal(flow_add(&flow, "defg", 4), OK);
	assert_int_equal(flow.len, 7);
	flow_drop(&flow, 2);
	assert_memory_equal(flow_str(&flow).s, "cdefg", 5);
	assert_int_equal(flow_add(&flow, "h", 1), OK);
	assert_int_equal(flow_str(&flow).len, 6);
	assert_memory_equal(flow_str(&flow).s, "cdefgh", 6);
	flow_drop(&flow, 6);
	assert_true(flow_empty(&flow));
	assert_null(flow.p); /* holds no memory while empty */
	assert_int_equal(flow_add(&flow, "again", 5), OK);
	assert_memory_equal(flow_str(&flow).s, "again", 5);
}

/* A long stream through a flow that is never empty: its memory stays that of what waits. */
static void test_flow_room_is_reused(void **state)
{
	uint8_t piece[100], expect = 0, next = 0;

	for (unsigned turn = 0; turn < 10000; turn++) {
		for (unsigned i = 0; i < sizeof(piece); i++)
			piece[i] = next++;
		assert_int_equal(flow_add(&flow, piece, sizeof(piece)), OK);
		if (turn < 3)
			continue;
		for (unsigned i = 0; i < sizeof(piece); i++)
			assert_int_equal((uint8_t)flow_str(&flow).s[i], expect++);
		flow_drop(&flow, sizeof(piece));
	}
	assert_int_equal(flow.len, 300);
	assert_true(flow.cap <= 4096);
}

static void test_flow_grows(void **state)
{
	char *p = pattern(BIG);
	size_t at = 0;

	for (size_t step = 1; at < BIG; step = step * 3 + 1) {
		size_t n = step < BIG - at ? step : BIG - at;

		assert_int_equal(flow_add(&flow, p + at, n), OK);
		at += n;
	}
	assert_int_equal(flow.len, BIG);
	assert_memory_equal(flow_str(&flow).s, p, BIG);
	assert_true(flow.cap <= 2 * BIG);
	free(p);
}

static void test_flow_too_much(void **state)
{
	/* Beyond 32 bits of length: refused, and what was there stays. */
	assert_int_equal(flow_add(&flow, "abc", 3), OK);
	assert_int_equal(flow_add(&flow, "", (size_t)UINT32_MAX), ERR_NOMEM);
	assert_int_equal(flow.len, 3);
	assert_memory_equal(flow_str(&flow).s, "abc", 3);
}

/* --- sending -------------------------------------------------------------------------------- */

static void test_send_at_once(void **state)
{
	char text[] = "head body";
	struct iovec iov[3] = { { text, 5 }, { text, 0 }, { text + 5, 4 } };
	char got[16] = "";

	assert_int_equal(stream_send(&s, iov, 3), OK);
	assert_true(flow_empty(&s.out));
	assert_true(s.writable);
	assert_int_equal(drain(got, sizeof(got)), 9);
	assert_string_equal(got, "head body");
}

/* More than the kernel takes: the rest waits, in order, and goes out as the peer reads. */
static void test_send_back_pressure(void **state)
{
	char *p = pattern(BIG), *got = malloc(BIG);

	assert_int_equal(send_all(p, BIG), OK);
	assert_false(flow_empty(&s.out));
	assert_false(s.writable);
	/* Without the kernel's word nothing is tried, and nothing is lost. */
	assert_int_equal(stream_flush(&s), OK);
	pass(got, 0, BIG);
	assert_memory_equal(got, p, BIG);
	assert_true(flow_empty(&s.out));
	assert_null(s.out.p);
	free(p);
	free(got);
}

/* A gathered send that is cut within each of its parts keeps exactly what is missing. */
static void test_send_cut_anywhere(void **state)
{
	char *p = pattern(BIG), *got = malloc(BIG);

	for (size_t first = 1; first <= 10000001; first *= 10) {
		size_t cut = first < BIG ? first : BIG - 1;
		struct iovec iov[3] = { { p, cut / 2 },
			                { p + cut / 2, cut - cut / 2 },
			                { p + cut, BIG - cut } };

		assert_int_equal(stream_send(&s, iov, 3), OK);
		pass(got, 0, BIG);
		assert_memory_equal(got, p, BIG);
	}
	free(p);
	free(got);
}

/* While bytes wait, later ones queue up behind them even if the kernel would take them. */
static void test_send_keeps_order(void **state)
{
	char *p = pattern(BIG), *got = malloc(BIG + 8);
	size_t have;

	assert_int_equal(send_all(p, BIG), OK);
	have = drain(got, BIG / 2);
	stream_events(&s, LOOP_OUT); /* whether or not it would take all of what waits */
	assert_int_equal(send_all("the end.", 8), OK);
	pass(got, have, BIG + 8);
	assert_memory_equal(got, p, BIG);
	assert_memory_equal(got + BIG, "the end.", 8);
	free(p);
	free(got);
}

static void test_send_while_not_writable(void **state)
{
	char got[16] = "";

	s.writable = false;
	assert_int_equal(send_all("later", 5), OK);
	assert_int_equal(drain(got, sizeof(got)), 0);
	assert_int_equal(s.out.len, 5);
	stream_events(&s, LOOP_OUT);
	assert_int_equal(stream_flush(&s), OK);
	assert_int_equal(drain(got, sizeof(got)), 5);
	assert_string_equal(got, "later");
}

/* A closed peer is an error, never a signal. */
static void test_send_to_nobody(void **state)
{
	close(peer);
	peer = -1;
	assert_int_equal(send_all("x", 1), ERR_SYSTEM);
	assert_int_equal(errno, EPIPE);
	assert_true(s.broken);
	assert_true(flow_empty(&s.out));
}

static void test_flush_to_nobody(void **state)
{
	char *p = pattern(BIG);

	assert_int_equal(send_all(p, BIG), OK);
	close(peer);
	peer = -1;
	note(EPOLLOUT);
	s.writable = true;
	assert_int_equal(stream_flush(&s), ERR_SYSTEM);
	assert_true(errno == EPIPE || errno == ECONNRESET);
	assert_true(s.broken);
	free(p);
}

/* --- receiving ------------------------------------------------------------------------------ */

static void test_recv_nothing(void **state)
{
	char got[8];

	s.readable = true;
	assert_int_equal(stream_recv(&s, got, sizeof(got)), ERR_AGAIN);
	assert_false(s.readable);
	assert_false(s.eof);
	assert_false(s.broken);
}

/* A short read has emptied the socket: no further call is spent to find that out. */
static void test_recv_short(void **state)
{
	char got[8];

	assert_int_equal(write(peer, "abc", 3), 3);
	note(EPOLLIN);
	assert_true(s.readable);
	assert_int_equal(stream_recv(&s, got, sizeof(got)), 3);
	assert_memory_equal(got, "abc", 3);
	assert_false(s.readable);
	/* The next bytes are a new event. */
	assert_int_equal(write(peer, "d", 1), 1);
	note(EPOLLIN);
	assert_int_equal(stream_recv(&s, got, sizeof(got)), 1);
}

static void test_recv_full(void **state)
{
	char got[4];

	assert_int_equal(write(peer, "abcdefgh", 8), 8);
	note(EPOLLIN);
	assert_int_equal(stream_recv(&s, got, sizeof(got)), 4);
	assert_true(s.readable); /* there may be more, and no event will say so */
	assert_int_equal(stream_recv(&s, got, sizeof(got)), 4);
	assert_memory_equal(got, "efgh", 4);
	assert_true(s.readable);
	assert_int_equal(stream_recv(&s, got, sizeof(got)), ERR_AGAIN);
	assert_false(s.readable);
}

/* The end that was reported with the bytes is read although the read was short. */
static void test_recv_to_the_end(void **state)
{
	char got[8];

	assert_int_equal(write(peer, "abc", 3), 3);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	note(0);
	assert_true(s.hup);
	assert_int_equal(stream_recv(&s, got, sizeof(got)), 3);
	assert_true(s.readable);
	assert_false(s.eof);
	assert_int_equal(stream_recv(&s, got, sizeof(got)), ERR_CLOSED);
	assert_true(s.eof);
	assert_false(s.readable);
	assert_false(s.broken);
	/* The other direction still works. */
	assert_int_equal(send_all("yes", 3), OK);
	assert_int_equal(drain(got, 3), 3);
	assert_memory_equal(got, "yes", 3);
}

static void test_shutdown(void **state)
{
	char got[8];

	stream_shutdown(&s);
	assert_true(s.ended);
	assert_int_equal(read(peer, got, sizeof(got)), 0);
	assert_int_equal(write(peer, "more", 4), 4);
	note(EPOLLIN);
	assert_int_equal(stream_recv(&s, got, sizeof(got)), 4);
}

/* Both directions ended in order: EPOLLHUP without an error is no breakage. */
static void test_both_ended(void **state)
{
	char got[8];

	stream_shutdown(&s);
	assert_int_equal(write(peer, "last", 4), 4);
	assert_int_equal(shutdown(peer, SHUT_WR), 0);
	note(0);
	assert_true(s.hup);
	assert_false(s.broken);
	assert_int_equal(stream_recv(&s, got, sizeof(got)), 4);
	assert_int_equal(stream_recv(&s, got, sizeof(got)), ERR_CLOSED);
	assert_false(s.broken);
}

static void test_events(void **state)
{
	stream_events(&s, LOOP_IN);
	assert_true(s.readable);
	assert_false(s.hup);
	s.readable = s.writable = false;
	stream_events(&s, LOOP_OUT);
	assert_true(s.writable);
	assert_false(s.readable);
	stream_events(&s, LOOP_RDHUP);
	assert_true(s.readable);
	assert_true(s.hup);
	assert_false(s.broken);
	stream_events(&s, EPOLLERR);
	assert_true(s.broken);
}

/* --- resets --------------------------------------------------------------------------------- */

static void test_recv_reset(void **state)
{
	char got[8];

	net_close_reset(peer);
	peer = -1;
	note(0);
	assert_true(s.broken);
	assert_int_equal(stream_recv(&s, got, sizeof(got)), ERR_SYSTEM);
	assert_int_equal(errno, ECONNRESET);
	assert_true(s.broken);
	assert_false(s.readable);
}

static void test_send_reset(void **state)
{
	char got[8];

	net_close_reset(peer);
	peer = -1;
	note(0);
	assert_int_equal(send_all("x", 1), ERR_SYSTEM);
	assert_true(errno == ECONNRESET || errno == EPIPE);
	assert_true(s.broken);
	/* The kernel has told of it and would show an end in order now. */
	s.readable = true;
	assert_int_equal(stream_recv(&s, got, sizeof(got)), ERR_SYSTEM);
	assert_int_equal(errno, ECONNRESET);
	assert_false(s.eof);
}

static int peer_reads(void)
{
	char got[8];

	assert_int_equal(poll(&(struct pollfd){ .fd = peer, .events = POLLIN }, 1, WAIT_MS), 1);
	return (int)read(peer, got, sizeof(got));
}

static void test_close_by_reset(void **state)
{
	assert_int_equal(send_all("x", 1), OK);
	assert_int_equal(peer_reads(), 1);
	stream_close(&s, true);
	assert_int_equal(s.io.fd, -1);
	errno = 0;
	assert_int_equal(peer_reads(), -1);
	assert_int_equal(errno, ECONNRESET);
}

static void test_close_in_order(void **state)
{
	assert_int_equal(flow_add(&s.out, "waits", 5), OK);
	stream_close(&s, false);
	assert_int_equal(s.io.fd, -1);
	assert_null(s.out.p); /* what waited is gone with it */
	assert_int_equal(peer_reads(), 0);
	stream_close(&s, true); /* a second time does nothing */
}

int main(void)
{
#define F(name) cmocka_unit_test_teardown(test_flow_##name, teardown_flow)
#define P(name) cmocka_unit_test_setup_teardown(test_##name, setup_pair, teardown)
#define R(name) cmocka_unit_test_setup_teardown(test_##name, setup_tcp, teardown)
	const struct CMUnitTest tests[] = {
		F(empty),
		F(order),
		F(room_is_reused),
		F(grows),
		F(too_much),
		P(send_at_once),
		P(send_back_pressure),
		R(send_back_pressure),
		P(send_cut_anywhere),
		P(send_keeps_order),
		P(send_while_not_writable),
		P(send_to_nobody),
		P(flush_to_nobody),
		P(recv_nothing),
		P(recv_short),
		P(recv_full),
		P(recv_to_the_end),
		R(recv_to_the_end),
		P(shutdown),
		R(both_ended),
		P(events),
		R(recv_reset),
		R(send_reset),
		R(close_by_reset),
		R(close_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
