/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When probes start. The interval is shortened while a change is in the making and may differ while
 * a server is down; jitter keeps servers that were configured together from being probed together.
 */
#include "check/schedule.h"

#include "base/check.h"
#include "base/clock.h"

#define FIRST_STEP (80 * NS_PER_US) /* 10,000 first probes take 800 ms */
#define DELAY_MIN  NS_PER_MS

/* random scaled to 0 … bound-1, without division. */
static uint64_t scale(uint64_t random, uint64_t bound)
{
	return (uint64_t)((unsigned __int128)random * bound >> 64);
}

uint64_t schedule_first(const struct conf_check *check, uint32_t n, bool known, uint64_t random)
{
	if (known) {
		return scale(random, MAX(check->interval, DELAY_MIN));
	}
	return n * FIRST_STEP;
}

static uint64_t base_interval(const struct conf_check *check, const struct damp *d)
{
	if (damp_changing(d) && check->fast_interval != 0) {
		return check->fast_interval;
	}
	if (d->state == SERVER_DOWN && !d->ejected && !damp_changing(d) &&
	    check->down_interval != 0) {
		return check->down_interval;
	}
	return check->interval;
}

uint64_t schedule_next(const struct conf_check *check, const struct damp *d, bool first,
                       uint64_t random)
{
	uint64_t interval = MAX(base_interval(check, d), DELAY_MIN);
	uint64_t jitter = interval / 100 * MIN(check->jitter, 100U);

	if (first && !damp_changing(d)) {
		return DELAY_MIN + scale(random, interval);
	}
	return MAX(interval - jitter + scale(random, 2 * jitter + 1), DELAY_MIN);
}
