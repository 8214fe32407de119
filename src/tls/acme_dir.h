/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folder of ACME in a node's state folder: what the role acme writes there and who makes the
 * store (core/certs.c) reads. The parent makes STATE/acme, 0700, owned by the roles' user; all that
 * is in it the role makes.
 *
 *   acme/status.json                       what became of each order; also for `holdfast status`
 *   acme/ISSUER/account.key                key of the account, PEM
 *   acme/ISSUER/live/NAME/fullchain.pem    leaf first
 *   acme/ISSUER/live/NAME/privkey.pem      of that leaf
 *   acme/challenges/http-01/TOKEN          the answer, without a newline
 *   acme/challenges/tls-alpn-01/HOST.pem   certificate, then key
 *
 * NAME is the first host of the certificate; of a wildcard "*.shop.test" it is "_.shop.test". A new
 * pair takes the place of the old one as a whole: live/NAME is exchanged with a folder beside it
 * (renameat2), so that at any moment there is a pair that fits. A reader that opens one file before
 * and one after finds that they do not fit, and looks again. After each change the role sends
 * IPC_ISSUED; challenges count once the parent has answered that.
 */
#ifndef TLS_ACME_DIR_H
#define TLS_ACME_DIR_H

#include "base/str.h"

#define ACME_DIR             "acme"
#define ACME_DIR_STATUS      "acme/status.json"
#define ACME_DIR_HTTP_01     "acme/challenges/http-01"
#define ACME_DIR_TLS_ALPN_01 "acme/challenges/tls-alpn-01"
#define ACME_MAX_HOSTS       100 /* of one certificate, as the authorities have it */
#define ACME_MAX_TOKEN       128 /* characters of a challenge's token */
#define ACME_MAX_ANSWER      256 /* of a key authorization */

/* "STATE/acme/ISSUER/live/NAME" of the certificate whose first host that is. Returns out; "" where
 * it does not fit. */
const char *acme_dir_live(const char *state_dir, struct str issuer, struct str host, char *out,
                          size_t size);

#endif
