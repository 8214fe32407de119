/* SPDX-License-Identifier: Apache-2.0 */
/* Packets between parent and roles, as a role that is no longer itself might send them: first byte
 * of each: how many descriptors come with it, next two: the length, then the packet. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "core/handover.h"
#include "net/sock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void take(struct handover *h, struct ipc_msg *m)
{
	struct ipc_result r;
	struct ipc_order o;
	int err;

	ipc_result(m, &r);
	ipc_payload(m, &o, sizeof(o));
	CHECK(ipc_type_name(m->type));
	err = m->type == IPC_MORE_FDS ? handover_more(h, m) : handover_begin(h, m);
	CHECK(err == OK || err == ERR_SYNTAX || err == ERR_UNSUPPORTED);
	CHECK(h->nfds <= h->head.total);
	if (err == OK && handover_complete(h))
		handover_drop(h);
	ipc_msg_close(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct handover h = { 0 };
	struct ipc_msg m;
	int fds[IPC_MAX_FDS];
	int pair[2];

	if (net_pair(pair) != OK)
		return 0;
	for (unsigned i = 0; i < IPC_MAX_FDS; i++)
		fds[i] = pair[0];
	for (unsigned n = 0; size > 3 && n < 16; n++) {
		size_t len = MIN((size_t)(data[1] << 8 | data[2]), size - 3);
		int nfds = data[0] % (IPC_MAX_FDS + 1);
		int err;

		if (len > 0 && net_send_fds(pair[0], data + 3, len, fds, nfds) == OK) {
			err = ipc_recv(pair[1], &m);
			CHECK(err == OK || err == ERR_SYNTAX);
			if (err == OK)
				take(&h, &m);
		}
		data += 3 + len;
		size -= 3 + len;
	}
	handover_drop(&h);
	close(pair[0]);
	close(pair[1]);
	return 0;
}
