/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking over the roles that an earlier parent left serving, whether it was killed or has executed
 * a new binary in its place: each waits on a socket of its own and answers with all it holds. Main
 * thread of the parent, before its loop runs.
 */
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/handover.h"
#include "core/parent.h"
#include "core/spawn.h"
#include "net/sock.h"

#define ADOPT_MAX  32
#define ADOPT_TIME (5 * NS_PER_S)

struct found {
	struct service *service;
	unsigned instance;
	int fd; /* -1: given up */
	struct handover hello;
	struct conf *conf; /* its own, mapped; NULL: of another layout */
	bool foreign;
};

struct search {
	struct found v[ADOPT_MAX];
	unsigned n;
};

/* --- finding them --------------------------------------------------------------------------- */

static int connect_to(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) >= sizeof(un.sun_path))
		return -1;
	memcpy(un.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static pid_t noted_pid(struct parent *p, const struct found *f)
{
	char path[PATHS_DIR + 64];
	struct buf b = BUF_INIT;
	long pid = 0;

	if (buf_read_file(&b,
	                  spawn_pid_path(&p->paths, f->service->ops->name, f->instance, path,
	                                 sizeof(path)),
	                  32) == OK)
		pid = strtol(buf_cstr(&b), NULL, 10);
	buf_free(&b);
	return (pid_t)pid;
}

static void look_at(struct parent *p, struct search *s, const char *file)
{
	char path[PATHS_DIR + 64];
	char name[32];
	char end[8];
	unsigned instance;
	struct found *f = &s->v[s->n];

	if (s->n == ADOPT_MAX || sscanf(file, "%31[a-z].%u.%7s", name, &instance, end) != 3 ||
	    strcmp(end, "sock") != 0 || instance >= BOARD_INSTANCES)
		return;
	*f = (struct found){ .service = service_find(p, name), .instance = instance };
	if (!f->service)
		return;
	f->fd = connect_to(spawn_socket_path(&p->paths, name, instance, path, sizeof(path)));
	if (f->fd >= 0)
		s->n++;
	else
		spawn_forget(&p->paths, name, instance);
}

static void look_for(struct parent *p, struct search *s)
{
	char path[PATHS_DIR + 16];
	DIR *dir = opendir(paths_join(p->paths.run, "roles", path, sizeof(path)));
	const struct dirent *e;

	if (!dir)
		return;
	while ((e = readdir(dir)))
		look_at(p, s, e->d_name);
	closedir(dir);
}

/* --- hearing them --------------------------------------------------------------------------- */

static void give_up(struct found *f)
{
	handover_drop(&f->hello);
	close(f->fd);
	f->fd = -1;
}

/* Reads until its HELLO is whole, and nothing beyond. */
static void hear(struct found *f)
{
	struct ipc_msg m;
	int err;

	while (!handover_complete(&f->hello)) {
		err = ipc_recv(f->fd, &m);
		if (err == ERR_AGAIN)
			return;
		if (err == OK) {
			if (m.type == IPC_HELLO)
				err = handover_begin(&f->hello, &m);
			else if (m.type == IPC_MORE_FDS)
				err = handover_more(&f->hello, &m);
			ipc_msg_close(&m);
		}
		if (err != OK) {
			give_up(f);
			return;
		}
	}
}

static void hear_all(struct search *s)
{
	uint64_t end = clock_mono() + ADOPT_TIME;
	struct pollfd polls[ADOPT_MAX];
	unsigned open;

	for (;;) {
		open = 0;
		for (unsigned i = 0; i < s->n; i++) {
			if (s->v[i].fd >= 0 && !handover_complete(&s->v[i].hello))
				polls[open++] = (struct pollfd){ s->v[i].fd, POLLIN, 0 };
		}
		if (open == 0 || clock_mono() >= end)
			return;
		poll(polls, open, 100);
		for (unsigned i = 0; i < s->n; i++) {
			if (s->v[i].fd >= 0)
				hear(&s->v[i]);
		}
	}
}

/* Only a process that an earlier parent noted is one of ours. Anything else that sits there, or
 * does not answer, must not go on holding ports. */
static void weed(struct parent *p, struct search *s)
{
	for (unsigned i = 0; i < s->n; i++) {
		struct found *f = &s->v[i];
		pid_t pid = noted_pid(p, f);
		bool whole = f->fd >= 0 && handover_complete(&f->hello);

		if (whole && f->hello.head.pid == pid && f->hello.head.generation > 0 &&
		    strcmp(f->hello.head.role, f->service->ops->name) == 0)
			continue;
		log_warning("adopt", f->service->ops->name,
		            "pid %d is not in a state to be taken over: ending it", (int)pid);
		if (pid > 1 && (whole ? f->hello.head.pid == pid : f->fd >= 0))
			kill(pid, SIGKILL);
		if (f->fd >= 0)
			give_up(f);
		spawn_forget(&p->paths, f->service->ops->name, f->instance);
	}
}

/* --- taking what they hold ------------------------------------------------------------------ */

static bool same_file(int a, int b)
{
	struct stat x;
	struct stat y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino &&
	       x.st_dev == y.st_dev;
}

/* The first board that this program understands is the board; who has another one is foreign. */
static void take_board(struct parent *p, struct found *f)
{
	int fd = f->hello.lead[HANDOVER_BOARD];

	if (!p->board && board_map(fd, &p->board) == OK) {
		p->board_fd = fd;
		f->hello.lead[HANDOVER_BOARD] = -1;
		return;
	}
	f->foreign = !p->board || !same_file(fd, p->board_fd);
}

static void take_conf(struct parent *p, struct found *f)
{
	struct generation *g;

	if (conf_image_map(f->hello.lead[HANDOVER_IMAGE], &f->conf) != OK) {
		f->conf = NULL;
		f->foreign = true;
		return;
	}
	if (p->cur && p->cur->conf->generation != f->conf->generation)
		p->mixed = true;
	if (f->foreign || (p->cur && p->cur->conf->generation >= f->conf->generation))
		return;
	if (generation_adopt(p, f->hello.lead[HANDOVER_IMAGE], &g) == OK) {
		generation_free(p->cur);
		p->cur = g;
	}
	f->hello.lead[HANDOVER_IMAGE] = -1;
}

/* The address of a socket by its holder's configuration, else as the kernel knows it. */
static void address_of(const struct found *f, const struct role_fd *r, struct net_addr *ret)
{
	const struct conf *c = f->conf;
	int v6only = 1;
	socklen_t len = sizeof(v6only);

	if (c && r->kind == ROLE_FD_CONTROL) {
		*ret = c->control.bind;
	} else if (c && r->index < c->nlisteners && r->sub < c->listeners[r->index].nbind) {
		*ret = c->listeners[r->index].bind[r->sub];
	} else {
		net_local_addr(r->fd, ret);
		if (ret->sa.sa_family == AF_INET6 &&
		    getsockopt(r->fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, &len) == 0)
			ret->wildcard = !v6only && IN6_IS_ADDR_UNSPECIFIED(&ret->in6.sin6_addr);
	}
}

static void take_fds(struct parent *p, struct found *f)
{
	struct net_addr addr;

	for (unsigned i = 0; i < f->hello.nfds; i++) {
		struct role_fd *r = &f->hello.fds[i];
		int fd = r->fd;
		bool take = false;

		if (r->kind == ROLE_FD_LISTEN || r->kind == ROLE_FD_CONTROL) {
			address_of(f, r, &addr);
			listen_adopt(&p->sockets, &addr, fd);
			continue;
		}
		if (r->kind == ROLE_FD_SOCKET && p->control_socket < 0) {
			p->control_socket = fd;
			take = true;
		} else if (r->kind == ROLE_FD_NOTIFY && p->notify_fd < 0) {
			p->notify_fd = fd;
			take = true;
		} else if (r->kind == ROLE_FD_STATES && p->states_fd < 0) {
			p->states_fd = fd;
			take = true;
		}
		if (r->kind == ROLE_FD_CERTS)
			take = certs_adopt(p, !service_is(f->service, "proxy"), fd);
		if (!take)
			close(fd);
	}
	f->hello.nfds = 0;
	handover_drop(&f->hello);
	if (f->conf)
		conf_image_unmap(f->conf);
	f->conf = NULL;
}

static void take_process(struct parent *p, struct found *f)
{
	struct service *s = f->service;
	pid_t pid = f->hello.head.pid;
	int pidfd = spawn_pidfd(pid);
	struct child *c;
	bool other = strcmp(f->hello.head.version, HOLDFAST_VERSION) != 0;

	if (pidfd < 0) { /* it has ended just now */
		close(f->fd);
		spawn_forget(&p->paths, s->ops->name, f->instance);
		return;
	}
	c = child_new(p, s, f->instance, pid, pidfd, f->fd);
	c->born = 0;
	c->adopted = true;
	c->foreign = f->foreign;
	c->started = true;
	c->ready = f->hello.head.ready;
	c->draining = f->hello.head.draining;
	p->replace |= f->foreign || other;
	log_notice("adopt", s->ops->name, "pid %d goes on under this parent%s%s", (int)pid,
	           c->draining ? "; it is finishing" : "",
	           f->foreign || other ? "; it is of another version" : "");
	if (c->draining)
		return;
	if (!s->current || (!s->current->ready && c->ready))
		s->current = c;
}

/* Of two that both serve, as after a kill in the middle of an upgrade, one has to finish. */
static void settle(struct parent *p)
{
	uint64_t time = p->cur ? p->cur->conf->shutdown_timeout + NS_PER_S : 30 * NS_PER_S;
	struct child *c;

	p->loop->now = clock_mono();
	TAILQ_FOREACH (c, &p->children, link) {
		if (c != c->service->current)
			child_drain(c, time);
	}
}

unsigned adopt_roles(struct parent *p)
{
	struct search *s = calloc(1, sizeof(*s));
	unsigned n = 0;

	if (!s)
		return 0;
	look_for(p, s);
	hear_all(s);
	weed(p, s);
	for (unsigned i = 0; i < s->n; i++) {
		if (s->v[i].fd >= 0)
			take_board(p, &s->v[i]);
	}
	for (unsigned i = 0; i < s->n; i++) {
		struct found *f = &s->v[i];

		if (f->fd < 0)
			continue;
		take_conf(p, f);
		take_process(p, f);
		take_fds(p, f);
		n++;
	}
	free(s);
	settle(p);
	p->adopted = n > 0;
	return n;
}
