/* SPDX-License-Identifier: Apache-2.0 */
/* What the role keeps in the state folder (tls/acme_dir.h says where). */
#ifndef ACME_FILES_H
#define ACME_FILES_H

#include <openssl/types.h>

#include "acme/key.h"
#include "acme/order.h"

#define FILES_PATH 1024

/* Makes the folders of challenges, empty, and that of an issuer. OK; ERR_SYSTEM with why. */
int acme_files_prepare(const char *state_dir, char *why, size_t why_size);
int acme_files_issuer(const char *state_dir, struct str issuer, char *why, size_t why_size);

/* The key of an account; a new one where there is none. NULL with why. */
EVP_PKEY *acme_files_account(const char *state_dir, struct str issuer, char *why, size_t why_size);

/* Looks at the pair in the folder. OK; ERR_NOT_FOUND: none; ERR_INVALID with why. */
int acme_files_live(const char *state_dir, const struct conf_issuer *issuer,
                    const struct conf_list *hosts, struct acme_leaf *ret, char *why,
                    size_t why_size);
/* Puts a pair there in the place of the one that is there. OK; ERR_SYSTEM with why. */
int acme_files_store(const char *state_dir, struct str issuer, struct str host, struct str chain,
                     EVP_PKEY *key, char *why, size_t why_size);

/* Puts the answer of a challenge where the proxies find it; OK or ERR_SYSTEM with why. */
int acme_files_present(const char *state_dir, const struct conf_issuer *issuer,
                       const struct order_auth *a, char *why, size_t why_size);
void acme_files_clean(const char *state_dir, const struct conf_issuer *issuer,
                      const struct order_auth *a);

#endif
