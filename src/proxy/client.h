/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A client connection: reads request heads, hands each to an exchange, keeps the connection for the
 * next. While idle it holds no buffer.
 */
#ifndef PROXY_CLIENT_H
#define PROXY_CLIENT_H

#include "net/stream.h"
#include "proxy/thread.h"

#define CLIENT_MAGIC 0xc11e47a1u

struct listener;
struct exchange;
struct http2;

enum client_state {
	CLIENT_FRESH,     /* accepted, no byte yet */
	CLIENT_IDLE,      /* between requests */
	CLIENT_HEAD,      /* part of a head is there */
	CLIENT_BUSY,      /* an exchange is on it */
	CLIENT_LINGER,    /* answered for the last time: reads the rest away */
	CLIENT_OPENING,   /* a PROXY header or a ClientHello is to come first (opening.c) */
	CLIENT_HANDSHAKE, /* of TLS (tls_front.c) */
};

struct client {
	uint32_t magic;
	uint8_t state;           /* enum client_state; changed by client_state() only */
	bool reading;            /* client_read is on the stack */
	bool last;               /* no request after this one */
	bool partial;            /* `in` holds a head that is not whole */
	bool served;             /* an exchange was on it */
	bool opening_header;     /* CLIENT_OPENING: the PROXY header; else the ClientHello */
	struct proxied *proxied; /* what a PROXY header said; NULL: none came */
	struct stream s;
	TAILQ_ENTRY(client) link; /* thread's clients or idle */
	STAILQ_ENTRY(client) dead;
	struct loop_timer timer;
	struct thread *thread;
	struct listener *listener;
	struct exchange *x;
	struct http2 *http2; /* the session; NULL: HTTP/1.1 */
	struct flow in;      /* bytes of the next request */
	char *identity; /* what servers are told of its certificate; NULL: none was asked for */
	size_t scanned;
	union {
		struct sockaddr sa;
		struct sockaddr_in in4;
		struct sockaddr_in6 in6;
	} peer;
};

/* Takes over an accepted socket. */
void client_accept(struct listener *l, int fd, const struct net_addr *peer);
/* What opens the connection is through: TLS begins, or the protocol; what has been read of it lies
 * in c->in. */
void client_begin(struct client *c);
void client_peer(const struct client *c, struct net_addr *ret);
/* From now on the client is said to be there. */
void client_set_peer(struct client *c, const struct net_addr *peer);
/* Waits for what opens the connection. */
void client_opening(struct client *c);
/* An exchange is on it from now on. */
void client_busy(struct client *c);
/* HTTP/2: part of a header block is there, without its end; no stream has an exchange. */
void client_head(struct client *c);
void client_idle(struct client *c);
/* The exchange is over: keep: the connection may take the next request. */
void client_done(struct client *c, bool keep);
/* Ends the connection now; unread bytes reset it. */
void client_close(struct client *c, bool reset);
/* Our direction is ended, the rest of what comes is read away for a bounded time, so that the
 * answer is not lost to a reset (RFC 9112, 9.6). */
void client_linger(struct client *c);
/* Closes up to n of the longest idle connections of the thread to make room; how many it closed. */
unsigned client_evict(struct thread *t, unsigned n);

#endif
