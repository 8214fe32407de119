/* SPDX-License-Identifier: Apache-2.0 */
/* Keys, requests for certificates, and what came of them. */
#ifndef ACME_KEY_H
#define ACME_KEY_H

#include <openssl/types.h>

#include "conf/conf.h"

/* NULL when OpenSSL refuses. The caller frees with EVP_PKEY_free. RSA takes its time. */
EVP_PKEY *acme_key_new(enum conf_acme_key kind);
/* PKCS #8, PEM. OK or ERR_INVALID. */
int acme_key_write(EVP_PKEY *key, struct buf *out);
/* Without a passphrase; NULL where it is none. */
EVP_PKEY *acme_key_read(struct str pem);
/* Whether it is of that kind. */
bool acme_key_is(EVP_PKEY *key, enum conf_acme_key kind);

/* A request for these names, DER. OK or ERR_INVALID. */
int acme_csr(EVP_PKEY *key, const struct conf_list *hosts, struct buf *out);
/* What tls-alpn-01 shows (RFC 8737 section 3): certificate and key, PEM. OK or ERR_INVALID. */
int acme_alpn_cert(struct str host, struct str answer, struct buf *out);

struct acme_leaf {
	uint64_t not_before, not_after; /* Unix time, seconds */
	char serial[64];
};

/*
 * Looks at a chain, PEM, leaf first, and its key: whether they fit, whether the leaf is for exactly
 * these hosts. OK; ERR_INVALID with why.
 */
int acme_leaf_check(struct str chain, EVP_PKEY *key, const struct conf_list *hosts,
                    struct acme_leaf *ret, char *why, size_t why_size);

#endif
