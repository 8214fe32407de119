/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What others see of a virtual IP: its place on the board, the counters, the events of its
 * transitions, and the hooks. Role vrrp, its one thread.
 */
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "vrrp/impl.h"

#define SAY_EVERY  (10 * NS_PER_S)
#define HOOK_RETRY (500 * NS_PER_MS)

/* --- the board ------------------------------------------------------------------------------ */

struct board_vip *vrrp_board_find(struct vrrp *v, const char *name)
{
	struct board_vip *free_place = NULL;

	for (unsigned n = 0; n < BOARD_MAX_VIPS; n++) {
		struct board_vip *b = board_vip(v->role->board, n);

		if (atomic_load(&b->used) == 0) {
			free_place = free_place != NULL ? free_place : b;
		} else if (strncmp(b->name, name, sizeof(b->name)) == 0) {
			return b;
		}
	}
	if (free_place != NULL) {
		board_vip_begin(free_place);
		memset((char *)free_place + offsetof(struct board_vip, name), 0,
		       sizeof(*free_place) - offsetof(struct board_vip, name));
		(void)snprintf(free_place->name, sizeof(free_place->name), "%s", name);
		board_vip_end(free_place);
		atomic_store(&free_place->pid, 0);
		atomic_store(&free_place->alive_ns, 0);
		atomic_store(&free_place->used, 1);
	}
	return free_place;
}

void vrrp_board_free(struct vrrp_instance *i)
{
	atomic_store(&i->board->used, 0);
}

static void addresses_text(const struct conf_vip *c, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (uint32_t k = 0; k < c->naddresses && n < size; k++) {
		int add = snprintf(out + n, size - n, "%s%.*s", k > 0 ? ", " : "",
		                   STR_ARG(c->addresses[k].text));

		n += add > 0 ? (size_t)add : 0;
	}
}

static bool holds_all(const struct vrrp_instance *i)
{
	for (unsigned k = 0; k < i->nheld; k++) {
		if (i->held[k].failed) {
			return false;
		}
	}
	return i->nheld > 0;
}

static void write_relay(const struct vrrp_instance *i, struct board_vip *b)
{
	struct relay_state s = { 0 };
	char text[NET_ADDR_TEXT];

	if (i->relay != NULL) {
		relay_state(i->relay, &s);
	}
	b->relaying = s.take_until != 0 || s.keep_until != 0;
	b->relay_take_until = s.take_until;
	b->relay_keep_until = s.keep_until;
	(void)snprintf(b->relay_from, sizeof(b->relay_from), "%.*s", (int)sizeof(b->relay_from) - 1,
	               s.take_until != 0 ? net_addr_host(&s.from, text) : "");
}

static void write_present(const struct vrrp_instance *i, struct board_vip *b)
{
	b->state = i->m.state;
	b->priority = i->m.priority;
	b->peer_priority = i->m.heard_priority;
	b->drained = i->vrrp->drained;
	b->yielded = i->m.yielded;
	b->appointed = i->m.appointed;
	b->conflict = i->m.conflict;
	b->holding = holds_all(i);
	b->known = i->known;
	b->active_interval_cs = i->m.active_interval_cs;
	b->since_wall_ms = i->since_wall_ms;
	b->heard_wall_ms = i->heard_wall_ms;
}

void vrrp_publish(struct vrrp_instance *i)
{
	struct board_vip *b = i->board;
	struct track *t = track_find(i->vrrp->track, str_from(i->name));
	const struct conf_vip_node *own = conf_vip_node(i->conf, i->vrrp->conf->self);
	char text[NET_ADDR_TEXT];

	board_vip_begin(b);
	addresses_text(i->conf, b->addresses, sizeof(b->addresses));
	(void)snprintf(b->interface, sizeof(b->interface), "%.*s", STR_ARG(i->conf->interface));
	b->router_id = (uint8_t)i->conf->router_id;
	b->version = (uint8_t)i->conf->version;
	b->base = (uint8_t)(own != NULL ? own->priority : 0);
	write_present(i, b);
	write_relay(i, b);
	(void)snprintf(b->peer, sizeof(b->peer), "%.*s", (int)sizeof(b->peer) - 1,
	               i->peer.len != 0 ? net_addr_host(&i->peer, text) : "");
	(void)snprintf(b->reason, sizeof(b->reason), "%s", i->reason);
	if (t != NULL) {
		track_publish(t, b);
	} else {
		b->nconditions = 0;
	}
	board_vip_end(b);
}

void vrrp_count(struct vrrp_instance *i, enum vip_counter c)
{
	stat_add(&i->board->c[c], 1);
}

/* --- what is not taken ---------------------------------------------------------------------- */

bool vrrp_may_say(struct vrrp_refusals *r, uint64_t now, uint64_t every, uint64_t *ret)
{
	r->since++;
	if (r->said_at != 0 && now < r->said_at + every) {
		return false;
	}
	*ret = r->since;
	r->since = 0;
	r->said_at = now;
	return true;
}

void vrrp_refuse(struct vrrp_instance *i, enum vip_drop why, const struct net_addr *from)
{
	char node[NET_ADDR_TEXT + 80];
	char times[64] = "";
	uint64_t n;

	stat_add(&i->board->dropped[why], 1);
	if (!vrrp_may_say(&i->refusals[why], i->vrrp->loop->now, SAY_EVERY, &n)) {
		return;
	}
	if (n > 1) {
		(void)snprintf(times, sizeof(times), "; %llu such packets since the last word",
		               (unsigned long long)n);
	}
	log_warning("vrrp_dropped", i->name, "a packet from %s on %s was not taken: %s%s",
	            vrrp_node_text(i->vrrp, from, node, sizeof(node)), i->conf->interface.s,
	            vip_drop_text[why], times);
}

const char *vrrp_node_text(const struct vrrp *v, const struct net_addr *a, char *out, size_t size)
{
	char ip[NET_ADDR_TEXT];
	char node[NET_ADDR_TEXT];

	(void)net_addr_host(a, ip);
	for (uint32_t k = 0; k < v->conf->nnodes; k++) {
		if (strcmp(net_addr_host(&v->conf->nodes[k].ip, node), ip) == 0) {
			(void)snprintf(out, size, "%.*s (%s)", STR_ARG(v->conf->nodes[k].name), ip);
			return out;
		}
	}
	(void)snprintf(out, size, "%s", ip);
	return out;
}

/* --- hooks ---------------------------------------------------------------------------------- */

/* To the parent, which runs them in order. Without one they wait for the next. */
static void pump(struct vrrp *v)
{
	struct vrrp_hooks *q = &v->hooks;
	unsigned sent = 0;

	while (sent < q->n &&
	       role_send(v->role, IPC_HOOK, 0, &q->v[sent], sizeof(q->v[sent])) == OK) {
		sent++;
	}
	q->n -= sent;
	memmove(&q->v[0], &q->v[sent], q->n * sizeof(q->v[0]));
	if (q->n > 0) {
		loop_timer_set(v->loop, &v->hook_timer, HOOK_RETRY);
	}
}

static void on_hook_timer(struct loop_timer *t)
{
	pump(CONTAINER_OF(t, struct vrrp, hook_timer));
}

void vrrp_hooks_start(struct vrrp *v)
{
	v->hook_timer.fn = on_hook_timer;
}

static void push(struct vrrp_hooks *q, const struct ipc_hook *h)
{
	if (q->n == VRRP_HOOKS) {
		log_error("hook_lost", q->v[0].vip,
		          "more than %u transitions wait for a parent to run their hooks: the one "
		          "from %s to %s (number %llu) is left out",
		          VRRP_HOOKS, q->v[0].from, q->v[0].to, (unsigned long long)q->v[0].number);
		memmove(&q->v[0], &q->v[1], --q->n * sizeof(q->v[0]));
	}
	q->v[q->n++] = *h;
}

static void hook(struct vrrp_instance *i, uint8_t old)
{
	const struct conf_notify *notify = &i->conf->notify;
	struct ipc_hook h = { .number = stat_get(&i->board->c[VIP_COUNT_TRANSITIONS]) };

	if (notify->exec.n == 0 && notify->webhook.len == 0) {
		return;
	}
	h.wall_ms = i->since_wall_ms;
	h.priority = i->m.priority;
	(void)snprintf(h.vip, sizeof(h.vip), "%s", i->name);
	(void)snprintf(h.from, sizeof(h.from), "%s", vip_state_name[old]);
	(void)snprintf(h.to, sizeof(h.to), "%s", vip_state_name[i->m.state]);
	(void)snprintf(h.reason, sizeof(h.reason), "%s", i->reason);
	(void)snprintf(h.interface, sizeof(h.interface), "%.*s", STR_ARG(i->conf->interface));
	addresses_text(i->conf, h.addresses, sizeof(h.addresses));
	push(&i->vrrp->hooks, &h);
	pump(i->vrrp);
}

/* --- transitions ---------------------------------------------------------------------------- */

void vrrp_publish_transition(struct vrrp_instance *i, uint8_t old)
{
	static const char *const event[VIP_STATES] = { "vip_out", "vip_backup", "vip_active" };
	char peer[NET_ADDR_TEXT + 120] = "";
	char node[NET_ADDR_TEXT + 80];
	uint8_t now = i->m.state;

	i->since_wall_ms = clock_wall_ms();
	(void)snprintf(i->reason, sizeof(i->reason), "%s", i->m.why);
	vrrp_count(i, VIP_COUNT_TRANSITIONS);
	if (now == VIP_ACTIVE) {
		vrrp_count(i, VIP_COUNT_ACTIVATIONS);
	}
	if (i->peer.len != 0) {
		(void)snprintf(peer, sizeof(peer), "; last heard: %s with priority %u",
		               vrrp_node_text(i->vrrp, &i->peer, node, sizeof(node)),
		               i->m.heard_priority);
	}
	vrrp_publish(i);
	log_notice(event[now], i->name, "was %s: %s; priority %u%s", vip_state_name[old], i->reason,
	           i->m.priority, peer);
	hook(i, old);
}
