/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The parent's configurations (generation.c), and the transaction that goes from one to the next
 * (reload.c). On the parent's one thread.
 */
#ifndef CORE_RELOAD_H
#define CORE_RELOAD_H

#include "core/child.h"
#include "core/loader.h"

/* --- configurations (generation.c) ---------------------------------------------------------- */

/* A configuration that is committed or about to be. */
struct generation {
	struct conf *conf;
	int image;
	int certs;       /* the store of certificates; -1: none */
	int certs_files; /* the part of it for check */
	int *logs;       /* access log of each listener; -1: none */
	uint32_t nlogs;
};

/* Makes one of an image, which it takes over: slots on the board, listening sockets, log files,
 * seal. Any error leaves the parent as it was and tells why. */
int generation_new(struct parent *p, int image, struct generation **ret, char *why,
                   size_t why_size);
/* One that an earlier parent had committed: slots and number are in it. */
int generation_adopt(struct parent *p, int image, struct generation **ret);
/* Undoes generation_new: marks the committed one's slots again, closes new sockets. */
void generation_discard(struct parent *p, struct generation *g);
void generation_free(struct generation *g);
/* Finds the user of roles that are started from now on. */
void generation_privilege(struct parent *p);
/* From now on it is the one that counts; the former is freed. */
void generation_commit(struct parent *p, struct generation *g);
/* START, PREPARE or LOGS with the descriptors that the child's role needs. */
int generation_send(struct parent *p, struct child *c, enum ipc_type type, uint32_t id,
                    const struct generation *g);
/* Opens the access logs anew (after rotation) and hands them to the proxies. */
void generation_reopen_logs(struct parent *p);

/* --- reload (reload.c) ---------------------------------------------------------------------- */

#define RELOAD_ASKERS 64

enum reload_phase {
	RELOAD_IDLE,
	RELOAD_LOADING,
	RELOAD_CERTS, /* certificates of the next configuration are read */
	RELOAD_WAITING,
	RELOAD_PREPARING,
	RELOAD_COMMITTING
};

struct askers {
	struct asker v[RELOAD_ASKERS];
	unsigned n;
	bool any;
	bool forced; /* even when nothing changed */
};

struct reload {
	enum reload_phase phase;
	struct helper loader;
	struct loop_io loader_io;
	struct loop_timer timer;
	struct generation *next;
	uint32_t id;
	unsigned step;     /* of the commit: index of a service */
	unsigned attempts; /* disturbed by the end of a role */
	bool committed;
	uint64_t began;
	struct askers now;
	struct askers later;
	struct buf report; /* warnings and changes */
};

/* asker 0: nobody to answer. */
void reload_request(struct parent *p, uint32_t asker, uint32_t id, bool forced);
void reload_prepared(struct child *c, const struct ipc_msg *m);
void reload_committed(struct child *c, uint32_t id);
/* The next configuration has its certificates, or err. */
void reload_has_certs(struct parent *p, int err);
/* A child has ended or has been started: it takes no part in what is going on. */
void reload_disturbed(struct parent *p, const struct child *c, bool died);
void reload_stop(struct parent *p);

#endif
