/* SPDX-License-Identifier: Apache-2.0 */
/* A sliding window of ten one-second slots over requests and retries. Pure; one proxy thread. */
#include "proxy/retry_budget.h"

#include "base/check.h"
#include "base/clock.h"

#define SLOTS ARRAY_LEN(((struct retry_budget *)0)->requests)

/* Moves the window forward to the second of now; returns its newest slot. */
static unsigned advance(struct retry_budget *b, uint64_t now)
{
	uint64_t second = now / NS_PER_S;

	if (second > b->second + SLOTS)
		b->second = second - SLOTS;
	while (b->second < second) {
		unsigned slot = (unsigned)(++b->second % SLOTS);

		b->sum_requests -= b->requests[slot];
		b->sum_retries -= b->retries[slot];
		b->requests[slot] = 0;
		b->retries[slot] = 0;
	}
	return (unsigned)(b->second % SLOTS);
}

void retry_budget_request(struct retry_budget *b, uint64_t now)
{
	unsigned slot = advance(b, now);

	if (likely(b->sum_requests < UINT32_MAX)) {
		b->requests[slot]++;
		b->sum_requests++;
	}
}

bool retry_budget_take(struct retry_budget *b, uint64_t now, uint32_t percent)
{
	unsigned slot = advance(b, now);
	uint64_t allowed = (uint64_t)b->sum_requests * percent / 100;

	if (b->sum_retries >= RETRY_BUDGET_FREE && b->sum_retries >= allowed)
		return false;
	if (unlikely(b->sum_retries == UINT32_MAX))
		return false;
	b->retries[slot]++;
	b->sum_retries++;
	return true;
}
