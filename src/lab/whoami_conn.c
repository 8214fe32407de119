/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection to a whoami: reads requests one after the other, waits and fails as it was told to,
 * and sends what the pages make. Nothing is read while an answer waits to be sent, so memory stays
 * bounded by one read. Each connection belongs to the thread that accepted it.
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "lab/whoami_impl.h"
#include "net/sock.h"

#define STEPS        128 /* of one connection before others get their turn */
#define ACCEPTS      64
#define DRAIN_NS     (2 * NS_PER_S)
#define ACCEPT_PAUSE (50 * NS_PER_MS)

static const struct http_limits limits = { 16384, 65536, HTTP_MAX_FIELDS };

static void conn_run(struct whoami_conn *c);

/* --- the end -------------------------------------------------------------------------------- */

static void conn_free(struct loop_task *task)
{
	struct whoami_conn *c = CONTAINER_OF(task, struct whoami_conn, task);

	flow_free(&c->in);
	free(c->kept);
	c->magic = 0;
	free(c);
}

void whoami_conn_close(struct whoami_conn *c, bool reset)
{
	if (c->state == WHOAMI_DEAD)
		return;
	if (c->state == WHOAMI_BODY || c->state == WHOAMI_ECHO)
		c->t->w->counts.aborted++;
	c->state = WHOAMI_DEAD;
	c->t->w->counts.open--;
	loop_timer_stop(c->t->loop, &c->timer);
	stream_close(&c->s, reset);
	c->task.fn = conn_free;
	loop_defer(c->t->loop, &c->task);
}

void whoami_send(struct whoami_conn *c, const void *data, size_t len)
{
	struct iovec iov = { (void *)(uintptr_t)data, len };

	if (c->state != WHOAMI_DEAD && len > 0 && stream_send(&c->s, &iov, 1) != OK)
		whoami_conn_close(c, true);
}

/* --- requests ------------------------------------------------------------------------------- */

static uint64_t latency(const struct whoami_settings *s)
{
	uint64_t ns = s->latency_ns;

	return ns > 0 && s->jitter ? ns / 2 + random_below(ns) : ns;
}

static bool strikes(unsigned percent)
{
	return percent > 0 && random_below(100) < percent;
}

/* The head stays when the answer has to wait for the body or the clock. */
static void keep(struct whoami_conn *c, const struct http_head *h, const char *data)
{
	c->kept = malloc(h->size);
	if (!c->kept) {
		whoami_conn_close(c, true);
		return;
	}
	memcpy(c->kept, data, h->size);
	c->kept_len = h->size;
}

static void answer_kept(struct whoami_conn *c)
{
	struct http_head *h = &c->t->head;
	size_t scanned = 0;

	CHECK(http_parse_request(h, c->kept, c->kept_len, &limits, &scanned) > 0);
	whoami_answer(c, h);
	free(c->kept);
	c->kept = NULL;
}

static void body_done(struct whoami_conn *c)
{
	if (c->state == WHOAMI_ECHO) {
		whoami_end(c, "");
	} else if (c->answered) {
		c->state = c->close ? WHOAMI_FLUSH : WHOAMI_HEAD;
	} else if (c->delay > 0) {
		c->state = WHOAMI_WAIT;
		loop_timer_set(c->t->loop, &c->timer, c->delay);
	} else {
		answer_kept(c);
	}
}

static void begin(struct whoami_conn *c, const struct http_head *h, const char *data)
{
	struct whoami *w = c->t->w;

	c->page = whoami_page_find(h->path);
	c->close = h->close || w->settings.close;
	c->answered = false;
	c->body = h->body;
	c->left = h->length;
	c->delay = 0;
	http_chunked_init(&c->chunks);
	if (!c->page || !c->page->control) {
		whoami_counts_request(&w->counts, h);
		if (strikes(w->settings.hang_percent)) {
			c->state = WHOAMI_HANG;
			loop_timer_stop(c->t->loop, &c->timer);
			return;
		}
		c->delay = latency(&w->settings);
	} else if (str_eq(h->path, STR("/health"))) {
		w->counts.health++;
		c->delay = w->settings.health_delay_ns;
	}
	if (h->expect_continue && h->body != HTTP_BODY_NONE && !(c->page && c->page->at_once))
		whoami_send(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	if (c->page && c->page->at_once) {
		whoami_answer(c, h);
		return;
	}
	if (h->body == HTTP_BODY_NONE && c->delay == 0) {
		whoami_answer(c, h);
		return;
	}
	keep(c, h, data);
	if (c->state == WHOAMI_DEAD)
		return;
	c->state = WHOAMI_BODY;
	if (h->body == HTTP_BODY_NONE)
		body_done(c);
}

static size_t take_head(struct whoami_conn *c, const char *data, size_t len)
{
	struct http_head *h = &c->t->head;
	int n = http_parse_request(h, data, len, &limits, &c->scanned);

	if (n == 0)
		return 0;
	c->scanned = 0;
	if (n < 0) {
		c->t->w->counts.refused++;
		c->close = true;
		whoami_answer_error(c, NULL, http_fault_status((enum http_fault) - n),
		                    http_fault_text((enum http_fault) - n));
		return len;
	}
	begin(c, h, data);
	return (size_t)n;
}

static size_t take_body(struct whoami_conn *c, const char *data, size_t len)
{
	struct str run = str_n(data, MIN(len, c->left));
	ssize_t n = (ssize_t)run.len;
	bool done;

	if (c->body == HTTP_BODY_CHUNKED) {
		n = http_chunked_scan(&c->chunks, data, len, &run);
		done = c->chunks.done;
	} else {
		c->left -= run.len;
		done = c->left == 0;
	}
	if (n < 0) {
		c->t->w->counts.refused++;
		c->close = true;
		if (c->state == WHOAMI_ECHO || c->answered)
			whoami_conn_close(c, true);
		else
			whoami_answer_error(c, NULL, 400, http_fault_text((enum http_fault) - n));
		return len;
	}
	c->t->w->counts.body_bytes += run.len;
	if (c->state == WHOAMI_ECHO && run.len > 0)
		whoami_run(c, run.s, run.len);
	if (done && c->state != WHOAMI_DEAD)
		body_done(c);
	return (size_t)n;
}

/* Bytes used; 0: more are needed. */
static size_t take(struct whoami_conn *c, const char *data, size_t len)
{
	ssize_t n;

	switch (c->state) {
	case WHOAMI_HEAD:
		return take_head(c, data, len);
	case WHOAMI_BODY:
	case WHOAMI_ECHO:
		return take_body(c, data, len);
	case WHOAMI_WEBSOCKET:
		n = whoami_websocket(c, data, len);
		if (n < 0)
			whoami_conn_close(c, true);
		return n < 0 ? len : (size_t)n;
	case WHOAMI_TUNNEL:
		whoami_send(c, data, len);
		return len;
	default: /* DRAIN: nobody wants it */
		return len;
	}
}

/* --- the loop ------------------------------------------------------------------------------- */

static bool reads(const struct whoami_conn *c)
{
	switch (c->state) {
	case WHOAMI_HEAD:
	case WHOAMI_BODY:
	case WHOAMI_ECHO:
	case WHOAMI_TUNNEL:
	case WHOAMI_WEBSOCKET:
	case WHOAMI_DRAIN:
		return true;
	default:
		return false;
	}
}

/* Reads and uses; false when there is nothing to do but wait. */
static bool feed(struct whoami_conn *c)
{
	struct str waiting = flow_str(&c->in);
	size_t used;
	ssize_t n;

	if (waiting.len > 0 && !c->starved) {
		used = take(c, waiting.s, waiting.len);
		flow_drop(&c->in, used);
		c->starved = used == 0;
		return true;
	}
	if (!c->s.readable)
		return false;
	n = stream_recv(&c->s, c->t->buffer, sizeof(c->t->buffer));
	if (n == ERR_AGAIN)
		return false;
	if (n < 0) {
		whoami_conn_close(c, n == ERR_SYSTEM);
		return false;
	}
	c->starved = false;
	used = 0;
	if (waiting.len == 0) {
		used = take(c, c->t->buffer, (size_t)n);
		c->starved = used == 0;
	}
	if (c->state != WHOAMI_DEAD &&
	    flow_add(&c->in, c->t->buffer + used, (size_t)n - used) != OK)
		whoami_conn_close(c, true);
	return true;
}

/* Sends one part of a body that is made bit by bit. */
static bool produce(struct whoami_conn *c)
{
	if (c->waiting)
		return false;
	switch (c->source(c)) {
	case WHOAMI_MORE:
		return true;
	case WHOAMI_LATER:
		c->waiting = c->state == WHOAMI_SOURCE;
		return false;
	default:
		whoami_end(c, "");
		return true;
	}
}

/* One step; false when there is nothing to do but wait. */
static bool step(struct whoami_conn *c)
{
	if (stream_flush(&c->s) != OK) {
		whoami_conn_close(c, true);
		return false;
	}
	if (!flow_empty(&c->s.out))
		return false;
	if (c->state == WHOAMI_SOURCE)
		return produce(c);
	if (c->state == WHOAMI_FLUSH) {
		stream_shutdown(&c->s);
		c->state = WHOAMI_DRAIN;
		loop_timer_set(c->t->loop, &c->timer, DRAIN_NS);
	}
	return reads(c) && feed(c);
}

static void again(struct loop_task *task)
{
	conn_run(CONTAINER_OF(task, struct whoami_conn, task));
}

/* A client that has gone will not take what it still gets. */
static bool gone(const struct whoami_conn *c)
{
	return c->s.broken || (c->s.hup && c->state == WHOAMI_HANG);
}

static void conn_run(struct whoami_conn *c)
{
	unsigned steps = 0;

	CHECK_MAGIC(c, WHOAMI_CONN_MAGIC);
	if (c->state == WHOAMI_DEAD)
		return;
	while (c->state != WHOAMI_DEAD && steps < STEPS && step(c))
		steps++;
	if (c->state == WHOAMI_DEAD)
		return;
	if (gone(c)) {
		whoami_conn_close(c, true);
		return;
	}
	if (steps == STEPS) {
		c->task.fn = again;
		loop_defer(c->t->loop, &c->task);
	}
	if (c->state != WHOAMI_WAIT && c->state != WHOAMI_HANG && c->state != WHOAMI_DRAIN &&
	    !c->waiting)
		loop_timer_set(c->t->loop, &c->timer, c->t->w->options.idle_ns);
}

static void on_timer(struct loop_timer *timer)
{
	struct whoami_conn *c = CONTAINER_OF(timer, struct whoami_conn, timer);

	CHECK_MAGIC(c, WHOAMI_CONN_MAGIC);
	if (c->state == WHOAMI_WAIT) {
		answer_kept(c);
	} else if (c->state == WHOAMI_SOURCE && c->waiting) {
		c->waiting = false;
	} else {
		whoami_conn_close(c, c->state != WHOAMI_HEAD);
		return;
	}
	conn_run(c);
}

static void on_event(struct loop_io *io, uint32_t events)
{
	struct whoami_conn *c = CONTAINER_OF(io, struct whoami_conn, s.io);

	CHECK_MAGIC(c, WHOAMI_CONN_MAGIC);
	stream_events(&c->s, events);
	conn_run(c);
}

/* --- the beginning -------------------------------------------------------------------------- */

static void conn_new(struct whoami_thread *t, int fd, const struct net_addr *peer)
{
	struct whoami_conn *c = calloc(1, sizeof(*c));

	if (!c) {
		net_close(fd);
		return;
	}
	c->magic = WHOAMI_CONN_MAGIC;
	c->t = t;
	c->timer.fn = on_timer;
	c->peer = *peer;
	stream_init(&c->s, fd, on_event);
	if (loop_add(t->loop, &c->s.io, LOOP_IN | LOOP_OUT | LOOP_RDHUP) != OK) {
		net_close(fd);
		free(c);
		return;
	}
	t->w->counts.connections++;
	t->w->counts.open++;
	c->s.readable = true; /* the request is mostly there already */
	conn_run(c);
}

void whoami_accept(struct loop_io *io, uint32_t events)
{
	struct whoami_thread *t = CONTAINER_OF(io, struct whoami_thread, accept);
	struct net_addr peer;

	(void)events;
	for (unsigned i = 0; i < ACCEPTS; i++) {
		int fd = net_accept(io->fd, &peer);

		if (fd == ERR_FULL) { /* nothing to take until some are closed */
			loop_remove(t->loop, io);
			loop_timer_set(t->loop, &t->accept_again, ACCEPT_PAUSE);
			return;
		}
		if (fd == ERR_AGAIN)
			return;
		if (fd >= 0)
			conn_new(t, fd, &peer);
	}
}
