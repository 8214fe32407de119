/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a configuration about TLS: certificates, what listeners and servers have to show. */
#ifndef CONF_CONF_TLS_H
#define CONF_CONF_TLS_H

#include "conf/conf_list.h"

/* Where certificates of a listener come from. */
enum conf_cert_kind {
	CERT_FILES,    /* a file with the chain and one with the key */
	CERT_DIR,      /* every pair in a folder, which is watched */
	CERT_ACME,     /* an issuer of the map `acme` */
	CERT_INTERNAL, /* signed by this node's own authority, for labs */
};

struct conf_cert {
	uint32_t kind;          /* enum conf_cert_kind */
	struct str cert;        /* CERT_FILES: path of the chain, leaf first */
	struct str key;         /* "": in cert's file */
	struct str ocsp;        /* path of a stapled answer, DER; "": cert's path with ".ocsp" */
	struct str dir;         /* CERT_DIR */
	struct str acme;        /* CERT_ACME: the issuer's name */
	uint32_t issuer;        /* its index in conf->issuers */
	struct conf_list hosts; /* CERT_ACME: names of one certificate; CERT_INTERNAL: more names */
};

enum conf_tls_version { TLS_1_2, TLS_1_3 };

enum conf_client_cert_mode { CLIENT_CERTS_OFF, CLIENT_CERTS_REQUEST, CLIENT_CERTS_REQUIRE };

struct conf_client_certs { /* what a client has to show */
	uint32_t mode;     /* enum conf_client_cert_mode */
	struct str ca;     /* path, PEM */
	struct str crl;    /* path, PEM; "": none */
};

struct conf_tls_host {   /* what differs for a host */
	struct str name; /* lower case; "admin.shop.test" or "*.shop.test" */
	struct conf_client_certs clients;
};

struct conf_tls { /* of a listener */
	bool on;
	const struct conf_cert *certs;
	uint32_t ncerts;
	uint32_t min_version; /* enum conf_tls_version */
	uint32_t max_version;
	struct str ciphers; /* of TLS 1.2, as OpenSSL writes them */
	struct str suites;  /* of TLS 1.3 */
	struct str groups;  /* key exchange */
	bool resumption;
	struct str ticket_keys;   /* path of a file of keys; "": this node's own, random */
	uint64_t ticket_rotation; /* of the node's own, 12h */
	bool strict_sni;          /* no certificate for the name: refused, instead of the first */
	struct conf_client_certs clients;
	const struct conf_tls_host *hosts;
	uint32_t nhosts;
	uint64_t hsts; /* ns; 0: none */
	bool hsts_subdomains;
	bool hsts_preload;
};

struct conf_pool_tls { /* to servers */
	bool on;
	bool verify;
	struct str ca;          /* path, PEM; "": the system's */
	struct str server_name; /* SNI, and what the certificate must name; "": the server's name as
	                         * configured, or the request's host where that is an address */
	struct str cert;        /* client certificate and key, paths; "": none */
	struct str key;
	uint32_t min_version; /* enum conf_tls_version */
	bool resumption;
};

#endif
