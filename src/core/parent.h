/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent's own things, shared by its files (parent, identity, child, supervise, generation,
 * reload, order, vips, program, exec_check, hook, adopt, upgrade, stop). Everything here runs on
 * its one thread.
 */
#ifndef CORE_PARENT_H
#define CORE_PARENT_H

#include <sys/types.h>

#include "core/backoff.h"
#include "core/certs.h"
#include "core/handover.h"
#include "core/listen.h"
#include "core/loader.h"
#include "core/node.h"
#include "core/orders.h"
#include "core/paths.h"
#include "core/privilege.h"
#include "core/role.h"
#include "net/loop.h"

struct parent;
struct child;
struct exec_run;

/* --- configurations (generation.c) ---------------------------------------------------------- */

/* A configuration that is committed or about to be. */
struct generation {
	struct conf *conf;
	int image;
	int certs;       /* the store of certificates; -1: none */
	int certs_files; /* the part of it for check */
	int *logs;       /* access log of each listener; -1: none */
	uint32_t nlogs;
};

/* Makes one of an image, which it takes over: slots on the board, listening sockets, log files,
 * seal. Any error leaves the parent as it was and tells why. */
int generation_new(struct parent *p, int image, struct generation **ret, char *why,
                   size_t why_size);
/* One that an earlier parent had committed: slots and number are in it. */
int generation_adopt(struct parent *p, int image, struct generation **ret);
/* Undoes generation_new: marks the committed one's slots again, closes new sockets. */
void generation_discard(struct parent *p, struct generation *g);
void generation_free(struct generation *g);
/* Finds the user of roles that are started from now on. */
void generation_privilege(struct parent *p);
/* From now on it is the one that counts; the former is freed. */
void generation_commit(struct parent *p, struct generation *g);
/* START, PREPARE or LOGS with the descriptors that the child's role needs. */
int generation_send(struct parent *p, struct child *c, enum ipc_type type, uint32_t id,
                    const struct generation *g);
/* Opens the access logs anew (after rotation) and hands them to the proxies. */
void generation_reopen_logs(struct parent *p);

/* --- which node this is (identity.c) -------------------------------------------------------- */

/* Sets c->self. ERR_NOT_FOUND with why where the file has virtual IPs and this machine is none of
 * its nodes. */
int identity_find(const struct parent *p, struct conf *c, char *why, size_t why_size);
/* The node's name on the board, by the committed configuration. */
void identity_publish(const struct parent *p);

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

/* --- reload (reload.c) ---------------------------------------------------------------------- */

#define RELOAD_ASKERS 64

enum reload_phase {
	RELOAD_IDLE,
	RELOAD_LOADING,
	RELOAD_CERTS, /* certificates of the next configuration are read */
	RELOAD_WAITING,
	RELOAD_PREPARING,
	RELOAD_COMMITTING
};

struct asker {
	uint32_t child; /* serial; 0: a signal */
	uint32_t id;
};

struct askers {
	struct asker v[RELOAD_ASKERS];
	unsigned n;
	bool any;
	bool forced; /* even when nothing changed */
};

struct reload {
	enum reload_phase phase;
	struct helper loader;
	struct loop_io loader_io;
	struct loop_timer timer;
	struct generation *next;
	uint32_t id;
	unsigned step;     /* of the commit: index of a service */
	unsigned attempts; /* disturbed by the end of a role */
	bool committed;
	uint64_t began;
	struct askers now;
	struct askers later;
	struct buf report; /* warnings and changes */
};

/* asker 0: nobody to answer. */
void reload_request(struct parent *p, uint32_t asker, uint32_t id, bool forced);
void reload_prepared(struct child *c, const struct ipc_msg *m);
void reload_committed(struct child *c, uint32_t id);
/* The next configuration has its certificates, or err. */
void reload_has_certs(struct parent *p, int err);
/* A child has ended or has been started: it takes no part in what is going on. */
void reload_disturbed(struct parent *p, const struct child *c, bool died);
void reload_stop(struct parent *p);

/* --- orders (order.c) ----------------------------------------------------------------------- */

#define ORDERS_PENDING 64

struct pending_order {
	struct asker asker;
	uint32_t id; /* towards check; 0: free */
	unsigned count;
};

void order_request(struct child *c, const struct ipc_msg *m);
void order_done(struct child *c, const struct ipc_msg *m);
/* Sends all kept orders to a process of check. */
void order_send_all(struct child *check);
void order_check_died(struct parent *p);

/* Writes the orders; false with why when they would not survive a restart. */
bool order_kept(struct parent *p, char *why, size_t why_size);

/* --- certificates (certs.c, certs_watch.c) -------------------------------------------------- */

#define CERTS_ASKERS 16

struct certs_askers {
	struct asker v[CERTS_ASKERS];
	unsigned n;
};

struct certs_watched;

struct certs_watch {
	struct loop_io io;
	bool on;
	bool stale; /* folders have come or gone */
	struct certs_watched *v;
	unsigned n;
};

struct certs {
	bool on; /* the committed configuration needs certificates */
	struct helper job;
	struct generation *of; /* that the job is for */
	struct loop_io job_io;
	struct loop_timer limit; /* of the job */
	struct loop_timer timer; /* the next look */
	struct certs_watch watch;
	bool again;           /* asked for while it could not be */
	uint32_t id;          /* of the last CERTS */
	uint64_t changed_at;  /* first change that no look has seen; 0: none */
	uint64_t next_due_ms; /* Unix time */
	uint64_t taken_by;    /* until then the proxies have to have it; 0: nobody waits */
	struct certs_askers now, later; /* acme, for what is read now, and by the next look */
	int adopted, adopted_files;
};

/* Has the first store made and waits for it; nothing to do where it has one. OK or why not. */
int certs_first(struct parent *p, struct generation *g, char *why, size_t why_size);
/* Watches from now on. */
void certs_begin(struct parent *p);
/* A source may have changed: looks soon. At once, without waiting for more changes. */
void certs_changed(struct parent *p);
void certs_look(struct parent *p);
/* Has a store made for the next configuration: reload_has_certs() follows. False: it needs none. */
bool certs_prepare(struct parent *p, struct generation *next);
void certs_prepare_stop(struct parent *p);
/* A reload has ended. */
void certs_settled(struct parent *p, bool committed);
/* CERTED of a role, ISSUED of acme. */
void certs_answered(struct child *c, const struct ipc_msg *m);
void certs_issued(struct child *c, const struct ipc_msg *m);
void certs_child_died(struct parent *p);
/* Ends what it does: the node ends, or its program is replaced. */
void certs_end(struct parent *p);
/* A store that a role of an earlier parent holds: true when it is taken. The newest counts. */
bool certs_adopt(struct parent *p, bool files, int fd);
/* The committed configuration gets them. */
void certs_adopted(struct parent *p);
void certs_watch_set(struct parent *p);
void certs_watch_stop(struct parent *p);

/* --- connections that last (connections.c) -------------------------------------------------- */

#define LISTS_PENDING 8
#define LIST_CHILDREN 8 /* proxies that are asked */

struct list_ask {
	struct asker asker; /* nobody: the parent itself, which ends what is open */
	struct ipc_list q;
	uint64_t end_wall_ms; /* then: orders with a time up to that are meant */
	uint32_t id;          /* towards the proxies; 0: free */
	uint64_t until;
	uint32_t children[LIST_CHILDREN]; /* serials of those yet to answer; 0: none */
	struct ipc_listed found;
	int fds[LIST_CHILDREN];
	unsigned nfds;
};

void list_request(struct child *c, const struct ipc_msg *m);
void list_answered(struct child *c, const struct ipc_msg *m);
void list_child_died(struct child *c);
void list_tick(struct parent *p);

/* --- what the role vrrp is asked (vips.c) --------------------------------------------------- */

#define VIPS_ASKS 64

struct vips_ask {
	struct asker asker;
	uint32_t id; /* towards vrrp; 0: free */
	enum ipc_type answer;
	uint64_t until;
};

struct vips {
	struct vips_ask asks[VIPS_ASKS];
};

void vips_switchover(struct child *c, const struct ipc_msg *m);
/* An order for the node as a whole: drain (disable means the same) or ready. */
void vips_order_node(struct child *c, uint32_t id, enum server_order order);
/* Tells a process of vrrp whether the node is drained. */
void vips_send_node(struct child *vrrp);
/* SWITCHED or NODE of vrrp. */
void vips_answered(struct child *c, const struct ipc_msg *m);
void vips_died(struct parent *p);
void vips_tick(struct parent *p);
/* Has all virtual IPs given up; false when there is nobody to do it. */
bool vips_yield(struct parent *p);
/* Whether that is still under way. */
bool vips_yielding(struct parent *p);

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

/* --- taking over, upgrade, end (adopt.c, upgrade.c, stop.c) --------------------------------- */

/* Finds the roles of an earlier parent. Returns their number; board, sockets, children and the
 * committed generation are set from them. */
unsigned adopt_roles(struct parent *p);

enum upgrade_phase {
	UPGRADE_NONE,
	UPGRADE_TEST,
	UPGRADE_HOOKS, /* hooks of virtual IPs run: they end before the program is replaced */
	UPGRADE_OVERLAP,
	UPGRADE_OTHERS
};

struct upgrade {
	enum upgrade_phase phase;
	struct asker asker;
	unsigned step; /* of UPGRADE_OVERLAP: index of a service */
	pid_t pid;     /* of the self-test */
	int pidfd;
	int out; /* what it prints */
	struct loop_io io;
	struct loop_timer timer;
	char binary[PATHS_DIR];
};

/* Where this program was started from: found before anything changes the folder. */
void upgrade_init(struct parent *p);
void upgrade_request(struct child *c, uint32_t id);
/* After the exec, or the adoption of another version's roles: replaces them one by one. */
void upgrade_replace(struct parent *p, struct asker asker);
void upgrade_child_ready(struct child *c);
void upgrade_child_died(struct child *c);
void upgrade_hooks_ended(struct parent *p);
/* The id in the environment of an executed parent; unset by the call. */
bool upgrade_resumed(uint32_t *ret_id, int *ret_lock);

struct stop {
	bool begun;
	bool yielding; /* virtual IPs are being given up */
	bool others;   /* proxies have ended, the rest was told */
	struct loop_timer yield;
	struct loop_timer sockets;
	struct loop_timer hooks;
};

void stop_begin(struct parent *p, const char *why);
void stop_at_once(struct parent *p);
/* vrrp holds no virtual IP any more. */
void stop_yielded(struct child *c);
void stop_child_died(struct parent *p);

/* --- the parent (parent.c) ------------------------------------------------------------------ */

struct parent {
	struct loop *loop;
	const struct node_options *options;
	struct paths paths;
	struct privilege privilege;
	int lock;
	struct board *board;
	int board_fd;
	struct generation *cur;
	struct conf *former; /* of the generation before it; NULL: none */
	struct listen_set sockets;
	int control_socket;
	int notify_fd; /* eventfd between proxy and check */
	int states_fd; /* eventfd between check and vrrp */
	int ping[2];   /* ICMP sockets of check, IPv4 and IPv6; -1: not needed yet */
	struct service services[BOARD_ROLES];
	unsigned nservices;
	struct children children;
	uint32_t serial;
	uint32_t ids;
	bool holding;    /* proxies wait for check's first verdicts */
	bool told_ready; /* systemd knows */
	bool replace;    /* roles of another version were adopted */
	bool adopted;    /* roles of an earlier parent were */
	bool mixed;      /* and they do not all have the same configuration */
	struct asker replace_asker;
	struct loop_timer hold;
	struct loop_timer tick;
	struct loop_timer watchdog;
	uint64_t ticked;
	struct loop_io signal_io;
	struct reload reload;
	struct orders *orders;
	struct list_ask lists[LISTS_PENDING];
	struct pending_order pending[ORDERS_PENDING];
	struct certs certs;
	struct vips vips;
	struct execs execs;
	struct hooks hooks;
	struct upgrade upgrade;
	struct stop stop;
};

/* A message of a child. */
void parent_message(struct child *c, struct ipc_msg *m);
/* Signals, timers; then runs until the node has ended. OK or ERR_SYSTEM. */
int parent_run(struct parent *p);

#endif
