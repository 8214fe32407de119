/* SPDX-License-Identifier: Apache-2.0 */
/*
 * WebSockets on streams of HTTP/2 connections to servers (RFC 8441): an Upgrade goes out as an
 * extended CONNECT where the server offers that, and what grants it comes back as the 101 that
 * answers the Upgrade's key (http/h2_text.c); so neither of the two kinds of clients is told apart
 * here. Then bytes both ways; see tunnel_stream.c. Proxy role, one worker thread each.
 */
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "proxy/back_http2.h"

int up_tunnel_ask(struct up_stream *st, struct http_head *h)
{
	const struct str key = websocket_key(h);

	/* RFC 8441, 3. The SETTINGS have come: before them no connection takes a request. */
	if (nghttp2_session_get_remote_settings(st->conn->session,
	                                        NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL) != 1)
		return ERR_UNSUPPORTED;
	if (key.len == 0) /* it would have been refused when it was taken on */
		return ERR_UNSUPPORTED;
	websocket_accept(key.s, st->accept);
	return OK;
}

ssize_t up_tunnel_read(struct exchange *x, void *p, size_t size)
{
	struct up_stream *st = x->up2;
	const struct str had = flow_str(&st->in);
	const size_t n = MIN(had.len, size);
	const uint32_t owed = MIN(st->owed, (uint32_t)n);

	if (n == 0)
		return st->whole ? 0 : ERR_AGAIN; /* or its event tells what became of it */
	memcpy(p, had.s, n);
	flow_drop(&st->in, n);
	st->owed -= owed;
	if (owed > 0 && st->conn != NULL && !st->closed) {
		nghttp2_session_consume_stream(st->conn->session, st->id, owed);
		up_conn_pend(st->conn);
	}
	return (ssize_t)n;
}

bool up_tunnel_readable(const struct exchange *x)
{
	return !flow_empty(&x->up2->in) || x->up2->whole;
}

void up_tunnel_rearm(struct exchange *x)
{
	up_stream_due(x->up2);
}

void up_tunnel_shut(struct exchange *x)
{
	if (!x->up2->end)
		up_stream_data(x->up2, STR_NONE, true); /* what fails has an event of its own */
}

bool up_tunnel_over(const struct exchange *x)
{
	return x->up2->sent_all || x->up2->closed;
}

/* The stream's end was no orderly one. A server that has said its last words may close it with
 * NO_ERROR: it wants nothing more of its client (RFC 9113, 8.1). */
static const char *breach(const struct up_stream *st)
{
	if (st->conn == NULL)
		return st->whole ? NULL : "the server's connection ended in the tunnel";
	if (!st->closed || (st->whole && (st->sent_all || st->error == NGHTTP2_NO_ERROR)))
		return NULL;
	return "the server reset the tunnel";
}

void up_tunnel_event(struct up_stream *st)
{
	struct exchange *x = st->x;
	const char *why;
	char text[160];

	if (st->malformed) {
		snprintf(text, sizeof(text), "the server violated HTTP/2 in the tunnel: %s",
		         x->bad != NULL ? x->bad : "out of memory");
		exchange_cut(x, text);
		return;
	}
	tunnel_pump(x);
	if (st->x != x)
		return;
	why = breach(st);
	if (why != NULL)
		exchange_cut(x, why);
}
