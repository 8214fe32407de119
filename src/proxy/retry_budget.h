/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The retry budget of a pool on one thread: retries may be at most a share of recent requests, so
 * that they never storm. A few are always allowed. Pure: the time comes with the event.
 */
#ifndef PROXY_RETRY_BUDGET_H
#define PROXY_RETRY_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct retry_budget {
	uint64_t second;       /* of the window's newest slot */
	uint32_t requests[10]; /* of the last ten seconds */
	uint32_t retries[10];
	uint32_t sum_requests;
	uint32_t sum_retries;
};

#define RETRY_BUDGET_FREE 10 /* retries in ten seconds that need no budget */

/* now: monotonic ns, never going back. */
void retry_budget_request(struct retry_budget *b, uint64_t now);
/* Whether a retry may be made; counts it when it may. percent: of the requests. */
bool retry_budget_take(struct retry_budget *b, uint64_t now, uint32_t percent);

#endif
