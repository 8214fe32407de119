/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An exchange: one request and its response. It is taken on by client.c, finds its route and pool
 * (take_on.c), goes through one or more attempts on servers (attempt.c, queue.c), forwards the
 * request's body and the response (request.c, response.c) or becomes a tunnel (tunnel.c), and ends
 * in exchange_end(), the one place that counts, logs and lets go.
 */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "proxy/client.h"
#include "proxy/front.h"
#include "proxy/grpc.h"
#include "proxy/listener.h"
#include "proxy/upstream.h"

#define EXCHANGE_MAGIC 0xe8c4a63eu
#define EXCHANGE_TRIED 8    /* servers remembered as tried */
#define EXCHANGE_HEAD  1536 /* bytes of a request head kept without an allocation of its own */
#define EXCHANGE_HOLD  (64 * 1024) /* most bytes of a body kept for another attempt */

enum exchange_state {
	X_NEW,
	X_QUEUED, /* all servers are full: waits in pool_shared.waiting */
	X_CONNECTING,
	X_SENT,     /* the head is on its way; no byte of the response yet */
	X_RESPONSE, /* the response's head was passed on */
	X_FLUSH,    /* response complete; the client has not taken all of it */
	X_TUNNEL,
	X_ENDED,
};

struct exchange {
	uint32_t magic;
	uint8_t state;       /* enum exchange_state */
	uint8_t method;      /* enum http_method */
	uint8_t minor;       /* the client's HTTP/1.minor */
	bool client_close;   /* the request said that it is the last */
	bool upgrade;        /* it asked for one */
	bool expect;         /* it waits for 100 Continue */
	bool repeatable;     /* idempotent and without body: may be sent again */
	bool sent;           /* bytes of it went to a server in this attempt */
	bool got;            /* bytes of a response came in this attempt */
	bool fresh;          /* the next attempt makes a connection of its own */
	bool trusted;        /* the client is in `trust` */
	bool request_done;   /* its body is through; of a tunnel: the client's direction */
	bool response_done;  /* tunnels with a stream: the server's direction is through */
	bool response_close; /* the response ends the client's connection */
	bool dechunk;        /* chunks of the response are unpacked for its client */
	bool upstream_close; /* the server ends its connection after this response */
	bool upload_dead;    /* the server takes no more of the body */
	bool placed;         /* holds a place at `server` */
	bool reused;         /* the attempt is on a connection that was used before */
	bool enchunk;        /* the response's payload gets chunks for its client */
	bool holds;          /* `hold` has all of the body that was sent, for another attempt */
	bool grpc;           /* the request's Content-Type is gRPC's */
	bool sensitive;  /* a field of the request came as never to be indexed (RFC 7541, 6.2.3) */
	bool rsensitive; /* the same of the response */
	uint8_t unprocessed; /* attempts that the server said it did nothing of */
	bool raw;            /* a TCP connection: no request; ends before head_space */
	const struct front_ops *front;
	const struct back_ops *back; /* of the pool's servers */
	struct client *client;
	struct thread *thread;
	struct view *view;
	struct listener *listener;
	const struct conf_listener *lconf;
	const struct conf_route *route; /* NULL: none found */
	struct pool *pool;
	struct server *server;       /* of the present attempt */
	struct http2_stream *stream; /* the client's, by HTTP/2; else NULL */
	struct upstream *up;         /* HTTP/1.1: the connection; NULL between attempts */
	struct up_stream *up2;       /* HTTP/2: the stream; NULL between attempts */
	struct loop_timer timer;
	TAILQ_ENTRY(exchange) link; /* thread's exchanges, the oldest first */
	union {
		TAILQ_ENTRY(exchange) waiting;
		STAILQ_ENTRY(exchange) dead;
	};
	uint64_t started; /* loop time */
	uint64_t head_at; /* of the response's head; 0: not yet */
	uint64_t queue_since;
	uint64_t bytes_in, bytes_out;
	uint64_t hash;       /* of the source or a header, for the balancing that wants it */
	uint64_t body_limit; /* of the request; 0: none */

	enum http_body body; /* framing of the request's body and what is left of it */
	uint64_t body_left;
	struct http_chunked chunked;
	struct http_chunked unpack; /* where chunks are unpacked for the server */
	struct str slice;      /* body bytes that lie in the scratch, only during the take-on */
	struct flow hold;      /* body bytes that wait for a connection */
	struct flow trailers;  /* "name: value\r\n" lines: by the front where that is not framed,
	                        * else  by unpacking */
	struct pipe *pipes[2]; /* tunnels: to the server, to the client; NULL: by plain reads */
	uint64_t counted_in, counted_out; /* of bytes_in and bytes_out, while it goes on */
	uint64_t counted_at;

	enum http_body rbody; /* the same of the response */
	uint64_t rbody_left;
	struct http_chunked rchunked;
	struct flow rtrailers; /* by unpacking */
	struct flow rin;       /* part of a response head */
	size_t rscanned;
	unsigned interim;
	unsigned status; /* sent to the client; 0: none */

	unsigned attempts;
	unsigned ntried;
	struct server *tried[EXCHANGE_TRIED];
	uint8_t last_fail;   /* enum fail_why */
	uint32_t reset_code; /* with FAIL_STREAM: the error code of the server's RST_STREAM */
	const char *bad;     /* with FAIL_BAD_RESPONSE: what is wrong with it; NULL: not said */
	char *reason;        /* of an error answer or an abort, for the log; malloc'ed */

	char *head; /* request head for the server; head_space or malloc'ed */
	uint32_t head_len;
	struct str method_text, target, host, accept, agent, referer, id; /* in head or extra */
	char *extra; /* copies that do not stand in head, malloc'ed */
	char head_space[EXCHANGE_HEAD];
};

/* A new one for a client, X_NEW; NULL when out of memory. raw: without a request. */
struct exchange *exchange_new(struct client *c, bool raw);
/* Takes on the request in thread->request, whose head lies in the thread's scratch; rest: the bytes
 * after it. Returns how many of rest belong to this request. The exchange may be over already. */
size_t exchange_start(struct client *c, const struct http_head *h, struct str rest);
/* The same for a request that came on a stream of an HTTP/2 connection. */
void exchange_start_stream(struct http2_stream *st, const struct http_head *h);
/* Answers one that was refused. */
void exchange_refuse_stream(struct http2_stream *st, unsigned status, const char *why);
/* Answers a request that could not be parsed, and ends the connection. */
void exchange_refuse(struct client *c, enum http_fault fault);

/* Events of the client's connection and of the server's, both HTTP/1.1. */
void front_http1_event(struct exchange *x);
void back_http1_event(struct upstream *u);

/* Answers with an error of our own and ends, or cuts, when the response has begun. */
void exchange_fail(struct exchange *x, unsigned status, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Answers with that, and ends. fields: lines of the head, each with its CRLF. */
void exchange_answer(struct exchange *x, unsigned status, const char *fields, struct str body);
/* What gRPC's clients are told where others get this status; enum grpc_status. */
enum grpc_status exchange_grpc_status(const struct exchange *x, unsigned status);
/* The client is gone, or the response cannot be completed: both connections end. */
void exchange_cut(struct exchange *x, const char *why);
/* It must leave its server: another one where that is allowed, else the end. */
void exchange_evict(struct exchange *x, const char *why);
/* For how long it has been without a byte, as far as its timer tells; ns. */
uint64_t exchange_idle(const struct exchange *x);
/* Counts what passed since the last time: of what lasts, not only at its end. */
void exchange_count(struct exchange *x);
/* The one place where an exchange ends. keep: the client may send the next request. */
void exchange_end(struct exchange *x, bool keep);
/* x->timer's function: what was waited for did not come in time. */
void exchange_timer(struct loop_timer *timer);
/* Arms the timer for what is waited for now. */
void exchange_arm(struct exchange *x);
/* Timeouts: the route's, else the pool's, else the listener's. */
#define EXCHANGE_TIMEOUT(x, name) exchange_timeout((x), offsetof(struct conf_timeouts, name))
uint64_t exchange_timeout(const struct exchange *x, size_t offset);

/* attempt.c: choosing a server and reaching it */
void attempt_start(struct exchange *x);
/* The server can be sent to now. */
void attempt_ready(struct exchange *x);
/* The present attempt came to nothing: another one where that is allowed, else an error answer. */
void attempt_failed(struct exchange *x, enum fail_why why);
/* The server has said that it did nothing of the request: it may be sent again, whatever it is. */
void attempt_unprocessed(struct exchange *x, enum fail_why why);
/* The server that x waits for was found dead: x goes on to another where it may be sent again, and
 * waits on otherwise. No retry in the sense of the budget: it happens once for each dead server. */
void attempt_move(struct exchange *x);
/* Lets the server's place go and, with keep, the connection back to the kept ones. */
void attempt_release(struct exchange *x, bool keep);
/* Live traffic's verdict for check. */
void attempt_succeeded(struct exchange *x);

/* queue.c */
void queue_join(struct exchange *x);
void queue_leave(struct exchange *x);
/* A place at a server of this pool came free on this thread. */
void queue_next(struct thread *t, uint32_t pool_slot);
/* Tries all queues of the thread again. */
void queue_all(struct thread *t);
void queue_task(struct loop_task *task);

/* request.c: the request's body; false when the exchange is over */
bool request_send(struct exchange *x);
bool request_pump(struct exchange *x);
/* Bytes of data that belong to the body, checked; -fault. */
ssize_t request_scan(struct exchange *x, struct str data);

/* response.c: for backs. The response's bytes until its final head is there, with what of the body
 * follows it; from a back that is not framed whole heads and payload, end: the response is whole.
 */
void response_heads(struct exchange *x, struct str data, bool end);
/* The body: as it lies on the wire from a framed back, else its payload; end: the last of it. */
void response_body(struct exchange *x, struct str data, bool end);
/* Trailers from a back that is not framed, "name: value\r\n" lines: the response is whole. */
void response_trailers(struct exchange *x, struct str lines);
/* The server's side ended before the response was known to be whole; err as of stream_recv. */
void response_end(struct exchange *x, ssize_t err);
void response_failed(struct exchange *x, enum fail_why why);
/* Takes what the server has sent, where the client has room. */
void response_pump(struct exchange *x);

/* tunnel_stream.c: the same where a side is a stream of an HTTP/2 connection; called by tunnel.c */
void tunnel_stream_start(struct exchange *x, struct str early);
void tunnel_stream_pump(struct exchange *x);
/* Whether one side has ended its direction. */
bool tunnel_stream_is_half(const struct exchange *x);

/* tunnel.c */
void tunnel_start(struct exchange *x, struct str early);
void tunnel_pump(struct exchange *x);
/* How long it may be idle now. */
uint64_t tunnel_timeout(const struct exchange *x);
/* Gives back what it holds, at the exchange's end. */
void tunnel_free(struct exchange *x);

/* head.c: building heads. Bytes written, or 0 when out does not hold them. */
#define HEAD_ROOM_BODY 4096 /* of thread->out, behind a response's head */
size_t head_request(struct exchange *x, const struct http_head *h, char *out, size_t size);
/* Gives a request whose head could not be parsed its id. */
void head_id(struct exchange *x);
size_t head_response(struct exchange *x, const struct http_head *h, char *out, size_t size);

#endif
