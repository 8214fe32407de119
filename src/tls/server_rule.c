/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules for clients' certificates. Each has a session id context of its own, made of all that it
 * says, so that a session that was begun under one is resumed under no other, nor under the same
 * one with another authority or revocation list. One thread each.
 */
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/err.h"
#include "tls/cert_impl.h"
#include "tls/server_impl.h"

static void digest_add(EVP_MD_CTX *md, const void *p, size_t len)
{
	const uint64_t n = len;

	EVP_DigestUpdate(md, &n, sizeof(n));
	if (len > 0)
		EVP_DigestUpdate(md, p, len);
}

static int set_context(struct tls_rule_set *r, struct str listener, const struct tls_rule *rule)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;

	if (ok) {
		digest_add(md, listener.s, listener.len);
		digest_add(md, &rule->mode, sizeof(rule->mode));
		if (rule->mode != TLS_CLIENTS_OFF) {
			digest_add(md, rule->ca.s, rule->ca.len);
			digest_add(md, rule->crl.s, rule->crl.len);
		}
		ok = EVP_DigestFinal_ex(md, r->context, NULL) == 1;
	}
	EVP_MD_CTX_free(md);
	return ok ? OK : ERR_NOMEM;
}

static int read_cas(struct tls_rule_set *r, struct str bytes, char *why, size_t why_size)
{
	STACK_OF(X509) *all = NULL;
	int i, err = cert_read_all(bytes, CERT_MAX_AUTHORITIES, &all, why, why_size);

	for (i = 0; err == OK && i < sk_X509_num(all); i++) {
		X509 *x = sk_X509_value(all, i);
		X509_NAME *name = X509_NAME_dup(X509_get_subject_name(x));

		if (X509_STORE_add_cert(r->store, x) != 1 || name == NULL ||
		    sk_X509_NAME_push(r->names, name) == 0) {
			X509_NAME_free(name);
			err = ERR_NOMEM;
		}
	}
	sk_X509_pop_free(all, X509_free);
	ERR_clear_error();
	return err;
}

static int read_crls(struct tls_rule_set *r, struct str pem)
{
	BIO *b = BIO_new_mem_buf(pem.s, (int)pem.len);
	X509_CRL *x;
	int n = 0;

	while (b != NULL && (x = PEM_read_bio_X509_CRL(b, NULL, NULL, NULL)) != NULL) {
		const uint64_t until = cert_time(X509_CRL_get0_nextUpdate(x));

		if (until > 0)
			r->until = r->until > 0 ? MIN(r->until, until) : until;
		n += X509_STORE_add_crl(r->store, x);
		X509_CRL_free(x);
	}
	BIO_free(b);
	ERR_clear_error();
	return n;
}

static int make(struct tls_rule_set *r, struct str listener, const struct tls_rule *rule, char *why,
                size_t why_size)
{
	int err = set_context(r, listener, rule);
	char text[160];

	r->mode = rule->mode;
	r->id = rule->id;
	if (err != OK || rule->mode == TLS_CLIENTS_OFF)
		return err;
	r->store = X509_STORE_new();
	r->names = sk_X509_NAME_new_null();
	if (r->store == NULL || r->names == NULL)
		return ERR_NOMEM;
	err = read_cas(r, rule->ca, text, sizeof(text));
	if (err == ERR_NOMEM)
		return err;
	if (err != OK) {
		snprintf(why, why_size, "ca of client certificates: %s", text);
		return ERR_INVALID;
	}
	/* Who is in the file is an authority, be it one that another one has signed. */
	X509_STORE_set_flags(r->store, X509_V_FLAG_PARTIAL_CHAIN);
	if (rule->crl.len > 0) {
		if (read_crls(r, rule->crl) <= 0) {
			snprintf(why, why_size,
			         "crl of client certificates: there is no revocation list in it");
			return ERR_INVALID;
		}
		X509_STORE_set_flags(r->store, X509_V_FLAG_CRL_CHECK);
	}
	return OK;
}

int tls_rules_make(struct tls_server *s, const struct tls_server_options *o, char *why,
                   size_t why_size)
{
	uint32_t i;
	int err;

	s->rules = calloc(o->nhosts + 1, sizeof(*s->rules));
	if (s->rules == NULL)
		return ERR_NOMEM;
	s->nrules = o->nhosts + 1;
	err = make(&s->rules[0], o->context, &o->clients, why, why_size);
	for (i = 0; i < o->nhosts && err == OK; i++) {
		s->rules[i + 1].name = strndup(o->hosts[i].name.s, o->hosts[i].name.len);
		if (s->rules[i + 1].name == NULL)
			return ERR_NOMEM;
		err = make(&s->rules[i + 1], o->context, &o->hosts[i].clients, why, why_size);
	}
	return err;
}

static const struct tls_rule_set *find_named(const struct tls_server *s, struct str name, bool wild)
{
	uint32_t i;

	for (i = 1; i < s->nrules; i++) {
		const struct str has = str_from(s->rules[i].name);

		if (!wild && str_eq_nocase(has, name))
			return &s->rules[i];
		if (wild && has.len > 1 && has.s[0] == '*' &&
		    str_eq_nocase(str_n(has.s + 1, has.len - 1), name))
			return &s->rules[i];
	}
	return NULL;
}

/* As routes take hosts: exactly, then by the longest wildcard, which stands for any number of
 * labels: what a route serves shall not be out of its rule's reach. */
const struct tls_rule_set *tls_rule_find(const struct tls_server *s, struct str host)
{
	const struct tls_rule_set *r = NULL;
	size_t i;

	if (s->nrules == 1)
		return &s->rules[0];
	if (host.len > 1 && host.s[host.len - 1] == '.')
		host.len--;
	r = find_named(s, host, false);
	for (i = 1; i < host.len && r == NULL; i++)
		if (host.s[i] == '.')
			r = find_named(s, str_n(host.s + i, host.len - i), true);
	return r != NULL ? r : &s->rules[0];
}

bool tls_rule_still(const struct tls_server *s, uint64_t id, const X509 *peer)
{
	const uint64_t now = (uint64_t)time(NULL);
	uint32_t i;

	for (i = 0; i < s->nrules; i++)
		if (s->rules[i].id == id && s->rules[i].until > 0 && s->rules[i].until <= now)
			return false;
	return cert_time(X509_get0_notAfter(peer)) > now;
}

/* With `request` a certificate that does not verify is no reason to end the connection: the server
 * behind is told of it. */
static int accept_any(int ok, X509_STORE_CTX *x)
{
	struct tls *t = tls_current();

	if (!ok && t->first_error == X509_V_OK)
		t->first_error = X509_STORE_CTX_get_error(x);
	if (!ok) /* what is found wrong first says most, and the last word would stay */
		X509_STORE_CTX_set_error(x, t->first_error);
	return 1;
}

/* SSL_set_verify() without a callback leaves the context's in place, which may be the one above. */
static int accept_good(int ok, X509_STORE_CTX *x)
{
	return ok;
}

static SSL_verify_cb callback_of(const struct tls_rule_set *r)
{
	return r->mode == TLS_CLIENTS_REQUEST ? accept_any : accept_good;
}

static int mode_of(const struct tls_rule_set *r)
{
	switch (r->mode) {
	case TLS_CLIENTS_REQUEST:
		return SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE;
	case TLS_CLIENTS_REQUIRE:
		return SSL_VERIFY_PEER | SSL_VERIFY_CLIENT_ONCE | SSL_VERIFY_FAIL_IF_NO_PEER_CERT;
	default:
		return SSL_VERIFY_NONE;
	}
}

int tls_rule_default(struct tls_server *s)
{
	const struct tls_rule_set *r = &s->rules[0];

	SSL_CTX_set_session_id_context(s->ctx, r->context, sizeof(r->context));
	if (r->mode == TLS_CLIENTS_OFF)
		return OK;
	SSL_CTX_set_verify(s->ctx, mode_of(r), callback_of(r));
	SSL_CTX_set1_verify_cert_store(s->ctx, r->store);
	SSL_CTX_set0_CA_list(s->ctx,
	                     sk_X509_NAME_deep_copy(r->names, X509_NAME_dup, X509_NAME_free));
	return OK;
}

bool tls_rule_apply(const struct tls_rule_set *r, SSL *ssl)
{
	STACK_OF(X509_NAME) *names = NULL;

	if (SSL_set_session_id_context(ssl, r->context, sizeof(r->context)) != 1)
		return false;
	SSL_set_verify(ssl, mode_of(r), callback_of(r));
	if (r->mode != TLS_CLIENTS_OFF) {
		names = sk_X509_NAME_deep_copy(r->names, X509_NAME_dup, X509_NAME_free);
		if (names == NULL || SSL_set1_verify_cert_store(ssl, r->store) != 1) {
			sk_X509_NAME_pop_free(names, X509_NAME_free);
			return false;
		}
	}
	SSL_set0_CA_list(ssl, names);
	return true;
}

bool tls_rule_none(SSL *ssl)
{
	static const unsigned char context[] = "challenge";

	SSL_set_verify(ssl, SSL_VERIFY_NONE, NULL);
	SSL_set_options(ssl, SSL_OP_NO_TICKET);
	return SSL_set_num_tickets(ssl, 0) == 1 &&
	       SSL_set_session_id_context(ssl, context, sizeof(context) - 1) == 1;
}

void tls_rules_free(struct tls_server *s)
{
	uint32_t i;

	for (i = 0; i < s->nrules; i++) {
		free(s->rules[i].name);
		X509_STORE_free(s->rules[i].store);
		sk_X509_NAME_pop_free(s->rules[i].names, X509_NAME_free);
	}
	free(s->rules);
}
