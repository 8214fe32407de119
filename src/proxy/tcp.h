/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TCP connections: exchanges without a request, which become tunnels as soon as a server is
 * connected. Servers are chosen, tried and counted as for requests (attempt.c, queue.c).
 */
#ifndef PROXY_TCP_H
#define PROXY_TCP_H

#include "proxy/client.h"

/* Takes on a connection; host: that its ClientHello names, may be empty. What was read of it lies
 * in c->in. */
void tcp_start(struct client *c, struct str host);
/* A server is connected: the tunnel begins. */
void tcp_connected(struct exchange *x);

#endif
