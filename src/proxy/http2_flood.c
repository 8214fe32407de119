/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 floods: frames that cost their sender next to nothing are counted in leaky buckets, one
 * for each kind; useful work of the connection gives some back. Who overflows one is told to calm
 * down (RFC 9113, 10.5) and loses the connection. Proxy role, one worker thread each.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "proxy/exchange.h"
#include "proxy/http2.h"

#define RESET_SPAN (10 * NS_PER_S) /* in which `max_resets` may come */
#define END_TIME   (2 * NS_PER_S)
#define LOG_EVERY  (10 * NS_PER_S) /* of one kind and thread */

static const struct {
	uint32_t burst; /* so many at once */
	uint32_t rate;  /* and so many a second for ever */
	enum wire_counter counter;
	const char *why;
} kinds[HTTP2_KINDS] = {
	[HTTP2_SETTINGS] = { 50, 5, WIRE_FLOOD_SETTINGS, "too many SETTINGS frames" },
	[HTTP2_PING] = { 200, 20, WIRE_FLOOD_PING, "too many PING frames" },
	[HTTP2_EMPTY] = { 500, 50, WIRE_FLOOD_EMPTY, "too many frames without content" },
	[HTTP2_WINDOW] = { 1000, 100, WIRE_FLOOD_WINDOW,
	                   "too many WINDOW_UPDATE frames, or too small ones" },
};

bool http2_take(struct http2 *h, enum http2_kind kind)
{
	struct http2_bucket *b = &h->buckets[kind];
	const uint64_t now = h->c->thread->loop->now;
	uint64_t leaked;

	if (h->over)
		return false;
	leaked = (now - b->at) / (NS_PER_S / kinds[kind].rate);
	if (leaked > 0) {
		b->used = leaked < b->used ? b->used - (uint32_t)leaked : 0;
		b->at = now;
	}
	if (++b->used <= kinds[kind].burst)
		return true;
	http2_calm(h, kinds[kind].counter, kinds[kind].why);
	return false;
}

void http2_credit(struct http2 *h, enum http2_kind kind, uint32_t n)
{
	struct http2_bucket *b = &h->buckets[kind];

	b->used = n < b->used ? b->used - n : 0;
}

bool http2_reset_seen(struct http2 *h)
{
	const uint64_t now = h->c->thread->loop->now;

	if (h->over)
		return false;
	if (now - h->resets_since > RESET_SPAN) {
		h->resets_since = now;
		h->resets = 0;
	}
	if (++h->resets <= h->c->listener->conf->http2.max_resets)
		return true;
	http2_calm(h, WIRE_FLOOD_RESET, "streams were opened and reset too fast");
	return false;
}

static void tell(struct http2 *h, enum wire_counter counter, const char *event, const char *why)
{
	uint64_t *last = &h->ht->logged[counter];
	const uint64_t now = h->c->thread->loop->now;
	char text[NET_ADDR_TEXT];
	struct net_addr a;

	if (*last != 0 && now - *last < LOG_EVERY)
		return;
	*last = now;
	client_peer(h->c, &a);
	net_addr_host(&a, text);
	log_notice(event, h->c->listener->conf->name.s,
	           "client %s: %s; its connection is ended (said once in 10 s)", text, why);
}

/* GOAWAY with an error: nothing after it counts, what runs is given up. */
static void terminate(struct http2 *h, uint32_t error)
{
	h->over = true;
	nghttp2_session_terminate_session(h->ng, error);
	/* It need not read that. */
	loop_timer_set(h->c->thread->loop, &h->c->timer, END_TIME);
	http2_dirty(h);
}

void http2_calm(struct http2 *h, enum wire_counter counter, const char *why)
{
	if (h->over)
		return;
	stat_add(&h->c->listener->wire->c[counter], 1);
	tell(h, counter, "http2_flood", why);
	terminate(h, NGHTTP2_ENHANCE_YOUR_CALM);
}

void http2_violation(struct http2 *h, uint32_t error, const char *why)
{
	if (h->over)
		return;
	stat_add(&h->c->listener->wire->c[WIRE_H2_ERRORS], 1);
	tell(h, WIRE_H2_ERRORS, "http2_error", why);
	terminate(h, error);
}
