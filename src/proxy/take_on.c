/* SPDX-License-Identifier: Apache-2.0 */
/* Taking on a request: what it asks for, whether its client is trusted, its route and pool. Proxy
 * role, one worker thread each. */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "http/websocket.h"
#include "proxy/exchange.h"
#include "proxy/http2.h"
#include "proxy/tls_front.h"

struct exchange *exchange_new(struct client *c, bool raw)
{
	struct thread *t = c->thread;
	struct exchange *x = slab_alloc(raw ? &t->raw_slab : &t->exchange_slab);

	if (x == NULL)
		return NULL;
	memset(x, 0, offsetof(struct exchange, head_space));
	x->magic = EXCHANGE_MAGIC;
	x->front = &front_http1;
	x->raw = raw;
	x->client = c;
	x->thread = t;
	TAILQ_INSERT_TAIL(&t->exchanges, x, link);
	x->listener = c->listener;
	x->view = c->listener->removed ? c->listener->view : t->view;
	view_use(x->view);
	x->lconf = c->listener->conf;
	x->timer.fn = exchange_timer;
	x->started = t->loop->now;
	x->minor = 1;
	c->listener->users++;
	stat_add(&c->listener->stat->c[STAT_ACTIVE], 1);
	c->x = x;
	return x;
}

static bool is_trusted(const struct conf *c, const struct net_addr *peer)
{
	uint32_t i;

	for (i = 0; i < c->ntrust; i++)
		if (net_cidr_has(&c->trust[i], peer))
			return true;
	return false;
}

static void note_trust(struct exchange *x)
{
	const struct conf *c = x->view->snap->conf;
	struct net_addr peer;

	if (c->ntrust == 0)
		return;
	client_peer(x->client, &peer);
	x->trusted = is_trusted(c, &peer);
}

void exchange_refuse(struct client *c, enum http_fault fault)
{
	struct exchange *x = exchange_new(c, false);

	if (x == NULL) {
		client_close(c, true);
		return;
	}
	x->method = HTTP_OTHER;
	x->client_close = true;
	x->head = x->head_space;
	head_id(x);
	note_trust(x);
	client_busy(c);
	stat_add(&c->listener->stat->c[STAT_BAD_REQUESTS], 1);
	flow_free(&c->in);
	if (fault == HTTP_FAULT_NONE)
		exchange_fail(x, 408, "the request's head did not come in time");
	else
		exchange_fail(x, http_fault_status(fault), "%s", http_fault_text(fault));
}

static bool is_idempotent(enum http_method m)
{
	return m == HTTP_GET || m == HTTP_HEAD || m == HTTP_PUT || m == HTTP_DELETE ||
	       m == HTTP_OPTIONS;
}

/* An upgrade to HTTP/2 would carry requests past all that is checked here; RFC 9113, 3.1, has given
 * it up, and a server may always ignore it. */
static bool may_upgrade(const struct http_head *h)
{
	return h->upgrade && h->minor == 1 && h->body == HTTP_BODY_NONE &&
	       !http_list_has(http_field(h, HTTP_FIELD_UPGRADE)->value, STR("h2c"));
}

static void note_request(struct exchange *x, const struct http_head *h)
{
	const struct http_field *type = http_field(h, HTTP_FIELD_CONTENT_TYPE);

	x->method = (uint8_t)h->method;
	x->minor = (uint8_t)h->minor;
	x->client_close = h->close;
	x->upgrade = may_upgrade(h);
	x->expect = h->expect_continue && h->minor == 1 && h->body != HTTP_BODY_NONE;
	x->body = h->body;
	x->body_left = h->body == HTTP_BODY_LENGTH ? h->length : 0;
	if (x->body == HTTP_BODY_LENGTH && x->body_left == 0)
		x->body = HTTP_BODY_NONE;
	x->request_done = x->body == HTTP_BODY_NONE;
	x->grpc = !x->front->framed && type != NULL && grpc_is_type(type->value);
	x->repeatable = x->request_done && is_idempotent(h->method) && !x->upgrade;
	http_chunked_init(&x->chunked);
	x->bytes_in = h->size;
}

/* Builds and keeps the head for the server. */
static bool build_head(struct exchange *x, const struct http_head *h)
{
	size_t want = h->size + 512;

	x->head = x->head_space;
	if (h->size + 256 <= sizeof(x->head_space))
		x->head_len = (uint32_t)head_request(x, h, x->head, sizeof(x->head_space));
	while (x->head_len == 0 && want < 512 * 1024) {
		if (x->head != x->head_space)
			free(x->head);
		if ((x->head = malloc(want)) == NULL) {
			x->head = x->head_space;
			return false;
		}
		x->head_len = (uint32_t)head_request(x, h, x->head, want);
		want *= 2;
	}
	return x->head_len > 0;
}

/* A part of the body lies here already and is counted; chunks count with their framing, and the
 * rest of them as it comes (request.c). */
static bool is_too_large(const struct exchange *x, const struct http_head *h)
{
	if (x->body_limit == 0)
		return false;
	if (x->body == HTTP_BODY_CHUNKED)
		return x->bytes_in > x->body_limit + x->head_len;
	return x->bytes_in - h->size + x->body_left > x->body_limit;
}

#define CHALLENGES "/.well-known/acme-challenge/"

/* http-01 (RFC 8555, 8.3): what an ACME authority asks for; other tokens go the way of all
 * requests, a server may have an agent of its own. */
static bool well_known(struct exchange *x, const struct http_head *h)
{
	const struct store *s = x->view->snap->certs->store;
	struct str token = h->path;
	uint32_t i;

	if (s->nchallenges == 0 || !str_starts(h->path, STR(CHALLENGES)))
		return false;
	token.s += sizeof(CHALLENGES) - 1;
	token.len -= sizeof(CHALLENGES) - 1;
	for (i = 0; i < s->nchallenges; i++) {
		if (!str_eq(s->challenges[i].token, token))
			continue;
		exchange_answer(x, 200, "Content-Type: text/plain\r\n", s->challenges[i].answer);
		return true;
	}
	return false;
}

/* Everything else is told to come by https: 308 keeps the method and the body. */
static bool redirect(struct exchange *x, const struct http_head *h)
{
	const struct conf_listener *l = x->lconf;
	const struct str host = http_host_name(h->host);
	struct buf field = BUF_INIT;

	if (!l->redirect_https || str_starts(h->path, STR(CHALLENGES)))
		return false;
	if (host.len == 0 || h->path.len == 0 || h->path.s[0] != '/') {
		exchange_fail(x, 400, "no host to redirect to");
		return true;
	}
	buf_adds(&field, "Location: https://");
	buf_addstr(&field, host);
	if (l->redirect_port != 443)
		buf_printf(&field, ":%u", l->redirect_port);
	buf_addstr(&field, h->path);
	if (h->query.len > 0) {
		buf_addc(&field, '?');
		buf_addstr(&field, h->query);
	}
	buf_adds(&field, "\r\n");
	exchange_answer(x, 308, buf_cstr(&field), STR_NONE);
	buf_free(&field);
	return true;
}

/* Which upgrades go on: HTTP/2 knows only that to WebSocket (RFC 8441); others are ignored there
 * (RFC 9110, 7.8). False when the request is answered. */
static bool settle_upgrade(struct exchange *x, const struct http_head *h)
{
	if (!x->upgrade || x->back->framed)
		return true;
	x->upgrade = h->method == HTTP_GET && websocket_named(h);
	if (!x->upgrade || websocket_key(h).len > 0)
		return true;
	/* It is us who answer the key. */
	exchange_fail(x, 400, "a WebSocket's request without a valid Sec-WebSocket-Key");
	return false;
}

/* Finds route and pool and makes the first attempt. */
static void exchange_route(struct exchange *x, const struct http_head *h)
{
	const struct snapshot *snap = x->view->snap;
	const struct conf *c = snap->conf;
	struct route_query q;
	struct net_addr peer;

	client_peer(x->client, &peer);
	note_trust(x);
	if (!build_head(x, h)) {
		exchange_fail(x, 500, "out of memory");
		return;
	}
	if (str_eq(h->method_text, STR("CONNECT"))) {
		exchange_fail(x, 501, "CONNECT is not supported");
		return;
	}
	if (!tls_front_serves(x->client, h->host)) {
		exchange_fail(x, 421,
		              "this host asks for other client certificates than the one that "
		              "the connection was made for");
		return;
	}
	if (well_known(x, h) || redirect(x, h))
		return;
	q = (struct route_query){ .listener = (uint32_t)(x->lconf - c->listeners),
		                  .head = h,
		                  .client = &peer };
	x->route = route_find(snap->routes, &q);
	if (x->route == NULL) {
		exchange_fail(x, 404, "no route for host %.*s and path %.*s",
		              (int)MIN(h->host.len, 100u), h->host.len ? h->host.s : "",
		              (int)MIN(h->path.len, 100u), h->path.s);
		return;
	}
	x->body_limit = x->route->max_body != 0 ? x->route->max_body : x->lconf->max_body;
	if (is_too_large(x, h)) {
		exchange_fail(x, 413, "the body is larger than max_body");
		return;
	}
	x->pool = view_pool(x->view, x->route->pool);
	if (x->pool == NULL) {
		exchange_fail(x, 500, "out of memory");
		return;
	}
	x->back = x->pool->conf->protocol == POOL_H2 ? &back_http2 : &back_http1;
	x->holds = !x->back->framed;
	stat_add(&x->pool->stat->c[STAT_ACTIVE], 1);
	if (!settle_upgrade(x, h))
		return;
	x->hash = balance_key(x->pool->conf, h, &peer);
	retry_budget_request(&x->pool->shared->budget, x->thread->loop->now);
	attempt_start(x);
}

/* Which part of what came with the head is body; -fault. */
static ssize_t take_slice(struct exchange *x, struct str rest)
{
	ssize_t n = 0;

	if (!x->request_done && rest.len > 0) {
		n = request_scan(x, rest);
		if (n > 0)
			x->slice = str_n(rest.s, (size_t)n);
	}
	return n;
}

size_t exchange_start(struct client *c, const struct http_head *h, struct str rest)
{
	struct exchange *x = exchange_new(c, false);
	ssize_t used;

	if (x == NULL) {
		client_close(c, true);
		return 0;
	}
	note_request(x, h);
	client_busy(c);
	used = take_slice(x, rest);
	if (used < 0) {
		x->client_close = true;
		x->request_done = false;
		exchange_fail(x, http_fault_status((enum http_fault) - used), "%s",
		              http_fault_text((enum http_fault) - used));
		return rest.len;
	}
	exchange_route(x, h);
	if (x->state != X_ENDED && x->slice.len > 0) {
		if (flow_add(&x->hold, x->slice.s, x->slice.len) != OK)
			exchange_fail(x, 500, "out of memory");
		x->slice = STR_NONE;
	}
	return (size_t)used;
}

/* --- streams of HTTP/2 connections ---------------------------------------------------------- */

static struct exchange *stream_exchange(struct http2_stream *st)
{
	struct client *c = st->h->c;
	struct exchange *x = exchange_new(c, false);

	if (x == NULL) {
		nghttp2_submit_rst_stream(st->h->ng, NGHTTP2_FLAG_NONE, st->id,
		                          NGHTTP2_REFUSED_STREAM);
		return NULL;
	}
	c->x = NULL; /* it has several */
	x->front = &front_http2;
	x->stream = st;
	st->x = x;
	st->h->nx++;
	return x;
}

void exchange_start_stream(struct http2_stream *st, const struct http_head *h)
{
	struct exchange *x = stream_exchange(st);

	if (x == NULL)
		return;
	x->sensitive = st->sensitive;
	note_request(x, h);
	exchange_route(x, h);
}

void exchange_refuse_stream(struct http2_stream *st, unsigned status, const char *why)
{
	struct exchange *x = stream_exchange(st);

	if (x == NULL)
		return;
	x->method = HTTP_OTHER;
	x->request_done = st->in_end;
	x->client_close = true; /* nothing of the stream is waited for */
	x->head = x->head_space;
	head_id(x);
	note_trust(x);
	stat_add(&x->listener->stat->c[STAT_BAD_REQUESTS], 1);
	exchange_fail(x, status, "%s", why);
}
