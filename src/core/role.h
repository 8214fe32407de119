/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A role: one process of a node. The parent executes the binary again for each and hands it its
 * configuration and descriptors; the harness (role.c) drops privileges, runs the loop, answers the
 * parent and calls the role's functions. All of them run on the role's main thread.
 */
#ifndef CORE_ROLE_H
#define CORE_ROLE_H

#include "conf/conf.h"
#include "ipc/msg.h"
#include "net/loop.h"
#include "stat/board.h"

/* Descriptors that come with a configuration. */
enum role_fd_kind {
	ROLE_FD_LISTEN,     /* socket of conf->listeners[index].bind[sub]; to proxy */
	ROLE_FD_ACCESS_LOG, /* file of conf->listeners[index].access_log; to proxy */
	ROLE_FD_CONTROL,    /* TCP listening socket of control.bind; to control */
	ROLE_FD_SOCKET,     /* listening control socket; to control */
	ROLE_FD_NOTIFY,     /* eventfd on which proxy tells check of passive failures; to both */
	ROLE_FD_CERTS,  /* sealed store of certificates and keys (tls/store.h); to proxy, check */
	ROLE_FD_STATES, /* eventfd on which check tells vrrp that a state changed; to both */
	ROLE_FD_PING,   /* ICMP socket, sub 4 or 6; to check where it has ping checks */
};

struct role_fd {
	uint16_t kind;
	uint16_t sub;
	uint32_t index;
	int fd;
};

/* A configuration as a role gets it. One that is aborted or was refused in prepare is the
 * harness's to release in any case. Owned by the harness: valid until the next commit and, for
 * a role with keeps_conf, until it calls role_release. The fds are the role's to use, and the
 * harness's to close, at the same time. */
struct role_conf {
	struct conf *conf;
	struct role_fd *fds;
	unsigned nfds;
	int image_fd;   /* the sealed file that conf is a mapping of */
	unsigned users; /* harness's count */
};

struct role {
	const struct role_ops *ops;
	struct loop *loop;
	struct board *board;
	const struct role_conf *conf; /* committed */
	unsigned instance;            /* of the proxy, 0 … BOARD_INSTANCES - 1 */
	int parent;                   /* the pair; -1 while the parent is dead */
	const char *state_dir;
	void *data; /* the role's own */
};

struct role_ops {
	const char *name;      /* "proxy" */
	bool keeps_conf;       /* it calls role_release for each configuration it no longer uses */
	bool realtime;         /* runs before all others where that is permitted */
	bool overlaps;         /* on upgrade its successor is made ready before it ends */
	uint64_t capabilities; /* that it keeps, bits as in capabilities(7); 0: none */
	const char
	    *folder; /* in the state folder, its own: the parent makes it, 0700; NULL: none */
	/* Whether a node with this configuration needs it; NULL: always. One that a reload no
	 * longer needs commits the configuration that does without it, then gets DRAIN. Parent. */
	bool (*wanted)(const struct conf *c);
	/* Tries what this machine would lack for it as node `self` (CONF_NO_NODE: none): a line
	 * each, with what follows from it. For `holdfast check`, in any process; may be NULL. */
	void (*lacks)(const struct conf *c, uint32_t self, struct buf *out);
	/* Set up with the first configuration; calls role_ready() when it does its work, now or
	 * later. An error ends the process with why as its reason. */
	int (*start)(struct role *r, const struct role_conf *first, char *why, size_t why_size);
	/* Get ready for the next configuration without touching the present one. OK, an error with
	 * why, or ERR_AGAIN: role_prepared() follows later. */
	int (*prepare)(struct role *r, const struct role_conf *next, char *why, size_t why_size);
	/* The prepared configuration, now r->conf, counts. Cannot fail. Traffic after the return
	 * sees it; afterwards the parent shuts down listening sockets that are no longer in it. */
	void (*commit)(struct role *r);
	void (*abort)(struct role *r);
	/* Finish what is open; call role_exit() when done. Unless it was told before that the node
	 * ends (YIELD), or has nothing left in its configuration, a successor takes its place: what
	 * both hold it must leave as it is. The successor may be running by then: until that is
	 * ready the board names the pid of the former process, as long as that lives. The parent
	 * kills after its time. The harness closes the listening sockets of r->conf after the
	 * return. */
	void (*drain)(struct role *r);
	/* Any other message; may be NULL. LOGS: r->conf's access logs have been replaced by
	 * reopened files under the same numbers. Descriptors left in m are closed after the return.
	 */
	void (*message)(struct role *r, struct ipc_msg *m);
};

void role_ready(struct role *r);
void role_prepared(struct role *r, int err, const char *why);
void role_exit(struct role *r);
/* Sends to the parent; an error when it is dead or does not read. */
int role_send(struct role *r, enum ipc_type type, uint32_t id, const void *payload, size_t len);
/* The descriptor of that kind, index and sub; -1 when there is none. */
int role_conf_fd(const struct role_conf *c, enum role_fd_kind kind, unsigned index, unsigned sub);
void role_release(struct role *r, const struct role_conf *c);

/* The roles of this program, ends with NULL; defined in src/main.c. */
extern const struct role_ops *const role_table[];
const struct role_ops *role_find(const char *name);

/* main() of a re-executed role: argv as the parent made them. Returns the exit status. */
int role_main(const char *name, int argc, char **argv);

#endif
