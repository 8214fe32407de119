/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What HTTP/2 clients are sent. Responses' bodies that came in a turn of the loop are laid into the
 * thread's memory and go from there into frames; only what a client or its windows do not take now
 * gets memory of its own. Proxy role, one worker thread each.
 */
#include "base/check.h"
#include "base/err.h"
#include "proxy/exchange.h"
#include "proxy/http2.h"

#define TINY 256 /* bytes of a DATA frame that a window has made small */

/* --- what waits ----------------------------------------------------------------------------- */

/* Moves what lies in the thread's memory to the stream's own. */
static int settle(struct http2_stream *st)
{
	const uint32_t len = st->turn_len;

	if (len == 0)
		return OK;
	st->turn_len = 0;
	st->h->nturn--;
	return flow_add(&st->out, st->h->ht->turn + st->turn_at, len);
}

int http2_put(struct http2_stream *st, struct str data)
{
	struct http2 *h = st->h;
	struct http2_thread *ht = h->ht;
	const bool behind = st->turn_len == 0 || st->turn_at + st->turn_len == ht->nturn;

	if (data.len == 0)
		return OK;
	h->held += data.len;
	ht->held += data.len;
	if (!behind || data.len > sizeof(ht->turn) - ht->nturn || h->blocked)
		return settle(st) == OK && flow_add(&st->out, data.s, data.len) == OK ? OK
		                                                                      : ERR_NOMEM;
	if (st->turn_len == 0) {
		st->turn_at = (uint32_t)ht->nturn;
		h->nturn++;
	}
	memcpy(ht->turn + ht->nturn, data.s, data.len);
	ht->nturn += data.len;
	st->turn_len += (uint32_t)data.len;
	return OK;
}

void http2_drop(struct http2_stream *st)
{
	st->h->held -= http2_waiting(st);
	st->h->ht->held -= http2_waiting(st);
	flow_free(&st->out);
	if (st->turn_len > 0)
		st->h->nturn--;
	st->turn_len = 0;
}

/* --- callbacks ------------------------------------------------------------------------------ */

static void submit_trailers(struct http2_stream *st)
{
	nghttp2_nv *nva = st->h->ht->nva;
	const size_t n = h2_text_trailers_nv(flow_str(&st->trailers), nva, H2_TEXT_NV);

	if (st->x != NULL && st->x->rsensitive) /* RFC 7541, 6.2.3 */
		for (size_t i = 0; i < n; i++)
			nva[i].flags |= NGHTTP2_NV_FLAG_NO_INDEX;
	nghttp2_submit_trailer(st->h->ng, st->id, nva, n);
	flow_free(&st->trailers);
}

ssize_t http2_read_data(nghttp2_session *ng, int32_t id, uint8_t *buf, size_t length,
                        uint32_t *flags, nghttp2_data_source *source, void *user)
{
	struct http2_stream *st = source->ptr;
	const size_t waiting = http2_waiting(st), n = MIN(waiting, length);

	CHECK_MAGIC(st, HTTP2_STREAM_MAGIC);
	if (waiting == 0 && !st->out_end) {
		st->deferred = true;
		return NGHTTP2_ERR_DEFERRED;
	}
	*flags |= NGHTTP2_DATA_FLAG_NO_COPY;
	if (n < waiting && n < TINY)
		http2_take(st->h, HTTP2_WINDOW); /* it opens its windows byte by byte */
	if (n == waiting && st->out_end) {
		*flags |= NGHTTP2_DATA_FLAG_EOF;
		st->sent = true;
		if (!flow_empty(&st->trailers)) {
			*flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
			submit_trailers(st);
		}
	}
	return (ssize_t)n;
}

static void add(struct http2_thread *ht, const void *data, size_t len)
{
	CHECK(len <= sizeof(ht->out) - ht->nout);
	memcpy(ht->out + ht->nout, data, len);
	ht->nout += len;
}

static int send_data(nghttp2_session *ng, nghttp2_frame *frame, const uint8_t *head, size_t length,
                     nghttp2_data_source *source, void *user)
{
	struct http2 *h = user;
	struct http2_stream *st = source->ptr;
	size_t n = MIN(length, (size_t)st->out.len);

	CHECK(length <= http2_waiting(st));
	if (length + 9 > sizeof(h->ht->out) - h->ht->nout) {
		h->ht->full = true;
		return NGHTTP2_ERR_WOULDBLOCK;
	}
	add(h->ht, head, 9);
	h->held -= length;
	h->ht->held -= length;
	if (n > 0) {
		add(h->ht, flow_str(&st->out).s, n);
		flow_drop(&st->out, n);
		length -= n;
	}
	if (length > 0) {
		add(h->ht, h->ht->turn + st->turn_at, length);
		st->turn_at += (uint32_t)length;
		st->turn_len -= (uint32_t)length;
		if (st->turn_len == 0)
			h->nturn--;
	}
	http2_credit(h, HTTP2_WINDOW, 4);
	http2_credit(h, HTTP2_PING, 1);
	return 0;
}

void http2_send_callbacks(nghttp2_session_callbacks *cbs)
{
	nghttp2_session_callbacks_set_send_data_callback(cbs, send_data);
}

/* --- the end of a turn ---------------------------------------------------------------------- */

static bool push(struct http2 *h)
{
	struct http2_thread *ht = h->ht;
	const struct iovec iov = { ht->out, ht->nout };

	if (ht->nout == 0)
		return true;
	ht->nout = 0;
	if (stream_send(&h->c->s, &iov, 1) != OK)
		return false;
	h->blocked = !flow_empty(&h->c->s.out);
	return true;
}

/* A GOAWAY of nghttp2's own tells of a violation that it found. */
static void look_at(struct http2 *h, const uint8_t *frame, size_t len)
{
	if (len == 13 && frame[3] == NGHTTP2_RST_STREAM) {
		http2_ids_reset(&h->ids, http2_number(frame + 5));
		/* RFC 9113, 6.9.2: a window that SETTINGS lift too far concerns the connection,
		 * which nghttp2 does not say. */
		if (http2_number(frame + 9) == NGHTTP2_FLOW_CONTROL_ERROR)
			http2_violation(h, NGHTTP2_FLOW_CONTROL_ERROR, "flow control was broken");
	}
	if (len < 17 || frame[3] != NGHTTP2_GOAWAY || h->over)
		return;
	if (frame[13] == 0 && frame[14] == 0 && frame[15] == 0 && frame[16] == NGHTTP2_NO_ERROR)
		return;
	http2_violation(h, NGHTTP2_PROTOCOL_ERROR,
	                h->ht->why[0] != '\0' ? h->ht->why : "a violation of the protocol");
	h->ht->why[0] = '\0';
}

/* Frames until there are no more, or the socket takes no more. */
static bool send_frames(struct http2 *h)
{
	struct http2_thread *ht = h->ht;

	while (!h->blocked) {
		const uint8_t *p;
		ssize_t n = nghttp2_session_mem_send(h->ng, &p);

		if (n < 0)
			return false;
		if (n > 0) {
			look_at(h, p, (size_t)n);
			if ((size_t)n > sizeof(ht->out) - ht->nout && !push(h))
				return false;
			add(ht, p, (size_t)n);
		}
		if ((n == 0 || ht->nout >= HTTP2_OUT) && !push(h))
			return false;
		if (n == 0 && !ht->full)
			break;
		ht->full = false;
	}
	ht->full = false;
	return true;
}

/* Responses that have left us whole; what is left of their requests is not wanted (RFC 9113, 8.1).
 * True when there is something to say again. */
static bool sweep(struct http2 *h)
{
	struct http2_stream *st, *next;
	bool more = false;

	for (st = TAILQ_FIRST(&h->streams); st != NULL && h->nended > 0; st = next) {
		next = TAILQ_NEXT(st, link);
		if (!st->sent || st->reset)
			continue;
		if (st->websocket && st->x != NULL && st->x->state == X_TUNNEL)
			continue; /* the client's half is still open */
		if (!st->in_end) {
			nghttp2_submit_rst_stream(h->ng, NGHTTP2_FLAG_NONE, st->id,
			                          NGHTTP2_NO_ERROR);
			st->reset = more = true;
		}
		front_http2_sent(st);
	}
	return more;
}

void http2_feed_starved(struct http2 *h)
{
	struct http2_stream *st, *next;

	for (st = TAILQ_FIRST(&h->streams); st != NULL && h->nstarved > 0; st = next) {
		next = TAILQ_NEXT(st, link);
		if (!st->starved || st->x == NULL)
			continue;
		st->starved = false;
		h->nstarved--;
		/* Without room its time limit goes on: a client that only talks does not move it.
		 */
		if (st->x->front->room(st->x) > 0) {
			/* Others come first next time: beyond the bounds one of them has its turn.
			 */
			TAILQ_REMOVE(&h->streams, st, link);
			TAILQ_INSERT_TAIL(&h->streams, st, link);
			front_http2_room(st);
		}
	}
}

static bool settle_all(struct http2 *h)
{
	struct http2_stream *st;

	TAILQ_FOREACH (st, &h->streams, link) {
		if (h->nturn == 0)
			break;
		if (settle(st) != OK)
			return false;
	}
	return true;
}

/* The list and the timer that the connection belongs to now. */
static void note_state(struct http2 *h)
{
	struct client *c = h->c;

	if (h->over)
		return; /* its timer is that of the end */
	if (h->head_open && c->state != CLIENT_HEAD)
		client_head(c);
	else if (!h->head_open && h->nx > 0 && c->state != CLIENT_BUSY)
		client_busy(c);
	else if (!h->head_open && h->nx == 0 && c->state != CLIENT_IDLE)
		client_idle(c);
}

/* Ends the connection, so that the client still reads what it was told last. */
static void finish(struct http2 *h)
{
	struct client *c = h->c;

	h->over = true;
	http2_cut_all(h, "the client's connection was ended by GOAWAY");
	http2_free(c);
	client_linger(c);
}

void http2_flush(struct http2 *h)
{
	struct client *c = h->c;
	bool well;

	CHECK_MAGIC(h, HTTP2_MAGIC);
	c->reading = true;
	do
		well = send_frames(h) && settle_all(h);
	while (well && !h->blocked && h->nended > 0 && sweep(h));
	c->reading = false;
	if (!well || c->s.broken) {
		client_close(c, true);
		return;
	}
	if (!nghttp2_session_want_read(h->ng) && !nghttp2_session_want_write(h->ng)) {
		finish(h);
		return;
	}
	if (!h->blocked && h->nstarved > 0 && !h->hungry) {
		h->hungry = true;
		TAILQ_INSERT_TAIL(&h->ht->hungry, h, hungry_link);
	}
	note_state(h);
}
