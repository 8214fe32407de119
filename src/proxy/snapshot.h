/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all threads of a proxy share of one configuration (struct snapshot, immutable) and what one
 * thread makes of it (struct view: its pools, built when first used). A request keeps the view it
 * began with; the last one that goes lets the configuration go.
 */
#ifndef PROXY_SNAPSHOT_H
#define PROXY_SNAPSHOT_H

#include "core/role.h"
#include "proxy/balance.h"
#include "proxy/certs.h"
#include "proxy/retry_budget.h"
#include "proxy/route.h"

struct proxy;
struct thread;
struct server;
struct exchange;

/* A listening socket; it lives as long as a configuration names its address. */
struct listen_socket {
	int fd;
	bool kept;         /* the configuration before has it too: fd is shared until the commit */
	uint64_t inode;    /* tells whether two descriptors are one socket */
	uint32_t listener; /* index in conf->listeners */
	uint16_t port;     /* 0: unix */
	uint16_t sub;      /* index in its `bind` */
};

struct snapshot {
	struct proxy *proxy;
	const struct role_conf *rc;
	const struct conf *conf;
	struct route_table *routes;
	struct conf_timeouts *timeouts; /* by route index: the route's, else the pool's; 0: unset */
	const struct conf_server **by_slot;
	uint64_t *tls_keys; /* by slot: certs_pool_key */
	struct certs
	    *_Atomic certs; /* replaced by the main thread, which then waits for all threads */
	uint32_t slots;
	struct listen_socket *sockets;
	unsigned nsockets;
	uint32_t max_connections;
	unsigned threads;       /* that this configuration wants */
	bool committed;         /* rc is ours to release */
	_Atomic unsigned users; /* views and the proxy itself */
};

/* NULL with why when memory or a descriptor is missing. `old` (may be NULL) gives its sockets. */
struct snapshot *snapshot_new(struct proxy *p, const struct role_conf *rc, struct snapshot *old,
                              char *why, size_t why_size);
/* Drops one use; the last frees it. Any thread. */
void snapshot_drop(struct snapshot *s);
/* The new one counts: sockets that both have are its own now; the others of the old are closed.
 * Main thread, when every worker has taken the new one over. */
void snapshot_replace(struct snapshot *old, struct snapshot *s);
/* The prepared one is given up: sockets that the old has too stay the old one's. */
void snapshot_abandon(struct snapshot *s);
/* Closes its sockets: this proxy takes no new connections. */
void snapshot_close_sockets(struct snapshot *s);

/* What requests of all configurations share about a pool, on one thread. */
struct pool_shared {
	struct retry_budget budget;
	TAILQ_ENTRY(pool_shared) link;  /* thread's queues, while somebody waits */
	TAILQ_HEAD(, exchange) waiting; /* for a free connection, first come first */
	unsigned nwaiting;
};

/* A pool of one configuration on one thread. */
struct pool {
	const struct conf_pool *conf;
	struct pool_shared *shared;
	struct stat_block *stat;
	struct balance *balance;
	struct tls_client *tls;  /* NULL: clear text */
	struct server **servers; /* in the order of conf->servers */
	uint16_t *weights;
	uint64_t epoch; /* of the states that the weights were made of */
	unsigned eligible;
	bool panic;
};

struct view {
	struct snapshot *snap;
	struct thread *thread;
	unsigned users;       /* requests and listeners */
	struct pool *pools[]; /* by index; NULL until used */
};

struct view *view_new(struct thread *t, struct snapshot *s);
void view_use(struct view *v);
void view_drop(struct view *v);
/* The pool, built when first used, its weights up to date. NULL when out of memory. */
struct pool *view_pool(struct view *v, uint32_t index);
/* New certificates: new connections to servers use them. */
void view_certs(struct view *v);

#endif
