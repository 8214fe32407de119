/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread's HTTP/2 connections to servers share, and their bytes: frames written at the end
 * of the turn, what is read given to nghttp2; see back_http2.h. Proxy role, one worker thread each.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "proxy/back_http2.h"

static void flush_task(struct loop_task *task);

struct up_thread *up_thread_get(struct thread *t)
{
	struct up_thread *up = t->up;

	if (likely(up != NULL))
		return up;
	up = calloc(1, sizeof(*up));
	if (up == NULL)
		return NULL;
	up->thread = t;
	up->task.fn = flush_task;
	TAILQ_INIT(&up->pending);
	STAILQ_INIT(&up->dead_conns);
	STAILQ_INIT(&up->dead_streams);
	slab_init(&up->conn_slab, sizeof(struct up_conn));
	slab_init(&up->stream_slab, sizeof(struct up_stream));
	if (up_session_options(up) != OK) {
		nghttp2_session_callbacks_del(up->callbacks);
		free(up);
		return NULL;
	}
	return t->up = up;
}

void up_thread_reap(struct up_thread *up)
{
	struct up_stream *st;
	struct up_conn *c;

	while ((st = STAILQ_FIRST(&up->dead_streams)) != NULL) {
		STAILQ_REMOVE_HEAD(&up->dead_streams, dead);
		flow_free(&st->in);
		flow_free(&st->out);
		flow_free(&st->lines);
		slab_put(&up->stream_slab, st);
	}
	while ((c = STAILQ_FIRST(&up->dead_conns)) != NULL) {
		STAILQ_REMOVE_HEAD(&up->dead_conns, dead);
		nghttp2_session_del(c->session);
		free(c->saved);
		free(c->host);
		c->magic = 0;
		slab_put(&up->conn_slab, c);
	}
}

/* --- writing -------------------------------------------------------------------------------- */

void up_conn_pend(struct up_conn *c)
{
	struct up_thread *up = c->thread->up;

	if (c->pending || c->state == UP_CLOSED)
		return;
	c->pending = true;
	TAILQ_INSERT_TAIL(&up->pending, c, flush);
	up->npending++;
	loop_defer(c->thread->loop, &up->task);
}

static int write_out(struct up_conn *c)
{
	struct up_thread *up = c->thread->up;
	const struct iovec iov = { up->out, up->out_len };

	up->out_len = 0;
	return iov.iov_len > 0 ? stream_send(&c->s, &iov, 1) : OK;
}

/* Writes all frames that there are, as far as the kernel takes them. OK, or an error of the
 * connection. */
static int flush(struct up_conn *c)
{
	struct up_thread *up = c->thread->up;
	const uint8_t *p;
	ssize_t n;

	while (flow_empty(&c->s.out)) {
		n = nghttp2_session_mem_send(c->session, &p);
		if (n < 0)
			return ERR_NOMEM;
		if (n > 0 && up->out_len + (size_t)n <= sizeof(up->out)) {
			memcpy(up->out + up->out_len, p, (size_t)n);
			up->out_len += (size_t)n;
			continue;
		}
		/* All is there, or the buffer is full: a DATA frame waits in nghttp2 then. */
		const bool all = n == 0 && up->out_len + UP_FRAME <= sizeof(up->out);

		if (write_out(c) != OK)
			return ERR_SYSTEM;
		if (n > 0) {
			const struct iovec iov = { (char *)p, (size_t)n };

			if (stream_send(&c->s, &iov, 1) != OK)
				return ERR_SYSTEM;
		}
		if (all)
			break;
	}
	return OK;
}

static void flush_task(struct loop_task *task)
{
	struct up_thread *up = CONTAINER_OF(task, struct up_thread, task);
	unsigned n = up->npending; /* what is added meanwhile has its turn next time */
	struct up_conn *c;

	while (n-- > 0 && (c = TAILQ_FIRST(&up->pending)) != NULL) {
		TAILQ_REMOVE(&up->pending, c, flush);
		up->npending--;
		c->pending = false;
		if (c->session != NULL && flush(c) != OK) {
			/* What the server had to say before may still lie there. */
			up->out_len = 0;
			c->s.readable = true;
			up_conn_read(c);
			up_conn_lost(c, FAIL_RESET);
			continue;
		}
		up_conn_settle(c);
	}
}

/* --- reading -------------------------------------------------------------------------------- */

/* A header block that came in parts lies in the thread's memory while it grows. */
static void unpark(struct up_conn *c)
{
	struct up_thread *up = c->thread->up;

	if (!c->in_block)
		return;
	h2_text_move(&c->text, up->text, sizeof(up->text));
	free(c->saved);
	c->saved = NULL;
}

static bool park(struct up_conn *c)
{
	const size_t n = h2_text_used(&c->text);

	if (!c->in_block)
		return true;
	c->saved = malloc(n + 1);
	if (c->saved == NULL)
		return false;
	h2_text_move(&c->text, c->saved, n);
	return true;
}

/* Gives nghttp2 what was read; false when the connection is over. */
static bool parse(struct up_conn *c, size_t len)
{
	struct up_thread *up = c->thread->up;
	ssize_t n;

	up->receiving = true;
	unpark(c);
	n = nghttp2_session_mem_recv(c->session, (const uint8_t *)up->in, len);
	up->receiving = false;
	if (c->state == UP_CLOSED)
		return false;
	if (n < 0 || !park(c)) {
		up_conn_lost(c, FAIL_HTTP2);
		return false;
	}
	up_conn_settle(c);
	return c->state != UP_CLOSED;
}

void up_conn_read(struct up_conn *c)
{
	struct thread *t = c->thread;
	unsigned reads = 0;

	while (c->s.readable) {
		ssize_t n;

		if (reads++ == STREAM_TURN) {
			loop_rearm(t->loop, &c->s.io, STREAM_EVENTS);
			return;
		}
		n = stream_recv(&c->s, t->up->in, sizeof(t->up->in));
		if (n == ERR_AGAIN)
			return;
		if (n < 0) {
			up_conn_lost(c, n == ERR_CLOSED
			                    ? c->state == UP_PREFACE ? FAIL_HTTP2 : FAIL_CLOSED
			                    : fail_errno(errno));
			return;
		}
		if (!parse(c, (size_t)n))
			return;
	}
}
