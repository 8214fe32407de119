/* SPDX-License-Identifier: Apache-2.0 */
/* TLS towards servers: the handshake of a connection to one. */
#ifndef PROXY_TLS_BACK_H
#define PROXY_TLS_BACK_H

#include "proxy/exchange.h"

#define TLS_BACK_NO_HTTP2 "the server does not agree to HTTP/2 (ALPN h2)"

/* Begins TLS, by x's pool, on a connection to x's server that has just been made. OK or an error;
 * tls_back_handshake() goes on with it. */
int tls_back_start(struct exchange *x, struct stream *s);
/* Goes on with the handshake on each event. OK: done; ERR_AGAIN; else it failed: why is kept in
 * server->tls_why, and told to the log. */
int tls_back_handshake(struct server *server, struct stream *s);

/* The handshake failed, or what it agreed on will not do: kept and told as above. */
void tls_back_failed(struct server *server, const char *why);
/* The host of x's request where that is who the server has to be: connections are shared only by
 * requests that agree on it. Empty: the configuration tells. */
struct str tls_back_host(const struct exchange *x);

#endif
