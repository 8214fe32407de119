/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent's view of roles: their processes (child.c), and which of them run and are started
 * again (supervise.c). On the parent's one thread.
 */
#ifndef CORE_CHILD_H
#define CORE_CHILD_H

#include <sys/queue.h>
#include <sys/types.h>

#include "core/backoff.h"
#include "core/role.h"
#include "net/loop.h"

struct parent;
struct child;

/* --- processes (child.c) -------------------------------------------------------------------- */

struct packet;
STAILQ_HEAD(packets, packet);
TAILQ_HEAD(children, child);

struct child {
	TAILQ_ENTRY(child) link;
	struct parent *parent;
	struct service *service;
	uint32_t serial; /* never reused: answers find their asker by it */
	unsigned instance;
	pid_t pid;
	int pidfd;
	int fd;
	struct loop_io io;
	struct loop_io pid_io;
	struct loop_task gone;
	struct packets out; /* what it has not read yet */
	unsigned nout;
	bool adopted; /* of an earlier parent */
	bool foreign; /* its board or configuration is of another layout */
	bool started; /* has its START */
	bool ready;
	bool draining;
	bool asked; /* PREPARE or COMMIT is with it */
	bool prepared;
	bool yielding;     /* YIELD is with it */
	uint32_t certs_id; /* CERTS is with it; 0: not */
	uint64_t born;     /* monotonic; 0: before this parent */
	uint64_t pulse;    /* last sign of life */
	uint64_t kill_at;  /* when to SIGKILL it; 0: not */
	const char *kill_why;
	char why[200]; /* what it said before it ended */
};

/* Whom to answer. */
struct asker {
	uint32_t child; /* serial; 0: a signal */
	uint32_t id;
};

struct child *child_new(struct parent *p, struct service *s, unsigned instance, pid_t pid,
                        int pidfd, int fd);
/* Sends, or keeps until the child reads. OK, ERR_FULL, ERR_CLOSED. */
int child_send(struct child *c, enum ipc_type type, uint32_t id, const void *payload, size_t len,
               const int *fds, int nfds);
void child_result(struct child *c, enum ipc_type type, uint32_t id, int err, unsigned count,
                  const char *text);
/* By serial; NULL when it is gone. */
struct child *child_find(struct parent *p, uint32_t serial);
/* Ends it by force; why becomes its reason where it says none itself. */
void child_kill(struct child *c, int signal, const char *why);
/* Tells it to finish; it is killed after timeout_ns. */
void child_drain(struct child *c, uint64_t timeout_ns);

/* --- roles (supervise.c) -------------------------------------------------------------------- */

struct service {
	struct parent *parent;
	const struct role_ops *ops;
	unsigned index; /* in the board's table of roles */
	struct child *current;
	struct child *successor; /* of an upgrade, not ready yet */
	struct backoff backoff;
	struct loop_timer restart;
	bool replacing; /* current ends because an upgrade wants it */
	bool crash_loop;
};

struct service *service_find(struct parent *p, const char *name);
bool service_is(const struct service *s, const char *name);
/* Whether the committed configuration needs it. */
bool service_wanted(const struct service *s);
void supervise_start(struct parent *p);
/* Starts every role that the configuration needs and that has no process; ends the others. */
void supervise_adjust(struct parent *p);
/* A process beside the current one, with an instance number of its own. NULL with a log line. */
struct child *supervise_spawn(struct service *s);
void supervise_ready(struct child *c);
/* It was told by a signal to finish: another one takes its place now. */
void supervise_leaving(struct child *c);
/* Its process has ended: says why, tells everyone who waits for it, starts it again. */
void supervise_died(struct child *c, const char *how);
/* Once a second: life signs, ends that are due. */
void supervise_tick(struct parent *p);
void supervise_board(struct service *s, const char *reason);

#endif
