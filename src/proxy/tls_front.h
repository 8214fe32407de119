/* SPDX-License-Identifier: Apache-2.0 */
/* TLS towards clients: the handshake of a connection, and what it tells of the client. */
#ifndef PROXY_TLS_FRONT_H
#define PROXY_TLS_FRONT_H

#include "proxy/client.h"

/* Bytes came, or the state was entered: goes on with the handshake. OK: done, and counted;
 * ERR_AGAIN; else the connection is to be closed, and the reason has been told. */
int tls_front_handshake(struct client *c);
/* The handshake's time is over. */
void tls_front_timeout(struct client *c);

/* Whether a request for that host may come by this connection: not where another rule for clients'
 * certificates holds there than the one that the connection was made under (RFC 9110, 15.5.20). */
bool tls_front_serves(const struct client *c, struct str host);

#endif
