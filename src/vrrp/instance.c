/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtual router: what happens to it goes to the machine as an event, and what the machine says
 * is done here, in the order of its bits. One timer for all its deadlines. Role vrrp, its one
 * thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "vrrp/impl.h"
#include "vrrp/macvlan.h"

#define NS_PER_CS   (10 * NS_PER_MS)
#define HAND_MARGIN (50 * NS_PER_MS)

/* --- its values ----------------------------------------------------------------------------- */

static void copy_str(char *out, size_t size, struct str s)
{
	(void)snprintf(out, size, "%.*s", STR_ARG(s));
}

void vrrp_instance_rules(const struct vrrp_instance *i, struct vrrp_rules *ret)
{
	const struct conf *c = i->vrrp->conf;
	const struct conf_vip_node *own = conf_vip_node(i->conf, c->self);

	CHECK(own != NULL);
	*ret = (struct vrrp_rules){
		.version = (uint8_t)i->conf->version,
		.priority = (uint8_t)own->priority,
		.low_priority = (uint8_t)conf_vip_low_priority(i->conf, c->self),
		.low_band = (uint8_t)i->conf->nnodes,
		.preempt = i->conf->preempt,
		.preempt_delay = i->conf->preempt_delay,
		.interval_cs = (uint32_t)(i->conf->advertise / NS_PER_CS),
	};
}

static void set_peers(struct vrrp_instance *i)
{
	const struct conf *c = i->vrrp->conf;
	int family = vrrp_ipv6(i) ? AF_INET6 : AF_INET;

	i->npeers = 0;
	for (uint32_t k = 0; k < i->conf->nnodes; k++) {
		uint32_t node = i->conf->nodes[k].node;

		if (node == c->self || c->nodes[node].ip.sa.sa_family != family) {
			continue;
		}
		i->peers[i->npeers] = c->nodes[node].ip;
		i->npeers++;
	}
}

void vrrp_instance_configure(struct vrrp_instance *i, const struct conf_vip *conf)
{
	struct vrrp_event e = { .kind = VRRP_EVENT_RULES };
	struct vrrp_rules rules;

	i->conf = conf;
	copy_str(i->password, sizeof(i->password), conf->password);
	i->wire = (struct vrrp_wire){
		.version = (uint8_t)conf->version,
		.vrid = (uint8_t)conf->router_id,
		.ipv6 = conf->addresses[0].ip.sa.sa_family == AF_INET6,
		.plain_checksum = conf->plain_checksum,
		.any_ttl = conf->unicast_peers,
		.interval_cs = (uint32_t)(conf->advertise / NS_PER_CS),
		.password = i->password,
	};
	i->nsaid = 0;
	for (uint32_t k = 0; k < conf->naddresses && i->nsaid < VRRP_MAX_ADDRESSES; k++) {
		i->said[i->nsaid++] = conf->addresses[k].ip;
	}
	set_peers(i);
	i->known |= conf->unicast_peers && i->npeers > 0; /* they say no more than they must */
	vrrp_instance_rules(i, &rules);
	e.rules = &rules;
	if (i->m.state != VIP_OUT) {
		vrrp_instance_step(i, &e);
	}
}

bool vrrp_instance_same_addresses(const struct vrrp_instance *i, const struct conf_vip *conf)
{
	const struct conf_vip *now = i->conf;

	for (uint32_t k = 0; k < conf->naddresses && now->naddresses == conf->naddresses; k++) {
		if (!net_addr_same_ip(&now->addresses[k].ip, &conf->addresses[k].ip) ||
		    now->addresses[k].prefix != conf->addresses[k].prefix) {
			return false;
		}
	}
	return now->naddresses == conf->naddresses;
}

bool vrrp_instance_same(const struct vrrp_instance *i, const struct conf_vip *conf)
{
	const struct conf_vip *now = i->conf;

	/* A link of its own is made for its addresses. */
	return (!conf->virtual_mac || vrrp_instance_same_addresses(i, conf)) &&
	       str_eq(now->interface, conf->interface) && now->router_id == conf->router_id &&
	       now->version == conf->version && now->unicast_peers == conf->unicast_peers &&
	       now->virtual_mac == conf->virtual_mac &&
	       now->addresses[0].ip.sa.sa_family == conf->addresses[0].ip.sa.sa_family;
}

/* --- its health ----------------------------------------------------------------------------- */

static bool same_group(const struct vrrp_instance *a, const struct vrrp_instance *b)
{
	return a == b || (a->conf->group.len != 0 && str_eq(a->conf->group, b->conf->group));
}

/* Of all members of its group, or of it alone. */
static unsigned group_of(struct vrrp_instance *i, struct vrrp_instance **ret, unsigned *ret_at)
{
	unsigned n = 0;

	for (unsigned k = 0; k < i->vrrp->n; k++) {
		struct vrrp_instance *x = i->vrrp->v[k];

		if (same_group(i, x)) {
			*ret_at = x == i ? n : *ret_at;
			ret[n++] = x;
		}
	}
	return n;
}

static struct vrrp_health own_health(struct vrrp_instance *i, char why[VRRP_WHY])
{
	struct track *t = track_find(i->vrrp->track, str_from(i->name));
	struct vrrp_health h = { 0 };

	why[0] = '\0';
	if (t != NULL) {
		track_health(t, &h, why);
	}
	return h;
}

struct vrrp_health vrrp_instance_health(struct vrrp_instance *i)
{
	struct vrrp_instance *members[CONF_MAX_VIPS];
	struct vrrp_health healths[CONF_MAX_VIPS];
	char why[VRRP_WHY];
	unsigned at = 0;
	unsigned n = group_of(i, members, &at);

	i->health_why[0] = '\0';
	for (unsigned k = 0; k < n; k++) {
		healths[k] = own_health(members[k], why);
		if (i->health_why[0] == '\0') {
			memcpy(i->health_why, why, sizeof(why));
		}
	}
	return vrrp_group_health(healths, n);
}

void vrrp_instance_feel(struct vrrp_instance *i)
{
	struct vrrp_event e = { .kind = VRRP_EVENT_HEALTH };

	e.health = vrrp_instance_health(i);
	e.why = i->health_why;
	vrrp_instance_step(i, &e);
	vrrp_publish(i);
}

/* --- doing what the machine says ------------------------------------------------------------ */

static bool others(const struct vrrp_instance *i)
{
	return i->conf->nnodes > 1 && i->conf->handover != 0 && i->relay != NULL;
}

static void relay_from(struct vrrp_instance *i)
{
	char why[256] = "";

	if (i->relay == NULL) {
		return;
	}
	relay_back(i->relay);
	if (i->peer.len != 0 && i->conf->handover != 0 &&
	    relay_take(i->relay, i->port.index, &i->peer, i->conf->handover, why, sizeof(why)) !=
	        OK) {
		log_warning("relay", i->name, "connections of the former holder will break: %s",
		            why);
	}
}

static void relay_on(struct vrrp_instance *i)
{
	char why[256] = "";

	if (others(i) &&
	    relay_keep(i->relay, i->port.index, i->conf->handover, why, sizeof(why)) != OK) {
		log_warning("relay", i->name, "connections through this node will break: %s", why);
	}
}

/* It was given up by order, or a condition wants it: for how long somebody else is waited for. */
static void hand(struct vrrp_instance *i)
{
	uint64_t now = clock_mono();
	uint64_t interval = MAX(i->m.active_interval_cs, i->m.rules.interval_cs) * NS_PER_CS;
	uint64_t skew = i->m.rules.version == 2 ? MAX(interval, NS_PER_S) : interval;

	/* The next one promotes within its skew time, and speaks then. */
	i->handed_at = now;
	i->handed_until = i->known ? now + skew + interval / 4 + HAND_MARGIN : now;
}

static void act(struct vrrp_instance *i, unsigned todo, uint8_t old)
{
	if (todo & VRRP_DO_RELEASE) {
		vrrp_send(i, VRRP_PRIORITY_RELEASE);
		hand(i);
	}
	if (todo & VRRP_DO_REMOVE) {
		vrrp_watch_stop(i);
		vrrp_announce_stop(i);
		if (todo & VRRP_DO_RELAY && !(todo & VRRP_DO_ADD)) {
			relay_on(i);
		}
		vrrp_release(i);
	}
	if (todo & VRRP_DO_ADD) {
		if (todo & VRRP_DO_RELAY) {
			relay_from(i);
		} else if (i->relay != NULL) {
			relay_back(i->relay);
		}
		i->handed_at = 0;
		vrrp_hold(i);
	}
	if (todo & VRRP_DO_ADVERTISE) {
		vrrp_send(i, i->m.priority);
		atomic_store(&i->board->alive_ns, clock_mono());
	}
	if (todo & VRRP_DO_ANNOUNCE) {
		vrrp_announce(i);
	}
	if (todo & VRRP_DO_ADD) {
		vrrp_watch_start(i);
	}
	if (todo & VRRP_DO_TRANSITION) {
		vrrp_publish_transition(i, old);
	}
	if (todo & VRRP_DO_CONFLICT) {
		vrrp_conflict(i);
	}
}

static void arm(struct vrrp_instance *i)
{
	uint64_t next = vrrp_machine_next(&i->m);
	struct loop *l = i->vrrp->loop;

	if (next == 0) {
		loop_timer_stop(l, &i->timer);
	} else {
		loop_timer_set(l, &i->timer, next > l->now ? next - l->now : 0);
	}
}

/* The others of its sync group go where it has gone. */
static void lead(struct vrrp_instance *i, uint8_t before)
{
	struct vrrp_instance *members[CONF_MAX_VIPS];
	uint8_t states[CONF_MAX_VIPS];
	char why[VRRP_WHY];
	unsigned at = 0;
	unsigned n = group_of(i, members, &at);
	struct vrrp_event e = { .kind = VRRP_EVENT_GROUP, .why = why };

	if (n < 2) {
		return;
	}
	for (unsigned k = 0; k < n; k++) {
		states[k] = members[k]->m.state;
	}
	e.state = vrrp_group_follow(states, n, at, before);
	if (e.state == VIP_STATES) {
		return;
	}
	(void)snprintf(why, sizeof(why), "its group goes with %s", i->name);
	for (unsigned k = 0; k < n; k++) {
		vrrp_instance_step(members[k], &e);
	}
}

static bool held_back(struct vrrp_instance *i, uint64_t now)
{
	struct vrrp_instance *members[CONF_MAX_VIPS];
	const struct vrrp_machine *machines[CONF_MAX_VIPS];
	unsigned at = 0;
	unsigned n = group_of(i, members, &at);

	for (unsigned k = 0; k < n; k++) {
		machines[k] = &members[k]->m;
	}
	return n > 1 && vrrp_group_held(machines, n, at, now);
}

void vrrp_instance_step(struct vrrp_instance *i, struct vrrp_event *e)
{
	uint8_t old = i->m.state;
	unsigned todo;

	e->now = clock_mono();
	if (e->kind == VRRP_EVENT_TIME) {
		e->held = held_back(i, e->now);
	}
	todo = vrrp_machine_step(&i->m, e);
	act(i, todo, old);
	arm(i);
	if (todo & VRRP_DO_TRANSITION && e->kind != VRRP_EVENT_GROUP) {
		lead(i, old);
	}
	if (todo & VRRP_DO_TRANSITION) {
		vrrp_orders_look(i->vrrp);
	}
}

void vrrp_group_step(struct vrrp_instance *i, const struct vrrp_event *e)
{
	struct vrrp_instance *members[CONF_MAX_VIPS];
	unsigned at = 0;
	unsigned n = group_of(i, members, &at);

	/* Where one could not follow, none is appointed. */
	for (unsigned k = 0; k < n && e->kind == VRRP_EVENT_APPOINT; k++) {
		if (members[k]->m.state == VIP_OUT) {
			return;
		}
	}
	for (unsigned k = 0; k < n; k++) {
		struct vrrp_event copy = *e;

		vrrp_instance_step(members[k], &copy);
	}
}

/* --- time ----------------------------------------------------------------------------------- */

void vrrp_instance_hurry(struct vrrp_instance *i)
{
	uint64_t next = vrrp_machine_next(&i->m);
	struct vrrp_event e = { .kind = VRRP_EVENT_TIME };

	if (next == 0 || clock_mono() < next) {
		return;
	}
	/* What was said in time counts before the timer, even if we are late to read it. */
	if (i->channel != NULL) {
		vrrp_channel_drain(i->channel);
	}
	next = vrrp_machine_next(&i->m);
	if (next != 0 && clock_mono() >= next) {
		vrrp_instance_step(i, &e);
	}
}

static void on_timer(struct loop_timer *t)
{
	struct vrrp_instance *i = CONTAINER_OF(t, struct vrrp_instance, timer);

	vrrp_instance_hurry(i);
	arm(i);
}

/* --- begin and end -------------------------------------------------------------------------- */

/* Why it takes no part now; NULL: it may. */
static const char *hindrance(struct vrrp_instance *i, bool *ret_keep)
{
	*ret_keep = true;
	if (i->vrrp->ending) {
		return "the node ends";
	}
	if (i->vrrp->drained) {
		return "the node is drained";
	}
	*ret_keep = false;
	if (i->vrrp->lacks != NULL) {
		return i->vrrp->lacks;
	}
	if (vrrp_port_why(i, &i->port, i->out_why, sizeof(i->out_why)) != NULL) {
		return i->out_why;
	}
	if (vrrp_channel_get(i) != OK) {
		(void)snprintf(i->out_why, sizeof(i->out_why),
		               "cannot open a socket for VRRP on %s: %s", i->conf->interface.s,
		               strerror(errno));
		return i->out_why;
	}
	return NULL;
}

static void stay_out(struct vrrp_instance *i, const char *why)
{
	if (strcmp(i->reason, why) == 0) {
		return;
	}
	(void)snprintf(i->reason, sizeof(i->reason), "%s", why);
	log_notice("vip_out", i->name, "takes no part: %s", why);
	vrrp_publish(i);
}

void vrrp_instance_look(struct vrrp_instance *i)
{
	struct vrrp_event e = { .kind = VRRP_EVENT_OUT };
	struct vrrp_rules rules;

	e.why = hindrance(i, &e.keep);
	if (e.why != NULL && i->m.state != VIP_OUT) {
		vrrp_instance_step(i, &e);
	} else if (e.why != NULL) {
		stay_out(i, e.why);
	} else if (i->m.state == VIP_OUT) {
		vrrp_instance_rules(i, &rules);
		e.kind = VRRP_EVENT_START;
		e.rules = &rules;
		e.health = vrrp_instance_health(i);
		vrrp_instance_step(i, &e);
	}
}

void vrrp_instance_resume(struct vrrp_instance *i, const struct vrrp_event *as)
{
	struct vrrp_event e = *as;
	struct vrrp_rules rules;
	bool keep;

	if (hindrance(i, &keep) != NULL) {
		return;
	}
	vrrp_instance_rules(i, &rules);
	e.kind = VRRP_EVENT_RESUME;
	e.rules = &rules;
	e.health = vrrp_instance_health(i);
	e.why = i->health_why;
	vrrp_instance_step(i, &e);
	vrrp_publish(i);
}

struct vrrp_instance *vrrp_instance_new(struct vrrp *v, const struct conf_vip *conf)
{
	struct vrrp_instance *i = calloc(1, sizeof(*i));

	if (i == NULL) {
		return NULL;
	}
	i->vrrp = v;
	copy_str(i->name, sizeof(i->name), conf->name);
	i->board = vrrp_board_find(v, i->name);
	CHECK(i->board != NULL); /* there are as many places as a configuration may have */
	i->timer.fn = on_timer;
	i->watch.io.fd = -1;
	i->since_wall_ms = clock_wall_ms();
	vrrp_machine_init(&i->m);
	vrrp_instance_configure(i, conf);
	return i;
}

void vrrp_instance_detach(struct vrrp_instance *i)
{
	struct loop *l = i->vrrp->loop;

	vrrp_watch_stop(i);
	vrrp_announce_stop(i);
	vrrp_release(i);
	loop_timer_stop(l, &i->timer);
	vrrp_channel_put(i);
	macvlan_free(i->macvlan);
	i->macvlan = NULL;
	i->port = (struct vrrp_port){ 0 };
}

void vrrp_instance_free(struct vrrp_instance *i)
{
	vrrp_instance_detach(i);
	vrrp_orders_forget(i, "it was taken out of the configuration");
	if (i->relay != NULL) {
		relay_free(i->relay);
	}
	if (i->vrrp->acting) {
		vrrp_board_free(i);
	}
	free(i);
}
