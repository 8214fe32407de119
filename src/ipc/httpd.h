/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small HTTP/1.1 server for the program's own interfaces: any number of listening sockets on one
 * loop, whole requests handed to one function, answers now or later. Everything a stranger controls
 * is limited: connections, the size of a request, the time it takes to arrive, the time it takes to
 * read the answer, the requests served in one turn. Runs on its loop's thread.
 */
#ifndef IPC_HTTPD_H
#define IPC_HTTPD_H

#include "base/buf.h"
#include "http/http.h"
#include "net/addr.h"
#include "net/loop.h"

struct httpd;

struct httpd_limits {
	uint32_t max_connections; /* of each listening socket; beyond, the longest idle one goes */
	uint32_t max_head;        /* bytes of a request's head */
	uint32_t max_body;        /* bytes of a request's body */
	uint64_t request_time;    /* ns from a request's first byte to its last */
	uint64_t idle_time;       /* ns that a connection may wait for a request */
	uint64_t write_time;      /* ns that a client may take no byte of its answer */
};

extern const struct httpd_limits httpd_limits_default;

/* A whole request; everything in it is valid during the call only. */
struct httpd_request {
	const struct http_head *head;
	struct str body;
	const struct net_addr *client;
	bool local; /* it came by a socket that was added as local */
	uint64_t id;
};

struct httpd_answer {
	unsigned status;
	const char *type;  /* Content-Type; NULL: none */
	const char *extra; /* further header lines, each with CRLF; NULL: none */
	struct buf body;   /* taken over */
	bool close;        /* end the connection afterwards */
};

/* Is called for each request, and answers it now or later by httpd_answer(). */
typedef void httpd_handler(struct httpd *h, const struct httpd_request *r, void *arg);

/* NULL when out of memory. limits are copied. */
struct httpd *httpd_new(struct loop *l, const struct httpd_limits *limits, httpd_handler *handler,
                        void *arg);
/* Closes all connections; never from within the handler. The listening sockets stay the caller's.
 * The loop must run or be freed afterwards to release the memory. */
void httpd_free(struct httpd *h);

/* Serves a listening socket, which stays the caller's. OK, ERR_NOMEM, ERR_SYSTEM. */
int httpd_listen(struct httpd *h, int fd, bool local);
/* Stops accepting there; its connections go on. Unknown descriptors are ignored. */
void httpd_unlisten(struct httpd *h, int fd);

/* Answers a request by its id; an answer to a connection that has gone is dropped. */
void httpd_answer(struct httpd *h, uint64_t id, struct httpd_answer *a);

/* Stops accepting, ends idle connections, and the others after their answer. */
void httpd_drain(struct httpd *h);
/* Open connections. */
unsigned httpd_connections(const struct httpd *h);
/* Bytes of answers that are held for clients to take. */
size_t httpd_unsent(const struct httpd *h);

#endif
