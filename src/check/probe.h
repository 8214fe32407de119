/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probes: one question to one server, answered once. A probe is embedded in the server it asks and
 * reused for every question, so that asking allocates nothing; it may keep a connection from one
 * question to the next. What kinds there are is one const table (probe.c).
 */
#ifndef CHECK_PROBE_H
#define CHECK_PROBE_H

#include "base/arena.h"
#include "check/scram.h"
#include "conf/conf.h"
#include "net/stream.h"
#include "stat/fail.h"
#include "tls/tls.h"

struct probe;
struct ping;
struct h2;

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
	struct ping *ping;          /* sockets of ping checks and who waits for what; or NULL */
};

/* An HTTP request around its Host: made once for each pool. */
struct probe_text {
	struct str head; /* up to and with "Host: " */
	struct str tail; /* from the line end after the host */
	bool http2;      /* it is asked by HTTP/2 */
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
	/* Of kinds that talk (see below): connected, and TLS is up unless it begins later. */
	void (*opened)(struct probe *p);
	/* What came so far and was not taken: how much of it is done with now; 0: more is needed.
	 * May end the question; is called again for the rest while it runs. */
	size_t (*take)(struct probe *p, struct str got);
	/* The other side has ended; NULL: that is a failure. */
	void (*ended)(struct probe *p);
	/* Gives up a running question and closes what is kept between questions. */
	void (*stop)(struct probe *p);
	/* Words for a time-out at this point, with its kind. */
	enum fail_why (*timed_out)(const struct probe *p);
	uint64_t grace; /* ns beyond the check's time-out before it strikes here */
	bool tls_later; /* the kind itself begins TLS, by probe_begin_tls() */
};

/* How far a connection is. */
enum probe_link { LINK_NONE, LINK_CONNECTING, LINK_HANDSHAKE, LINK_OPEN };

/* Answers that come in pieces; one at most for each probe. */
#define PROBE_STORE 65536
struct probe_store {
	struct probe_store *next;
	size_t len; /* of data */
	char data[PROBE_STORE];
};

#define PROBE_MAGIC 0x70726f62

struct probe {
	uint32_t magic;
	uint8_t phase; /* the kind's own */
	uint8_t link;  /* enum probe_link */
	bool running;
	bool reused; /* on a connection kept from an earlier question */
	bool close;  /* the connection cannot be kept after this answer */
	bool tls_wanted;
	uint8_t send_proxy; /* enum conf_send_proxy */
	bool leaving;       /* farewell has been said: the other side is to close */
	uint8_t uses;       /* questions on this connection */
	uint8_t body;       /* enum http_body of the answer */
	const struct probe_ops *ops;
	struct probe_env *env;
	struct stream s; /* fd -1: no connection */
	struct loop_timer deadline;
	uint64_t started;
	/* The question; may be replaced between questions. */
	const struct conf_check *check;
	const struct probe_text *text;
	struct net_addr address;
	char host[64];
	const char *server;     /* id, for exec */
	struct tls_client *tls; /* how to speak TLS; NULL: in clear text */
	struct str tls_name;    /* as configured: the server's address as text, or its name */
	struct tls_session session;
	void (*done)(struct probe *p, const struct probe_result *result);
	/* The kind's own, during one question. */
	uint32_t exec_id;
	uint32_t number; /* of a dns or ping question */
	size_t scanned;
	uint64_t left;
	uint64_t drained;
	struct http_chunked chunked;
	struct probe_store *store;
	struct h2 *h2; /* during one question */
	TAILQ_ENTRY(probe) waits;
	struct scram scram; /* of a postgres check that logs in */
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
/* Whether and how it speaks TLS from now on; name: as in the file, the server's address, or the
 * name that is to be checked. Both stay the caller's. Where it is wanted and tls is NULL, questions
 * stay undecided: never in clear text instead. */
void probe_ask_tls(struct probe *p, bool wanted, struct tls_client *tls, struct str name);
/* The PROXY header that its connections begin with from now on: enum conf_send_proxy. */
void probe_ask_proxy(struct probe *p, uint32_t send_proxy);
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

/* probe_link.c: connections. */

/* Begins a connection; false when the verdict was given instead. */
bool probe_connect(struct probe *p);
/* Waits for events of the connection; false when the verdict was given instead. */
bool probe_watch(struct probe *p);
/* Whether it is there already, as it is on the same machine. */
bool probe_connected_now(const struct probe *p);
/* After the first event: whether it is connected; false when the verdict was given. */
bool probe_connected(struct probe *p);
/* Notes events; true: the connection is open for use, *ret_new (may be NULL) since now. False: not
 * yet, or the verdict was given. */
bool probe_open(struct probe *p, uint32_t events, bool *ret_new);
/* Begins TLS on an open connection; false when the verdict was given instead. */
bool probe_begin_tls(struct probe *p);
/* Words for a time-out that strikes before the connection is open. */
enum fail_why probe_link_timed_out(const struct probe *p);
/* Closes by reset, so that no TIME_WAIT stays. */
void probe_close(struct probe *p);
/* A buffer, emptied where it was not there yet; NULL when out of memory. */
struct probe_store *probe_store_get(struct probe *p);
void probe_store_put(struct probe *p);
/* One that is the kind's own; the same. */
struct probe_store *probe_store_new(struct probe_env *env);
void probe_store_free(struct probe_env *env, struct probe_store *store);
/* Adds what there is room for; whether the text is in what there is now. */
bool probe_store_find(struct probe_store *store, struct str more, struct str text);

/*
 * probe_talk.c: kinds that talk. A connection for each question; what comes in is offered to
 * `take`, at most 64 KiB that it does not take at a time.
 */
void probe_talk_start(struct probe *p);
void probe_talk_io(struct probe *p, uint32_t events);
void probe_talk_stop(struct probe *p);
/* Sends; what the kernel does not take at once goes later. A failure is found out by reading. */
void probe_say(struct probe *p, const void *data, size_t len);
/* Says farewell; with len 0: ends our direction. After the verdict that follows, the connection is
 * left to the other side to close for a second, so that a server does not log a reset. */
void probe_bye(struct probe *p, const void *data, size_t len);
/* Ends the question well, or with these words; closes unless farewell was said. */
void probe_well(struct probe *p);
void probe_ill(struct probe *p, enum fail_why why, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Ends the question undecided. */
void probe_no_memory(struct probe *p);

extern const struct probe_ops probe_tcp;
extern const struct probe_ops probe_http;
extern const struct probe_ops probe_http2;
extern const struct probe_ops probe_exec;
extern const struct probe_ops probe_tls;
extern const struct probe_ops probe_grpc;
extern const struct probe_ops probe_redis;
extern const struct probe_ops probe_postgres;
extern const struct probe_ops probe_mysql;
extern const struct probe_ops probe_smtp;
extern const struct probe_ops probe_dns;
extern const struct probe_ops probe_ping;

#endif
