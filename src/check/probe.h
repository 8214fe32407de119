/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes: one question to one server, answered once. A probe is embedded in the server it asks and
 * reused for every question, so that asking allocates nothing; it may keep a connection from one
 * question to the next. What kinds there are is one const table (probe.c).
 */
#ifndef CHECK_PROBE_H
#define CHECK_PROBE_H

#include "base/arena.h"
#include "conf/conf.h"
#include "net/loop.h"
#include "stat/fail.h"

struct probe;

/* What all probes of the process share. */
struct probe_env {
	struct loop *loop;
	unsigned kept;     /* connections open between probes */
	unsigned kept_max; /* more are closed after their answer */
	/* Asks the parent to run the exec check of a server; OK or why not. */
	int (*exec)(struct probe_env *env, uint32_t id, const char *server);
	void *arg; /* the owner's */
	uint32_t last_exec;
	TAILQ_HEAD(, probe) execs;  /* waiting for the parent */
	struct probe_store *stores; /* free buffers of answers that come in pieces */
};

/* An HTTP request around its Host: made once for each pool. */
struct probe_text {
	struct str head; /* up to and with "Host: " */
	struct str tail; /* from the line end after the host */
};

enum probe_end {
	PROBE_OK,
	PROBE_FAILED,
	PROBE_UNDECIDED, /* for want of local resources: says nothing about the server */
};

struct probe_result {
	enum probe_end end;
	enum fail_why why;
	uint64_t ns;      /* from start to verdict */
	const char *text; /* words for people where not OK; valid during the callback */
};

struct probe_ops {
	const char *name;
	void (*start)(struct probe *p);
	void (*io)(struct probe *p, uint32_t events);
	/* Gives up a running question and closes what is kept between questions. */
	void (*stop)(struct probe *p);
	/* Words for a time-out at this point, with its kind. */
	enum fail_why (*timed_out)(struct probe *p);
	uint64_t grace; /* ns beyond the check's time-out before it strikes here */
};

#define PROBE_MAGIC 0x70726f62

struct probe {
	uint32_t magic;
	uint8_t phase; /* the kind's own */
	bool running;
	bool reused;  /* on a connection kept from an earlier question */
	bool close;   /* the connection cannot be kept after this answer */
	uint8_t uses; /* questions on this connection */
	uint8_t body; /* enum http_body of the answer */
	const struct probe_ops *ops;
	struct probe_env *env;
	struct loop_io io; /* fd -1: no connection */
	struct loop_timer deadline;
	uint64_t started;
	/* The question; may be replaced between questions. */
	const struct conf_check *check;
	const struct probe_text *text;
	struct net_addr address;
	char host[64];
	const char *server; /* id, for exec */
	void (*done)(struct probe *p, const struct probe_result *result);
	/* The kind's own, during one question. */
	uint32_t sent;
	uint32_t exec_id;
	size_t scanned;
	uint64_t left;
	uint64_t drained;
	struct http_chunked chunked;
	struct probe_store *store;
	TAILQ_ENTRY(probe) link;
};

void probe_env_init(struct probe_env *env, struct loop *loop, unsigned kept_max);
void probe_env_free(struct probe_env *env);

/* Sets up a probe at rest. */
void probe_init(struct probe *p, struct probe_env *env,
                void (*done)(struct probe *p, const struct probe_result *result));
/* What it asks from now on, and whom: the check's port, if any, replaces the address's. All but the
 * address stays the caller's and must live while it is in use. */
void probe_ask(struct probe *p, const struct conf_check *check, const struct probe_text *text,
               const struct net_addr *address, const char *server);
/* Starts a question; done is called once, perhaps before this returns. Not while one is running. */
void probe_start(struct probe *p);
/* Gives up the question, if one is running, without calling done, and closes connections. */
void probe_stop(struct probe *p);

/* Whether two checks ask the same: the same kind, text and expectations. */
bool probe_same(const struct conf_check *a, const struct conf_check *b);

/* The request of a pool's http check. OK or ERR_NOMEM. */
int probe_http_text(const struct conf_check *check, struct arena *arena, struct probe_text *ret);

/* The parent's answer to an exec check; false when nobody waits for it. */
bool probe_executed(struct probe_env *env, uint32_t id, int status, const char *output);

/* --- for the kinds -------------------------------------------------------------------------- */

/* Reports the verdict and ends the question. fmt may be NULL: the words of why. */
void probe_verdict(struct probe *p, enum probe_end end, enum fail_why why, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Begins a connection; false when the verdict was given instead. */
bool probe_connect(struct probe *p);
/* Waits for events of the connection; false when the verdict was given instead. */
bool probe_watch(struct probe *p);
/* Whether it is there already, as it is on the same machine. */
bool probe_connected_now(const struct probe *p);
/* After the first event: whether it is connected; false when the verdict was given. */
bool probe_connected(struct probe *p);
/* Closes by reset, so that no TIME_WAIT stays. */
void probe_close(struct probe *p);

extern const struct probe_ops probe_tcp;
extern const struct probe_ops probe_http;
extern const struct probe_ops probe_exec;
void probe_http_free_stores(struct probe_env *env);

#endif
