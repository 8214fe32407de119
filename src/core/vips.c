/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the parent carries to the role vrrp and back: orders for the whole node, switchovers, and
 * that all virtual IPs are to be given up before the node ends. Main thread of the parent.
 */
#include <stdio.h>

#include "base/err.h"
#include "base/log.h"
#include "core/parent.h"

#define KEPT          "kept: in force as soon as the role vrrp runs"
#define VIPS_PATIENCE (60 * NS_PER_S) /* for an answer; vrrp has limits of its own */

/* The process of vrrp that can be asked; NULL with why. */
static struct child *speaker(struct parent *p, const char **why)
{
	const struct service *s = service_find(p, "vrrp");

	if (!s || !service_wanted(s)) {
		*why = "the configuration has no virtual IP that this node may hold";
		return NULL;
	}
	if (s->current && s->current->started && !s->current->draining)
		return s->current;
	*why = "the role vrrp, which holds the virtual IPs, does not run just now: try again";
	return NULL;
}

/* --- asking --------------------------------------------------------------------------------- */

static void answer(struct parent *p, struct vips_ask *a, int err, const char *text)
{
	struct child *c = child_find(p, a->asker.child);

	if (c)
		child_result(c, a->answer, a->asker.id, err, 0, text);
	a->id = 0;
}

/* Sends it on; the answer goes to the asker as `with`. OK, or why it cannot be asked. */
static int ask(struct parent *p, struct asker asker, enum ipc_type type, enum ipc_type with,
               const void *payload, size_t len, const char **why)
{
	struct child *vrrp = speaker(p, why);
	struct vips_ask *a = NULL;

	if (!vrrp)
		return ERR_REFUSED;
	for (unsigned i = 0; i < VIPS_ASKS && !a; i++) {
		if (p->vips.asks[i].id == 0)
			a = &p->vips.asks[i];
	}
	*why = "too many changes at once";
	if (!a)
		return ERR_FULL;
	*why = "the role vrrp cannot be reached: try again";
	*a = (struct vips_ask){ asker, ++p->ids, with, p->loop->now + VIPS_PATIENCE };
	if (child_send(vrrp, type, a->id, payload, len, NULL, 0) == OK)
		return OK;
	a->id = 0;
	return ERR_CLOSED;
}

void vips_answered(struct child *c, const struct ipc_msg *m)
{
	struct parent *p = c->parent;
	struct ipc_result r;

	if (m->id == 0 || !ipc_result(m, &r))
		return;
	for (unsigned i = 0; i < VIPS_ASKS; i++) {
		if (p->vips.asks[i].id == m->id) {
			answer(p, &p->vips.asks[i], r.err, r.text);
			return;
		}
	}
}

/* What an order for the node comes to when vrrp does not tell: it is kept. */
static void give_up(struct parent *p, struct vips_ask *a, const char *why)
{
	if (a->answer == IPC_ORDERED)
		answer(p, a, OK, KEPT);
	else
		answer(p, a, ERR_REFUSED, why);
}

void vips_died(struct parent *p)
{
	for (unsigned i = 0; i < VIPS_ASKS; i++) {
		if (p->vips.asks[i].id != 0)
			give_up(p, &p->vips.asks[i], "the role vrrp ended before it answered");
	}
}

void vips_tick(struct parent *p)
{
	for (unsigned i = 0; i < VIPS_ASKS; i++) {
		struct vips_ask *a = &p->vips.asks[i];

		if (a->id != 0 && p->loop->now >= a->until)
			give_up(p, a, "the role vrrp did not answer in time");
	}
}

/* --- switchover ----------------------------------------------------------------------------- */

void vips_switchover(struct child *c, const struct ipc_msg *m)
{
	struct parent *p = c->parent;
	struct asker asker = { c->serial, m->id };
	struct ipc_switchover s;
	const char *why = "not a switchover";
	int err = ERR_SYNTAX;

	if (ipc_payload(m, &s, sizeof(s))) {
		s.vip[sizeof(s.vip) - 1] = s.to[sizeof(s.to) - 1] = '\0';
		log_notice("switchover", s.vip, "ordered%s%s", s.to[0] ? ": to " : "", s.to);
		why = "the node is ending";
		err = p->stop.begun
		          ? ERR_REFUSED
		          : ask(p, asker, IPC_SWITCHOVER, IPC_SWITCHED, &s, sizeof(s), &why);
	}
	if (err != OK)
		child_result(c, IPC_SWITCHED, m->id, err, 0, why);
}

/* --- the node ------------------------------------------------------------------------------- */

void vips_send_node(struct child *vrrp)
{
	const struct ipc_node n = { .drained = orders_node(vrrp->parent->orders) };

	child_send(vrrp, IPC_NODE, 0, &n, sizeof(n), NULL, 0);
}

void vips_order_node(struct child *c, uint32_t id, enum server_order order)
{
	struct parent *p = c->parent;
	struct asker asker = { c->serial, id };
	struct ipc_node n = { .drained = order != ORDER_READY };
	const struct service *s = service_find(p, "vrrp");
	const char *why = "";
	char text[300];

	/* What was drained can be made ready in any case. */
	if ((!s || !service_wanted(s)) && (n.drained || !orders_node(p->orders))) {
		child_result(
		    c, IPC_ORDERED, id, ERR_REFUSED, 0,
		    "the configuration has no virtual IP that this node may hold: there is "
		    "nothing that another node could take over from it");
		return;
	}
	orders_set_node(p->orders, n.drained != 0);
	board_node(p->board)->drained = n.drained;
	log_notice("order", IPC_NODE_TARGET, "%s: the node %s",
	           server_order_name[n.drained ? ORDER_DRAIN : ORDER_READY],
	           n.drained ? "is to hold no virtual IP" : "may hold virtual IPs again");
	if (!order_kept(p, text, sizeof(text))) {
		ask(p, (struct asker){ 0 }, IPC_NODE, IPC_ORDERED, &n, sizeof(n), &why);
		child_result(c, IPC_ORDERED, id, OK, 0, text);
		return;
	}
	if (ask(p, asker, IPC_NODE, IPC_ORDERED, &n, sizeof(n), &why) != OK)
		child_result(c, IPC_ORDERED, id, OK, 0, KEPT);
}

/* --- the end -------------------------------------------------------------------------------- */

bool vips_yield(struct parent *p)
{
	bool any = false;
	struct child *c;

	TAILQ_FOREACH (c, &p->children, link) {
		if (!service_is(c->service, "vrrp") || !c->started || c->draining)
			continue;
		c->yielding = child_send(c, IPC_YIELD, 0, NULL, 0, NULL, 0) == OK;
		any |= c->yielding;
	}
	return any;
}

bool vips_yielding(struct parent *p)
{
	struct child *c;

	TAILQ_FOREACH (c, &p->children, link) {
		if (c->yielding)
			return true;
	}
	return false;
}
