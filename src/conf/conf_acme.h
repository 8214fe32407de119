/* SPDX-License-Identifier: Apache-2.0 */
/* The part of a configuration about ACME: who issues certificates, and how names are proved. */
#ifndef CONF_CONF_ACME_H
#define CONF_CONF_ACME_H

#include "conf/conf_list.h"
#include "net/addr.h"

enum conf_acme_challenge { ACME_HTTP_01, ACME_TLS_ALPN_01, ACME_DNS_01 };
enum conf_acme_key { ACME_KEY_P256, ACME_KEY_P384, ACME_KEY_RSA2048, ACME_KEY_RSA4096 };
enum conf_acme_dns { ACME_DNS_NONE, ACME_DNS_CLOUDFLARE, ACME_DNS_RFC2136, ACME_DNS_EXEC };

struct conf_issuer { /* an ACME authority and the account there */
	struct str name;
	struct str directory; /* URL */
	struct str ca;        /* path, PEM: whom to trust as that server; "": the system's */
	struct str email;
	bool agree;                  /* to the authority's terms of service */
	struct str eab_kid, eab_key; /* external account; "": none */
	uint32_t challenge;          /* enum conf_acme_challenge */
	uint32_t key;                /* enum conf_acme_key, of certificates */
	uint64_t renew_before;       /* 30d, at most a third of the lifetime */
	uint32_t dns;                /* enum conf_acme_dns */
	struct str cloudflare_token, cloudflare_api;
	struct str rfc2136_key_name, rfc2136_key, rfc2136_algorithm, rfc2136_zone;
	struct net_addr rfc2136_server;
	struct str rfc2136_server_text;
	struct conf_list dns_exec;
	struct str dns_user;
	uint64_t dns_wait;    /* for a record to be seen everywhere */
	struct str dns_check; /* resolver asked whether it is there; "": only dns_wait */
	struct net_addr dns_check_address;
};

#endif
