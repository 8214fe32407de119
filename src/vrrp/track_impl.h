/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kinds of conditions share: one row of functions for each kind, and the one function that
 * gives a verdict. Private to this folder. Role vrrp, its one thread.
 */
#ifndef VRRP_TRACK_IMPL_H
#define VRRP_TRACK_IMPL_H

#include "base/clock.h"
#include "conf/conf.h"
#include "vrrp/track.h"

#define TRACK_EVERY   NS_PER_S             /* a look even when nothing told us to */
#define TRACK_RECHECK (50 * NS_PER_MS)     /* while something is in question */
#define TRACK_NAME    (CONF_MAX_NAME + 24) /* "interface." and a name */

struct track_kind;

/* One condition of a set. Virtual IPs that have the same share it. */
struct track_cond {
	const struct track_kind *kind;
	struct track_set *set;
	const struct conf_track *conf; /* of the first virtual IP that has it */
	char name[TRACK_NAME];
	int family;   /* gateway */
	uint32_t min; /* pool */
	bool known;   /* proven, not assumed */
	bool well;
	bool fresh; /* the verdict has changed and nobody was told */
	uint64_t since_wall_ms;
	char reason[sizeof(((struct board_condition *)0)->reason)];
	uint64_t due; /* monotonic ns: when to look again, as the kind said */
	void *own;    /* the kind's */
};

struct track_kind {
	/* Makes own; prev: the same condition of the set before, whose memory it may copy (NULL:
	 * none). May be NULL. OK or ERR_NOMEM. */
	int (*open)(struct track_cond *c, const struct track_cond *prev);
	/* Looks and gives a verdict (or none: it stays). Returns the time of its next look. */
	uint64_t (*look)(struct track_cond *c, uint64_t now);
	/* Frees own; may be NULL. */
	void (*close)(struct track_cond *c);
	bool release; /* without it the node cannot answer at all */
};

/* THE function that changes a condition: verdict, since, reason, log line; a verdict that is the
 * same changes nothing. known false: assumed for now. */
void track_verdict(struct track_cond *c, bool known, bool well, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Looks at one condition and tells whom it concerns: for the kinds' own callbacks. */
void track_look_at(struct track_cond *c);

const struct track_env *track_env_of(const struct track_cond *c);
const struct conf *track_conf_of(const struct track_cond *c);

/* One row for each enum conf_condition. */
extern const struct track_kind track_proxy;
extern const struct track_kind track_pool;
extern const struct track_kind track_check;
extern const struct track_kind track_interface;
extern const struct track_kind track_gateway;

#endif
