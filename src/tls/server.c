/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts towards clients. The default host costs nothing extra: its certificates lie in the
 * context; only where names or rules differ is the ClientHello looked at, before anything of the
 * session is. One thread each.
 */
#include "tls/server.h"

#include <openssl/err.h>
#include <openssl/tls1.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "tls/schedule.h"
#include "tls/server_impl.h"

#define NAME_MAX_LEN 255

/* The host_name of a server_name extension (RFC 6066, 3) in lower case; empty: none. */
static struct str hello_name(SSL *ssl, char out[NAME_MAX_LEN + 1])
{
	const unsigned char *p;
	size_t len, n, i;

	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &p, &len) != 1 || len < 5 ||
	    p[2] != TLSEXT_NAMETYPE_host_name)
		return STR_NONE;
	n = (size_t)p[3] << 8 | p[4];
	if (n == 0 || n > NAME_MAX_LEN || n > len - 5)
		return STR_NONE;
	for (i = 0; i < n; i++) {
		const char ch = (char)p[5 + i];

		out[i] = ch >= 'A' && ch <= 'Z' ? (char)(ch - 'A' + 'a') : ch;
	}
	if (n > 1 && out[n - 1] == '.')
		n--;
	return str_n(out, n);
}

/* Whether acme-tls/1 is the one protocol offered (RFC 8737, 3). */
static bool hello_is_challenge(SSL *ssl)
{
	static const char want[] = "\0\13\12acme-tls/1";
	const unsigned char *p;
	size_t len;

	return SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation,
	                                 &p, &len) == 1 &&
	       len == sizeof(want) - 1 && memcmp(p, want, len) == 0;
}

static bool show(SSL *ssl, struct tls_server *s, uint32_t cert)
{
	struct tls_pair *p = tls_pair(s, cert);

	return p != NULL && SSL_use_cert_and_key(ssl, p->leaf, p->key, p->chain, 1) == 1;
}

static bool show_host(SSL *ssl, struct tls *t, const struct tls_host *h)
{
	struct tls_server *s = t->context;
	bool shown;

	if (h->ec == s->first.ec && h->rsa == s->first.rsa)
		return true;
	t->shown[0] = h->ec;
	t->shown[1] = h->rsa;
	SSL_certs_clear(ssl);
	shown = show(ssl, s, h->ec);
	shown |= show(ssl, s, h->rsa);
	ERR_clear_error();
	return shown;
}

static int refuse(int *alert, int what)
{
	*alert = what;
	return SSL_CLIENT_HELLO_ERROR;
}

static int on_hello(SSL *ssl, int *alert, void *arg)
{
	struct tls *t = tls_current();
	struct tls_server *s = t->context;
	const struct tls_rule_set *rule;
	char text[NAME_MAX_LEN + 1];
	struct str name = hello_name(ssl, text);
	struct tls_host h;

	if (s->names && (t->name = strndup(name.s ? name.s : "", name.len)) == NULL)
		return refuse(alert, SSL_AD_INTERNAL_ERROR);
	if (s->nchallenges > 0 && hello_is_challenge(ssl)) {
		const uint32_t cert = tls_find_challenge(s, name);

		if (cert == UINT32_MAX)
			return refuse(alert, SSL_AD_UNRECOGNIZED_NAME);
		SSL_certs_clear(ssl);
		t->challenge = true;
		if (!tls_rule_none(ssl))
			return refuse(alert, SSL_AD_INTERNAL_ERROR);
		return show(ssl, s, cert) ? SSL_CLIENT_HELLO_SUCCESS
		                          : refuse(alert, SSL_AD_INTERNAL_ERROR);
	}
	if (tls_find_host(s, name, &h)) {
		if (!show_host(ssl, t, &h))
			return refuse(alert, SSL_AD_INTERNAL_ERROR);
	} else if (s->strict) { /* RFC 6066, 3 */
		if (t->why == NULL)
			t->why = strdup(name.len > 0 ? "no certificate for the name asked for"
			                             : "the client named no host");
		return refuse(alert, SSL_AD_UNRECOGNIZED_NAME);
	}
	rule = tls_rule_find(s, name);
	if (rule != &s->rules[0]) {
		t->rule = rule->id;
		if (!tls_rule_apply(rule, ssl))
			return refuse(alert, SSL_AD_INTERNAL_ERROR);
	}
	return SSL_CLIENT_HELLO_SUCCESS;
}

/* RFC 7301, 3.2: our order decides; nothing in common is an error. */
static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                   const unsigned char *in, unsigned in_len, void *arg)
{
	const struct tls *t = tls_current();
	const struct tls_server *s = t->context;
	unsigned char *chosen;

	if (t->challenge) {
		*out = (const unsigned char *)"acme-tls/1";
		*out_len = 10;
		return SSL_TLSEXT_ERR_OK;
	}
	if (s->alpn == NULL)
		return SSL_TLSEXT_ERR_NOACK;
	if (SSL_select_next_proto(&chosen, out_len, s->alpn, s->alpn_len, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

/* The stapled answer of the certificate that was chosen (RFC 6066, 8). */
static int on_status(SSL *ssl, void *arg)
{
	const struct tls *t = tls_current();
	const X509 *leaf = SSL_get_certificate(ssl);
	int i;

	for (i = 0; i < 2; i++) {
		const uint32_t cert = t->shown[i];
		const struct tls_pair *p = cert != UINT32_MAX ? t->context->pairs[cert] : NULL;
		unsigned char *copy;

		if (p == NULL || p->leaf != leaf || p->ocsp.len == 0)
			continue;
		copy = OPENSSL_memdup(p->ocsp.s, p->ocsp.len);
		if (copy == NULL)
			return SSL_TLSEXT_ERR_NOACK;
		SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)p->ocsp.len);
		return SSL_TLSEXT_ERR_OK;
	}
	return SSL_TLSEXT_ERR_NOACK;
}

static int bad(char *why, size_t why_size, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	snprintf(why, why_size, "%s: %s", what, reason ? reason : "not accepted");
	ERR_clear_error();
	return ERR_INVALID;
}

static int set_algorithms(SSL_CTX *ctx, const struct tls_server_options *o, char *why, size_t size)
{
	SSL_CTX_set_min_proto_version(ctx, (int)o->min_version);
	SSL_CTX_set_max_proto_version(ctx, (int)o->max_version);
	if (SSL_CTX_set_cipher_list(ctx, o->ciphers ? o->ciphers : TLS_DEFAULT_CIPHERS) != 1)
		return bad(why, size, "ciphers");
	if (SSL_CTX_set_ciphersuites(ctx, o->suites ? o->suites : TLS_DEFAULT_SUITES) != 1)
		return bad(why, size, "suites");
	if (SSL_CTX_set1_groups_list(ctx, o->groups ? o->groups : TLS_DEFAULT_GROUPS) != 1)
		return bad(why, size, "groups");
	return OK;
}

static int set_first(struct tls_server *s, char *why, size_t why_size)
{
	const uint32_t certs[2] = { s->first.ec, s->first.rsa };
	int i;

	for (i = 0; i < 2; i++) {
		struct tls_pair *p = tls_pair(s, certs[i]);

		if (certs[i] == UINT32_MAX)
			continue;
		if (p == NULL ||
		    SSL_CTX_use_cert_and_key(s->ctx, p->leaf, p->key, p->chain, 1) != 1) {
			char text[160];

			snprintf(text, sizeof(text), "certificate %.*s",
			         (int)MIN(s->store->certs[certs[i]].origin.len, 120u),
			         s->store->certs[certs[i]].origin.s
			             ? s->store->certs[certs[i]].origin.s
			             : "");
			return bad(why, why_size, text);
		}
	}
	return OK;
}

/* Whether every client gets the same, whatever its ClientHello says. */
static bool is_plain(const struct tls_server *s)
{
	uint32_t i;

	if (s->strict || s->names || s->nrules > 1 || s->nchallenges > 0)
		return false;
	for (i = 0; i < s->nentries; i++)
		if (s->entries[i].cert != s->first.ec && s->entries[i].cert != s->first.rsa)
			return false;
	return true;
}

static void set_callbacks(struct tls_server *s)
{
	uint32_t i;

	for (i = 0; i < s->store->ncerts; i++)
		s->has_ocsp |= s->store->certs[i].ocsp.len > 0;
	if (!is_plain(s))
		SSL_CTX_set_client_hello_cb(s->ctx, on_hello, NULL);
	if (s->alpn != NULL || s->nchallenges > 0)
		SSL_CTX_set_alpn_select_cb(s->ctx, on_alpn, NULL);
	if (s->has_ocsp)
		SSL_CTX_set_tlsext_status_cb(s->ctx, on_status);
}

static int set_up(struct tls_server *s, const struct tls_server_options *o, char *why, size_t size)
{
	int err = tls_index(s);

	if (err == OK)
		err = set_algorithms(s->ctx, o, why, size);
	if (err == OK)
		err = set_first(s, why, size);
	if (err == OK)
		err = tls_rules_make(s, o, why, size);
	if (err == OK)
		err = tls_rule_default(s);
	if (err != OK)
		return err;
	SSL_CTX_set_options(s->ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
	                                SSL_OP_SINGLE_ECDH_USE | SSL_OP_CIPHER_SERVER_PREFERENCE |
	                                SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_session_cache_mode(s->ctx, SSL_SESS_CACHE_OFF);
	if (o->resumption) {
		err = tls_tickets_set_up(s);
	} else {
		SSL_CTX_set_options(s->ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(s->ctx, 0);
	}
	set_callbacks(s);
	return err;
}

struct tls_server *tls_server_new(const struct tls_server_options *o, char *why, size_t why_size)
{
	struct tls_server *s = calloc(1, sizeof(*s));

	snprintf(why, why_size, "out of memory");
	if (s == NULL)
		return NULL;
	s->users = 1;
	s->store = o->store;
	s->listener = o->listener;
	s->strict = o->strict_sni;
	s->names = o->names;
	s->alpn = (const unsigned char *)o->alpn;
	s->alpn_len = o->alpn != NULL ? (unsigned)strlen(o->alpn) : 0;
	s->ctx = SSL_CTX_new_ex(NULL, tls_schedule(), TLS_server_method());
	if (s->ctx == NULL || set_up(s, o, why, why_size) != OK) {
		ERR_clear_error();
		tls_server_free(s);
		return NULL;
	}
	s->keep = o->keep;
	s->unkeep = o->unkeep;
	ERR_clear_error();
	return s;
}

void tls_server_unuse(struct tls_server *s)
{
	CHECK(s->users > 0);
	if (--s->users > 0)
		return;
	SSL_CTX_free(s->ctx);
	tls_pairs_free(s);
	tls_rules_free(s);
	free(s->pairs);
	free(s->entries);
	free(s->challenges);
	if (s->unkeep != NULL)
		s->unkeep(s->keep);
	free(s);
}

void tls_server_free(struct tls_server *s)
{
	if (s != NULL)
		tls_server_unuse(s);
}

int tls_server_accept(struct tls_server *server, struct stream *s, struct str early)
{
	struct tls *t;

	if (tls_accept(s, server->ctx, early) != OK)
		return ERR_NOMEM;
	t = s->layer_data;
	server->users++;
	t->context = server;
	t->rule = server->rules[0].id;
	t->shown[0] = server->first.ec;
	t->shown[1] = server->first.rsa;
	return OK;
}

uint64_t tls_server_rule(const struct tls_server *server, struct str host)
{
	return tls_rule_find(server, host)->id;
}

uint64_t tls_rule_of(const struct stream *s)
{
	return s->layer != NULL ? ((const struct tls *)s->layer_data)->rule : 0;
}

struct str tls_asked_name(const struct stream *s)
{
	return str_from(((const struct tls *)s->layer_data)->name);
}

bool tls_is_challenge(const struct stream *s)
{
	return ((const struct tls *)s->layer_data)->challenge;
}
