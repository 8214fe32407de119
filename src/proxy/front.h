/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two sides of an exchange as tables of functions. The front is the client's: a request on an
 * HTTP/1.1 connection, a stream of an HTTP/2 connection, or a TCP connection. The back is the
 * server's: an HTTP/1.1 connection of its own for each request, or a stream of a shared HTTP/2
 * connection. Between them a request head is HTTP/1.1 text (x->head, kept for repetition) and a
 * response head a parsed one (struct http_head): whatever came by HTTP/2 went through the strict
 * HTTP/1.1 parser before anything is done with it.
 *
 * Bodies are as they lie on the wire where a side is `framed` (HTTP/1.1: chunks stay chunks) and
 * bare payload otherwise; request.c and response.c convert where the two sides differ.
 */
#ifndef PROXY_FRONT_H
#define PROXY_FRONT_H

#include "base/str.h"
#include "http/http.h"
#include "stat/fail.h"

struct exchange;

struct front_ops {
	const char *name; /* as the access log says it: "HTTP/1.1", "HTTP/2.0", "TCP" */
	bool framed;
	/* The request's body: bytes; ERR_AGAIN (its event will call request_pump); 0 at the end of
	 * one that is not framed, x->trailers holding its trailers then; ERR_CLOSED, ERR_SYSTEM
	 * where it ended too early. */
	ssize_t (*read)(struct exchange *x, void *p, size_t size);
	/* Whether read may give something else than ERR_AGAIN. */
	bool (*readable)(const struct exchange *x);
	/* Not framed: whether all of it was read, as far as is known without asking again. */
	bool (*whole)(const struct exchange *x);
	/* Has the event come once more in a later turn: for who stops although there is more. */
	void (*rearm)(struct exchange *x);
	/* Bytes that read gave and that do not belong to this request. OK or ERR_NOMEM. */
	int (*unread)(struct exchange *x, struct str data);
	/*
	 * The response: interim heads, the final one with the first bytes of its body, more of the
	 * body, trailers. end: it is whole. They count x->bytes_out. False when the client is gone:
	 * the exchange is over then, by exchange_cut. Room is not theirs to mind: what the client
	 * does not take now they keep. What is given may lie in thread->in or thread->out.
	 */
	bool (*head)(struct exchange *x, const struct http_head *h, struct str data, bool end);
	bool (*data)(struct exchange *x, struct str data, bool end);
	/* Not framed: "name: value\r\n" lines, of which those are left out that may not be
	 * trailers; the response is whole with them. Else NULL. */
	bool (*trailers)(struct exchange *x, struct str lines);
	/* An answer of our own, a whole HTTP/1.1 message. */
	void (*page)(struct exchange *x, struct str text);
	/* How many bytes of the response the client's side wants to be given now; 0: none, an event
	 * will call response_pump. */
	size_t (*room)(const struct exchange *x);
	/* Whether all that was given is with the client's kernel; else an event of the front ends
	 * an exchange in X_FLUSH. */
	bool (*flushed)(const struct exchange *x);
	/* Whether the client is known to be gone. */
	bool (*gone)(const struct exchange *x);
	/* The client has taken nothing for as long as `response` allows: called before cut. May be
	 * NULL. */
	void (*stuck)(struct exchange *x);
	/* What the client has is not whole, and it must see that: called before end. */
	void (*cut)(struct exchange *x);
	/* The exchange is over; keep: the connection may take another. The front forgets x. */
	void (*end)(struct exchange *x, bool keep);
};

extern const struct front_ops front_http1, front_tcp;

struct back_ops {
	bool framed;
	/* Reaches x->server. OK: x->reused is set, send may be called; ERR_AGAIN: attempt_ready or
	 * attempt_failed follows; other: *why. x->fresh: by a new connection. */
	int (*open)(struct exchange *x, enum fail_why *why);
	/* Sends x->head with body bytes at hand, as they are to go out; end: the request is whole
	 * with them. OK; ERR_SYSTEM with errno; ERR_UNSUPPORTED: the server does not offer what
	 * x->upgrade asks for, nothing was sent. */
	int (*send)(struct exchange *x, struct str body, bool end);
	/* More of the body. OK, or an error: the server takes no more. */
	int (*data)(struct exchange *x, struct str data, bool end);
	/* Not framed: "name: value\r\n" lines, of which those are left out that may not be
	 * trailers; the request is whole with them. As data. Else NULL. */
	int (*trailers)(struct exchange *x, struct str lines);
	/* Whether the server has taken all that was given; else an event will call request_pump. */
	bool (*room)(const struct exchange *x);
	/* Gives what came to response_heads(), response_body(), response_end(), for as long as the
	 * front has room and x is in X_SENT or X_RESPONSE. */
	void (*pump)(struct exchange *x);
	/* The attempt is over and x forgotten; keep: the connection may take another request. */
	void (*release)(struct exchange *x, bool keep);
	/*
	 * Tunnels with a stream on a side (tunnel_stream.c), which call data and room as well.
	 * Bytes from the server; ERR_AGAIN (its event will call tunnel_pump); 0 at the end of its
	 * direction; ERR_SYSTEM.
	 */
	ssize_t (*read)(struct exchange *x, void *p, size_t size);
	/* Whether read may give something else than ERR_AGAIN. */
	bool (*readable)(const struct exchange *x);
	/* Has the event come once more in a later turn: for who stops although there is more. */
	void (*rearm)(struct exchange *x);
	/* Nothing more will be sent. Called where there is room; more than once is harmless. */
	void (*shut)(struct exchange *x);
	/* Nothing more goes to the server: that has left, or it wants no more. */
	bool (*over)(const struct exchange *x);
};

extern const struct back_ops back_http1;
extern const struct back_ops back_http2;

#endif
