/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the role check holds: sets of pools and servers, one in force and at most one in the making.
 * A server that both have is one object, so that its state, its timers and its connection live on.
 * Main thread of the role check only; private to this folder.
 */
#ifndef CHECK_SERVER_H
#define CHECK_SERVER_H

#include "check/damping.h"
#include "check/probe.h"
#include "core/role.h"
#include "tls/store.h"

struct check;
struct check_server;

struct check_pool {
	const struct conf_pool *conf;
	bool named; /* a named check: its one server takes neither requests nor orders */
	struct probe_text text;
	struct tls_client *tls;        /* NULL: in clear text */
	uint64_t tls_key;              /* of its options and files: equal ones do not differ */
	struct check_server **servers; /* conf->nservers of them */
	/* Of a pool in force: how many of its servers are … */
	uint32_t up;
	uint32_t unproved;
	uint32_t ejected;
	bool dead;         /* all are known to be down; logged */
	uint64_t held_log; /* last time the ejection limit was logged */
	bool waiting;      /* in the making: has no proven server yet */
};

#define CHECK_SERVER_MAGIC 0x73727672

struct check_server {
	uint32_t magic;
	bool first; /* the next probe is its first */
	bool asked; /* asked for a probe while one was running */
	struct check *check;
	struct check_pool *pool; /* of the newest set that is in force, or its own's */
	const struct conf_server *conf;
	struct board_server *board; /* NULL until its set is in force: nothing is published */
	struct damp damp;
	struct probe probe;
	struct loop_timer timer; /* next probe */
	struct loop_timer tick;  /* next DAMP_TICK */
};

struct check_set {
	const struct conf *conf;
	struct arena arena;
	struct check_pool *pools;
	uint32_t npools; /* that requests go to: the first of them */
	uint32_t nall;   /* with the named checks, which follow */
	uint32_t nservers;
};

/* The role. */
struct check {
	struct role *role;
	struct probe_env env;
	struct check_set *now;
	struct check_set *next;                          /* while a reload is prepared */
	struct check_server *by_slot[BOARD_MAX_SERVERS]; /* of the set in force */
	uint32_t unproved; /* servers in force without a first verdict */
	bool hurried;      /* not ready yet, and one proven server in each pool is enough */
	bool ready;
	bool preparing;             /* role_prepared() is owed */
	struct loop_timer patience; /* for first verdicts: of the start, of a reload */
	struct loop_task progress;  /* looks whether they are all in */
	struct loop_io notify;
	int states;             /* eventfd of those who must know of a change at once; -1: nobody */
	struct loop_timer scan; /* for live traffic's reports */
	uint64_t scanned;       /* when it last was */
	uint64_t local_log;     /* last complaint about local resources */
};

/* --- server.c ------------------------------------------------------------------------------- */

/* A server of a pool, not probed yet and not on the board; NULL when out of memory. */
struct check_server *check_server_new(struct check *c, struct check_pool *pool,
                                      const struct conf_server *conf, bool warm);
void check_server_free(struct check_server *s);
/* Starts its probes; n: its place among those that start together. known: its state was kept. */
void check_server_begin(struct check_server *s, uint32_t n, bool known);
/* It belongs to another set's pool from now on. */
void check_server_move(struct check_server *s, struct check_pool *pool,
                       const struct conf_server *conf);
/* Its pool speaks TLS with something else from now on. */
void check_server_tls(struct check_server *s);
/* One step of the damping, published; starts timers as needed. */
void check_server_step(struct check_server *s, const struct damp_event *e);

/* --- set.c ---------------------------------------------------------------------------------- */

/* The set of a configuration: servers that the one in force has too are shared, others are made
 * (at a start that finds states on the board, with those). OK, or an error with why. */
int check_set_new(struct check *c, const struct role_conf *conf, struct check_set **ret, char *why,
                  size_t why_size);
/* Starts the probes of the servers that are only in this set. */
void check_set_begin(struct check *c, struct check_set *set);
/* Puts a set into force and frees the one before it. */
void check_set_commit(struct check *c, struct check_set *set);
/* Frees a set and those of its servers that are not in force. */
void check_set_free(struct check *c, struct check_set *set);
/* Marks the pools that would have no proven server; how many still wait for one. */
uint32_t check_set_wait(struct check_set *set);
uint32_t check_set_waiting(struct check_set *set);

/* Servers of a pool that take new requests: up and not taken out by an order. */
uint32_t check_pool_in_service(const struct check_pool *pool);

/* --- tls.c ---------------------------------------------------------------------------------- */

/* The store of certificates that comes with a configuration, mapped; NULL: there is none. */
struct store *check_tls_store(const struct role_conf *conf);
/* Makes what a pool's checks speak TLS with. OK, or an error with why. */
int check_tls_pool(struct check_pool *pool, const struct store *store, char *why, size_t why_size);
/* IPC_CERTS → IPC_CERTED: what is new in files counts from the next probe on. */
void check_tls_certs(struct check *c, const struct ipc_msg *m);

/* --- publish.c ------------------------------------------------------------------------------ */

/* Whom to tell of changes from now on. */
void check_publish_to(struct check *c, const struct role_conf *conf);
/* THE function that makes a change of state visible: pool's counts, board, epoch and log line. */
void check_publish(struct check_server *s, enum damp_change change, const struct damp *before);
/* A server comes into force: its state as it is, without a log line where nothing is new. */
void check_publish_all(struct check_server *s, struct board_server *board);
/* One probe's result on the board: time, duration, counters. */
void check_publish_probe(struct check_server *s, const struct probe_result *result);

/* --- passive.c, orders.c -------------------------------------------------------------------- */

/* Looks for servers that live traffic reports and ejects them within their pools' limits. */
void check_passive_scan(struct check *c);
/* Listens on the proxies' notifications of a configuration. */
void check_passive_listen(struct check *c, const struct role_conf *conf);
/* IPC_ORDER → IPC_ORDERED. */
void check_order(struct check *c, const struct ipc_msg *m);

#endif
