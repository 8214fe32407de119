/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Drills: a failure is injected while a client asks at a fixed rate, and what its users would have
 * seen is measured. A scenario is one plug-in: a const struct drill_scenario (impl.h), listed in
 * scenarios.c. The client (client.c) is a process of its own in the lab's client host, so that it
 * sees what users see; an observer (watch.c) in each node sees who holds the addresses.
 */
#ifndef DRILL_DRILL_H
#define DRILL_DRILL_H

#include <jansson.h>

#include "base/buf.h"
#include "base/clock.h"
#include "conf/conf.h"

/* --- what the client measures --------------------------------------------------------------- */

enum drill_kind {
	DRILL_NEW,       /* a request on a new connection */
	DRILL_KEPT,      /* one on a kept connection */
	DRILL_DOWNLOAD,  /* the long download: written when it has ended */
	DRILL_WEBSOCKET, /* an echo of the WebSocket, or its end */
	DRILL_NAME,      /* no sample: a name for `who` */
};

#define DRILL_ERROR_ROWS(X) \
	X(OK, "ok") \
	X(REFUSED, "refused") \
	X(RESET, "cut off") \
	X(TIMEOUT, "no answer in time") \
	X(UNREACHABLE, "unreachable") \
	X(BAD, "not as it should be")

enum drill_error {
#define DRILL_ERROR_ENUM(name, text) DRILL_##name,
	DRILL_ERROR_ROWS(DRILL_ERROR_ENUM)
#undef DRILL_ERROR_ENUM
	    DRILL_ERRORS
};
extern const char *const drill_error_text[DRILL_ERRORS];

/* One request, as the client writes it down: when it has ended. */
struct drill_sample {
	uint64_t due_ns;  /* monotonic: when it was to be sent; latency counts from here */
	uint64_t end_ns;  /* when its answer was complete, or its failure certain */
	uint16_t status;  /* HTTP status; 0: none */
	uint8_t kind;     /* enum drill_kind */
	uint8_t error;    /* enum drill_error */
	uint16_t who;     /* which server answered: index of a name; 0: unknown */
	uint8_t repeated; /* on a kept connection that turned out to be closed, and sent again */
	uint8_t running;  /* a stream that was well when the client itself ended it */
};

/* What the client writes: samples, and before its first use each name. */
struct drill_record {
	struct drill_sample sample; /* kind DRILL_NAME: only `who` counts */
	char name[40];              /* of DRILL_NAME */
};

struct drill_client_options {
	struct net_addr to;
	const char *host; /* Host, as sent */
	const char *path;
	bool tls;               /* asks by TLS; the certificate is not verified */
	uint64_t every_ns;      /* between two new connections, 5 ms */
	uint64_t kept_every_ns; /* between two requests of one kept connection, 20 ms */
	unsigned kept;          /* kept connections, 4 */
	uint64_t limit_ns;      /* of a request, 2 s */
	uint64_t download_ns;   /* length of the download and of the WebSocket; 0: no streams */
};

struct drill_client_options drill_client_defaults(void);
/* Asks until standard input ends, then waits for what is open, and writes struct drill_record to
 * standard output. The exit status. */
int drill_client(const struct drill_client_options *o);

/* An observer's note: from then on the address is, or is not, on an interface of its namespace. */
struct drill_event {
	uint64_t at_ns;
	uint16_t node; /* index; the drill fills it in */
	uint16_t vip;  /* index of the address */
	uint8_t held;
};

/* Watches the addresses ("10.0.0.1,fd00::1") in the present network namespace until standard input
 * ends; writes struct drill_event to standard output. The exit status. */
int drill_watch(const char *addresses);

/* --- measures ------------------------------------------------------------------------------- */

struct drill_window {
	uint64_t begin_ns; /* when the client began */
	uint64_t fault_ns;
	uint64_t mend_ns;         /* when the fault was taken back; 0: it was not */
	uint64_t well_ns;         /* when all was well again; 0: it never was */
	uint64_t end_ns;          /* when the client was told to end */
	unsigned expected_status; /* also a good answer (503); 0: none */
};

struct drill_measure {
	uint64_t requests, failed, refused; /* from the fault on */
	uint64_t failed_after;              /* of those, sent after the fault was taken back */
	uint64_t repeated;                  /* see struct drill_sample */
	uint64_t failed_before;             /* before the fault: 0 where the drill means anything */
	uint64_t gap_ns;       /* longest time without a good answer of a new connection */
	uint64_t gap_at_ns;    /* when it began */
	uint64_t quiet_gap_ns; /* the longest before the fault: what this machine does by itself */
	uint64_t outage_ns; /* from the fault until no request that was sent failed any more, or the
	                       gap was over; 0 where nothing failed */
	uint64_t recovery_ns; /* until all was well again: from the fault, or from the moment it was
	                         taken back; UINT64_MAX: never */
	uint64_t split_ns;    /* two nodes held an address */
	uint64_t split_after_ns;         /* the same after the fault was taken back */
	uint64_t p50_ns, p99_ns, max_ns; /* latency of good answers */
	uint64_t echoes;
	bool watched_streams;
	bool download_intact, websocket_intact; /* those begun before the fault */
};

bool drill_sample_good(const struct drill_sample *s, const struct drill_window *w);
/* s in any order of kinds, by end_ns within one kind or not; e in order of time. */
void drill_measure(const struct drill_sample *s, size_t n, const struct drill_event *e, size_t ne,
                   const struct drill_window *w, struct drill_measure *ret);

/* --- results -------------------------------------------------------------------------------- */

#define DRILL_VERDICT_ROWS(X) \
	X(MET, "met") \
	X(MISSED, "missed") \
	X(SKIPPED, "skipped") \
	X(BROKEN, "not run")

enum drill_verdict {
#define DRILL_VERDICT_ENUM(name, text) DRILL_VERDICT_##name,
	DRILL_VERDICT_ROWS(DRILL_VERDICT_ENUM)
#undef DRILL_VERDICT_ENUM
	    DRILL_VERDICTS
};
extern const char *const drill_verdict_text[DRILL_VERDICTS];

struct drill_scenario;

struct drill_result {
	const struct drill_scenario *scenario;
	uint8_t verdict; /* enum drill_verdict */
	char why[640];   /* the limits missed, or why it was skipped or not run; "" */
	struct drill_window window;
	struct drill_measure measure;
	struct conf_slo_limits limits;        /* those that were applied */
	char active[CONF_MAX_NAME + 1];       /* held the address at the fault */
	char active_after[CONF_MAX_NAME + 1]; /* and after it */
	struct drill_sample *samples;
	size_t nsamples;
	struct drill_event *events;
	size_t nevents;
	uint16_t vip;      /* of the events: the address that was asked */
	char (*names)[40]; /* of who */
	unsigned nnames;
};

/* What a drill was about, for the report. */
struct drill_report {
	const char *cluster;
	const char *target; /* "http://10.77.0.100:80/" */
	bool lab;
	uint64_t wall_ms;
	const char *const *nodes; /* names */
	unsigned nnodes;
	const char *const *vips; /* addresses */
	unsigned nvips;
	uint64_t every_ns;
};

/* The limits of a scenario: the file's for it, else the file's for all, else the scenario's own. */
void drill_limits(const struct conf *conf, const struct drill_scenario *s,
                  struct conf_slo_limits *ret);
/* Sets verdict and why from measure and limits. */
void drill_judge(struct drill_result *r);
/* One JSON object of a result, without samples. */
json_t *drill_result_json(const struct drill_result *r);
/* What a result means, for people who are no engineers; a sentence or two. */
void drill_result_words(const struct drill_result *r, struct buf *out);
/* The self-contained page. */
void drill_report_html(const struct drill_report *about, const struct drill_result *r, size_t n,
                       struct buf *out);

/* --- running -------------------------------------------------------------------------------- */

struct drill_options {
	const char *conf_path;        /* NULL: that of the running lab */
	const char *lab;              /* name of the lab; NULL: the file's, or the only one */
	const char *url;              /* production: ask this; this machine is the client */
	const char *socket;           /* production: the local node's control socket */
	const char *vip;              /* the address to ask; NULL: the first */
	const char *const *scenarios; /* names; ends with NULL */
	unsigned repeat;
	bool all;
	bool i_know;
	struct drill_client_options client; /* rates and limits; to, host and path are found */
	/* Progress for people: one line without a newline. last: the line stays. */
	void (*say)(void *arg, const char *text, bool last);
	void *arg;
};

struct drill_run {
	struct drill_result *results;
	size_t n;
	json_t *json; /* the whole answer */
	struct buf html;
	char why[512]; /* why nothing was run */
};

/* Runs them. The exit status: 0; 1 a limit was missed or a drill could not be run; 2 wrong usage;
 * 3 no lab or node is reachable, with ret->why. The caller frees with drill_run_free. */
int drill_run(const struct drill_options *o, struct drill_run *ret);
void drill_run_free(struct drill_run *r);
/* Name and words of the n-th scenario; NULL at the end. where: "lab", "anywhere" … */
const char *drill_scenario_name(unsigned n, const char **ret_what, const char **ret_where);

#endif
