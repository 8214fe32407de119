/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes before the protocol of a connection: the PROXY header of a proxy that is expected to
 * send one, and the ClientHello by whose name a TCP listener chooses the pool.
 */
#ifndef PROXY_OPENING_H
#define PROXY_OPENING_H

#include "proxy/client.h"

/* What a PROXY header said beside the client's address, which then is the connection's. */
struct proxied {
	struct net_addr destination;
};

/* A connection was accepted: waits for what comes first, or begins (client_begin). */
void opening_start(struct client *c);
/* The socket of a client in CLIENT_OPENING has something to say; its time is over. */
void opening_event(struct client *c);
void opening_timeout(struct client *c);
/* Ends a connection that did not begin as it must, with the reason in the log. */
void opening_refuse(struct client *c, const char *event, const char *why);
/* The address that the client meant: the PROXY header's, else that of the socket. */
void opening_destination(const struct client *c, struct net_addr *ret);

#endif
