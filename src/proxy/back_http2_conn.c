/* SPDX-License-Identifier: Apache-2.0 */
/* The life of HTTP/2 connections to servers; see back_http2.h. Proxy role, one worker thread each.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/sock.h"
#include "proxy/back_http2.h"
#include "proxy/tls_back.h"

/* --- the end -------------------------------------------------------------------------------- */

/* Those who waited for a connection that could not be made: all, while no other is on its way. */
static void fail_waiting(struct server *s, enum fail_why why)
{
	const uint32_t round = s->up_round++;
	struct up_stream *st;

	if (s->nopening > 0)
		return;
	/* What they do next may bring others to wait: those belong to the next round. */
	while ((st = TAILQ_FIRST(&s->waiting)) != NULL && (int32_t)(round - st->round) >= 0)
		attempt_failed(st->x, why);
}

static void close_conn(struct up_conn *c)
{
	struct server *s = c->server;
	struct thread *t = c->thread;

	if (!c->opened)
		s->nopening--;
	c->state = UP_CLOSED;
	loop_timer_stop(t->loop, &c->timer);
	if (c->pending) {
		TAILQ_REMOVE(&t->up->pending, c, flush);
		t->up->npending--;
	}
	c->pending = false;
	TAILQ_REMOVE(&s->conns, c, link);
	s->nconns--;
	stream_close(&c->s, false);
	stat_add(&s->stat->c[STAT_OPEN], (uint64_t)-1);
	STAILQ_INSERT_TAIL(&t->up->dead_conns, c, dead);
	loop_defer(t->loop, &t->reaper);
}

void up_conn_lost(struct up_conn *c, enum fail_why why)
{
	struct server *s = c->server;
	struct up_stream *st;

	CHECK_MAGIC(c, UP_MAGIC);
	if (c->state == UP_CLOSED)
		return;
	close_conn(c);
	while ((st = TAILQ_FIRST(&c->streams)) != NULL) {
		TAILQ_REMOVE(&c->streams, st, link);
		st->is_due = false;
		st->conn = NULL;
		up_stream_lost(st, why);
	}
	if (!c->opened)
		fail_waiting(s, why);
	else if (s->nwaiting > 0)
		up_serve(s);
	server_unuse(s);
}

void up_conn_part(struct up_conn *c)
{
	const uint8_t *p;
	ssize_t n;

	if (c->thread->up->receiving) { /* not under the feet of nghttp2 */
		c->going = true;
		up_conn_pend(c);
		return;
	}
	if (c->state == UP_OPEN && flow_empty(&c->s.out) &&
	    nghttp2_session_terminate_session(c->session, NGHTTP2_NO_ERROR) == 0) {
		while ((n = nghttp2_session_mem_send(c->session, &p)) > 0) {
			const struct iovec iov = { (char *)p, (size_t)n };

			if (stream_send(&c->s, &iov, 1) != OK)
				break;
		}
	}
	up_conn_lost(c, FAIL_CLOSED);
}

static void timed_out(struct loop_timer *timer)
{
	struct up_conn *c = CONTAINER_OF(timer, struct up_conn, timer);

	CHECK_MAGIC(c, UP_MAGIC);
	if (c->state != UP_OPEN)
		up_conn_lost(c, FAIL_CONNECT_TIMEOUT);
	else if (c->suspect)
		up_conn_lost(c, FAIL_TIMEOUT);
	else if (c->nstreams == 0)
		up_conn_part(c);
}

void up_conn_suspect(struct up_conn *c)
{
	if (c->suspect || c->state != UP_OPEN)
		return;
	c->suspect = true;
	nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
	loop_timer_set(c->thread->loop, &c->timer, UP_PING_WAIT);
	up_conn_pend(c);
}

/* --- what follows --------------------------------------------------------------------------- */

static bool takes_more(struct up_conn *c)
{
	uint32_t max;

	if (c->state != UP_OPEN || c->going || c->suspect || c->nstreams >= UP_STREAMS)
		return false;
	max = nghttp2_session_get_remote_settings(c->session,
	                                          NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
	c->server->up_streams = MIN(max, UP_STREAMS);
	return c->nstreams < max && nghttp2_session_check_request_allowed(c->session);
}

static bool is_over(const struct up_conn *c)
{
	return c->nstreams == 0 && TAILQ_EMPTY(&c->streams) &&
	       (c->going || c->thread->closing || c->server->retired);
}

/* After nghttp2 was at work: exchanges hear of it, waiting ones get their turn, and a connection
 * that nobody needs ends. */
void up_conn_settle(struct up_conn *c)
{
	struct server *s = c->server;
	struct up_stream *st;

	if (c->state == UP_OPEN && !c->opened) {
		c->opened = true;
		s->nopening--;
		loop_timer_stop(c->thread->loop, &c->timer);
	}
	while ((st = TAILQ_FIRST(&c->due)) != NULL && c->state != UP_CLOSED) {
		TAILQ_REMOVE(&c->due, st, due);
		st->is_due = false;
		up_stream_event(st);
	}
	if (c->state == UP_CLOSED)
		return;
	if (c->session != NULL && !nghttp2_session_want_read(c->session) &&
	    !nghttp2_session_want_write(c->session)) {
		/* Either side has ended it (RFC 9113, 5.4.1); ours only for a violation. */
		up_conn_lost(c, c->going && c->why == FAIL_NONE ? FAIL_CLOSED : FAIL_HTTP2);
		return;
	}
	if (s->nwaiting > 0 && takes_more(c))
		up_serve(s);
	if (c->state != UP_OPEN)
		return;
	if (is_over(c))
		up_conn_part(c);
	else if (c->nstreams == 0 && !c->suspect && c->timer.due == 0)
		loop_timer_set(c->thread->loop, &c->timer, c->keep_alive);
	else if (c->nstreams > 0 && !c->suspect && c->timer.due != 0)
		loop_timer_stop(c->thread->loop, &c->timer);
}

void up_serve(struct server *s)
{
	enum fail_why why = FAIL_NONE;
	struct up_stream *st;
	struct up_conn *c;
	unsigned n;

	s->users++;
	for (n = s->nwaiting; n > 0 && (st = TAILQ_FIRST(&s->waiting)) != NULL; n--) {
		c = up_conn_find(st->x);
		if (c != NULL) {
			up_stream_take(st, c);
			attempt_ready(st->x);
		} else if (tls_back_host(st->x).len > 0) {
			/* Those behind it may be for the host that the connection is for. */
			TAILQ_REMOVE(&s->waiting, st, link);
			TAILQ_INSERT_TAIL(&s->waiting, st, link);
		} else {
			break;
		}
	}
	st = TAILQ_FIRST(&s->waiting);
	if (st != NULL && up_conn_more(st->x, &why) != OK && s->nconns == 0)
		fail_waiting(s, why);
	server_unuse(s);
}

/* Whether the server has shown itself to be who x's has to be. */
static bool is_for(const struct up_conn *c, const struct exchange *x)
{
	return c->s.layer == NULL || str_eq(tls_back_host(x), str_from(c->host));
}

struct up_conn *up_conn_find(struct exchange *x)
{
	struct server *s = x->server;
	struct up_conn *c, *next;

	for (c = TAILQ_FIRST(&s->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (!takes_more(c) || !is_for(c, x))
			continue;
		/* As on HTTP/1.1: what cannot be sent twice is not sent where the end, or a GOAWAY,
		 * lies there already. The event that tells of it is on its way. */
		if (c->nstreams == 0 && !x->repeatable && c->used && !stream_quiet(&c->s))
			continue;
		return c;
	}
	return NULL;
}

/* --- new ones ------------------------------------------------------------------------------- */

static void begin(struct up_conn *c)
{
	stat_add(&c->server->stat->c[STAT_CONNECTIONS], 1);
	if (up_session_new(c->thread->up, c) != OK) {
		up_conn_lost(c, FAIL_LOCAL);
		return;
	}
	c->state = UP_PREFACE;
	up_conn_pend(c);
}

/* Goes on with what comes before the first frame; false while it lasts, or when it came to nothing.
 */
static bool prepare(struct up_conn *c)
{
	int err;

	if (c->state == UP_CONNECTING) {
		if (!c->s.writable && !c->s.broken)
			return false;
		err = net_connect_error(c->s.io.fd);
		if (err != 0) {
			up_conn_lost(c, fail_errno(err));
			return false;
		}
		c->state = UP_HANDSHAKE;
	}
	if (c->s.layer != NULL) {
		err = tls_back_handshake(c->server, &c->s);
		if (err == ERR_AGAIN)
			return false;
		if (err == OK && !str_eq(tls_alpn(&c->s), STR("h2"))) { /* RFC 9113, 3.2 */
			tls_back_failed(c->server, TLS_BACK_NO_HTTP2);
			err = ERR_REFUSED;
		}
		if (err != OK) {
			up_conn_lost(c, FAIL_TLS);
			return false;
		}
	}
	begin(c);
	return c->state != UP_CLOSED;
}

static void up_event(struct loop_io *io, uint32_t events)
{
	struct up_conn *c = CONTAINER_OF(io, struct up_conn, s.io);

	CHECK_MAGIC(c, UP_MAGIC);
	stream_events(&c->s, events);
	if (c->state < UP_PREFACE && !prepare(c))
		return;
	if (c->s.writable && !flow_empty(&c->s.out) && stream_flush(&c->s) != OK)
		c->s.broken = c->s.readable = true; /* reading tells why */
	up_conn_read(c);
	if (c->state != UP_CLOSED && nghttp2_session_want_write(c->session))
		up_conn_pend(c);
}

/* TLS by x's pool, whose first bytes wait for the connection to be there. */
static bool secure(struct up_conn *c, struct exchange *x, enum fail_why *why)
{
	const struct str host = tls_back_host(x);

	if (x->pool->tls == NULL)
		return true;
	if (host.len > 0 && (c->host = strndup(host.s, host.len)) == NULL)
		return false;
	*why = FAIL_TLS;
	return tls_back_start(x, &c->s) == OK;
}

static int open_conn(struct exchange *x, enum fail_why *why)
{
	struct server *s = x->server;
	struct thread *t = x->thread;
	struct up_conn *c;
	bool done;
	int fd;

	fd = net_connect(&s->address, &done);
	if (fd < 0) {
		*why = errno == EADDRNOTAVAIL ? FAIL_LOCAL : fail_errno(errno);
		return ERR_SYSTEM;
	}
	*why = FAIL_LOCAL;
	c = slab_alloc(&t->up->conn_slab);
	if (c == NULL) {
		net_close(fd);
		return ERR_NOMEM;
	}
	*c = (struct up_conn){ .magic = UP_MAGIC,
		               .thread = t,
		               .server = s,
		               .keep_alive = EXCHANGE_TIMEOUT(x, keep_alive) };
	TAILQ_INIT(&c->streams);
	TAILQ_INIT(&c->due);
	stream_init(&c->s, fd, up_event);
	c->s.writable = false;
	c->timer.fn = timed_out;
	if (loop_add(t->loop, &c->s.io, STREAM_EVENTS) != OK || !secure(c, x, why)) {
		stream_close(&c->s, false);
		STAILQ_INSERT_TAIL(&t->up->dead_conns, c, dead);
		loop_defer(t->loop, &t->reaper);
		return ERR_SYSTEM;
	}
	s->users++;
	TAILQ_INSERT_HEAD(&s->conns, c, link);
	s->nconns++;
	s->nopening++;
	stat_add(&s->stat->c[STAT_OPEN], 1);
	loop_timer_set(t->loop, &c->timer, EXCHANGE_TIMEOUT(x, connect));
	return OK; /* an event tells when it is there, also where it is already */
}

int up_conn_more(struct exchange *x, enum fail_why *why)
{
	struct server *s = x->server;
	const unsigned each = s->up_streams > 0 ? s->up_streams : UP_STREAMS_WANT;

	/* One that is being made serves as many as the last one did; a server that is away is not
	 * stormed. Above the limit they wait for a stream to end, as long as for a connection. */
	if (s->nopening > 0 && s->nwaiting <= s->nopening * each)
		return OK;
	if (s->nconns >= UP_CONNECTIONS)
		return OK;
	return open_conn(x, why);
}
