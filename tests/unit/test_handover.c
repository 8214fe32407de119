/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations on the way to a role: every descriptor arrives under its own name; a packet that
 * lies is refused. */
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
#include "core/handover.h"
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

static int send_pair(void *arg, enum ipc_type type, uint32_t id, const void *payload, size_t len,
                     const int *fds, int nfds)
{
	(void)arg;
	return ipc_send(pair[0], type, id, payload, len, fds, nfds);
}

static int receive(struct handover *h)
{
	struct ipc_msg m;
	int err;

	do {
		err = ipc_recv(pair[1], &m);
		if (err == OK)
			err = m.type == IPC_MORE_FDS ? handover_more(h, &m) : handover_begin(h, &m);
		ipc_msg_close(&m);
	} while (err == OK && !handover_complete(h));
	return err;
}

static int send_n(unsigned n, unsigned nlead)
{
	static struct role_fd fds[HANDOVER_MAX_FDS + 1];
	struct handover_head head = { .instance = 2, .generation = 9 };
	const int lead[2] = { STDERR_FILENO, STDERR_FILENO };

	for (unsigned i = 0; i < n; i++)
		fds[i] = (struct role_fd){ ROLE_FD_LISTEN, (uint16_t)(i % 7), i, STDERR_FILENO };
	return handover_send(send_pair, NULL, IPC_START, 4, &head, lead, nlead, fds, n);
}

static void round_trip(unsigned n, unsigned nlead)
{
	struct handover h = { 0 };

	assert_int_equal(send_n(n, nlead), OK);
	assert_int_equal(receive(&h), OK);
	assert_int_equal(h.nfds, n);
	assert_int_equal(h.head.instance, 2);
	assert_int_equal(h.head.generation, 9);
	assert_string_equal(h.head.version, HOLDFAST_VERSION);
	assert_int_equal(h.type, IPC_START);
	assert_int_equal(h.id, 4);
	for (unsigned i = 0; i < HANDOVER_LEADS; i++)
		assert_int_equal(h.lead[i] >= 0, i < nlead);
	for (unsigned i = 0; i < n; i++) {
		assert_int_equal(h.fds[i].index, i);
		assert_int_equal(h.fds[i].sub, i % 7);
		assert_true(fcntl(h.fds[i].fd, F_GETFD) >= 0);
	}
	handover_drop(&h);
	assert_false(handover_complete(&h));
}

static void arrives_whole(void **state)
{
	(void)state;
	round_trip(0, 0);
	round_trip(0, 2);
	round_trip(1, 1);
	round_trip(IPC_MAX_FDS - 2, 2);
	round_trip(IPC_MAX_FDS - 1, 2);
	round_trip(IPC_MAX_FDS, 0);
}

static void arrives_in_several_packets(void **state)
{
	(void)state;
	round_trip(300, 2);
}

static void too_many_are_refused(void **state)
{
	(void)state;
	assert_int_equal(send_n(HANDOVER_MAX_FDS + 1, 2), ERR_TOO_LARGE);
}

static void lies_are_refused(void **state)
{
	struct handover h = { 0 };
	struct handover_head head;
	struct ipc_msg m;

	(void)state;
	assert_int_equal(send_n(3, 0), OK);
	assert_int_equal(ipc_recv(pair[1], &m), OK);
	memcpy(&head, m.payload, sizeof(head));

	head.protocol++;
	memcpy(m.payload, &head, sizeof(head));
	assert_int_equal(handover_begin(&h, &m), ERR_UNSUPPORTED);
	head.protocol--;

	head.count = 4;
	memcpy(m.payload, &head, sizeof(head));
	assert_int_equal(handover_begin(&h, &m), ERR_SYNTAX);
	head.count = 3;

	head.total = 2; /* fewer than it lists */
	memcpy(m.payload, &head, sizeof(head));
	assert_int_equal(handover_begin(&h, &m), ERR_SYNTAX);
	handover_drop(&h);
	ipc_msg_close(&m);

	m.len = 10;
	assert_int_equal(handover_begin(&h, &m), ERR_SYNTAX);
	assert_int_equal(handover_more(&h, &m), ERR_SYNTAX);
}

static void more_than_announced_is_refused(void **state)
{
	struct handover h = { 0 };
	struct ipc_msg m;
	int fds[2] = { STDERR_FILENO, STDERR_FILENO };
	uint32_t payload[2 + 4] = { 2, 0, 0, 0, 0, 0 };

	(void)state;
	assert_int_equal(send_n(1, 0), OK);
	assert_int_equal(receive(&h), OK);
	assert_int_equal(ipc_send(pair[0], IPC_MORE_FDS, 4, payload, sizeof(payload), fds, 2), OK);
	assert_int_equal(ipc_recv(pair[1], &m), OK);
	assert_int_equal(handover_more(&h, &m), ERR_SYNTAX);
	ipc_msg_close(&m);
	handover_drop(&h);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(arrives_whole),    T(arrives_in_several_packets),     T(too_many_are_refused),
		T(lies_are_refused), T(more_than_announced_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
