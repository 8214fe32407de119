/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS towards servers: contexts, verification, sessions that are offered again. Any role; a context
 * belongs to one thread.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "tls/cert_impl.h"
#include "tls/engine.h"
#include "tls/schedule.h"

struct tls_client {
	SSL_CTX *ctx;
	unsigned users; /* the owner and connections */
	bool verify;
	bool resumption;
	uint64_t id;
};

/* The system's authorities: read once in a process, there are many of them. */
static pthread_once_t system_once = PTHREAD_ONCE_INIT;
static X509_STORE *system_store;

static void load_system(void)
{
	X509_STORE *store = X509_STORE_new();

	if (store != NULL && X509_STORE_set_default_paths(store) != 1) {
		X509_STORE_free(store);
		store = NULL;
	}
	ERR_clear_error();
	system_store = store;
}

static int say(char *why, size_t why_size, const char *what)
{
	const char *reason = ERR_reason_error_string(ERR_peek_last_error());

	snprintf(why, why_size, "%s%s%s", what, reason ? ": " : "", reason ? reason : "");
	ERR_clear_error();
	return ERR_INVALID;
}

static int set_authorities(SSL_CTX *ctx, struct str ca, char *why, size_t why_size)
{
	STACK_OF(X509) *all = NULL;
	X509_STORE *store;
	char text[160];
	int i, err;

	if (ca.len == 0) {
		pthread_once(&system_once, load_system);
		if (system_store == NULL)
			return say(why, why_size, "the system's authorities cannot be read");
		SSL_CTX_set1_cert_store(ctx, system_store);
		return OK;
	}
	store = X509_STORE_new();
	if (store == NULL)
		return say(why, why_size, "out of memory");
	SSL_CTX_set_cert_store(ctx, store);
	/* Who is in the file is an authority, be it one that another one has signed. */
	X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
	err = cert_read_all(ca, CERT_MAX_AUTHORITIES, &all, text, sizeof(text));
	if (err != OK)
		snprintf(why, why_size, "ca: %s", text);
	for (i = 0; err == OK && i < sk_X509_num(all); i++)
		if (X509_STORE_add_cert(store, sk_X509_value(all, i)) != 1)
			err = say(why, why_size, "ca");
	sk_X509_pop_free(all, X509_free);
	return err;
}

static X509 *certificate(struct str der)
{
	const unsigned char *p = (const unsigned char *)der.s;

	return d2i_X509(NULL, &p, (long)der.len);
}

static bool use(SSL_CTX *ctx, const struct store_cert *c)
{
	const unsigned char *p = (const unsigned char *)c->key.s;
	EVP_PKEY *key = d2i_AutoPrivateKey(NULL, &p, (long)c->key.len);
	X509 *x = certificate(c->chain[0]);
	bool well = key != NULL && x != NULL && SSL_CTX_use_certificate(ctx, x) == 1 &&
	            SSL_CTX_use_PrivateKey(ctx, key) == 1;
	uint32_t i;

	EVP_PKEY_free(key);
	X509_free(x);
	for (i = 1; well && i < c->nchain; i++) {
		x = certificate(c->chain[i]);
		well = x != NULL && SSL_CTX_add1_chain_cert(ctx, x) == 1;
		X509_free(x);
	}
	return well;
}

/* The same reading as that of the helper that let it pass: whatever the order in the file. */
static int set_certificate(SSL_CTX *ctx, struct str cert, struct str key, char *why,
                           size_t why_size)
{
	struct arena arena = { 0 };
	struct store_cert c = { 0 };
	char text[200], note[200];
	int err = cert_parse(&arena, cert, key, NULL, &c, text, sizeof(text), note, sizeof(note));

	if (err != OK) {
		snprintf(why, why_size, "cert: %s", text);
		err = ERR_INVALID;
	} else if (!use(ctx, &c)) {
		err = say(why, why_size, "cert");
	}
	arena_free(&arena);
	return err;
}

/* A ticket came: the last one of a server is the one to offer next. */
static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls *t = tls_current();

	if (t == NULL || t->session == NULL)
		return 0;
	SSL_SESSION_free(t->session->session);
	t->session->session = session;
	t->session->client = t->client->id;
	return 1;
}

static int set_up(struct tls_client *c, const struct tls_client_options *o, char *why,
                  size_t why_size)
{
	SSL_CTX *ctx = c->ctx;
	int err;

	SSL_CTX_set_min_proto_version(ctx, (int)o->min_version);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_session_cache_mode(ctx, o->resumption
	                                        ? SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL
	                                        : SSL_SESS_CACHE_OFF);
	if (o->resumption)
		SSL_CTX_sess_set_new_cb(ctx, on_session);
	else
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_verify(ctx, o->verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	if (o->verify && (err = set_authorities(ctx, o->ca, why, why_size)) != OK)
		return err;
	/* SSL_CTX_set_alpn_protos returns 0 on success. */
	if (o->alpn != NULL && SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)o->alpn,
	                                               (unsigned)strlen(o->alpn)) != 0)
		return say(why, why_size, "alpn");
	return o->cert.len > 0 ? set_certificate(ctx, o->cert, o->key.len > 0 ? o->key : STR_NONE,
	                                         why, why_size)
	                       : OK;
}

static uint64_t id_of(const struct tls_client_options *o)
{
	const struct str parts[] = { o->ca, o->cert, o->key, str_from(o->alpn) };
	uint64_t h = hash_mix(1 + o->verify + 2 * (uint64_t)o->min_version);
	unsigned i;

	for (i = 0; i < ARRAY_LEN(parts); i++)
		h = hash_mix(hash_bytes(h, parts[i].s, parts[i].len) + parts[i].len);
	return h;
}

struct tls_client *tls_client_new(const struct tls_client_options *o, char *why, size_t why_size)
{
	struct tls_client *c = calloc(1, sizeof(*c));

	snprintf(why, why_size, "out of memory");
	if (c == NULL)
		return NULL;
	c->users = 1;
	c->verify = o->verify;
	c->resumption = o->resumption;
	c->id = id_of(o);
	c->ctx = SSL_CTX_new_ex(NULL, tls_schedule(), TLS_client_method());
	if (c->ctx == NULL || set_up(c, o, why, why_size) != OK) {
		tls_client_free(c);
		return NULL;
	}
	return c;
}

void tls_client_unuse(struct tls_client *c)
{
	CHECK(c->users > 0);
	if (--c->users > 0)
		return;
	SSL_CTX_free(c->ctx);
	free(c);
}

void tls_client_free(struct tls_client *c)
{
	if (c != NULL)
		tls_client_unuse(c);
}

uint64_t tls_client_id(const struct tls_client *c)
{
	return c->id;
}

uint64_t tls_client_of(const struct stream *s)
{
	const struct tls *t = s->layer != NULL ? s->layer_data : NULL;

	return t != NULL && t->client != NULL ? t->client->id : 0;
}

void tls_session_free(struct tls_session *session)
{
	SSL_SESSION_free(session->session);
	session->session = NULL;
}

/* Whom the server has to be. */
static bool set_name(struct tls *t, const char *name, bool verify)
{
	struct in6_addr ip;
	const bool is_ip =
	    inet_pton(AF_INET, name, &ip) == 1 || inet_pton(AF_INET6, name, &ip) == 1;
	X509_VERIFY_PARAM *param = SSL_get0_param(t->ssl);

	if (!is_ip && SSL_set_tlsext_host_name(t->ssl, name) != 1)
		return false;
	if (!verify)
		return true;
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return is_ip ? X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1
	             : X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

int tls_connect(struct stream *s, struct tls_client *c, const char *name,
                struct tls_session *session)
{
	struct tls *t = tls_new(s, c->ctx, STR_NONE);

	if (t == NULL)
		return ERR_NOMEM;
	c->users++;
	t->client = c;
	t->session = c->resumption ? session : NULL;
	t->name = name != NULL ? strdup(name) : NULL;
	SSL_set_connect_state(t->ssl);
	if (name == NULL || name[0] == '\0') /* to accept any name would be to verify nothing */
		return c->verify ? ERR_INVALID : OK;
	if (!set_name(t, name, c->verify)) {
		ERR_clear_error();
		return ERR_NOMEM;
	}
	if (t->session != NULL && session->session != NULL && session->client == c->id)
		SSL_set_session(t->ssl, session->session);
	return OK;
}
