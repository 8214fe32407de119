/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What people and the parent ask for: switchovers, taking the node out, giving everything up before
 * the node ends. Each answer comes when another node was heard to hold the address, or when that is
 * overdue. Role vrrp, its one thread.
 */
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "vrrp/impl.h"

#define LOOK_EVERY (4 * NS_PER_MS)
#define PATIENCE   (200 * NS_PER_MS) /* beyond what the timers allow */

static void answer(struct vrrp *v, enum ipc_type type, uint32_t id, int err, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

static void answer(struct vrrp *v, enum ipc_type type, uint32_t id, int err, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (v->role->parent >= 0) {
		(void)ipc_send_result(v->role->parent, type, id, err, 0, text);
	}
}

/* Whether somebody else holds what this node gave up, or nobody can be waited for any longer. */
static bool settled(const struct vrrp_instance *i, uint64_t now)
{
	return i->handed_at == 0 || i->heard_at > i->handed_at || now >= i->handed_until;
}

static bool all_settled(const struct vrrp *v, uint64_t now)
{
	for (unsigned k = 0; k < v->n; k++) {
		if (!settled(v->v[k], now)) {
			return false;
		}
	}
	return true;
}

/* --- switchover ----------------------------------------------------------------------------- */

static void done(struct vrrp_instance *i, int err, const char *text)
{
	if (err != OK) {
		log_warning("switchover", i->name, "%s", text);
	}
	answer(i->vrrp, IPC_SWITCHED, i->ask.id, err, "%s", text);
	i->ask.kind = VRRP_ASK_NONE;
}

static void overdue(struct vrrp_instance *i, uint64_t now)
{
	char text[512];
	char span[32];

	clock_format_span(now - i->ask.since, span);
	if (i->ask.kind == VRRP_ASK_HERE) {
		(void)snprintf(text, sizeof(text), "this node did not get %s within %s: %s",
		               i->name, span, i->health_why[0] != '\0' ? i->health_why : i->reason);
	} else if (i->m.state != VIP_ACTIVE) {
		(void)snprintf(text, sizeof(text),
		               "%s was given up, but no other node was heard to hold it within %s",
		               i->name, span);
	} else if (i->ask.kind == VRRP_ASK_SEND) {
		(void)snprintf(text, sizeof(text),
		               "%s did not take %s within %s: it is not well, does not run, or is "
		               "not reached at its address; this node still holds it",
		               i->ask.to, i->name, span);
	} else {
		(void)snprintf(text, sizeof(text),
		               "nobody took %s over within %s: this node holds it again", i->name,
		               span);
	}
	done(i, ERR_REFUSED, text);
}

static void look_at_ask(struct vrrp_instance *i, uint64_t now)
{
	char node[NET_ADDR_TEXT + 80];
	char text[512];

	if (i->ask.kind == VRRP_ASK_NONE) {
		return;
	}
	if (i->ask.kind == VRRP_ASK_HERE && i->m.state == VIP_ACTIVE) {
		(void)snprintf(text, sizeof(text), "%s is held by this node now", i->name);
		done(i, OK, text);
	} else if (i->ask.kind != VRRP_ASK_HERE && i->m.state == VIP_BACKUP &&
	           i->heard_at > i->ask.since) {
		(void)snprintf(text, sizeof(text), "%s is held by %s now", i->name,
		               vrrp_node_text(i->vrrp, &i->peer, node, sizeof(node)));
		done(i, OK, text);
	} else if (now >= i->ask.until) {
		overdue(i, now);
	}
}

static struct vrrp_instance *find(struct vrrp *v, const char *name)
{
	for (unsigned k = 0; k < v->n; k++) {
		if (strcmp(v->v[k]->name, name) == 0) {
			return v->v[k];
		}
	}
	return NULL;
}

/* The other node that is meant, in the configuration's order; NULL with why. */
static const struct conf_node *other_node(const struct vrrp_instance *i, const char *name,
                                          char *why, size_t size)
{
	const struct conf *c = i->vrrp->conf;

	for (uint32_t k = 0; k < i->conf->nnodes; k++) {
		const struct conf_node *n = &c->nodes[i->conf->nodes[k].node];

		if (str_eq(n->name, str_from(name))) {
			return n;
		}
	}
	(void)snprintf(why, size, "%s may not be held by \"%s\": its priority names no such node",
	               i->name, name);
	return NULL;
}

static int cannot_give(const struct vrrp_instance *i, char *why, size_t size)
{
	char node[NET_ADDR_TEXT + 80];

	if (i->m.state != VIP_ACTIVE) {
		(void)snprintf(why, size, "this node does not hold %s%s%s: ask there, or give --to",
		               i->name, i->peer.len != 0 ? ", last heard from " : "",
		               i->peer.len != 0
		                   ? vrrp_node_text(i->vrrp, &i->peer, node, sizeof(node))
		                   : "");
		return ERR_REFUSED;
	}
	if (!i->known) {
		(void)snprintf(why, size,
		               "no other node was ever heard on %s: nobody would take %s over",
		               i->conf->interface.s, i->name);
		return ERR_REFUSED;
	}
	return OK;
}

static void wait_for(struct vrrp_instance *i, enum vrrp_ask_kind kind, uint32_t id, const char *to)
{
	uint64_t now = clock_mono();

	i->ask = (struct vrrp_ask){ .kind = kind, .id = id, .since = now };
	/* Nobody takes it: this node has it again after the master-down time. */
	i->ask.until = now + vrrp_master_down_ns(&i->m) + vrrp_skew_ns(&i->m) + PATIENCE;
	(void)snprintf(i->ask.to, sizeof(i->ask.to), "%s", to);
}

static int give_away(struct vrrp_instance *i, uint32_t id, char *why, size_t size)
{
	struct vrrp_event e = { .kind = VRRP_EVENT_YIELD, .why = "switchover to another node" };
	int err = cannot_give(i, why, size);

	if (err == OK) {
		wait_for(i, VRRP_ASK_AWAY, id, "");
		vrrp_group_step(i, &e);
	}
	return err;
}

static bool same_group(const struct vrrp_instance *a, const struct vrrp_instance *b)
{
	return a == b || (a->conf->group.len != 0 && str_eq(a->conf->group, b->conf->group));
}

/* A release that only this one hears: it is appointed, and we give way to what it says then. */
static int give_to(struct vrrp_instance *i, const struct conf_node *n, uint32_t id, char *why,
                   size_t size)
{
	int err = cannot_give(i, why, size);

	if (err != OK) {
		return err;
	}
	if (i->conf->unicast_peers || (n->ip.sa.sa_family == AF_INET6) != vrrp_ipv6(i)) {
		(void)
		    snprintf(why, size,
		             "%s can be given to the best other node only, not to one by name: %s; "
		             "leave --to away, or ask at %s itself",
		             i->name,
		             i->conf->unicast_peers ? "it has unicast peers and more than two nodes"
		                                    : "that node's address is of another family",
		             n->name.s);
		return ERR_REFUSED;
	}
	wait_for(i, VRRP_ASK_SEND, id, n->name.s);
	for (unsigned k = 0; k < i->vrrp->n; k++) {
		if (same_group(i, i->vrrp->v[k])) {
			vrrp_send_to(i->vrrp->v[k], VRRP_PRIORITY_RELEASE, &n->ip);
		}
	}
	return OK;
}

static int take_here(struct vrrp_instance *i, uint32_t id, char *why, size_t size)
{
	struct vrrp_event e = { .kind = VRRP_EVENT_APPOINT, .why = "switchover to this node" };

	if (i->m.state == VIP_OUT) {
		(void)snprintf(why, size, "this node cannot take %s: %s", i->name, i->reason);
		return ERR_REFUSED;
	}
	if (i->m.health.low || i->m.health.release) {
		(void)snprintf(why, size, "this node is not well enough for %s: %s", i->name,
		               i->health_why);
		return ERR_REFUSED;
	}
	wait_for(i, VRRP_ASK_HERE, id, "");
	vrrp_group_step(i, &e);
	return OK;
}

static int switchover(struct vrrp *v, const struct ipc_switchover *s, uint32_t id, char *why,
                      size_t size)
{
	struct vrrp_instance *i = find(v, s->vip);
	const struct conf_node *to = NULL;

	if (i == NULL) {
		(void)snprintf(why, size, "this node takes no part in a virtual IP \"%s\"", s->vip);
		return ERR_NOT_FOUND;
	}
	if (i->ask.kind != VRRP_ASK_NONE) {
		(void)snprintf(why, size, "a switchover of %s is under way", i->name);
		return ERR_REFUSED;
	}
	if (s->to[0] != '\0') {
		to = other_node(i, s->to, why, size);
		if (to == NULL) {
			return ERR_NOT_FOUND;
		}
		if (to == &v->conf->nodes[v->conf->self]) {
			return take_here(i, id, why, size);
		}
		if (i->conf->nnodes > 2) {
			return give_to(i, to, id, why, size);
		}
	}
	return give_away(i, id, why, size);
}

void vrrp_order_switchover(struct vrrp *v, const struct ipc_msg *m)
{
	struct ipc_switchover s;
	char why[512] = "malformed";
	int err = ERR_INVALID;

	if (!v->acting) {
		(void)snprintf(why, sizeof(why), "the role vrrp is just being replaced: try again");
		err = ERR_REFUSED;
	} else if (ipc_payload(m, &s, sizeof(s))) {
		s.vip[sizeof(s.vip) - 1] = '\0';
		s.to[sizeof(s.to) - 1] = '\0';
		err = switchover(v, &s, m->id, why, sizeof(why));
	}
	if (err != OK) {
		answer(v, IPC_SWITCHED, m->id, err, "%s", why);
		return;
	}
	vrrp_orders_look(v);
}

void vrrp_orders_forget(struct vrrp_instance *i, const char *why)
{
	if (i->ask.kind != VRRP_ASK_NONE) {
		done(i, ERR_REFUSED, why);
	}
}

/* --- the node ------------------------------------------------------------------------------- */

static void look_at_all(struct vrrp *v)
{
	/* While an earlier process acts, that one is told as well. */
	for (unsigned k = 0; v->acting && k < v->n; k++) {
		vrrp_instance_look(v->v[k]);
		vrrp_publish(v->v[k]);
	}
	vrrp_orders_look(v);
}

void vrrp_order_node(struct vrrp *v, const struct ipc_msg *m)
{
	struct ipc_node n;

	if (!ipc_payload(m, &n, sizeof(n))) {
		return;
	}
	v->drained = n.drained != 0;
	v->node_id = m->id;
	v->node_asked = m->id != 0;
	look_at_all(v);
}

void vrrp_order_yield(struct vrrp *v, const struct ipc_msg *m)
{
	v->ending = true;
	v->ending_id = m->id;
	v->ending_asked = true;
	look_at_all(v);
}

/* What has become of each virtual IP that was given up. */
static void tell_node(struct vrrp *v)
{
	char node[NET_ADDR_TEXT + 80];
	char text[1024] = "";
	size_t len = 0;

	for (unsigned k = 0; v->drained && k < v->n && len < sizeof(text); k++) {
		const struct vrrp_instance *i = v->v[k];
		bool heard = i->handed_at != 0 && i->heard_at > i->handed_at;

		if (i->handed_at == 0) {
			continue;
		}
		len +=
		    (size_t)snprintf(text + len, sizeof(text) - len, "%s%s: %s%s",
		                     len > 0 ? "; " : "", i->name,
		                     heard ? "held now by "
		                           : "given up, but no other node was heard to hold it",
		                     heard ? vrrp_node_text(v, &i->peer, node, sizeof(node)) : "");
	}
	answer(v, IPC_NODE, v->node_id, OK, "%s",
	       text[0] != '\0' ? text
	       : v->drained    ? "this node holds no virtual IP"
	                       : "this node may hold virtual IPs again");
	v->node_asked = false;
}

static void on_orders(struct loop_timer *t)
{
	vrrp_orders_look(CONTAINER_OF(t, struct vrrp, orders));
}

void vrrp_orders_init(struct vrrp *v)
{
	v->orders.fn = on_orders;
}

void vrrp_orders_look(struct vrrp *v)
{
	uint64_t now = clock_mono();
	bool waiting = false;

	for (unsigned k = 0; k < v->n; k++) {
		look_at_ask(v->v[k], now);
		waiting |= v->v[k]->ask.kind != VRRP_ASK_NONE;
	}
	if ((v->node_asked || v->ending_asked) && all_settled(v, now)) {
		if (v->node_asked) {
			tell_node(v);
		}
		if (v->ending_asked) {
			v->ending_asked = false;
			(void)role_send(v->role, IPC_YIELDED, v->ending_id, NULL, 0);
		}
	}
	if (waiting || v->node_asked || v->ending_asked) {
		loop_timer_set(v->loop, &v->orders, LOOK_EVERY);
	}
}
