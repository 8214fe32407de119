/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent as a whole, for its files: what it consists of, and of its parts those that have no
 * header of their own (identity, order, certs, connections, vips). Everything here runs on its one
 * thread.
 */
#ifndef CORE_PARENT_H
#define CORE_PARENT_H

#include "core/certs.h"
#include "core/child.h"
#include "core/listen.h"
#include "core/node.h"
#include "core/orders.h"
#include "core/paths.h"
#include "core/privilege.h"
#include "core/program.h"
#include "core/reload.h"
#include "core/upgrade.h"

/* --- which node this is (identity.c) -------------------------------------------------------- */

/* Sets c->self. ERR_NOT_FOUND with why where the file has virtual IPs and this machine is none of
 * its nodes. */
int identity_find(const struct parent *p, struct conf *c, char *why, size_t why_size);
/* The node's name on the board, by the committed configuration. */
void identity_publish(const struct parent *p);

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
