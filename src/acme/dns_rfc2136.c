/* SPDX-License-Identifier: Apache-2.0 */
/* Records by dynamic update (RFC 2136), signed by TSIG. Role acme, a job's thread. */
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "acme/dns.h"
#include "acme/dns_client.h"
#include "acme/jws.h"
#include "base/clock.h"
#include "base/err.h"

#define TTL 60

static uint16_t new_id(void)
{
	uint16_t id;

	random_secret(&id, sizeof(id));
	return id;
}

static const char *rcode_text(unsigned rcode)
{
	static const char *const names[] = { "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN",
		                             "NOTIMP",  "REFUSED", "YXDOMAIN", "YXRRSET",
		                             "NXRRSET", "NOTAUTH", "NOTZONE" };

	return rcode < sizeof(names) / sizeof(names[0]) ? names[rcode] : "an unknown code";
}

/* The zone that the name lies in: the server says it with the SOA record of its answer, as an
 * answer or as the authority for there being none (RFC 2308 section 2). */
static int find_zone(struct dns_task *t, uint8_t *answer, char zone[DNS_MAX_NAME])
{
	struct dns_out m;
	struct dns_in in;
	size_t len;
	int err;

	if (t->issuer->rfc2136_zone.len > 0) {
		snprintf(zone, DNS_MAX_NAME, "%.*s", STR_ARG(t->issuer->rfc2136_zone));
		return OK;
	}
	acme_dns_begin(&m, new_id(), DNS_QUERY);
	acme_dns_question(&m, str_from(t->name), DNS_SOA);
	err = acme_dns_exchange(t->job, &t->issuer->rfc2136_server, &m, answer, &len, &in, t->why,
	                        sizeof(t->why));
	if (err != OK)
		return err;
	if (in.soa[0] == '\0' || !in.authoritative) {
		snprintf(
		    t->why, sizeof(t->why),
		    "the DNS server %.*s does not say in which zone of its own %.200s lies (%s): "
		    "set \"zone\"",
		    STR_ARG(t->issuer->rfc2136_server_text), t->name, rcode_text(in.rcode));
		return ERR_NOT_FOUND;
	}
	memcpy(zone, in.soa, DNS_MAX_NAME);
	return OK;
}

static int update(struct dns_task *t, const struct dns_key *key, const char *zone, uint8_t *answer)
{
	struct dns_out m;
	struct dns_in in;
	struct dns_mac mac;
	char why[300] = "";
	size_t len;
	int err;

	acme_dns_begin(&m, new_id(), DNS_UPDATE);
	acme_dns_question(&m, str_from(zone), DNS_SOA);
	acme_dns_change_txt(&m, str_from(t->name), str_from(t->value), TTL, t->remove);
	if (acme_dns_sign(&m, key, (uint64_t)time(NULL), &mac) != OK) {
		snprintf(t->why, sizeof(t->why), "the update does not fit into a message");
		return ERR_INVALID;
	}
	err = acme_dns_exchange(t->job, &t->issuer->rfc2136_server, &m, answer, &len, &in, t->why,
	                        sizeof(t->why));
	if (err != OK)
		return err;
	/* A server that refuses may say so unsigned; only a yes has to be proved. */
	err = acme_dns_verify(answer, len, &in, key, &mac, (uint64_t)time(NULL), why, sizeof(why));
	if (in.rcode != DNS_NOERROR) {
		snprintf(t->why, sizeof(t->why),
		         "the DNS server %.*s answers %s for the zone %s%s%s",
		         STR_ARG(t->issuer->rfc2136_server_text), rcode_text(in.rcode), zone,
		         err != OK && in.tsig ? ": " : "", err != OK && in.tsig ? why : "");
		return ERR_REFUSED;
	}
	if (err != OK)
		snprintf(t->why, sizeof(t->why), "%s", why);
	return err;
}

static int set(struct dns_task *t)
{
	struct dns_key key = { t->issuer->rfc2136_key_name, t->issuer->rfc2136_algorithm };
	uint8_t *answer = malloc(DNS_MAX_MESSAGE);
	char zone[DNS_MAX_NAME];
	int err = answer ? OK : ERR_NOMEM;

	if (key.name.len > 0 && key.name.s[key.name.len - 1] == '.')
		key.name.len--;
	if (err == OK)
		err = acme_b64_decode(t->issuer->rfc2136_key, key.secret, sizeof(key.secret),
		                      &key.len);
	if (err != OK || key.len == 0) {
		snprintf(t->why, sizeof(t->why), "\"rfc2136.key\" is no base64");
		err = ERR_INVALID;
	}
	if (err == OK)
		err = find_zone(t, answer, zone);
	if (err == OK)
		err = update(t, &key, zone, answer);
	OPENSSL_cleanse(&key, sizeof(key));
	free(answer);
	return err;
}

const struct dns_provider dns_rfc2136 = { "rfc2136", set };
