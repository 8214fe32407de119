/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the server side share. */
#ifndef TLS_SERVER_IMPL_H
#define TLS_SERVER_IMPL_H

#include <openssl/ssl.h>

#include "tls/engine.h"
#include "tls/server.h"

#define TLS_LOADED_MAX \
	1024 /* parsed certificates beside the default's, of a listener and thread \
	      */

/* A certificate of the store, parsed. */
struct tls_pair {
	X509 *leaf;
	STACK_OF(X509) * chain; /* without the leaf */
	EVP_PKEY *key;
	struct str ocsp;
};

/* What is shown for a name: indices in store->certs, UINT32_MAX: none of that key type. */
struct tls_host {
	uint32_t ec, rsa;
};

struct tls_entry { /* a name and a certificate for it */
	uint64_t hash;
	uint32_t cert;
	uint32_t name; /* in its names */
};

struct tls_rule_set { /* a rule as OpenSSL takes it */
	char *name;   /* of the host; NULL: of the listener */
	unsigned mode;
	uint64_t id;
	uint8_t context[32]; /* session id context */
	uint64_t until;      /* Unix time at which its first list of revoked ones ends; 0: never */
	X509_STORE *store;   /* NULL where nothing is asked for */
	STACK_OF(X509_NAME) * names;
};

struct tls_server {
	SSL_CTX *ctx;
	unsigned users; /* the owner and connections */
	const struct store *store;
	void *keep;
	void (*unkeep)(void *keep);
	uint32_t listener;
	bool strict, names;
	bool has_ocsp;
	const unsigned char *alpn;
	unsigned alpn_len;
	struct tls_host first;     /* the default host */
	struct tls_entry *entries; /* by hash */
	uint32_t nentries;
	struct tls_entry *challenges; /* tls-alpn-01, by hash */
	uint32_t nchallenges;
	struct tls_pair **pairs; /* by index in the store; NULL: not parsed */
	uint32_t nloaded;
	struct tls_rule_set *rules; /* the first one is the listener's */
	uint32_t nrules;
	const struct store_tickets *tickets;
	struct store_tickets own;
};

/* server_cert.c */
/* Fills entries and first. OK, ERR_NOMEM. */
int tls_index(struct tls_server *s);
/* What is shown for that name; false: nothing. */
bool tls_find_host(const struct tls_server *s, struct str name, struct tls_host *ret);
uint32_t tls_find_challenge(const struct tls_server *s, struct str name);
/* The parsed certificate; NULL when it cannot be parsed. */
struct tls_pair *tls_pair(struct tls_server *s, uint32_t cert);
void tls_pairs_free(struct tls_server *s);

/* server_rule.c */
int tls_rules_make(struct tls_server *s, const struct tls_server_options *o, char *why,
                   size_t why_size);
const struct tls_rule_set *tls_rule_find(const struct tls_server *s, struct str host);
/* Whether what was proved under the rule of that id by this certificate holds at this time. */
bool tls_rule_still(const struct tls_server *s, uint64_t id, const X509 *peer);
/* Sets it for all connections of the context. */
int tls_rule_default(struct tls_server *s);
/* Sets it for one connection. */
bool tls_rule_apply(const struct tls_rule_set *r, SSL *ssl);
/* No rule, for a challenge: nobody is asked for a certificate, and no session is begun or resumed
 * that could be taken for one under a rule. */
bool tls_rule_none(SSL *ssl);
void tls_rules_free(struct tls_server *s);

/* server_ticket.c */
int tls_tickets_set_up(struct tls_server *s);

#endif
