/* SPDX-License-Identifier: Apache-2.0 */
/* The world's time, network and shells. See vrrp_world.h. */
#include "vrrp_world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

/* xoroshiro128+ (Blackman and Vigna). */
uint64_t world_random(struct world *w, uint64_t below)
{
	uint64_t a = w->random[0], b = w->random[1], sum = a + b;

	b ^= a;
	w->random[0] = (a << 24 | a >> 40) ^ b ^ b << 16;
	w->random[1] = b << 37 | b >> 27;
	return below == 0 ? 0 : (uint64_t)(((unsigned __int128)sum * below) >> 64);
}

bool world_chance(struct world *w, unsigned percent)
{
	return world_random(w, 100) < percent;
}

static void say_time(const struct world *w)
{
	printf("%12.3f ms  ", (double)(w->now - START_TIME) / NS_PER_MS);
}

void world_say(struct world *w, const char *fmt, ...)
{
	va_list ap;

	if (!w->verbose)
		return;
	say_time(w);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
}

void world_broken(struct world *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(w->broken, sizeof(w->broken), fmt, ap);
	va_end(ap);
	if (w->verbose) {
		say_time(w);
		printf("BROKEN: %s\n", w->broken);
	}
	longjmp(w->stop, 1);
}

/* --- what is to come: a binary heap ---------------------------------------------------------- */

static bool sooner(const struct happening *a, const struct happening *b)
{
	return a->at != b->at ? a->at < b->at : a->number < b->number;
}

void world_at(struct world *w, uint64_t at, struct happening h)
{
	size_t i = w->nheap++;

	if (w->nheap > w->heap_size) {
		w->heap_size = MAX(w->heap_size * 2, (size_t)1024);
		w->heap = realloc(w->heap, w->heap_size * sizeof(*w->heap));
		CHECK(w->heap != NULL);
	}
	h.at = at;
	h.number = w->numbers++;
	for (; i > 0 && sooner(&h, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = h;
}

static struct happening next_happening(struct world *w)
{
	struct happening first, last;
	size_t i = 0;

	CHECK(w->nheap > 0);
	first = w->heap[0];
	last = w->heap[--w->nheap];
	for (;;) {
		size_t child = 2 * i + 1;

		if (child >= w->nheap)
			break;
		if (child + 1 < w->nheap && sooner(&w->heap[child + 1], &w->heap[child]))
			child++;
		if (!sooner(&w->heap[child], &last))
			break;
		w->heap[i] = w->heap[child];
		i = child;
	}
	w->heap[i] = last;
	return first;
}

/* --- the network ----------------------------------------------------------------------------- */

static void carry(struct world *w, const struct packet *p)
{
	unsigned *lost = &w->lost[p->router][p->from][p->to];

	if (w->cut[p->router][p->from][p->to])
		return;
	if (*lost < w->loss && world_chance(w, w->loss_percent)) {
		(*lost)++;
		return;
	}
	*lost = 0;
	do {
		world_at(w, w->now + world_random(w, w->delay_max + 1),
		         (struct happening){ .kind = HAPPENING_PACKET, .packet = *p });
	} while (world_chance(w, w->twice_percent));
}

static void send_advert(struct world *w, unsigned from, unsigned router, uint8_t priority, int only)
{
	struct router *r = &w->node[from].router[router];
	struct packet p = { .from = (uint8_t)from,
		            .router = (uint8_t)router,
		            .priority = priority,
		            .appoints = only >= 0,
		            .interval_cs = r->m.rules.interval_cs };

	r->sent_at = w->now;
	if (!w->node[from].link[router])
		return;
	for (unsigned to = 0; to < w->nodes; to++) {
		p.to = (uint8_t)to;
		if (to != from && (only < 0 || to == (unsigned)only))
			carry(w, &p);
	}
}

void world_appoint(struct world *w, unsigned node)
{
	for (unsigned g = 0; g < w->routers; g++) {
		if (w->node[node].router[g].m.state == VIP_OUT)
			return;
	}
	world_step_all(w, node, (struct vrrp_event){ .kind = VRRP_EVENT_APPOINT });
}

static void deliver(struct world *w, const struct packet *p)
{
	struct node *n = &w->node[p->to];
	struct vrrp_event e = { .kind = VRRP_EVENT_ADVERT,
		                .priority = p->priority,
		                .interval_cs = p->interval_cs,
		                .from_larger = p->from > p->to };

	if (!n->running || (n->frozen && (n->deaf || n->nqueue == MAX_QUEUE)))
		return;
	if (n->frozen) {
		n->queue[n->nqueue++] = *p;
		return;
	}
	if (!n->link[p->router])
		return;
	w->speaker = p->from;
	world_step(w, p->to, p->router, e);
	if (p->appoints)
		world_appoint(w, p->to);
}

/* --- the shell ------------------------------------------------------------------------------- */

static void arm(struct world *w, unsigned node, unsigned router)
{
	struct router *r = &w->node[node].router[router];
	uint64_t next = vrrp_machine_next(&r->m);

	if (next == r->armed)
		return;
	r->armed = next;
	r->token++;
	if (next != 0)
		world_at(w, MAX(next, w->now) + world_random(w, w->lateness + 1),
		         (struct happening){
		             .kind = HAPPENING_TIMER,
		             .token = r->token,
		             .packet = { .to = (uint8_t)node, .router = (uint8_t)router } });
}

static void act(struct world *w, unsigned node, unsigned router, unsigned todo)
{
	struct router *r = &w->node[node].router[router];

	if (todo & VRRP_DO_RELEASE)
		send_advert(w, node, router, VRRP_PRIORITY_RELEASE, w->release_to);
	if (todo & VRRP_DO_REMOVE)
		r->holds = false;
	if (todo & VRRP_DO_ADD)
		r->holds = true;
	if (todo & VRRP_DO_ADVERTISE)
		send_advert(w, node, router, r->m.priority, -1);
}

static void let_group_follow(struct world *w, unsigned node, unsigned changed, uint8_t before)
{
	uint8_t states[MAX_ROUTERS], to;

	for (unsigned g = 0; g < w->routers; g++)
		states[g] = w->node[node].router[g].m.state;
	to = vrrp_group_follow(states, w->routers, changed, before);
	if (to == VIP_STATES)
		return;
	world_step_all(w, node,
	               (struct vrrp_event){
	                   .kind = VRRP_EVENT_GROUP, .state = to, .why = "its group" });
}

static bool is_held(const struct world *w, unsigned node, unsigned router)
{
	const struct vrrp_machine *members[MAX_ROUTERS];

	for (unsigned g = 0; g < w->routers; g++)
		members[g] = &w->node[node].router[g].m;
	return vrrp_group_held(members, w->routers, router, w->now);
}

void world_step(struct world *w, unsigned node, unsigned router, struct vrrp_event e)
{
	struct router *r = &w->node[node].router[router];
	struct vrrp_machine before = r->m;
	unsigned todo;

	CHECK(world_lives(w, node));
	e.now = w->now;
	e.held = e.kind == VRRP_EVENT_TIME && is_held(w, node, router);
	todo = vrrp_machine_step(&r->m, &e);
	w->steps++;
	if (todo & VRRP_DO_TRANSITION) {
		w->transitions++;
		world_say(w, "node %u router %u: %s -> %s, priority %u: %s", node, router,
		          vip_state_name[before.state], vip_state_name[r->m.state], r->m.priority,
		          r->m.why);
	}
	r->sent_before = r->sent_at;
	act(w, node, router, todo);
	watch_step(w, node, router, &before, &e, todo);
	r->woken = false;
	arm(w, node, router);
	watch_note(w);
	if (before.state != r->m.state && e.kind != VRRP_EVENT_GROUP && e.kind != VRRP_EVENT_RESUME)
		let_group_follow(w, node, router, before.state);
}

void world_step_all(struct world *w, unsigned node, struct vrrp_event e)
{
	for (unsigned g = 0; g < w->routers; g++)
		world_step(w, node, g, e);
}

void world_freeze(struct world *w, unsigned node, bool deaf)
{
	w->node[node].frozen = true;
	w->node[node].deaf = deaf;
	w->node[node].nqueue = 0;
	watch_note(w);
}

/* What its socket holds first, then time: as the shell does. */
void world_wake(struct world *w, unsigned node)
{
	struct node *n = &w->node[node];

	n->frozen = false;
	for (unsigned g = 0; g < w->routers; g++) {
		n->router[g].disturbed_at = w->now;
		n->router[g].woken = true;
	}
	for (unsigned i = 0; i < n->nqueue; i++)
		deliver(w, &n->queue[i]);
	for (unsigned g = 0; g < w->routers; g++) {
		n->router[g].armed = 0;
		world_step(w, node, g, (struct vrrp_event){ .kind = VRRP_EVENT_TIME });
	}
	/* What it missed of its own node. */
	world_step_all(w, node,
	               (struct vrrp_event){ .kind = VRRP_EVENT_RULES, .rules = &n->rules });
	world_step_all(w, node,
	               (struct vrrp_event){ .kind = VRRP_EVENT_HEALTH, .health = n->health });
}

static void timer(struct world *w, const struct happening *h)
{
	unsigned node = h->packet.to, router = h->packet.router;
	struct router *r = &w->node[node].router[router];

	if (!world_lives(w, node) || h->token != r->token)
		return;
	r->armed = 0;
	world_step(w, node, router, (struct vrrp_event){ .kind = VRRP_EVENT_TIME });
}

/* After the faults it has time to settle; from then on nothing may change any more. */
static bool settle(struct world *w)
{
	if (w->settled) {
		watch_end(w);
		if (w->transitions != 0)
			world_broken(w, "%llu transitions after everything had settled",
			             (unsigned long long)w->transitions);
		return true;
	}
	watch_end(w);
	w->settled = true;
	w->transitions = 0;
	world_at(w, w->now + watch_settling(w), (struct happening){ .kind = HAPPENING_END });
	return false;
}

bool world_run(struct world *w)
{
	if (setjmp(w->stop) != 0)
		return false;
	for (;;) {
		struct happening h = next_happening(w);

		watch_time(w, h.at);
		w->now = h.at;
		watch_note(w);
		if (h.kind == HAPPENING_BOOT)
			chaos_boot(w);
		else if (h.kind == HAPPENING_PACKET)
			deliver(w, &h.packet);
		else if (h.kind == HAPPENING_TIMER)
			timer(w, &h);
		else if (h.kind == HAPPENING_FAULT)
			chaos_fault(w);
		else if (settle(w))
			return true;
		watch_note(w);
	}
}

void world_free(struct world *w)
{
	free(w->heap);
	w->heap = NULL;
}
