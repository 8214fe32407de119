/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between parent and roles: what goes in comes out; what is broken is refused. */
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
#include "ipc/msg.h"
#include "net/sock.h"

static int pair[2];

static int setup(void **state)
{
	(void)state;
	return net_pair(pair);
}

static int teardown(void **state)
{
	(void)state;
	close(pair[0]);
	close(pair[1]);
	return 0;
}

static void carries_type_id_and_payload(void **state)
{
	struct ipc_msg m;

	(void)state;
	assert_int_equal(ipc_send(pair[0], IPC_ORDER, 77, "abc", 3, NULL, 0), OK);
	assert_int_equal(ipc_recv(pair[1], &m), OK);
	assert_int_equal(m.type, IPC_ORDER);
	assert_int_equal(m.id, 77);
	assert_int_equal(m.len, 3);
	assert_memory_equal(m.payload, "abc", 3);
	assert_int_equal(m.nfds, 0);
}

static void keeps_packets_apart_and_in_order(void **state)
{
	struct ipc_msg m;

	(void)state;
	for (uint32_t i = 0; i < 20; i++)
		assert_int_equal(ipc_send(pair[0], IPC_PULSE, i, NULL, 0, NULL, 0), OK);
	for (uint32_t i = 0; i < 20; i++) {
		assert_int_equal(ipc_recv(pair[1], &m), OK);
		assert_int_equal(m.id, i);
		assert_int_equal(m.len, 0);
	}
	assert_int_equal(ipc_recv(pair[1], &m), ERR_AGAIN);
}

static void carries_the_most_descriptors(void **state)
{
	struct ipc_msg m;
	int fds[IPC_MAX_FDS];

	(void)state;
	for (int i = 0; i < IPC_MAX_FDS; i++)
		fds[i] = STDERR_FILENO;
	assert_int_equal(ipc_send(pair[0], IPC_START, 1, NULL, 0, fds, IPC_MAX_FDS), OK);
	assert_int_equal(ipc_recv(pair[1], &m), OK);
	assert_int_equal(m.nfds, IPC_MAX_FDS);
	for (int i = 0; i < m.nfds; i++)
		assert_true(fcntl(m.fds[i], F_GETFD) & FD_CLOEXEC);
	ipc_msg_close(&m);
	assert_int_equal(m.nfds, 0);
}

static void refuses_what_is_too_large(void **state)
{
	static char big[IPC_MAX_PAYLOAD + 1];
	int fds[IPC_MAX_FDS + 1] = { 0 };
	struct ipc_msg m;

	(void)state;
	assert_int_equal(ipc_send(pair[0], IPC_ORDER, 0, big, sizeof(big), NULL, 0), ERR_TOO_LARGE);
	assert_int_equal(ipc_send(pair[0], IPC_ORDER, 0, NULL, 0, fds, IPC_MAX_FDS + 1),
	                 ERR_TOO_LARGE);
	assert_int_equal(ipc_send(pair[0], IPC_ORDER, 0, big, IPC_MAX_PAYLOAD, NULL, 0), OK);
	assert_int_equal(ipc_recv(pair[1], &m), OK);
	assert_int_equal(m.len, IPC_MAX_PAYLOAD);
}

static void a_strange_packet_is_no_message(void **state)
{
	static const char *const strange[] = { "x", "GET / HTTP/1.1\r\n\r\n", "HFM1" };
	struct ipc_msg m;

	(void)state;
	for (unsigned i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
		assert_true(send(pair[0], strange[i], strlen(strange[i]), 0) > 0);
		assert_int_equal(ipc_recv(pair[1], &m), ERR_SYNTAX);
		assert_int_equal(m.nfds, 0);
	}
}

static void a_wrong_length_or_type_is_no_message(void **state)
{
	struct ipc_msg m;
	uint32_t packet[6];
	ssize_t n;

	(void)state;
	assert_int_equal(ipc_send(pair[0], IPC_ORDER, 1, "abcd", 4, NULL, 0), OK);
	n = recv(pair[1], packet, sizeof(packet), 0);
	assert_int_equal(n, sizeof(packet));
	packet[4] = 5; /* says one byte more than there is */
	assert_int_equal(send(pair[0], packet, sizeof(packet), 0), n);
	assert_int_equal(ipc_recv(pair[1], &m), ERR_SYNTAX);
	packet[4] = 4;
	packet[1] = IPC_TYPES;
	assert_int_equal(send(pair[0], packet, sizeof(packet), 0), n);
	assert_int_equal(ipc_recv(pair[1], &m), ERR_SYNTAX);
}

static void the_end_is_told(void **state)
{
	struct ipc_msg m;

	(void)state;
	shutdown(pair[0], SHUT_RDWR);
	assert_int_equal(ipc_recv(pair[1], &m), ERR_CLOSED);
	assert_int_equal(ipc_send(pair[1], IPC_PULSE, 0, NULL, 0, NULL, 0), ERR_CLOSED);
	assert_int_equal(ipc_send(-1, IPC_PULSE, 0, NULL, 0, NULL, 0), ERR_CLOSED);
}

static void one_that_does_not_read_is_told_from_one_that_is_gone(void **state)
{
	static char big[IPC_MAX_PAYLOAD];
	int err = OK;

	(void)state;
	for (int i = 0; i < 100000 && err == OK; i++)
		err = ipc_send(pair[0], IPC_ORDER, 0, big, sizeof(big), NULL, 0);
	assert_int_equal(err, ERR_AGAIN);
}

static void results_carry_only_their_text(void **state)
{
	struct ipc_msg m;
	struct ipc_result r;

	(void)state;
	assert_int_equal(ipc_send_result(pair[0], IPC_RELOADED, 5, ERR_REFUSED, 3, "because"), OK);
	assert_int_equal(ipc_recv(pair[1], &m), OK);
	assert_true(m.len < 32);
	assert_true(ipc_result(&m, &r));
	assert_int_equal(r.err, ERR_REFUSED);
	assert_int_equal(r.count, 3);
	assert_string_equal(r.text, "because");
	assert_int_equal(ipc_send_result(pair[0], IPC_RELOADED, 5, OK, 0, NULL), OK);
	assert_int_equal(ipc_recv(pair[1], &m), OK);
	assert_true(ipc_result(&m, &r));
	assert_string_equal(r.text, "");
}

static void a_long_result_is_cut(void **state)
{
	static char text[20000];
	struct ipc_msg m;
	struct ipc_result r;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	assert_int_equal(ipc_send_result(pair[0], IPC_RELOADED, 5, OK, 0, text), OK);
	assert_int_equal(ipc_recv(pair[1], &m), OK);
	assert_true(ipc_result(&m, &r));
	assert_int_equal(strlen(r.text), sizeof(r.text) - 1);
}

static void a_result_without_an_end_gets_one(void **state)
{
	struct ipc_msg m = { .len = 8 + 4 };
	struct ipc_result r;

	(void)state;
	memcpy(m.payload + 8, "abcd", 4);
	assert_true(ipc_result(&m, &r));
	assert_string_equal(r.text, "abcd");
	m.len = 7;
	assert_false(ipc_result(&m, &r));
}

static void payloads_have_exactly_their_size(void **state)
{
	struct ipc_order o;
	struct ipc_msg m = { .len = sizeof(o) };

	(void)state;
	assert_true(ipc_payload(&m, &o, sizeof(o)));
	m.len--;
	assert_false(ipc_payload(&m, &o, sizeof(o)));
}

static void types_have_names(void **state)
{
	(void)state;
	assert_string_equal(ipc_type_name(IPC_HELLO), "HELLO");
	assert_string_equal(ipc_type_name(IPC_EXECUTED), "EXECUTED");
	assert_string_equal(ipc_type_name(IPC_TYPES), "unknown");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(carries_type_id_and_payload),
		T(keeps_packets_apart_and_in_order),
		T(carries_the_most_descriptors),
		T(refuses_what_is_too_large),
		T(a_strange_packet_is_no_message),
		T(a_wrong_length_or_type_is_no_message),
		T(the_end_is_told),
		T(one_that_does_not_read_is_told_from_one_that_is_gone),
		T(results_carry_only_their_text),
		T(a_long_result_is_cut),
		T(a_result_without_an_end_gets_one),
		T(payloads_have_exactly_their_size),
		T(types_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
