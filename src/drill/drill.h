/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drills: a failure is injected while a client asks at a fixed rate, and what its users would have
 * seen is measured. A scenario is one plug-in: a file with a const struct drill_scenario, listed in
 * scenarios.c. The client (client.c) is a process of its own in the lab's client host, so that it
 * sees what users see.
 */
#ifndef DRILL_DRILL_H
#define DRILL_DRILL_H

#include <jansson.h>

#include "base/buf.h"
#include "conf/conf.h"

struct drill;

/* --- what the client measures --------------------------------------------------------------- */

/* One request, as the client writes it down: in the order of `due`. */
struct drill_sample {
	uint64_t due_ns; /* monotonic: when it was to be sent; latency counts from here */
	uint64_t end_ns; /* when its answer was complete, or its failure certain */
	uint16_t status; /* HTTP status; 0: none */
	uint8_t kept;    /* on a kept connection; else on a new one */
	uint8_t error;   /* enum drill_error */
	uint32_t connection;
};

enum drill_error {
	DRILL_OK,
	DRILL_REFUSED,
	DRILL_RESET,
	DRILL_TIMEOUT,
	DRILL_UNREACHABLE,
	DRILL_BAD
};

struct drill_measure {
	uint64_t requests, failed, refused;
	uint64_t gap_ns;    /* longest time without a good answer of a new connection */
	uint64_t gap_at_ns; /* when it began */
	uint64_t outage_ns; /* from the fault to the first good answer after the last failure or the
	                       gap's end, 0 where nothing was lost */
	uint64_t recovery_ns; /* from the fault until all was well again (scenario's condition) */
	uint64_t split_ns;    /* two nodes held an address */
	uint64_t p50_ns, p99_ns, max_ns;
	bool download_intact, websocket_intact; /* those begun before the fault */
	bool watched_streams;
};

/* --- scenarios ------------------------------------------------------------------------------ */

struct drill_scenario {
	const char *name; /* "node-death" */
	const char *what; /* one line for people */
	bool lab_only;
	bool harmless;                 /* allowed in production without --i-know */
	struct conf_slo_limits limits; /* where the file has none */
	/* Injects the fault; returns when it is in force. drill_fault_at() was called. OK, or an
	 * error with drill_fail(). ERR_UNSUPPORTED: not with this file (drill_fail says why):
	 * skipped. */
	int (*inject)(struct drill *d);
	/* Takes it back, so that all can be well again; may be NULL. */
	int (*mend)(struct drill *d);
	/* Further conditions of "all is well" beyond that every node answers, one holds each
	 * address and every server is up; may be NULL. */
	bool (*well)(struct drill *d);
	uint64_t watch_ns; /* how long the fault stays before it is mended; 0: 3 s */
};

extern const struct drill_scenario *const drill_scenarios[]; /* ends with NULL */

#endif
