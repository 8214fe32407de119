/* SPDX-License-Identifier: Apache-2.0 */
/* Messages between the parent and its roles: packing, sending, receiving. Any process, any thread;
 * nothing is shared. */
#include "ipc/msg.h"

#include <unistd.h>

#include "base/err.h"
#include "net/sock.h"

#define IPC_MAGIC 0x48464d31u /* "HFM1": the layout of the head; changes with it */

struct ipc_head {
	uint32_t magic;
	uint32_t type;
	uint32_t id;
	uint32_t origin;
	uint32_t len;
};

struct ipc_packet {
	struct ipc_head head;
	char payload[IPC_MAX_PAYLOAD];
};

const char *ipc_type_name(uint32_t type)
{
	static const char *const names[IPC_TYPES] = {
#define IPC_NAME(name, doc) #name,
		IPC_MSG_ROWS(IPC_NAME)
#undef IPC_NAME
	};

	return type < IPC_TYPES ? names[type] : "unknown";
}

int ipc_send(int fd, enum ipc_type type, uint32_t id, const void *payload, size_t len,
             const int *fds, int nfds)
{
	struct ipc_packet p;

	if (fd < 0)
		return ERR_CLOSED;
	if (len > IPC_MAX_PAYLOAD || nfds < 0 || nfds > IPC_MAX_FDS)
		return ERR_TOO_LARGE;
	p.head = (struct ipc_head){ IPC_MAGIC, (uint32_t)type, id, 0, (uint32_t)len };
	if (len > 0)
		memcpy(p.payload, payload, len);
	return net_send_fds(fd, &p, sizeof(p.head) + len, fds, nfds);
}

int ipc_recv(int fd, struct ipc_msg *m)
{
	struct ipc_packet p;
	ssize_t n;

	m->nfds = IPC_MAX_FDS;
	m->type = IPC_TYPES;
	m->len = 0;
	n = net_recv_fds(fd, &p, sizeof(p), m->fds, &m->nfds);
	if (n < 0) {
		m->nfds = 0;
		return (int)n;
	}
	if ((size_t)n < sizeof(p.head) || p.head.magic != IPC_MAGIC || p.head.type >= IPC_TYPES ||
	    p.head.len != (size_t)n - sizeof(p.head)) {
		ipc_msg_close(m);
		return ERR_SYNTAX;
	}
	m->type = p.head.type;
	m->id = p.head.id;
	m->origin = p.head.origin;
	m->len = p.head.len;
	memcpy(m->payload, p.payload, m->len);
	return OK;
}

void ipc_msg_close(struct ipc_msg *m)
{
	for (int i = 0; i < m->nfds; i++) {
		if (m->fds[i] >= 0)
			close(m->fds[i]);
	}
	m->nfds = 0;
}

bool ipc_payload(const struct ipc_msg *m, void *ret, size_t size)
{
	if (m->len != size)
		return false;
	memcpy(ret, m->payload, size);
	return true;
}

bool ipc_result(const struct ipc_msg *m, struct ipc_result *ret)
{
	const size_t fixed = offsetof(struct ipc_result, text);

	if (m->len < fixed || m->len > sizeof(*ret))
		return false;
	memcpy(ret, m->payload, m->len);
	if (m->len < sizeof(*ret))
		ret->text[m->len - fixed] = '\0';
	ret->text[sizeof(ret->text) - 1] = '\0';
	return true;
}

int ipc_send_result(int fd, enum ipc_type type, uint32_t id, int err, uint32_t count,
                    const char *text)
{
	struct ipc_result r;
	size_t len = text ? strlen(text) : 0;

	if (len >= sizeof(r.text))
		len = sizeof(r.text) - 1;
	r.err = err;
	r.count = count;
	if (len > 0)
		memcpy(r.text, text, len);
	r.text[len] = '\0';
	return ipc_send(fd, type, id, &r, offsetof(struct ipc_result, text) + len + 1, NULL, 0);
}
