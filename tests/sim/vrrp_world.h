/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small world in virtual time: two to five nodes with one to three virtual routers each (one
 * network for each router; several are a sync group), the real decision machine, a modelled shell
 * and a modelled network. Everything follows from the seed.
 *
 * vrrp_world.c moves it, vrrp_chaos.c makes and harms it, vrrp_watch.c knows what must always hold.
 */
#ifndef SIM_VRRP_WORLD_H
#define SIM_VRRP_WORLD_H

#include <setjmp.h>
#include <stddef.h>

#include "vrrp/machine.h"

#define MAX_NODES   5
#define MAX_ROUTERS 3
#define MAX_QUEUE   64 /* packets that a frozen process's socket holds */
#define LOW_BAND    10
#define START_TIME  1000000000000ULL

struct packet {
	uint8_t from, to, router, priority;
	bool appoints; /* a release meant for its receiver alone */
	uint32_t interval_cs;
};

struct router { /* one node's part in one virtual router */
	struct vrrp_machine m;
	bool holds;     /* the addresses */
	bool woken;     /* frozen until now, and no step since */
	uint64_t armed; /* for this point in time; 0: not */
	uint32_t token; /* of the timer that counts */
	/* What the watch knows of it. */
	bool yielded;
	uint64_t active_at;    /* last time at which it was active */
	uint64_t sent_at;      /* last advertisement */
	uint64_t sent_before;  /* the last one before this step */
	uint64_t disturbed_at; /* last event that was neither advertisement nor time */
	uint64_t lower_at;     /* delayed preemption: since it waits; 0: it does not */
	uint64_t released_at;  /* priority 0 was the last thing that it heard, then; 0: was not */
	uint64_t alone_since, alone_down, alone_skew;
};

struct node {
	bool running, frozen;
	bool deaf; /* frozen with its kernel: what is sent to it is lost */
	bool link[MAX_ROUTERS];
	struct vrrp_rules rules;
	struct vrrp_health health;
	struct router router[MAX_ROUTERS];
	struct packet queue[MAX_QUEUE];
	unsigned nqueue;
};

enum happening_kind {
	HAPPENING_BOOT,
	HAPPENING_PACKET,
	HAPPENING_TIMER,
	HAPPENING_FAULT,
	HAPPENING_END
};

struct happening {
	uint64_t at, number;
	enum happening_kind kind;
	uint32_t token;
	struct packet packet; /* TIMER: node is `to` */
};

struct pair { /* of nodes a, b on one network: since when something holds for them; 0: it does not
	       */
	uint64_t both_active, left_in_place;
	uint32_t both_what; /* priorities: when they change, it begins anew */
};

struct world {
	uint64_t seed, random[2], now, steps, numbers;
	unsigned nodes, routers;
	uint64_t delay_max, lateness;               /* of packets; of timers */
	unsigned loss, loss_percent, twice_percent; /* loss: at most so many in a row */
	uint64_t longest_delay;                     /* preemption */
	bool cut[MAX_ROUTERS][MAX_NODES][MAX_NODES];
	unsigned lost[MAX_ROUTERS][MAX_NODES][MAX_NODES]; /* in a row */
	struct node node[MAX_NODES];
	struct pair pair[MAX_ROUTERS][MAX_NODES][MAX_NODES];
	struct happening *heap;
	size_t nheap, heap_size;
	unsigned speaker; /* of the advertisement that is delivered */
	int release_to;   /* the node for which the next release is meant; -1: all */
	bool quiet, settled;
	unsigned faults; /* to come */
	uint64_t transitions;
	bool verbose;
	char broken[512]; /* what did not hold */
	jmp_buf stop;
};

/* Even over 0 … below-1. */
uint64_t world_random(struct world *w, uint64_t below);
bool world_chance(struct world *w, unsigned percent);
void world_at(struct world *w, uint64_t at, struct happening h);
/* Gives an event to one router, does what it answers, and lets its group follow. */
void world_step(struct world *w, unsigned node, unsigned router, struct vrrp_event e);
/* The same to all routers of a node. */
void world_step_all(struct world *w, unsigned node, struct vrrp_event e);
/* Appoints all its routers, where none of them is out. */
void world_appoint(struct world *w, unsigned node);
void world_freeze(struct world *w, unsigned node, bool deaf);
void world_wake(struct world *w, unsigned node);
void world_say(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A rule is broken: ends the episode. */
void world_broken(struct world *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/* A world with its first happenings; then until its end or until a rule is broken (false). */
void chaos_make(struct world *w, uint64_t seed, bool verbose);
void chaos_boot(struct world *w);
void chaos_fault(struct world *w);
bool world_run(struct world *w);
void world_free(struct world *w);

static inline bool world_lives(const struct world *w, unsigned node)
{
	return w->node[node].running && !w->node[node].frozen;
}

/* vrrp_watch.c: before something happens at a later time; after anything has happened; around one
 * step; at the end. */
void watch_time(struct world *w, uint64_t now);
void watch_note(struct world *w);
void watch_step(struct world *w, unsigned node, unsigned router, const struct vrrp_machine *before,
                const struct vrrp_event *e, unsigned todo);
void watch_end(struct world *w);
uint64_t watch_settling(const struct world *w);

#endif
