/* SPDX-License-Identifier: Apache-2.0 */
/* What only the whole shows of ACME: whether the challenges can be met, and certificates that would
 * get in each other's way. */
#include "base/err.h"
#include "conf/load.h"

#define MAX_HOSTS 100 /* of one certificate, as the authorities have it */

/* The source of a certificate in the file, else the listener. */
static struct place place_of(const struct node *listener, uint32_t source)
{
	const struct node *tls = node_get(listener, "tls");
	const struct node *list = tls ? node_get(tls, "certificates") : NULL;
	const struct node *i = list && list->kind == NODE_LIST ? list->first : NULL;

	for (; i && source > 0; source--) {
		i = i->next;
	}
	return i ? i->at : list ? list->at : listener->key_at;
}

static bool has_port(const struct conf_listener *c, unsigned port)
{
	for (uint32_t i = 0; i < c->nbind; i++) {
		if (c->bind[i].sa.sa_family != AF_UNIX && net_addr_port(&c->bind[i]) == port) {
			return true;
		}
	}
	return false;
}

static bool serves(const struct conf *c, bool tls, unsigned port)
{
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		const struct conf_listener *l = &c->listeners[i];

		if (l->tls.on == tls && (tls || l->protocol == PROTOCOL_HTTP) &&
		    has_port(l, port)) {
			return true;
		}
	}
	return false;
}

static bool same_hosts(const struct conf_cert *a, const struct conf_cert *b)
{
	for (uint32_t i = 0; i < a->hosts.n && a->hosts.n == b->hosts.n; i++) {
		if (!str_eq(a->hosts.v[i], b->hosts.v[i])) {
			return false;
		}
	}
	return a->hosts.n == b->hosts.n;
}

static bool is_address(struct str host)
{
	struct net_addr a;

	return (host.len && host.s[0] == '[') || net_ip_parse(host, &a) == OK;
}

static void verify_hosts(struct load *l, const struct conf_issuer *issuer,
                         const struct conf_cert *cert, struct place at)
{
	if (cert->hosts.n > MAX_HOSTS) {
		problem_error(l->problems, at,
		              "more than %d hosts: authorities refuse such certificates",
		              MAX_HOSTS);
	}
	for (uint32_t i = 0; i < cert->hosts.n; i++) {
		struct str host = cert->hosts.v[i];

		if (str_starts(host, STR("*.")) && issuer->challenge != ACME_DNS_01) {
			problem_error(l->problems, at,
			              "\"%.*s\" is a wildcard, which only dns-01 can prove: issuer "
			              "\"%.*s\" needs \"challenge: dns-01\"",
			              STR_ARG(host), STR_ARG(issuer->name));
		}
		if (is_address(host)) {
			problem_error(l->problems, at,
			              "\"%.*s\" is an address: certificates are ordered for host "
			              "names",
			              STR_ARG(host));
		}
	}
}

/* One folder belongs to the first host: what is in it must be one certificate. */
static void verify_unique(struct load *l, const struct conf_cert *cert, struct place at,
                          uint32_t listener, uint32_t source)
{
	for (uint32_t i = 0; i <= listener; i++) {
		const struct conf_tls *t = &l->conf->listeners[i].tls;

		for (uint32_t k = 0; k < (i == listener ? source : t->ncerts); k++) {
			const struct conf_cert *o = &t->certs[k];

			if (o->kind == CERT_ACME && o->issuer == cert->issuer && o->hosts.n &&
			    cert->hosts.n && str_eq(o->hosts.v[0], cert->hosts.v[0]) &&
			    !same_hosts(o, cert)) {
				problem_error(
				    l->problems, at,
				    "\"hosts\" begins with \"%.*s\", as a different list of "
				    "listener \"%.*s\" does: give both the same hosts in the same "
				    "order, or another first one",
				    STR_ARG(cert->hosts.v[0]), STR_ARG(l->conf->listeners[i].name));
				return;
			}
		}
	}
}

typedef void for_cert(struct load *l, const struct conf_issuer *issuer,
                      const struct conf_cert *cert, struct place at, uint32_t listener,
                      uint32_t source);

static void each_cert(struct load *l, for_cert *fn)
{
	const struct conf *c = l->conf;

	for (uint32_t i = 0; i < c->nlisteners; i++) {
		for (uint32_t k = 0; k < c->listeners[i].tls.ncerts; k++) {
			const struct conf_cert *cert = &c->listeners[i].tls.certs[k];

			if (cert->kind == CERT_ACME && cert->issuer < c->nissuers &&
			    str_eq(c->issuers[cert->issuer].name, cert->acme)) {
				fn(l, &c->issuers[cert->issuer], cert, place_of(l->listeners[i], k),
				   i, k);
			}
		}
	}
}

static void verify_one(struct load *l, const struct conf_issuer *issuer,
                       const struct conf_cert *cert, struct place at, uint32_t listener,
                       uint32_t source)
{
	verify_hosts(l, issuer, cert, at);
	verify_unique(l, cert, at, listener, source);
}

void verify_acme(struct load *l)
{
	each_cert(l, verify_one);
}

/* --- warnings --------------------------------------------------------------------------------- */

static void mark_used(struct load *l, const struct conf_issuer *issuer,
                      const struct conf_cert *cert, struct place at, uint32_t listener,
                      uint32_t source)
{
	l->issuers_used |= 1ULL << cert->issuer;
}

void verify_acme_warnings(struct load *l)
{
	const struct conf *c = l->conf;

	l->issuers_used = 0;
	each_cert(l, mark_used);
	for (uint32_t i = 0; i < c->nissuers; i++) {
		const struct conf_issuer *issuer = &c->issuers[i];
		struct place at = l->issuers[i]->key_at;

		if (!(l->issuers_used >> i & 1)) {
			problem_warning(
			    l->problems, at,
			    "issuer \"%.*s\" is not used: no listener has a certificate "
			    "of it (tls: { certificates: [{ acme: %.*s, hosts: [...] }] })",
			    STR_ARG(issuer->name), STR_ARG(issuer->name));
		} else if (issuer->challenge == ACME_HTTP_01 && !serves(c, false, 80)) {
			problem_warning(
			    l->problems, at,
			    "issuer \"%.*s\": http-01 needs an HTTP listener on port 80, "
			    "where the authority looks; there is none",
			    STR_ARG(issuer->name));
		} else if (issuer->challenge == ACME_TLS_ALPN_01 && !serves(c, true, 443)) {
			problem_warning(l->problems, at,
			                "issuer \"%.*s\": tls-alpn-01 needs a listener with TLS on "
			                "port 443, where the authority looks; there is none",
			                STR_ARG(issuer->name));
		}
	}
}
