/* SPDX-License-Identifier: Apache-2.0 */
/* Worlds and what befalls them, at random. See vrrp_world.h. */
#include "vrrp_world.h"

#include <string.h>

#include "base/check.h"
#include "base/clock.h"

static uint64_t longest_interval(const struct world *w)
{
	uint32_t cs = 0;

	for (unsigned n = 0; n < w->nodes; n++)
		cs = MAX(cs, w->node[n].rules.interval_cs);
	return cs * NS_PER_CS;
}

static struct vrrp_event to_start(const struct world *w, unsigned node, enum vrrp_event_kind kind)
{
	return (struct vrrp_event){ .kind = kind,
		                    .rules = &w->node[node].rules,
		                    .health = w->node[node].health };
}

static void boot(struct world *w, unsigned node)
{
	struct node *n = &w->node[node];

	n->running = true;
	for (unsigned g = 0; g < w->routers; g++) {
		vrrp_machine_init(&n->router[g].m);
		n->router[g].armed = 0;
	}
	for (unsigned g = 0; g < w->routers; g++) {
		if (n->link[g])
			world_step(w, node, g, to_start(w, node, VRRP_EVENT_START));
	}
}

/* Its process is started again at once, and its addresses are still there. */
static void resume(struct world *w, unsigned node)
{
	struct node *n = &w->node[node];

	for (unsigned g = 0; g < w->routers; g++) {
		struct vrrp_machine before = n->router[g].m;
		struct vrrp_event e = to_start(w, node, VRRP_EVENT_RESUME);

		e.state = before.state;
		e.yielded = before.yielded;
		e.appointed = before.appointed;
		e.active_interval_cs = before.active_interval_cs;
		vrrp_machine_init(&n->router[g].m);
		n->router[g].holds = false;
		if (before.state != VIP_OUT)
			world_step(w, node, g, e);
	}
}

static void crash(struct world *w, unsigned node)
{
	struct node *n = &w->node[node];

	n->running = n->frozen = false;
	for (unsigned g = 0; g < w->routers; g++) {
		n->router[g].holds = false;
		n->router[g].m.state = VIP_OUT;
	}
}

static void fault_process(struct world *w, unsigned node)
{
	struct node *n = &w->node[node];

	if (!n->running) {
		world_say(w, "node %u starts", node);
		boot(w, node);
	} else if (n->frozen) {
		world_say(w, "node %u wakes", node);
		world_wake(w, node);
	} else if (world_chance(w, 40)) {
		bool deaf = world_chance(w, 50);

		world_say(w, "node %u freezes%s", node, deaf ? ", its kernel too" : "");
		world_freeze(w, node, deaf);
	} else if (world_chance(w, 40)) {
		world_say(w, "node %u: its process is started again", node);
		resume(w, node);
	} else {
		world_say(w, "node %u crashes", node);
		crash(w, node);
	}
}

static void cut_all(struct world *w, bool cut)
{
	for (unsigned g = 0; g < w->routers; g++) {
		for (unsigned a = 0; a < w->nodes; a++) {
			for (unsigned b = 0; b < w->nodes; b++)
				w->cut[g][a][b] = cut;
		}
	}
}

static void fault_network(struct world *w)
{
	unsigned g = (unsigned)world_random(w, w->routers), a, b;
	uint64_t side = world_random(w, 1U << w->nodes);

	if (world_chance(w, 30)) {
		world_say(w, "the networks are mended");
		cut_all(w, false);
		return;
	}
	a = (unsigned)world_random(w, w->nodes);
	b = (unsigned)world_random(w, w->nodes);
	switch (world_random(w, 3)) {
	case 0: /* what a says does not reach b any more, or again */
		w->cut[g][a][b] = !w->cut[g][a][b];
		world_say(w, "network %u: %u to %u %s", g, a, b,
		          w->cut[g][a][b] ? "cut" : "mended");
		return;
	case 1: /* a partition of all networks */
		world_say(w, "partition 0x%x", (unsigned)side);
		for (g = 0; g < w->routers; g++) {
			for (a = 0; a < w->nodes; a++) {
				for (b = 0; b < w->nodes; b++)
					w->cut[g][a][b] = (side >> a & 1) != (side >> b & 1);
			}
		}
		return;
	default: /* an asymmetric one of one network */
		world_say(w, "network %u: partition 0x%x, of one direction", g, (unsigned)side);
		for (a = 0; a < w->nodes; a++) {
			for (b = 0; b < w->nodes; b++)
				w->cut[g][a][b] = (side >> a & 1) && !(side >> b & 1);
		}
	}
}

static void set_health(struct world *w, unsigned node, struct vrrp_health health)
{
	struct vrrp_event e = { .kind = VRRP_EVENT_HEALTH, .health = health, .why = "health" };

	w->node[node].health = health;
	if (world_lives(w, node))
		world_step_all(w, node, e);
}

static void fault_health(struct world *w, unsigned node)
{
	struct vrrp_health health = { .weight = 0 };

	if (world_chance(w, 60)) {
		health.low = world_chance(w, 50);
		health.release = world_chance(w, 30);
		health.weight = world_chance(w, 40) ? (uint32_t)world_random(w, 200) : 0;
	}
	world_say(w, "node %u: health: %s%sweight %u", node, health.low ? "low, " : "",
	          health.release ? "release, " : "", health.weight);
	set_health(w, node, health);
}

static void fault_order(struct world *w, unsigned node)
{
	unsigned to = (unsigned)world_random(w, w->nodes);
	struct vrrp_event yield = { .kind = VRRP_EVENT_YIELD };

	if (!world_lives(w, node))
		return;
	if (world_chance(w, 30)) {
		world_say(w, "node %u is appointed", node);
		world_appoint(w, node);
		return;
	}
	if (to != node && world_chance(w, 50)) {
		w->release_to = (int)to;
		world_say(w, "node %u yields to node %u", node, to);
	} else {
		world_say(w, "node %u yields", node);
	}
	world_step_all(w, node, yield);
	w->release_to = -1;
}

static void fault_interface(struct world *w, unsigned node)
{
	unsigned g = (unsigned)world_random(w, w->routers);
	struct node *n = &w->node[node];

	if (n->frozen)
		return;
	n->link[g] = !n->link[g];
	world_say(w, "node %u: interface %u %s", node, g, n->link[g] ? "up" : "down");
	if (!n->running)
		return;
	if (n->link[g])
		world_step(w, node, g, to_start(w, node, VRRP_EVENT_START));
	else
		world_step(w, node, g,
		           (struct vrrp_event){ .kind = VRRP_EVENT_OUT,
		                                .keep = world_chance(w, 50),
		                                .why = "interface down" });
}

static uint32_t random_interval(struct world *w)
{
	static const uint32_t some[] = { 2, 4, 10, 10, 30, 100 };

	return some[world_random(w, ARRAY_LEN(some))];
}

static void random_rules(struct world *w, struct vrrp_rules *r)
{
	r->priority = (uint8_t)(LOW_BAND + 1 + world_random(w, 254 - LOW_BAND));
	if (world_chance(w, 30))
		r->priority = 100; /* the same as others */
	r->preempt = !world_chance(w, 30);
	r->preempt_delay = world_chance(w, 30) ? world_random(w, w->longest_delay) : 0;
}

static void fault_rules(struct world *w, unsigned node)
{
	struct node *n = &w->node[node];

	random_rules(w, &n->rules);
	if (n->rules.version == 3 && world_chance(w, 50))
		n->rules.interval_cs = random_interval(w);
	world_say(w, "node %u: priority %u, interval %u cs, preempt %d after %llu ms", node,
	          n->rules.priority, n->rules.interval_cs, n->rules.preempt,
	          (unsigned long long)(n->rules.preempt_delay / NS_PER_MS));
	if (world_lives(w, node))
		world_step_all(w, node, to_start(w, node, VRRP_EVENT_RULES));
}

/* What is broken is mended; who is unwell, or out, may stay so. */
static void mend(struct world *w)
{
	world_say(w, "--- the faults are over ---");
	cut_all(w, false);
	w->quiet = true;
	for (unsigned n = 0; n < w->nodes; n++) {
		if (w->node[n].frozen)
			world_wake(w, n);
		if (!w->node[n].running && world_chance(w, 80))
			boot(w, n);
		if (world_chance(w, 60))
			set_health(w, n, (struct vrrp_health){ .weight = 0 });
		for (unsigned g = 0; g < w->routers; g++) {
			bool up = w->node[n].link[g] || world_chance(w, 20);

			if (up && !w->node[n].link[g] && w->node[n].running) {
				w->node[n].link[g] = true;
				world_step(w, n, g, to_start(w, n, VRRP_EVENT_START));
			}
			w->node[n].link[g] = up;
		}
	}
	world_at(w, w->now + watch_settling(w), (struct happening){ .kind = HAPPENING_END });
}

static void next_fault(struct world *w)
{
	uint64_t interval = longest_interval(w);
	uint64_t most[] = { w->delay_max, interval, 4 * interval, 12 * interval };

	world_at(w, w->now + 1 + world_random(w, most[world_random(w, ARRAY_LEN(most))]),
	         (struct happening){ .kind = HAPPENING_FAULT });
}

void chaos_fault(struct world *w)
{
	unsigned node = (unsigned)world_random(w, w->nodes);
	uint64_t kind = world_random(w, 100);

	if (w->faults-- == 0) {
		mend(w);
		return;
	}
	if (kind < 30)
		fault_process(w, node);
	else if (kind < 50)
		fault_network(w);
	else if (kind < 70)
		fault_health(w, node);
	else if (kind < 84)
		fault_order(w, node);
	else if (kind < 93)
		fault_interface(w, node);
	else
		fault_rules(w, node);
	next_fault(w);
}

void chaos_make(struct world *w, uint64_t seed, bool verbose)
{
	uint8_t version;
	uint32_t interval, smallest = UINT32_MAX;
	bool same;

	memset(w, 0, sizeof(*w));
	w->seed = seed;
	w->verbose = verbose;
	w->random[0] = seed * 0x9e3779b97f4a7c15ULL + 1;
	w->random[1] = ~seed;
	for (unsigned i = 0; i < 16; i++)
		(void)world_random(w, 2);
	w->now = START_TIME;
	w->release_to = -1;
	w->nodes = 2 + (unsigned)world_random(w, MAX_NODES - 1);
	w->routers = world_chance(w, 70) ? 1 : 2 + (unsigned)world_random(w, MAX_ROUTERS - 1);
	version = world_chance(w, 20) ? 2 : 3;
	same = world_chance(w, 60);
	interval = version == 2 ? 100 * (1 + (uint32_t)world_random(w, 3)) : random_interval(w);
	w->longest_delay = 20 * interval * NS_PER_CS;
	for (unsigned n = 0; n < w->nodes; n++) {
		struct vrrp_rules *r = &w->node[n].rules;

		r->version = version;
		r->low_band = LOW_BAND;
		r->low_priority = (uint8_t)(n + 1);
		r->interval_cs = version == 2 || same ? interval : random_interval(w);
		random_rules(w, r);
		smallest = MIN(smallest, version == 2 ? interval : 2U);
		memset(w->node[n].link, true, sizeof(w->node[n].link));
	}
	/* So small that nobody who is well and connected is taken for dead. */
	w->delay_max = 1 + world_random(w, smallest * NS_PER_CS / 5);
	w->lateness = world_random(w, smallest * NS_PER_CS / 20);
	w->loss = world_chance(w, 40) ? 1 : 0;
	w->loss_percent = w->loss > 0 ? 5 + (unsigned)world_random(w, 40) : 0;
	w->twice_percent = world_chance(w, 40) ? (unsigned)world_random(w, 30) : 0;
	w->faults = 20 + (unsigned)world_random(w, 60);
	world_say(w,
	          "%u nodes, %u routers, version %u, delay up to %.3f ms, lateness up to %.3f ms, "
	          "%u%% lost (at most %u in a row), %u%% twice",
	          w->nodes, w->routers, version, (double)w->delay_max / NS_PER_MS,
	          (double)w->lateness / NS_PER_MS, w->loss_percent, w->loss, w->twice_percent);
	world_at(w, w->now, (struct happening){ .kind = HAPPENING_BOOT });
	next_fault(w);
}

void chaos_boot(struct world *w)
{
	for (unsigned n = 0; n < w->nodes; n++) {
		const struct vrrp_rules *r = &w->node[n].rules;

		world_say(w, "node %u: priority %u, interval %u cs, preempt %d after %llu ms", n,
		          r->priority, r->interval_cs, r->preempt,
		          (unsigned long long)(r->preempt_delay / NS_PER_MS));
		if (world_chance(w, 80))
			boot(w, n);
	}
}
