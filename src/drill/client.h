/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the drill's client: one process, one thread, one loop. */
#ifndef DRILL_CLIENT_H
#define DRILL_CLIENT_H

#include <sys/queue.h>

#include "drill/drill.h"
#include "http/http.h"
#include "tls/tls.h"

#define CLIENT_BUFFER  16384
#define CLIENT_WAITING 1024 /* requests that may wait for one kept connection */
#define CLIENT_NAMES   256  /* servers told apart */
#define CLIENT_RECORDS 128

struct drill_client;

enum drill_conn_state {
	CLIENT_CLOSED,
	CLIENT_CONNECTING,
	CLIENT_GREETING, /* TLS */
	CLIENT_IDLE,
	CLIENT_ASKED,
	CLIENT_DEAD
};

/* A connection, and the request on it. */
struct drill_conn {
	TAILQ_ENTRY(drill_conn) link; /* of new connections, by due */
	struct drill_client *c;
	struct stream s;
	struct loop_task free;
	bool kept;
	uint8_t state; /* enum drill_conn_state */
	bool taking;   /* the next request is being chosen */
	bool repeated; /* the request was sent before, on a connection that was closed */
	unsigned uses; /* answers on this connection */
	uint64_t due;  /* of the request on it */
	uint64_t waiting[CLIENT_WAITING]; /* ring of further due times; kept connections only */
	unsigned first, nwaiting;
	/* the answer */
	size_t len, scanned;
	bool head_done, close;
	enum http_body body;
	uint64_t left;
	struct http_chunked chunks;
	uint16_t status, who;
	char in[CLIENT_BUFFER];
};

TAILQ_HEAD(drill_conns, drill_conn);

struct drill_streams; /* client_stream.c */

struct drill_client {
	struct drill_client_options o;
	struct loop *loop;
	struct tls_client *tls; /* NULL: clear text */
	char server_name[256];  /* of the host asked, for TLS */
	struct loop_io tick, input;
	struct drill_conns conns; /* on new connections, in order of due */
	struct drill_conn **kept;
	uint64_t start, next_new, *next_kept;
	bool stopping;
	struct buf request; /* of new and kept connections alike */
	struct http_head head;
	struct drill_streams *streams;
	char names[CLIENT_NAMES][40];
	unsigned nnames;
	struct drill_record records[CLIENT_RECORDS];
	unsigned nrecords;
};

/* Writes a sample down. */
void drill_client_record(struct drill_client *c, const struct drill_sample *s);
/* The index of a server's name. */
uint16_t drill_client_name(struct drill_client *c, struct str name);
/* What an errno of a socket means to a user. */
enum drill_error drill_client_error(int err);

/* Whether a connection that stands can be asked on: OK; ERR_AGAIN: after further events; else it
 * has failed. Begins TLS where that is wanted. */
int drill_client_greet(struct drill_client *c, struct stream *s);

/* --- client_conn.c */
/* A request that was due then: on a connection of its own, or on a kept one. */
void drill_client_ask(struct drill_client *c, struct drill_conn *kept, uint64_t due);
struct drill_conn *drill_client_conn_new(struct drill_client *c, bool kept);
/* Ends requests that are older than the limit. */
void drill_client_expire(struct drill_client *c, uint64_t now);
/* Whether a request is open on it. */
bool drill_client_busy(const struct drill_conn *k);

/* --- client_stream.c */
/* OK or an error. */
int drill_streams_start(struct drill_client *c);
void drill_streams_tick(struct drill_client *c, uint64_t now);
/* No further echo is sent. */
void drill_streams_stop(struct drill_client *c);
bool drill_streams_busy(const struct drill_client *c);
/* Writes down how it stands with them. */
void drill_streams_end(struct drill_client *c);

#endif
