/* SPDX-License-Identifier: Apache-2.0 */
/* Tunnels after an Upgrade (WebSocket): bytes both ways as they lie, half-closes passed on. */
#include "base/err.h"
#include "proxy/exchange.h"

/* From one socket to the other until nothing more is there or the sink is full; false on error. */
static bool tunnel_half(struct exchange *x, struct stream *from, struct stream *to, uint64_t *bytes)
{
	unsigned reads = 0;

	while (from->readable && !from->eof && flow_empty(&to->out)) {
		struct iovec iov;
		ssize_t n;

		if (reads++ == STREAM_TURN) {
			loop_rearm(x->thread->loop, &from->io, STREAM_EVENTS);
			return true;
		}
		n = stream_recv(from, x->thread->in, THREAD_SCRATCH);
		if (n == ERR_AGAIN)
			return true;
		if (n == ERR_CLOSED)
			break;
		if (n < 0)
			return false;
		*bytes += (uint64_t)n;
		iov = (struct iovec){ .iov_base = x->thread->in, .iov_len = (size_t)n };
		if (stream_send(to, &iov, 1) != OK)
			return false;
	}
	if (from->eof && flow_empty(&to->out) && !to->ended)
		stream_shutdown(to);
	return true;
}

void tunnel_pump(struct exchange *x)
{
	struct stream *client = &x->client->s, *server = &x->up->s;

	if (stream_flush(client) != OK || stream_flush(server) != OK ||
	    !tunnel_half(x, client, server, &x->bytes_in) ||
	    !tunnel_half(x, server, client, &x->bytes_out) || client->broken) {
		exchange_cut(x, "a side of the tunnel reset it");
		return;
	}
	if (client->eof && server->eof && flow_empty(&client->out) && flow_empty(&server->out)) {
		x->response_close = true;
		exchange_end(x, false);
		return;
	}
	exchange_arm(x);
}

void tunnel_start(struct exchange *x, struct str early)
{
	struct client *c = x->client;
	struct iovec iov = { .iov_base = (char *)early.s, .iov_len = early.len };

	x->state = X_TUNNEL;
	x->response_close = true;
	x->upstream_close = true;
	stat_add(&x->listener->stat->c[STAT_UPGRADES], 1);
	attempt_succeeded(x);
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
