/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two sides of an exchange as tables of functions. The front is the client's: a request on an
 * HTTP/1.1 connection, a stream of an HTTP/2 connection, or a TCP connection. The back is the
 * server's: an HTTP/1.1 connection of its own for each request, or a stream of a shared HTTP/2
 * connection. Between them a request head is HTTP/1.1 text (x->head, kept for repetition) and a
 * response head a parsed one (struct http_head): whatever came by HTTP/2 went through the strict
 * HTTP/1.1 parser before anything is done with it.
 *
 * Bodies between front and back are as they lie on the wire where both are `framed` (HTTP/1.1:
 * chunks stay chunks), and bare payload otherwise; request.c and response.c convert.
 */
#ifndef PROXY_FRONT_H
#define PROXY_FRONT_H

#include "base/str.h"
#include "http/http.h"

struct exchange;

struct front_ops {
	const char *name; /* as the access log says it: "HTTP/1.1", "HTTP/2", "TCP" */
	bool framed;
	/* The request's body: bytes taken, ERR_AGAIN (an event of the front will call
	 * request_pump), ERR_CLOSED (it ended early), ERR_SYSTEM. Never 0. */
	ssize_t (*read)(struct exchange *x, void *p, size_t size);
	/* Whether read would give something else than ERR_AGAIN. */
	bool (*readable)(const struct exchange *x);
	/* Has request_pump called again in a later turn: for who stops although there is more. */
	void (*rearm)(struct exchange *x);
	/* Bytes that read gave and that do not belong to this request. */
	bool (*unread)(struct exchange *x, struct str data);
	/*
	 * The response: interim heads, the final one with the first bytes of the body, the body,
	 * trailers (framed: within the body). end: it is whole. False when the client is gone: the
	 * exchange is over then, by exchange_cut. thread->out holds nothing across these calls.
	 */
	bool (*head)(struct exchange *x, const struct http_head *h, struct str data, bool end);
	bool (*data)(struct exchange *x, struct str data, bool end);
	bool (*trailers)(struct exchange *x, struct str lines); /* "name: value\r\n"…; ends it */
	/* An answer of our own: a whole HTTP/1.1 message. */
	bool (*page)(struct exchange *x, struct str text);
	/* Whether it takes more of the response now; else its event calls response_pump. */
	bool (*room)(const struct exchange *x);
	/* The exchange is over; keep: in order. The front forgets x. */
	void (*end)(struct exchange *x, bool keep);
	/* The same, and the client must see that what it has is not whole (reset). */
	void (*cut)(struct exchange *x);
	/* Whether the client is known to be gone. */
	bool (*gone)(const struct exchange *x);
};

extern const struct front_ops front_http1; /* client.c */
extern const struct front_ops front_http2;

struct back_ops {
	bool framed;
	/* The head in x->head with the body bytes at hand (x->hold, x->slice): false when the
	 * attempt failed or the exchange is over. */
	bool (*send)(struct exchange *x);
	/* More of the body; end: it is whole. OK, or an error: the server takes no more. */
	int (*data)(struct exchange *x, struct str data, bool end);
	/* Whether it takes more of the body now; else its event calls request_pump. */
	bool (*room)(const struct exchange *x);
	/* Gives the response's parts to response_heads(), response_body(), response_end() for as
	 * long as the front has room. */
	void (*pump)(struct exchange *x);
	/* The attempt is over; keep: the connection may take another request. */
	void (*release)(struct exchange *x, bool keep);
};

extern const struct back_ops back_http1; /* upstream.c */
extern const struct back_ops back_http2;

#endif
