/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A local authority for labs and demos (`tls: internal`), and certificates that nobody has signed
 * for the time until an issuer has answered. Pure: PEM in and out, in the arena. Used by the helper
 * that makes the store.
 */
#ifndef TLS_AUTHORITY_H
#define TLS_AUTHORITY_H

#include "base/arena.h"
#include "tls/store.h"

#define AUTHORITY_CA_LIFE   (3650 * 86400ULL) /* s */
#define AUTHORITY_LEAF_LIFE (90 * 86400ULL)
#define AUTHORITY_MAX_NAMES 200 /* of a leaf: it travels in every full handshake */

/* A key (P-256) and a certificate of an authority, called "Holdfast internal authority NAME". now:
 * Unix time, s. OK or ERR_NOMEM. */
int authority_make(struct arena *a, const char *name, uint64_t now, struct str *ret_cert,
                   struct str *ret_key);
/*
 * A key (P-256) and a certificate for these names: host names, "*.x" and IP addresses. Signed by
 * that authority; by itself where ca_cert.s is NULL. OK, ERR_SYNTAX (the authority's files are
 * broken), ERR_REFUSED (its key is another one's), ERR_NOMEM.
 */
int authority_issue(struct arena *a, struct str ca_cert, struct str ca_key, const struct str *names,
                    uint32_t n, uint64_t now, uint64_t life, struct str *ret_cert,
                    struct str *ret_key);
/* Whether a leaf has to be made anew: other names, two thirds of its life are over, or another
 * authority has signed it (ca_cert.s NULL: none has to). */
bool authority_is_due(const struct store_cert *leaf, struct str ca_cert, const struct str *names,
                      uint32_t n, uint64_t now);

#endif
