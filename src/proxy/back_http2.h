/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 to servers (RFC 9113, by nghttp2): connections of a thread that many exchanges share, and
 * their streams. A connection takes requests once the server's SETTINGS are there, so that one that
 * does not speak HTTP/2 is found out before anything was sent to it; requests wait with the server
 * until then. One new connection at a time is made for so many of them as it will probably take.
 * Proxy role, one worker thread each.
 *
 * What nghttp2 calls back adds to streams and puts them on their connection's list `due`; exchanges
 * hear of it when nghttp2 has returned. Frames are written at the end of the loop's turn, those of
 * a connection together.
 */
#ifndef PROXY_BACK_HTTP2_H
#define PROXY_BACK_HTTP2_H

#include <nghttp2/nghttp2.h>

#include "http/h2_text.h"
#include "proxy/exchange.h"

#define UP_MAGIC        0x2b0c4e91u
#define UP_CONNECTIONS  64             /* of one thread to one server at a time */
#define UP_STREAMS      256            /* of a connection at a time, whatever the server allows */
#define UP_STREAMS_WANT 100            /* what a server is taken to allow until it has said it */
#define UP_WINDOW       (64 * 1024)    /* of a response that the client has not taken */
#define UP_CONN_WINDOW  (16 << 20)     /* given back at once: clients never wait for each other */
#define UP_HEAD         (64 * 1024)    /* bytes of a response's head, or of its trailers */
#define UP_INTERIM      32             /* interim responses to a request */
#define UP_NOISE        1000           /* frames within a second that carry nothing */
#define UP_DIRECT       2048           /* bytes of data that are worth passing on without a copy */
#define UP_OUT          (128 * 1024)   /* written at once */
#define UP_FRAME        (16384 + 9)    /* the longest that is written */
#define UP_PING_WAIT    (2 * NS_PER_S) /* for a sign of life after a request has timed out */

enum up_state {
	UP_CONNECTING,
	UP_HANDSHAKE, /* of TLS */
	UP_PREFACE,   /* the server's SETTINGS are awaited */
	UP_OPEN,
	UP_CLOSED,
};

struct up_conn {
	uint32_t magic;
	uint8_t state; /* enum up_state */
	bool going;    /* takes no more requests */
	bool opened;   /* it was UP_OPEN, and server->nopening knows */
	bool used;     /* it carried one */
	bool proved;   /* it answered one */
	bool suspect;  /* a request has timed out, a PING is not answered yet */
	bool pending;  /* on up_thread's list */
	bool in_block; /* part of a header block has come, its text lies in `saved` */
	struct stream s;
	TAILQ_ENTRY(up_conn) link; /* server's, those with room first */
	union {
		TAILQ_ENTRY(up_conn) flush; /* up_thread's pending */
		STAILQ_ENTRY(up_conn) dead;
	};
	struct loop_timer timer;
	struct thread *thread;
	struct server *server;
	nghttp2_session *session;
	struct up_stream_list streams; /* opened with nghttp2, or about to be */
	unsigned nstreams;
	struct up_stream_list due; /* something has happened to them */
	uint64_t keep_alive;       /* ns, of the last exchange */
	uint64_t noise_since;
	unsigned noise;
	enum fail_why why;                 /* it is to end for that */
	struct h2_text text;               /* of the header block that is coming */
	char accept[WEBSOCKET_ACCEPT_LEN]; /* its stream's */
	char *saved;
	char *host; /* tls_back_host of its requests; NULL: none */
};

struct up_stream {
	TAILQ_ENTRY(up_stream) link; /* conn's streams, or server's waiting */
	union {
		TAILQ_ENTRY(up_stream) due;
		STAILQ_ENTRY(up_stream) dead;
	};
	struct thread *thread;
	struct exchange *x;   /* NULL: it is over for the exchange */
	struct up_conn *conn; /* NULL: waits for one, or it is gone */
	int32_t id;           /* 0: not submitted */
	uint32_t error;       /* it was closed with */
	uint32_t round;       /* of waiting; server->up_round */
	bool is_due;
	bool waiting;
	bool end;       /* the request is whole with `out` */
	bool trailers;  /* and x->trailers */
	bool deferred;  /* nghttp2 waits to be told that there is more in `out` */
	bool sent;      /* the request's head has left */
	bool sent_all;  /* and END_STREAM */
	bool final;     /* the final response's head came */
	bool whole;     /* END_STREAM came: the response is whole with `in` and `lines` */
	bool closed;    /* nghttp2 has closed it */
	bool malformed; /* the response is; the stream was reset */
	bool sized;     /* the length of the response's content is known */
	uint8_t interim;
	bool tunnel; /* an extended CONNECT was granted: nothing but DATA comes now */
	char accept[WEBSOCKET_ACCEPT_LEN + 1]; /* what answers the key of one; "": it is none */
	uint64_t left;     /* with `sized`: bytes of content that are yet to come */
	uint32_t owed;     /* bytes of `in` for which the window was not given back */
	struct flow out;   /* the request's body */
	struct flow in;    /* heads and payload for the exchange */
	struct flow lines; /* trailers */
};

/* What the connections of a thread share; made with the first of them. */
struct up_thread {
	struct thread *thread;
	struct loop_task task;
	bool receiving; /* `in` is being parsed */
	unsigned npending;
	TAILQ_HEAD(, up_conn) pending; /* have something to write, or to settle */
	STAILQ_HEAD(, up_conn) dead_conns;
	STAILQ_HEAD(, up_stream) dead_streams;
	struct slab conn_slab, stream_slab;
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	struct http_head head;
	nghttp2_nv nva[H2_TEXT_NV];
	size_t out_len;
	char out[UP_OUT];
	char in[THREAD_SCRATCH];
	char text[H2_TEXT_ROOM(UP_HEAD)];
};

/* back_http2_io.c. The thread's; NULL when out of memory. */
struct up_thread *up_thread_get(struct thread *t);
/* Frees, after the turn, what ended in it. */
void up_thread_reap(struct up_thread *up);
/* Has its frames written, and what happened settled, at the end of the turn. */
void up_conn_pend(struct up_conn *c);
/* Takes what has come. The connection may be over. */
void up_conn_read(struct up_conn *c);

/* back_http2_conn.c: the life of connections */
/* A connection of x's server that takes one more request now; NULL. */
struct up_conn *up_conn_find(struct exchange *x);
/* x waits: a new connection where that is worth it. OK; other: nothing to wait for, *why. */
int up_conn_more(struct exchange *x, enum fail_why *why);
/* After nghttp2 was at work: exchanges hear of it, waiting ones get their turn, and a connection
 * that nobody needs ends. */
void up_conn_settle(struct up_conn *c);
/* The connection is over: its exchanges hear why, unless they have all they need. */
void up_conn_lost(struct up_conn *c, enum fail_why why);
/* Nobody needs it any more: a farewell (RFC 9113, 6.8), and it ends. */
void up_conn_part(struct up_conn *c);
/* A request on it has timed out: it takes no others until it has given a sign of life. */
void up_conn_suspect(struct up_conn *c);
/* Gives connections to those who wait for this server. */
void up_serve(struct server *s);

/* back_http2_server.c: servers that are ordered out, found dead, or no longer needed. */
void up_server_cut(struct server *s);
void up_server_move(struct server *s);
/* No more requests on the present connections; the idle ones end now. */
void up_server_close_idle(struct server *s);
/* Closes idle connections, at most n; how many. */
unsigned up_server_evict(struct server *s, unsigned n);

/* back_http2_session.c: nghttp2's side. OK or ERR_NOMEM. */
int up_session_options(struct up_thread *up);
int up_session_new(struct up_thread *up, struct up_conn *c);
/* The source of a request's body. */
ssize_t up_session_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t size,
                        uint32_t *flags, nghttp2_data_source *source, void *arg);

/* back_http2.c */
void up_stream_due(struct up_stream *st);
/* Something has happened to a stream: its exchange goes on. */
void up_stream_event(struct up_stream *st);
/* Its connection, which has let go of it, is gone. */
void up_stream_lost(struct up_stream *st, enum fail_why why);
/* It goes on a connection that has room. */
void up_stream_take(struct up_stream *st, struct up_conn *c);
/* More of what goes to the server, or its end. OK, or ERR_SYSTEM with errno. */
int up_stream_data(struct up_stream *st, struct str data, bool end);

/* back_http2_tunnel.c: WebSockets (RFC 8441) */
/* Makes the request's head the one of an extended CONNECT. OK or ERR_UNSUPPORTED: the server does
 * not offer it. */
int up_tunnel_ask(struct up_stream *st, struct http_head *h);
/* Something has happened to the stream of a tunnel; its connection may be gone. */
void up_tunnel_event(struct up_stream *st);
/* struct back_ops */
ssize_t up_tunnel_read(struct exchange *x, void *p, size_t size);
bool up_tunnel_readable(const struct exchange *x);
void up_tunnel_rearm(struct exchange *x);
void up_tunnel_shut(struct exchange *x);
bool up_tunnel_over(const struct exchange *x);

#endif
