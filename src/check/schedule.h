/* SPDX-License-Identifier: Apache-2.0 */
/* When probes start: spread at first, then by interval with jitter. Pure functions. */
#ifndef CHECK_SCHEDULE_H
#define CHECK_SCHEDULE_H

#include "check/damping.h"

/*
 * Delay in ns before the first probe of the n-th server (from 0) of those that start together: it
 * runs at once, but thousands do not run in the same millisecond. known: its state is kept from
 * before, so its probe is spread over the interval instead.
 */
uint64_t schedule_first(const struct conf_check *check, uint32_t n, bool known, uint64_t random);

/*
 * Delay in ns from the start of one probe to the start of the next. first: the probe was the
 * server's first; the next falls anywhere in the interval, so that what was configured together
 * does not stay in step. random: 64 random bits.
 */
uint64_t schedule_next(const struct conf_check *check, const struct damp *d, bool first,
                       uint64_t random);

#endif
