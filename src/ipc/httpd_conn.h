/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the HTTP server share: httpd.c accepts connections and ends them, httpd_conn.c
 * is the life of one, httpd_request.c and httpd_answer.c are its two directions. */
#ifndef IPC_HTTPD_CONN_H
#define IPC_HTTPD_CONN_H

#include "ipc/httpd.h"

enum conn_state {
	CONN_READ,   /* a request, or waits for one */
	CONN_WAIT,   /* for the answer */
	CONN_WRITE,  /* the answer */
	CONN_LINGER, /* answered a refused request: reads what still comes, then closes */
	CONN_CLOSED,
};

struct httpd_conn {
	uint32_t magic;
	enum conn_state state;
	struct loop_io io;
	struct loop_timer timer;
	struct loop_task again; /* goes on in the next turn, or frees */
	struct httpd *h;
	struct httpd_listener *from;
	TAILQ_ENTRY(httpd_conn) link;
	struct net_addr client;
	uint64_t id;   /* of the request at hand */
	bool readable; /* the kernel may have bytes for us */
	bool eof;
	bool head_only; /* answer to HEAD */
	bool close;     /* after the answer */
	bool http10;
	bool continued; /* 100 Continue was sent for this request */
	struct buf in;  /* from the present request's first byte */
	size_t scanned;
	/* the request's body, once its head is there */
	size_t head_size; /* 0: no head yet */
	enum http_body body_kind;
	uint64_t body_length;
	size_t body_at; /* next byte of `in` to look at */
	struct http_chunked chunked;
	struct buf body; /* of chunked requests */
	/* the answer */
	struct buf out_head;
	struct buf out_body;
	size_t sent;
};

TAILQ_HEAD(httpd_conns, httpd_conn);

struct httpd_listener {
	struct loop_io io;
	struct loop_timer pause;
	struct httpd *h;
	struct httpd_listener *next;
	bool local;
	bool gone; /* no longer listening; freed with its last connection */
	unsigned nconns;
	struct httpd_conns conns; /* the longest unused first */
};

struct httpd {
	struct loop *loop;
	struct httpd_limits limits;
	httpd_handler *handler;
	void *arg;
	struct httpd_listener *listeners;
	uint64_t last_id;
	unsigned nconns;
	size_t unsent; /* bytes of bodies being written */
	bool draining;
	struct http_head head; /* of the request being looked at */
};

/* A connection that has just been accepted; it takes fd over and closes it on failure. refused: it
 * only gets to hear that there are too many. */
void httpd_conn_new(struct httpd_listener *l, int fd, const struct net_addr *client, bool refused);
void httpd_conn_close(struct httpd_conn *c);
/* Whether it waits for a request of which nothing has come. */
bool httpd_conn_idle(const struct httpd_conn *c);
/* Lays an answer out, to be written in the next turn or when the handler returns. */
void httpd_conn_answer(struct httpd_conn *c, struct httpd_answer *a);
/* Frees what is left of the answer's body. */
void httpd_conn_drop_body(struct httpd_conn *c);
/* Writes; whether it can go on at once. */
bool httpd_conn_write(struct httpd_conn *c);
/* A request that is refused before the handler sees it; the connection ends. */
void httpd_conn_refuse(struct httpd_conn *c, unsigned status, const char *why);
/* Reads once. Whether there are new bytes or the end. */
bool httpd_conn_read(struct httpd_conn *c);
/* Looks at what has been read. Whether there was enough to go on. */
bool httpd_conn_parse(struct httpd_conn *c);
/* Frees a listener that is gone and has no connection left. */
void httpd_listener_put(struct httpd_listener *l);

#endif
