/* SPDX-License-Identifier: Apache-2.0 */
/* The key schedule of TLS 1.3 in the place of OpenSSL's. */
#ifndef TLS_SCHEDULE_H
#define TLS_SCHEDULE_H

/*
 * The property query for SSL_CTX_new_ex() that prefers our key schedule and leaves all else to
 * OpenSSL; a query of the system's configuration that is not fulfilled by ours, such as fips=yes,
 * comes first. Any thread.
 */
const char *tls_schedule(void);

#endif
