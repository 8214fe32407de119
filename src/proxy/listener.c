/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accepting. Every thread watches every listening socket (EPOLLEXCLUSIVE wakes one). At a limit, or
 * out of descriptors, the thread closes connections that are idle longest to make room; where none
 * is, it pauses, and clients wait in the kernel's queue instead of being refused.
 */
#include "proxy/listener.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "net/sock.h"
#include "proxy/client.h"

#define ACCEPT_BATCH 64
#define EVICT_BATCH  16

static void listener_pause(struct listener *l)
{
	if (l->paused)
		return;
	l->paused = true;
	stat_add(&l->stat->c[STAT_REFUSED], 1);
	loop_remove(l->thread->loop, &l->io);
}

static bool at_limit(const struct listener *l)
{
	const uint32_t all =
	    atomic_load_explicit(l->thread->proxy->connections, memory_order_relaxed);
	const uint32_t max = l->conf->max_connections;

	return all >= l->view->snap->max_connections ||
	       (max != 0 && atomic_load_explicit(l->connections, memory_order_relaxed) >= max);
}

static void listener_event(struct loop_io *io, uint32_t events)
{
	struct listener *l = CONTAINER_OF(io, struct listener, io);
	int i;

	for (i = 0; i < ACCEPT_BATCH; i++) {
		struct net_addr peer;
		int fd;

		if (at_limit(l) && client_evict(l->thread, EVICT_BATCH) == 0) {
			listener_pause(l);
			return;
		}
		fd = net_accept(l->io.fd, &peer);
		if (fd == ERR_FULL) {
			if (client_evict(l->thread, EVICT_BATCH) == 0)
				listener_pause(l);
			return;
		}
		if (fd < 0)
			return;
		client_accept(l, fd, &peer);
	}
}

static void listener_watch(struct listener *l)
{
	if (loop_add_level(l->thread->loop, &l->io, LOOP_IN, true) != OK)
		log_error("listener_lost", l->conf->name.s, "the loop does not take the socket");
}

void listeners_resume(struct thread *t)
{
	struct listener *l;

	TAILQ_FOREACH (l, &t->listeners, link) {
		if (l->paused && !l->removed && !at_limit(l)) {
			l->paused = false;
			listener_watch(l);
		}
	}
}

void listener_unuse(struct listener *l)
{
	CHECK(l->users > 0);
	if (--l->users > 0)
		return;
	TAILQ_REMOVE(&l->thread->listeners, l, link);
	tls_server_free(l->tls);
	free(l->hsts);
	view_drop(l->view);
	free(l);
}

static void listener_stop(struct listener *l)
{
	if (l->removed)
		return;
	l->removed = true;
	if (!l->paused)
		loop_remove(l->thread->loop, &l->io);
	l->io.fd = -1;
	listener_unuse(l);
}

/* Its certificates; without them each handshake would fail, so the old ones stay. */
static void listener_tls(struct listener *l)
{
	const struct snapshot *snap = l->view->snap;
	struct tls_server *tls = NULL;
	char why[256];

	if (l->conf->tls.on) {
		tls = certs_listener(snap->certs, snap->conf,
		                     (uint32_t)(l->conf - snap->conf->listeners), why, sizeof(why));
		if (tls == NULL) {
			log_error("tls_lost", l->conf->name.s, "%s", why);
			return;
		}
	}
	tls_server_free(l->tls);
	l->tls = tls;
}

/* RFC 6797, 6.1: a field of responses over TLS. */
static void listener_hsts(struct listener *l)
{
	const struct conf_tls *t = &l->conf->tls;

	free(l->hsts);
	l->hsts = NULL;
	if (!t->on || t->hsts == 0)
		return;
	if (asprintf(&l->hsts, "Strict-Transport-Security: max-age=%llu%s%s\r\n",
	             (unsigned long long)(t->hsts / NS_PER_S),
	             t->hsts_subdomains ? "; includeSubDomains" : "",
	             t->hsts_preload ? "; preload" : "") < 0)
		l->hsts = NULL;
}

void listeners_certs(struct thread *t)
{
	struct listener *l;

	TAILQ_FOREACH (l, &t->listeners, link)
		if (!l->removed)
			listener_tls(l);
}

/* What the configuration says of it now. */
static void listener_set(struct listener *l, struct view *v, const struct listen_socket *s)
{
	struct thread *t = l->thread;
	struct role *r = t->proxy->role;
	struct view *old = l->view;
	const struct conf_listener *conf = &v->snap->conf->listeners[s->listener];

	view_use(v);
	if (l->conf == NULL) {
		l->stat = thread_block(t, BOARD_LISTENER, conf->slot);
		l->wire = board_wire(r->board, r->instance, t->index, conf->slot);
		l->connections =
		    &board_node(r->board)->listener_connections[r->instance][conf->slot];
	}
	l->view = v;
	l->conf = conf;
	l->port = s->port;
	listener_tls(l);
	listener_hsts(l);
	if (old != NULL)
		view_drop(old);
}

static bool is_of(const struct listener *l, const struct view *v, const struct listen_socket *s)
{
	return !l->removed && l->inode == s->inode &&
	       l->conf->slot == v->snap->conf->listeners[s->listener].slot;
}

static struct listener *listener_find(struct thread *t, struct view *v,
                                      const struct listen_socket *s)
{
	struct listener *l;

	TAILQ_FOREACH (l, &t->listeners, link)
		if (is_of(l, v, s))
			return l;
	return NULL;
}

static void listener_new(struct thread *t, struct view *v, const struct listen_socket *s)
{
	struct listener *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		log_error("listener_lost", v->snap->conf->listeners[s->listener].name.s,
		          "out of memory");
		return;
	}
	l->thread = t;
	l->users = 1;
	l->inode = s->inode;
	l->io = (struct loop_io){ .fd = s->fd, .fn = listener_event };
	listener_set(l, v, s);
	TAILQ_INSERT_TAIL(&t->listeners, l, link);
	listener_watch(l);
}

void listeners_update(struct thread *t, struct view *v)
{
	struct listener *l, *next;
	unsigned i;

	for (l = TAILQ_FIRST(&t->listeners); l != NULL; l = next) {
		bool named = false;

		next = TAILQ_NEXT(l, link);
		for (i = 0; i < v->snap->nsockets; i++)
			named |= is_of(l, v, &v->snap->sockets[i]);
		if (!named)
			listener_stop(l);
	}
	for (i = 0; i < v->snap->nsockets; i++) {
		if (v->snap->conf->listeners[v->snap->sockets[i].listener].protocol == PROTOCOL_UDP)
			continue; /* udp.c */
		l = listener_find(t, v, &v->snap->sockets[i]);
		if (l != NULL)
			listener_set(l, v, &v->snap->sockets[i]);
		else
			listener_new(t, v, &v->snap->sockets[i]);
	}
}

void listeners_close(struct thread *t)
{
	struct listener *l, *next;

	for (l = TAILQ_FIRST(&t->listeners); l != NULL; l = next) {
		next = TAILQ_NEXT(l, link);
		listener_stop(l);
	}
}
