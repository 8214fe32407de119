/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of cert.h share. */
#ifndef TLS_CERT_IMPL_H
#define TLS_CERT_IMPL_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "tls/cert.h"

#define CERT_MAX_AUTHORITIES 10000 /* certificates of one file */

/* All certificates of a PEM text, or the one that a DER is. OK, ERR_SYNTAX with why, ERR_TOO_LARGE
 * above max, ERR_NOMEM. */
int cert_read_all(struct str bytes, unsigned max, STACK_OF(X509) * *ret, char *why,
                  size_t why_size);
/* A time of ASN.1 as Unix time; 0 where it is none or before 1970. */
uint64_t cert_time(const ASN1_TIME *t);
/* The names that a certificate is for, in the arena. */
int cert_names(struct arena *a, const X509 *x, const struct str **ret, uint32_t *ret_n);

#endif
