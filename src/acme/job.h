/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What may take its time (HTTP, DNS, RSA keys, files) runs in a thread of its own, one at a time
 * for each issuer, so that the role's main thread answers the parent. A thread may ask the main one
 * to have a program run.
 */
#ifndef ACME_JOB_H
#define ACME_JOB_H

#include <pthread.h>
#include <stdatomic.h>

#include "ipc/msg.h"
#include "net/loop.h"

struct acme_jobs;

struct acme_job {
	TAILQ_ENTRY(acme_job) link;
	struct acme_jobs *jobs;
	void (*work)(struct acme_job *job); /* in the thread */
	void (*done)(struct acme_job *job); /* afterwards, in the main thread */
	_Atomic bool stop;                  /* work should come to an end */
	bool busy;
};

/* A program to be run by the parent; the thread waits for its end. */
struct acme_ask {
	TAILQ_ENTRY(acme_ask) link;
	struct acme_job *job;
	struct ipc_acme_exec x;
	uint32_t id;
	bool sent;
	bool answered;
	int status;
	char output[256];
};

TAILQ_HEAD(acme_job_list, acme_job);
TAILQ_HEAD(acme_ask_list, acme_ask);

struct acme_jobs {
	struct loop *loop;
	struct loop_io io;
	/* Sends it to the parent; false when that cannot be. Main thread. */
	bool (*send)(struct acme_jobs *jobs, struct acme_ask *ask);
	pthread_mutex_t lock;
	pthread_cond_t cond;
	struct acme_job_list finished;
	struct acme_ask_list asks;
	uint32_t ids;
};

/* OK or ERR_SYSTEM. */
int acme_jobs_init(struct acme_jobs *jobs, struct loop *loop);
/* Begins one. ERR_SYSTEM: there is no thread for it, done is not called. */
int acme_job_start(struct acme_jobs *jobs, struct acme_job *job);
/* Asks it to come to an end soon. */
void acme_job_stop(struct acme_job *job);
bool acme_job_stopped(struct acme_job *job);
/* Waits ms, or until the job is to end: false then. In its thread. */
bool acme_job_sleep(struct acme_job *job, unsigned ms);

/* In a job's thread: has the program run, waits up to ms. OK with status and output, ERR_TIMEOUT,
 * ERR_CLOSED (there is no parent, or the job is to end). */
int acme_ask(struct acme_job *job, struct acme_ask *ask, unsigned ms);
/* Main thread: the answer of the parent. */
void acme_answered(struct acme_jobs *jobs, uint32_t id, int status, const char *output);

#endif
