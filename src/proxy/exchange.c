/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an exchange: taking on, events, time limits, the end; see exchange.h. Proxy role, one
 * worker thread each. */
#include "proxy/exchange.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/error_page.h"

static void exchange_timer(struct loop_timer *timer);

uint64_t exchange_timeout(const struct exchange *x, size_t offset)
{
	uint64_t ns = 0;

	if (x->route != NULL) {
		const struct conf *c = x->view->snap->conf;
		const struct conf_timeouts *t = &x->view->snap->timeouts[x->route - c->routes];

		ns = *(const uint64_t *)((const char *)t + offset);
	}
	return ns != 0 ? ns : *(const uint64_t *)((const char *)&x->lconf->timeouts + offset);
}

void exchange_arm(struct exchange *x)
{
	struct loop *l = x->thread->loop;
	uint64_t ns = 0;

	switch (x->state) {
	case X_QUEUED: {
		uint64_t waited = l->now - x->queue_since;

		ns = x->pool->conf->queue_timeout;
		ns = ns > waited ? ns - waited : 1;
		break;
	}
	case X_CONNECTING:
		ns = EXCHANGE_TIMEOUT(x, connect);
		break;
	case X_SENT:
		if (!x->request_done && !x->expect && flow_empty(&x->up->s.out))
			ns = EXCHANGE_TIMEOUT(x, request_body);
		else
			ns = EXCHANGE_TIMEOUT(x, response);
		break;
	case X_RESPONSE:
	case X_FLUSH:
		ns = EXCHANGE_TIMEOUT(x, response);
		break;
	case X_TUNNEL:
		ns = EXCHANGE_TIMEOUT(x, tunnel);
		break;
	default:
		return;
	}
	loop_timer_set(l, &x->timer, ns);
}

static void exchange_timer(struct loop_timer *timer)
{
	struct exchange *x = CONTAINER_OF(timer, struct exchange, timer);

	CHECK_MAGIC(x, EXCHANGE_MAGIC);
	switch (x->state) {
	case X_QUEUED:
		stat_add(&x->pool->stat->c[STAT_QUEUE_TIMEOUTS], 1);
		exchange_fail(x, 503, "no free connection in pool %s within its queue_timeout",
		              x->pool->conf->name.s);
		break;
	case X_CONNECTING:
		attempt_failed(x, FAIL_CONNECT_TIMEOUT);
		break;
	case X_SENT:
		if (!x->request_done && !x->expect && flow_empty(&x->up->s.out))
			exchange_fail(x, 408, "the request's body did not come in time");
		else
			attempt_failed(x, FAIL_TIMEOUT);
		break;
	case X_RESPONSE:
		if (flow_empty(&x->client->s.out)) {
			x->last_fail = FAIL_TIMEOUT;
			stat_add(&x->server->stat->c[STAT_RESPONSE_ERRORS], 1);
			exchange_cut(x, "the server stopped in the middle of its response");
		} else {
			exchange_cut(x, "the client does not read");
		}
		break;
	case X_FLUSH:
		exchange_cut(x, "the client does not read");
		break;
	case X_TUNNEL:
		exchange_cut(x, "the tunnel was idle too long");
		break;
	default:
		CHECK(!"a timer in this state");
	}
}

static void count_in(struct stat_block *b, const struct exchange *x, unsigned status, uint64_t took)
{
	stat_request(b, (enum stat_method)x->method, status, took);
	stat_add(&b->c[STAT_BYTES_IN], x->bytes_in);
	stat_add(&b->c[STAT_BYTES_OUT], x->bytes_out);
}

static void count_end(struct exchange *x, uint64_t now)
{
	const uint64_t took = now - x->started;
	const unsigned status = x->status != 0 ? x->status : 499;

	count_in(x->listener->stat, x, status, took);
	stat_add(&x->listener->stat->c[STAT_ACTIVE], (uint64_t)-1);
	if (x->route != NULL)
		count_in(thread_block(x->thread, BOARD_ROUTE, x->route->slot), x, status, took);
	if (x->pool != NULL) {
		count_in(x->pool->stat, x, status, took);
		stat_add(&x->pool->stat->c[STAT_ACTIVE], (uint64_t)-1);
	}
	if (x->server != NULL)
		count_in(x->server->stat, x, status, took);
}

static void log_end(struct exchange *x, uint64_t now)
{
	const struct conf_listener *l = x->lconf;
	struct access_record r;
	struct net_addr client;

	if (!l->access_log.on || !access_log_wants(&l->access_log, x->status))
		return;
	client_peer(x->client, &client);
	r = (struct access_record){
		.wall_ms = thread_wall_ms(x->thread) - (now - x->started) / NS_PER_MS,
		.duration_us = (now - x->started) / NS_PER_US,
		.upstream_us = x->head_at ? (x->head_at - x->started) / NS_PER_US : 0,
		.bytes_in = x->bytes_in,
		.bytes_out = x->bytes_out,
		.status = x->status,
		.attempts = x->attempts,
		.minor = x->minor,
		.client = &client,
		.method = x->method_text,
		.target = x->target,
		.host = x->host,
		.user_agent = x->agent,
		.referer = x->referer,
		.request_id = x->id,
		.listener = l->name,
		.reason = str_from(x->reason),
	};
	if (x->route != NULL)
		r.route = x->route->name;
	if (x->server != NULL)
		r.server = str_from(
		    board_slot_name(x->thread->proxy->role->board, BOARD_SERVER, x->server->slot));
	access_log_put(x->thread->log, l->slot, &r);
}

static bool exchange_keeps(const struct exchange *x, bool keep)
{
	return keep && x->request_done && !x->client_close && !x->response_close &&
	       !x->client->s.broken;
}

void exchange_end(struct exchange *x, bool keep)
{
	struct thread *t = x->thread;
	struct client *c = x->client;

	CHECK_MAGIC(x, EXCHANGE_MAGIC);
	CHECK(x->state != X_ENDED);
	if (x->state == X_QUEUED)
		queue_leave(x);
	count_end(x, t->loop->now);
	log_end(x, t->loop->now);
	keep = exchange_keeps(x, keep);
	c->last = x->request_done && flow_empty(&c->in);
	x->state = X_ENDED;
	loop_timer_stop(t->loop, &x->timer);
	attempt_release(x, false);
	STAILQ_INSERT_TAIL(&t->dead_exchanges, x, dead);
	loop_defer(t->loop, &t->reaper);
	client_done(c, keep);
}

void exchange_cut(struct exchange *x, const char *why)
{
	struct client *c = x->client;

	if (x->reason == NULL)
		x->reason = strdup(why);
	if (c->s.broken || c->s.eof)
		stat_add(&x->listener->stat->c[STAT_ABORTS], 1);
	flow_free(&c->s.out);
	/* The client must see that what it has is not whole: client_done() resets. */
	c->s.broken = true;
	exchange_end(x, false);
}

static void send_page(struct exchange *x, unsigned status, const char *reason, bool close)
{
	const struct error_page page = {
		.status = status,
		.reason = str_from(reason),
		.request_id = x->id,
		.trusted = x->trusted,
		.head = x->method == HTTP_HEAD,
		.close = close,
		.http10 = x->minor == 0,
		.retry_after = status == 503 ? 1 : 0,
		.accept = x->accept,
		.own = error_page_find(status, x->view->snap->conf, x->lconf, x->route),
		.wall_ms = thread_wall_ms(x->thread),
	};
	struct buf out = BUF_INIT;
	struct iovec iov;

	error_page_write(&page, &out);
	iov = (struct iovec){ .iov_base = out.p, .iov_len = out.len };
	if (!out.failed && stream_send(&x->client->s, &iov, 1) == OK)
		x->bytes_out += out.len;
	buf_free(&out);
}

void exchange_fail(struct exchange *x, unsigned status, const char *fmt, ...)
{
	bool close;
	va_list ap;

	CHECK_MAGIC(x, EXCHANGE_MAGIC);
	free(x->reason);
	va_start(ap, fmt);
	if (vasprintf(&x->reason, fmt, ap) < 0)
		x->reason = NULL;
	va_end(ap);
	if (x->status != 0) {
		exchange_cut(x, "failed after the response had begun");
		return;
	}
	close = x->client_close || !x->request_done || x->thread->closing || x->listener->removed;
	x->response_close = close;
	x->status = status;
	send_page(x, status, x->reason ? x->reason : "", close);
	if (x->state == X_QUEUED)
		queue_leave(x);
	attempt_release(x, false);
	if (!close && !flow_empty(&x->client->s.out)) {
		x->state = X_FLUSH;
		exchange_arm(x);
		return;
	}
	exchange_end(x, !close);
}

/* --- taking on ------------------------------------------------------------------------------ */

static struct exchange *exchange_new(struct client *c)
{
	struct thread *t = c->thread;
	struct exchange *x = slab_alloc(&t->exchange_slab);

	if (x == NULL)
		return NULL;
	memset(x, 0, offsetof(struct exchange, head_space));
	x->magic = EXCHANGE_MAGIC;
	x->client = c;
	x->thread = t;
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
	struct exchange *x = exchange_new(c);

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

static void note_request(struct exchange *x, const struct http_head *h)
{
	x->method = (uint8_t)h->method;
	x->minor = (uint8_t)h->minor;
	x->client_close = h->close;
	x->upgrade = h->upgrade && h->minor == 1 && h->body == HTTP_BODY_NONE;
	x->expect = h->expect_continue && h->minor == 1 && h->body != HTTP_BODY_NONE;
	x->body = h->body;
	x->body_left = h->body == HTTP_BODY_LENGTH ? h->length : 0;
	if (x->body == HTTP_BODY_LENGTH && x->body_left == 0)
		x->body = HTTP_BODY_NONE;
	x->request_done = x->body == HTTP_BODY_NONE;
	x->repeatable = x->request_done && is_idempotent(h->method) && !x->upgrade;
	http_chunked_init(&x->chunked);
	x->bytes_in = h->size;
}

static uint64_t balance_hash(const struct exchange *x, const struct http_head *h,
                             const struct net_addr *peer)
{
	const struct conf_pool *p = x->pool->conf;

	if (p->balance == BALANCE_HEADER_HASH) {
		const struct http_field *f = http_field_named(h, p->hash_header);

		return f != NULL ? hash_bytes(0, f->value.s, f->value.len) : random_u64();
	}
	if (p->balance == BALANCE_SOURCE_HASH) {
		if (peer->sa.sa_family == AF_INET)
			return hash_bytes(0, &peer->in.sin_addr, sizeof(peer->in.sin_addr));
		return hash_bytes(0, &peer->in6.sin6_addr, sizeof(peer->in6.sin6_addr));
	}
	return 0;
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
		exchange_fail(x, 405, "CONNECT is not supported");
		return;
	}
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
	if (x->body_limit != 0 && x->body_left > x->body_limit) {
		exchange_fail(x, 413, "the body is larger than max_body");
		return;
	}
	x->pool = view_pool(x->view, x->route->pool);
	if (x->pool == NULL) {
		exchange_fail(x, 500, "out of memory");
		return;
	}
	stat_add(&x->pool->stat->c[STAT_ACTIVE], 1);
	x->hash = balance_hash(x, h, &peer);
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
	struct exchange *x = exchange_new(c);
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

/* --- events --------------------------------------------------------------------------------- */

void exchange_client_event(struct exchange *x)
{
	struct client *c = x->client;

	CHECK_MAGIC(x, EXCHANGE_MAGIC);
	if (c->s.broken) {
		exchange_cut(x, "the client closed the connection");
		return;
	}
	if (!flow_empty(&c->s.out)) {
		if (stream_flush(&c->s) != OK) {
			exchange_cut(x, "the client closed the connection");
			return;
		}
		if (!flow_empty(&c->s.out))
			return;
		if (x->state == X_FLUSH) {
			exchange_end(x, true);
			return;
		}
	}
	if (x->state == X_TUNNEL) {
		tunnel_pump(x);
	} else if (x->state == X_SENT || x->state == X_RESPONSE) {
		if (request_pump(x))
			response_pump(x);
	}
}

void exchange_upstream_event(struct upstream *u)
{
	struct exchange *x = u->x;

	CHECK_MAGIC(x, EXCHANGE_MAGIC);
	if (u->connecting) {
		attempt_connected(x);
		return;
	}
	if (u->s.writable && !flow_empty(&u->s.out) && stream_flush(&u->s) != OK)
		x->upload_dead = true;
	if (x->state == X_TUNNEL)
		tunnel_pump(x);
	else if (request_pump(x))
		response_pump(x);
}
