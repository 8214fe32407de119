/* SPDX-License-Identifier: Apache-2.0 */
/* Forwarding a request: its head, then its body, no faster than the server takes it. The body goes
 * on as it lies where both sides frame it alike; else chunks are packed or unpacked here. */
#include <errno.h>

#include "base/check.h"
#include "base/err.h"
#include "proxy/exchange.h"

/* Behind a body of known length: only HTTP/2 has a place for them, on both sides. Without this the
 * end of such a body would have to be waited for, which is a DATA frame more. */
static bool may_have_trailers(const struct exchange *x)
{
	return !x->front->framed && !x->back->framed &&
	       (!x->front->whole(x) || !flow_empty(&x->trailers));
}

ssize_t request_scan(struct exchange *x, struct str data)
{
	ssize_t n;

	if (x->body == HTTP_BODY_LENGTH || !x->front->framed) {
		if (x->body == HTTP_BODY_LENGTH && data.len > x->body_left && !x->front->framed)
			return -HTTP_FAULT_BAD_LENGTH; /* RFC 9113, 8.1.1 */
		n = (ssize_t)data.len;
		if (x->body == HTTP_BODY_LENGTH) {
			n = (ssize_t)MIN(data.len, x->body_left);
			x->body_left -= (uint64_t)n;
			x->request_done = x->body_left == 0 && !may_have_trailers(x);
		}
	} else {
		n = http_chunked_scan(&x->chunked, data.s, data.len, NULL);
		if (n < 0)
			return n;
		x->request_done = x->chunked.done;
	}
	x->bytes_in += (uint64_t)n;
	return n;
}

/* Keeps what was sent, for a server that will say that it did nothing of it. */
static void hold(struct exchange *x, struct str data)
{
	if (!x->holds)
		return;
	if (x->hold.len + data.len <= EXCHANGE_HOLD && flow_add(&x->hold, data.s, data.len) == OK)
		return;
	x->holds = false;
	flow_free(&x->hold);
}

/* Payload as a chunk; with end the last one and trailers follow. */
static int pack(struct exchange *x, struct str data, bool end)
{
	const struct str trailers = flow_str(&x->trailers);
	struct str packed = http_chunk_pack(x->thread->out, data, end && trailers.len == 0);

	if (end && trailers.len > 0) {
		char *p = x->thread->out + packed.len;

		CHECK(packed.len + trailers.len + 8 < sizeof(x->thread->out));
		p = mempcpy(p, "0\r\n", 3);
		p = mempcpy(p, trailers.s, trailers.len);
		p = mempcpy(p, "\r\n", 2);
		packed.len = (size_t)(p - packed.s);
	}
	return packed.len > 0 ? x->back->data(x, packed, end) : OK;
}

/* The end of a body, for a back that is not framed. */
static int finish(struct exchange *x)
{
	return flow_empty(&x->trailers) ? x->back->data(x, STR_NONE, true)
	                                : x->back->trailers(x, flow_str(&x->trailers));
}

/* Chunks as payload. They have been scanned before: they are well formed. */
static int unpack(struct exchange *x, struct str data, bool end)
{
	int err = OK;

	while (data.len > 0 && err == OK) {
		struct str piece, lines;
		ssize_t n = http_chunked_unpack(&x->unpack, data.s, data.len, &piece, &lines);

		CHECK(n > 0);
		if (piece.len > 0)
			err = x->back->data(x, piece, false);
		else if (lines.len > 0)
			err = flow_add(&x->trailers, lines.s, lines.len);
		data = str_n(data.s + n, data.len - (size_t)n);
	}
	return err == OK && end ? finish(x) : err;
}

/* Whether the body's bytes go to the server as they come from the client. */
static bool is_alike(const struct exchange *x)
{
	return x->body != HTTP_BODY_CHUNKED || x->front->framed == x->back->framed;
}

static int convert(struct exchange *x, struct str data, bool end)
{
	return x->back->framed ? pack(x, data, end) : unpack(x, data, end);
}

bool request_send(struct exchange *x)
{
	struct str body = !flow_empty(&x->hold) ? flow_str(&x->hold) : x->slice;
	const bool alike = is_alike(x);
	bool more;
	int err;

	x->sent = true;
	x->state = X_SENT;
	http_chunked_init(&x->unpack);
	if (x->front->framed)
		flow_free(&x->trailers);
	more = alike ? x->request_done && !x->back->framed && !flow_empty(&x->trailers)
	             : x->request_done || body.len > 0;
	err = x->back->send(x, alike ? body : STR_NONE, x->request_done && !more);
	if (err == OK && more)
		err = alike ? finish(x) : convert(x, body, x->request_done);
	if (err != OK) {
		x->sent = err != ERR_UNSUPPORTED;
		attempt_failed(x, x->sent ? fail_errno(errno) : FAIL_WEBSOCKET);
		return false;
	}
	if (!x->holds)
		flow_free(&x->hold);
	else if (flow_empty(&x->hold))
		hold(x, x->slice);
	x->slice = STR_NONE;
	exchange_arm(x);
	return true;
}

/* Passes on what one read brought; false when the exchange is over. */
static bool request_pass(struct exchange *x, struct str data)
{
	ssize_t n = request_scan(x, data);
	int err;

	if (n < 0) {
		x->client_close = true;
		exchange_fail(x, http_fault_status((enum http_fault) - n), "%s",
		              http_fault_text((enum http_fault) - n));
		return false;
	}
	if ((size_t)n < data.len &&
	    x->front->unread(x, str_n(data.s + n, data.len - (size_t)n)) != OK)
		x->client_close = true;
	if (x->body_limit != 0 && x->body == HTTP_BODY_CHUNKED &&
	    x->bytes_in > x->body_limit + x->head_len) {
		exchange_fail(x, 413, "the body is larger than max_body");
		return false;
	}
	x->expect = false;
	if (x->upload_dead)
		return true;
	data.len = (size_t)n;
	hold(x, data);
	err = is_alike(x) ? x->back->data(x, data, x->request_done)
	                  : convert(x, data, x->request_done);
	if (err != OK)
		x->upload_dead = true; /* an early answer may still lie there to be read */
	return true;
}

/* The end of a body that its front does not frame. False when the exchange is over. */
static bool request_ends(struct exchange *x)
{
	int err;

	if (x->body == HTTP_BODY_LENGTH && x->body_left > 0) {
		exchange_fail(x, 400, "the body is shorter than its Content-Length");
		return false;
	}
	x->request_done = true;
	if (x->upload_dead)
		return true;
	if (x->back->framed && x->body == HTTP_BODY_CHUNKED)
		err = pack(x, STR_NONE, true);
	else
		err = x->back->framed ? x->back->data(x, STR_NONE, true) : finish(x);
	if (err != OK)
		x->upload_dead = true;
	return true;
}

bool request_pump(struct exchange *x)
{
	unsigned reads = 0;

	if (x->state == X_ENDED)
		return false;
	if (x->request_done || (x->state != X_SENT && x->state != X_RESPONSE))
		return true;
	while (!x->request_done && x->front->readable(x) && !x->upload_dead && x->back->room(x)) {
		size_t want = THREAD_SCRATCH;
		ssize_t n;

		if (reads++ == STREAM_TURN) {
			x->front->rearm(x);
			break;
		}
		if (x->body == HTTP_BODY_LENGTH && x->front->framed)
			want = MIN(want, x->body_left);
		n = x->front->read(x, x->thread->in, want);
		if (n == ERR_AGAIN)
			break;
		if (n < 0) {
			exchange_cut(x, "the client closed before its request was whole");
			return false;
		}
		if (n == 0 ? !request_ends(x) : !request_pass(x, str_n(x->thread->in, (size_t)n)))
			return false;
	}
	exchange_arm(x);
	return true;
}
