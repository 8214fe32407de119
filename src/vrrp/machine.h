/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decisions of one virtual router (RFC 9568 section 6.4, RFC 3768 section 6.4), and of a group
 * of them: pure functions without clock, input, output or allocation. The shell (instance_step.c)
 * feeds events with their time and does what the actions say, in the order of their bits.
 *
 * Beyond the standard:
 * - A node that is not well advertises a priority in the low band (see conf_vip_low_priority). A
 *   well backup that hears an active node in the band waits skew time only. Preemption off, its
 *   delay and `yielded` protect only an active node that is well.
 * - A machine that wakes so late that the others have declared it dead (the process was frozen, the
 *   machine paused: master-down time since an active one had to speak, or a backup's timer overdue
 *   by as much) knows only what is old. At whatever event wakes it, it begins again as a fresh
 *   backup, so that it takes over by the rules or not at all, and never fights. The shell reads its
 *   sockets empty before it gives a TIME: what was said in time is not heard late.
 */
#ifndef VRRP_MACHINE_H
#define VRRP_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "stat/vip.h"

#define NS_PER_CS (10 * NS_PER_MS) /* the unit of intervals in advertisements */

#define VRRP_PRIORITY_RELEASE   0   /* "I give it up" */
#define VRRP_PRIORITY_APPOINTED 254 /* an appointed node, whatever its own is */

struct vrrp_rules { /* from the configuration; may change while it runs */
	uint8_t version;
	uint8_t priority;     /* configured, 1 … 254 */
	uint8_t low_priority; /* ours in the low band */
	uint8_t low_band;     /* priorities up to this one mean "not well" */
	bool preempt;
	uint64_t preempt_delay; /* ns */
	uint32_t interval_cs;   /* ours */
};

/* What a track condition that failed costs. In a sync group: vrrp_group_health(). */
struct vrrp_health {
	bool low;        /* into the low band */
	bool release;    /* it cannot answer at all: give the address up at once */
	uint32_t weight; /* sum of the failed conditions' weights */
};

enum vrrp_event_kind {
	VRRP_EVENT_START,   /* interface up, not drained, rules known */
	VRRP_EVENT_OUT,     /* interface down, drained, node ends, removed from the file */
	VRRP_EVENT_ADVERT,  /* a valid advertisement for it */
	VRRP_EVENT_TIME,    /* vrrp_machine_next() has come */
	VRRP_EVENT_RULES,   /* new rules */
	VRRP_EVENT_HEALTH,  /* conditions have changed */
	VRRP_EVENT_YIELD,   /* switchover away from this node; in a group: to all its members */
	VRRP_EVENT_APPOINT, /* switchover to this node, or a release meant for it alone (after the
	                       ADVERT of priority 0 that it is); in a group: to all its members,
	                       and only when none of them is OUT.
	                       A node that is not well does not take it */
	VRRP_EVENT_GROUP,   /* its sync group goes to `state` */
	VRRP_EVENT_RESUME,  /* an earlier process of this node had it in `state`, just now: goes on
	                       without a transition. Instead of START */
};

struct vrrp_event {
	enum vrrp_event_kind kind;
	uint64_t now; /* monotonic ns, never 0 */
	/* ADVERT */
	uint8_t priority;
	uint32_t interval_cs;
	bool from_larger; /* its source address is larger than ours */
	/* RULES, START, RESUME */
	const struct vrrp_rules *rules;
	/* HEALTH, START, RESUME */
	struct vrrp_health health;
	/* GROUP, RESUME: enum vip_state */
	uint8_t state;
	/* RESUME */
	bool yielded, appointed;
	uint32_t active_interval_cs;
	/* OUT: planned (drained, the node ends): connections are to be kept */
	bool keep;
	/* TIME, in a group: vrrp_group_held() */
	bool held;
	const char *why; /* OUT, YIELD, HEALTH, GROUP: words for the transition; may be NULL */
};

/* In the order in which they are to be done. */
enum vrrp_action {
	VRRP_DO_RELEASE = 1, /* send an advertisement of priority 0 */
	VRRP_DO_REMOVE = 2,  /* take the addresses away (a planned handover may keep them aside) */
	VRRP_DO_RELAY = 4,   /* with ADD: a living node held it until now, its connections go on
	                        there; with REMOVE: a living node takes over, keep our connections
	                        (where another node may hold it at all); with both: of ADD */
	VRRP_DO_ADD = 8,     /* add the addresses */
	VRRP_DO_ADVERTISE = 16,
	VRRP_DO_ANNOUNCE = 32, /* gratuitous ARP, unsolicited neighbour advertisement */
	/* State changed: board, log, hooks; machine.why tells the reason. */
	VRRP_DO_TRANSITION = 64,
	/* Another active node was heard while we are active; once for each conflict. Not the one
	 * that we have just preempted, which may still have said something. */
	VRRP_DO_CONFLICT = 128,
};

#define VRRP_WHY 160

struct vrrp_machine {
	uint8_t state;    /* enum vip_state */
	uint8_t priority; /* as it advertises */
	bool yielded;     /* does not preempt a well node until it was active again */
	bool appointed;
	bool conflict; /* see VRRP_DO_CONFLICT; cleared when no such node was heard for the
	                  master-down time */
	bool slept;    /* it began again after a sleep and has heard nothing yet */
	struct vrrp_rules rules;
	struct vrrp_health health;
	uint64_t down_at;     /* Active_Down_Timer; 0: off */
	uint64_t adver_at;    /* Adver_Timer; 0: off */
	uint64_t announce_at; /* repetition of the announcement; 0: off */
	uint64_t preempt_at;  /* delayed preemption: not before; 0: no delay runs */
	uint64_t heard_at;    /* last valid advertisement of an active node; 0: never */
	uint64_t conflict_until;
	uint64_t since;              /* of the state */
	uint64_t clock;              /* of the last event */
	uint32_t active_interval_cs; /* learned (RFC 9568: Active_Adver_Interval) */
	uint32_t heard_interval_cs;
	uint8_t heard_priority;
	char why[VRRP_WHY]; /* of the last transition */
};

/* In state OUT. */
void vrrp_machine_init(struct vrrp_machine *m);
/* Takes an event; returns enum vrrp_action bits. */
unsigned vrrp_machine_step(struct vrrp_machine *m, const struct vrrp_event *e);
/* When the next VRRP_EVENT_TIME is due, monotonic ns; 0: no timer runs. */
uint64_t vrrp_machine_next(const struct vrrp_machine *m);
/* RFC 9568 section 6.1, ns. */
uint64_t vrrp_skew_ns(const struct vrrp_machine *m);
uint64_t vrrp_master_down_ns(const struct vrrp_machine *m);

/* Whether it is a backup that hears a living active node and leaves it in place. */
bool vrrp_machine_content(const struct vrrp_machine *m, uint64_t now);

/*
 * A sync group: what its members do after `changed` has gone from state `before` to another by
 * itself: all become what it has become. OUT of one means that none holds an address: the others
 * are BACKUP. One that joins (START) becomes what the others are. states: of all members now.
 * Returns the state that every member, the changed one too, gets as a GROUP event (one that has it
 * already does nothing), or VIP_STATES when nothing is to be done.
 */
uint8_t vrrp_group_follow(const uint8_t *states, unsigned n, unsigned changed, uint8_t before);
/*
 * Whether a member may not take its address by itself, because another one could not follow: it is
 * OUT, or content with another node (vrrp_machine_content). For TIME.
 */
bool vrrp_group_held(const struct vrrp_machine *const *members, unsigned n, unsigned which,
                     uint64_t now);
/* The health that every member gets: the worst of all, so that they fall and rise together. */
struct vrrp_health vrrp_group_health(const struct vrrp_health *members, unsigned n);

#endif
