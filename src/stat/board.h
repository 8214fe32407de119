/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board: one sparse shared-memory file made by the parent, mapped by every role. It holds the
 * state of every server (written by check only), the counters of every object (each thread of a
 * proxy writes blocks of its own with plain stores), what threads must share to be right, the
 * processes' table and the ring of events. Slots are stable: an object keeps its slot by its name
 * for as long as it is configured, over reloads and restarts of any role, so a crash loses neither
 * states nor counters.
 */
#ifndef STAT_BOARD_H
#define STAT_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "stat/vip.h"
#include "stat/wire.h"

enum board_kind { BOARD_LISTENER, BOARD_ROUTE, BOARD_POOL, BOARD_SERVER, BOARD_KINDS };

#define BOARD_MAX_LISTENERS 512
#define BOARD_MAX_ROUTES    16384
#define BOARD_MAX_POOLS     4096
#define BOARD_MAX_SERVERS   16384
#define BOARD_SLOTS         (BOARD_MAX_LISTENERS + BOARD_MAX_ROUTES + BOARD_MAX_POOLS + BOARD_MAX_SERVERS)
#define BOARD_THREADS       64 /* of one proxy */
#define BOARD_INSTANCES     4  /* proxies that may overlap: serving and draining */
#define BOARD_ROLES         8
#define BOARD_EVENTS        4096
#define BOARD_NAME          128

/* --- counters ------------------------------------------------------------------------------- */

/* Upper bounds of the latency buckets, microseconds; the last bucket is +Inf. */
#define STAT_BUCKETS 14
extern const uint32_t stat_bucket_us[STAT_BUCKETS]; /* 1 ms … 10 s */

#define STAT_CODES 32

/* One counter each: name of its Prometheus series and its help. G: a gauge. */
#define STAT_COUNTER_ROWS(X) \
	X(CONNECTIONS, "connections_total", "connections accepted or made") \
	X(OPEN, "open_connections", "connections open now") \
	X(ACTIVE, "active_requests", "requests in progress now") \
	X(BYTES_IN, "bytes_in_total", "bytes received from the client side") \
	X(BYTES_OUT, "bytes_out_total", "bytes sent to the client side") \
	X(RETRIES, "retries_total", "attempts repeated on another server or connection") \
	X(CONNECT_ERRORS, "connect_errors_total", "connections that could not be made") \
	X(RESPONSE_ERRORS, "response_errors_total", "responses missing, late, cut or invalid") \
	X(REUSES, "connection_reuses_total", "requests sent on a kept connection") \
	X(QUEUED, "queued_total", "requests that waited for a free connection") \
	X(QUEUE_TIMEOUTS, "queue_timeouts_total", "requests that waited too long") \
	X(REFUSED, "refused_total", "connections or requests refused by a limit") \
	X(BAD_REQUESTS, "bad_requests_total", "requests refused as malformed") \
	X(ABORTS, "client_aborts_total", "requests given up by the client") \
	X(BUDGET, "retry_budget_exhausted_total", "retries not made for want of budget") \
	X(UPGRADES, "upgrades_total", "connections that became tunnels")

enum stat_counter {
#define STAT_ENUM(name, series, help) STAT_##name,
	STAT_COUNTER_ROWS(STAT_ENUM)
#undef STAT_ENUM
	    STAT_COUNTERS
};

enum stat_method {
	STAT_GET,
	STAT_HEAD,
	STAT_POST,
	STAT_PUT,
	STAT_DELETE,
	STAT_PATCH,
	STAT_OPTIONS,
	STAT_OTHER,
	STAT_METHODS
};
extern const char *const stat_method_name[STAT_METHODS];

/* The counters of one object by one thread. Only that thread writes; readers add blocks up. */
struct stat_block {
	/* (method << 12 | status code) << 48 | count, open addressing; 0 is free. */
	uint64_t codes[STAT_CODES];
	uint64_t latency[STAT_BUCKETS + 1]; /* not cumulative; the last is +Inf */
	uint64_t latency_sum_us;
	uint64_t c[STAT_COUNTERS];
} __attribute__((aligned(64)));

/* Plain stores that a reader in another process may see at any time, never torn. */
static inline void stat_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, __atomic_load_n(counter, __ATOMIC_RELAXED) + n, __ATOMIC_RELAXED);
}

static inline uint64_t stat_get(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Counts one finished request. status 100 … 999 (else it counts as 999). Where the table is
 * crowded it counts under its class (x99), at last under that class of STAT_OTHER. */
void stat_request(struct stat_block *b, enum stat_method method, unsigned status, uint64_t ns);
/* The bucket of a latency. */
unsigned stat_bucket(uint64_t us);
/* Adds block b to *sum (codes merged by key). */
void stat_sum(struct stat_block *sum, const struct stat_block *b);
/* Latency in microseconds below which a share q (0 … 1) of the requests stayed, interpolated;
 * 0 without requests. */
double stat_quantile(const uint64_t latency[STAT_BUCKETS + 1], double q);

/* --- states --------------------------------------------------------------------------------- */

enum server_state {
	SERVER_UNPROVED, /* no probe has succeeded or failed yet */
	SERVER_UP,
	SERVER_DOWN, /* by its checks, or ejected by passive checks */
	SERVER_STATES
};

enum server_order { /* run-time orders of a person; kept over restarts */
	            ORDER_READY,
	            ORDER_DRAIN,   /* nothing new but what is bound to it; open requests end well */
	            ORDER_DISABLE, /* nothing at all; open requests are cut */
	            ORDER_COUNT
};

extern const char *const server_state_name[SERVER_STATES]; /* "starting", "up", "down" */
extern const char *const server_order_name[ORDER_COUNT];   /* "ready", "drain", "disable" */

/* The state word: one atomic load tells a proxy thread all it needs. */
union server_word {
	uint64_t word;
	struct {
		uint8_t state;   /* enum server_state */
		uint8_t order;   /* enum server_order */
		uint8_t ejected; /* 1: down by passive checks */
		uint8_t ramp;   /* share of its weight in slow start, 1 … 100 percent; 100: all */
		uint32_t epoch; /* counts changes */
	};
};

struct board_server {
	_Atomic uint64_t word;       /* union server_word; written by check only */
	_Atomic uint32_t detail_seq; /* odd while check rewrites what follows */
	uint32_t last_us;            /* duration of the last probe */
	uint64_t since_wall_ms;      /* of the present state */
	uint64_t checked_wall_ms;    /* of the last probe; 0: never */
	char reason[104]; /* why it is so: "connect refused", "HTTP 503", "by order" … */
	uint64_t checks_ok;
	uint64_t checks_failed;
	uint64_t check_latency[STAT_BUCKETS + 1];
	uint64_t check_sum_us;
	/* Live traffic's verdict, written by proxy threads, read and cleared by check. */
	_Atomic uint32_t fail_streak; /* consecutive failures seen by all threads */
	_Atomic uint32_t fail_why;    /* enum fail_why of the last one */
	/* Of an order to drain that has a time; the parent's. */
	_Atomic uint64_t end_wall_ms; /* when what is open is ended; 0: never, or it has been */
	_Atomic uint32_t ended;       /* how much was: proxy threads add */
} __attribute__((aligned(64)));

/* Sign of life of one thread of a proxy: monotonic ns, at most BOARD_PULSE_EVERY old while it
 * works; 0: no such thread. Written by that thread only. */
#define BOARD_PULSE_EVERY (100 * 1000000ULL)
struct board_pulse {
	_Atomic uint64_t ns;
} __attribute__((aligned(64)));

/* What the threads of one proxy share about a server to be right. Cleared when one starts. */
struct board_live {
	_Atomic uint32_t active; /* requests on it now */
	_Atomic uint32_t queued;
} __attribute__((aligned(64)));

struct board_role {
	char name[16];
	int32_t pid; /* 0: not running */
	uint32_t restarts;
	uint64_t since_wall_ms;
	uint32_t ready;
	uint32_t instance; /* of the process that counts */
	char reason[108];  /* of the last end, "" at first */
};

struct board_node {
	char node[64];
	char version[32];
	uint64_t started_wall_ms;
	uint64_t generation; /* of the committed configuration */
	uint64_t loaded_wall_ms;
	uint64_t reloads_ok;
	uint64_t reloads_refused;
	uint64_t reload_wall_ms; /* of the last attempt */
	char reload_error[256];  /* "" when the last one succeeded */
	char conf_path[256];
	uint32_t draining; /* the node is about to end */
	uint32_t drained;  /* taken out by order: holds no virtual IP */
	struct board_role roles[BOARD_ROLES];
	_Atomic uint32_t connections[BOARD_INSTANCES]; /* client connections of a proxy */
	_Atomic uint32_t listener_connections[BOARD_INSTANCES][BOARD_MAX_LISTENERS];
};

struct board_event {
	_Atomic uint64_t seq; /* its number + 1 once complete; 0 while it is written */
	uint64_t sum;         /* hash of what follows: shows a tear, whoever made it */
	uint64_t wall_ms;
	uint8_t level;
	char area[15];
	char event[32];
	char object[128];
	char text[312];
};

struct board_name {
	uint32_t used;
	uint32_t generation; /* last configuration that named it */
	char name[BOARD_NAME - 8];
};

struct board; /* the mapped segment; layout in layout.h */

/* Makes (parent) or maps (roles, an adopting parent) the segment. *ret_fd: its descriptor, the
 * caller's. ERR_UNEXPECTED: another layout. */
int board_create(struct board **ret, int *ret_fd);
int board_map(int fd, struct board **ret);
void board_unmap(struct board *b);

/* The slot of a name, taken if new (counters zeroed): parent only. A server's name is
 * "pool/server". ERR_FULL when no slot is left. generation marks it as in use. A name of more
 * than 119 bytes is kept with a hash of the whole at its end. */
int board_slot(struct board *b, enum board_kind kind, struct str name, uint32_t generation,
               uint32_t *ret);
/* Frees the slots that `generation` did not mark: parent, after a commit. */
void board_sweep(struct board *b, enum board_kind kind, uint32_t generation);
/* The name in a slot; NULL when it is free. */
const char *board_slot_name(struct board *b, enum board_kind kind, uint32_t slot);
uint32_t board_slots(enum board_kind kind);

struct board_node *board_node(struct board *b);
struct board_server *board_server(struct board *b, uint32_t slot);
/* A copy of it, taken while check does not write. */
struct board_server board_server_read(struct board_server *s);
struct board_live *board_live(struct board *b, unsigned instance, uint32_t slot);
struct board_pulse *board_pulse(struct board *b, unsigned instance, unsigned thread);
/* Place n of the virtual IPs: vrrp gives them out, others look through them all. */
struct board_vip *board_vip(struct board *b, unsigned n);
/* thread: 0 … BOARD_THREADS - 1 of that instance. */
struct stat_block *board_block(struct board *b, unsigned instance, unsigned thread,
                               enum board_kind kind, uint32_t slot);
/* The protocol counters of a listener; their sum over all instances and threads. */
struct wire_block *board_wire(struct board *b, unsigned instance, unsigned thread, uint32_t slot);
void board_wire_total(struct board *b, uint32_t slot, struct wire_block *sum);
/* Counts changes of any state word: check adds one after each, readers compare. */
_Atomic uint64_t *board_epoch(struct board *b);
/* Marks that a thread of an instance has counters, so that readers need not touch the others. */
void board_thread_used(struct board *b, unsigned instance, unsigned thread);
/* Sum over all instances and threads that were ever used. */
void board_total(struct board *b, enum board_kind kind, uint32_t slot, struct stat_block *sum);
/* Zeroes the gauges and the shared counts of an instance that has just started. */
void board_instance_reset(struct board *b, unsigned instance);

static inline union server_word board_server_word(struct board_server *s)
{
	return (union server_word){ .word = atomic_load_explicit(&s->word, memory_order_acquire) };
}

/* Appends to the ring of events; any process, any thread. Suits log_set_journal (arg: board). */
struct log_line;
void board_journal(const struct log_line *line, void *board);
/* Copies event number n; false when it is overwritten, being written or not there yet. */
bool board_event(struct board *b, uint64_t n, struct board_event *ret);
/* The number that the next event gets. */
uint64_t board_events(struct board *b);

#endif
