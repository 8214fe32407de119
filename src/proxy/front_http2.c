/* SPDX-License-Identifier: Apache-2.0 */
/* The client's side of an exchange on a stream of an HTTP/2 connection. Proxy role, one worker
 * thread each. */
#include "base/check.h"
#include "base/err.h"
#include "proxy/exchange.h"
#include "proxy/http2.h"

/* --- the request ---------------------------------------------------------------------------- */

static ssize_t http2_read(struct exchange *x, void *p, size_t size)
{
	struct http2_stream *st = x->stream;
	const struct str had = flow_str(&st->in);
	const size_t n = MIN(had.len, size);

	if (n == 0)
		return st->in_end ? 0 : ERR_AGAIN;
	memcpy(p, had.s, n);
	flow_drop(&st->in, n);
	if (st->closed)
		nghttp2_session_consume_connection(st->h->ng, n);
	else /* the server takes it: the window opens */
		nghttp2_session_consume(st->h->ng, st->id, n);
	http2_dirty(st->h);
	return (ssize_t)n;
}

static bool http2_readable(const struct exchange *x)
{
	return !flow_empty(&x->stream->in) || x->stream->in_end;
}

static bool http2_whole(const struct exchange *x)
{
	return flow_empty(&x->stream->in) && x->stream->in_end;
}

static void http2_rearm(struct exchange *x)
{
	struct http2_stream *st = x->stream;

	if (!st->working) {
		st->working = true;
		TAILQ_INSERT_TAIL(&st->h->work, st, work);
	}
	loop_rearm(x->thread->loop, &x->client->s.io, STREAM_EVENTS);
}

static int http2_unread(struct exchange *x, struct str data)
{
	CHECK(!"bytes of a stream that do not belong to its request");
	return ERR_UNEXPECTED;
}

/* --- the response --------------------------------------------------------------------------- */

static bool failed(struct exchange *x)
{
	exchange_cut(x, "out of memory");
	return false;
}

static void out_ends(struct http2_stream *st)
{
	st->out_end = true;
	st->h->nended++;
}

/* Adds to the body and wakes nghttp2. */
static bool give(struct exchange *x, struct str data, bool end)
{
	struct http2_stream *st = x->stream;

	if (http2_put(st, data) != OK)
		return failed(x);
	x->bytes_out += data.len;
	if (end)
		out_ends(st);
	if (st->deferred) {
		st->deferred = false;
		nghttp2_session_resume_data(st->h->ng, st->id);
	}
	http2_dirty(st->h);
	return true;
}

/* What another node further back told us, because it trusts us. */
static void hide_reason(const struct http_head *h)
{
	unsigned i;

	for (i = 0; i < h->nfields; i++)
		if (h->fields[i].id == HTTP_FIELD_HOLDFAST_REASON)
			((struct http_field *)&h->fields[i])->hop = true;
}

/* The listener's word on HSTS instead of the server's, as head_response() does. Returns how many
 * are in nva then. */
static size_t put_hsts(const struct exchange *x, nghttp2_nv *nva, size_t n)
{
	static const char name[] = "strict-transport-security";
	struct str line = str_from(x->listener->hsts);
	size_t i, left = 0;

	for (i = 0; i < n; i++)
		if (!str_eq_nocase(str_n((char *)nva[i].name, nva[i].namelen), str_from(name)))
			nva[left++] = nva[i];
	if (left == H2_TEXT_NV)
		return left;
	nva[left] = (nghttp2_nv){ .name = (uint8_t *)name,
		                  .namelen = sizeof(name) - 1,
		                  .value = (uint8_t *)line.s + sizeof(name) + 1,
		                  .valuelen = line.len - sizeof(name) - 3 };
	return left + 1;
}

/* RFC 7541, 6.2.3: what the server marked stays so; for all fields, since any may be sent so. */
static void protect(const struct exchange *x, nghttp2_nv *nva, size_t n)
{
	size_t i;

	for (i = 0; x->rsensitive && i < n; i++)
		nva[i].flags |= NGHTTP2_NV_FLAG_NO_INDEX;
}

static bool submit(struct http2_stream *st, const nghttp2_nv *nva, size_t n, bool body)
{
	const nghttp2_data_provider provider = { .source.ptr = st,
		                                 .read_callback = http2_read_data };

	st->begun = true;
	http2_dirty(st->h);
	return nghttp2_submit_response(st->h->ng, st->id, nva, n, body ? &provider : NULL) == 0;
}

/* RFC 6455, 4.2.2: what the server must say to our key. */
static bool is_accepted(const struct http2_stream *st, const struct http_head *h)
{
	const struct http_field *f = http_field_named(h, STR("sec-websocket-accept"));
	char want[WEBSOCKET_ACCEPT_LEN + 1];

	if (f == NULL)
		return false;
	((struct http_field *)f)->hop = true; /* RFC 8441, 5: not used */
	websocket_accept(st->key, want);
	return str_eq(f->value, str_from(want));
}

static bool refuse_upgrade(struct exchange *x, const char *why)
{
	x->status = 0; /* the client was told of none yet */
	exchange_fail(x, 502, "%s", why);
	return false;
}

/* RFC 8441, 5: 101 becomes 200, and the stream a tunnel. */
static bool http2_upgraded(struct exchange *x, const struct http_head *h)
{
	struct http2_stream *st = x->stream;
	nghttp2_nv *nva = st->h->ht->nva;
	char status[4];
	size_t n;

	if (!st->websocket)
		return refuse_upgrade(x, "server changed the protocol unasked");
	if (!is_accepted(st, h))
		return refuse_upgrade(x, "server's Sec-WebSocket-Accept does not answer our key");
	x->status = 200;
	n = h2_text_response_nv(h, status, nva);
	memcpy(status, "200", sizeof(status));
	x->bytes_out += h->size;
	return submit(st, nva, n, true) || failed(x);
}

static bool http2_head(struct exchange *x, const struct http_head *h, struct str data, bool end)
{
	struct http2_stream *st = x->stream;
	nghttp2_nv *nva = st->h->ht->nva;
	char status[4];
	size_t n;

	if (unlikely(http_has(h, HTTP_FIELD_HOLDFAST_REASON)) && !x->trusted)
		hide_reason(h);
	if (unlikely(h->status == 101))
		return http2_upgraded(x, h);
	if (unlikely(st->websocket) && h->status >= 200 && h->status < 300)
		return refuse_upgrade(x, "server answered a WebSocket's request without changing "
		                         "the protocol");
	n = h2_text_response_nv(h, status, nva);
	if (x->listener->hsts != NULL && h->status >= 200)
		n = put_hsts(x, nva, n);
	protect(x, nva, n);
	x->bytes_out += h->size;
	if (h->status < 200) {
		http2_dirty(st->h);
		return nghttp2_submit_headers(st->h->ng, NGHTTP2_FLAG_NONE, st->id, NULL, nva, n,
		                              NULL) == 0 ||
		       failed(x);
	}
	if (!submit(st, nva, n, !end || data.len > 0))
		return failed(x);
	if (end && data.len == 0) {
		st->sent = true; /* with the head */
		out_ends(st);
		return true;
	}
	return give(x, data, end);
}

static bool http2_data(struct exchange *x, struct str data, bool end)
{
	return give(x, data, end);
}

static bool http2_trailers(struct exchange *x, struct str lines)
{
	struct http2_stream *st = x->stream;
	nghttp2_nv nva[1];

	if (h2_text_trailers_nv(lines, nva, 1) > 0 &&
	    flow_add(&st->trailers, lines.s, lines.len) != OK)
		return failed(x);
	x->bytes_out += lines.len;
	return give(x, STR_NONE, true);
}

static void http2_page(struct exchange *x, struct str text)
{
	static const struct http_limits limits = { 8192, 65536, HTTP_MAX_FIELDS };
	struct http2_stream *st = x->stream;
	struct http_head *h = &st->h->ht->page;
	char status[4];
	size_t scanned = 0, n;
	int len;

	if (st->malformed || st->begun)
		return;
	len = http_parse_response(h, text.s, text.len, &limits, &scanned,
	                          (enum http_method)x->method);
	CHECK(len > 0); /* our own */
	n = h2_text_response_nv(h, status, st->h->ht->nva);
	text = str_n(text.s + len, text.len - (size_t)len);
	if (!submit(st, st->h->ht->nva, n, text.len > 0) || http2_put(st, text) != OK)
		return; /* end() resets the stream, whose response is not whole */
	x->bytes_out += (size_t)len + text.len;
	st->sent = text.len == 0;
	out_ends(st);
}

/* Beyond the bounds of connection and thread: what can go out at once, so that streams that do not
 * move never hold up one that does; and a response's head, which no window holds back. */
static size_t room_beyond(const struct http2_stream *st)
{
	const struct http2 *h = st->h;
	const int32_t all = nghttp2_session_get_remote_window_size(h->ng);
	const int32_t own = nghttp2_session_get_stream_remote_window_size(h->ng, st->id);
	const uint64_t window = (uint64_t)MAX(MIN(all, own), 0);

	if (st->begun)
		return (size_t)MIN(window, (uint64_t)THREAD_SCRATCH);
	return HTTP2_FIRST + (size_t)(window > h->held ? window - h->held : 0);
}

static size_t http2_room(const struct exchange *x)
{
	struct http2_stream *st = x->stream;
	struct http2 *h = st->h;
	const size_t waiting = http2_waiting(st);
	size_t room = 0;

	if (!h->blocked && waiting < HTTP2_STREAM) {
		if (h->held < HTTP2_HELD && h->ht->held < HTTP2_HELD_ALL)
			room = THREAD_SCRATCH;
		else if (waiting == 0 && !h->dirty) /* else first what there is goes out */
			room = room_beyond(st);
	}
	if (room == 0 && !st->starved) {
		st->starved = true;
		h->nstarved++;
	}
	return room;
}

static bool http2_flushed(const struct exchange *x)
{
	return false; /* the turn's end sends it, and tells of that by front_http2_sent() */
}

static bool http2_gone(const struct exchange *x)
{
	return x->stream->gone || x->client->s.broken || x->client->s.eof;
}

static void http2_cut(struct exchange *x)
{
	struct http2_stream *st = x->stream;

	st->cut = true;
	if (st->error == 0)
		st->error = x->state == X_TUNNEL ? NGHTTP2_CANCEL : NGHTTP2_INTERNAL_ERROR;
}

/* Nothing has moved for as long as `response` allows although it was there to be sent: windows are
 * closed over it. All of them closed is a flood; one stream's may be a matter of that alone. */
static void http2_stuck(struct exchange *x)
{
	struct http2_stream *st = x->stream;
	struct http2 *h = st->h;

	if (nghttp2_session_get_remote_window_size(h->ng) <= 0 && http2_waiting(st) > 0) {
		http2_calm(h, WIRE_FLOOD_WINDOW, "it let responses wait behind a closed window");
	} else if (http2_waiting(st) > 0 && !h->blocked) {
		stat_add(&x->listener->wire->c[WIRE_FLOOD_WINDOW], 1);
		st->error = NGHTTP2_ENHANCE_YOUR_CALM;
	}
}

static void http2_end(struct exchange *x, bool keep)
{
	struct http2_stream *st = x->stream;
	struct http2 *h = st->h;

	x->stream = NULL;
	st->x = NULL;
	h->nx--;
	if (st->starved) {
		st->starved = false;
		h->nstarved--;
	}
	if (!flow_empty(&st->in)) {
		if (!h->freeing)
			nghttp2_session_consume_connection(h->ng, st->in.len);
		flow_free(&st->in);
	}
	if (st->closed) {
		http2_stream_free(st);
		return;
	}
	if (h->freeing)
		return;
	if (st->malformed && st->error == 0)
		st->error = NGHTTP2_PROTOCOL_ERROR;
	if (!st->reset && (st->cut || !st->out_end)) {
		st->reset = true;
		http2_drop(st);
		flow_free(&st->trailers);
		nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, st->id,
		                          st->error != 0 ? st->error : NGHTTP2_INTERNAL_ERROR);
	}
	http2_dirty(h);
}

/* --- events --------------------------------------------------------------------------------- */

void front_http2_closed(struct http2_stream *st, uint32_t error)
{
	struct exchange *x = st->x;
	const bool whole = error == NGHTTP2_NO_ERROR && st->sent;

	st->closed = true;
	if (x == NULL) {
		http2_stream_free(st);
	} else if (whole && x->state == X_TUNNEL && st->in_end) {
		tunnel_pump(x); /* its last words may still be on their way to the server */
	} else if (whole && (x->state == X_FLUSH || x->state == X_TUNNEL)) {
		exchange_end(x, true);
	} else {
		st->gone = true;
		exchange_cut(x, "the client reset the stream");
	}
}

void front_http2_sent(struct http2_stream *st)
{
	if (st->x != NULL && st->x->state == X_FLUSH)
		exchange_end(st->x, true);
}

void front_http2_event(struct http2_stream *st)
{
	struct exchange *x = st->x;

	CHECK_MAGIC(x, EXCHANGE_MAGIC);
	if (x->state == X_TUNNEL)
		tunnel_pump(x);
	else
		request_pump(x);
}

void front_http2_room(struct http2_stream *st)
{
	struct exchange *x = st->x;

	CHECK_MAGIC(x, EXCHANGE_MAGIC);
	if (x->state == X_TUNNEL)
		tunnel_pump(x);
	else
		response_pump(x);
}

void front_http2_malformed(struct http2_stream *st, const char *why)
{
	struct exchange *x = st->x;

	st->error = NGHTTP2_PROTOCOL_ERROR;
	if (x->status == 0)
		x->status = 400; /* for the log; the client sees RST_STREAM */
	stat_add(&x->listener->stat->c[STAT_BAD_REQUESTS], 1);
	http2_reset_seen(st->h);
	exchange_cut(x, why);
}

const struct front_ops front_http2 = {
	.name = "HTTP/2.0",
	.framed = false,
	.read = http2_read,
	.readable = http2_readable,
	.whole = http2_whole,
	.rearm = http2_rearm,
	.unread = http2_unread,
	.head = http2_head,
	.data = http2_data,
	.trailers = http2_trailers,
	.page = http2_page,
	.room = http2_room,
	.flushed = http2_flushed,
	.gone = http2_gone,
	.cut = http2_cut,
	.stuck = http2_stuck,
	.end = http2_end,
};
