/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots and views; see snapshot.h. Made on the main thread, views on the worker's. */
#include "proxy/snapshot.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "net/sock.h"
#include "proxy/thread.h"
#include "proxy/upstream.h"

static uint64_t socket_inode(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 ? (uint64_t)st.st_ino : 0;
}

/* Client connections that leave descriptors enough for the servers' side. */
static uint32_t default_connections(void)
{
	struct rlimit r;
	uint64_t n;

	if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == RLIM_INFINITY)
		return 1000000;
	n = r.rlim_cur > 128 ? (r.rlim_cur - 64) / 4 * 3 : 48;
	return (uint32_t)MIN(n, 10000000u);
}

/* Takes the sockets out of the configuration's descriptors; one that is open already stays the one
 * in use, so that threads need not register it anew. */
static bool take_sockets(struct snapshot *s, struct snapshot *old)
{
	const struct role_conf *rc = s->rc;
	unsigned i, j;

	s->sockets = calloc(rc->nfds + 1, sizeof(*s->sockets));
	if (s->sockets == NULL)
		return false;
	for (i = 0; i < rc->nfds; i++) {
		struct role_fd *f = &rc->fds[i];
		struct listen_socket *l = &s->sockets[s->nsockets];

		if (f->kind != ROLE_FD_LISTEN || f->fd < 0 || f->index >= s->conf->nlisteners)
			continue;
		*l = (struct listen_socket){
			.fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 3),
			.inode = socket_inode(f->fd),
			.listener = f->index,
			.sub = f->sub,
			.port = net_addr_port(&s->conf->listeners[f->index].bind[f->sub]),
		};
		if (l->fd < 0)
			return false;
		for (j = 0; old != NULL && j < old->nsockets && !l->kept; j++) {
			if (old->sockets[j].inode != l->inode)
				continue;
			net_close(l->fd);
			l->fd = old->sockets[j].fd;
			l->kept = true;
		}
		s->nsockets++;
	}
	return true;
}

static bool merge_timeouts(struct snapshot *s)
{
	const struct conf *c = s->conf;
	uint32_t i;

	s->timeouts = calloc(c->nroutes + 1, sizeof(*s->timeouts));
	if (s->timeouts == NULL)
		return false;
	for (i = 0; i < c->nroutes; i++) {
		const struct conf_timeouts *r = &c->routes[i].timeouts;
		const struct conf_timeouts *p = &c->pools[c->routes[i].pool].timeouts;

		s->timeouts[i] = (struct conf_timeouts){
			.connect = r->connect ? r->connect : p->connect,
			.request_header = r->request_header ? r->request_header : p->request_header,
			.request_body = r->request_body ? r->request_body : p->request_body,
			.response = r->response ? r->response : p->response,
			.handshake = r->handshake ? r->handshake : p->handshake,
			.tunnel = r->tunnel ? r->tunnel : p->tunnel,
			.half_close = r->half_close ? r->half_close : p->half_close,
			.keep_alive = r->keep_alive ? r->keep_alive : p->keep_alive,
		};
	}
	return true;
}

static bool index_servers(struct snapshot *s)
{
	const struct conf *c = s->conf;
	uint32_t i, j;

	for (i = 0; i < c->npools; i++)
		for (j = 0; j < c->pools[i].nservers; j++)
			s->slots = MAX(s->slots, c->pools[i].servers[j].slot + 1);
	s->by_slot = calloc(s->slots + 1, sizeof(*s->by_slot));
	s->tls_keys = calloc(s->slots + 1, sizeof(*s->tls_keys));
	if (s->by_slot == NULL || s->tls_keys == NULL)
		return false;
	for (i = 0; i < c->npools; i++) {
		const uint64_t key = certs_pool_key(s->certs, &c->pools[i].tls);

		for (j = 0; j < c->pools[i].nservers; j++) {
			s->by_slot[c->pools[i].servers[j].slot] = &c->pools[i].servers[j];
			s->tls_keys[c->pools[i].servers[j].slot] = key;
		}
	}
	return true;
}

struct snapshot *snapshot_new(struct proxy *p, const struct role_conf *rc, struct snapshot *old,
                              char *why, size_t why_size)
{
	struct snapshot *s = calloc(1, sizeof(*s));
	struct certs *certs;

	snprintf(why, why_size, "out of memory");
	if (s == NULL)
		return NULL;
	s->proxy = p;
	s->rc = rc;
	s->conf = rc->conf;
	atomic_store(&s->users, 1);
	s->threads = proxy_threads(s->conf);
	s->max_connections = s->conf->max_connections;
	if (s->max_connections == 0)
		s->max_connections = default_connections();
	if (certs_new(role_conf_fd(rc, ROLE_FD_CERTS, 0, 0), &certs) != OK) {
		snprintf(why, why_size, "the store of certificates cannot be mapped");
		snapshot_abandon(s);
		return NULL;
	}
	s->certs = certs;
	if (certs_prove(certs, s->conf, why, why_size) != OK) {
		snapshot_abandon(s);
		return NULL;
	}
	s->routes = route_table_new(s->conf);
	if (s->routes == NULL || !merge_timeouts(s) || !index_servers(s) || !take_sockets(s, old)) {
		snapshot_abandon(s);
		return NULL;
	}
	return s;
}

void snapshot_close_sockets(struct snapshot *s)
{
	unsigned i;

	for (i = 0; i < s->nsockets; i++)
		if (s->sockets[i].fd >= 0)
			net_close(s->sockets[i].fd);
	s->nsockets = 0;
}

/* A UDP port is taken for as long as anybody has its socket: the descriptors that came with a
 * configuration of the past must not keep it, however long that is still used. */
static void close_datagrams(const struct role_conf *rc)
{
	unsigned i;

	for (i = 0; i < rc->nfds; i++) {
		struct role_fd *f = &rc->fds[i];

		if (f->kind == ROLE_FD_LISTEN && f->fd >= 0 && f->index < rc->conf->nlisteners &&
		    rc->conf->listeners[f->index].protocol == PROTOCOL_UDP) {
			net_close(f->fd);
			f->fd = -1;
		}
	}
}

void snapshot_replace(struct snapshot *old, struct snapshot *s)
{
	unsigned i, j;

	s->committed = true;
	close_datagrams(old->rc);
	for (i = 0; i < s->nsockets; i++) {
		for (j = 0; s->sockets[i].kept && j < old->nsockets; j++)
			if (old->sockets[j].fd == s->sockets[i].fd)
				old->sockets[j].fd = -1;
		s->sockets[i].kept = false;
	}
	snapshot_close_sockets(old);
	snapshot_drop(old);
}

void snapshot_abandon(struct snapshot *s)
{
	unsigned i;

	for (i = 0; i < s->nsockets; i++)
		if (s->sockets[i].kept)
			s->sockets[i].fd = -1;
	snapshot_drop(s);
}

void snapshot_drop(struct snapshot *s)
{
	struct proxy *p = s->proxy;

	if (atomic_fetch_sub(&s->users, 1) != 1)
		return;
	snapshot_close_sockets(s);
	route_table_free(s->routes);
	free(s->timeouts);
	free(s->by_slot);
	free(s->tls_keys);
	certs_drop(s->certs);
	free(s->sockets);
	if (s->committed)
		proxy_let_go(p, s->rc);
	free(s);
}

/* --- views ---------------------------------------------------------------------------------- */

struct view *view_new(struct thread *t, struct snapshot *s)
{
	struct view *v = calloc(1, sizeof(*v) + s->conf->npools * sizeof(v->pools[0]));

	if (v == NULL)
		return NULL;
	v->snap = s;
	v->thread = t;
	v->users = 1;
	atomic_fetch_add(&s->users, 1);
	return v;
}

static void pool_free(struct pool *p)
{
	uint32_t i;

	if (p == NULL)
		return;
	for (i = 0; p->servers != NULL && i < p->conf->nservers; i++)
		if (p->servers[i] != NULL)
			server_unuse(p->servers[i]);
	free(p->servers);
	free(p->weights);
	tls_client_free(p->tls);
	balance_free(p->balance);
	free(p);
}

void view_use(struct view *v)
{
	v->users++;
}

void view_drop(struct view *v)
{
	uint32_t i;

	CHECK(v->users > 0);
	if (--v->users > 0)
		return;
	for (i = 0; i < v->snap->conf->npools; i++)
		pool_free(v->pools[i]);
	snapshot_drop(v->snap);
	free(v);
}

static struct pool_shared *shared_get(struct thread *t, uint32_t slot)
{
	struct pool_shared *s = t->by_pool[slot];

	if (s == NULL && (s = calloc(1, sizeof(*s))) != NULL) {
		TAILQ_INIT(&s->waiting);
		t->by_pool[slot] = s;
	}
	return s;
}

/* Servers that cannot be spoken to as is wanted are not spoken to at all. */
static bool pool_tls(struct pool *p, struct snapshot *snap)
{
	struct tls_client *tls;
	char why[256];
	uint32_t i;

	if (!p->conf->tls.on)
		return true;
	tls = certs_pool(snap->certs, &p->conf->tls, CERTS_ALPN(p->conf), why, sizeof(why));
	if (tls == NULL) {
		log_error("tls_lost", p->conf->name.s, "%s", why);
		return false;
	}
	/* Who was trusted by other files is not any more. */
	for (i = 0; p->tls != NULL && i < p->conf->nservers; i++) {
		p->servers[i]->tls_client = tls_client_id(tls);
		if (tls_client_id(p->tls) != tls_client_id(tls))
			server_close_idle(p->servers[i]);
	}
	tls_client_free(p->tls);
	p->tls = tls;
	return true;
}

void view_certs(struct view *v)
{
	uint32_t i;

	for (i = 0; i < v->snap->conf->npools; i++)
		if (v->pools[i] != NULL)
			pool_tls(v->pools[i], v->snap);
}

static struct pool *pool_new(struct view *v, const struct conf_pool *conf)
{
	struct thread *t = v->thread;
	struct pool *p = calloc(1, sizeof(*p));
	uint32_t i;

	if (p == NULL)
		return NULL;
	p->conf = conf;
	p->stat = thread_block(t, BOARD_POOL, conf->slot);
	p->shared = shared_get(t, conf->slot);
	p->balance = balance_new(conf, random_u64());
	p->servers = calloc(conf->nservers + 1, sizeof(*p->servers));
	p->weights = calloc(conf->nservers + 1, sizeof(*p->weights));
	p->epoch = UINT64_MAX;
	if (p->shared == NULL || p->balance == NULL || p->servers == NULL || p->weights == NULL ||
	    !pool_tls(p, v->snap)) {
		pool_free(p);
		return NULL;
	}
	for (i = 0; i < conf->nservers; i++) {
		p->servers[i] =
		    server_get(t, &conf->servers[i], v->snap->tls_keys[conf->servers[i].slot]);
		if (p->servers[i] == NULL) {
			pool_free(p);
			return NULL;
		}
		p->servers[i]->users++;
		p->servers[i]->tls_client = p->tls != NULL ? tls_client_id(p->tls) : 0;
	}
	return p;
}

/* The states have changed since the weights were made. */
static bool pool_weigh(struct pool *p, uint64_t epoch)
{
	uint64_t *words = calloc(p->conf->nservers + 1, sizeof(*words));
	uint32_t i;

	if (words == NULL)
		return false;
	for (i = 0; i < p->conf->nservers; i++)
		words[i] = board_server_word(p->servers[i]->board).word;
	p->eligible = balance_weights(p->conf, words, p->weights, &p->panic);
	balance_update(p->balance, p->weights);
	p->epoch = epoch;
	free(words);
	return true;
}

struct pool *view_pool(struct view *v, uint32_t index)
{
	struct thread *t = v->thread;
	uint64_t epoch =
	    atomic_load_explicit(board_epoch(t->proxy->role->board), memory_order_acquire);
	struct pool *p = v->pools[index];

	if (unlikely(p == NULL)) {
		p = pool_new(v, &v->snap->conf->pools[index]);
		v->pools[index] = p;
	}
	if (p != NULL && unlikely(p->epoch != epoch) && !pool_weigh(p, epoch))
		return NULL;
	return p;
}
