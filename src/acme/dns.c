/* SPDX-License-Identifier: Apache-2.0 */
/* The records of dns-01: set by a provider, and waited for. Role acme, a job's thread. */
#include "acme/dns.h"

#include <stdio.h>
#include <stdlib.h>

#include "acme/dns_client.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#define LOOK_MS 1000 /* between two looks for a record */

/* By enum conf_acme_dns. */
static const struct dns_provider *const providers[] = {
	[ACME_DNS_CLOUDFLARE] = &dns_cloudflare,
	[ACME_DNS_RFC2136] = &dns_rfc2136,
	[ACME_DNS_EXEC] = &dns_exec,
};

static int set(const struct conf_issuer *issuer, struct acme_job *job, const struct order_auth *a,
               bool remove, char *why, size_t size)
{
	const struct dns_provider *p =
	    issuer->dns < ARRAY_LEN(providers) ? providers[issuer->dns] : NULL;
	struct dns_task t = { .issuer = issuer, .job = job, .value = a->digest, .remove = remove };
	int err = p ? OK : ERR_UNSUPPORTED;

	snprintf(t.name, sizeof(t.name), "_acme-challenge.%s", a->host);
	if (p)
		err = p->set(&t);
	if (err != OK)
		snprintf(why, size, "%s %s cannot be %s: %s", t.name, p ? p->name : "dns",
		         remove ? "removed" : "set", t.why);
	return err;
}

/* --- waiting -------------------------------------------------------------------------------- */

static bool is_seen(const struct conf_issuer *issuer, struct acme_job *job,
                    const struct order_auth *a, uint8_t *answer, char *why, size_t size)
{
	struct dns_out m;
	struct dns_in in;
	char name[300];
	uint16_t id;
	size_t len;

	random_secret(&id, sizeof(id));
	snprintf(name, sizeof(name), "_acme-challenge.%s", a->host);
	acme_dns_begin(&m, id, DNS_QUERY);
	acme_dns_question(&m, str_from(name), DNS_TXT);
	if (acme_dns_exchange(job, &issuer->dns_check_address, &m, answer, &len, &in, why, size) !=
	    OK)
		return false;
	snprintf(why, size, "%.200s is not seen at %.*s", name, STR_ARG(issuer->dns_check));
	return acme_dns_has_text(&in, str_from(a->digest));
}

static int wait_for(const struct conf_issuer *issuer, struct acme_job *job, const struct order *o,
                    char *why, size_t size)
{
	uint64_t until = clock_mono() + issuer->dns_wait;
	uint8_t *answer;

	if (issuer->dns_check.len == 0) {
		while (clock_mono() < until && acme_job_sleep(job, LOOK_MS))
			;
		return OK;
	}
	answer = malloc(DNS_MAX_MESSAGE);
	for (unsigned i = 0; answer && i < o->nauths; i++) {
		if (!acme_order_needs(&o->auths[i]))
			continue;
		while (!is_seen(issuer, job, &o->auths[i], answer, why, size)) {
			if (clock_mono() >= until || !acme_job_sleep(job, LOOK_MS)) {
				free(answer);
				return ERR_TIMEOUT;
			}
		}
	}
	free(answer);
	return answer ? OK : ERR_NOMEM;
}

/* --- for the driver ------------------------------------------------------------------------- */

int acme_dns_add(const struct conf_issuer *issuer, struct acme_job *job, const struct order *o,
                 char *why, size_t size)
{
	int err = OK;

	for (unsigned i = 0; i < o->nauths && err == OK; i++) {
		if (acme_order_needs(&o->auths[i]))
			err = set(issuer, job, &o->auths[i], false, why, size);
	}
	return err == OK ? wait_for(issuer, job, o, why, size) : err;
}

int acme_dns_remove(const struct conf_issuer *issuer, struct acme_job *job, const struct order *o,
                    char *why, size_t size)
{
	int err = OK;

	for (unsigned i = 0; i < o->nauths; i++) {
		if (o->auths[i].digest[0] != '\0') {
			int e = set(issuer, job, &o->auths[i], true, why, size);

			err = err == OK ? e : err;
		}
	}
	return err;
}
