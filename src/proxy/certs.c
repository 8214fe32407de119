/* SPDX-License-Identifier: Apache-2.0 */
/* The store of certificates among the threads of the proxy; see certs.h. */
#include "proxy/certs.h"

#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"

static const struct store nothing;

int certs_new(int fd, struct certs **ret)
{
	struct certs *c = calloc(1, sizeof(*c));
	int err;

	if (c == NULL)
		return ERR_NOMEM;
	if (fd >= 0 && (err = store_map(fd, &c->mapped)) != OK) {
		free(c);
		return err;
	}
	c->store = c->mapped != NULL ? c->mapped : &nothing;
	atomic_store(&c->users, 1);
	*ret = c;
	return OK;
}

void certs_use(struct certs *c)
{
	atomic_fetch_add(&c->users, 1);
}

void certs_drop(struct certs *c)
{
	if (c == NULL || atomic_fetch_sub(&c->users, 1) != 1)
		return;
	if (c->mapped != NULL)
		store_unmap(c->mapped);
	free(c);
}

static void unkeep(void *c)
{
	certs_drop(c);
}

static unsigned version(uint32_t v)
{
	return v == TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION;
}

static uint64_t mix(uint64_t h, struct str s)
{
	return hash_mix(hash_bytes(h, s.s, s.len) + s.len + 1);
}

static struct tls_rule rule(const struct certs *c, const struct conf_client_certs *clients)
{
	const bool off = clients->mode == CLIENT_CERTS_OFF;

	return (struct tls_rule){
		.mode = clients->mode,
		.ca = store_file(c->store, clients->ca),
		.crl = clients->crl.len > 0 ? store_file(c->store, clients->crl) : STR_NONE,
		.id = off ? 0 : mix(mix(clients->mode, clients->ca), clients->crl) | 1,
	};
}

struct tls_server *certs_listener(struct certs *c, const struct conf *conf, uint32_t index,
                                  char *why, size_t why_size)
{
	const struct conf_listener *l = &conf->listeners[index];
	const struct conf_tls *t = &l->tls;
	struct tls_host_rule *hosts = calloc(t->nhosts + 1, sizeof(*hosts));
	struct tls_server_options o = {
		.store = c->store,
		.keep = c,
		.unkeep = unkeep,
		.listener = index,
		.context = l->name,
		.min_version = version(t->min_version),
		.max_version = version(t->max_version),
		.ciphers = t->ciphers.len > 0 ? t->ciphers.s : NULL,
		.suites = t->suites.len > 0 ? t->suites.s : NULL,
		.groups = t->groups.len > 0 ? t->groups.s : NULL,
		.resumption = t->resumption,
		.strict_sni = t->strict_sni,
		.names = l->nsni > 0,
		.clients = rule(c, &t->clients),
		.hosts = hosts,
		.nhosts = t->nhosts,
	};
	struct tls_server *s;
	uint32_t i;

	snprintf(why, why_size, "out of memory");
	if (hosts == NULL)
		return NULL;
	for (i = 0; i < t->nhosts; i++)
		hosts[i] =
		    (struct tls_host_rule){ t->hosts[i].name, rule(c, &t->hosts[i].clients) };
	if (l->protocol == PROTOCOL_HTTP)
		o.alpn = l->http2.on ? "\2h2\10http/1.1" : "\10http/1.1";
	certs_use(c);
	s = tls_server_new(&o, why, why_size);
	if (s == NULL)
		certs_drop(c);
	free(hosts);
	return s;
}

struct tls_client *certs_pool(const struct certs *c, const struct conf_pool_tls *tls,
                              const char *alpn, char *why, size_t why_size)
{
	const struct tls_client_options o = {
		.verify = tls->verify,
		.ca = tls->ca.len > 0 ? store_file(c->store, tls->ca) : STR_NONE,
		.cert = tls->cert.len > 0 ? store_file(c->store, tls->cert) : STR_NONE,
		.key = tls->key.len > 0 ? store_file(c->store, tls->key) : STR_NONE,
		.min_version = version(tls->min_version),
		.resumption = tls->resumption,
		.alpn = alpn,
	};
	const struct str path = tls->verify && tls->ca.len > 0 && o.ca.len == 0 ? tls->ca
	                        : tls->cert.len > 0 && o.cert.len == 0          ? tls->cert
	                        : tls->key.len > 0 && o.key.len == 0            ? tls->key
	                                                                        : STR_NONE;

	if (path.len > 0) { /* without it more would be trusted than was meant to be */
		snprintf(why, why_size, "%s: not there", path.s);
		return NULL;
	}
	return tls_client_new(&o, why, why_size);
}

uint64_t certs_pool_key(const struct certs *c, const struct conf_pool_tls *tls)
{
	const struct str files[] = { tls->ca, tls->cert, tls->key };
	uint64_t h = 0x715;
	unsigned i;

	if (!tls->on)
		return 0;
	h = hash_mix(h + tls->verify + 2 * tls->min_version + 8 * tls->resumption);
	h = mix(h, tls->server_name);
	for (i = 0; i < ARRAY_LEN(files); i++)
		h = mix(h, files[i].len > 0 ? store_file(c->store, files[i]) : STR_NONE);
	return h | 1;
}

int certs_prove(struct certs *c, const struct conf *conf, char *why, size_t why_size)
{
	char text[256];
	uint32_t i;

	for (i = 0; i < conf->nlisteners; i++) {
		struct tls_server *s;

		if (!conf->listeners[i].tls.on)
			continue;
		s = certs_listener(c, conf, i, text, sizeof(text));
		if (s == NULL) {
			snprintf(why, why_size, "listeners.%s.tls: %s", conf->listeners[i].name.s,
			         text);
			return ERR_INVALID;
		}
		tls_server_free(s);
	}
	for (i = 0; i < conf->npools; i++) {
		struct tls_client *s;

		if (!conf->pools[i].tls.on)
			continue;
		s = certs_pool(c, &conf->pools[i].tls, CERTS_ALPN(&conf->pools[i]), text,
		               sizeof(text));
		if (s == NULL) {
			snprintf(why, why_size, "pools.%s.tls: %s", conf->pools[i].name.s, text);
			return ERR_INVALID;
		}
		tls_client_free(s);
	}
	return OK;
}
