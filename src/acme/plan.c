/* SPDX-License-Identifier: Apache-2.0 */
/* When certificates are ordered; see plan.h. Pure. */
#include "acme/plan.h"

#include "base/check.h"

uint64_t acme_plan_window(const struct plan *p, uint64_t renew_before)
{
	uint64_t life = p->not_after > p->not_before ? p->not_after - p->not_before : 0;

	return MIN(renew_before, life / 3);
}

uint64_t acme_plan_due(const struct plan *p, uint64_t renew_before, unsigned jitter)
{
	uint64_t window = acme_plan_window(p, renew_before);
	uint64_t due = 0;

	if (p->not_after > 0) {
		due = p->not_after - window + window / 10 * jitter / 1000;
	} else if (p->issued > 0) {
		/* It was there and is not any more, or it does not fit: whatever the reason is, an
		 * order each minute would only meet the authority's limits. */
		due = p->issued + PLAN_AGAIN;
	}
	return MAX(due, p->not_yet);
}

uint64_t acme_plan_retry(enum order_failure how, unsigned failures, uint64_t retry_after,
                         unsigned jitter)
{
	uint64_t first = how == ORDER_UNREACHABLE ? PLAN_FIRST_RETRY
	                 : how == ORDER_LIMITED   ? PLAN_LIMITED
	                                          : PLAN_FIRST_REFUSED;
	unsigned doubled = MIN(failures > 0 ? failures - 1 : 0, 16);
	uint64_t wait = MIN(first << doubled, PLAN_LONGEST);

	wait = MAX(wait, MIN(retry_after, PLAN_LONGEST_ASKED));
	return wait + wait / 5 * jitter / 1000;
}

void acme_plan_failed(struct plan *p, uint64_t now, enum order_failure how, uint64_t retry_after,
                      unsigned jitter)
{
	p->failures++;
	p->failed = now;
	p->not_yet = now + acme_plan_retry(how, p->failures, retry_after, jitter);
}

void acme_plan_issued(struct plan *p, uint64_t now, uint64_t not_before, uint64_t not_after)
{
	p->issued = now;
	p->not_before = not_before;
	p->not_after = not_after;
	p->failures = 0;
	p->failed = 0;
	p->not_yet = 0;
}
