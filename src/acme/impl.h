/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the role acme share. Private to this folder. */
#ifndef ACME_IMPL_H
#define ACME_IMPL_H

#include "acme/files.h"
#include "acme/http.h"
#include "acme/job.h"
#include "acme/order.h"
#include "acme/plan.h"
#include "core/role.h"

#define ACME_ISSUED_WAIT (30 * NS_PER_S)  /* for the proxies to take a challenge */
#define ACME_LOOK        (600 * NS_PER_S) /* the calendar is looked at so often at least */
#define ACME_EXEC_MS     60000            /* a program that sets a record gets so long */

/* A configuration, for as long as an issuer goes by it. */
struct acme_conf {
	struct role *role;
	const struct role_conf *rc;
	unsigned users;
};

enum acme_state { ACME_NONE, ACME_VALID, ACME_ORDERING, ACME_FAILED };
extern const char *const acme_state_name[];

struct acme_cert {              /* one certificate of an issuer */
	char name[256];         /* its first host */
	struct conf_list hosts; /* without repetitions; v is allocated */
	struct plan plan;
	unsigned jitter; /* 0 … 999, its own */
	bool ordering;
	uint64_t orders; /* that succeeded, since ever */
	uint64_t failures;
	char error[512]; /* of the last failure; "": none since */
	char error_type[64];
};

/* What an issuer waits for. */
enum issuer_phase {
	ISSUER_IDLE,   /* for a certificate to be due */
	ISSUER_JOB,    /* for a thread */
	ISSUER_PAUSE,  /* the order says so */
	ISSUER_ISSUED, /* for the proxies to have the challenges */
};

struct acme;

struct issuer {
	TAILQ_ENTRY(issuer) link;
	struct acme *a;
	struct acme_conf *held;
	const struct conf_issuer *conf; /* in held */
	uint64_t settings;              /* hash of all of it */
	struct acme_cert *certs;
	unsigned ncerts;
	enum issuer_phase phase;
	bool retired; /* ends what it does, then it is freed */
	struct loop_timer timer;
	struct loop_task gone;
	struct order_session session;
	/* The order under way: */
	struct acme_cert *cert; /* NULL: none */
	bool begun;             /* the machine runs */
	struct order order;
	EVP_PKEY *key; /* of the certificate */
	struct buf csr;
	uint32_t asked; /* id of IPC_ISSUED */
	/* The job; what it does and what came of it. */
	struct acme_job job;
	enum order_do doing;
	CURL *curl;
	struct http_call call;
	int job_err;
	char job_why[600];
	struct acme_leaf leaf;
};

TAILQ_HEAD(issuers, issuer);

struct acme {
	struct role *role;
	struct issuers issuers;
	struct acme_jobs jobs;
	struct loop_timer end; /* of patience, while draining */
	uint32_t ids;
	bool draining;
	bool fresh; /* has just started: what its status says is of a process that is gone */
};

/* --- issuer_new.c, issuer.c
 * ------------------------------------------------------------------------------- */

/* An issuer of held->rc->conf with what is known of its certificates. NULL: out of memory. */
struct issuer *acme_issuer_new(struct acme *a, struct acme_conf *held, uint32_t index);
/* A hash of all that the configuration says of it and its certificates. */
uint64_t acme_issuer_settings(const struct conf *c, uint32_t index);
/* Whether any listener has a certificate of it. */
bool acme_issuer_is_used(const struct conf *c, uint32_t index);
/* Begins what is due, or waits for that. */
void acme_issuer_look(struct issuer *i);
/* It is not in the configuration any more, or otherwise: ends its order, then itself. */
void acme_issuer_retire(struct issuer *i);
/* The parent's answer to IPC_ISSUED. */
void acme_issuer_issued(struct issuer *i, uint32_t id, int err, const char *why);
void acme_conf_put(struct acme_conf *c);
loop_timer_fn acme_issuer_on_timer;
loop_task_fn acme_issuer_on_gone; /* frees it */
/* An issuer has been freed. role.c */
void acme_issuer_gone(struct acme *a);

/* --- issuer_work.c: what is done in threads ------------------------------------------------- */

/* Begins the job that an action of the order wants; the driver's function is called when it is
 * done.
 */
int acme_work_prepare(struct issuer *i);
int acme_work_call(struct issuer *i, const struct order_action *act);
int acme_work_store(struct issuer *i);
int acme_work_dns(struct issuer *i, bool add);
void acme_issuer_job_done(struct acme_job *job);

/* --- status.c ------------------------------------------------------------------------------- */

/* Fills in what the status file knows of a certificate of before. */
void acme_status_load(struct issuer *i);
/* Writes the states of all issuers. */
void acme_status_save(struct acme *a);
/* Before the role ends in order: what is under way is given up, and is no failure. */
void acme_status_rest(struct acme *a);
uint64_t acme_now(void); /* Unix time, seconds */

#endif
