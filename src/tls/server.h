/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a listener shows its clients: certificates by name, of both key types, rules for clients'
 * certificates, tickets, ALPN. Belongs to one thread; the store that it is made from must outlive
 * it. Keys are parsed when they are first needed.
 */
#ifndef TLS_SERVER_H
#define TLS_SERVER_H

#include "tls/store.h"
#include "tls/tls.h"

struct tls_server;

enum tls_client_certs { TLS_CLIENTS_OFF, TLS_CLIENTS_REQUEST, TLS_CLIENTS_REQUIRE };

struct tls_rule {       /* what a client has to show */
	unsigned mode;  /* enum tls_client_certs */
	struct str ca;  /* PEM */
	struct str crl; /* PEM; empty: none */
	uint64_t id;    /* the same while it says the same, whatever its files hold; off: 0 */
};

struct tls_host_rule {
	struct str name; /* "admin.shop.test", "*.shop.test" */
	struct tls_rule clients;
};

struct tls_server_options {
	const struct store *store;
	void *keep; /* unkeep is called with it when the store is no longer in use; may be NULL */
	void (*unkeep)(void *keep);
	uint32_t listener;  /* which of its certificates and ticket keys */
	struct str context; /* sessions of another one are not resumed: the listener's name */
	unsigned min_version, max_version;     /* TLS1_2_VERSION … of OpenSSL */
	const char *ciphers, *suites, *groups; /* NULL: the defaults */
	bool resumption;
	bool strict_sni;
	bool names;       /* tls_asked_name() is needed */
	const char *alpn; /* in the order of preference, "\2h2\10http/1.1"; NULL: none */
	struct tls_rule clients;
	const struct tls_host_rule *hosts;
	uint32_t nhosts;
};

/* The defaults of Mozilla's intermediate profile, without the finite-field DHE ciphers. */
#define TLS_DEFAULT_CIPHERS \
	"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:" \
	"ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" \
	"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define TLS_DEFAULT_SUITES \
	"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
#define TLS_DEFAULT_GROUPS "X25519:P-256:P-384"

/* NULL with why (for people). Connections in work keep what tls_server_free lets go. */
struct tls_server *tls_server_new(const struct tls_server_options *o, char *why, size_t why_size);
void tls_server_free(struct tls_server *s);

/* As tls_accept, with the certificate that the client's name asks for. */
int tls_server_accept(struct tls_server *server, struct stream *s, struct str early);

/* The id of the rule for clients' certificates that holds for a host of that server, and of the one
 * that a connection has been held to; 0 on a stream in clear text. A request for a host with
 * another one than its connection's is misdirected. */
uint64_t tls_server_rule(const struct tls_server *server, struct str host);
uint64_t tls_rule_of(const struct stream *s);
/* The host that this ClientHello named, in lower case and without a dot at its end; empty: none. A
 * resumed session does not count: OpenSSL tells of the name that it was begun with (TLS 1.2). */
struct str tls_asked_name(const struct stream *s);
/* Whether an ACME authority validates by it (RFC 8737): to be closed after the handshake. */
bool tls_is_challenge(const struct stream *s);

#endif
