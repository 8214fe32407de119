/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of an exchange on a stream of an HTTP/2 connection; see back_http2.h. Proxy
 * role, one worker thread each.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "proxy/back_http2.h"

/* --- streams -------------------------------------------------------------------------------- */

void up_stream_due(struct up_stream *st)
{
	struct up_conn *c = st->conn;

	if (c == NULL || c->state == UP_CLOSED)
		return;
	if (!st->is_due) {
		st->is_due = true;
		TAILQ_INSERT_TAIL(&c->due, st, due);
	}
	up_conn_pend(c);
}

void up_stream_take(struct up_stream *st, struct up_conn *c)
{
	if (st->waiting) {
		TAILQ_REMOVE(&c->server->waiting, st, link);
		c->server->nwaiting--;
		st->waiting = false;
	}
	st->conn = c;
	TAILQ_INSERT_TAIL(&c->streams, st, link);
	c->nstreams++;
	if (c->used)
		stat_add(&c->server->stat->c[STAT_REUSES], 1);
	st->x->reused = c->proved && !st->x->fresh;
	c->used = true;
}

/* Frees it after the turn, once neither the exchange nor nghttp2 has it any more. */
static void drop(struct up_stream *st)
{
	struct up_conn *c = st->conn;

	if (st->x != NULL || st->waiting || (c != NULL && st->id != 0 && !st->closed))
		return;
	if (c != NULL) {
		if (st->id == 0) {
			c->nstreams--;
			up_conn_pend(c);
		}
		TAILQ_REMOVE(&c->streams, st, link);
		if (st->is_due)
			TAILQ_REMOVE(&c->due, st, due);
		st->conn = NULL;
	}
	STAILQ_INSERT_TAIL(&st->thread->up->dead_streams, st, dead);
	loop_defer(st->thread->loop, &st->thread->reaper);
}

/* --- what the exchange asks for ------------------------------------------------------------- */

static int http2_open(struct exchange *x, enum fail_why *why)
{
	struct server *s = x->server;
	struct up_thread *up = up_thread_get(x->thread);
	struct up_stream *st = up != NULL ? slab_alloc(&up->stream_slab) : NULL;
	struct up_conn *c;
	int err;

	*why = FAIL_LOCAL;
	if (st == NULL)
		return ERR_NOMEM;
	*st = (struct up_stream){ .thread = x->thread, .x = x, .round = s->up_round };
	x->up2 = st;
	c = up_conn_find(x);
	if (c != NULL) {
		up_stream_take(st, c);
		return OK;
	}
	st->waiting = true;
	TAILQ_INSERT_TAIL(&s->waiting, st, link);
	s->nwaiting++;
	err = up_conn_more(x, why);
	return err == OK ? ERR_AGAIN : err;
}

/* Fields whose values others must not be able to guess from lengths (RFC 7541, 7.1). */
static bool is_secret(const nghttp2_nv *nv)
{
	const enum http_field_id id = http_field_id_of(str_n((const char *)nv->name, nv->namelen));

	return id == HTTP_FIELD_AUTHORIZATION || id == HTTP_FIELD_COOKIE;
}

/* The request's fields, from the text that was built of it: how many, or an error. */
static ssize_t fields_of(struct exchange *x, struct up_thread *up, bool tls)
{
	static const struct http_limits limits = { UINT32_MAX, UINT32_MAX, HTTP_MAX_FIELDS };
	struct http_head *h = &up->head;
	size_t scanned = 0, n, i;

	if (http_parse_request(h, x->head, x->head_len, &limits, &scanned) <= 0)
		return ERR_NOMEM;
	h->upgrade = x->upgrade; /* HTTP/2 knows no other (RFC 9113, 8.6) */
	if (unlikely(h->upgrade) && up_tunnel_ask(x->up2, h) != OK)
		return ERR_UNSUPPORTED;
	/* The scheme of this hop: servers compare it with their socket. X-Forwarded-Proto tells of
	 * the client's. */
	n = h2_text_request_nv(h, tls ? STR("https") : STR("http"), up->nva);
	for (i = 0; i < n; i++)
		if (x->sensitive || is_secret(&up->nva[i]))
			up->nva[i].flags |= NGHTTP2_NV_FLAG_NO_INDEX;
	return (ssize_t)n;
}

static int http2_send(struct exchange *x, struct str body, bool end)
{
	struct up_stream *st = x->up2;
	struct up_conn *c = st->conn;
	const nghttp2_data_provider source = { .source.ptr = st, .read_callback = up_session_read };
	const ssize_t n = fields_of(x, x->thread->up, c->s.layer != NULL);

	if (n == ERR_UNSUPPORTED)
		return ERR_UNSUPPORTED;
	errno = ENOMEM;
	if (n < 0 || flow_add(&st->out, body.s, body.len) != OK)
		return ERR_SYSTEM;
	st->end = end && !x->upgrade; /* the stream of a WebSocket stays open */
	st->id = nghttp2_submit_request(c->session, NULL, x->thread->up->nva, (size_t)n,
	                                st->end && body.len == 0 ? NULL : &source, st);
	if (st->id < 0) {
		c->going = true; /* its identifiers are used up: RFC 9113, 5.1.1 */
		st->id = 0;
		return ERR_SYSTEM;
	}
	up_conn_pend(c);
	return OK;
}

/* More of the body is there, or its end. */
static int resume(struct up_stream *st)
{
	if (st->deferred) {
		st->deferred = false;
		if (nghttp2_session_resume_data(st->conn->session, st->id) != 0) {
			errno = ENOMEM;
			return ERR_SYSTEM;
		}
	}
	up_conn_pend(st->conn);
	return OK;
}

static bool takes_data(const struct up_stream *st)
{
	errno = EPIPE;
	return st->conn != NULL && !st->closed && !st->malformed;
}

int up_stream_data(struct up_stream *st, struct str data, bool end)
{
	if (!takes_data(st))
		return ERR_SYSTEM;
	if (flow_add(&st->out, data.s, data.len) != OK) {
		errno = ENOMEM;
		return ERR_SYSTEM;
	}
	st->end = end;
	return resume(st);
}

static int http2_data(struct exchange *x, struct str data, bool end)
{
	return up_stream_data(x->up2, data, end);
}

static int http2_trailers(struct exchange *x, struct str lines)
{
	struct up_stream *st = x->up2;

	if (!takes_data(st))
		return ERR_SYSTEM;
	st->end = st->trailers = true; /* they lie in x->trailers */
	return resume(st);
}

static bool http2_room(const struct exchange *x)
{
	const struct up_stream *st = x->up2;

	return st == NULL || st->conn == NULL || st->closed || flow_empty(&st->out);
}

static void http2_release(struct exchange *x, bool keep)
{
	struct up_stream *st = x->up2;
	struct up_conn *c;

	if (st == NULL)
		return;
	c = st->conn;
	x->up2 = NULL;
	if (st->waiting) {
		TAILQ_REMOVE(&x->server->waiting, st, link);
		x->server->nwaiting--;
		st->waiting = false;
	}
	st->x = NULL;
	flow_free(&st->in);
	flow_free(&st->lines);
	if (c != NULL && st->id != 0) {
		c->keep_alive = EXCHANGE_TIMEOUT(x, keep_alive);
		if (!st->closed && !st->malformed && !(st->whole && st->sent_all)) {
			/* RFC 9113, 5.4.2 and 8.1 */
			nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, st->id,
			                          st->whole ? NGHTTP2_NO_ERROR : NGHTTP2_CANCEL);
			if (!st->whole && x->last_fail == FAIL_TIMEOUT)
				up_conn_suspect(c);
		}
		up_conn_pend(c);
	}
	drop(st);
}

/* --- what comes from the server ------------------------------------------------------------- */

static void http2_pump(struct exchange *x)
{
	struct up_stream *st = x->up2;
	const bool end = st != NULL && st->whole && flow_empty(&st->lines);
	struct flow in;
	uint32_t owed;

	if (st == NULL || st->malformed || !x->front->room(x))
		return;
	if (!flow_empty(&st->in) || (end && x->state == X_RESPONSE)) {
		in = st->in;
		owed = st->owed;
		st->in = (struct flow){ 0 };
		st->owed = 0;
		x->got = true;
		if (x->state == X_SENT) {
			x->holds = false;
			flow_free(&x->hold);
			response_heads(x, flow_str(&in), end);
		} else {
			response_body(x, flow_str(&in), end);
		}
		flow_free(&in);
		if (x->up2 == st && owed > 0 && st->conn != NULL) {
			nghttp2_session_consume_stream(st->conn->session, st->id, owed);
			up_conn_pend(st->conn);
		}
	}
	if (x->up2 == st && x->state == X_RESPONSE && st->whole && flow_empty(&st->in) &&
	    !flow_empty(&st->lines) && x->front->room(x)) {
		in = st->lines;
		st->lines = (struct flow){ 0 };
		response_trailers(x, flow_str(&in));
		flow_free(&in);
	}
}

static void failed(struct up_stream *st)
{
	struct exchange *x = st->x;

	if (st->malformed) {
		x->got = true;
		response_failed(x, FAIL_BAD_RESPONSE);
	} else if (x->state == X_SENT && (st->error == NGHTTP2_REFUSED_STREAM || !st->sent)) {
		attempt_unprocessed(x, FAIL_UNPROCESSED); /* RFC 9113, 8.7 */
	} else {
		x->reset_code = st->error;
		response_failed(x, FAIL_STREAM);
	}
}

void up_stream_event(struct up_stream *st)
{
	struct exchange *x = st->x;

	if (x == NULL) {
		drop(st);
		return;
	}
	if (x->state == X_TUNNEL) {
		up_tunnel_event(st);
		return;
	}
	if (st->malformed || (st->closed && !st->whole)) {
		if (!flow_empty(&st->in))
			response_pump(x);
		if (st->x == x)
			failed(st);
		return;
	}
	if (request_pump(x))
		response_pump(x);
}

void up_stream_lost(struct up_stream *st, enum fail_why why)
{
	struct exchange *x = st->x;

	st->closed = true;
	if (x == NULL) {
		drop(st);
	} else if (x->state == X_TUNNEL) {
		up_tunnel_event(st);
	} else if (st->whole && !st->malformed) {
		response_pump(x); /* and on when its client has room */
	} else if (x->state == X_SENT && !st->sent) {
		attempt_unprocessed(x, why);
	} else {
		response_failed(x, why);
	}
}

const struct back_ops back_http2 = {
	.framed = false,
	.open = http2_open,
	.send = http2_send,
	.data = http2_data,
	.trailers = http2_trailers,
	.room = http2_room,
	.pump = http2_pump,
	.release = http2_release,
	.read = up_tunnel_read,
	.readable = up_tunnel_readable,
	.rearm = up_tunnel_rearm,
	.shut = up_tunnel_shut,
	.over = up_tunnel_over,
};
