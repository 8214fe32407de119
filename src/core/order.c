/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Orders of people on their way: from control to the parent, which keeps them, on to check, which
 * carries them out, and the answer back. An order for the node itself goes to vrrp (vips.c). Main
 * thread of the parent.
 */
#include <errno.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/parent.h"

bool order_kept(struct parent *p, char *why, size_t why_size)
{
	int err = orders_save(p->orders);

	if (err == OK)
		return true;
	snprintf(why, why_size, "in force, but it would not survive a restart: %s",
	         err == ERR_SYSTEM ? strerror(errno) : err_text(err));
	log_error("orders", NULL, "cannot keep the orders: %s", why);
	return false;
}

static void keep_and_answer(struct parent *p, struct asker asker, unsigned count, const char *text)
{
	struct child *c = child_find(p, asker.child);
	char why[600];

	if (!order_kept(p, why, sizeof(why)))
		text = why;
	if (c)
		child_result(c, IPC_ORDERED, asker.id, OK, count, text);
}

static void log_order(const struct ipc_order *o, unsigned count)
{
	char end[32];

	clock_format_utc(o->end_wall_ms, end);
	log_notice("order", o->target, "%s: %u server%s%s%s", server_order_name[o->order], count,
	           count == 1 ? "" : "s", o->end_wall_ms != 0 ? "; what is open is ended at " : "",
	           o->end_wall_ms != 0 ? end : "");
}

void order_request(struct child *c, const struct ipc_msg *m)
{
	struct parent *p = c->parent;
	struct service *check = service_find(p, "check");
	struct pending_order *slot = NULL;
	struct ipc_order o;
	char why[400] = "";
	unsigned count;
	int err;

	if (!ipc_payload(m, &o, sizeof(o))) {
		child_result(c, IPC_ORDERED, m->id, ERR_SYNTAX, 0, "not an order");
		return;
	}
	o.target[sizeof(o.target) - 1] = '\0';
	if (strcmp(o.target, IPC_NODE_TARGET) == 0 && o.order < ORDER_COUNT) {
		vips_order_node(c, m->id, (enum server_order)o.order);
		return;
	}
	for (unsigned i = 0; i < ORDERS_PENDING && !slot; i++) {
		if (p->pending[i].id == 0)
			slot = &p->pending[i];
	}
	if (!slot) {
		child_result(c, IPC_ORDERED, m->id, ERR_FULL, 0, "too many orders at once");
		return;
	}
	err = orders_set(p->orders, p->cur->conf, str_from(o.target), (enum server_order)o.order,
	                 o.end_wall_ms, &count, why, sizeof(why));
	if (err != OK) {
		child_result(c, IPC_ORDERED, m->id, err, 0, why);
		return;
	}
	log_order(&o, count);
	*slot = (struct pending_order){ { c->serial, m->id }, ++p->ids, count };
	if (check && check->current && check->current->started &&
	    child_send(check->current, IPC_ORDER, slot->id, &o, sizeof(o), NULL, 0) == OK)
		return;
	slot->id = 0;
	keep_and_answer(p, (struct asker){ c->serial, m->id }, count,
	                "kept: in force as soon as the checks run again");
}

void order_done(struct child *c, const struct ipc_msg *m)
{
	struct parent *p = c->parent;
	struct ipc_result r;

	if (m->id == 0 || !ipc_result(m, &r))
		return;
	for (unsigned i = 0; i < ORDERS_PENDING; i++) {
		struct pending_order *o = &p->pending[i];
		struct child *asker;

		if (o->id != m->id)
			continue;
		o->id = 0;
		asker = child_find(p, o->asker.child);
		if (r.err == OK)
			keep_and_answer(p, o->asker, r.count, r.text);
		else if (asker)
			child_result(asker, IPC_ORDERED, o->asker.id, r.err, r.count, r.text);
		return;
	}
}

void order_check_died(struct parent *p)
{
	for (unsigned i = 0; i < ORDERS_PENDING; i++) {
		struct pending_order *o = &p->pending[i];

		if (o->id == 0)
			continue;
		o->id = 0;
		keep_and_answer(p, o->asker, o->count,
		                "kept: in force as soon as the checks run again");
	}
}

static void send_one(void *arg, struct str id, enum server_order order)
{
	struct ipc_order o = { .order = order };

	snprintf(o.target, sizeof(o.target), "%.*s", STR_ARG(id));
	child_send(arg, IPC_ORDER, 0, &o, sizeof(o), NULL, 0);
}

void order_send_all(struct child *check)
{
	orders_each(check->parent->orders, check->parent->cur->conf, send_one, check);
}
