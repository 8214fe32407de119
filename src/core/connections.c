/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LIST on its way: from control to every proxy, those that drain included, and what they found back
 * to control. With it the parent also ends what is open on a server when the time of the order that
 * drains it is over. Main thread of the parent.
 */
#include <fcntl.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/parent.h"

#define PATIENCE (3 * NS_PER_S) /* for a proxy's answer */

/* One that did not answer is asked again: the time stays until all of them did. */
static void end_done(struct parent *p, const struct list_ask *a)
{
	const char *target = a->q.server[0] != '\0' ? a->q.server : a->q.pool;
	uint32_t n = a->found.found;
	char why[600];

	if (n > 0)
		log_notice("connections_ended", target,
		           "%u that %s still open when the time of the drain was over", n,
		           n == 1 ? "was" : "were");
	if (a->found.silent > 0)
		return;
	if (n == 0)
		log_info("connections_ended", target,
		         "none was open when the time of the drain was over");
	orders_ended(p->orders, p->cur->conf, str_from(target), a->end_wall_ms);
	order_kept(p, why, sizeof(why));
}

static void list_done(struct parent *p, struct list_ask *a)
{
	struct child *c = child_find(p, a->asker.child);

	for (unsigned i = 0; i < LIST_CHILDREN; i++)
		a->found.silent += a->children[i] != 0;
	if (a->q.end)
		end_done(p, a);
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

/* Asks all proxies; false: too much is asked already. */
static bool list_ask(struct parent *p, struct asker asker, const struct ipc_list *q,
                     uint64_t end_wall_ms)
{
	struct list_ask *a = NULL;
	struct child *o;
	unsigned n = 0;

	for (unsigned i = 0; i < LISTS_PENDING && !a; i++) {
		if (p->lists[i].id == 0)
			a = &p->lists[i];
	}
	if (!a)
		return false;
	*a = (struct list_ask){ .asker = asker,
		                .q = *q,
		                .end_wall_ms = end_wall_ms,
		                .id = ++p->ids,
		                .until = p->loop->now + PATIENCE };
	TAILQ_FOREACH (o, &p->children, link) {
		if (service_is(o->service, "proxy") && o->started && !o->foreign &&
		    n < LIST_CHILDREN &&
		    child_send(o, IPC_LIST, a->id, q, sizeof(*q), NULL, 0) == OK)
			a->children[n++] = o->serial;
	}
	if (n == 0)
		list_done(p, a);
	return true;
}

void list_request(struct child *c, const struct ipc_msg *m)
{
	struct ipc_listed none = { .silent = 1 };
	struct ipc_list q;

	if (ipc_payload(m, &q, sizeof(q))) {
		q.end = 0;
		if (list_ask(c->parent, (struct asker){ c->serial, m->id }, &q, 0))
			return;
	}
	child_send(c, IPC_LISTED, m->id, &none, sizeof(none), NULL, 0);
}

static bool is_ending(const struct parent *p)
{
	for (unsigned i = 0; i < LISTS_PENDING; i++) {
		if (p->lists[i].id != 0 && p->lists[i].q.end)
			return true;
	}
	return false;
}

/* Ends what is open where a time is over, one target after the other. */
static void end_due(struct parent *p)
{
	uint64_t now = clock_wall_ms();
	struct ipc_list q;

	while (!is_ending(p) && orders_due(p->orders, p->cur->conf, now, &q)) {
		if (!list_ask(p, (struct asker){ 0 }, &q, now))
			return;
	}
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
		a->found.silent += n.silent;
		if (m->nfds > 0 && a->nfds < LIST_CHILDREN) {
			fd = fcntl(m->fds[0], F_DUPFD_CLOEXEC, 3);
			if (fd >= 0)
				a->fds[a->nfds++] = fd;
		}
	}
	strike(p, c->serial, m->id);
	end_due(p);
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
	end_due(p);
}
