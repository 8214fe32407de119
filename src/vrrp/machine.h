/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The decisions of one virtual router (RFC 9568 section 6.4, RFC 3768 section 6.4), and of a group
 * of them: pure functions without clock, input, output or allocation. The shell (instance.c) feeds
 * events with their time and does what the actions say, in the order of their bits.
 *
 * Beyond the standard: a node that is not well advertises a priority in the low band (see
 * conf_vip_low_priority), and preemption off protects only an active node that is well.
 */
#ifndef VRRP_MACHINE_H
#define VRRP_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "stat/vip.h"

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

/* What a track condition that failed costs. */
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
	VRRP_EVENT_YIELD,   /* switchover away from this node */
	VRRP_EVENT_APPOINT, /* switchover to this node; or a release meant for it alone */
	VRRP_EVENT_GROUP,   /* its sync group goes to `state` */
	VRRP_EVENT_RESUME,  /* an earlier process of this node had it in `state`, just now */
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
	const char *why; /* OUT, YIELD, HEALTH, GROUP: words for the transition */
};

/* In the order in which they are to be done. */
enum vrrp_action {
	VRRP_DO_RELEASE = 1, /* send an advertisement of priority 0 */
	VRRP_DO_REMOVE = 2,  /* take the addresses away (a planned handover may keep them aside) */
	VRRP_DO_RELAY = 4,   /* with ADD: a living node held it until now, its connections go on
	                        there;   with REMOVE: a living node takes over, keep our connections */
	VRRP_DO_ADD = 8,     /* add the addresses */
	VRRP_DO_ADVERTISE = 16,
	VRRP_DO_ANNOUNCE = 32, /* gratuitous ARP, unsolicited neighbour advertisement */
	VRRP_DO_TRANSITION =
	    64,                 /* state changed: board, log, hooks; machine.why tells the reason */
	VRRP_DO_CONFLICT = 128, /* another active node was heard while we are active */
};

#define VRRP_WHY 160

struct vrrp_machine {
	uint8_t state;    /* enum vip_state */
	uint8_t priority; /* as it advertises */
	bool yielded;
	bool appointed;
	bool conflict; /* see VRRP_DO_CONFLICT; cleared when no such node was heard for the
	                  master-down time */
	struct vrrp_rules rules;
	struct vrrp_health health;
	uint64_t down_at;     /* Active_Down_Timer; 0: off */
	uint64_t adver_at;    /* Adver_Timer; 0: off */
	uint64_t announce_at; /* repetition of the announcement; 0: off */
	uint64_t preempt_at;  /* delayed preemption: not before; 0: no delay runs */
	uint64_t heard_at;    /* last valid advertisement of an active node; 0: never */
	uint64_t conflict_until;
	uint32_t active_interval_cs; /* learned (RFC 9568: Active_Adver_Interval) */
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

/*
 * A sync group: what its members must do after one of them has changed by itself: all become what
 * it has become (OUT of one means that none holds an address: the others become BACKUP). states: of
 * all members now; changed: which of them changed. Returns the state that all the others take, or
 * VIP_STATES when nothing is to be done.
 */
uint8_t vrrp_group_follow(const uint8_t *states, unsigned n, unsigned changed);

#endif
