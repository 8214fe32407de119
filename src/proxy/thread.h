/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A worker thread of the proxy: its loop, its memory, its connections. Nothing in it is touched by
 * another thread but `next`, `order` and `acked`, by which the main thread hands over
 * configurations.
 */
#ifndef PROXY_THREAD_H
#define PROXY_THREAD_H

#include <pthread.h>

#include "base/arena.h"
#include "proxy/access_log.h"
#include "proxy/snapshot.h"
#include "proxy/splice.h"

#define THREAD_SCRATCH (64 * 1024) /* bytes of one read */

struct client;
struct listener;
struct up_thread;
TAILQ_HEAD(client_list, client);
TAILQ_HEAD(server_list, server);
TAILQ_HEAD(listener_list, listener);
TAILQ_HEAD(queue_list, pool_shared);

enum thread_order { THREAD_RUN, THREAD_RETIRE, THREAD_DRAIN };

struct thread {
	struct loop *loop;
	struct proxy *proxy;
	unsigned index;
	pthread_t id;
	bool started;

	/* by the main thread, under the proxy's lock */
	struct snapshot *next;
	enum thread_order order;
	bool certs;             /* the snapshot has new certificates */
	uint64_t wanted, acked; /* hand-overs */
	bool listing;           /* the proxy's list is to be filled in */

	struct view *view;                /* of the present configuration */
	TAILQ_HEAD(, exchange) exchanges; /* the oldest first */
	bool closing;               /* retired or draining: each answer is a client's last here */
	struct client_list clients; /* all of them, the longest idle first among the idle */
	struct client_list idle;
	unsigned nclients;
	struct server_list servers;
	struct server **by_slot;      /* BOARD_MAX_SERVERS */
	struct pool_shared **by_pool; /* BOARD_MAX_POOLS */
	struct listener_list listeners;
	struct queue_list queues;
	struct loop_task queue_task;
	unsigned nwaiting;      /* requests in queues of this thread */
	struct loop_timer tick; /* sweeps, queues, paused listeners */
	uint64_t swept_epoch;
	uint64_t drain_since;
	struct access_ring *log;
	struct slab client_slab, exchange_slab, upstream_slab;
	struct http2_thread *http2; /* made when a client speaks it first */
	struct pipes pipes;
	TAILQ_HEAD(, udp_listener) udp_listeners;
	struct udp_batch *udp; /* NULL: no UDP listener was here yet */
	uint64_t udp_key[2];   /* of the hash of their tables */
	struct slab session_slab;
	STAILQ_HEAD(, udp_session) dead_sessions;
	struct slab raw_slab;    /* exchanges without a request */
	struct up_thread *up;    /* HTTP/2 to servers; NULL: not used yet */
	struct loop_task reaper; /* frees, after the turn, what ended in it */
	STAILQ_HEAD(, exchange) dead_exchanges;
	STAILQ_HEAD(, client) dead_clients;
	STAILQ_HEAD(, upstream) dead_upstreams;
	struct board_pulse *pulse; /* the thread's own */
	uint64_t pulsed;           /* what it holds */
	uint64_t date_ms;          /* the wall clock of this turn, ms; read at most once a turn */
	uint64_t date_of;          /* loop->now it belongs to */

	char in[THREAD_SCRATCH * 2];  /* a head that came in parts, then one read */
	char out[THREAD_SCRATCH * 2]; /* heads in the making */
	struct http_head request;     /* of the request that is being taken on */
	struct http_head response;
};

/* Makes and starts thread number index; NULL when memory or a thread is missing. */
struct thread *thread_start(struct proxy *p, unsigned index);
/* Tells the loop to end and waits for it; frees everything. */
void thread_stop(struct thread *t);
/* Hands over a configuration (its use is counted) or NULL for none, and what to do. Returns at
 * once; thread_wait() waits until it is in force. Main thread. */
void thread_order(struct thread *t, struct snapshot *next, enum thread_order order);
void thread_wait(struct thread *t);
/* Tells it that its configuration has new certificates; thread_wait() as above. */
void thread_certs(struct thread *t);
/* Wall clock in ms, coarse. */
uint64_t thread_wall_ms(struct thread *t);

/* The process. Threads read it; what they share to be right is atomic. */
struct proxy {
	struct role *role;
	struct snapshot *current;
	struct snapshot *prepared;
	struct thread *threads[BOARD_THREADS];
	_Atomic unsigned nthreads; /* made; those above the wanted number are retired. Grows only,
	                            * after the entry in `threads` is there. */
	struct access_log *log;
	int notify; /* eventfd: passive failures for check; -1: none */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct list *list;      /* under the lock: what threads with `listing` fill in */
	struct loop_timer tick; /* main thread: lets configurations go, ends when drained */
	const struct role_conf *unused[64]; /* configurations that no thread uses any more */
	unsigned nunused;
	bool draining;
	_Atomic uint32_t *connections;            /* clients of this process */
	_Atomic uint32_t queued[BOARD_MAX_POOLS]; /* requests that wait, by pool slot */
};

/* How many threads a configuration wants. */
unsigned proxy_threads(const struct conf *c);
/* The last use of a configuration is gone. Any thread; the main thread tells the harness. */
void proxy_let_go(struct proxy *p, const struct role_conf *rc);

static inline struct stat_block *thread_block(struct thread *t, enum board_kind kind, uint32_t slot)
{
	return board_block(t->proxy->role->board, t->proxy->role->instance, t->index, kind, slot);
}

#endif
