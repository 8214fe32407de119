/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns-01: records in the DNS (RFC 8555 section 8.4). How they are set is a provider, one file each.
 * All of it runs in a job's thread and may wait there.
 */
#ifndef ACME_DNS_H
#define ACME_DNS_H

#include "acme/job.h"
#include "acme/order.h"

/* One TXT record that is to be there, or not any more. */
struct dns_task {
	const struct conf_issuer *issuer;
	struct acme_job *job;
	char name[300]; /* "_acme-challenge.shop.test" */
	const char *value;
	bool remove;
	char why[400]; /* it could not be done */
};

struct dns_provider {
	const char *name;
	/* OK, or an error with why. What is there already, or not there any more, is well. */
	int (*set)(struct dns_task *t);
};

extern const struct dns_provider dns_cloudflare, dns_rfc2136, dns_exec;

/* Adds the records of all authorizations of an order that need one, and waits until they can be
 * seen. OK, or an error with why. */
int acme_dns_add(const struct conf_issuer *issuer, struct acme_job *job, const struct order *o,
                 char *why, size_t size);
/* Takes them back, as far as that is possible. */
int acme_dns_remove(const struct conf_issuer *issuer, struct acme_job *job, const struct order *o,
                    char *why, size_t size);

#endif
