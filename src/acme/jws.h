/* SPDX-License-Identifier: Apache-2.0 */
/* Signed requests of ACME: JSON Web Signatures by a key on P-256 (ES256), and base64url. */
#ifndef ACME_JWS_H
#define ACME_JWS_H

#include <openssl/types.h>

#include "base/buf.h"

#define ACME_THUMBPRINT 44 /* characters of a SHA-256 as base64url, and NUL */

/* Without padding (RFC 7515 section 2). */
void acme_b64url(struct buf *out, const void *data, size_t len);
/* Padding may be there; both alphabets are taken. OK, ERR_INVALID, ERR_TOO_LARGE. */
int acme_b64_decode(struct str text, uint8_t *out, size_t size, size_t *ret_len);

/* The public key as RFC 7638 wants it: members in order, no blanks. OK or ERR_INVALID (not P-256).
 */
int acme_jwk(EVP_PKEY *key, struct buf *out);
/* RFC 7638. OK or ERR_INVALID. */
int acme_thumbprint(EVP_PKEY *key, char out[ACME_THUMBPRINT]);
/* The base64url of a text's SHA-256: what a TXT record holds (RFC 8555 section 8.4). */
void acme_digest(struct str text, char out[ACME_THUMBPRINT]);

struct acme_jws {
	struct str url;
	struct str nonce;   /* "": none */
	struct str kid;     /* the account's URL; "": the public key itself stands there */
	struct str payload; /* "": POST-as-GET */
};

/* The body of a request (RFC 8555 section 6.2). OK, ERR_INVALID, ERR_NOMEM. */
int acme_jws(EVP_PKEY *key, const struct acme_jws *j, struct buf *out);
/* The external account binding of a key (RFC 8555 section 7.3.4): HS256 by the key that the
 * authority gave, base64url. OK, ERR_INVALID (that is none), ERR_NOMEM. */
int acme_eab(EVP_PKEY *key, struct str kid, struct str mac_key, struct str url, struct buf *out);

#endif
