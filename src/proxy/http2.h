/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 towards clients (RFC 9113), by nghttp2. A connection is a session, each stream of it an
 * exchange with a front of its own (front_http2.c): several at a time. What one read brings is
 * taken on as a whole; what a turn of the loop has to say to a client leaves it with one send, from
 * http2_flush(), which runs when the turn's events are through.
 *
 * Bounds: bodies on their way to servers by windows, which open when a server has taken what came;
 * bodies on their way to the client by http2_room(); everything that costs a client nothing by
 * http2_flood.c.
 */
#ifndef PROXY_HTTP2_H
#define PROXY_HTTP2_H

#include <nghttp2/nghttp2.h>

#include "http/h2_text.h"
#include "proxy/client.h"
#include "stat/wire.h"

#define HTTP2_MAGIC        0x48327365u
#define HTTP2_STREAM_MAGIC 0x48327374u

#define HTTP2_PREFACE 24 /* bytes */

#define HTTP2_IN       (64 * 1024)        /* of one read */
#define HTTP2_OUT      (64 * 1024)        /* of one send, and one frame more */
#define HTTP2_FRAME    (16 * 1024)        /* payload of a DATA frame at most */
#define HTTP2_TURN     (256 * 1024)       /* of responses that came in this turn */
#define HTTP2_STREAM   (64 * 1024)        /* of a stream that wait: more makes servers wait */
#define HTTP2_HELD     (256 * 1024)       /* the same of all streams of a connection */
#define HTTP2_HELD_ALL (16 * 1024 * 1024) /* the same of all connections of a thread */
#define HTTP2_FIRST    4096 /* bytes of a response read for its head, where that much waits */
#define HTTP2_MAX_HEAD (64 * 1024)
#define HTTP2_HEAD_ALL (1024 * 1024) /* of fields that are decoded at all */

struct exchange;
struct http2;
struct http2_thread;

struct http2_stream {
	uint32_t magic;
	int32_t id;
	struct http2 *h;
	struct exchange *x; /* NULL: over; what waits goes out yet */
	TAILQ_ENTRY(http2_stream) link;
	TAILQ_ENTRY(http2_stream) work; /* of http2.work */
	bool working;                   /* it is in there */
	bool closed;                    /* for nghttp2 it is over */
	bool gone;                      /* the client has reset it */
	bool malformed;                 /* answered by RST_STREAM instead of a page */
	bool cut;                       /* the response is not to be completed */
	bool reset;                     /* we have reset it */
	bool sent;                      /* its END_STREAM is on its way */
	bool in_end;                    /* END_STREAM came */
	bool sized;                     /* the request has a Content-Length */
	bool begun;                     /* nghttp2 has the response's head */
	bool out_end;                   /* the response is whole here */
	bool deferred;                  /* nghttp2 waits for nghttp2_session_resume_data */
	bool starved;                   /* its server waits for room */
	bool sensitive;                 /* a field of the head came as never to be indexed */
	bool websocket;                 /* extended CONNECT (RFC 8441) */
	uint32_t error;                 /* for RST_STREAM */
	uint64_t in_left;               /* of the Content-Length */
	struct flow in;                 /* request body that no server has taken */
	struct flow out;                /* response body, first … */
	uint32_t turn_at, turn_len;     /* … and behind it what lies in http2_thread.turn */
	struct flow trailers;           /* of the response */
	char key[WEBSOCKET_KEY_LEN];    /* the Sec-WebSocket-Key of ours */
};
TAILQ_HEAD(http2_streams, http2_stream);

/* What costs a client nothing and us something: of each kind so many are free, and so many more a
 * second. */
enum http2_kind { HTTP2_SETTINGS, HTTP2_PING, HTTP2_EMPTY, HTTP2_WINDOW, HTTP2_KINDS };

struct http2_bucket {
	uint64_t at; /* loop time of the last change */
	uint32_t used;
};

enum http2_leave { HTTP2_STAYS, HTTP2_NOTICED, HTTP2_LEAVING };

/* Streams that we reset: frames may come for them yet. */
struct http2_ids {
	uint32_t top; /* the last that the client opened */
	uint64_t early[4];
	uint64_t doomed[4]; /* their RST_STREAM is in what was read */
	uint32_t skip;      /* bytes until the next frame */
	uint8_t have;       /* of its head */
	uint8_t head[9];
};

struct http2 {
	uint32_t magic;
	struct client *c;
	struct http2_thread *ht;
	nghttp2_session *ng;
	TAILQ_ENTRY(http2) link;
	TAILQ_ENTRY(http2) dirty_link, hungry_link;
	struct http2_streams streams;
	struct http2_streams work; /* have news from the client */
	unsigned nx;               /* streams with an exchange */
	unsigned nturn;            /* streams with bytes in http2_thread.turn */
	unsigned nended;           /* streams whose response is whole and that are not closed */
	unsigned nstarved;
	bool dirty;   /* in http2_thread.dirty */
	bool hungry;  /* in http2_thread.hungry */
	bool blocked; /* the socket takes no more */
	bool over;    /* GOAWAY with an error is on its way: nothing of the client is looked at */
	bool freeing;
	uint8_t leave;         /* enum http2_leave */
	bool head_open;        /* a header block is not whole */
	bool sensitive;        /* a field of it came as never to be indexed */
	uint32_t head_bytes;   /* of its fields so far, as RFC 9113, 10.5.1, counts them */
	int32_t head_stream;   /* its stream */
	struct h2_text head;   /* it, as text */
	char *spill;           /* where it lies between two reads; malloc'ed */
	uint64_t held;         /* bytes of responses that wait */
	uint64_t resets_since; /* RST_STREAM and the like: counted from then on */
	uint32_t resets;
	struct http2_bucket buckets[HTTP2_KINDS];
	struct http2_ids ids;
	struct loop_timer leave_timer;
};
TAILQ_HEAD(http2_list, http2);

/* A thread's part. */
struct http2_thread {
	struct thread *thread;
	nghttp2_session_callbacks *callbacks;
	nghttp2_option *option;
	struct slab session_slab, stream_slab;
	struct http2_list sessions;
	struct http2_list dirty;  /* have something to say */
	struct http2_list hungry; /* take more than servers were asked for */
	struct loop_task flush;
	size_t nout, nturn;
	uint64_t held;                  /* bytes of responses that wait, of all connections */
	bool full;                      /* `out` does not hold the next frame */
	uint64_t logged[WIRE_COUNTERS]; /* loop time of the last line for a kind */
	char why[128];                  /* what nghttp2 said last of a violation */
	char key[WEBSOCKET_KEY_LEN + 1];
	nghttp2_nv nva[H2_TEXT_NV];
	struct http_head page; /* of an answer of our own */
	char in[HTTP2_IN];
	char out[HTTP2_OUT + HTTP2_FRAME + 64];
	char turn[HTTP2_TURN];
	char head[H2_TEXT_ROOM(HTTP2_MAX_HEAD)];
};

/* http2.c */

/* Takes over a connection whose ALPN said "h2" or whose first bytes are the preface; what has been
 * read of it lies in c->in. False: it is closed. */
bool http2_start(struct client *c);
/* How many of the len bytes at data are as the preface begins: 0 where a byte differs. */
size_t http2_preface(const char *data, size_t len);
/* The connection has news. */
void http2_event(struct client *c);
void http2_timeout(struct client *c);
/* Lets go of the session, which the client's end has made pointless: exchanges are cut. */
void http2_free(struct client *c);
/* Tells the clients of the thread that are to leave it: all when it is closing, else those of
 * listeners that are no longer configured. */
void http2_drain(struct thread *t);
/* The client has seen that it is to leave. */
void http2_left(struct http2 *h);
void http2_thread_free(struct http2_thread *ht);
struct http2_stream *http2_stream_new(struct http2 *h, int32_t id);
void http2_stream_free(struct http2_stream *st);
/* The session has something to say: by the end of the turn. */
void http2_dirty(struct http2 *h);
/* The exchanges of the session are over. */
void http2_cut_all(struct http2 *h, const char *why);

/* http2_recv.c */
void http2_recv_callbacks(nghttp2_session_callbacks *cbs);
/* Bytes from the client. */
void http2_feed(struct http2 *h, const char *data, size_t len);

/* http2_send.c */
void http2_send_callbacks(nghttp2_session_callbacks *cbs);
/* Bytes of the response's body. OK or ERR_NOMEM. */
int http2_put(struct http2_stream *st, struct str data);
ssize_t http2_read_data(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t length,
                        uint32_t *flags, nghttp2_data_source *source, void *user);
/* Nothing of the response that waits goes out any more. */
void http2_drop(struct http2_stream *st);
static inline size_t http2_waiting(const struct http2_stream *st)
{
	return st->out.len + st->turn_len;
}
/* Sends what there is to say, ends what is said. The connection may be over. */
void http2_flush(struct http2 *h);
/* Servers that waited for room go on. */
void http2_feed_starved(struct http2 *h);

/* http2_flood.c */

/* One more of what costs nothing; false: too many, and the connection is on its way to its end. */
bool http2_take(struct http2 *h, enum http2_kind kind);
/* Something of use was done, in return for which a client may be a bit chattier. */
void http2_credit(struct http2 *h, enum http2_kind kind, uint32_t n);
/* A stream was given up by its client, or had to be. False as above. */
bool http2_reset_seen(struct http2 *h);
/* Ends the connection by GOAWAY, ENHANCE_YOUR_CALM; counted, logged. */
void http2_calm(struct http2 *h, enum wire_counter counter, const char *why);
/* The same for a violation of the protocol. */
void http2_violation(struct http2 *h, uint32_t error, const char *why);

/* front_http2.c */
extern const struct front_ops front_http2;
/* The stream is over for nghttp2. */
void front_http2_closed(struct http2_stream *st, uint32_t error);
/* Its response has left us. */
void front_http2_sent(struct http2_stream *st);
/* The client's part has news; it takes more. */
void front_http2_event(struct http2_stream *st);
void front_http2_room(struct http2_stream *st);
/* A malformed message: a stream error (RFC 9113, 8.1.1). */
void front_http2_malformed(struct http2_stream *st, const char *why);

/* http2_ids.c: a HEADERS or DATA frame that begins; the DATA frames in what was read, of which
 * nghttp2 does not tell when their stream is over; a stream that we have sent RST_STREAM. */
void http2_ids_look(struct http2 *h, uint8_t type, uint32_t id);
void http2_ids_walk(struct http2 *h, const char *data, size_t len);
bool http2_ids_doomed(const struct http2_ids *ids, uint32_t id);
static inline uint32_t http2_number(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}
void http2_ids_reset(struct http2_ids *ids, uint32_t id);

#endif
