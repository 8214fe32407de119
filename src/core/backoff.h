/* SPDX-License-Identifier: Apache-2.0 */
/* When a role that ended is started again. Pure: times come with the events. */
#ifndef CORE_BACKOFF_H
#define CORE_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define BACKOFF_EARLY      NS_PER_S          /* who lived shorter died early */
#define BACKOFF_FIRST      (100 * NS_PER_MS) /* after the second early death; doubles */
#define BACKOFF_MAX        (10 * NS_PER_S)
#define BACKOFF_CRASH_LOOP 5 /* early deaths in a row */

struct backoff {
	unsigned early; /* early deaths in a row */
};

/* A process that lived for lived_ns has ended: after how many ns to start it again. 0 unless it
 * died early a second time in a row. */
static inline uint64_t backoff_died(struct backoff *b, uint64_t lived_ns)
{
	uint64_t wait = BACKOFF_FIRST;

	if (lived_ns >= BACKOFF_EARLY) {
		b->early = 0;
		return 0;
	}
	b->early++;
	if (b->early == 1)
		return 0;
	for (unsigned i = 2; i < b->early && wait < BACKOFF_MAX; i++)
		wait *= 2;
	return wait < BACKOFF_MAX ? wait : BACKOFF_MAX;
}

static inline bool backoff_crash_loop(const struct backoff *b)
{
	return b->early >= BACKOFF_CRASH_LOOP;
}

#endif
