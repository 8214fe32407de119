/* SPDX-License-Identifier: Apache-2.0 */
/* Inside whoami: the server, its threads, its connections; what they share. */
#ifndef LAB_WHOAMI_IMPL_H
#define LAB_WHOAMI_IMPL_H

#include <stdatomic.h>

#include "base/buf.h"
#include "http/http.h"
#include "lab/whoami.h"
#include "net/addr.h"
#include "net/stream.h"

#define WHOAMI_BUFFER   LAB_WHOAMI_TEXT /* bytes of one read, and of one write of a long body */
#define WHOAMI_MAX_SIZE (1U << 20)      /* of the page */
#define WHOAMI_MAX_ID   64              /* bytes of an id that is counted */

/* What may be changed at run time, by /admin/…; each thread reads it at each request. */
struct whoami_settings {
	atomic_uint_least64_t latency_ns;
	atomic_bool jitter;
	atomic_uint error_percent, error_status, hang_percent;
	atomic_uint size;
	atomic_bool close;
	atomic_uint health_status;
	atomic_uint_least64_t health_delay_ns;
};

struct whoami_ids; /* whoami_counts.c */

/* What it has seen; shown by /counts. */
struct whoami_counts {
	atomic_uint_least64_t requests; /* but control paths */
	atomic_uint_least64_t methods[HTTP_METHODS];
	atomic_uint_least64_t health; /* requests for /health */
	atomic_uint_least64_t body_bytes;
	atomic_uint_least64_t refused; /* malformed requests */
	atomic_uint_least64_t aborted; /* requests whose client went away amid the body */
	atomic_uint_least64_t connections, open;
	struct whoami_ids *ids;
	int record; /* descriptor; -1: none */
};

struct whoami {
	struct lab_whoami_options options;
	char name[128];
	struct whoami_settings settings;
	struct whoami_counts counts;
	char *block; /* WHOAMI_MAX_SIZE bytes of text, to send from */
	int listen;
};

struct whoami_thread {
	struct whoami *w;
	struct loop *loop;
	struct loop_io accept;
	struct loop_timer accept_again; /* after a lack of descriptors */
	uint64_t date_s;
	char date[32];
	struct http_head head;
	struct buf head_out, body_out; /* of the answer in the making */
	char buffer[WHOAMI_BUFFER];
};

enum whoami_state {
	WHOAMI_HEAD,      /* reads a request's head */
	WHOAMI_BODY,      /* reads its body, to answer then */
	WHOAMI_ECHO,      /* sends its body back as it comes */
	WHOAMI_WAIT,      /* waits out the latency */
	WHOAMI_SOURCE,    /* sends a body that is made bit by bit */
	WHOAMI_TUNNEL,    /* after 101: echoes bytes */
	WHOAMI_WEBSOCKET, /* after 101: echoes messages */
	WHOAMI_HANG,      /* will never answer */
	WHOAMI_FLUSH,     /* sends the rest, then ends its direction */
	WHOAMI_DRAIN,     /* waits for the client's end */
	WHOAMI_DEAD,
};

enum whoami_step { WHOAMI_MORE, WHOAMI_LATER, WHOAMI_DONE };

struct whoami_conn;
/* Sends one part of a body. MORE: call again when it is sent; LATER: when the timer it has armed
 * runs out; DONE: that was all. */
typedef enum whoami_step whoami_source_fn(struct whoami_conn *c);

struct whoami_page;

struct whoami_conn {
	unsigned magic;
	uint8_t state;
	bool starved;  /* what waits in `in` is no whole thing */
	bool close;    /* after this answer */
	bool answered; /* before the body came */
	bool chunked;  /* the answer's body */
	bool waiting;  /* for the timer of a source */
	struct stream s;
	struct flow in; /* read and not used yet */
	size_t scanned;
	struct whoami_thread *t;
	struct loop_timer timer;
	struct loop_task task;
	struct net_addr peer;
	/* the request */
	const struct whoami_page *page;
	char *kept; /* its head, where the answer must wait */
	size_t kept_len;
	enum http_body body;
	uint64_t left; /* of its body, or of a message in a WebSocket */
	struct http_chunked chunks;
	uint64_t delay;
	/* the answer's source */
	whoami_source_fn *source;
	uint64_t source_left;
	uint64_t source_pos;
	uint64_t source_rate; /* bytes a second, or ns between two events */
	uint8_t mask[4];      /* of a message in a WebSocket */
};

#define WHOAMI_CONN_MAGIC 0x77686f61U

/* --- whoami_conn.c */
void whoami_accept(struct loop_io *io, uint32_t events);
/* Sends bytes; a failure ends the connection. */
void whoami_send(struct whoami_conn *c, const void *data, size_t len);
void whoami_conn_close(struct whoami_conn *c, bool reset);

/* --- whoami_pages.c */
struct whoami_page {
	const char *path; /* ends with '/' where something follows */
	bool control;     /* neither counted nor disturbed by latency, errors and hangs */
	bool at_once;     /* called before the body is there */
	void (*fn)(struct whoami_conn *c, const struct http_head *h, struct str rest);
};
const struct whoami_page *whoami_page_find(struct str path);
/* Answers the request: fills and sends, or sets a source; sets the next state. */
void whoami_answer(struct whoami_conn *c, const struct http_head *h);

/* --- whoami_answer.c */
void whoami_answer_error(struct whoami_conn *c, const struct http_head *h, unsigned status,
                         const char *text);
/* A whole answer in one system call. */
void whoami_send_whole(struct whoami_conn *c, const struct http_head *h, unsigned status,
                       const char *type, struct str body, const char *extra);
/* Sends the head of an answer with a body of `length` bytes; UINT64_MAX: unknown, chunked or until
 * the end. extra: further fields, each with CRLF; "" for none. */
void whoami_head(struct whoami_conn *c, const struct http_head *h, unsigned status,
                 const char *type, uint64_t length, const char *extra);
/* The answer is complete: what comes next on the connection. */
void whoami_finish(struct whoami_conn *c);
/* One run of an unknown length's body. */
void whoami_run(struct whoami_conn *c, const void *data, size_t len);
/* Ends the answer: chunked needs its last chunk, with trailers ("" for none). */
void whoami_end(struct whoami_conn *c, const char *trailers);
/* The value of a parameter in a query. */
bool whoami_query(struct str query, const char *name, struct str *ret);
uint64_t whoami_query_u64(struct str query, const char *name, uint64_t max, uint64_t otherwise);
/* "10ms", "2s", "500us", "1m"; a number alone is ms. */
bool whoami_duration(struct str s, uint64_t *ret_ns);

/* --- whoami_source.c */
void whoami_bytes(struct whoami_conn *c, const struct http_head *h, struct str rest);
void whoami_chunked(struct whoami_conn *c, const struct http_head *h, struct str rest);
void whoami_slow(struct whoami_conn *c, const struct http_head *h, struct str rest);
void whoami_sse(struct whoami_conn *c, const struct http_head *h, struct str rest);
void whoami_truncate(struct whoami_conn *c, const struct http_head *h, struct str rest);

/* --- whoami_upgrade.c */
void whoami_upgrade(struct whoami_conn *c, const struct http_head *h, struct str rest);
/* Messages from the client; bytes used, 0 when more are needed, negative when malformed. */
ssize_t whoami_websocket(struct whoami_conn *c, const char *data, size_t len);

/* --- whoami_counts.c */
bool whoami_counts_init(struct whoami_counts *c, const char *record);
void whoami_counts_request(struct whoami_counts *c, const struct http_head *h);
void whoami_counts_json(struct whoami *w, bool ids, struct buf *out);
void whoami_counts_reset(struct whoami_counts *c);

#endif
