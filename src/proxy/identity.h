/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What servers are told of a client's certificate: header fields X-Client-Verify, -Subject,
 * -Issuer, -Serial, -Fingerprint and -San. Made once for each connection.
 */
#ifndef PROXY_IDENTITY_H
#define PROXY_IDENTITY_H

#include <openssl/types.h>

#include "base/str.h"

/* The fields' lines, malloc'ed; NULL in *ret where no certificate was asked for. OK, ERR_NOMEM. */
int identity_make(SSL *ssl, char **ret);
/* Whether a field's name is one of these, however it is spelled: gateways take "_" or "." for "-".
 */
bool identity_is_field(struct str name);

#endif
