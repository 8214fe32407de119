/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages between the parent and its roles: one packet each on a SOCK_SEQPACKET pair, with
 * descriptors where needed. One row for each type: who sends it and what it carries.
 */
#ifndef IPC_MSG_H
#define IPC_MSG_H

#include "base/str.h"

#define IPC_MSG_ROWS(X) \
	X(HELLO, "role -> parent: pid, role name; after adoption too") \
	X(START, "parent -> role: first configuration; fds: image, board, then as listed") \
	X(READY, "role -> parent: it does its work") \
	X(PREPARE, "parent -> role: next configuration; fds as START") \
	X(MORE_FDS, "parent -> role: further descriptors of the START or PREPARE before it") \
	X(PREPARED, "role -> parent: err, why") \
	X(COMMIT, "parent -> role: the prepared configuration counts from now on") \
	X(COMMITTED, "role -> parent: done") \
	X(ABORT, "parent -> role: forget the prepared configuration") \
	X(DRAIN, "parent -> role: finish what is open, then end; role -> parent: may I?") \
	X(PULSE, "role -> parent: alive; every second") \
	X(LOGS, "parent -> proxy: reopened access logs; fds as listed") \
	X(ORDER, "control -> parent -> check: ready, drain or disable of a server or pool") \
	X(ORDERED, "check -> parent -> control: err, why") \
	X(RELOAD, "control -> parent: reload the file") \
	X(RELOADED, "parent -> control: err, text") \
	X(UPGRADE, "control -> parent: execute the new binary") \
	X(UPGRADED, "parent -> control: err, text") \
	X(EXEC, "check, acme -> parent: run the exec check of a server, or set a record") \
	X(EXECUTED, "parent -> check, acme: how it ended") \
	X(SWITCHOVER, "control -> parent -> vrrp: give a virtual IP up, or take it") \
	X(SWITCHED, "vrrp -> parent -> control: err, text") \
	X(NODE, "parent -> vrrp: whether the node is drained; vrrp -> parent: err, text") \
	X(YIELD, "parent -> vrrp: give up all virtual IPs, the node ends") \
	X(YIELDED, "vrrp -> parent: nothing is held any more") \
	X(HOOK, "vrrp -> parent: run the hooks of a transition; parent -> control: the webhook") \
	X(CERTS, "parent -> proxy, check: the certificates have changed; fd: the store") \
	X(CERTED, "proxy, check -> parent: err, why") \
	X(ISSUED, "acme -> parent: its folder has changed; parent -> acme: the proxies have it") \
	X(LIST, \
	  "control -> parent -> proxy: which connections that last are open; parent: end them") \
	X(LISTED, "proxy -> parent -> control: counts; fds: rows of JSON in memory files")

enum ipc_type {
#define IPC_ENUM(name, doc) IPC_##name,
	IPC_MSG_ROWS(IPC_ENUM)
#undef IPC_ENUM
	    IPC_TYPES
};

#define IPC_MAX_PAYLOAD 16384
#define IPC_MAX_FDS     64 /* in one packet */

struct ipc_msg {
	uint32_t type;   /* enum ipc_type */
	uint32_t id;     /* of the request; its answer repeats it */
	uint32_t origin; /* for forwarding: whose request it was */
	uint32_t len;    /* bytes of payload */
	int nfds;
	int fds[IPC_MAX_FDS];
	char payload[IPC_MAX_PAYLOAD];
};

const char *ipc_type_name(uint32_t type);
/* OK, ERR_AGAIN (the other side does not read), ERR_CLOSED, ERR_SYSTEM. */
int ipc_send(int fd, enum ipc_type type, uint32_t id, const void *payload, size_t len,
             const int *fds, int nfds);
/* OK, ERR_AGAIN, ERR_CLOSED, ERR_SYNTAX (a packet that is no message), ERR_SYSTEM. The
 * descriptors are the caller's. */
int ipc_recv(int fd, struct ipc_msg *m);
/* Closes descriptors that nobody took. */
void ipc_msg_close(struct ipc_msg *m);

/* Copies a payload of exactly that size; false where it is of another. */
bool ipc_payload(const struct ipc_msg *m, void *ret, size_t size);

/* As the id of DRAIN to a role that a signal told to end: not yet, it comes in its turn. */
#define IPC_DRAIN_LATER 1

/* ORDER's payload. */
struct ipc_order {
	uint32_t order;   /* enum server_order */
	char target[256]; /* "pool/server", "pool" or "pool/ *" */
	/* DRAIN of servers: when what is still open on them is ended, Unix time; 0: never. */
	uint64_t end_wall_ms;
};

#define IPC_END_MAX_MS (7 * 24 * 3600 * 1000ULL) /* from now */

/* ORDERED, PREPARED, RELOADED, UPGRADED: err and a text that ends with NUL. Long texts are cut. */
struct ipc_result {
	int32_t err;
	uint32_t count; /* ORDERED: servers touched */
	char text[8192];
};

/* Sends a result with only as much of its text as there is; a long one is cut. text may be NULL. */
int ipc_send_result(int fd, enum ipc_type type, uint32_t id, int err, uint32_t count,
                    const char *text);
/* Reads such a payload; false where it is none. The text always ends with NUL. */
bool ipc_result(const struct ipc_msg *m, struct ipc_result *ret);

/* SWITCHOVER. */
struct ipc_switchover {
	char vip[64];
	char to[64]; /* node; "": the best other one */
};

/* LIST: connections that last, of each proxy; or, with `end`, all that is open on a server is
 * ended: the parent's to say. */
#define IPC_LIST_MAX 10000 /* rows of one proxy process */
struct ipc_list {
	char pool[64];     /* "": any */
	char server[128];  /* "pool/server"; "": any of the pool's */
	char listener[64]; /* "": any */
	uint64_t older_ns; /* than that */
	uint32_t end;      /* 1: ends what it finds */
};

/* LISTED, with a memory file each: rows as JSON objects with a comma between two. */
struct ipc_listed {
	uint32_t rows;   /* in the files */
	uint32_t found;  /* there were so many */
	uint32_t silent; /* proxies that did not answer, or could not do all of it */
};

/* NODE. Orders for the node itself travel as ORDER with the target IPC_NODE_TARGET. */
#define IPC_NODE_TARGET "@node"
struct ipc_node {
	uint32_t drained;
};

/* HOOK: a transition of a virtual IP. States are words. */
struct ipc_hook {
	uint64_t number; /* of this node's transitions of that virtual IP, 1 … */
	uint64_t wall_ms;
	char vip[64];
	char from[16];
	char to[16];
	char reason[160];
	char addresses[256];
	char interface[16];
	uint32_t priority;
	uint32_t zero;
};

/* EXEC and EXECUTED. */
struct ipc_exec {
	char server[256]; /* id of the server whose exec check is to run */
	int32_t status;   /* exit status; -1: not run, ended by a signal or by its time limit */
	char output[256]; /* first line of its output, or why it did not run */
};

/* EXEC of acme: the program of an issuer that sets records in the DNS. The answer is an ipc_exec.
 */
struct ipc_acme_exec {
	char issuer[64];
	char name[320];  /* of the record: "_acme-challenge.shop.test" */
	char value[128]; /* its text */
	uint32_t remove; /* 0: add */
};

#endif
