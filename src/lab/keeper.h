/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper: the first process of the lab's process id namespace, which holds the hosts'
 * namespaces, starts and reaps their programs and answers on lab.sock. One thread. What its files
 * share.
 */
#ifndef LAB_KEEPER_H
#define LAB_KEEPER_H

#include <limits.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "lab/dir.h"
#include "lab/plan.h"
#include "net/loop.h"
#include "net/netlink.h"

struct keeper;

/* What `lab up` started in a host: the daemon or a test server. */
struct program {
	const struct lab_whoami_plan *whoami; /* NULL: the daemon */
	pid_t pid;                            /* 0: it does not run */
	char exit[48];                        /* how it ended last; "" never */
};

struct host {
	struct keeper *keeper;
	const struct lab_host *plan;
	int net, mnt, uts;                  /* its namespaces */
	uint64_t net_id[2];                 /* device and inode of the first */
	uint32_t ports[LAB_MAX_INTERFACES]; /* indices of the bridge's ends */
	struct program *programs;
	unsigned nprograms;
	bool cut, frozen;
	struct loop_io api; /* listening socket on the machine's loopback; fd < 0: none */
	uint16_t api_port;
};

struct asker;

struct keeper {
	const struct lab_options *options;
	struct lab_plan plan;
	char dir[LAB_DIR], name[LAB_NAME];
	char conf[PATH_MAX], binary[PATH_MAX], cwd[PATH_MAX];
	struct loop *loop;
	struct host *hosts;
	struct program *programs; /* all hosts' */
	struct netlink *net;
	uint32_t bridge;
	uint8_t *blocked; /* [from * nhosts + to] */
	struct nft_ctx *nft;
	int ns_net; /* the keeper's own */
	int lock;   /* of the folder */
	struct loop_io up_io, signal_io, sock_io;
	struct loop_timer end_timer;
	uint64_t end_ns;   /* when daemons that still run are killed; 0: the lab does not end */
	unsigned forwards; /* connections to APIs */
	LIST_HEAD(, asker) askers;
};

/* What clone made starts here; never returns. up: a socket to `lab up`: the keeper writes "ok" or
 * why it failed, and lives until the other end closes unless it was sent "stay". */
void lab_keeper_main(struct keeper *k, int up) __attribute__((noreturn));
/* Notes children that have ended. */
void lab_keeper_reap(struct keeper *k);
/* Ends the lab in order. */
void lab_keeper_end(struct keeper *k, const char *reason);

/* build.c: the bridge, the hosts' namespaces and links. OK or an error with why. */
int lab_build(struct keeper *k, char *why, size_t why_size);

/* private.c: in a node's mount namespace: puts folders of its own over those of the plan. What
 * cannot be done is said on standard error. */
void lab_private_folders(const struct keeper *k, const struct lab_host *h);

/* program.c */
/* In a child: becomes a process of the host: namespaces, own session, default signals. Ends the
 * process with 126 where that fails. */
void lab_program_enter(const struct host *h, const char *cwd);
/* Starts what does not run of a host, or its test servers only; OK or ERR_SYSTEM with why. */
int lab_program_start(struct host *h, bool servers_only, char *why, size_t why_size);
/* Waits until the test servers of all hosts accept connections; ERR_TIMEOUT with why. */
int lab_program_wait_whoamis(struct keeper *k, char *why, size_t why_size);
/* Fills the table of what runs where. OK or ERR_NOMEM. */
int lab_program_plan(struct keeper *k);
/* A socket that connects in the host's namespace; a descriptor or ERR_SYSTEM. */
int lab_program_connect(struct host *h, const struct net_addr *a, bool *ret_done);
struct program *lab_program_of_pid(struct keeper *k, pid_t pid);
/* "exit status 1", "killed by signal 9 (KILL)". */
void lab_program_describe_exit(int status, char *out, size_t size);

/* procs.c: every process of a host, by its network namespace. Sends the signal until none is left
 * that it has not taken effect on: ended (SIGKILL), stopped (SIGSTOP). *ret_ns: when the first
 * round was sent. OK or ERR_TIMEOUT. */
int lab_procs_signal_all(struct keeper *k, const struct host *h, int signal, uint64_t *ret_ns);
/* The same to the host's processes called "holdfast: ROLE", once. How many there were. */
unsigned lab_procs_signal_role(const struct host *h, const char *role, int signal);

/* fault.c: *ret_ns: when it was in force. OK or an error with why. */
int lab_fault(struct keeper *k, const json_t *request, uint64_t *ret_ns, char *why,
              size_t why_size);

/* serve.c */
int lab_serve_open(struct keeper *k, char *why, size_t why_size);
/* A program that `exec` started has ended. True where it was one. */
bool lab_serve_exited(struct keeper *k, pid_t pid, int status);

/* forward.c: the API of a node on the machine's loopback. */
int lab_forward_open(struct host *h);

#endif
