/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 connections of clients: their beginning, events, farewell and end; see http2.h. Proxy
 * role, one worker thread each.
 */
#include "proxy/http2.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/exchange.h"

#define MAX_ACKS   64            /* answers to PING and SETTINGS that wait, of a session */
#define WINDOW_ALL (1024 * 1024) /* bytes that all streams of a client may send ahead at least */
#define LEAVE_WAIT NS_PER_S      /* for the client to see that we leave */
#define TURN_READS STREAM_TURN

static const char preface[] = NGHTTP2_CLIENT_MAGIC;

/* --- the thread's part ---------------------------------------------------------------------- */

static void flush_all(struct loop_task *task)
{
	struct http2_thread *ht = CONTAINER_OF(task, struct http2_thread, flush);
	struct http2 *h;

	while ((h = TAILQ_FIRST(&ht->dirty)) != NULL) {
		TAILQ_REMOVE(&ht->dirty, h, dirty_link);
		h->dirty = false;
		http2_flush(h);
	}
	ht->nturn = 0; /* what could not be sent lies in the streams now */
	while ((h = TAILQ_FIRST(&ht->hungry)) != NULL) {
		TAILQ_REMOVE(&ht->hungry, h, hungry_link);
		h->hungry = false;
		http2_feed_starved(h);
	}
}

static struct http2_thread *http2_thread_new(struct thread *t)
{
	struct http2_thread *ht = calloc(1, sizeof(*ht));

	if (ht == NULL)
		return NULL;
	ht->thread = t;
	TAILQ_INIT(&ht->sessions);
	TAILQ_INIT(&ht->dirty);
	TAILQ_INIT(&ht->hungry);
	slab_init(&ht->session_slab, sizeof(struct http2));
	slab_init(&ht->stream_slab, sizeof(struct http2_stream));
	ht->flush.fn = flush_all;
	if (nghttp2_session_callbacks_new(&ht->callbacks) != 0 ||
	    nghttp2_option_new(&ht->option) != 0) {
		http2_thread_free(ht);
		return NULL;
	}
	http2_recv_callbacks(ht->callbacks);
	http2_send_callbacks(ht->callbacks);
	/* Windows open when servers have taken what came. */
	nghttp2_option_set_no_auto_window_update(ht->option, 1);
	/* Messages are judged by h2_text.c and the HTTP/1.1 parser, once, with a reason. */
	nghttp2_option_set_no_http_messaging(ht->option, 1);
	nghttp2_option_set_no_closed_streams(ht->option, 1);
	nghttp2_option_set_max_outbound_ack(ht->option, MAX_ACKS);
	/* What it reckons with for a head of many fields is more than the head. */
	nghttp2_option_set_max_send_header_block_length(ht->option, 512 * 1024);
	/* `max_resets` is ours to count. */
	nghttp2_option_set_stream_reset_rate_limit(ht->option, UINT32_MAX, UINT32_MAX);
	return ht;
}

void http2_thread_free(struct http2_thread *ht)
{
	if (ht == NULL)
		return;
	nghttp2_session_callbacks_del(ht->callbacks);
	nghttp2_option_del(ht->option);
	slab_destroy(&ht->session_slab);
	slab_destroy(&ht->stream_slab);
	free(ht);
}

/* --- streams -------------------------------------------------------------------------------- */

struct http2_stream *http2_stream_new(struct http2 *h, int32_t id)
{
	struct http2_stream *st = slab_alloc(&h->ht->stream_slab);

	if (st == NULL)
		return NULL;
	*st = (struct http2_stream){ .magic = HTTP2_STREAM_MAGIC, .id = id, .h = h };
	if (nghttp2_session_set_stream_user_data(h->ng, id, st) != 0) {
		slab_put(&h->ht->stream_slab, st);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&h->streams, st, link);
	return st;
}

void http2_stream_free(struct http2_stream *st)
{
	struct http2 *h = st->h;

	CHECK_MAGIC(st, HTTP2_STREAM_MAGIC);
	CHECK(st->x == NULL);
	st->magic = 0;
	http2_drop(st);
	flow_free(&st->in);
	flow_free(&st->trailers);
	if (st->out_end)
		h->nended--;
	if (st->starved)
		h->nstarved--;
	if (st->working)
		TAILQ_REMOVE(&h->work, st, work);
	TAILQ_REMOVE(&h->streams, st, link);
	slab_put(&h->ht->stream_slab, st);
}

void http2_cut_all(struct http2 *h, const char *why)
{
	struct http2_stream *st, *next;

	for (st = TAILQ_FIRST(&h->streams); st != NULL && h->nx > 0; st = next) {
		/* One end of an exchange may begin others, but none of this client. */
		next = TAILQ_NEXT(st, link);
		if (st->x != NULL)
			exchange_cut(st->x, why);
	}
}

/* --- the connection ------------------------------------------------------------------------- */

void http2_dirty(struct http2 *h)
{
	if (h->dirty || h->freeing)
		return;
	h->dirty = true;
	TAILQ_INSERT_TAIL(&h->ht->dirty, h, dirty_link);
	loop_defer(h->c->thread->loop, &h->ht->flush);
}

/* GOAWAY in the last moment, where the socket takes it: the client need not guess. */
static void say_goodbye(struct http2 *h)
{
	const uint8_t *p;
	ssize_t n;

	if (h->blocked || h->over || h->ht->nout > 0 || h->c->s.broken || h->c->s.eof ||
	    h->c->s.ended)
		return;
	if (nghttp2_session_terminate_session(h->ng, NGHTTP2_NO_ERROR) != 0)
		return;
	while ((n = nghttp2_session_mem_send(h->ng, &p)) > 0) {
		const struct iovec iov = { (uint8_t *)p, (size_t)n };

		if (stream_send(&h->c->s, &iov, 1) != OK || p[3] == NGHTTP2_GOAWAY)
			break;
	}
	h->ht->nout = 0;
}

void http2_free(struct client *c)
{
	struct http2 *h = c->http2;
	struct http2_stream *st;

	CHECK_MAGIC(h, HTTP2_MAGIC);
	h->freeing = true;
	if (h->nx == 0 && !c->reading)
		say_goodbye(h);
	http2_cut_all(h, "the client's connection ended");
	c->http2 = NULL;
	loop_timer_stop(c->thread->loop, &h->leave_timer);
	if (h->dirty)
		TAILQ_REMOVE(&h->ht->dirty, h, dirty_link);
	if (h->hungry)
		TAILQ_REMOVE(&h->ht->hungry, h, hungry_link);
	while ((st = TAILQ_FIRST(&h->streams)) != NULL)
		http2_stream_free(st);
	nghttp2_session_del(h->ng);
	free(h->spill);
	TAILQ_REMOVE(&h->ht->sessions, h, link);
	h->magic = 0;
	slab_put(&h->ht->session_slab, h);
}

/* A session whose client is known to be gone. */
static void lost(struct http2 *h)
{
	client_close(h->c, h->c->s.broken);
}

/* What came for streams goes on to their exchanges, now that all of a read is known. */
static void work(struct http2 *h)
{
	struct http2_stream *st;

	while ((st = TAILQ_FIRST(&h->work)) != NULL) {
		TAILQ_REMOVE(&h->work, st, work);
		st->working = false;
		if (st->x != NULL)
			front_http2_event(st);
	}
}

/* False when the client is gone. */
static bool receive(struct http2 *h)
{
	struct client *c = h->c;
	unsigned reads = 0;
	bool well = true;

	while (c->s.readable && !h->over) {
		ssize_t n;

		if (reads++ == TURN_READS) {
			loop_rearm(c->thread->loop, &c->s.io, STREAM_EVENTS);
			break;
		}
		n = stream_recv(&c->s, h->ht->in, sizeof(h->ht->in));
		if (n == ERR_AGAIN)
			break;
		if (n < 0) {
			well = false;
			break;
		}
		http2_feed(h, h->ht->in, (size_t)n);
	}
	return well;
}

void http2_event(struct client *c)
{
	struct http2 *h = c->http2;
	bool well;

	CHECK_MAGIC(h, HTTP2_MAGIC);
	if (c->s.broken) {
		lost(h);
		return;
	}
	if (!flow_empty(&c->s.out) && stream_flush(&c->s) != OK) {
		lost(h);
		return;
	}
	if (h->blocked && flow_empty(&c->s.out))
		h->blocked = false;
	c->reading = true;
	well = receive(h);
	work(h);
	c->reading = false;
	if (!well) {
		lost(h);
		return;
	}
	http2_dirty(h);
}

void http2_timeout(struct client *c)
{
	struct http2 *h = c->http2;

	CHECK_MAGIC(h, HTTP2_MAGIC);
	if (c->state == CLIENT_HEAD && !h->over) {
		http2_calm(h, WIRE_FLOOD_CONTINUATION, "a header block did not come in time");
		http2_dirty(h);
		return;
	}
	client_close(c, false);
}

/* --- the farewell --------------------------------------------------------------------------- */

/* RFC 9113, 6.8: first that no more requests are wanted, then, when the client has seen it or had
 * the time to, which was the last. */
static void leave_finally(struct http2 *h)
{
	if (h->leave != HTTP2_NOTICED || h->over)
		return;
	h->leave = HTTP2_LEAVING;
	loop_timer_stop(h->c->thread->loop, &h->leave_timer);
	/* Sent before anything more is read: the number stays true. */
	nghttp2_submit_goaway(h->ng, NGHTTP2_FLAG_NONE,
	                      nghttp2_session_get_last_proc_stream_id(h->ng), NGHTTP2_NO_ERROR,
	                      NULL, 0);
	http2_dirty(h);
}

void http2_left(struct http2 *h)
{
	leave_finally(h);
}

static void leave_timeout(struct loop_timer *timer)
{
	struct http2 *h = CONTAINER_OF(timer, struct http2, leave_timer);

	CHECK_MAGIC(h, HTTP2_MAGIC);
	leave_finally(h);
}

static void leave_begin(struct http2 *h)
{
	if (h->leave != HTTP2_STAYS || h->over)
		return;
	h->leave = HTTP2_NOTICED;
	nghttp2_submit_shutdown_notice(h->ng);
	nghttp2_submit_ping(h->ng, NGHTTP2_FLAG_NONE, NULL);
	loop_timer_set(h->c->thread->loop, &h->leave_timer, LEAVE_WAIT);
	http2_dirty(h);
}

void http2_drain(struct thread *t)
{
	struct http2 *h;

	if (t->http2 == NULL)
		return;
	TAILQ_FOREACH (h, &t->http2->sessions, link)
		if (t->closing || h->c->listener->removed)
			leave_begin(h);
}

/* --- the beginning -------------------------------------------------------------------------- */

size_t http2_preface(const char *data, size_t len)
{
	const size_t n = MIN(len, sizeof(preface) - 1);

	return memcmp(data, preface, n) == 0 ? n : 0;
}

static int say_hello(struct http2 *h)
{
	const struct conf_listener *l = h->c->listener->conf;
	const nghttp2_settings_entry settings[] = {
		{ NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, l->http2.max_streams },
		{ NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, l->http2.window },
		{ NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, l->max_header_size },
		{ NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1 },
		/* RFC 9113, 5.3.2: the tree of priorities is not kept. */
		{ NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1 },
	};
	const uint32_t all = MAX((uint32_t)WINDOW_ALL, MIN(l->http2.window, 1U << 29) * 2);

	if (nghttp2_submit_settings(h->ng, NGHTTP2_FLAG_NONE, settings,
	                            sizeof(settings) / sizeof(settings[0])) != 0)
		return ERR_NOMEM;
	return nghttp2_session_set_local_window_size(h->ng, NGHTTP2_FLAG_NONE, 0, (int32_t)all) == 0
	           ? OK
	           : ERR_NOMEM;
}

static struct http2 *http2_new(struct client *c)
{
	struct thread *t = c->thread;
	struct http2 *h;

	if (t->http2 == NULL && (t->http2 = http2_thread_new(t)) == NULL)
		return NULL;
	if ((h = slab_alloc(&t->http2->session_slab)) == NULL)
		return NULL;
	*h = (struct http2){ .magic = HTTP2_MAGIC, .c = c, .ht = t->http2 };
	TAILQ_INIT(&h->streams);
	TAILQ_INIT(&h->work);
	h->leave_timer.fn = leave_timeout;
	h->ids.skip = sizeof(preface) - 1;
	if (nghttp2_session_server_new2(&h->ng, t->http2->callbacks, h, t->http2->option) != 0) {
		slab_put(&t->http2->session_slab, h);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&t->http2->sessions, h, link);
	return h;
}

bool http2_start(struct client *c)
{
	struct http2 *h = http2_new(c);
	struct flow early = c->in;

	if (h == NULL || say_hello(h) != OK) {
		if (h != NULL)
			c->http2 = h;
		client_close(c, true);
		return false;
	}
	c->http2 = h;
	c->in = (struct flow){ 0 };
	stat_add(&c->listener->wire->c[WIRE_H2_CONNECTIONS], 1);
	client_idle(c);
	if (!flow_empty(&early)) {
		const struct str data = flow_str(&early);

		c->reading = true;
		http2_feed(h, data.s, data.len);
		work(h);
		c->reading = false;
		flow_free(&early);
	}
	if (c->thread->closing || c->listener->removed)
		leave_begin(h);
	http2_dirty(h);
	if (!c->s.readable)
		return true;
	http2_event(c);
	return c->magic == CLIENT_MAGIC;
}
