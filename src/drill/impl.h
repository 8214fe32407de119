/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the drill: what a scenario is and what it may use. The drill's process, main thread. */
#ifndef DRILL_IMPL_H
#define DRILL_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "drill/drill.h"
#include "lab/lab.h"

struct drill;

/* --- scenarios ------------------------------------------------------------------------------ */

struct drill_scenario {
	const char *name;  /* "node-death" */
	const char *what;  /* one line for people */
	const char *means; /* why it matters to users, for the report */
	bool lab_only;
	bool harmless; /* allowed in production without --i-know */
	/* Where the file has none. outage grows by so many advertisement intervals. */
	struct conf_slo_limits limits;
	unsigned outage_adverts;
	bool outage_checks; /* and by the time in which the checks find a dead server */
	bool none_refused;  /* a refused connection is a limit missed */
	bool keeps_streams; /* so is a broken download or WebSocket */
	bool splits;        /* that two nodes hold an address is its purpose: counts after it */
	unsigned expected_status; /* a good answer as well */
	/* Injects the fault; returns when it is in force. OK, or an error with drill_fail().
	 * ERR_UNSUPPORTED: not with this file or here: skipped. */
	int (*inject)(struct drill *d);
	/* Takes it back, so that all can be well again; may be NULL. */
	int (*mend)(struct drill *d);
	/* Further conditions of "all is well"; may be NULL. */
	bool (*well)(struct drill *d);
	uint64_t watch_ns; /* how long the fault stays before it is mended; 0: 3 s */
};

#define DRILL_NO_LIMIT UINT64_MAX

extern const struct drill_scenario *const drill_scenarios[]; /* ends with NULL */

/* Says why; returns err. */
int drill_fail(struct drill *d, int err, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The fault is in force now; the first time counts. */
void drill_fault_now(struct drill *d);
/* A fault of the lab (lab.h): key and value may be NULL. */
int drill_fault(struct drill *d, const char *host, const char *fault, const char *key,
                const char *value);
/* Starts a node or server again; waits while what was there is still ending. */
int drill_start(struct drill *d, const char *host, uint64_t limit_ns);
/* A command of holdfast at a node: its exit status, -1 with drill_fail(). out: may be NULL. */
int drill_order(struct drill *d, unsigned node, const char *const *argv, struct buf *out);
/* The node that holds the address that is asked; -1: nobody or several. */
int drill_holder(struct drill *d);
/* Which node was active at the fault's time, and another one; -1 with drill_fail(). */
int drill_active(struct drill *d);
int drill_standby(struct drill *d);
const char *drill_node_name(const struct drill *d, unsigned node);
void drill_sleep(uint64_t ns);

/* --- processes ------------------------------------------------------------------------------ */

struct drill_proc { /* a program in a host or here, whose output is read from memory */
	pthread_t thread;
	bool started;
	_Atomic bool done;
	int status;                  /* its exit status, when done; -1: could not be run */
	int in;                      /* it is told to end by closing this */
	int out;                     /* memory file */
	char lab[LAB_DIR], host[64]; /* host "": here */
	char *argv[24];
	char why[256];
};

/* OK, ERR_NOMEM, ERR_SYSTEM. */
int drill_proc_start(struct drill_proc *p, const char *lab, const char *host,
                     const char *const *argv);
/* Tells it to end and waits; whether it has ended in time. Its output stays readable. */
bool drill_proc_stop(struct drill_proc *p, uint64_t limit_ns);
/* What it has written so far, whole. */
int drill_proc_read(const struct drill_proc *p, struct buf *out);
void drill_proc_free(struct drill_proc *p);
/* Runs a program here to its end, for at most so long: exit status, or -1. Output to out. */
int drill_command(const char *const *argv, uint64_t limit_ns, struct buf *out);

/* --- the drill ------------------------------------------------------------------------------ */

struct drill_node {
	char name[CONF_MAX_NAME + 1];
	char socket[128];
	struct drill_proc watch;
	bool down; /* killed or stopped by us: to be started again */
};

struct drill_server { /* of the pool that is asked, in a host of its own */
	char id[2 * CONF_MAX_NAME + 2];
	char host[64];
	bool backup, down;
};

struct drill {
	const struct drill_options *o;
	struct conf_loaded *loaded;
	const struct conf *conf;
	bool in_lab;
	pid_t guard; /* takes our own lab down when we end; 0: not ours */
	int guard_fd;
	char lab[LAB_DIR];
	char dir[64];    /* own: the copy of the file that a reload changes; "" none */
	char change[96]; /* that changed file; "" none */
	char binary[4096];
	struct drill_node nodes[CONF_MAX_NODES];
	unsigned nnodes;
	struct drill_server servers[64];
	unsigned nservers, pool_servers; /* those in hosts of their own; all of the pool */
	uint32_t vip;                    /* that is asked; conf->nvips: none */
	uint32_t pool;
	char client_host[64]; /* of the lab; "": this machine */
	char host[280], path[512], target[640];
	struct drill_client_options client;
	unsigned up; /* servers that were up before, as all nodes see them together */
	unsigned changes;
	/* the scenario in work */
	const struct drill_scenario *scenario;
	struct drill_result *r;
	struct drill_proc client_proc;
	struct drill_event *extra; /* what the drill knows of holders by itself */
	size_t nextra;
	int active;
	pid_t victim; /* a process that was killed; 0: none yet */
	uint64_t fault_ns, mend_ns;
	char why[512];
};

#define DRILL_POLL_NS (50 * NS_PER_MS) /* between two looks at what is waited for */

/* run.c: a line of progress; last: it stays. */
void drill_say(struct drill *d, bool last, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* perform.c: one drill, from being well to being well; what comes of it, or why it could not be
 * run, is in r. */
void drill_perform(struct drill *d, const struct drill_scenario *s, struct drill_result *r);
/* asking.c: the client as a process. OK, or an error with d->why. */
int drill_client_start(struct drill *d);
/* Waits for its first good answers, and for some time more. */
int drill_client_warm(struct drill *d);
/* Whether it has ended by itself, which is a failure: d->why says how. */
bool drill_client_has_ended(struct drill *d);
/* The download ends by itself, well or not. */
void drill_client_wait_download(struct drill *d);
/* Ends it and takes what it saw over to the result. */
int drill_client_collect(struct drill *d);
/* target.c: finds out what to ask, and builds or finds the lab. OK, or an error with d->why. */
int drill_target(struct drill *d);
void drill_target_close(struct drill *d);
/* Writes the part of the file that is the drill's to change: a route for that host. */
int drill_change(struct drill *d, const char *host);
/* state.c: what the nodes and observers say. */
int drill_observe(struct drill *d);
void drill_observe_end(struct drill *d);
/* All notes so far, in order of time; the caller frees. */
struct drill_event *drill_events(struct drill *d, size_t *ret_n);
/* An own note: that node is dead, its addresses with it. */
void drill_event_down(struct drill *d, unsigned node, uint64_t at);
/* Whether all is well; if not, d->why says what is missing. */
bool drill_well(struct drill *d);

#endif
