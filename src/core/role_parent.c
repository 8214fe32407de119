/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness's line to the parent: what goes over it, losing it when the parent dies, and waiting
 * for a new one. Main thread of a role.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/role_fds.h"
#include "core/role_impl.h"

int role_send(struct role *r, enum ipc_type type, uint32_t id, const void *payload, size_t len)
{
	return ipc_send(r->parent, type, id, payload, len, NULL, 0);
}

static int send_raw(void *arg, enum ipc_type type, uint32_t id, const void *payload, size_t len,
                    const int *fds, int nfds)
{
	struct harness *h = arg;

	return ipc_send(h->role.parent, type, id, payload, len, fds, nfds);
}

void role_parent_hello(struct harness *h)
{
	const struct role_conf *c = h->role.conf;
	struct handover_head head = {
		.instance = h->role.instance,
		.pid = (int32_t)getpid(),
		.ready = h->ready,
		.draining = h->draining,
		.generation = c ? c->conf->generation : 0,
	};
	int lead[HANDOVER_LEADS];

	snprintf(head.role, sizeof(head.role), "%s", h->role.ops->name);
	if (!c) {
		handover_send(send_raw, h, IPC_HELLO, 0, &head, NULL, 0, NULL, 0);
		return;
	}
	lead[HANDOVER_IMAGE] = CONTAINER_OF(c, struct held_conf, pub)->image_fd;
	lead[HANDOVER_BOARD] = h->board_fd;
	handover_send(send_raw, h, IPC_HELLO, 0, &head, lead, HANDOVER_LEADS, c->fds, c->nfds);
}

static void parent_lost(struct harness *h);

static void on_parent(struct loop_io *io, uint32_t events)
{
	struct harness *h = CONTAINER_OF(io, struct harness, parent_io);
	struct ipc_msg m;
	int err;

	(void)events;
	for (;;) {
		err = ipc_recv(io->fd, &m);
		if (err != OK)
			break;
		role_message(h, &m);
		if (h->role.loop->stop)
			return;
	}
	if (err != ERR_AGAIN)
		parent_lost(h);
}

static void watch_parent(struct harness *h, int fd)
{
	h->role.parent = fd;
	h->parent_io = (struct loop_io){ .fd = fd, .fn = on_parent };
	if (loop_add_level(h->role.loop, &h->parent_io, LOOP_IN, false) != OK)
		role_fail(h, "cannot watch the parent");
}

/* Whoever could connect owns the folder of the socket; it must be the same user as before. */
static void on_adopt(struct loop_io *io, uint32_t events)
{
	struct harness *h = CONTAINER_OF(io, struct harness, adopt_io);
	int fd;

	(void)events;
	if (h->role.parent >= 0)
		return;
	fd = accept4(io->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	loop_remove(h->role.loop, io);
	watch_parent(h, fd);
	role_parent_hello(h);
	log_notice("adopted", NULL, "a new parent has taken over");
}

static void parent_lost(struct harness *h)
{
	loop_remove(h->role.loop, &h->parent_io);
	close(h->role.parent);
	h->role.parent = -1;
	handover_drop(&h->in);
	role_conf_forget_next(h);
	if (!h->started) {
		role_exit(&h->role);
		return;
	}
	if (h->terms > 0) {
		role_drain(h);
		return;
	}
	log_warning("parent_lost", NULL, "the parent has ended; serving on until a new one comes");
	h->adopt_io = (struct loop_io){ .fd = ROLE_FD_NUMBER_ADOPT, .fn = on_adopt };
	if (loop_add_level(h->role.loop, &h->adopt_io, LOOP_IN, false) != OK)
		log_error("parent_lost", NULL, "cannot wait for a new parent: %s", strerror(errno));
}

int role_parent_take(struct harness *h)
{
	if (fcntl(ROLE_FD_NUMBER_PARENT, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(ROLE_FD_NUMBER_ADOPT, F_SETFD, FD_CLOEXEC) < 0 ||
	    fcntl(ROLE_FD_NUMBER_PARENT, F_SETFL, O_RDWR | O_NONBLOCK) < 0 ||
	    fcntl(ROLE_FD_NUMBER_ADOPT, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return ERR_SYSTEM;
	watch_parent(h, ROLE_FD_NUMBER_PARENT);
	return OK;
}
