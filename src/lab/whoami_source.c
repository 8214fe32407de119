/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies made bit by bit: of any length, in chunks, slowly, as events. A source is called when all
 * it made before has been sent, so a slow client costs no memory.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "lab/whoami_impl.h"
#include <stdio.h>

#define SLOW_TICK (100 * NS_PER_MS)

static void start(struct whoami_conn *c, const struct http_head *h, whoami_source_fn *source)
{
	if (c->state == WHOAMI_DEAD)
		return;
	c->state = WHOAMI_SOURCE;
	c->source = source;
	c->source_pos = 0;
	c->waiting = false;
	if (h->method == HTTP_HEAD) {
		c->chunked = false;
		whoami_end(c, "");
	}
}

static bool size_of(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	if (str_to_u64(rest, 1ULL << 40, &c->source_left) == OK)
		return true;
	whoami_answer_error(c, h, 400, "a number of bytes must follow");
	return false;
}

/* The bytes at every position are the same in all bodies: pieces of one text, repeated. */
static void send_some(struct whoami_conn *c, uint64_t n, bool as_run)
{
	const char *from = c->t->w->block + c->source_pos % WHOAMI_BUFFER;

	if (as_run)
		whoami_run(c, from, n);
	else
		whoami_send(c, from, n);
	c->source_pos += n;
	c->source_left -= n;
}

static enum whoami_step more_bytes(struct whoami_conn *c)
{
	uint64_t n = MIN(c->source_left, (uint64_t)WHOAMI_BUFFER);

	send_some(c, n, false);
	return c->source_left > 0 ? WHOAMI_MORE : WHOAMI_DONE;
}

void whoami_bytes(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	if (!size_of(c, h, rest))
		return;
	whoami_head(c, h, 200, "application/octet-stream", c->source_left, "");
	start(c, h, more_bytes);
}

/* Half of what was promised, then the end. */
static enum whoami_step cut_short(struct whoami_conn *c)
{
	if (more_bytes(c) == WHOAMI_MORE)
		return WHOAMI_MORE;
	c->close = true;
	return WHOAMI_DONE;
}

void whoami_truncate(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	if (!size_of(c, h, rest))
		return;
	whoami_head(c, h, 200, "application/octet-stream", c->source_left, "");
	c->source_left /= 2;
	start(c, h, cut_short);
}

static enum whoami_step more_chunks(struct whoami_conn *c)
{
	if (c->source_left > 0)
		send_some(c, MIN(c->source_left, c->source_rate), true);
	return c->source_left > 0 ? WHOAMI_MORE : WHOAMI_DONE;
}

void whoami_chunked(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	if (!size_of(c, h, rest))
		return;
	c->source_rate = MAX(1U, whoami_query_u64(h->query, "chunk", WHOAMI_BUFFER, 1000));
	whoami_head(c, h, 200, "application/octet-stream", UINT64_MAX, "");
	start(c, h, more_chunks);
}

static enum whoami_step more_slowly(struct whoami_conn *c)
{
	uint64_t due = MAX(c->source_rate * SLOW_TICK / NS_PER_S, 1U);
	uint64_t tick = c->source_rate >= 10 ? SLOW_TICK : NS_PER_S / c->source_rate;

	send_some(c, MIN(MIN(c->source_left, due), (uint64_t)WHOAMI_BUFFER), false);
	if (c->source_left == 0)
		return WHOAMI_DONE;
	if (c->state != WHOAMI_DEAD)
		loop_timer_set(c->t->loop, &c->timer, tick);
	return WHOAMI_LATER;
}

void whoami_slow(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	if (!size_of(c, h, rest))
		return;
	c->source_rate = MAX(1U, whoami_query_u64(h->query, "rate", 10 * WHOAMI_BUFFER, 1000));
	whoami_head(c, h, 200, "application/octet-stream", c->source_left, "");
	start(c, h, more_slowly);
}

static enum whoami_step next_event(struct whoami_conn *c)
{
	char event[64];
	int n = snprintf(event, sizeof(event), "id: %lu\ndata: %lu\n\n", c->source_pos,
	                 clock_wall_ms());

	whoami_run(c, event, (size_t)n);
	c->source_pos++;
	if (--c->source_left == 0)
		return WHOAMI_DONE;
	if (c->state != WHOAMI_DEAD)
		loop_timer_set(c->t->loop, &c->timer, c->source_rate);
	return WHOAMI_LATER;
}

/* Server-sent events: an endless answer of small pieces. */
void whoami_sse(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	struct str value;

	(void)rest;
	c->source_left = MAX(1U, whoami_query_u64(h->query, "count", UINT32_MAX, UINT32_MAX));
	c->source_rate = 100 * NS_PER_MS;
	if (whoami_query(h->query, "interval", &value) &&
	    (!whoami_duration(value, &c->source_rate) || c->source_rate < NS_PER_MS)) {
		whoami_answer_error(c, h, 400, "interval: a duration of at least 1ms");
		return;
	}
	whoami_head(c, h, 200, "text/event-stream", UINT64_MAX, "Cache-Control: no-cache\r\n");
	start(c, h, next_event);
}
