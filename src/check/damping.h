/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Damping: what probe results, live traffic's reports, orders and time make of a server's state.
 * Pure functions: no clock, no I/O, no allocation; the shell around them (server.c) feeds them and
 * publishes what they say.
 */
#ifndef CHECK_DAMPING_H
#define CHECK_DAMPING_H

#include "conf/conf.h"
#include "stat/board.h"

enum damp_kind {
	DAMP_OK,    /* a probe succeeded */
	DAMP_FAIL,  /* a probe failed; why says how */
	DAMP_EJECT, /* live traffic failed `failures` times in a row; the pool's limit allows it */
	DAMP_ORDER, /* a person's order */
	DAMP_TICK,  /* time has passed (see damp_next) */
	DAMP_RULES, /* the pool's settings may have changed */
};

struct damp_event {
	enum damp_kind kind;
	uint64_t now;      /* monotonic ns, never 0 */
	const char *why;   /* FAIL, EJECT: words such as "connect refused" */
	uint32_t failures; /* EJECT */
	enum server_order order;
};

/* What an event changed, the least first. */
enum damp_change {
	DAMP_SAME,
	DAMP_DETAIL, /* the reason's words only */
	DAMP_RAMP,   /* the share of its weight in slow start */
	DAMP_STATE,  /* state, ejection or order: to be published and logged */
};

#define DAMP_REASON 104 /* as board_server.reason */

struct damp {
	uint8_t state; /* enum server_state */
	uint8_t order; /* enum server_order */
	uint8_t ramp;  /* 1 … 100 percent */
	bool ejected;
	bool warm;          /* the first proof comes without slow start: the node itself is new */
	uint32_t streak;    /* consecutive probes that speak against the present state */
	uint32_t repeats;   /* ejections that followed one another */
	uint64_t ramp_from; /* begin of slow start; 0: not in it */
	uint64_t eject_until;
	uint64_t eject_span;
	uint64_t returned;     /* from the last ejection; 0: never ejected */
	char why[DAMP_REASON]; /* the state's reason, without the order's */
};

/* The longest ejection is this many times passive.eject. */
#define DAMP_MAX_REPEATS 10

/*
 * A server that nothing is known of. warm: it was there before this node, so it needs no slow start
 * after its first proof. Without a check in the pool it is up at once.
 */
void damp_init(struct damp *d, const struct conf_pool *pool, bool warm);

/* A server whose state another process left on the board: it goes on from there. */
void damp_restore(struct damp *d, const struct conf_pool *pool, union server_word word,
                  const char *reason, uint64_t now);

enum damp_change damp_step(struct damp *d, const struct conf_pool *pool,
                           const struct damp_event *e);

/* When the next DAMP_TICK is due, monotonic ns; 0: none is. */
uint64_t damp_next(const struct damp *d, const struct conf_pool *pool, uint64_t now);

/* Whether a change of state is in the making: the fast interval applies. */
bool damp_changing(const struct damp *d);

/* The reason for people, the order's first. */
void damp_reason(const struct damp *d, char out[DAMP_REASON]);

/* The state word but for its epoch. */
union server_word damp_word(const struct damp *d);

/*
 * Whether one more of a pool's servers may be ejected: at most max_ejected percent of them (but one
 * where there are two or more and the percentage is not 0), and never the last one in service.
 */
bool damp_may_eject(uint32_t servers, uint32_t in_service, uint32_t ejected, uint32_t max_percent);

#endif
