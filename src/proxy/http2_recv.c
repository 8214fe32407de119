/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What HTTP/2 clients send: header blocks become text while they come (http/h2_text.h), requests
 * are taken on as soon as their head is whole, bodies wait in their streams until the read is
 * through. Callbacks of nghttp2, which may submit frames and send none. Proxy role, one worker
 * thread each.
 */
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/exchange.h"
#include "proxy/http2.h"

static struct http2_stream *stream_of(struct http2 *h, int32_t id)
{
	struct http2_stream *st = nghttp2_session_get_stream_user_data(h->ng, id);

	if (st != NULL)
		CHECK_MAGIC(st, HTTP2_STREAM_MAGIC);
	return st;
}

static void queue_work(struct http2_stream *st)
{
	if (st->working || st->x == NULL)
		return;
	st->working = true;
	TAILQ_INSERT_TAIL(&st->h->work, st, work);
}

/* --- what costs nothing --------------------------------------------------------------------- */

static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *user)
{
	struct http2 *h = user;
	const bool empty = hd->length == 0;

	switch (hd->type) {
	case NGHTTP2_SETTINGS:
		http2_take(h, HTTP2_SETTINGS);
		break;
	case NGHTTP2_PING:
		http2_take(h, HTTP2_PING);
		break;
	case NGHTTP2_WINDOW_UPDATE:
		http2_take(h, HTTP2_WINDOW);
		break;
	case NGHTTP2_RST_STREAM:
		stat_add(&h->c->listener->wire->c[WIRE_H2_RESETS], 1);
		http2_reset_seen(h);
		break;
	case NGHTTP2_DATA:
		if (empty && !(hd->flags & NGHTTP2_FLAG_END_STREAM))
			http2_take(h, HTTP2_EMPTY);
		break;
	case NGHTTP2_HEADERS:
		http2_ids_look(h, hd->type, (uint32_t)hd->stream_id);
		if (empty)
			http2_take(h, HTTP2_EMPTY);
		break;
	case NGHTTP2_CONTINUATION:
		if (empty)
			http2_take(h, HTTP2_EMPTY);
		break;
	case NGHTTP2_PRIORITY:
		if (hd->stream_id == 0) /* RFC 9113, 6.3 */
			http2_violation(h, NGHTTP2_PROTOCOL_ERROR, "PRIORITY on stream 0");
		http2_take(h, HTTP2_EMPTY);
		break;
	default: /* what we do not know */
		http2_take(h, HTTP2_EMPTY);
	}
	return 0;
}

/* --- header blocks -------------------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct http2 *h = user;
	const struct conf_listener *l = h->c->listener->conf;
	const bool request = frame->headers.cat == NGHTTP2_HCAT_REQUEST;
	const struct http_limits limits = { .max_head = request ? l->max_header_size
		                                                : MIN(l->max_header_size,
		                                                      (uint32_t)HTTP_MAX_TRAILERS),
		                            .max_fields = l->max_headers };

	h->head_open = true;
	h->sensitive = false;
	h->head_bytes = 0;
	h->head_stream = frame->hd.stream_id;
	h2_text_begin(&h->head, request ? H2_TEXT_REQUEST : H2_TEXT_TRAILERS, h->ht->head,
	              sizeof(h->ht->head), &limits);
	if (request)
		h2_text_websocket(&h->head, h->ht->key);
	return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *user)
{
	struct http2 *h = user;

	if (flags & NGHTTP2_NV_FLAG_NO_INDEX)
		h->sensitive = true;
	/* A byte may stand for a field of 4 KB: nobody answers 431 for that for long. */
	h->head_bytes += (uint32_t)(name_len + value_len) + 32;
	if (h->head_bytes > HTTP2_HEAD_ALL)
		http2_calm(h, WIRE_FLOOD_CONTINUATION, "a header block of more than 1 MiB");
	if (h->head_open && !h->over)
		h2_text_field(&h->head, str_n((const char *)name, name_len),
		              str_n((const char *)value, value_len));
	return 0;
}

/* 16 random bytes in Base64 (RFC 6455, 4.1). */
static void make_key(char key[WEBSOCKET_KEY_LEN + 1])
{
	const uint64_t r[2] = { random_u64(), random_u64() };

	EVP_EncodeBlock((unsigned char *)key, (const unsigned char *)r, sizeof(r));
}

static void refuse(struct http2_stream *st, unsigned status, const char *why)
{
	struct http2 *h = st->h;

	http2_reset_seen(h); /* our resets that a client causes count as its own; so does 431 */
	exchange_refuse_stream(st, status, why);
}

static void take_request(struct http2 *h, struct http2_stream *st, bool end)
{
	const struct conf_listener *l = h->c->listener->conf;
	const struct http_limits limits = { .max_line = l->max_line,
		                            .max_head = l->max_header_size,
		                            .max_fields = l->max_headers };
	struct http_head *head = &h->c->thread->request;
	enum h2_fault fault;
	size_t scanned = 0;
	int n;

	if (h->head.seen & 1U << H2_PROTOCOL)
		make_key(h->ht->key);
	st->in_end = end;
	fault = h2_text_end(&h->head, end);
	if (fault != H2_FAULT_NONE) {
		const unsigned status = h2_fault_status(fault);

		st->malformed = status == 0;
		refuse(st, status != 0 ? status : 400, h2_fault_text(fault));
		return;
	}
	n = http_parse_request(head, h->head.out, h->head.len, &limits, &scanned);
	if (n < 0) {
		refuse(st, http_fault_status((enum http_fault) - n),
		       http_fault_text((enum http_fault) - n));
		return;
	}
	if ((size_t)n != h->head.len) { /* never two requests of one */
		refuse(st, 400, "a head that does not end where it should");
		return;
	}
	st->sized = h->head.sized;
	st->in_left = h->head.length;
	st->websocket = h->head.extended;
	st->sensitive = h->sensitive;
	if (st->websocket)
		memcpy(st->key, h->ht->key, sizeof(st->key));
	exchange_start_stream(st, head);
}

static void take_trailers(struct http2 *h, struct http2_stream *st, bool end)
{
	const enum h2_fault fault = h2_text_end(&h->head, end);

	if (st->x == NULL)
		return;
	if (st->websocket) /* RFC 9113, 8.5 */
		front_http2_malformed(st, "header fields in a tunnel");
	else if (!end) /* RFC 9113, 8.1 */
		front_http2_malformed(st, "header fields in the middle of a message");
	else if (fault != H2_FAULT_NONE)
		front_http2_malformed(st, h2_fault_text(fault));
	else if (flow_add(&st->x->trailers, h->head.out, h->head.len) != OK)
		front_http2_malformed(st, "out of memory");
}

static void end_of_request(struct http2_stream *st)
{
	st->in_end = true;
	if (st->x == NULL)
		return;
	if (st->sized && st->in_left > 0)
		front_http2_malformed(st, "the body is shorter than its Content-Length");
	else
		queue_work(st);
}

static void on_headers(struct http2 *h, const nghttp2_frame *frame)
{
	const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	struct http2_stream *st;

	h->head_open = false;
	if (frame->headers.cat == NGHTTP2_HCAT_REQUEST) {
		http2_credit(h, HTTP2_EMPTY, 2);
		http2_credit(h, HTTP2_WINDOW, 4);
		if (http2_ids_doomed(&h->ids, (uint32_t)frame->hd.stream_id))
			return;
		st = http2_stream_new(h, frame->hd.stream_id);
		if (st == NULL)
			nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
			                          NGHTTP2_REFUSED_STREAM);
		else
			take_request(h, st, end);
		return;
	}
	st = stream_of(h, frame->hd.stream_id);
	if (st == NULL)
		return;
	take_trailers(h, st, end);
	if (end)
		end_of_request(st);
}

/* --- bodies --------------------------------------------------------------------------------- */

static int on_data_chunk(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data,
                         size_t len, void *user)
{
	struct http2 *h = user;
	struct http2_stream *st = stream_of(h, id);

	if (h->over)
		return 0;
	if (st == NULL || st->x == NULL) {
		nghttp2_session_consume_connection(ng, len);
		return 0;
	}
	if (st->sized && len > st->in_left) { /* RFC 9113, 8.1.1 */
		nghttp2_session_consume_connection(ng, len);
		front_http2_malformed(st, "the body is longer than its Content-Length");
		return 0;
	}
	if (st->sized)
		st->in_left -= len;
	if (flow_add(&st->in, data, len) != OK) {
		nghttp2_session_consume_connection(ng, len);
		exchange_cut(st->x, "out of memory");
		return 0;
	}
	queue_work(st);
	return 0;
}

static void on_data(struct http2 *h, const nghttp2_frame *frame)
{
	const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
	struct http2_stream *st;

	/* Padding alone is no content either. */
	if (!end && frame->hd.length > 0 && frame->hd.length <= frame->data.padlen)
		http2_take(h, HTTP2_EMPTY);
	if (!end)
		return;
	st = stream_of(h, frame->hd.stream_id);
	if (st != NULL)
		end_of_request(st);
}

/* --- frames --------------------------------------------------------------------------------- */

static int on_frame(nghttp2_session *ng, const nghttp2_frame *frame, void *user)
{
	struct http2 *h = user;

	if (h->over)
		return 0;
	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		on_headers(h, frame);
		break;
	case NGHTTP2_DATA:
		on_data(h, frame);
		break;
	case NGHTTP2_PING:
		if (frame->hd.flags & NGHTTP2_FLAG_ACK)
			http2_left(h);
		break;
	default:
		break;
	}
	return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t error, void *user)
{
	struct http2 *h = user;
	struct http2_stream *st = stream_of(h, id);

	if (h->head_open && h->head_stream == id)
		h->head_open = false;
	if (st == NULL)
		return 0;
	nghttp2_session_set_stream_user_data(ng, id, NULL);
	front_http2_closed(st, error);
	return 0;
}

/* What nghttp2 finds wrong; it may only be a stream's matter. */
static int on_error(nghttp2_session *ng, int code, const char *msg, size_t len, void *user)
{
	struct http2 *h = user;
	const size_t n = MIN(len, sizeof(h->ht->why) - 1);

	memcpy(h->ht->why, msg, n);
	h->ht->why[n] = '\0';
	return 0;
}

void http2_recv_callbacks(nghttp2_session_callbacks *cbs)
{
	nghttp2_session_callbacks_set_on_begin_frame_callback(cbs, on_begin_frame);
	nghttp2_session_callbacks_set_on_begin_headers_callback(cbs, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cbs, on_header);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cbs, on_data_chunk);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cbs, on_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cbs, on_stream_close);
	nghttp2_session_callbacks_set_error_callback2(cbs, on_error);
}

/* A header block that is not whole leaves the thread's memory with the end of a read. */
static void put_away(struct http2 *h)
{
	size_t used = h2_text_used(&h->head);
	char *p = malloc(used + 1);

	if (p == NULL) {
		http2_violation(h, NGHTTP2_INTERNAL_ERROR, "out of memory");
		return;
	}
	h2_text_move(&h->head, p, used);
	h->spill = p;
}

static void take_back(struct http2 *h)
{
	h2_text_move(&h->head, h->ht->head, sizeof(h->ht->head));
	free(h->spill);
	h->spill = NULL;
}

static void failed(struct http2 *h, ssize_t err)
{
	switch (err) {
	case NGHTTP2_ERR_FLOODED:
		http2_calm(h, WIRE_FLOOD_PING,
		           "it does not take the answers to its PING or "
		           "SETTINGS frames");
		break;
	case NGHTTP2_ERR_TOO_MANY_CONTINUATIONS:
		http2_calm(h, WIRE_FLOOD_CONTINUATION, "too many CONTINUATION frames");
		break;
	case NGHTTP2_ERR_NOMEM:
		http2_violation(h, NGHTTP2_INTERNAL_ERROR, "out of memory");
		break;
	default:
		http2_violation(h, NGHTTP2_PROTOCOL_ERROR, nghttp2_strerror((int)err));
	}
}

void http2_feed(struct http2 *h, const char *data, size_t len)
{
	ssize_t n;

	if (h->spill != NULL)
		take_back(h);
	http2_ids_walk(h, data, len);
	n = nghttp2_session_mem_recv(h->ng, (const uint8_t *)data, len);
	if (n < 0)
		failed(h, n);
	if (h->head_open && !h->over)
		put_away(h);
}
