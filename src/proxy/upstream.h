/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Servers and the connections to them, on one thread: kept open and reused across clients, counted
 * against limits that all threads share.
 */
#ifndef PROXY_UPSTREAM_H
#define PROXY_UPSTREAM_H

#include "net/stream.h"
#include "proxy/thread.h"
#include "stat/fail.h"
#include "tls/tls.h"

#define UPSTREAM_MAGIC 0x0b57a3e1u

TAILQ_HEAD(upstream_list, upstream);
TAILQ_HEAD(up_conn_list, up_conn);
TAILQ_HEAD(up_stream_list, up_stream);

struct server {
	TAILQ_ENTRY(server) link;
	struct thread *thread;
	uint32_t slot;
	bool retired; /* no longer configured so: freed with its last connection */
	struct net_addr address;
	uint64_t tls_key;           /* of certs_pool_key: how it is spoken to */
	uint64_t tls_client;        /* tls_client_id: connections of another one are not kept */
	struct tls_session session; /* the last one with it, to be resumed */
	char tls_why[160];          /* why its last TLS handshake failed */
	uint64_t tls_said;          /* when the log was last told of that */
	struct board_server *board;
	struct board_live *live;
	struct stat_block *stat;
	struct upstream_list idle; /* the latest used first */
	struct upstream_list busy;
	unsigned nidle;
	unsigned users; /* connections and requests */
	/* HTTP/2; see back_http2.h */
	struct up_conn_list conns;     /* those that take more requests first */
	struct up_stream_list waiting; /* for one that does */
	unsigned nconns, nwaiting;
	unsigned nopening;   /* connections that are not open yet */
	unsigned up_streams; /* what the last one allowed; 0: not known */
	uint32_t up_round;   /* of waiting: grows with each connection that could not be made */
	char id[];           /* "pool/server"; its slot is another's when it has been retired */
};

struct upstream {
	uint32_t magic;
	bool connecting;
	bool reused;        /* it carried a request before the present one */
	uint64_t reused_at; /* the loop's turn in which it took the present one */
	struct stream s;
	TAILQ_ENTRY(upstream) link; /* server's idle or busy */
	STAILQ_ENTRY(upstream) dead;
	struct loop_timer timer; /* while idle */
	struct server *server;
	struct exchange *x; /* NULL while idle */
	char *host; /* whom the server has shown itself to be, where a request told (tls_back_host);
	             * else NULL */
};

/* The thread's server for a configured one, made when new or when its address changed. NULL when
 * out of memory. */
struct server *server_get(struct thread *t, const struct conf_server *conf, uint64_t tls_key);
void server_unuse(struct server *s);
/* Its connections that no request uses. */
void server_close_idle(struct server *s);
/* Drops servers that snapshot does not name, and the connections of those ordered out. */
void servers_sweep(struct thread *t, const struct snapshot *snap);

/* A place among the server's requests: false when max is reached. 0: no limit. */
bool server_take(struct server *s, uint32_t max);
void server_give(struct server *s);

/* What live traffic says of a server, for check. */
void server_failed(struct server *s, const struct conf_passive *passive, enum fail_why why);
void server_succeeded(struct server *s);
/* Requests that server i of a pool takes at a time; 0: any number. */
static inline uint32_t pool_server_max(const struct pool *p, unsigned i)
{
	const uint32_t own = p->conf->servers[i].max_connections;

	return own != 0 ? own : p->conf->max_connections;
}

/* A kept connection; NULL when there is none. */
struct upstream *upstream_reuse(struct server *s, struct exchange *x);
/* Starts a new one; NULL with *why, u->connecting says whether it is already there. */
struct upstream *upstream_connect(struct server *s, struct exchange *x, enum fail_why *why);
/* Back to the kept ones, at most max, for keep_alive ns. */
void upstream_keep(struct upstream *u, uint32_t max, uint64_t keep_alive);
void upstream_close(struct upstream *u, bool reset);
/* Closes kept connections of the thread, at most n, to make room for others. */
unsigned upstream_evict(struct thread *t, unsigned n);

#endif
