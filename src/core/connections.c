/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIST on its way: from control to every proxy, those that drain included, and what they found back
 * to control. Main thread of the parent.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "core/parent.h"

#define PATIENCE (3 * NS_PER_S) /* for a proxy's answer */

static void list_done(struct parent *p, struct list_ask *a)
{
	struct child *c = child_find(p, a->asker.child);

	for (unsigned i = 0; i < LIST_CHILDREN; i++)
		a->found.silent += a->children[i] != 0;
	if (c)
		child_send(c, IPC_LISTED, a->asker.id, &a->found, sizeof(a->found), a->fds,
		           (int)a->nfds);
	for (unsigned i = 0; i < a->nfds; i++)
		close(a->fds[i]);
	*a = (struct list_ask){ 0 };
}

static bool is_complete(const struct list_ask *a)
{
	for (unsigned i = 0; i < LIST_CHILDREN; i++) {
		if (a->children[i] != 0)
			return false;
	}
	return true;
}

void list_request(struct child *c, const struct ipc_msg *m)
{
	struct parent *p = c->parent;
	struct list_ask *a = NULL;
	struct ipc_listed none = { 0 };
	struct child *o;
	struct ipc_list q;
	unsigned n = 0;

	for (unsigned i = 0; i < LISTS_PENDING && !a; i++) {
		if (p->lists[i].id == 0)
			a = &p->lists[i];
	}
	if (!a || !ipc_payload(m, &q, sizeof(q))) {
		none.silent = 1;
		child_send(c, IPC_LISTED, m->id, &none, sizeof(none), NULL, 0);
		return;
	}
	*a = (struct list_ask){ .asker = { c->serial, m->id },
		                .id = ++p->ids,
		                .until = p->loop->now + PATIENCE };
	TAILQ_FOREACH (o, &p->children, link) {
		if (service_is(o->service, "proxy") && o->started && !o->foreign &&
		    n < LIST_CHILDREN &&
		    child_send(o, IPC_LIST, a->id, &q, sizeof(q), NULL, 0) == OK)
			a->children[n++] = o->serial;
	}
	if (n == 0)
		list_done(p, a);
}

/* A child of some asks has answered, or never will. */
static void strike(struct parent *p, uint32_t serial, uint32_t id)
{
	for (unsigned i = 0; i < LISTS_PENDING; i++) {
		struct list_ask *a = &p->lists[i];

		if (a->id == 0 || (id != 0 && a->id != id))
			continue;
		for (unsigned k = 0; k < LIST_CHILDREN; k++) {
			if (a->children[k] == serial)
				a->children[k] = 0;
		}
		if (is_complete(a))
			list_done(p, a);
	}
}

void list_answered(struct child *c, const struct ipc_msg *m)
{
	struct parent *p = c->parent;
	struct ipc_listed n;

	if (m->id == 0 || !ipc_payload(m, &n, sizeof(n)))
		return;
	for (unsigned i = 0; i < LISTS_PENDING; i++) {
		struct list_ask *a = &p->lists[i];
		int fd;

		if (a->id != m->id)
			continue;
		a->found.rows += n.rows;
		a->found.found += n.found;
		if (m->nfds > 0 && a->nfds < LIST_CHILDREN) {
			fd = fcntl(m->fds[0], F_DUPFD_CLOEXEC, 3);
			if (fd >= 0)
				a->fds[a->nfds++] = fd;
		}
	}
	strike(p, c->serial, m->id);
}

void list_child_died(struct child *c)
{
	strike(c->parent, c->serial, 0);
}

void list_tick(struct parent *p)
{
	for (unsigned i = 0; i < LISTS_PENDING; i++) {
		if (p->lists[i].id != 0 && p->loop->now >= p->lists[i].until)
			list_done(p, &p->lists[i]);
	}
}
