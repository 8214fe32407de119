/* SPDX-License-Identifier: Apache-2.0 */
/* Listening sockets of a node. Main thread of the parent. */
#include "core/listen.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "core/port_owner.h"
#include "net/sock.h"

#define LISTEN_BACKLOG 4096 /* the kernel cuts it to net.core.somaxconn */

void listen_init(struct listen_set *s)
{
	TAILQ_INIT(&s->list);
}

static struct listen_socket *find(const struct listen_set *s, const struct net_addr *a,
                                  bool datagrams)
{
	struct listen_socket *l;

	TAILQ_FOREACH (l, &s->list, link) {
		/* Sees through no TAILQ_REMOVE. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		if (net_addr_eq(&l->addr, a) && l->addr.wildcard == a->wildcard &&
		    l->datagrams == datagrams)
			return l;
	}
	return NULL;
}

int listen_fd(const struct listen_set *s, const struct net_addr *a, bool datagrams)
{
	const struct listen_socket *l = find(s, a, datagrams);

	return l ? l->fd : -1;
}

int listen_adopt(struct listen_set *s, const struct net_addr *a, int fd)
{
	const bool datagrams = net_is_datagrams(fd);
	struct listen_socket *l = find(s, a, datagrams);

	if (l) {
		close(fd);
		return ERR_EXISTS;
	}
	l = calloc(1, sizeof(*l));
	if (!l) {
		close(fd);
		return ERR_NOMEM;
	}
	l->addr = *a;
	l->datagrams = datagrams;
	l->fd = fd;
	TAILQ_INSERT_TAIL(&s->list, l, link);
	return OK;
}

static int open_socket(const struct conf *c, const struct net_addr *a,
                       const struct conf_listener *l)
{
	const bool absent = conf_is_virtual(c, a);

	if (l && l->protocol == PROTOCOL_UDP)
		return net_bind_datagrams(a, absent);
	return absent ? net_listen_absent(a, LISTEN_BACKLOG)
	              : net_listen(a, LISTEN_BACKLOG, l ? l->mode : 0);
}

/* l NULL: of the control API. */
static int open_one(struct listen_set *s, const struct conf *c, const struct net_addr *a,
                    const struct conf_listener *l, char *why, size_t why_size)
{
	const bool datagrams = l && l->protocol == PROTOCOL_UDP;
	char text[NET_ADDR_TEXT];
	char owner[128];
	int fd;
	int err;

	if (listen_fd(s, a, datagrams) >= 0)
		return OK;
	fd = open_socket(c, a, l);
	if (fd < 0) {
		err = errno;
		port_owner(a, datagrams, err, owner, sizeof(owner));
		snprintf(why, why_size, "%s%s%s: cannot listen on %s%s: %s%s%s",
		         l ? "listener \"" : "control", l ? l->name.s : "", l ? "\"" : "",
		         net_addr_format(a, text), datagrams ? " (UDP)" : "", strerror(err),
		         owner[0] ? ": " : "", owner);
		return ERR_SYSTEM;
	}
	return listen_adopt(s, a, fd);
}

int listen_open(struct listen_set *s, const struct conf *c, char *why, size_t why_size)
{
	int err = OK;

	for (uint32_t i = 0; err == OK && i < c->nlisteners; i++) {
		const struct conf_listener *l = &c->listeners[i];

		for (uint32_t k = 0; err == OK && k < l->nbind; k++)
			err = open_one(s, c, &l->bind[k], l, why, why_size);
	}
	if (err == OK && c->control.on)
		err = open_one(s, c, &c->control.bind, NULL, why, why_size);
	return err;
}

static void want(struct listen_set *s, const struct net_addr *a, bool datagrams)
{
	struct listen_socket *l = find(s, a, datagrams);

	if (l)
		l->wanted = true;
}

static void close_one(struct listen_set *s, struct listen_socket *l)
{
	TAILQ_REMOVE(&s->list, l, link);
	/* Roles may still hold copies, for a draining connection's sake: closing ours alone would
	 * leave clients in a queue that nobody reads. Datagrams have no queue of clients, and a
	 * proxy that drains still answers by its copy. */
	if (!l->datagrams)
		shutdown(l->fd, SHUT_RDWR);
	close(l->fd);
	if (l->addr.sa.sa_family == AF_UNIX && l->addr.un.sun_path[0])
		unlink(l->addr.un.sun_path);
	free(l);
}

void listen_sweep(struct listen_set *s, const struct conf *c)
{
	struct listen_socket *l;
	struct listen_socket *next;

	TAILQ_FOREACH (l, &s->list, link)
		l->wanted = false;
	for (uint32_t i = 0; c && i < c->nlisteners; i++) {
		for (uint32_t k = 0; k < c->listeners[i].nbind; k++)
			want(s, &c->listeners[i].bind[k], c->listeners[i].protocol == PROTOCOL_UDP);
	}
	if (c && c->control.on)
		want(s, &c->control.bind, false);
	for (l = TAILQ_FIRST(&s->list); l; l = next) {
		next = TAILQ_NEXT(l, link);
		if (!l->wanted)
			close_one(s, l);
	}
}

void listen_close(struct listen_set *s, const struct conf *c)
{
	struct listen_socket *l;

	for (uint32_t i = 0; i < c->nlisteners; i++) {
		for (uint32_t k = 0; k < c->listeners[i].nbind; k++) {
			l = find(s, &c->listeners[i].bind[k],
			         c->listeners[i].protocol == PROTOCOL_UDP);
			if (l)
				close_one(s, l);
		}
	}
}
