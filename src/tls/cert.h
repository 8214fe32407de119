/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking at what files of certificates hold: parsed, checked and put into the form of the store.
 * Pure: bytes in, facts and reasons out, the time as an argument. Used by the helper that makes the
 * store and by the loader; neither holds anything of a client's.
 */
#ifndef TLS_CERT_H
#define TLS_CERT_H

#include "base/arena.h"
#include "tls/store.h"

/*
 * A chain, PEM or DER, with its private key, PEM or DER; key.s NULL: it is in the chain's file
 * (PEM). Fills in ec, names, chain, key, kind, not_before, not_after and fingerprint, in the arena.
 * The leaf is the certificate that the key fits; the others follow in the order in which they have
 * signed.
 *
 * OK; ERR_SYNTAX: no certificate or no key can be read (cut short, encrypted, not one at all);
 * ERR_REFUSED: the key is another certificate's; ERR_DENIED: too weak to be shown to anybody;
 * ERR_TOO_LARGE; ERR_NOMEM. why tells people. note: what is odd and served all the same; "" or
 * text.
 * A key that `former` (may be NULL) has with the same leaf is not tried out once more.
 */
int cert_parse(struct arena *a, struct str chain, struct str key, const struct store_cert *former,
               struct store_cert *ret, char *why, size_t why_size, char *note, size_t note_size);
/* Whether it is for a host name, by exact name or by one wildcard label (RFC 6125 6.4.3). */
bool cert_is_for(const struct store_cert *c, struct str host);

/* Whether an OCSP answer (DER) is for that certificate and in its time: OK, or ERR_SYNTAX,
 * ERR_REFUSED (another's, revoked, or not signed), ERR_TIMEOUT (outdated) with why. now: Unix time.
 * *ret_until: when it is outdated; 0: never. */
int cert_ocsp(struct str der, const struct store_cert *c, uint64_t now, uint64_t *ret_until,
              char *why, size_t why_size);

/* How many certificates, or lists of revoked ones, a PEM file holds: OK and their number, or
 * ERR_SYNTAX with why. *ret_until: the earliest end of any (Unix time). */
int cert_authorities(struct str pem, unsigned *ret_n, uint64_t *ret_until, char *why,
                     size_t why_size);
int cert_revocations(struct str pem, unsigned *ret_n, uint64_t *ret_until, char *why,
                     size_t why_size);

/* Keys of tickets out of a file: raw, 80 bytes each, or lines of base64. OK or ERR_SYNTAX. */
int cert_ticket_keys(struct str bytes, uint8_t keys[STORE_TICKET_KEYS][STORE_TICKET_KEY],
                     uint32_t *ret_n, char *why, size_t why_size);

#endif
