/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What happens to a virtual router: it goes to the machine as an event, and what the machine says
 * is done here, in the order of its bits; its health, its sync group and its one timer belong to
 * that. Role vrrp, its one thread.
 */
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "vrrp/impl.h"

#define HAND_MARGIN (50 * NS_PER_MS)

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

void vrrp_instance_timer(struct loop_timer *t)
{
	struct vrrp_instance *i = CONTAINER_OF(t, struct vrrp_instance, timer);

	vrrp_instance_hurry(i);
	arm(i);
}
