/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing of connected sockets; see stream.h. Belongs to one loop's thread. */
#include "net/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"

#define FLOW_MIN 512

int flow_add(struct flow *f, const void *data, size_t len)
{
	if (len == 0)
		return OK;
	if (f->off > 0 && f->off + f->len + len > f->cap) {
		memmove(f->p, f->p + f->off, f->len);
		f->off = 0;
	}
	if (f->len + len > f->cap) {
		size_t cap = MAX(f->len + len, (size_t)FLOW_MIN);
		char *p;

		if (f->len > 0)
			cap = MAX(cap, (size_t)f->cap * 2);
		if (cap > UINT32_MAX || (p = realloc(f->p, cap)) == NULL)
			return ERR_NOMEM;
		f->p = p;
		f->cap = (uint32_t)cap;
	}
	memcpy(f->p + f->off + f->len, data, len);
	f->len += (uint32_t)len;
	return OK;
}

void flow_free(struct flow *f)
{
	free(f->p);
	*f = (struct flow){ 0 };
}

void flow_drop(struct flow *f, size_t n)
{
	CHECK(n <= f->len);
	f->len -= (uint32_t)n;
	f->off += (uint32_t)n;
	if (f->len == 0 && f->p != NULL)
		flow_free(f);
}

void stream_init(struct stream *s, int fd, loop_io_fn *fn)
{
	*s = (struct stream){ .io = { .fd = fd, .fn = fn }, .writable = true };
}

ssize_t stream_recv(struct stream *s, void *p, size_t size)
{
	return s->layer != NULL ? s->layer->recv(s, p, size) : stream_recv_raw(s, p, size);
}

ssize_t stream_recv_raw(struct stream *s, void *p, size_t size)
{
	ssize_t n;

	do
		n = recv(s->io.fd, p, size, 0);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		/* A short read has emptied the socket (epoll(7)), unless its end was reported. */
		if ((size_t)n < size && !s->hup && !s->broken)
			s->readable = false;
		return n;
	}
	s->readable = false;
	if (n == 0 && s->error != 0) { /* the kernel tells of an error once only */
		errno = s->error;
		return ERR_SYSTEM;
	}
	if (n == 0) {
		s->eof = true;
		return ERR_CLOSED;
	}
	if (errno == EAGAIN)
		return ERR_AGAIN;
	s->broken = true;
	return ERR_SYSTEM;
}

bool stream_quiet(struct stream *s)
{
	char byte;

	if (s->layer != NULL)
		return s->layer->quiet(s);
	return recv(s->io.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

static ssize_t send_some(struct stream *s, const struct iovec *iov, int n)
{
	const struct msghdr m = { .msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)n };
	ssize_t sent;

	do
		sent = n == 1 ? send(s->io.fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL)
		              : sendmsg(s->io.fd, &m, MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	if (sent < 0 && errno == EAGAIN) {
		s->writable = false;
		return 0;
	}
	if (sent < 0) {
		s->broken = true;
		/* EPIPE tells of nothing that recv(2) does not: the end had come before. */
		if (errno != EPIPE && s->error == 0)
			s->error = (uint16_t)errno;
	}
	return sent;
}

int stream_send(struct stream *s, const struct iovec *iov, int n)
{
	return s->layer != NULL ? s->layer->send(s, iov, n) : stream_send_raw(s, iov, n);
}

int stream_send_raw(struct stream *s, const struct iovec *iov, int n)
{
	size_t sent = 0;
	int i;

	if (flow_empty(&s->out) && s->writable) {
		ssize_t r = send_some(s, iov, n);

		if (r < 0)
			return ERR_SYSTEM;
		sent = (size_t)r;
	}
	for (i = 0; i < n; i++) {
		size_t len = iov[i].iov_len, skip = MIN(sent, len);

		sent -= skip;
		if (skip == len)
			continue;
		s->writable = false;
		if (flow_add(&s->out, (char *)iov[i].iov_base + skip, len - skip) != OK)
			return ERR_NOMEM;
	}
	return OK;
}

int stream_flush(struct stream *s)
{
	while (s->writable && !flow_empty(&s->out)) {
		struct str w = flow_str(&s->out);
		struct iovec iov = { .iov_base = (char *)w.s, .iov_len = w.len };
		ssize_t r = send_some(s, &iov, 1);

		if (r < 0)
			return ERR_SYSTEM;
		if ((size_t)r < w.len)
			s->writable = false;
		flow_drop(&s->out, (size_t)r);
	}
	return OK;
}

void stream_shutdown(struct stream *s)
{
	if (s->layer != NULL)
		s->layer->shutdown(s);
	shutdown(s->io.fd, SHUT_WR);
	s->ended = true;
}

void stream_close(struct stream *s, bool reset)
{
	if (s->layer != NULL)
		s->layer->close(s, reset);
	s->layer = NULL;
	if (s->io.fd >= 0) {
		const struct linger now = { .l_onoff = 1, .l_linger = 0 };

		if (reset)
			setsockopt(s->io.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
		close(s->io.fd);
	}
	s->io.fd = -1;
	flow_free(&s->out);
}
