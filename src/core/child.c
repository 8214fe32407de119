/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A role's process as the parent sees it: the pair, what waits to be read by it, its end. A child
 * that stops reading does not stop the parent. Main thread of the parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/parent.h"

#define CHILD_MAX_OUT  32768 /* packets */
#define CHILD_PER_TURN 64    /* messages read in one turn, so that no child starves another */

struct packet {
	STAILQ_ENTRY(packet) link;
	enum ipc_type type;
	uint32_t id;
	size_t len;
	int nfds;
	int fds[IPC_MAX_FDS];
	char payload[];
};

static void packet_free(struct packet *k)
{
	for (int i = 0; i < k->nfds; i++)
		close(k->fds[i]);
	free(k);
}

static int keep(struct child *c, enum ipc_type type, uint32_t id, const void *payload, size_t len,
                const int *fds, int nfds)
{
	struct packet *k;

	if (c->nout >= CHILD_MAX_OUT)
		return ERR_FULL;
	k = malloc(sizeof(*k) + len);
	if (!k)
		return ERR_NOMEM;
	k->type = type;
	k->id = id;
	k->len = len;
	k->nfds = 0;
	if (len > 0)
		memcpy(k->payload, payload, len);
	for (int i = 0; i < nfds; i++) {
		int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);

		if (fd < 0) {
			packet_free(k);
			return ERR_SYSTEM;
		}
		k->fds[k->nfds++] = fd;
	}
	if (c->nout++ == 0)
		loop_modify_level(c->parent->loop, &c->io, LOOP_IN | LOOP_OUT);
	STAILQ_INSERT_TAIL(&c->out, k, link);
	return OK;
}

int child_send(struct child *c, enum ipc_type type, uint32_t id, const void *payload, size_t len,
               const int *fds, int nfds)
{
	int err = ERR_AGAIN;

	if (c->fd < 0)
		return ERR_CLOSED;
	if (c->nout == 0)
		err = ipc_send(c->fd, type, id, payload, len, fds, nfds);
	if (err == ERR_AGAIN)
		err = keep(c, type, id, payload, len, fds, nfds);
	return err;
}

void child_result(struct child *c, enum ipc_type type, uint32_t id, int err, unsigned count,
                  const char *text)
{
	struct ipc_result r = { .err = err, .count = count };
	size_t len = text ? strlen(text) : 0;

	if (len >= sizeof(r.text))
		len = sizeof(r.text) - 1;
	if (len > 0)
		memcpy(r.text, text, len);
	child_send(c, type, id, &r, offsetof(struct ipc_result, text) + len + 1, NULL, 0);
}

static void flush(struct child *c)
{
	struct packet *k;

	while ((k = STAILQ_FIRST(&c->out))) {
		if (ipc_send(c->fd, k->type, k->id, k->payload, k->len, k->fds, k->nfds) ==
		    ERR_AGAIN)
			return;
		/* Any other error means that it is gone: its end will be noticed. */
		STAILQ_REMOVE_HEAD(&c->out, link);
		packet_free(k);
		c->nout--;
	}
	loop_modify_level(c->parent->loop, &c->io, LOOP_IN);
}

static void on_io(struct loop_io *io, uint32_t events)
{
	struct child *c = CONTAINER_OF(io, struct child, io);
	struct ipc_msg m;
	int err = OK;

	if (events & LOOP_OUT)
		flush(c);
	for (unsigned i = 0; i < CHILD_PER_TURN && c->fd >= 0; i++) {
		err = ipc_recv(c->fd, &m);
		if (err == ERR_SYNTAX)
			child_kill(c, SIGKILL, "it sent a broken message");
		if (err != OK)
			break;
		c->pulse = c->parent->loop->now;
		parent_message(c, &m);
		ipc_msg_close(&m);
	}
	/* A closed pair is the end of the process, which pidfd tells, or soon will be. */
	if (err != OK && err != ERR_AGAIN && c->fd >= 0) {
		loop_remove(c->parent->loop, &c->io);
		close(c->fd);
		c->fd = c->io.fd = -1;
		if (!c->draining && c->kill_at == 0) {
			c->kill_at = c->parent->loop->now + NS_PER_S;
			c->kill_why = "it closed its connection to the parent";
		}
	}
}

static void how_it_ended(const struct child *c, char *out, size_t size)
{
	int status = 0;

	if (waitpid(c->pid, &status, WNOHANG) != c->pid)
		snprintf(out, size, "ended (not started by this parent: status unknown)");
	else if (WIFSIGNALED(status))
		snprintf(out, size, "killed by signal %d (%s)", WTERMSIG(status),
		         strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) == 125 || WEXITSTATUS(status) == 126)
		snprintf(out, size, "could not be executed");
	else
		snprintf(out, size, "ended with status %d", WEXITSTATUS(status));
}

static void on_gone(struct loop_task *t)
{
	struct child *c = CONTAINER_OF(t, struct child, gone);
	struct packet *k;

	while ((k = STAILQ_FIRST(&c->out))) {
		STAILQ_REMOVE_HEAD(&c->out, link);
		packet_free(k);
	}
	free(c);
}

static void on_pid(struct loop_io *io, uint32_t events)
{
	struct child *c = CONTAINER_OF(io, struct child, pid_io);
	struct parent *p = c->parent;
	char how[128];

	(void)events;
	/* Its last words first: why it failed, or that it has committed. */
	if (c->fd >= 0)
		on_io(&c->io, LOOP_IN);
	loop_remove(p->loop, &c->pid_io);
	close(c->pidfd);
	c->pidfd = -1;
	if (c->fd >= 0) {
		loop_remove(p->loop, &c->io);
		close(c->fd);
		c->fd = -1;
	}
	how_it_ended(c, how, sizeof(how));
	TAILQ_REMOVE(&p->children, c, link);
	supervise_died(c, how);
	loop_defer(p->loop, &c->gone);
}

struct child *child_new(struct parent *p, struct service *s, unsigned instance, pid_t pid,
                        int pidfd, int fd)
{
	struct child *c = calloc(1, sizeof(*c));

	CHECK(c); /* at start or restart of a role: nothing sensible can be done without it */
	c->parent = p;
	c->service = s;
	c->serial = ++p->serial;
	c->instance = instance;
	c->pid = pid;
	c->pidfd = pidfd;
	c->fd = fd;
	c->born = c->pulse = clock_mono();
	c->gone.fn = on_gone;
	STAILQ_INIT(&c->out);
	c->io = (struct loop_io){ .fd = fd, .fn = on_io };
	c->pid_io = (struct loop_io){ .fd = pidfd, .fn = on_pid };
	CHECK(loop_add_level(p->loop, &c->io, LOOP_IN, false) == OK);
	CHECK(loop_add_level(p->loop, &c->pid_io, LOOP_IN, false) == OK);
	TAILQ_INSERT_TAIL(&p->children, c, link);
	return c;
}

struct child *child_find(struct parent *p, uint32_t serial)
{
	struct child *c;

	TAILQ_FOREACH (c, &p->children, link) {
		if (c->serial == serial)
			return c;
	}
	return NULL;
}

void child_kill(struct child *c, int sig, const char *why)
{
	if (c->why[0] == '\0' && why)
		snprintf(c->why, sizeof(c->why), "%s", why);
	/* By pidfd: the pid of an adopted process may be another's by now. */
	if (c->pidfd >= 0)
		syscall(SYS_pidfd_send_signal, c->pidfd, sig, NULL, 0);
}

void child_drain(struct child *c, uint64_t timeout_ns)
{
	c->draining = true;
	c->kill_at = c->parent->loop->now + timeout_ns;
	c->kill_why = "it did not finish in time";
	child_send(c, IPC_DRAIN, 0, NULL, 0, NULL, 0);
}
