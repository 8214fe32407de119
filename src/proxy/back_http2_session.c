/* SPDX-License-Identifier: Apache-2.0 */
/* What nghttp2 tells of a connection to a server, and what it asks; see back_http2.h. Nothing here
 * closes a connection or ends an exchange, but for bodies that are passed on as they come. */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/back_http2.h"

static struct up_stream *stream_of(nghttp2_session *session, int32_t id)
{
	return nghttp2_session_get_stream_user_data(session, id);
}

/* What nghttp2 shall do after a callback: a connection that has ended meanwhile parses no more. */
static int go_on(const struct up_conn *c)
{
	return c->state == UP_CLOSED ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* Frames that carry nothing are counted: a server that sends too many ends the connection. */
static void note_noise(struct up_conn *c)
{
	const uint64_t now = c->thread->loop->now;

	if (now - c->noise_since >= NS_PER_S) {
		c->noise_since = now;
		c->noise = 0;
	}
	if (++c->noise == UP_NOISE) {
		c->going = true;
		c->why = FAIL_HTTP2;
		nghttp2_session_terminate_session(c->session, NGHTTP2_ENHANCE_YOUR_CALM);
	}
}

/* why: for the reason of the answer; it lives for ever. */
static void reset(struct up_conn *c, struct up_stream *st, uint32_t code, const char *why)
{
	st->malformed = true;
	if (st->x != NULL)
		st->x->bad = why;
	up_stream_due(st);
	nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, st->id, code);
}

/* --- heads ---------------------------------------------------------------------------------- */

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	static const struct http_limits limits = { .max_head = UP_HEAD,
		                                   .max_fields = HTTP_MAX_FIELDS };
	struct up_stream *st = stream_of(session, frame->hd.stream_id);
	struct up_conn *c = arg;

	if (frame->hd.type != NGHTTP2_HEADERS) { /* RFC 9113, 8.4: none was allowed */
		c->going = true;
		c->why = FAIL_HTTP2;
		nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR);
	}
	h2_text_begin(&c->text, st != NULL && st->final ? H2_TEXT_TRAILERS : H2_TEXT_RESPONSE,
	              c->thread->up->text, sizeof(c->thread->up->text), &limits);
	if (st != NULL && st->accept[0] != '\0') {
		memcpy(c->accept, st->accept, sizeof(c->accept)); /* it may end before the block */
		h2_text_accept(&c->text, c->accept);
	}
	c->in_block = true;
	return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name,
                     size_t name_len, const uint8_t *value, size_t value_len, uint8_t flags,
                     void *arg)
{
	struct up_conn *c = arg;
	const struct up_stream *st = stream_of(session, frame->hd.stream_id);

	/* RFC 7541, 6.2.3: what must never be indexed stays so on the next hop. */
	if ((flags & NGHTTP2_NV_FLAG_NO_INDEX) != 0 && st != NULL && st->x != NULL)
		st->x->rsensitive = true;
	h2_text_field(&c->text, str_n((const char *)name, name_len),
	              str_n((const char *)value, value_len));
	return 0; /* what is wrong with it is told at the end */
}

/* RFC 9113, 8.1.1: what defines that there is no content counts before a Content-Length. */
static void note_length(struct up_stream *st, const struct h2_text *t)
{
	const bool none =
	    !st->tunnel && (st->x->method == HTTP_HEAD || t->status == 204 || t->status == 304);

	st->sized = t->sized || none;
	st->left = none ? 0 : t->length;
}

/* END_STREAM came. */
static void ends(struct up_conn *c, struct up_stream *st)
{
	if (st->malformed)
		return;
	if (!st->final) {
		reset(c, st, NGHTTP2_PROTOCOL_ERROR, "no head");
	} else if (st->sized && st->left > 0) {
		reset(c, st, NGHTTP2_PROTOCOL_ERROR, "body shorter than its Content-Length");
	} else {
		st->whole = true;
		up_stream_due(st);
	}
}

static void take_headers(struct up_conn *c, struct up_stream *st, bool end)
{
	struct h2_text *t = &c->text;
	struct flow *to = st->final ? &st->lines : &st->in;
	const char *why = NULL;

	c->in_block = false;
	if (st->x == NULL || st->malformed)
		return;
	if (h2_text_end(t, end) != H2_FAULT_NONE)
		why = h2_fault_text((enum h2_fault)t->fault);
	else if (st->tunnel) /* RFC 9113, 8.5 */
		why = "header fields in a tunnel";
	else if (st->final && !end) /* RFC 9113, 8.1 */
		why = "header fields in the middle of a message";
	else if (!st->final && t->status < 200 && st->interim++ == UP_INTERIM)
		why = "too many interim responses";
	if (why != NULL) {
		reset(c, st, NGHTTP2_PROTOCOL_ERROR, why);
		return;
	}
	if (t->len > 0 && flow_add(to, t->out, t->len) != OK) {
		reset(c, st, NGHTTP2_INTERNAL_ERROR, "out of memory");
		return;
	}
	if (t->status >= 200) {
		st->final = c->proved = true;
		st->tunnel = t->extended;
		note_length(st, t);
	}
	if (end)
		ends(c, st);
	else
		up_stream_due(st);
}

/* --- frames --------------------------------------------------------------------------------- */

static void take_data_frame(struct up_conn *c, const nghttp2_frame *frame)
{
	struct up_stream *st = stream_of(c->session, frame->hd.stream_id);
	const bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;

	if (frame->hd.length == frame->data.padlen && !end)
		note_noise(c);
	if (st != NULL && st->x != NULL && end)
		ends(c, st);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct up_conn *c = arg;
	struct up_stream *st;

	switch (frame->hd.type) {
	case NGHTTP2_HEADERS:
		st = stream_of(session, frame->hd.stream_id);
		c->in_block = false;
		if (st != NULL)
			take_headers(c, st, (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0);
		break;
	case NGHTTP2_DATA:
		take_data_frame(c, frame);
		break;
	case NGHTTP2_SETTINGS:
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
			if (c->state == UP_PREFACE)
				c->state = UP_OPEN;
			else
				note_noise(c);
		}
		break;
	case NGHTTP2_PING:
		if ((frame->hd.flags & NGHTTP2_FLAG_ACK) == 0) {
			note_noise(c);
		} else if (c->suspect) {
			c->suspect = false;
			loop_timer_stop(c->thread->loop, &c->timer);
		}
		break;
	case NGHTTP2_GOAWAY: /* RFC 9113, 6.8: nghttp2 closes the streams that it left out */
		c->going = true;
		break;
	case NGHTTP2_WINDOW_UPDATE:
	case NGHTTP2_RST_STREAM:
		break;
	default:
		note_noise(c);
	}
	return go_on(c);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data,
                   size_t len, void *arg)
{
	struct up_conn *c = arg;
	struct up_stream *st = stream_of(session, id);
	struct exchange *x = st != NULL ? st->x : NULL;

	nghttp2_session_consume_connection(session, len);
	if (x == NULL || st->malformed)
		return 0;
	if (!st->final || (st->sized && len > st->left)) {
		reset(c, st, NGHTTP2_PROTOCOL_ERROR,
		      st->final ? "more data than its head allows" : "data before its head");
		return 0;
	}
	st->left -= st->sized ? len : 0;
	up_stream_due(st);
	if (len >= UP_DIRECT && flow_empty(&st->in) &&
	    (x->state == X_RESPONSE || x->state == X_TUNNEL) && x->front->room(x)) {
		if (x->state == X_TUNNEL)
			x->front->data(x, str_n((const char *)data, len), false);
		else
			response_body(x, str_n((const char *)data, len), false);
		if (st->x == x)
			nghttp2_session_consume_stream(session, id, len);
	} else if (flow_add(&st->in, data, len) == OK) {
		st->owed += (uint32_t)len;
	} else {
		reset(c, st, NGHTTP2_INTERNAL_ERROR, "out of memory");
	}
	return go_on(c);
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int code,
                            void *arg)
{
	struct up_conn *c = arg;
	struct up_stream *st =
	    frame->hd.stream_id != 0 ? stream_of(session, frame->hd.stream_id) : NULL;

	if (st != NULL) { /* nghttp2 resets it */
		st->malformed = true;
		if (st->x != NULL)
			st->x->bad = "a frame that HTTP/2 does not allow";
		up_stream_due(st);
	} else {
		c->why = FAIL_HTTP2;
	}
	return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
	struct up_conn *c = arg;
	struct up_stream *st = stream_of(session, id);

	if (st == NULL)
		return 0;
	st->closed = true;
	st->error = error;
	c->nstreams--;
	up_stream_due(st);
	return 0;
}

/* --- sending -------------------------------------------------------------------------------- */

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
	struct up_stream *st;

	if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
		return 0;
	st = stream_of(session, frame->hd.stream_id);
	if (st == NULL)
		return 0;
	st->sent = true;
	if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0)
		st->sent_all = true;
	return 0;
}

static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *arg)
{
	struct up_stream *st;

	if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
		return 0;
	st = stream_of(session, frame->hd.stream_id);
	if (st != NULL) /* its close follows */
		st->sent = false;
	return 0;
}

/* The next part of a request's body: how much of `out` goes into a frame. */
ssize_t up_session_read(nghttp2_session *session, int32_t id, uint8_t *buf, size_t size,
                        uint32_t *flags, nghttp2_data_source *source, void *arg)
{
	struct up_stream *st = source->ptr;
	const size_t n = MIN(size, (size_t)st->out.len);

	if (n == 0 && !st->end) {
		st->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (!st->end || n < st->out.len)
		return (ssize_t)n;
	*flags |= NGHTTP2_DATA_FLAG_EOF;
	if (st->trailers && st->x != NULL) {
		nghttp2_nv *nva = st->conn->thread->up->nva;
		size_t fields = h2_text_trailers_nv(flow_str(&st->x->trailers), nva, H2_TEXT_NV);

		if (fields > 0 && nghttp2_submit_trailer(session, id, nva, fields) == 0)
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
	}
	return (ssize_t)n;
}

/* A DATA frame goes out: its head, and what up_session_read has promised. */
static int on_send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                        size_t len, nghttp2_data_source *source, void *arg)
{
	struct up_conn *c = arg;
	struct up_thread *up = c->thread->up;
	struct up_stream *st = source->ptr;
	const struct str data = flow_str(&st->out);

	CHECK(len <= data.len);
	if (up->out_len + 9 + len > sizeof(up->out))
		return NGHTTP2_ERR_WOULDBLOCK;
	memcpy(up->out + up->out_len, head, 9);
	up->out_len += 9;
	if (data.s != NULL && len > 0) {
		memcpy(up->out + up->out_len, data.s, len);
		up->out_len += len;
		flow_drop(&st->out, len);
	}
	if (flow_empty(&st->out))
		up_stream_due(st); /* there is room for more */
	return 0;
}

/* --- sessions ------------------------------------------------------------------------------- */

int up_session_options(struct up_thread *up)
{
	nghttp2_session_callbacks *cb;

	if (nghttp2_session_callbacks_new(&cb) != 0)
		return ERR_NOMEM;
	up->callbacks = cb;
	if (nghttp2_option_new(&up->option) != 0)
		return ERR_NOMEM;
	nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
	nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
	nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
	nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
	nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
	nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
	nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
	nghttp2_session_callbacks_set_on_frame_not_send_callback(cb, on_frame_not_send);
	nghttp2_session_callbacks_set_send_data_callback(cb, on_send_data);
	nghttp2_option_set_no_auto_window_update(up->option, 1);
	nghttp2_option_set_no_closed_streams(up->option, 1);
	/* Messages are judged here and by h2_text.c, once, with a reason. */
	nghttp2_option_set_no_http_messaging(up->option, 1);
	nghttp2_option_set_max_send_header_block_length(up->option, 512 * 1024);
	return OK;
}

int up_session_new(struct up_thread *up, struct up_conn *c)
{
	static const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_ENABLE_PUSH, 0 },
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 0 },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, UP_WINDOW },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, UP_HEAD },
	};

	if (nghttp2_session_client_new2(&c->session, up->callbacks, c, up->option) != 0 ||
	    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings)) !=
	        0 ||
	    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0,
	                                          UP_CONN_WINDOW) != 0)
		return ERR_NOMEM;
	return OK;
}
