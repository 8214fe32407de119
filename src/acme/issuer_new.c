/* SPDX-License-Identifier: Apache-2.0 */
/* An issuer of a configuration: which certificates it is to get, what is there of them, and its
 * end. Role acme, main thread. */
#include <curl/curl.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "acme/impl.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

/* --- the configuration of it ---------------------------------------------------------------- */

static uint64_t hash_str(uint64_t h, struct str s)
{
	return hash_mix(hash_bytes(h, s.s ? s.s : "", s.len) + s.len);
}

static uint64_t hash_issuer(const struct conf_issuer *c)
{
	const struct str texts[] = {
		c->name,           c->directory,         c->ca,
		c->email,          c->eab_kid,           c->eab_key,
		c->cloudflare_api, c->cloudflare_token,  c->rfc2136_key_name,
		c->rfc2136_key,    c->rfc2136_algorithm, c->rfc2136_zone,
		c->dns_user,       c->dns_check,         c->rfc2136_server_text,
	};
	const uint64_t numbers[] = { c->challenge, c->key, c->dns, c->dns_wait, c->renew_before };
	uint64_t h = hash_bytes(1, numbers, sizeof(numbers));

	for (unsigned k = 0; k < ARRAY_LEN(texts); k++)
		h = hash_str(h, texts[k]);
	for (uint32_t k = 0; k < c->dns_exec.n; k++)
		h = hash_str(h, c->dns_exec.v[k]);
	return h;
}

static uint64_t hash_hosts(uint64_t h, const struct conf_list *hosts)
{
	for (uint32_t k = 0; k < hosts->n; k++)
		h = hash_str(h, hosts->v[k]);
	return h;
}

/* The next source of a certificate of that issuer; NULL: no more. */
static const struct conf_cert *next_source(const struct conf *c, uint32_t index, uint32_t *listener,
                                           uint32_t *source)
{
	for (; *listener < c->nlisteners; (*listener)++, *source = 0) {
		const struct conf_tls *t = &c->listeners[*listener].tls;

		for (; *source < t->ncerts; (*source)++) {
			const struct conf_cert *cert = &t->certs[*source];

			if (cert->kind == CERT_ACME && cert->issuer == index && cert->hosts.n > 0) {
				(*source)++;
				return cert;
			}
		}
	}
	return NULL;
}

uint64_t acme_issuer_settings(const struct conf *c, uint32_t index)
{
	uint64_t h = hash_issuer(&c->issuers[index]);
	uint32_t listener = 0;
	uint32_t source = 0;
	const struct conf_cert *cert;

	while ((cert = next_source(c, index, &listener, &source)) != NULL)
		h = hash_hosts(hash_mix(h), &cert->hosts);
	return h;
}

bool acme_issuer_is_used(const struct conf *c, uint32_t index)
{
	uint32_t listener = 0;
	uint32_t source = 0;

	return next_source(c, index, &listener, &source) != NULL;
}

static bool add_cert(struct issuer *i, const struct conf_cert *source)
{
	struct acme_cert *c = &i->certs[i->ncerts];
	struct str *hosts = calloc(source->hosts.n, sizeof(*hosts));
	uint32_t n = 0;

	for (unsigned k = 0; k < i->ncerts && hosts; k++) {
		if (str_eq(str_from(i->certs[k].name), source->hosts.v[0])) {
			free(hosts); /* of two listeners */
			return true;
		}
	}
	if (!hosts || source->hosts.v[0].len >= sizeof(c->name)) {
		free(hosts);
		return false;
	}
	for (uint32_t k = 0; k < source->hosts.n; k++) {
		uint32_t same = 0;

		while (same < n && !str_eq(hosts[same], source->hosts.v[k]))
			same++;
		if (same == n)
			hosts[n++] = source->hosts.v[k];
	}
	*c = (struct acme_cert){ .hosts = { hosts, n } };
	memcpy(c->name, hosts[0].s, hosts[0].len);
	c->plan.settings = hash_hosts(hash_issuer(i->conf), &c->hosts);
	c->jitter = (unsigned)random_below(1000);
	i->ncerts++;
	return true;
}

static void look_at_live(struct issuer *i, struct acme_cert *c)
{
	struct acme_leaf leaf;
	char why[300];
	int err =
	    acme_files_live(i->a->role->state_dir, i->conf, &c->hosts, &leaf, why, sizeof(why));

	c->plan.not_before = leaf.not_before;
	c->plan.not_after = leaf.not_after;
	if (err == ERR_INVALID)
		log_notice("acme_unfit", c->name,
		           "the certificate in the state folder does not do: %s", why);
}

struct issuer *acme_issuer_new(struct acme *a, struct acme_conf *held, uint32_t index)
{
	const struct conf *c = held->rc->conf;
	struct issuer *i = calloc(1, sizeof(*i));
	uint32_t listener = 0;
	uint32_t source = 0;
	uint32_t n = 0;
	const struct conf_cert *cert;

	while (next_source(c, index, &listener, &source) != NULL)
		n++;
	if (i)
		i->certs = calloc(n ? n : 1, sizeof(*i->certs));
	if (!i || !i->certs) {
		free(i);
		return NULL;
	}
	i->a = a;
	i->held = held;
	held->users++;
	i->conf = &c->issuers[index];
	i->settings = acme_issuer_settings(c, index);
	i->session.issuer = i->conf;
	i->timer.fn = acme_issuer_on_timer;
	i->job.done = acme_issuer_job_done;
	listener = source = 0;
	while ((cert = next_source(c, index, &listener, &source)) != NULL) {
		if (!add_cert(i, cert))
			log_error("acme_failed", cert->hosts.v[0].s, "out of memory");
	}
	acme_status_load(i);
	for (unsigned k = 0; k < i->ncerts; k++)
		look_at_live(i, &i->certs[k]);
	return i;
}

void acme_conf_put(struct acme_conf *c)
{
	if (--c->users > 0)
		return;
	role_release(c->role, c->rc);
	free(c);
}

void acme_issuer_on_gone(struct loop_task *t)
{
	struct issuer *i = CONTAINER_OF(t, struct issuer, gone);
	struct acme *a = i->a;

	TAILQ_REMOVE(&a->issuers, i, link);
	for (unsigned k = 0; k < i->ncerts; k++)
		free((void *)i->certs[k].hosts.v);
	free(i->certs);
	EVP_PKEY_free(i->session.key);
	if (i->curl)
		curl_easy_cleanup(i->curl);
	acme_conf_put(i->held);
	free(i);
	acme_issuer_gone(a);
}
