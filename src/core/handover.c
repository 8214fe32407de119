/* SPDX-License-Identifier: Apache-2.0 */
/* Configurations with their descriptors on the way between parent and role. Used by both, on their
 * main threads. */
#include "core/handover.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"

struct handover_entry {
	uint16_t kind;
	uint16_t sub;
	uint32_t index;
};

/* Copies the next descriptors into a packet's arrays; returns how many. */
static int fill(const struct role_fd *fds, unsigned nfds, unsigned room,
                struct handover_entry *entries, int *raw)
{
	unsigned n = MIN(nfds, room);

	for (unsigned i = 0; i < n; i++) {
		entries[i] = (struct handover_entry){ fds[i].kind, fds[i].sub, fds[i].index };
		raw[i] = fds[i].fd;
	}
	return (int)n;
}

int handover_send(handover_send_fn *send, void *arg, enum ipc_type type, uint32_t id,
                  struct handover_head *head, const int *lead, unsigned nlead,
                  const struct role_fd *fds, unsigned nfds)
{
	struct {
		struct handover_head head;
		struct handover_entry entries[IPC_MAX_FDS];
	} first;
	struct {
		uint32_t count;
		uint32_t zero;
		struct handover_entry entries[IPC_MAX_FDS];
	} more;
	int raw[IPC_MAX_FDS];
	int n;
	int err;

	if (nfds > HANDOVER_MAX_FDS || nlead > HANDOVER_LEADS)
		return ERR_TOO_LARGE;
	for (unsigned i = 0; i < nlead; i++)
		raw[i] = lead[i];
	n = fill(fds, nfds, IPC_MAX_FDS - nlead, first.entries, raw + nlead);
	head->protocol = HANDOVER_PROTOCOL;
	head->total = nfds;
	head->nlead = nlead;
	head->count = (uint32_t)n;
	snprintf(head->version, sizeof(head->version), "%s", HOLDFAST_VERSION);
	first.head = *head;
	err = send(arg, type, id, &first, sizeof(first.head) + (size_t)n * sizeof(first.entries[0]),
	           raw, n + (int)nlead);
	for (unsigned at = (unsigned)n; err == OK && at < nfds; at += (unsigned)n) {
		n = fill(fds + at, nfds - at, IPC_MAX_FDS, more.entries, raw);
		more.count = (uint32_t)n;
		more.zero = 0;
		err =
		    send(arg, IPC_MORE_FDS, id, &more,
		         offsetof(__typeof__(more), entries) + (size_t)n * sizeof(more.entries[0]),
		         raw, n);
	}
	return err;
}

/* Moves `count` listed descriptors, which start at m->fds[from], into h. */
static int take(struct handover *h, struct ipc_msg *m, unsigned from, unsigned count,
                const char *entries)
{
	struct handover_entry e;

	if (h->nfds + count > h->head.total)
		return ERR_SYNTAX;
	for (unsigned i = 0; i < count; i++) {
		memcpy(&e, entries + i * sizeof(e), sizeof(e));
		h->fds[h->nfds++] = (struct role_fd){ e.kind, e.sub, e.index, m->fds[from + i] };
		m->fds[from + i] = -1;
	}
	return OK;
}

int handover_begin(struct handover *h, struct ipc_msg *m)
{
	struct handover_head head;

	handover_drop(h);
	if (m->len < sizeof(head))
		return ERR_SYNTAX;
	memcpy(&head, m->payload, sizeof(head));
	if (head.protocol != HANDOVER_PROTOCOL)
		return ERR_UNSUPPORTED;
	if (head.nlead > HANDOVER_LEADS || head.total > HANDOVER_MAX_FDS ||
	    head.count > IPC_MAX_FDS || head.count + head.nlead != (uint32_t)m->nfds ||
	    m->len != sizeof(head) + head.count * sizeof(struct handover_entry))
		return ERR_SYNTAX;
	head.role[sizeof(head.role) - 1] = '\0';
	head.version[sizeof(head.version) - 1] = '\0';
	h->fds = calloc(head.total + 1, sizeof(*h->fds));
	if (!h->fds)
		return ERR_NOMEM;
	h->head = head;
	h->type = m->type;
	h->id = m->id;
	h->open = true;
	for (unsigned i = 0; i < HANDOVER_LEADS; i++) {
		h->lead[i] = i < head.nlead ? m->fds[i] : -1;
		if (i < head.nlead)
			m->fds[i] = -1;
	}
	return take(h, m, head.nlead, head.count, m->payload + sizeof(head));
}

int handover_more(struct handover *h, struct ipc_msg *m)
{
	uint32_t count;

	if (!h->open || m->len < 2 * sizeof(count))
		return ERR_SYNTAX;
	memcpy(&count, m->payload, sizeof(count));
	if (count == 0 || count != (uint32_t)m->nfds ||
	    m->len != 2 * sizeof(count) + count * sizeof(struct handover_entry))
		return ERR_SYNTAX;
	return take(h, m, 0, count, m->payload + 2 * sizeof(count));
}

bool handover_complete(const struct handover *h)
{
	return h->open && h->nfds == h->head.total;
}

void handover_drop(struct handover *h)
{
	if (!h->open)
		return;
	for (unsigned i = 0; i < HANDOVER_LEADS; i++) {
		if (h->lead[i] >= 0)
			close(h->lead[i]);
		h->lead[i] = -1;
	}
	for (unsigned i = 0; h->fds && i < h->nfds; i++)
		close(h->fds[i].fd);
	free(h->fds);
	h->fds = NULL;
	h->nfds = 0;
	h->open = false;
}
