/* SPDX-License-Identifier: Apache-2.0 */
/* Forwarding a request: its head, then its body as it lies, no faster than the server takes it. */
#include <errno.h>

#include "base/check.h"
#include "base/err.h"
#include "proxy/exchange.h"

ssize_t request_scan(struct exchange *x, struct str data)
{
	ssize_t n;

	if (x->body == HTTP_BODY_LENGTH) {
		n = (ssize_t)MIN(data.len, x->body_left);
		x->body_left -= (uint64_t)n;
		x->request_done = x->body_left == 0;
	} else {
		n = http_chunked_scan(&x->chunked, data.s, data.len, NULL);
		if (n < 0)
			return n;
		x->request_done = x->chunked.done;
	}
	x->bytes_in += (uint64_t)n;
	return n;
}

bool request_send(struct exchange *x)
{
	struct upstream *u = x->up;
	struct iovec iov[2] = { { .iov_base = x->head, .iov_len = x->head_len } };
	int n = 1;

	if (!flow_empty(&x->hold))
		iov[n++] = (struct iovec){ (char *)flow_str(&x->hold).s, x->hold.len };
	else if (x->slice.len > 0)
		iov[n++] = (struct iovec){ (char *)x->slice.s, x->slice.len };
	x->sent = true;
	x->state = X_SENT;
	if (stream_send(&u->s, iov, n) != OK) {
		attempt_failed(x, fail_errno(errno));
		return false;
	}
	flow_free(&x->hold);
	x->slice = STR_NONE;
	exchange_arm(x);
	return true;
}

/* Passes on what one read brought; false when the exchange is over. */
static bool request_pass(struct exchange *x, struct str data)
{
	struct client *c = x->client;
	ssize_t n = request_scan(x, data);
	struct iovec iov;

	if (n < 0) {
		x->client_close = true;
		exchange_fail(x, http_fault_status((enum http_fault) - n), "%s",
		              http_fault_text((enum http_fault) - n));
		return false;
	}
	if ((size_t)n < data.len && flow_add(&c->in, data.s + n, data.len - (size_t)n) != OK)
		x->client_close = true;
	if (x->body_limit != 0 && x->body == HTTP_BODY_CHUNKED &&
	    x->bytes_in > x->body_limit + x->head_len) {
		exchange_fail(x, 413, "the body is larger than max_body");
		return false;
	}
	x->expect = false;
	if (x->upload_dead)
		return true;
	iov = (struct iovec){ .iov_base = (char *)data.s, .iov_len = (size_t)n };
	if (stream_send(&x->up->s, &iov, 1) != OK)
		x->upload_dead = true; /* an early answer may still lie there to be read */
	return true;
}

bool request_pump(struct exchange *x)
{
	struct client *c = x->client;
	unsigned reads = 0;

	if (x->state == X_ENDED)
		return false;
	if (x->request_done || x->up == NULL || x->up->connecting)
		return true;
	while (!x->request_done && c->s.readable && flow_empty(&x->up->s.out) && !x->upload_dead) {
		size_t want = THREAD_SCRATCH;
		ssize_t n;

		if (reads++ == STREAM_TURN) {
			loop_rearm(x->thread->loop, &c->s.io, STREAM_EVENTS);
			break;
		}
		if (x->body == HTTP_BODY_LENGTH)
			want = MIN(want, x->body_left);
		n = stream_recv(&c->s, x->thread->in, want);
		if (n == ERR_AGAIN)
			break;
		if (n < 0) {
			exchange_cut(x, "the client closed before its request was whole");
			return false;
		}
		if (!request_pass(x, str_n(x->thread->in, (size_t)n)))
			return false;
	}
	exchange_arm(x);
	return true;
}
