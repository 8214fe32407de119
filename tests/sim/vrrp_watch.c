/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What must hold in the world, whatever befalls it. d: the longest delay of a packet, j: of a
 * timer, L: how many packets in a row may be lost on one way (0 or 1).
 *
 * 1. Two active nodes that hear each other: at most (L + 1) x (interval of the one that stays + j)
 *    + d; and without loss at most interval of the one that goes + j + 2 d, because its own
 *    advertisement is answered at once (RFC 9568 section 6.4.3).
 * 2. A node that takes part and neither is active nor can hear an active one becomes active within
 *    its master-down time + d + j; within its skew time + j after a priority 0.
 * 3. It does not take the address from an active node that it hears and must leave in place (equal
 *    or higher; preemption off, delayed, or yielded, and that one is well).
 * 4. Of two backups that heard the same last words, the one with the smaller skew is active first.
 * 5. One that slept so long that it must count as dead is backup when it wakes.
 * 6. Who gives the address up says so; the addresses are there exactly while it is active.
 * 7. When the faults are over: within watch_settling() exactly one node is active, in all networks
 *    of a group the same one, nobody would take it from it, and then nothing changes any more.
 */
#include "vrrp_world.h"

#include "base/check.h"
#include "base/clock.h"

#define MS(ns) ((double)(ns) / NS_PER_MS)

static const struct router *router_of(const struct world *w, unsigned node, unsigned g)
{
	return &w->node[node].router[g];
}

static bool is_active(const struct world *w, unsigned node, unsigned g)
{
	return world_lives(w, node) && router_of(w, node, g)->m.state == VIP_ACTIVE;
}

static bool is_backup(const struct world *w, unsigned node, unsigned g)
{
	return world_lives(w, node) && router_of(w, node, g)->m.state == VIP_BACKUP;
}

static bool hears(const struct world *w, unsigned node, unsigned from, unsigned g)
{
	return !w->cut[g][from][node] && w->node[node].link[g] && w->node[from].link[g];
}

static uint64_t interval_of(const struct world *w, unsigned node)
{
	return w->node[node].rules.interval_cs * NS_PER_CS;
}

static bool takes_part(const struct world *w, unsigned node)
{
	bool all = world_lives(w, node);

	for (unsigned g = 0; g < w->routers; g++)
		all &= router_of(w, node, g)->m.state != VIP_OUT;
	return all;
}

/* RFC 9568 and RFC 3768 section 6.1, told a second time. */
static uint64_t skew_of(const struct vrrp_machine *m)
{
	uint64_t of = m->rules.version == 2 ? NS_PER_S : m->active_interval_cs * NS_PER_CS;

	return of - of * m->priority / 256;
}

static uint64_t master_down_of(const struct vrrp_machine *m)
{
	bool learns = m->rules.version != 2;

	return 3 * NS_PER_CS * (learns ? m->active_interval_cs : m->rules.interval_cs) + skew_of(m);
}

/* Rule 3, told a second time, from the words of the product and not from the machine's code. */
static bool must_leave(const struct world *w, unsigned node, unsigned g, unsigned priority)
{
	const struct router *r = router_of(w, node, g);
	const struct vrrp_rules *rules = &w->node[node].rules;
	bool well = r->m.priority > LOW_BAND, other_is_well = priority > LOW_BAND;

	if (priority >= r->m.priority)
		return true;
	if (well && !other_is_well)
		return false;
	if (!rules->preempt || r->yielded)
		return true;
	return w->routers == 1 && rules->preempt_delay > 0 &&
	       (r->lower_at == 0 || w->now < r->lower_at + rules->preempt_delay);
}

/* How long until something that is said again and again is heard. */
static uint64_t heard_within(const struct world *w, unsigned from)
{
	return (w->loss + 1) * (interval_of(w, from) + w->lateness) + w->delay_max;
}

/* --- as time goes by ------------------------------------------------------------------------- */

static void check_both_active(struct world *w, unsigned g, unsigned a, unsigned b, uint64_t now)
{
	const struct pair *p = &w->pair[g][a][b];
	unsigned pa = router_of(w, a, g)->m.priority, pb = router_of(w, b, g)->m.priority;
	unsigned stays = pa > pb ? a : b, goes = pa > pb ? b : a;
	uint64_t bound = heard_within(w, stays);

	/* Equal: the larger address, here the larger number (a < b). */
	if (w->loss == 0)
		bound = MIN(bound, interval_of(w, goes) + w->lateness + 2 * w->delay_max);
	if (p->both_active != 0 && now - p->both_active > bound)
		world_broken(
		    w,
		    "network %u: nodes %u (priority %u) and %u (priority %u) are both active "
		    "for %.3f ms, and hear each other; the bound is %.3f ms",
		    g, a, pa, b, pb, MS(now - p->both_active), MS(bound));
}

static void check_alone(struct world *w, unsigned g, unsigned node, uint64_t now)
{
	const struct router *r = router_of(w, node, g);
	uint64_t bound = r->alone_down + w->delay_max + w->lateness;

	if (r->alone_since == 0)
		return;
	if (r->released_at != 0)
		bound = MIN(bound, MAX(r->released_at, r->alone_since) - r->alone_since +
		                       r->alone_skew + w->lateness);
	if (now - r->alone_since > bound)
		world_broken(
		    w,
		    "network %u: node %u hears no active one for %.3f ms and does not take "
		    "the address; the bound is %.3f ms%s",
		    g, node, MS(now - r->alone_since), MS(bound),
		    r->released_at != 0 ? " (after a priority 0)" : "");
}

void watch_time(struct world *w, uint64_t now)
{
	if (now == w->now)
		return;
	for (unsigned g = 0; g < w->routers; g++) {
		for (unsigned a = 0; a < w->nodes; a++) {
			check_alone(w, g, a, now);
			for (unsigned b = a + 1; b < w->nodes; b++)
				check_both_active(w, g, a, b, now);
		}
	}
}

/* --- since when things are as they are ------------------------------------------------------- */

static void since(const struct world *w, uint64_t *at, bool holds)
{
	if (!holds)
		*at = 0;
	else if (*at == 0)
		*at = w->now;
}

static void note_pair(struct world *w, unsigned g, unsigned a, unsigned b)
{
	struct pair *p = &w->pair[g][a][b];
	const struct router *ra = router_of(w, a, g), *rb = router_of(w, b, g);
	uint32_t what = (uint32_t)ra->m.priority << 8 | rb->m.priority;

	if (what != p->both_what)
		p->both_active = p->left_in_place = 0; /* the new priority has to be heard first */
	p->both_what = what;
	since(w, &p->both_active,
	      is_active(w, a, g) && is_active(w, b, g) && hears(w, a, b, g) && hears(w, b, a, g));
	/* a backup, b active */
	since(w, &p->left_in_place,
	      is_backup(w, a, g) && is_active(w, b, g) && hears(w, a, b, g) &&
	          must_leave(w, a, g, rb->m.priority));
}

static void note_alone(struct world *w, unsigned g, unsigned node)
{
	struct router *r = &w->node[node].router[g];
	/* In a group all wait for the last: the address alone is held by none. */
	bool alone = is_backup(w, node, g) && w->routers == 1;

	for (unsigned from = 0; from < w->nodes; from++)
		alone &= from == node || !is_active(w, from, g) || !hears(w, node, from, g);
	if (!alone) {
		r->alone_since = r->alone_down = r->alone_skew = 0;
		return;
	}
	since(w, &r->alone_since, true);
	r->alone_down = MAX(r->alone_down, master_down_of(&r->m));
	r->alone_skew = MAX(r->alone_skew, skew_of(&r->m));
}

void watch_note(struct world *w)
{
	for (unsigned g = 0; g < w->routers; g++) {
		for (unsigned a = 0; a < w->nodes; a++) {
			note_alone(w, g, a);
			if (is_active(w, a, g))
				w->node[a].router[g].active_at = w->now;
			for (unsigned b = 0; b < w->nodes; b++) {
				if (a != b)
					note_pair(w, g, a, b);
			}
		}
	}
}

/* --- one step -------------------------------------------------------------------------------- */

static void check_not_stolen(struct world *w, unsigned node, unsigned g)
{
	for (unsigned b = 0; b < w->nodes; b++) {
		uint64_t at = w->pair[g][node][b].left_in_place;

		if (b != node && at != 0 && w->now - at > heard_within(w, b))
			world_broken(w,
			             "network %u: node %u takes the address from node %u, which it "
			             "hears and must leave in place since %.3f ms",
			             g, node, b, MS(w->now - at));
	}
}

static void check_order(struct world *w, unsigned node, unsigned g,
                        const struct vrrp_machine *before)
{
	uint64_t mine = w->node[node].router[g].disturbed_at;

	for (unsigned b = 0; b < w->nodes; b++) {
		const struct router *other = router_of(w, b, g);
		const struct vrrp_machine *m = &other->m;
		uint64_t apart =
		    MAX(m->heard_at, before->heard_at) - MIN(m->heard_at, before->heard_at);

		if (b == node || !is_backup(w, b, g) || !hears(w, node, b, g) ||
		    mine >= before->heard_at || other->disturbed_at >= m->heard_at ||
		    m->heard_at == 0 || apart > w->delay_max ||
		    m->heard_priority != before->heard_priority ||
		    m->heard_interval_cs != before->heard_interval_cs ||
		    m->active_interval_cs != before->active_interval_cs ||
		    !must_leave(w, b, g, m->heard_priority) ||
		    before->priority > before->heard_priority || before->heard_priority == 0)
			continue;
		if (skew_of(m) + 2 * w->delay_max + w->lateness < skew_of(before))
			world_broken(w,
			             "network %u: node %u (priority %u) takes the address before "
			             "node %u (priority %u), which has heard the same",
			             g, node, before->priority, b, m->priority);
	}
}

static void check_actions(struct world *w, unsigned node, unsigned g,
                          const struct vrrp_machine *before, const struct vrrp_event *e,
                          unsigned todo)
{
	const struct router *r = router_of(w, node, g);
	bool was = before->state == VIP_ACTIVE, is = r->m.state == VIP_ACTIVE;
	bool heard = e->kind == VRRP_EVENT_ADVERT;

	if (r->holds != is)
		world_broken(w, "network %u: node %u is %s, and %s the addresses", g, node,
		             vip_state_name[r->m.state], r->holds ? "holds" : "does not hold");
	if (was && !is && !heard && !r->woken && !(todo & VRRP_DO_RELEASE))
		world_broken(w, "network %u: node %u goes without a word", g, node);
	if (!was && is &&
	    (todo & (VRRP_DO_ADVERTISE | VRRP_DO_ANNOUNCE)) !=
	        (VRRP_DO_ADVERTISE | VRRP_DO_ANNOUNCE))
		world_broken(w, "network %u: node %u takes the address without a word", g, node);
	if (r->m.state != VIP_OUT && vrrp_machine_next(&r->m) == 0)
		world_broken(w, "network %u: node %u has no timer", g, node);
	if (e->kind == VRRP_EVENT_TIME && r->m.state != VIP_OUT &&
	    vrrp_machine_next(&r->m) <= w->now)
		world_broken(w, "network %u: node %u would never stop working", g, node);
}

static void check_woken(struct world *w, unsigned node, unsigned g,
                        const struct vrrp_machine *before, const struct vrrp_event *e)
{
	const struct router *r = router_of(w, node, g);

	if (r->woken && before->state == VIP_ACTIVE && r->m.state == VIP_ACTIVE &&
	    (e->kind == VRRP_EVENT_ADVERT || e->kind == VRRP_EVENT_TIME) &&
	    w->now - r->sent_before > master_down_of(before))
		world_broken(w,
		             "network %u: node %u said nothing for %.3f ms, and goes on as if "
		             "nothing had been",
		             g, node, MS(w->now - r->sent_before));
}

/* What the watch itself has to know about preemption. */
static void learn(struct world *w, unsigned node, unsigned g, const struct vrrp_machine *before,
                  const struct vrrp_event *e)
{
	struct router *r = &w->node[node].router[g];
	bool backup = r->m.state == VIP_BACKUP && (before->state == VIP_BACKUP || r->woken);

	if (r->m.state == VIP_ACTIVE || e->kind == VRRP_EVENT_START)
		r->yielded = false;
	if (e->kind == VRRP_EVENT_YIELD && before->state != VIP_OUT)
		r->yielded = true;
	if (e->kind != VRRP_EVENT_ADVERT && e->kind != VRRP_EVENT_TIME)
		r->disturbed_at = w->now;
	if (e->kind == VRRP_EVENT_RESUME)
		r->alone_since = 0; /* a new process begins to listen */
	if (!backup || (before->priority <= LOW_BAND && r->m.priority != before->priority) ||
	    before->rules.preempt_delay != r->m.rules.preempt_delay)
		r->lower_at = 0;
	if (r->woken && r->lower_at != 0)
		r->lower_at = 1; /* it may wait anew or not: no claim */
	if (!backup || r->woken)
		r->released_at = 0;
	if (!backup || e->kind != VRRP_EVENT_ADVERT)
		return;
	r->released_at = e->priority == 0 ? w->now : 0;
	if (e->priority == 0 || e->priority >= r->m.priority)
		r->lower_at = 0;
	else if (r->lower_at == 0)
		r->lower_at = w->now;
}

void watch_step(struct world *w, unsigned node, unsigned g, const struct vrrp_machine *before,
                const struct vrrp_event *e, unsigned todo)
{
	check_actions(w, node, g, before, e, todo);
	check_woken(w, node, g, before, e);
	if (e->kind == VRRP_EVENT_TIME && before->state == VIP_BACKUP &&
	    router_of(w, node, g)->m.state == VIP_ACTIVE) {
		check_not_stolen(w, node, g);
		if (w->loss == 0 && w->routers == 1)
			check_order(w, node, g, before);
	}
	/* Until new rules have been told the others count wrongly; and who hears two active nodes
	 * may count with the interval of the one that goes. */
	for (unsigned b = 0; b < w->nodes; b++) {
		if (e->kind == VRRP_EVENT_RULES) {
			w->pair[g][b][node].left_in_place = w->pair[g][node][b].left_in_place = 0;
			w->pair[g][b][node].both_active = w->pair[g][node][b].both_active = 0;
		} else if (e->kind == VRRP_EVENT_ADVERT && b != w->speaker) {
			w->pair[g][node][b].left_in_place = 0;
		}
	}
	learn(w, node, g, before, e);
}

/* --- in the end ------------------------------------------------------------------------------ */

/* A delay of preemption, and three times the longest master-down time: one until somebody has it,
 * one until somebody better takes it, one for a group. */
uint64_t watch_settling(const struct world *w)
{
	uint64_t longest = 0, delay = 0, interval = 0;

	for (unsigned n = 0; n < w->nodes; n++) {
		interval = MAX(interval, interval_of(w, n));
		delay = MAX(delay, w->node[n].rules.preempt_delay);
		for (unsigned g = 0; g < w->routers; g++)
			longest =
			    MAX(longest, router_of(w, n, g)->m.active_interval_cs * NS_PER_CS);
	}
	longest = 4 * MAX(longest, interval) + NS_PER_S * (w->node[0].rules.version == 2);
	return delay + 3 * (longest + w->delay_max + w->lateness);
}

/* A group takes an address over only where all its members would. */
static bool group_must_leave(const struct world *w, unsigned node, unsigned active)
{
	bool leaves = false;

	for (unsigned g = 0; g < w->routers; g++)
		leaves |= must_leave(w, node, g, router_of(w, active, g)->m.priority);
	return leaves;
}

static void check_last(struct world *w, unsigned g)
{
	int active = -1;

	for (unsigned n = 0; n < w->nodes; n++) {
		if (!is_active(w, n, g))
			continue;
		if (active >= 0)
			world_broken(w, "network %u: in the end nodes %d and %u are active", g,
			             active, n);
		active = (int)n;
	}
	for (unsigned n = 0; n < w->nodes; n++) {
		if (!takes_part(w, n) || (int)n == active)
			continue;
		if (active < 0)
			world_broken(w, "network %u: in the end nobody is active, not even node %u",
			             g, n);
		if (!group_must_leave(w, n, (unsigned)active))
			world_broken(w, "network %u: in the end node %d is active, and not node %u",
			             g, active, n);
	}
	if (active >= 0 && !is_active(w, (unsigned)active, 0))
		world_broken(w, "in the end node %d is active in network %u alone", active, g);
}

void watch_end(struct world *w)
{
	for (unsigned g = 0; g < w->routers; g++)
		check_last(w, g);
}
