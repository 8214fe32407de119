/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of an exchange on an HTTP/1.1 connection. Proxy role, one worker thread each.
 */
#include "base/check.h"
#include "base/err.h"
#include "proxy/exchange.h"

static ssize_t http1_read(struct exchange *x, void *p, size_t size)
{
	return stream_recv(&x->client->s, p, size);
}

static bool http1_readable(const struct exchange *x)
{
	return x->client->s.readable;
}

static void http1_rearm(struct exchange *x)
{
	loop_rearm(x->thread->loop, &x->client->s.io, STREAM_EVENTS);
}

static int http1_unread(struct exchange *x, struct str data)
{
	return flow_add(&x->client->in, data.s, data.len);
}

static bool http1_send(struct exchange *x, const struct iovec *iov, int n)
{
	int i;

	for (i = 0; i < n; i++)
		x->bytes_out += iov[i].iov_len;
	if (stream_send(&x->client->s, iov, n) == OK)
		return true;
	exchange_cut(x, "the client closed the connection");
	return false;
}

static bool http1_head(struct exchange *x, const struct http_head *h, struct str data, bool end)
{
	struct thread *t = x->thread;
	size_t len = head_response(x, h, t->out, sizeof(t->out) - HEAD_ROOM_BODY);
	struct iovec iov[2];

	CHECK(len > 0); /* heads are at most 64 KiB, out is twice that */
	if (data.len > 0 && data.len <= HEAD_ROOM_BODY) {
		/* One plain send is cheaper than gathering, up to here. */
		memcpy(t->out + len, data.s, data.len);
		len += data.len;
		data = STR_NONE;
	}
	iov[0] = (struct iovec){ t->out, len };
	iov[1] = (struct iovec){ (char *)data.s, data.len };
	return http1_send(x, iov, data.len > 0 ? 2 : 1);
}

static bool http1_data(struct exchange *x, struct str data, bool end)
{
	struct iovec iov = { (char *)data.s, data.len };

	return data.len == 0 || http1_send(x, &iov, 1);
}

static void http1_page(struct exchange *x, struct str text)
{
	struct iovec iov = { (char *)text.s, text.len };

	if (stream_send(&x->client->s, &iov, 1) == OK)
		x->bytes_out += text.len;
}

static bool http1_flushed(const struct exchange *x)
{
	return flow_empty(&x->client->s.out);
}

static size_t http1_room(const struct exchange *x)
{
	return http1_flushed(x) ? THREAD_SCRATCH : 0;
}

static bool http1_gone(const struct exchange *x)
{
	return x->client->s.broken || x->client->s.eof;
}

static void http1_cut(struct exchange *x)
{
	flow_free(&x->client->s.out);
	x->client->s.broken = true; /* client_done() resets */
}

static void http1_end(struct exchange *x, bool keep)
{
	struct client *c = x->client;

	c->last = x->request_done && flow_empty(&c->in);
	client_done(c, keep && !c->s.broken);
}

void front_http1_event(struct exchange *x)
{
	struct client *c = x->client;

	CHECK_MAGIC(x, EXCHANGE_MAGIC);
	if (c->s.broken) {
		exchange_cut(x, "the client closed the connection");
		return;
	}
	if (x->state == X_TUNNEL) { /* a direction that waits does not hold up the other */
		tunnel_pump(x);
		return;
	}
	if (!flow_empty(&c->s.out)) {
		if (stream_flush(&c->s) != OK) {
			exchange_cut(x, "the client closed the connection");
			return;
		}
		if (!flow_empty(&c->s.out))
			return;
		if (x->state == X_FLUSH) {
			exchange_end(x, true);
			return;
		}
	}
	if ((x->state == X_SENT || x->state == X_RESPONSE) && request_pump(x))
		response_pump(x);
}

const struct front_ops front_http1 = {
	.name = "HTTP/1.1",
	.framed = true,
	.read = http1_read,
	.readable = http1_readable,
	.rearm = http1_rearm,
	.unread = http1_unread,
	.head = http1_head,
	.data = http1_data,
	.page = http1_page,
	.room = http1_room,
	.flushed = http1_flushed,
	.gone = http1_gone,
	.cut = http1_cut,
	.end = http1_end,
};
