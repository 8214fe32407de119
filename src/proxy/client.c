/* SPDX-License-Identifier: Apache-2.0 */
/* Client connections; see client.h. Proxy role, one worker thread each. */
#include "proxy/client.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/sock.h"
#include "proxy/exchange.h"
#include "proxy/http2.h"
#include "proxy/opening.h"
#include "proxy/tcp.h"
#include "proxy/tls_front.h"
#include "tls/tls.h"

#define LINGER_TIME  (2 * NS_PER_S)
#define LINGER_BYTES (1024 * 1024)
#define CLIENT_TURNS 64 /* requests answered at once of one client; then others have their turn */

static void client_read(struct client *c);

static bool is_idle(enum client_state s)
{
	return s == CLIENT_FRESH || s == CLIENT_IDLE;
}

/* The one place that changes a client's state: list, timer and state go together. */
static void client_state(struct client *c, enum client_state to)
{
	struct thread *t = c->thread;

	if (is_idle(c->state) != is_idle(to)) {
		if (is_idle(to)) {
			TAILQ_REMOVE(&t->clients, c, link);
			TAILQ_INSERT_TAIL(&t->idle, c, link);
		} else {
			TAILQ_REMOVE(&t->idle, c, link);
			TAILQ_INSERT_TAIL(&t->clients, c, link);
		}
	}
	c->state = (uint8_t)to;
	switch (to) {
	case CLIENT_FRESH:
	case CLIENT_HEAD:
		loop_timer_set(t->loop, &c->timer, c->listener->conf->timeouts.request_header);
		break;
	case CLIENT_IDLE:
		loop_timer_set(t->loop, &c->timer, c->listener->conf->timeouts.keep_alive);
		break;
	case CLIENT_LINGER:
		loop_timer_set(t->loop, &c->timer, LINGER_TIME);
		break;
	case CLIENT_OPENING:
	case CLIENT_HANDSHAKE:
		loop_timer_set(t->loop, &c->timer, c->listener->conf->timeouts.handshake);
		break;
	case CLIENT_BUSY:
		loop_timer_stop(t->loop, &c->timer);
		break;
	}
}

void client_busy(struct client *c)
{
	c->served = true;
	client_state(c, CLIENT_BUSY);
}

void client_head(struct client *c)
{
	client_state(c, CLIENT_HEAD);
}

void client_idle(struct client *c)
{
	client_state(c, CLIENT_IDLE);
}

void client_opening(struct client *c)
{
	client_state(c, CLIENT_OPENING);
}

void client_close(struct client *c, bool reset)
{
	struct thread *t = c->thread;

	CHECK_MAGIC(c, CLIENT_MAGIC);
	CHECK(c->x == NULL);
	if (c->http2 != NULL)
		http2_free(c);
	c->magic = 0;
	loop_timer_stop(t->loop, &c->timer);
	stream_close(&c->s, reset);
	flow_free(&c->in);
	free(c->proxied);
	free(c->identity);
	TAILQ_REMOVE(is_idle(c->state) ? &t->idle : &t->clients, c, link);
	t->nclients--;
	atomic_fetch_sub_explicit(c->listener->connections, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(t->proxy->connections, 1, memory_order_relaxed);
	stat_add(&c->listener->stat->c[STAT_OPEN], (uint64_t)-1);
	listener_unuse(c->listener);
	STAILQ_INSERT_TAIL(&t->dead_clients, c, dead);
	loop_defer(t->loop, &t->reaper);
}

static void linger_read(struct client *c)
{
	ssize_t n;

	do {
		n = stream_recv(&c->s, c->thread->in, THREAD_SCRATCH);
		if (n > 0)
			c->scanned += (size_t)n;
	} while (n > 0 && c->s.readable && c->scanned < LINGER_BYTES);
	if ((n < 0 && n != ERR_AGAIN) || c->scanned >= LINGER_BYTES)
		client_close(c, false);
}

void client_linger(struct client *c)
{
	if (flow_empty(&c->s.out))
		stream_shutdown(&c->s);
	c->scanned = 0;
	client_state(c, CLIENT_LINGER);
	if (c->s.readable && !c->reading)
		linger_read(c);
}

void client_done(struct client *c, bool keep)
{
	c->x = NULL;
	if (c->s.broken) {
		client_close(c, true);
	} else if (!keep && (!c->s.eof || !flow_empty(&c->s.out))) {
		/* What waits unread would turn close() into a reset that may overtake the answer.
		 */
		if (c->last && flow_empty(&c->s.out) && flow_empty(&c->in) && !c->s.readable)
			client_close(c, false);
		else
			client_linger(c);
	} else if (!keep) {
		client_close(c, false);
	} else {
		client_state(c, CLIENT_IDLE);
		if (!c->reading && (!flow_empty(&c->in) || c->s.readable))
			client_read(c);
	}
}

/* RFC 9113, 3.3: what a client says first, in clear text, when it knows that HTTP/2 is spoken.
 * Whether that is what lies at data, as far as it goes. Under TLS it says so by ALPN (3.2). */
static bool is_preface(const struct client *c, const char *data, size_t len)
{
	return data[0] == 'P' && !c->served && c->s.layer == NULL && c->listener->conf->http2.on &&
	       http2_preface(data, len) > 0;
}

static void turn_http2(struct client *c, const char *data, size_t len)
{
	flow_free(&c->in);
	c->partial = false;
	c->scanned = 0;
	if (flow_add(&c->in, data, len) != OK) {
		client_close(c, true);
		return;
	}
	c->reading = false;
	http2_start(c);
}

/* Parses what lies at data; true when more bytes are needed or the connection goes on with the next
 * request, *used: bytes taken. */
static bool client_parse(struct client *c, const char *data, size_t len, size_t *used)
{
	const struct conf_listener *l = c->listener->conf;
	const struct http_limits limits = { .max_line = l->max_line,
		                            .max_head = l->max_header_size,
		                            .max_fields = l->max_headers };
	struct http_head *h = &c->thread->request;
	int n = 0;

	*used = 0;
	if (unlikely(is_preface(c, data, len))) {
		if (len >= HTTP2_PREFACE) {
			turn_http2(c, data, len);
			return false;
		}
	} else {
		n = http_parse_request(h, data, len, &limits, &c->scanned);
	}
	if (n == 0) {
		c->partial = true;
		return true;
	}
	if (n < 0) {
		exchange_refuse(c, (enum http_fault) - n);
		return false;
	}
	c->scanned = 0;
	c->partial = false;
	*used = (size_t)n + exchange_start(c, h, str_n(data + n, len - (size_t)n));
	return c->magic == CLIENT_MAGIC && c->state != CLIENT_LINGER;
}

/* Takes one request off the bytes that are there, reading more first where allowed. Returns whether
 * another turn may find another request. */
static bool client_turn(struct client *c)
{
	struct thread *t = c->thread;
	struct str had = flow_str(&c->in);
	char *at = t->in;
	size_t len = had.len, used;
	bool more = false;

	if (had.len > 0)
		memcpy(at, had.s, had.len);
	/* Bytes that are there already were not enough, or none are: read. */
	if (c->s.readable && (had.len == 0 || c->partial)) {
		ssize_t n = stream_recv(&c->s, at + len, THREAD_SCRATCH);

		if (n > 0)
			len += (size_t)n;
		else if (n != ERR_AGAIN) {
			tls_mute(&c->s); /* it has its answers, or wants none */
			client_close(c, false);
			return false;
		}
	}
	if (len == 0)
		return false;
	if (!client_parse(c, at, len, &used)) {
		return false;
	}
	flow_free(&c->in);
	if (used < len) {
		if (flow_add(&c->in, at + used, len - used) != OK) {
			c->last = true;
			if (c->x == NULL)
				client_close(c, true);
			return false;
		}
		more = used > 0;
	}
	if (used == 0 && c->state != CLIENT_HEAD)
		client_state(c, CLIENT_HEAD);
	return more || c->s.readable;
}

static void client_read(struct client *c)
{
	unsigned turns = 0;

	c->reading = true;
	while (c->magic == CLIENT_MAGIC && c->x == NULL && c->state != CLIENT_LINGER) {
		if (turns++ == CLIENT_TURNS) {
			loop_rearm(c->thread->loop, &c->s.io, STREAM_EVENTS);
			break;
		}
		if (!client_turn(c))
			break;
	}
	if (c->magic != CLIENT_MAGIC)
		return;
	c->reading = false;
	if (c->state == CLIENT_LINGER && c->s.readable)
		linger_read(c);
	else if (c->x != NULL && c->s.readable)
		front_http1_event(c->x); /* its body goes on in the socket */
}

/* The connection's protocol begins. */
static void client_ready(struct client *c)
{
	if (c->listener->conf->protocol == PROTOCOL_TCP) {
		tcp_start(c, c->s.layer != NULL ? tls_asked_name(&c->s) : STR_NONE);
		return;
	}
	client_state(c, CLIENT_FRESH);
	if (str_eq(tls_alpn(&c->s), STR("h2")))
		http2_start(c);
	else if (!flow_empty(&c->in) || c->s.readable)
		client_read(c);
}

static void client_handshake(struct client *c)
{
	int err = tls_front_handshake(c);

	if (err == OK)
		client_ready(c);
	else if (err != ERR_AGAIN)
		client_close(c, false);
}

void client_begin(struct client *c)
{
	if (!c->listener->conf->tls.on) {
		client_ready(c);
		return;
	}
	client_state(c, CLIENT_HANDSHAKE);
	client_handshake(c);
}

static void client_event(struct loop_io *io, uint32_t events)
{
	struct client *c = CONTAINER_OF(io, struct client, s.io);

	CHECK_MAGIC(c, CLIENT_MAGIC);
	stream_events(&c->s, events);
	if (c->http2 != NULL) {
		http2_event(c);
		return;
	}
	if (c->x != NULL) {
		front_http1_event(c->x);
		return;
	}
	if (c->state == CLIENT_OPENING) {
		opening_event(c);
		return;
	}
	if (c->state == CLIENT_HANDSHAKE) {
		client_handshake(c);
		return;
	}
	if (c->s.broken) {
		client_close(c, false);
		return;
	}
	if (c->state == CLIENT_LINGER) {
		if (!flow_empty(&c->s.out)) {
			if (stream_flush(&c->s) != OK) {
				client_close(c, false);
				return;
			}
			if (flow_empty(&c->s.out))
				stream_shutdown(&c->s);
		}
		if (c->s.readable)
			linger_read(c);
		return;
	}
	if (c->s.readable || (!flow_empty(&c->in) && !c->partial))
		client_read(c);
}

static void client_timeout(struct loop_timer *timer)
{
	struct client *c = CONTAINER_OF(timer, struct client, timer);

	CHECK_MAGIC(c, CLIENT_MAGIC);
	if (c->http2 != NULL) {
		http2_timeout(c);
		return;
	}
	if (c->state == CLIENT_HANDSHAKE)
		tls_front_timeout(c);
	if (c->state == CLIENT_OPENING)
		opening_timeout(c);
	else if (c->state == CLIENT_HEAD)
		exchange_refuse(c, HTTP_FAULT_NONE);
	else
		client_close(c, false);
}

void client_accept(struct listener *l, int fd, const struct net_addr *peer)
{
	struct thread *t = l->thread;
	struct client *c = slab_alloc(&t->client_slab);

	if (c == NULL) {
		net_close(fd);
		return;
	}
	*c = (struct client){ .magic = CLIENT_MAGIC, .thread = t, .listener = l };
	stream_init(&c->s, fd, client_event);
	c->timer.fn = client_timeout;
	client_set_peer(c, peer);
	if (loop_add(t->loop, &c->s.io, STREAM_EVENTS) != OK) {
		net_close(fd);
		slab_put(&t->client_slab, c);
		return;
	}
	l->users++;
	t->nclients++;
	atomic_fetch_add_explicit(l->connections, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(t->proxy->connections, 1, memory_order_relaxed);
	stat_add(&l->stat->c[STAT_CONNECTIONS], 1);
	stat_add(&l->stat->c[STAT_OPEN], 1);
	TAILQ_INSERT_TAIL(&t->idle, c, link);
	if (l->conf->protocol != PROTOCOL_HTTP || l->conf->naccept_proxy > 0)
		opening_start(c);
	else
		client_begin(c);
}

void client_set_peer(struct client *c, const struct net_addr *peer)
{
	if (peer->sa.sa_family == AF_INET)
		c->peer.in4 = peer->in;
	else if (peer->sa.sa_family == AF_INET6)
		c->peer.in6 = peer->in6;
	else
		c->peer.sa.sa_family = AF_UNIX;
}

void client_peer(const struct client *c, struct net_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->sa.sa_family = c->peer.sa.sa_family;
	switch (c->peer.sa.sa_family) {
	case AF_INET:
		ret->in = c->peer.in4;
		ret->len = sizeof(ret->in);
		break;
	case AF_INET6:
		ret->in6 = c->peer.in6;
		ret->len = sizeof(ret->in6);
		break;
	default:
		ret->len = sizeof(ret->un.sun_family);
	}
}

unsigned client_evict(struct thread *t, unsigned n)
{
	struct client *c, *next;
	unsigned closed = 0;

	for (c = TAILQ_FIRST(&t->idle); c != NULL && closed < n; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->state == CLIENT_IDLE && !c->reading) {
			client_close(c, false);
			closed++;
		}
	}
	return closed;
}
