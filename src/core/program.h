/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that the configuration names, run by the parent (program.c): exec checks (exec_check.c)
 * and hooks of virtual IPs (hook.c). On the parent's one thread.
 */
#ifndef CORE_PROGRAM_H
#define CORE_PROGRAM_H

#include <sys/queue.h>
#include <sys/types.h>

#include "core/child.h"

struct exec_run;

/* --- programs that the configuration names (program.c) -------------------------------------- */

struct program { /* one that runs; embedded in what it runs for */
	struct parent *parent;
	/* Set by the owner: it has ended, status and output are there. What holds it may be freed,
	 * by loop_defer. */
	void (*ended)(struct program *g);
	pid_t pid;
	int pidfd;
	int out;
	struct loop_io pid_io;
	struct loop_io out_io;
	struct loop_timer timer;
	unsigned len;     /* of output */
	bool line;        /* its first line is complete */
	bool late;        /* over its time limit */
	int status;       /* exit status; -1: not run, ended by a signal or by its time limit */
	char output[256]; /* first line of its output, or why it did not run */
};

struct program_order {
	const struct conf_list *exec;
	struct str user;  /* "": the roles' user */
	uint64_t timeout; /* ns */
	/* Adds to the environment, by setenv, in the new process. */
	void (*environment)(const void *arg);
	const void *arg;
};

/* OK, or an error with status -1 and why in output; `ended` is not called then. */
int program_start(struct parent *p, struct program *g, const struct program_order *o);
/* Kills it and all of its group; `ended` tells of it. */
void program_kill(struct program *g);
/* Kills it and waits for its end, which `ended` does not tell. */
void program_end(struct program *g);

/* --- exec checks (exec_check.c) ------------------------------------------------------------- */

#define EXEC_RUNNING   32
#define EXEC_WAITING   16384
#define EXEC_ACME_TIME (60 * NS_PER_S) /* a program that sets a record gets so long */

TAILQ_HEAD(exec_runs, exec_run);

struct execs {
	struct exec_runs running;
	struct exec_runs waiting;
	unsigned nrunning;
	unsigned nwaiting;
};

void exec_init(struct parent *p);
void exec_request(struct child *c, const struct ipc_msg *m);
/* Forgets what a child wanted that is gone; NULL: everything. */
void exec_forget(struct parent *p, const struct child *c);
/* Ends all of them and waits for their ends: before this program is replaced. */
void exec_end_all(struct parent *p);

/* --- hooks of virtual IPs (hook.c) ---------------------------------------------------------- */

#define HOOKS_WAITING 64 /* of one virtual IP; webhooks that wait for control */

struct hook;
TAILQ_HEAD(hook_list, hook);

struct hooks {
	struct hook_list list;  /* running and waiting, in the order in which they came */
	struct hook_list posts; /* for webhooks, while control does not run */
	unsigned nposts;
};

void hook_init(struct parent *p);
void hook_request(struct child *c, const struct ipc_msg *m);
/* Hands control what it missed. */
void hook_send_posts(struct child *control);
/* Whether any runs or waits. */
bool hook_busy(const struct parent *p);
/* Ends all of them and waits for their ends. */
void hook_end_all(struct parent *p);

#endif
