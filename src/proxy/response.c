/* SPDX-License-Identifier: Apache-2.0 */
/* Forwarding a response: its head rebuilt, its body as it lies, no faster than the client reads. */
#include <errno.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "proxy/exchange.h"

#define INTERIM_MAX 32 /* of one attempt: they are not held up by a client that does not read */

/* Nothing more follows: the server is free, the client may still have to take some of it. */
static void response_over(struct exchange *x, bool keep)
{
	if (!x->request_done)
		x->response_close = true;
	attempt_release(x, keep);
	if (!x->front->flushed(x)) {
		x->state = X_FLUSH;
		exchange_arm(x);
		return;
	}
	exchange_end(x, true);
}

/* The response is whole. */
static void response_done(struct exchange *x)
{
	const bool keep = x->request_done && !x->upstream_close && x->back->room(x);

	attempt_succeeded(x);
	response_over(x, keep);
}

static void broken(struct exchange *x, const char *why)
{
	stat_add(&x->server->stat->c[STAT_RESPONSE_ERRORS], 1);
	exchange_cut(x, why);
}

/* --- bodies from a framed back -------------------------------------------------------------- */

/* Bytes of data that belong to the body; -1 when they are malformed. */
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

/* Chunks for a client that does not know them: only the payload goes on. */
static void body_unpacked(struct exchange *x, struct str data)
{
	while (data.len > 0 && !x->rchunked.done) {
		struct str piece, lines;
		ssize_t n = http_chunked_unpack(&x->rchunked, data.s, data.len, &piece, &lines);

		if (n < 0) {
			broken(x, "the server's chunked coding is malformed");
			return;
		}
		if (piece.len > 0 && !x->front->data(x, piece, false))
			return;
		if (lines.len > 0 && flow_add(&x->rtrailers, lines.s, lines.len) != OK) {
			broken(x, "out of memory");
			return;
		}
		data.s += n;
		data.len -= (size_t)n;
	}
	if (!x->rchunked.done)
		return;
	if (data.len > 0)
		x->upstream_close = true; /* bytes that belong to no response */
	if (x->front->trailers != NULL && !flow_empty(&x->rtrailers)
	        ? x->front->trailers(x, flow_str(&x->rtrailers))
	        : x->front->data(x, STR_NONE, true))
		response_done(x);
}

/* As they lie, behind the head when there is one. */
static void body_framed(struct exchange *x, const struct http_head *h, struct str data)
{
	bool done;
	ssize_t n = body_bytes(x, data, &done);

	if (n < 0) {
		broken(x, "the server's chunked coding is malformed");
		return;
	}
	data.len = (size_t)n;
	if ((h != NULL ? x->front->head(x, h, data, done) : x->front->data(x, data, done)) && done)
		response_done(x);
}

/* --- bodies from a back that gives payload -------------------------------------------------- */

/* Payload in the chunked coding, for a client that knows it and was told of no length. */
static bool pack(struct exchange *x, struct str data, bool end)
{
	return x->front->data(x, http_chunk_pack(x->thread->out, data, end), end);
}

static void body_payload(struct exchange *x, const struct http_head *h, struct str data, bool end)
{
	char small[HEAD_ROOM_BODY];
	bool well;

	if (x->enchunk && h != NULL && data.len <= sizeof(small) - HTTP_CHUNK_ROOM)
		well = x->front->head(x, h, http_chunk_pack(small, data, end), end);
	else if (x->enchunk)
		well = (h == NULL || x->front->head(x, h, STR_NONE, false)) && pack(x, data, end);
	else
		well = h != NULL ? x->front->head(x, h, data, end) : x->front->data(x, data, end);
	if (well && end)
		response_done(x);
}

void response_body(struct exchange *x, struct str data, bool end)
{
	if (!x->back->framed)
		body_payload(x, NULL, data, end);
	else if (x->dechunk)
		body_unpacked(x, data);
	else
		body_framed(x, NULL, data);
}

void response_trailers(struct exchange *x, struct str lines)
{
	bool well = true;

	if (x->front->trailers != NULL)
		well = x->front->trailers(x, lines);
	else if (x->enchunk)
		well = x->front->data(x, STR("0\r\n"), false) && x->front->data(x, lines, false) &&
		       x->front->data(x, STR("\r\n"), true);
	else /* its client cannot be given any */
		well = x->front->data(x, STR_NONE, true);
	if (well)
		response_done(x);
}

/* --- heads ---------------------------------------------------------------------------------- */

static void note_response(struct exchange *x, const struct http_head *h)
{
	x->status = h->status;
	x->head_at = x->thread->loop->now;
	x->rbody = h->body;
	x->rbody_left = h->length;
	if (x->rbody == HTTP_BODY_LENGTH && h->length == 0)
		x->rbody = HTTP_BODY_NONE;
	http_chunked_init(&x->rchunked);
	x->upstream_close = x->back->framed && (h->close || x->rbody == HTTP_BODY_UNTIL_CLOSE);
	x->dechunk = x->rbody == HTTP_BODY_CHUNKED && (x->minor == 0 || !x->front->framed);
	x->enchunk = x->rbody == HTTP_BODY_UNTIL_CLOSE && !x->back->framed && x->front->framed &&
	             x->minor == 1;
	x->response_close = x->client_close || (x->dechunk && x->minor == 0) ||
	                    (x->rbody == HTTP_BODY_UNTIL_CLOSE && !x->enchunk) ||
	                    (!x->request_done && h->status >= 300) || x->thread->closing ||
	                    x->listener->removed;
	x->state = X_RESPONSE;
}

/* One interim or final head at the start of data; the bytes it took, 0: more needed or over. */
static size_t response_head(struct exchange *x, struct str data, bool end)
{
	struct thread *t = x->thread;
	const struct conf_listener *l = x->lconf;
	const struct http_limits limits = { .max_line = MAX(l->max_line, 8192u),
		                            .max_head = MAX(l->max_header_size, 32768u),
		                            .max_fields = HTTP_MAX_FIELDS };
	struct http_head *h = &t->response;
	int n = http_parse_response(h, data.s, data.len, &limits, &x->rscanned,
	                            (enum http_method)x->method);
	struct str rest;

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
	rest = str_n(data.s + n, data.len - (size_t)n);
	if (h->status == 101 && !x->upgrade) {
		exchange_fail(x, 502, "server changed the protocol unasked");
		return 0;
	}
	if (h->status >= 200 || h->status == 101)
		note_response(x, h);
	else if (x->minor == 0)
		return (size_t)n; /* HTTP/1.0 has no interim responses (RFC 9110, 15.2) */
	if (h->status == 101) {
		if (x->front->head(x, h, STR_NONE, false))
			tunnel_start(x, rest);
		return 0;
	}
	if (h->status < 200) {
		if (x->interim++ == INTERIM_MAX) {
			stat_add(&x->server->stat->c[STAT_RESPONSE_ERRORS], 1);
			exchange_fail(x, 502, "server sent too many interim responses");
			return 0;
		}
		x->expect = false;
		return x->front->head(x, h, STR_NONE, false) ? (size_t)n : 0;
	}
	if (!x->back->framed)
		body_payload(x, h, rest, end);
	else if (!x->dechunk)
		body_framed(x, h, rest);
	else if (x->front->head(x, h, STR_NONE, false))
		body_unpacked(x, rest);
	return 0;
}

void response_heads(struct exchange *x, struct str data, bool end)
{
	while (data.len > 0) {
		size_t n = response_head(x, data, end);

		if (n == 0)
			return;
		data.s += n;
		data.len -= n;
	}
}

/* A response that has begun ends early: gRPC's clients can be told why, others see it cut. */
static void ends_early(struct exchange *x, enum fail_why why, const char *text)
{
	struct buf lines = BUF_INIT;

	x->last_fail = (uint8_t)why;
	if (!x->grpc || x->front->trailers == NULL || x->rbody == HTTP_BODY_LENGTH) {
		broken(x, text);
		return;
	}
	stat_add(&x->server->stat->c[STAT_RESPONSE_ERRORS], 1);
	x->reason = x->reason != NULL ? x->reason : strdup(text);
	grpc_lines(exchange_grpc_status(x, why == FAIL_TIMEOUT ? 504 : 502),
	           str_from(x->trusted ? text : "the response ended early"), &lines);
	if (lines.failed) {
		exchange_cut(x, text);
	} else if (x->front->trailers(x, buf_str(&lines))) {
		x->upstream_close = true;
		response_over(x, false);
	}
	buf_free(&lines);
}

static void violated(struct exchange *x, enum fail_why why)
{
	char text[160];

	snprintf(text, sizeof(text), "the server violated HTTP/2 in the middle of its response%s%s",
	         x->bad != NULL ? ": " : "", x->bad != NULL ? x->bad : "");
	ends_early(x, why, text);
}

void response_failed(struct exchange *x, enum fail_why why)
{
	if (x->state == X_SENT)
		attempt_failed(x, why);
	else if (why == FAIL_TIMEOUT)
		ends_early(x, why, "the server stopped in the middle of its response");
	else if (why == FAIL_STREAM)
		ends_early(x, why, "the server reset the request in the middle of its response");
	else if (why == FAIL_BAD_RESPONSE || why == FAIL_HTTP2)
		violated(x, why);
	else
		ends_early(x, why, "the server closed in the middle of its response");
}

void response_end(struct exchange *x, ssize_t err)
{
	if (x->state == X_RESPONSE && x->rbody == HTTP_BODY_UNTIL_CLOSE && err == ERR_CLOSED) {
		if (x->front->framed || x->front->data(x, STR_NONE, true))
			response_done(x);
		return;
	}
	response_failed(x, err == ERR_CLOSED ? FAIL_CLOSED : fail_errno(errno));
}

void response_pump(struct exchange *x)
{
	if (x->state != X_SENT && x->state != X_RESPONSE)
		return;
	x->back->pump(x);
	if (x->state == X_SENT || x->state == X_RESPONSE)
		exchange_arm(x);
}
