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

uint64_t exchange_timeout(const struct exchange *x, size_t offset)
{
	uint64_t ns = 0;

	if (x->route != NULL) {
		const struct conf *c = x->view->snap->conf;
		const struct conf_timeouts *t = &x->view->snap->timeouts[x->route - c->routes];

		ns = *(const uint64_t *)((const char *)t + offset);
	} else if (x->raw && x->pool != NULL) {
		ns = *(const uint64_t *)((const char *)&x->pool->conf->timeouts + offset);
	}
	return ns != 0 ? ns : *(const uint64_t *)((const char *)&x->lconf->timeouts + offset);
}

/* How long it may take until what is waited for now has come; 0: nothing is waited for. */
static uint64_t patience(const struct exchange *x)
{
	switch (x->state) {
	case X_QUEUED: {
		uint64_t waited = x->thread->loop->now - x->queue_since;
		uint64_t ns = x->pool->conf->queue_timeout;

		return ns > waited ? ns - waited : 1;
	}
	case X_CONNECTING:
		return EXCHANGE_TIMEOUT(x, connect);
	case X_SENT:
		if (!x->request_done && !x->expect && x->back->room(x))
			return EXCHANGE_TIMEOUT(x, request_body);
		return EXCHANGE_TIMEOUT(x, response);
	case X_RESPONSE:
	case X_FLUSH:
		return EXCHANGE_TIMEOUT(x, response);
	case X_TUNNEL:
		return tunnel_timeout(x);
	default:
		return 0;
	}
}

void exchange_arm(struct exchange *x)
{
	uint64_t ns = patience(x);

	if (ns != 0)
		loop_timer_set(x->thread->loop, &x->timer, ns);
}

uint64_t exchange_idle(const struct exchange *x)
{
	const uint64_t ns = patience(x), now = x->thread->loop->now;
	const uint64_t left = x->timer.due > now ? x->timer.due - now : 0;

	return x->timer.due != 0 && ns > left ? ns - left : 0;
}

void exchange_evict(struct exchange *x, const char *why)
{
	if (x->state == X_SENT || x->state == X_CONNECTING)
		attempt_failed(x, FAIL_CLOSED);
	else
		exchange_cut(x, why);
}

static void stuck(struct exchange *x)
{
	if (x->front->stuck != NULL)
		x->front->stuck(x);
	exchange_cut(x, "the client does not read");
}

void exchange_timer(struct loop_timer *timer)
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
		if (!x->request_done && !x->expect && x->back->room(x))
			exchange_fail(x, 408, "the request's body did not come in time");
		else
			attempt_failed(x, FAIL_TIMEOUT);
		break;
	case X_RESPONSE:
		if (x->front->room(x)) {
			x->last_fail = FAIL_TIMEOUT;
			response_failed(x, FAIL_TIMEOUT);
		} else {
			stuck(x);
		}
		break;
	case X_FLUSH:
		stuck(x);
		break;
	case X_TUNNEL:
		exchange_cut(x, x->raw ? "the connection was idle too long"
		                       : "the tunnel was idle too long");
		break;
	default:
		CHECK(!"a timer in this state");
	}
}

static void count_bytes(struct stat_block *b, const struct exchange *x)
{
	stat_add(&b->c[STAT_BYTES_IN], x->bytes_in - x->counted_in);
	stat_add(&b->c[STAT_BYTES_OUT], x->bytes_out - x->counted_out);
}

void exchange_count(struct exchange *x)
{
	count_bytes(x->listener->stat, x);
	if (x->route != NULL)
		count_bytes(thread_block(x->thread, BOARD_ROUTE, x->route->slot), x);
	if (x->pool != NULL)
		count_bytes(x->pool->stat, x);
	if (x->server != NULL)
		count_bytes(x->server->stat, x);
	x->counted_in = x->bytes_in;
	x->counted_out = x->bytes_out;
	x->counted_at = x->thread->loop->now;
}

static void count_in(struct stat_block *b, const struct exchange *x, unsigned status, uint64_t took)
{
	stat_request(b, (enum stat_method)x->method, status, took);
	count_bytes(b, x);
}

static void count_end(struct exchange *x, uint64_t now)
{
	/* Of a TCP connection that counts which was needed to reach a server. */
	const uint64_t took = (x->raw && x->head_at != 0 ? x->head_at : now) - x->started;
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
		.minor = x->stream != NULL ? ACCESS_HTTP2 : x->minor,
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
	return keep && x->request_done && !x->client_close && !x->response_close;
}

void exchange_end(struct exchange *x, bool keep)
{
	struct thread *t = x->thread;

	CHECK_MAGIC(x, EXCHANGE_MAGIC);
	CHECK(x->state != X_ENDED);
	if (x->state == X_QUEUED)
		queue_leave(x);
	count_end(x, t->loop->now);
	log_end(x, t->loop->now);
	keep = exchange_keeps(x, keep);
	x->state = X_ENDED;
	loop_timer_stop(t->loop, &x->timer);
	tunnel_free(x);
	TAILQ_REMOVE(&t->exchanges, x, link);
	attempt_release(x, false);
	STAILQ_INSERT_TAIL(&t->dead_exchanges, x, dead);
	loop_defer(t->loop, &t->reaper);
	x->front->end(x, keep);
}

void exchange_cut(struct exchange *x, const char *why)
{
	if (x->reason == NULL)
		x->reason = strdup(why);
	if (x->front->gone(x))
		stat_add(&x->listener->stat->c[STAT_ABORTS], 1);
	x->front->cut(x);
	exchange_end(x, false);
}

enum grpc_status exchange_grpc_status(const struct exchange *x, unsigned status)
{
	/* What the server meant by its reset is worth more than that it did. */
	return x->last_fail == FAIL_STREAM && status == 502 ? grpc_status_reset(x->reset_code)
	                                                    : grpc_status_http(status);
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
		.fields = x->listener->hsts,
	};
	struct buf out = BUF_INIT;

	if (x->grpc)
		grpc_page(exchange_grpc_status(x, status),
		          str_from(x->trusted ? reason : http_status_text(status)), x->id, &out);
	else
		error_page_write(&page, &out);
	if (!out.failed)
		x->front->page(x, str_n(out.p, out.len));
	buf_free(&out);
}

/* Begins an answer of our own; whether the connection ends with it. */
static bool begin_own(struct exchange *x, unsigned status)
{
	const bool close =
	    x->client_close || !x->request_done || x->thread->closing || x->listener->removed;

	x->response_close = close;
	x->status = status;
	return close;
}

static void end_own(struct exchange *x, bool close)
{
	if (x->state == X_QUEUED)
		queue_leave(x);
	attempt_release(x, false);
	if (!close && !x->front->flushed(x)) {
		x->state = X_FLUSH;
		exchange_arm(x);
		return;
	}
	exchange_end(x, !close);
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
	close = begin_own(x, status);
	send_page(x, status, x->reason ? x->reason : "", close);
	end_own(x, close);
}

void exchange_answer(struct exchange *x, unsigned status, const char *fields, struct str body)
{
	const bool close = begin_own(x, status);
	struct buf out = BUF_INIT;
	char date[32];

	http_date(thread_wall_ms(x->thread), date);
	buf_printf(&out, "HTTP/1.1 %u %s\r\nDate: %s\r\nContent-Length: %zu\r\n%s%s%s\r\n", status,
	           http_status_text(status), date, body.len, fields,
	           x->listener->hsts ? x->listener->hsts : "",
	           close           ? "Connection: close\r\n"
	           : x->minor == 0 ? "Connection: keep-alive\r\n"
	                           : "");
	if (x->method != HTTP_HEAD)
		buf_addstr(&out, body);
	if (!out.failed)
		x->front->page(x, buf_str(&out));
	buf_free(&out);
	end_own(x, close);
}
