/* SPDX-License-Identifier: Apache-2.0 */
/* Servers and their connections on one worker thread of the proxy; see upstream.h. */
#include "proxy/upstream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "net/sock.h"
#include "proxy/back_http2.h"
#include "proxy/exchange.h"
#include "proxy/tls_back.h"

#define REUSE_LOOK 32 /* kept connections looked at for one of the host */

struct server *server_get(struct thread *t, const struct conf_server *conf, uint64_t tls_key)
{
	struct board *board = t->proxy->role->board;
	struct server *s = t->by_slot[conf->slot];

	if (s != NULL && net_addr_eq(&s->address, &conf->address) && s->tls_key == tls_key)
		return s;
	if (s != NULL) { /* it has moved: what is open to what it was ends by itself */
		s->retired = true;
		t->by_slot[conf->slot] = NULL;
		s->users++;
		server_unuse(s);
	}
	s = calloc(1, sizeof(*s) + conf->id.len + 1);
	if (s == NULL)
		return NULL;
	memcpy(s->id, conf->id.s, conf->id.len);
	s->thread = t;
	s->slot = conf->slot;
	s->address = conf->address;
	s->tls_key = tls_key;
	s->board = board_server(board, conf->slot);
	s->live = board_live(board, t->proxy->role->instance, conf->slot);
	s->stat = thread_block(t, BOARD_SERVER, conf->slot);
	TAILQ_INIT(&s->idle);
	TAILQ_INIT(&s->busy);
	TAILQ_INIT(&s->conns);
	TAILQ_INIT(&s->waiting);
	TAILQ_INSERT_TAIL(&t->servers, s, link);
	t->by_slot[conf->slot] = s;
	return s;
}

void server_close_idle(struct server *s)
{
	while (!TAILQ_EMPTY(&s->idle))
		upstream_close(TAILQ_LAST(&s->idle, upstream_list), false);
	up_server_close_idle(s);
}

void server_unuse(struct server *s)
{
	CHECK(s->users > 0);
	s->users--;
	if (!s->retired)
		return;
	if (!TAILQ_EMPTY(&s->idle) || !TAILQ_EMPTY(&s->conns)) {
		s->users++; /* closing the last idle one must not free it under us */
		server_close_idle(s);
		s->users--;
	}
	if (s->users == 0) {
		TAILQ_REMOVE(&s->thread->servers, s, link);
		tls_session_free(&s->session);
		free(s);
	}
}

/* Requests on a disabled server are cut; each may be tried elsewhere. */
static void cut_busy(struct server *s)
{
	struct upstream *u;

	while ((u = TAILQ_FIRST(&s->busy)) != NULL)
		exchange_evict(u->x, "the server was disabled");
	up_server_cut(s);
}

/* Requests that wait for a server that is down need not wait for their time limit. */
static void move_busy(struct server *s)
{
	struct upstream *u, *next;

	for (u = TAILQ_FIRST(&s->busy); u != NULL; u = next) {
		next = TAILQ_NEXT(u, link);
		attempt_move(u->x);
	}
	up_server_move(s);
}

void servers_sweep(struct thread *t, const struct snapshot *snap)
{
	struct server *s, *next;

	for (s = TAILQ_FIRST(&t->servers); s != NULL; s = next) {
		const struct conf_server *conf =
		    s->slot < snap->slots ? snap->by_slot[s->slot] : NULL;
		union server_word w = board_server_word(s->board);

		s->users++;
		if (t->by_slot[s->slot] == s &&
		    (conf == NULL || !net_addr_eq(&conf->address, &s->address) ||
		     snap->tls_keys[s->slot] != s->tls_key)) {
			t->by_slot[s->slot] = NULL;
			s->retired = true;
		} else if (!s->retired && w.order == ORDER_DISABLE) {
			cut_busy(s);
			server_close_idle(s);
		} else if (!s->retired && (w.state == SERVER_DOWN || w.order == ORDER_DRAIN)) {
			server_close_idle(s);
			if (w.state == SERVER_DOWN && !w.ejected)
				move_busy(s);
		}
		/* What ended meanwhile may have taken the neighbour with it: look again. */
		next = TAILQ_NEXT(s, link);
		server_unuse(s);
	}
}

bool server_take(struct server *s, uint32_t max)
{
	uint32_t n = atomic_fetch_add_explicit(&s->live->active, 1, memory_order_relaxed);

	if (max == 0 || n < max)
		return true;
	atomic_fetch_sub_explicit(&s->live->active, 1, memory_order_relaxed);
	return false;
}

void server_give(struct server *s)
{
	atomic_fetch_sub_explicit(&s->live->active, 1, memory_order_relaxed);
}

void server_failed(struct server *s, const struct conf_passive *passive, enum fail_why why)
{
	struct proxy *p = s->thread->proxy;
	uint32_t streak;

	if (why == FAIL_LOCAL)
		return;
	atomic_store_explicit(&s->board->fail_why, (uint32_t)why, memory_order_relaxed);
	streak = atomic_fetch_add_explicit(&s->board->fail_streak, 1, memory_order_relaxed) + 1;
	if (passive->on && streak >= passive->failures && p->notify >= 0) {
		const uint64_t one = 1;

		/* A full counter means that check has been told already. */
		if (write(p->notify, &one, sizeof(one)) < 0)
			return;
	}
}

void server_succeeded(struct server *s)
{
	if (unlikely(atomic_load_explicit(&s->board->fail_streak, memory_order_relaxed) != 0))
		atomic_store_explicit(&s->board->fail_streak, 0, memory_order_relaxed);
}

/* Whether something came that is not TLS's own: sessions to resume come at any time. */
static bool has_come(struct upstream *u)
{
	return u->s.readable && (u->s.layer == NULL || !stream_quiet(&u->s));
}

static void upstream_event(struct loop_io *io, uint32_t events)
{
	struct upstream *u = CONTAINER_OF(io, struct upstream, s.io);

	CHECK_MAGIC(u, UPSTREAM_MAGIC);
	stream_events(&u->s, events);
	if (u->x != NULL && u->reused && u->reused_at == u->server->thread->loop->now &&
	    has_come(u)) {
		/* The kernel reported this before the request was written: it is the server's
		 * closing, or bytes that answer nothing, and must not pass for the answer. */
		attempt_failed(u->x, FAIL_CLOSED);
		return;
	}
	if (u->x != NULL) {
		back_http1_event(u);
		return;
	}
	/* Idle: an end, or bytes that no request asked for; neither can be used. */
	if (u->s.broken || has_come(u))
		upstream_close(u, false);
}

static void upstream_timeout(struct loop_timer *timer)
{
	struct upstream *u = CONTAINER_OF(timer, struct upstream, timer);

	CHECK_MAGIC(u, UPSTREAM_MAGIC);
	upstream_close(u, false);
}

/* The kept connection used last that x may use: where requests tell who the server has to be, one
 * that was made for the same host. */
static struct upstream *find_idle(const struct server *s, const struct exchange *x)
{
	struct upstream *u = TAILQ_FIRST(&s->idle);
	struct str host;
	unsigned n;

	if (u == NULL || u->s.layer == NULL)
		return u;
	host = tls_back_host(x);
	for (n = 0; u != NULL && n < REUSE_LOOK; n++, u = TAILQ_NEXT(u, link))
		if (str_eq(host, str_from(u->host)))
			return u;
	return NULL;
}

struct upstream *upstream_reuse(struct server *s, struct exchange *x)
{
	struct upstream *u;

	/* A request that cannot be sent twice is not sent on a connection that is over already:
	 * that is worth a system call. The others are repeated when that happens. */
	while ((u = find_idle(s, x)) != NULL && !x->repeatable && !stream_quiet(&u->s))
		upstream_close(u, false);
	if (u == NULL)
		return NULL;
	CHECK_MAGIC(u, UPSTREAM_MAGIC);
	TAILQ_REMOVE(&s->idle, u, link);
	s->nidle--;
	TAILQ_INSERT_HEAD(&s->busy, u, link);
	loop_timer_stop(s->thread->loop, &u->timer);
	u->x = x;
	u->reused = true;
	u->reused_at = s->thread->loop->now;
	return u;
}

struct upstream *upstream_connect(struct server *s, struct exchange *x, enum fail_why *why)
{
	struct thread *t = s->thread;
	struct upstream *u;
	bool done;
	int fd;

	fd = net_connect(&s->address, &done);
	if (fd < 0) {
		*why = errno == EMFILE || errno == ENFILE || errno == EADDRNOTAVAIL ||
		               errno == ENOBUFS || errno == ENOMEM
		           ? FAIL_LOCAL
		           : fail_errno(errno);
		return NULL;
	}
	*why = FAIL_LOCAL;
	u = slab_alloc(&t->upstream_slab);
	if (u == NULL) {
		net_close(fd);
		return NULL;
	}
	*u = (struct upstream){ .magic = UPSTREAM_MAGIC, .connecting = !done, .server = s, .x = x };
	stream_init(&u->s, fd, upstream_event);
	u->s.writable = done;
	u->timer.fn = upstream_timeout;
	if (loop_add(t->loop, &u->s.io, STREAM_EVENTS) != OK) {
		net_close(fd);
		slab_put(&t->upstream_slab, u);
		return NULL;
	}
	s->users++;
	TAILQ_INSERT_HEAD(&s->busy, u, link);
	stat_add(&s->stat->c[STAT_OPEN], 1);
	if (done)
		stat_add(&s->stat->c[STAT_CONNECTIONS], 1);
	return u;
}

void upstream_close(struct upstream *u, bool reset)
{
	struct server *s = u->server;
	struct thread *t = s->thread;

	CHECK_MAGIC(u, UPSTREAM_MAGIC);
	u->magic = 0;
	loop_timer_stop(t->loop, &u->timer);
	if (u->x != NULL) {
		TAILQ_REMOVE(&s->busy, u, link);
	} else {
		TAILQ_REMOVE(&s->idle, u, link);
		s->nidle--;
	}
	stream_close(&u->s, reset);
	free(u->host);
	stat_add(&s->stat->c[STAT_OPEN], (uint64_t)-1);
	STAILQ_INSERT_TAIL(&t->dead_upstreams, u, dead);
	loop_defer(t->loop, &t->reaper);
	server_unuse(s);
}

/* Whether something lies unread on a connection that is to be kept. */
static bool has_stray(struct upstream *u)
{
	char byte;

	return u->s.readable && stream_recv(&u->s, &byte, 1) != ERR_AGAIN;
}

void upstream_keep(struct upstream *u, uint32_t max, uint64_t keep_alive)
{
	struct server *s = u->server;

	if (s->retired || s->nidle >= max || u->s.broken || u->s.hup || u->s.eof ||
	    s->thread->closing || tls_client_of(&u->s) != s->tls_client || has_stray(u)) {
		upstream_close(u, false);
		return;
	}
	TAILQ_REMOVE(&s->busy, u, link);
	TAILQ_INSERT_HEAD(&s->idle, u, link);
	s->nidle++;
	u->x = NULL;
	loop_timer_set(s->thread->loop, &u->timer, keep_alive);
}

unsigned upstream_evict(struct thread *t, unsigned n)
{
	struct server *s, *next;
	unsigned closed = 0;

	for (s = TAILQ_FIRST(&t->servers); s != NULL && closed < n; s = next) {
		s->users++;
		while (closed < n && !TAILQ_EMPTY(&s->idle)) {
			upstream_close(TAILQ_LAST(&s->idle, upstream_list), false);
			closed++;
		}
		closed += up_server_evict(s, n - closed);
		next = TAILQ_NEXT(s, link);
		server_unuse(s);
	}
	return closed;
}
