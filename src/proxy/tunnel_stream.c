/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnels of WebSockets of which one side at least is a stream of HTTP/2 (RFC 8441), by what front
 * and back offer. The end of a direction is END_STREAM on a stream and FIN on a connection.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/exchange.h"
#include "proxy/http2.h"

#define COUNT_EVERY NS_PER_S

/* To the server; false on error. */
static bool pump_up(struct exchange *x)
{
	unsigned reads = 0;

	if (x->back->over(x))
		return true;
	while (!x->request_done && x->front->readable(x) && x->back->room(x)) {
		ssize_t n;

		if (reads++ == STREAM_TURN) {
			x->front->rearm(x);
			return true;
		}
		n = x->front->read(x, x->thread->in, THREAD_SCRATCH);
		if (n == ERR_AGAIN)
			return true;
		if (n == 0 || n == ERR_CLOSED) {
			x->request_done = true;
			break;
		}
		if (n < 0)
			return false;
		x->bytes_in += (uint64_t)n;
		if (x->back->data(x, str_n(x->thread->in, (size_t)n), false) != OK)
			return false;
	}
	if (x->request_done && x->back->room(x))
		x->back->shut(x);
	return true;
}

/* To the client; false on error, or when the exchange is over. */
static bool pump_down(struct exchange *x)
{
	unsigned reads = 0;
	size_t room;

	while (!x->response_done && x->back->readable(x) && (room = x->front->room(x)) > 0) {
		ssize_t n;

		if (reads++ == STREAM_TURN) {
			x->back->rearm(x);
			return true;
		}
		n = x->back->read(x, x->thread->in, MIN(room, (size_t)THREAD_SCRATCH));
		if (n == ERR_AGAIN)
			return true;
		if (n < 0)
			return false;
		x->response_done = n == 0;
		if (!x->front->data(x, str_n(x->thread->in, (size_t)n), n == 0))
			return false;
	}
	if (x->stream == NULL && x->response_done && x->front->flushed(x) && !x->client->s.ended)
		stream_shutdown(&x->client->s);
	return true;
}

static bool flush(struct exchange *x)
{
	return (x->stream != NULL || stream_flush(&x->client->s) == OK) &&
	       (x->up == NULL || stream_flush(&x->up->s) == OK);
}

/* Both directions are through. A stream is closed for nghttp2 then, unless the server wants no more
 * of what its client may say: the end of the exchange resets it, with NO_ERROR. */
static bool is_over(const struct exchange *x)
{
	if (!x->response_done || !x->back->over(x))
		return false;
	return x->stream != NULL ? x->stream->closed || !x->request_done : x->client->s.ended;
}

void tunnel_stream_pump(struct exchange *x)
{
	const bool well = flush(x) && pump_up(x) && pump_down(x);

	if (x->state != X_TUNNEL)
		return;
	if (!well) {
		exchange_cut(x, "a side of the tunnel reset it");
		return;
	}
	if (is_over(x)) {
		exchange_end(x, x->stream != NULL);
		return;
	}
	if (x->thread->loop->now - x->counted_at >= COUNT_EVERY)
		exchange_count(x);
	exchange_arm(x);
}

void tunnel_stream_start(struct exchange *x, struct str early)
{
	struct client *c = x->client;

	x->request_done = false; /* the client's direction is the request from now on */
	if (early.len > 0 && !x->front->data(x, early, false))
		return;
	if (x->stream == NULL && !flow_empty(&c->in)) {
		x->bytes_in += c->in.len;
		if (x->back->data(x, flow_str(&c->in), false) != OK) {
			exchange_cut(x, "the server closed the tunnel");
			return;
		}
		flow_free(&c->in);
	}
	tunnel_stream_pump(x);
}

bool tunnel_stream_is_half(const struct exchange *x)
{
	return x->request_done || x->response_done;
}
