/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions of UDP clients with servers; see udp.h. Proxy role, one worker thread each. */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/sock.h"
#include "proxy/udp_impl.h"

#define DRAIN_IDLE  NS_PER_S /* how long a proxy that drains waits for an answer */
#define EVICT_BATCH 16
/* For how long a refusal may be about the datagram that is kept: a neighbour that does not answer
 * is reported after 3 s (arp(7): mcast_solicit). */
#define FRESH (5 * NS_PER_S)
/* Of one client: some 900 full packets, a tenth of a second of 100 Mbit/s. What waits for all of
 * them together is bounded by the system (net.ipv4.udp_mem). */
#define ANSWER_BUFFER (1024 * 1024)

static void on_answer(struct loop_io *io, uint32_t events);

/* --- the table ------------------------------------------------------------------------------ */

static uint32_t hash_of(const struct thread *t, const struct udp_key *key)
{
	return (uint32_t)hash_keyed((const uint8_t *)t->udp_key, key, sizeof(*key));
}

static void table_grow(struct udp_listener *l)
{
	uint32_t n = l->nbuckets * 2;
	struct udp_session **buckets = calloc(n, sizeof(struct udp_session *)), *s;

	if (buckets == NULL)
		return; /* chains get longer */
	TAILQ_FOREACH (s, &l->sessions, link) {
		s->chain = buckets[s->hash & (n - 1)];
		buckets[s->hash & (n - 1)] = s;
	}
	free(l->buckets);
	l->buckets = buckets;
	l->nbuckets = n;
}

static void table_add(struct udp_listener *l, struct udp_session *s)
{
	struct udp_session **at;

	if (l->nsessions >= l->nbuckets)
		table_grow(l);
	at = &l->buckets[s->hash & (l->nbuckets - 1)];
	s->chain = *at;
	*at = s;
	l->nsessions++;
	TAILQ_INSERT_TAIL(&l->sessions, s, link);
}

static void table_remove(struct udp_listener *l, struct udp_session *s)
{
	struct udp_session **at = &l->buckets[s->hash & (l->nbuckets - 1)];

	while (*at != s)
		at = &(*at)->chain;
	*at = s->chain;
	l->nsessions--;
	TAILQ_REMOVE(&l->sessions, s, link);
}

/* --- servers -------------------------------------------------------------------------------- */

struct choice {
	struct udp_session *s;
};

static bool choice_skip(void *arg, unsigned i)
{
	const struct udp_session *s = ((struct choice *)arg)->s;
	const struct server *server = s->pool->servers[i];
	const uint32_t max = pool_server_max(s->pool, i);
	unsigned n;

	for (n = 0; n < s->ntried; n++)
		if (s->tried[n] == server)
			return true;
	return max != 0 && atomic_load_explicit(&server->live->active, memory_order_relaxed) >= max;
}

static uint32_t choice_load(void *arg, unsigned i)
{
	const struct udp_session *s = ((struct choice *)arg)->s;

	return atomic_load_explicit(&s->pool->servers[i]->live->active, memory_order_relaxed);
}

/* Takes a place at a server; false where there is none. */
static bool choose(struct udp_session *s)
{
	struct choice choice = { s };
	struct net_addr client;
	struct balance_pick pick = { .skip = choice_skip, .load = choice_load, .arg = &choice };
	unsigned turns;

	udp_key_client(&s->key, &client);
	pick.hash = balance_key(s->pool->conf, NULL, &client);
	for (turns = 0; turns < 8; turns++) {
		int i = s->pool->eligible > 0 ? balance_pick(s->pool->balance, &pick) : -1;

		if (i < 0)
			return false;
		if (!server_take(s->pool->servers[i], pool_server_max(s->pool, (unsigned)i)))
			continue;
		s->server = s->pool->servers[i];
		s->server->users++;
		s->placed = true;
		stat_add(&s->server->stat->c[STAT_ACTIVE], 1);
		return true;
	}
	return false;
}

static void leave(struct udp_session *s)
{
	if (s->io.fd >= 0) {
		loop_remove(s->l->thread->loop, &s->io);
		net_close(s->io.fd);
		s->io.fd = -1;
		stat_add(&s->server->stat->c[STAT_OPEN], (uint64_t)-1);
	}
	if (s->placed) {
		s->placed = false;
		server_give(s->server);
		stat_add(&s->server->stat->c[STAT_ACTIVE], (uint64_t)-1);
	}
	if (s->server != NULL)
		server_unuse(s->server);
	s->server = NULL;
}

static unsigned evict(struct udp_listener *l, unsigned n, const struct udp_session *but)
{
	struct udp_session *s, *next;
	unsigned ended = 0;

	for (s = TAILQ_FIRST(&l->sessions); s != NULL && ended < n; s = next) {
		next = TAILQ_NEXT(s, link);
		if (but != NULL && s == but)
			continue;
		udp_session_end(s);
		ended++;
	}
	return ended;
}

/* A socket towards the server that was chosen. */
static bool reach(struct udp_session *s)
{
	struct thread *t = s->l->thread;
	int fd = net_connect_datagrams(&s->server->address, ANSWER_BUFFER);

	if (fd < 0 && fail_errno(errno) == FAIL_LOCAL &&
	    evict(s->l, EVICT_BATCH, s) + upstream_evict(t, EVICT_BATCH) > 0)
		fd = net_connect_datagrams(&s->server->address, ANSWER_BUFFER);
	if (fd < 0)
		return false;
	s->io = (struct loop_io){ .fd = fd, .fn = on_answer };
	if (loop_add_level(t->loop, &s->io, LOOP_IN, false) != OK) {
		net_close(fd);
		s->io.fd = -1;
		return false;
	}
	stat_add(&s->server->stat->c[STAT_OPEN], 1);
	stat_add(&s->server->stat->c[STAT_CONNECTIONS], 1);
	return true;
}

/* --- life ----------------------------------------------------------------------------------- */

void udp_session_arm(struct udp_session *s)
{
	const struct conf_timeouts *t = &s->pool->conf->timeouts;
	uint64_t ns = t->session != 0 ? t->session : s->l->conf->timeouts.session;

	s->last = s->l->thread->loop->now;
	loop_timer_set(s->l->thread->loop, &s->timer, s->l->removed ? MIN(ns, DRAIN_IDLE) : ns);
}

static void on_timeout(struct loop_timer *timer)
{
	struct udp_session *s = CONTAINER_OF(timer, struct udp_session, timer);

	CHECK_MAGIC(s, UDP_MAGIC);
	udp_session_end(s);
}

void udp_session_end(struct udp_session *s)
{
	struct udp_listener *l = s->l;
	struct thread *t = l->thread;

	CHECK_MAGIC(s, UDP_MAGIC);
	s->magic = 0;
	loop_timer_stop(t->loop, &s->timer);
	leave(s);
	table_remove(l, s);
	free(s->asked);
	stat_add(&l->stat->c[STAT_OPEN], (uint64_t)-1);
	stat_add(&s->pool->stat->c[STAT_ACTIVE], (uint64_t)-1);
	atomic_fetch_sub_explicit(l->connections, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(t->proxy->connections, 1, memory_order_relaxed);
	STAILQ_INSERT_TAIL(&t->dead_sessions, s, dead);
	loop_defer(t->loop, &t->reaper);
}

void udp_reap(struct thread *t)
{
	struct udp_session *s;

	while ((s = STAILQ_FIRST(&t->dead_sessions)) != NULL) {
		STAILQ_REMOVE_HEAD(&t->dead_sessions, dead);
		view_drop(s->view);
		slab_put(&t->session_slab, s);
	}
}

static bool at_limit(const struct udp_listener *l)
{
	const uint32_t max = l->conf->max_connections;

	return atomic_load_explicit(l->thread->proxy->connections, memory_order_relaxed) >=
	           l->view->snap->max_connections ||
	       (max != 0 && atomic_load_explicit(l->connections, memory_order_relaxed) >= max);
}

static struct udp_session *session_new(struct udp_listener *l, const struct udp_key *key,
                                       uint32_t hash)
{
	struct thread *t = l->thread;
	struct pool *pool = view_pool(l->view, l->conf->pool);
	struct udp_session *s;

	/* The table is bounded: the session that was silent longest makes room. */
	if (pool == NULL || (at_limit(l) && evict(l, 1, NULL) == 0) ||
	    (s = slab_alloc(&t->session_slab)) == NULL)
		return NULL;
	*s = (struct udp_session){
		.magic = UDP_MAGIC,
		.l = l,
		.io = { .fd = -1 },
		.timer = { .fn = on_timeout },
		.key = *key,
		.hash = hash,
		.view = l->view,
		.pool = pool,
		.started = t->loop->now,
	};
	view_use(s->view);
	table_add(l, s);
	stat_add(&l->wire->c[WIRE_UDP_SESSIONS], 1);
	stat_add(&l->stat->c[STAT_CONNECTIONS], 1);
	stat_add(&l->stat->c[STAT_OPEN], 1);
	stat_add(&pool->stat->c[STAT_ACTIVE], 1);
	atomic_fetch_add_explicit(l->connections, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(t->proxy->connections, 1, memory_order_relaxed);
	return s;
}

struct udp_session *udp_session_get(struct udp_listener *l, const struct udp_key *key)
{
	uint32_t hash = hash_of(l->thread, key);
	struct udp_session *s = l->buckets[hash & (l->nbuckets - 1)];

	while (s != NULL && (s->hash != hash || memcmp(&s->key, key, sizeof(*key)) != 0))
		s = s->chain;
	if (s == NULL && (s = session_new(l, key, hash)) != NULL && (!choose(s) || !reach(s))) {
		udp_session_end(s);
		return NULL;
	}
	if (s != NULL) {
		TAILQ_REMOVE(&l->sessions, s, link);
		TAILQ_INSERT_TAIL(&l->sessions, s, link);
		udp_session_arm(s);
	}
	return s;
}

/* --- datagrams ------------------------------------------------------------------------------ */

static bool is_fresh(const struct udp_session *s)
{
	return s->asked != NULL && s->l->thread->loop->now - s->asked_at < FRESH;
}

/* The server is not there: another one for what it was asked. False: the session is over. */
static bool session_failed(struct udp_session *s, int error)
{
	const enum fail_why why = fail_errno(error);

	stat_add(&s->server->stat->c[STAT_CONNECT_ERRORS], 1);
	server_failed(s->server, &s->pool->conf->passive, why);
	if (!is_fresh(s) || s->ntried >= MIN(s->pool->conf->retries, UDP_TRIED)) {
		udp_session_end(s);
		return false;
	}
	s->tried[s->ntried++] = s->server;
	stat_add(&s->server->stat->c[STAT_RETRIES], 1);
	leave(s);
	if (!choose(s) || !reach(s)) {
		udp_session_end(s);
		return false;
	}
	if (send(s->io.fd, s->asked, s->asked_len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		stat_add(&s->l->wire->c[WIRE_UDP_DROPPED], 1);
	return true;
}

static void count(struct udp_session *s, enum stat_counter which, size_t bytes)
{
	stat_add(&s->l->stat->c[which], bytes);
	stat_add(&s->pool->stat->c[which], bytes);
	stat_add(&s->server->stat->c[which], bytes);
}

/* Until an answer comes the first datagram behind the last one is kept, where it is not large. True
 * when this is it. */
static bool keep_asked(struct udp_session *s, const struct iovec *iov)
{
	char *p;

	if (is_fresh(s) || iov->iov_len > UDP_KEPT || s->pool->conf->retries == 0)
		return false;
	p = realloc(s->asked, iov->iov_len + 1);
	if (p == NULL)
		return false;
	if (iov->iov_len > 0)
		memcpy(p, iov->iov_base, iov->iov_len);
	s->asked = p;
	s->asked_len = (uint32_t)iov->iov_len;
	s->asked_at = s->l->thread->loop->now;
	return true;
}

void udp_session_send(struct udp_session *s, const struct iovec *iov, unsigned n)
{
	struct mmsghdr m[UDP_BATCH] = { 0 };
	const bool kept = keep_asked(s, &iov[0]);
	struct udp_listener *l = s->l;
	size_t bytes = 0;
	unsigned i, sent = 0;

	for (i = 0; i < n; i++) {
		m[i].msg_hdr.msg_iov = (struct iovec *)&iov[i];
		m[i].msg_hdr.msg_iovlen = 1;
		bytes += iov[i].iov_len;
	}
	s->bytes_in += bytes;
	count(s, STAT_BYTES_IN, bytes);
	while (sent < n) {
		int r = n - sent == 1
		            ? (send(s->io.fd, iov[sent].iov_base, iov[sent].iov_len,
		                    MSG_DONTWAIT | MSG_NOSIGNAL) >= 0
		                   ? 1
		                   : -1)
		            : sendmmsg(s->io.fd, m + sent, n - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (r > 0) {
			sent += (unsigned)r;
		} else if (errno == EAGAIN || errno == ENOBUFS || errno == EMSGSIZE) {
			stat_add(&s->l->wire->c[WIRE_UDP_DROPPED], 1);
			sent++;
		} else if (errno != EINTR) {
			if (!session_failed(s, errno)) {
				stat_add(&l->wire->c[WIRE_UDP_DROPPED], n - sent);
				return;
			}
			if (kept && sent == 0) /* it has gone to the other server */
				sent++;
		} /* what the network said of an earlier one: this one is yet to go */
	}
}

static void on_answer(struct loop_io *io, uint32_t events)
{
	struct udp_session *s = CONTAINER_OF(io, struct udp_session, io);
	struct udp_batch *b = s->l->thread->udp;
	size_t bytes = 0;
	int i, n;

	CHECK_MAGIC(s, UDP_MAGIC);
	for (i = 0; i < UDP_BATCH; i++) {
		b->iov[i] = (struct iovec){ b->data[i], UDP_SIZE };
		b->m[i].msg_hdr = (struct msghdr){ .msg_iov = &b->iov[i], .msg_iovlen = 1 };
	}
	n = recvmmsg(s->io.fd, b->m, UDP_BATCH, MSG_DONTWAIT, NULL);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		session_failed(s, errno);
		return;
	}
	for (i = 0; i < n; i++)
		bytes += b->m[i].msg_len;
	free(s->asked);
	s->asked = NULL;
	s->ntried = 0;
	s->bytes_out += bytes;
	count(s, STAT_BYTES_OUT, bytes);
	server_succeeded(s->server);
	udp_session_arm(s);
	udp_answer(s, (unsigned)n);
}
