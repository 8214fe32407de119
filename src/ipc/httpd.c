/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP server of the program's own interfaces: its listening sockets, its limits, its end. On
 * the loop's thread.
 */
#include "ipc/httpd.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "ipc/httpd_conn.h"
#include "net/sock.h"

#define ACCEPT_BATCH 32
#define ACCEPT_PAUSE (100 * NS_PER_MS) /* when descriptors or memory have run out */

const struct httpd_limits httpd_limits_default = {
	.max_connections = 256,
	.max_head = 16384,
	.max_body = 65536,
	.request_time = 10 * NS_PER_S,
	.idle_time = 60 * NS_PER_S,
	.write_time = 30 * NS_PER_S,
};

/* --- accepting ------------------------------------------------------------------------------ */

/* Makes room by ending the connection that has waited longest for a request. */
static bool make_room(struct httpd_listener *l)
{
	struct httpd_conn *c;

	TAILQ_FOREACH (c, &l->conns, link) {
		if (httpd_conn_idle(c) || c->state == CONN_LINGER) {
			httpd_conn_close(c);
			return true;
		}
	}
	return false;
}

static void on_accept(struct loop_io *io, uint32_t events)
{
	struct httpd_listener *l = CONTAINER_OF(io, struct httpd_listener, io);

	(void)events;
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		struct net_addr client = { 0 };
		int fd = net_accept(io->fd, &client);

		if (fd == ERR_FULL) {
			loop_modify_level(l->h->loop, io, 0);
			loop_timer_set(l->h->loop, &l->pause, ACCEPT_PAUSE);
			return;
		}
		if (fd < 0)
			return;
		/* Beyond twice the limit not even the refusal is worth a descriptor. */
		if (l->nconns >= 2 * l->h->limits.max_connections && !make_room(l))
			close(fd);
		else
			httpd_conn_new(l, fd, &client,
			               l->nconns >= l->h->limits.max_connections && !make_room(l));
	}
}

static void on_pause(struct loop_timer *t)
{
	struct httpd_listener *l = CONTAINER_OF(t, struct httpd_listener, pause);

	loop_modify_level(l->h->loop, &l->io, LOOP_IN);
}

int httpd_listen(struct httpd *h, int fd, bool local)
{
	struct httpd_listener *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return ERR_NOMEM;
	*l = (struct httpd_listener){
		.io = { .fd = fd, .fn = on_accept },
		.pause.fn = on_pause,
		.h = h,
		.local = local,
		.next = h->listeners,
	};
	TAILQ_INIT(&l->conns);
	if (loop_add_level(h->loop, &l->io, LOOP_IN, false) != OK) {
		free(l);
		return ERR_SYSTEM;
	}
	h->listeners = l;
	return OK;
}

void httpd_listener_put(struct httpd_listener *l)
{
	struct httpd_listener **at = &l->h->listeners;

	if (!l->gone || l->nconns > 0)
		return;
	while (*at != l)
		at = &(*at)->next;
	*at = l->next;
	free(l);
}

static void listener_stop(struct httpd_listener *l)
{
	if (l->gone)
		return;
	loop_remove(l->h->loop, &l->io);
	loop_timer_stop(l->h->loop, &l->pause);
	l->io.fd = -1;
	l->gone = true;
}

void httpd_unlisten(struct httpd *h, int fd)
{
	for (struct httpd_listener *l = h->listeners; l != NULL; l = l->next) {
		if (!l->gone && l->io.fd == fd) {
			listener_stop(l);
			httpd_listener_put(l);
			return;
		}
	}
}

/* --- the whole ------------------------------------------------------------------------------ */

struct httpd *httpd_new(struct loop *l, const struct httpd_limits *limits, httpd_handler *handler,
                        void *arg)
{
	struct httpd *h = calloc(1, sizeof(*h));

	if (h == NULL)
		return NULL;
	h->loop = l;
	h->limits = *limits;
	h->handler = handler;
	h->arg = arg;
	return h;
}

/* Stops all listeners; ends the connections that are idle, or all. */
static void end_connections(struct httpd *h, bool all)
{
	struct httpd_listener *next;

	for (struct httpd_listener *l = h->listeners; l != NULL; l = next) {
		struct httpd_conn *c;
		struct httpd_conn *after;

		next = l->next;
		listener_stop(l);
		l->nconns++; /* holds the listener while its list is gone through */
		for (c = TAILQ_FIRST(&l->conns); c != NULL; c = after) {
			after = TAILQ_NEXT(c, link);
			if (all || httpd_conn_idle(c))
				httpd_conn_close(c);
		}
		l->nconns--;
		httpd_listener_put(l);
	}
}

void httpd_free(struct httpd *h)
{
	if (h == NULL)
		return;
	end_connections(h, true);
	CHECK(h->listeners == NULL && h->nconns == 0);
	free(h);
}

void httpd_drain(struct httpd *h)
{
	h->draining = true;
	end_connections(h, false);
}

unsigned httpd_connections(const struct httpd *h)
{
	return h->nconns;
}

size_t httpd_unsent(const struct httpd *h)
{
	return h->unsent;
}

void httpd_answer(struct httpd *h, uint64_t id, struct httpd_answer *a)
{
	for (struct httpd_listener *l = h->listeners; l != NULL; l = l->next) {
		struct httpd_conn *c;

		/* The latest requests are at the end. */
		TAILQ_FOREACH_REVERSE (c, &l->conns, httpd_conns, link) {
			if (c->state == CONN_WAIT && c->id == id) {
				httpd_conn_answer(c, a);
				if (c->state == CONN_WRITE)
					loop_defer(h->loop, &c->again);
				return;
			}
		}
	}
	buf_free(&a->body);
}
