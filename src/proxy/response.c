/* SPDX-License-Identifier: Apache-2.0 */
/* Forwarding a response: its head rebuilt, its body as it lies, no faster than the client reads. */
#include <errno.h>

#include "base/check.h"
#include "base/err.h"
#include "proxy/exchange.h"

/* Bytes of a body that are copied behind its head rather than gathered: cheaper up to here. */
#define SMALL_BODY 4096

/* Bytes of the head or body go to the client; false when it is gone. */
static bool to_client(struct exchange *x, const struct iovec *iov, int n)
{
	int i;

	for (i = 0; i < n; i++)
		x->bytes_out += iov[i].iov_len;
	if (stream_send(&x->client->s, iov, n) == OK)
		return true;
	exchange_cut(x, "the client closed the connection");
	return false;
}

/* The response is whole: the server is free, the client may still have to take some of it. */
static void response_done(struct exchange *x)
{
	const bool keep = x->request_done && !x->upstream_close && flow_empty(&x->up->s.out);

	attempt_succeeded(x);
	if (!x->request_done)
		x->response_close = true;
	attempt_release(x, keep);
	if (!flow_empty(&x->client->s.out)) {
		x->state = X_FLUSH;
		exchange_arm(x);
		return;
	}
	exchange_end(x, true);
}

/* Bytes of data that belong to the body; -1 when the exchange is over. */
static ssize_t body_bytes(struct exchange *x, struct str data, bool *done)
{
	ssize_t n = (ssize_t)data.len;

	*done = false;
	switch (x->rbody) {
	case HTTP_BODY_NONE:
		n = 0;
		*done = true;
		break;
	case HTTP_BODY_LENGTH:
		n = (ssize_t)MIN(data.len, x->rbody_left);
		x->rbody_left -= (uint64_t)n;
		*done = x->rbody_left == 0;
		break;
	case HTTP_BODY_CHUNKED:
		n = http_chunked_scan(&x->rchunked, data.s, data.len, NULL);
		if (n < 0)
			return -1;
		*done = x->rchunked.done;
		break;
	case HTTP_BODY_UNTIL_CLOSE:
		break;
	}
	if (*done && (size_t)n < data.len)
		x->upstream_close = true; /* bytes that belong to no response */
	return n;
}

/* The same for a client that does not know chunks: only the data goes on. */
static bool body_unpacked(struct exchange *x, struct str data)
{
	while (data.len > 0 && !x->rchunked.done) {
		struct str piece = STR_NONE;
		ssize_t n = http_chunked_scan(&x->rchunked, data.s, data.len, &piece);
		struct iovec iov;

		if (n < 0) {
			stat_add(&x->server->stat->c[STAT_RESPONSE_ERRORS], 1);
			exchange_cut(x, "the server's chunked coding is malformed");
			return false;
		}
		iov = (struct iovec){ .iov_base = (char *)piece.s, .iov_len = piece.len };
		if (piece.len > 0 && !to_client(x, &iov, 1))
			return false;
		data.s += n;
		data.len -= (size_t)n;
	}
	if (x->rchunked.done) {
		if (data.len > 0)
			x->upstream_close = true; /* bytes that belong to no response */
		response_done(x);
	}
	return x->state != X_ENDED;
}

/* Passes body bytes on, behind head bytes when there are some. */
static void response_body(struct exchange *x, struct str head, struct str data)
{
	struct iovec iov[2];
	bool done;
	ssize_t n;
	int k = 0;

	if (x->dechunk) {
		iov[0] = (struct iovec){ (char *)head.s, head.len };
		if (head.len == 0 || to_client(x, iov, 1))
			body_unpacked(x, data);
		return;
	}
	n = body_bytes(x, data, &done);
	if (n < 0) {
		stat_add(&x->server->stat->c[STAT_RESPONSE_ERRORS], 1);
		exchange_cut(x, "the server's chunked coding is malformed");
		return;
	}
	if (head.len > 0 && n > 0 && n <= SMALL_BODY) {
		/* The head lies in thread->out with room behind it: one plain send. */
		memcpy((char *)head.s + head.len, data.s, (size_t)n);
		head.len += (size_t)n;
		n = 0;
	}
	if (head.len > 0)
		iov[k++] = (struct iovec){ (char *)head.s, head.len };
	if (n > 0)
		iov[k++] = (struct iovec){ (char *)data.s, (size_t)n };
	if (k > 0 && !to_client(x, iov, k))
		return;
	if (done)
		response_done(x);
}

static void note_response(struct exchange *x, const struct http_head *h)
{
	x->status = h->status;
	x->head_at = x->thread->loop->now;
	x->rbody = h->body;
	x->rbody_left = h->length;
	if (x->rbody == HTTP_BODY_LENGTH && h->length == 0)
		x->rbody = HTTP_BODY_NONE;
	http_chunked_init(&x->rchunked);
	x->upstream_close = h->close || x->rbody == HTTP_BODY_UNTIL_CLOSE;
	x->dechunk = x->rbody == HTTP_BODY_CHUNKED && x->minor == 0;
	x->response_close = x->client_close || x->dechunk || x->rbody == HTTP_BODY_UNTIL_CLOSE ||
	                    (!x->request_done && h->status >= 300) || x->thread->closing ||
	                    x->listener->removed;
	x->state = X_RESPONSE;
}

/* One interim or final head at the start of data; the bytes it took, 0: more needed or over. */
static size_t response_head(struct exchange *x, struct str data)
{
	struct thread *t = x->thread;
	const struct conf_listener *l = x->lconf;
	const struct http_limits limits = { .max_line = MAX(l->max_line, 8192u),
		                            .max_head = MAX(l->max_header_size, 32768u),
		                            .max_fields = HTTP_MAX_FIELDS };
	struct http_head *h = &t->response;
	int n = http_parse_response(h, data.s, data.len, &limits, &x->rscanned,
	                            (enum http_method)x->method);
	size_t len;

	if (n < 0) {
		stat_add(&x->server->stat->c[STAT_RESPONSE_ERRORS], 1);
		exchange_fail(x, 502, "server sent an invalid response: %s",
		              http_fault_text((enum http_fault) - n));
		return 0;
	}
	if (n == 0) {
		if (flow_empty(&x->rin) && flow_add(&x->rin, data.s, data.len) != OK)
			exchange_fail(x, 502, "out of memory");
		return 0;
	}
	x->rscanned = 0;
	if (h->status == 101 && !x->upgrade) {
		exchange_fail(x, 502, "server changed the protocol unasked");
		return 0;
	}
	if (h->status >= 200 || h->status == 101)
		note_response(x, h);
	else if (x->minor == 0)
		return (size_t)n; /* HTTP/1.0 has no interim responses (RFC 9110, 15.2) */
	len = head_response(x, h, t->out, sizeof(t->out) - SMALL_BODY);
	CHECK(len > 0); /* heads are at most 64 KiB, out is twice that */
	if (h->status == 101) {
		struct iovec iov = { .iov_base = t->out, .iov_len = len };

		if (to_client(x, &iov, 1))
			tunnel_start(x, str_n(data.s + n, data.len - (size_t)n));
		return 0;
	}
	if (h->status < 200) {
		struct iovec iov = { .iov_base = t->out, .iov_len = len };

		x->expect = false;
		return to_client(x, &iov, 1) ? (size_t)n : 0;
	}
	response_body(x, str_n(t->out, len), str_n(data.s + n, data.len - (size_t)n));
	return 0;
}

/* Heads until the final one. */
static void response_heads(struct exchange *x, struct str data)
{
	while (data.len > 0) {
		size_t n = response_head(x, data);

		if (n == 0)
			return;
		data.s += n;
		data.len -= n;
	}
}

/* The server's end of the connection came, in order or not. */
static void response_end(struct exchange *x, ssize_t err)
{
	enum fail_why why = err == ERR_CLOSED ? FAIL_CLOSED : fail_errno(errno);

	if (x->state == X_SENT) {
		attempt_failed(x, why);
	} else if (x->rbody == HTTP_BODY_UNTIL_CLOSE && err == ERR_CLOSED) {
		response_done(x);
	} else {
		stat_add(&x->server->stat->c[STAT_RESPONSE_ERRORS], 1);
		exchange_cut(x, "the server closed in the middle of its response");
	}
}

void response_pump(struct exchange *x)
{
	struct upstream *u;
	unsigned reads = 0;

	while ((x->state == X_SENT || x->state == X_RESPONSE) && (u = x->up) != NULL &&
	       u->s.readable && flow_empty(&x->client->s.out)) {
		struct thread *t = x->thread;
		size_t had = x->state == X_SENT ? x->rin.len : 0;
		ssize_t n;

		if (reads++ == STREAM_TURN) {
			loop_rearm(t->loop, &u->s.io, STREAM_EVENTS);
			break;
		}
		if (had > 0)
			memcpy(t->in, flow_str(&x->rin).s, had);
		n = stream_recv(&u->s, t->in + had, THREAD_SCRATCH);
		if (n == ERR_AGAIN)
			break;
		if (n < 0) {
			response_end(x, n);
			return;
		}
		if (x->state == X_SENT) {
			x->got = true;
			flow_free(&x->rin);
			response_heads(x, str_n(t->in, had + (size_t)n));
		} else {
			response_body(x, STR_NONE, str_n(t->in, (size_t)n));
		}
		if (x->state == X_TUNNEL)
			return;
	}
	if (x->state == X_SENT || x->state == X_RESPONSE)
		exchange_arm(x);
}
