/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnels of WebSockets whose client speaks HTTP/2 (RFC 8441): bytes between a stream and a
 * server's connection. The end of a direction is END_STREAM on one side and FIN on the other.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/exchange.h"
#include "proxy/http2.h"

#define COUNT_EVERY NS_PER_S

/* To the server; false on error. */
static bool pump_up(struct exchange *x, struct stream *server)
{
	unsigned reads = 0;

	while (!x->request_done && x->front->readable(x) && flow_empty(&server->out)) {
		ssize_t n;

		if (reads++ == STREAM_TURN) {
			x->front->rearm(x);
			return true;
		}
		n = x->front->read(x, x->thread->in, THREAD_SCRATCH);
		if (n == ERR_AGAIN)
			return true;
		if (n == 0) {
			x->request_done = true;
			break;
		}
		if (n > 0) {
			const struct iovec iov = { x->thread->in, (size_t)n };

			x->bytes_in += (uint64_t)n;
			if (stream_send(server, &iov, 1) == OK)
				continue;
		}
		return false;
	}
	if (x->request_done && !server->ended && flow_empty(&server->out))
		stream_shutdown(server);
	return true;
}

/* To the client; false on error, or when the exchange is over. */
static bool pump_down(struct exchange *x, struct stream *server)
{
	unsigned reads = 0;
	size_t room;

	while (server->readable && !server->eof && (room = x->front->room(x)) > 0) {
		ssize_t n;

		if (reads++ == STREAM_TURN) {
			loop_rearm(x->thread->loop, &server->io, STREAM_EVENTS);
			return true;
		}
		n = stream_recv(server, x->thread->in, MIN(room, (size_t)THREAD_SCRATCH));
		if (n == ERR_AGAIN)
			return true;
		if (n == ERR_CLOSED)
			return x->front->data(x, STR_NONE, true);
		if (n < 0)
			return false;
		if (!x->front->data(x, str_n(x->thread->in, (size_t)n), false))
			return false;
	}
	return true;
}

void tunnel_stream_pump(struct exchange *x)
{
	struct stream *server = &x->up->s;
	const bool well = stream_flush(server) == OK && pump_up(x, server) && pump_down(x, server);

	if (x->state != X_TUNNEL)
		return;
	if (!well) {
		exchange_cut(x, "a side of the tunnel reset it");
		return;
	}
	if (x->thread->loop->now - x->counted_at >= COUNT_EVERY)
		exchange_count(x);
	exchange_arm(x);
}

void tunnel_stream_start(struct exchange *x, struct str early)
{
	x->request_done = false; /* the stream goes on: it is the client's direction now */
	if (x->up == NULL) {
		exchange_cut(x, "no tunnel to a server that speaks HTTP/2");
		return;
	}
	if (early.len > 0 && !x->front->data(x, early, false))
		return;
	tunnel_stream_pump(x);
}

bool tunnel_stream_is_half(const struct exchange *x)
{
	return x->request_done || x->up->s.eof;
}
