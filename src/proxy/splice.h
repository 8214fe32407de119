/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes from socket to socket through a pipe, without a copy in user space (splice(2)). Pipes
 * belong to a thread, which keeps a few empty ones for the next tunnel that moves much.
 */
#ifndef PROXY_SPLICE_H
#define PROXY_SPLICE_H

#include "net/stream.h"

#define PIPES_KEPT 16 /* empty ones of a thread */

struct pipe {
	struct pipe *next; /* among the kept */
	int fds[2];
	size_t len; /* bytes in it */
};

struct pipes {
	struct pipe *kept;
	unsigned nkept;
};

/* An empty pipe; NULL where there is none to be had. */
struct pipe *pipe_get(struct pipes *p);
/* Takes a pipe back: one that holds bytes is closed. NULL is allowed. */
void pipe_put(struct pipes *p, struct pipe *pipe);

/* From the socket into the pipe: bytes, ERR_AGAIN, ERR_CLOSED at the end, ERR_SYSTEM. Both streams
 * are in clear text. */
ssize_t splice_in(struct pipe *p, struct stream *from);
/* From the pipe into the socket, which has nothing else waiting: OK (also when some is left and
 * to->writable false), ERR_SYSTEM. */
int splice_out(struct pipe *p, struct stream *to);

#endif
