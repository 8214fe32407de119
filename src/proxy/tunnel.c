/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnels, after an Upgrade (WebSocket) and of TCP connections: bytes both ways as they lie,
 * half-closes passed on. Those with a stream of HTTP/2 on a side go on in tunnel_stream.c. A
 * direction that fills whole reads goes on through a pipe, without a copy; when it moves little
 * again it goes back to plain reads, which small messages cost less by.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/exchange.h"

#define SPLICE_LEAST (16 * 1024) /* bytes of a turn below which a pipe does not pay */
#define COUNT_EVERY  NS_PER_S

struct half {
	struct exchange *x;
	struct stream *from, *to;
	struct pipe **pipe;
	uint64_t *bytes;
};

static bool is_done(const struct half *h)
{
	return h->from->eof && flow_empty(&h->to->out) && *h->pipe == NULL;
}

static void leave_pipe(struct half *h)
{
	pipe_put(&h->x->thread->pipes, *h->pipe);
	*h->pipe = NULL;
}

/* Through the pipe until the source has no more or the sink is full; false on error. */
static bool half_spliced(struct half *h)
{
	struct pipe *p = *h->pipe;
	size_t moved = 0;
	unsigned turns = 0;

	for (;;) {
		ssize_t n;

		if (splice_out(p, h->to) != OK)
			return false;
		if (p->len > 0)
			return true; /* the sink's event goes on */
		if (!h->from->readable)
			break;
		if (turns++ == STREAM_TURN) {
			loop_rearm(h->x->thread->loop, &h->from->io, STREAM_EVENTS);
			return true;
		}
		n = splice_in(p, h->from);
		if (n == ERR_SYSTEM)
			return false;
		if (n > 0) {
			*h->bytes += (uint64_t)n;
			moved += (size_t)n;
		}
	}
	if (moved < SPLICE_LEAST || h->from->eof)
		leave_pipe(h);
	return true;
}

/* By plain reads; a full one of clear text calls for a pipe. */
static bool half_plain(struct half *h)
{
	struct thread *t = h->x->thread;
	unsigned reads = 0;

	while (h->from->readable && !h->from->eof && flow_empty(&h->to->out)) {
		struct iovec iov;
		ssize_t n;

		if (reads++ == STREAM_TURN) {
			loop_rearm(t->loop, &h->from->io, STREAM_EVENTS);
			return true;
		}
		n = stream_recv(h->from, t->in, THREAD_SCRATCH);
		if (n == ERR_AGAIN)
			return true;
		if (n == ERR_CLOSED)
			break;
		if (n < 0)
			return false;
		*h->bytes += (uint64_t)n;
		iov = (struct iovec){ .iov_base = t->in, .iov_len = (size_t)n };
		if (stream_send(h->to, &iov, 1) != OK)
			return false;
		if (n == THREAD_SCRATCH && h->from->layer == NULL && h->to->layer == NULL &&
		    flow_empty(&h->to->out) && (*h->pipe = pipe_get(&t->pipes)) != NULL)
			return half_spliced(h);
	}
	return true;
}

static bool half_pump(struct half *h)
{
	if (!(*h->pipe != NULL ? half_spliced(h) : half_plain(h)))
		return false;
	if (is_done(h) && !h->to->ended)
		stream_shutdown(h->to);
	return true;
}

static void pump(struct exchange *x)
{
	struct stream *client = &x->client->s, *server = &x->up->s;
	struct half up = { x, client, server, &x->pipes[0], &x->bytes_in };
	struct half down = { x, server, client, &x->pipes[1], &x->bytes_out };

	if (stream_flush(client) != OK || stream_flush(server) != OK || !half_pump(&up) ||
	    !half_pump(&down) || client->broken) {
		exchange_cut(x, x->raw ? "a side of the connection reset it"
		                       : "a side of the tunnel reset it");
		return;
	}
	if (is_done(&up) && is_done(&down)) {
		x->response_close = true;
		exchange_end(x, false);
		return;
	}
	if (x->thread->loop->now - x->counted_at >= COUNT_EVERY)
		exchange_count(x);
	exchange_arm(x);
}

static bool has_stream(const struct exchange *x)
{
	return x->stream != NULL || x->up2 != NULL;
}

void tunnel_pump(struct exchange *x)
{
	if (has_stream(x))
		tunnel_stream_pump(x);
	else
		pump(x);
}

uint64_t tunnel_timeout(const struct exchange *x)
{
	const uint64_t whole = EXCHANGE_TIMEOUT(x, tunnel), half = EXCHANGE_TIMEOUT(x, half_close);

	if (has_stream(x))
		return tunnel_stream_is_half(x) ? MIN(whole, half) : whole;
	return x->client->s.eof || x->up->s.eof ? MIN(whole, half) : whole;
}

void tunnel_free(struct exchange *x)
{
	pipe_put(&x->thread->pipes, x->pipes[0]);
	pipe_put(&x->thread->pipes, x->pipes[1]);
	x->pipes[0] = x->pipes[1] = NULL;
}

void tunnel_start(struct exchange *x, struct str early)
{
	struct client *c = x->client;
	struct iovec iov = { .iov_base = (char *)early.s, .iov_len = early.len };

	x->state = X_TUNNEL;
	x->response_close = true;
	x->upstream_close = true;
	x->counted_at = x->thread->loop->now;
	if (!x->raw)
		stat_add(&x->listener->stat->c[STAT_UPGRADES], 1);
	attempt_succeeded(x);
	if (has_stream(x)) {
		tunnel_stream_start(x, early);
		return;
	}
	x->bytes_out += early.len;
	if (early.len > 0 && stream_send(&c->s, &iov, 1) != OK) {
		exchange_cut(x, "the client closed the connection");
		return;
	}
	if (!flow_empty(&c->in)) {
		struct str sent = flow_str(&c->in);

		iov = (struct iovec){ .iov_base = (char *)sent.s, .iov_len = sent.len };
		x->bytes_in += sent.len;
		if (stream_send(&x->up->s, &iov, 1) != OK) {
			exchange_cut(x, "the server closed the connection");
			return;
		}
		flow_free(&c->in);
	}
	tunnel_pump(x);
}
