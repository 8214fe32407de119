/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When a certificate is ordered: decisions alone, as functions of what is known and of the time.
 * Times are Unix time, seconds: certificates are valid by the calendar.
 */
#ifndef ACME_PLAN_H
#define ACME_PLAN_H

#include "acme/order.h"

#define PLAN_FIRST_RETRY   120             /* seconds after a first failure to reach an authority */
#define PLAN_FIRST_REFUSED 300             /* after a first refusal */
#define PLAN_LIMITED       3600            /* at least, after a rate limit */
#define PLAN_LONGEST       (12 * 3600)     /* between two tries, but what the authority says */
#define PLAN_LONGEST_ASKED (7 * 24 * 3600) /* of what it says */
#define PLAN_AGAIN         3600 /* a certificate that has just been issued is not ordered again */

/* What is known of one certificate, over restarts. */
struct plan {
	uint64_t settings;   /* hash of the configuration that it was ordered by */
	uint64_t not_before; /* of what is in the folder, 0: nothing that fits */
	uint64_t not_after;
	uint64_t issued;   /* when the last one came, 0: never */
	unsigned failures; /* in succession */
	uint64_t failed;   /* when it last failed */
	uint64_t not_yet;  /* after failures: not before */
};

/* Seconds of validity that are left when it is renewed: as configured, at most a third of the
 * lifetime. */
uint64_t acme_plan_window(const struct plan *p, uint64_t renew_before);
/* When the certificate is to be ordered; not after now: at once. jitter: a number of its own, 0 …
 * 999, that spreads renewals over a tenth of the window. */
uint64_t acme_plan_due(const struct plan *p, uint64_t renew_before, unsigned jitter);
/* How long to wait after a failure. failures: in succession, this one included; jitter as above. */
uint64_t acme_plan_retry(enum order_failure how, unsigned failures, uint64_t retry_after,
                         unsigned jitter);
/* Takes a failure down. */
void acme_plan_failed(struct plan *p, uint64_t now, enum order_failure how, uint64_t retry_after,
                      unsigned jitter);
void acme_plan_issued(struct plan *p, uint64_t now, uint64_t not_before, uint64_t not_after);

#endif
