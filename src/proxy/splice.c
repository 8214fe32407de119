/* SPDX-License-Identifier: Apache-2.0 */
/* Pipes between sockets; see splice.h. One worker thread of the proxy each. */
#include "proxy/splice.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"

/* Bytes asked for, and the least with which a pipe beats copying: a user who has many gets small
 * ones (pipe-user-pages-soft). */
#define PIPE_SIZE  (512 * 1024)
#define PIPE_LEAST (128 * 1024)
#define MOST       (1024 * 1024)

static void pipe_close(struct pipe *pipe)
{
	close(pipe->fds[0]);
	close(pipe->fds[1]);
	free(pipe);
}

struct pipe *pipe_get(struct pipes *p)
{
	struct pipe *pipe = p->kept;

	if (pipe != NULL) {
		p->kept = pipe->next;
		p->nkept--;
		return pipe;
	}
	pipe = calloc(1, sizeof(*pipe));
	if (pipe == NULL)
		return NULL;
	if (pipe2(pipe->fds, O_NONBLOCK | O_CLOEXEC) < 0) {
		free(pipe);
		return NULL;
	}
	(void)fcntl(pipe->fds[1], F_SETPIPE_SZ, PIPE_SIZE);
	if (fcntl(pipe->fds[1], F_GETPIPE_SZ) >= PIPE_LEAST)
		return pipe;
	pipe_close(pipe);
	return NULL;
}

void pipe_put(struct pipes *p, struct pipe *pipe)
{
	if (pipe == NULL)
		return;
	if (pipe->len > 0 || p->nkept >= PIPES_KEPT) {
		pipe_close(pipe);
		return;
	}
	pipe->next = p->kept;
	p->kept = pipe;
	p->nkept++;
}

ssize_t splice_in(struct pipe *p, struct stream *from)
{
	ssize_t n;

	do
		n = splice(from->io.fd, NULL, p->fds[1], NULL, MOST,
		           SPLICE_F_NONBLOCK | SPLICE_F_MOVE);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		p->len += (size_t)n;
		return n;
	}
	if (n < 0 && errno == EAGAIN) {
		if (p->len == 0) /* else it may be the pipe that is full */
			from->readable = false;
		return ERR_AGAIN;
	}
	from->readable = false;
	if (n == 0 && from->error == 0) {
		from->eof = true;
		return ERR_CLOSED;
	}
	if (n == 0)
		errno = from->error;
	from->broken = true;
	return ERR_SYSTEM;
}

int splice_out(struct pipe *p, struct stream *to)
{
	while (p->len > 0 && to->writable) {
		ssize_t n = splice(p->fds[0], NULL, to->io.fd, NULL, p->len,
		                   SPLICE_F_NONBLOCK | SPLICE_F_MOVE);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			to->writable = false;
			break;
		}
		if (n <= 0) {
			to->broken = true;
			if (n < 0 && errno != EPIPE && to->error == 0)
				to->error = (uint16_t)errno;
			return ERR_SYSTEM;
		}
		p->len -= (size_t)n;
	}
	return OK;
}
