/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for what takes time; see job.h. `lock` guards the list of what is finished and the asks.
 * Role acme. */
#include "acme/job.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

static void wake(struct acme_jobs *jobs)
{
	uint64_t one = 1;

	while (write(jobs->io.fd, &one, sizeof(one)) < 0 && errno == EINTR)
		;
}

/* --- jobs ----------------------------------------------------------------------------------- */

static void *run(void *arg)
{
	struct acme_job *job = arg;
	struct acme_jobs *jobs = job->jobs;

	job->work(job);
	pthread_mutex_lock(&jobs->lock);
	TAILQ_INSERT_TAIL(&jobs->finished, job, link);
	wake(jobs);
	pthread_mutex_unlock(&jobs->lock);
	return NULL;
}

int acme_job_start(struct acme_jobs *jobs, struct acme_job *job)
{
	sigset_t all;
	sigset_t before;
	pthread_attr_t attr;
	pthread_t thread;
	int err;

	CHECK(!job->busy);
	job->jobs = jobs;
	job->busy = true;
	atomic_store(&job->stop, false);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	err = pthread_create(&thread, &attr, run, job);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	job->busy = err == 0;
	return err == 0 ? OK : ERR_SYSTEM;
}

void acme_job_stop(struct acme_job *job)
{
	if (!job->busy)
		return;
	pthread_mutex_lock(&job->jobs->lock);
	atomic_store(&job->stop, true);
	pthread_cond_broadcast(&job->jobs->cond);
	pthread_mutex_unlock(&job->jobs->lock);
}

bool acme_job_stopped(struct acme_job *job)
{
	return atomic_load(&job->stop);
}

static struct timespec after_ms(unsigned ms)
{
	uint64_t t = clock_mono() + ms * NS_PER_MS;

	return (struct timespec){ (time_t)(t / NS_PER_S), (long)(t % NS_PER_S) };
}

bool acme_job_sleep(struct acme_job *job, unsigned ms)
{
	struct acme_jobs *jobs = job->jobs;
	struct timespec until = after_ms(ms);
	int err = 0;

	pthread_mutex_lock(&jobs->lock);
	while (!atomic_load(&job->stop) && err == 0)
		err = pthread_cond_timedwait(&jobs->cond, &jobs->lock, &until);
	pthread_mutex_unlock(&jobs->lock);
	return !acme_job_stopped(job);
}

/* --- asks ----------------------------------------------------------------------------------- */

int acme_ask(struct acme_job *job, struct acme_ask *ask, unsigned ms)
{
	struct acme_jobs *jobs = job->jobs;
	struct timespec until = after_ms(ms);
	int err = 0;
	bool stopped;

	ask->job = job;
	ask->sent = ask->answered = false;
	pthread_mutex_lock(&jobs->lock);
	ask->id = ++jobs->ids;
	TAILQ_INSERT_TAIL(&jobs->asks, ask, link);
	wake(jobs);
	while (!ask->answered && !atomic_load(&job->stop) && err == 0)
		err = pthread_cond_timedwait(&jobs->cond, &jobs->lock, &until);
	TAILQ_REMOVE(&jobs->asks, ask, link);
	stopped = atomic_load(&job->stop);
	pthread_mutex_unlock(&jobs->lock);
	return ask->answered ? OK : stopped ? ERR_CLOSED : ERR_TIMEOUT;
}

static void give(struct acme_ask *ask, int status, const char *output)
{
	ask->status = status;
	snprintf(ask->output, sizeof(ask->output), "%s", output);
	ask->answered = true;
}

void acme_answered(struct acme_jobs *jobs, uint32_t id, int status, const char *output)
{
	struct acme_ask *ask;

	pthread_mutex_lock(&jobs->lock);
	TAILQ_FOREACH (ask, &jobs->asks, link) {
		if (ask->id == id && ask->sent)
			give(ask, status, output);
	}
	pthread_cond_broadcast(&jobs->cond);
	pthread_mutex_unlock(&jobs->lock);
}

/* --- the main thread ------------------------------------------------------------------------ */

static void send_asks(struct acme_jobs *jobs)
{
	struct acme_ask *ask;

	pthread_mutex_lock(&jobs->lock);
	TAILQ_FOREACH (ask, &jobs->asks, link) {
		if (ask->sent)
			continue;
		ask->sent = true;
		if (!jobs->send(jobs, ask))
			give(ask, -1, "not run: the parent is away");
	}
	pthread_cond_broadcast(&jobs->cond);
	pthread_mutex_unlock(&jobs->lock);
}

static struct acme_job *take_finished(struct acme_jobs *jobs)
{
	struct acme_job *job;

	pthread_mutex_lock(&jobs->lock);
	job = TAILQ_FIRST(&jobs->finished);
	if (job != NULL)
		TAILQ_REMOVE(&jobs->finished, job, link);
	pthread_mutex_unlock(&jobs->lock);
	return job;
}

static void on_wake(struct loop_io *io, uint32_t events)
{
	struct acme_jobs *jobs = CONTAINER_OF(io, struct acme_jobs, io);
	struct acme_job *job;
	uint64_t n;

	(void)events;
	while (read(io->fd, &n, sizeof(n)) < 0 && errno == EINTR)
		;
	send_asks(jobs);
	while ((job = take_finished(jobs)) != NULL) {
		job->busy = false;
		job->done(job);
	}
}

int acme_jobs_init(struct acme_jobs *jobs, struct loop *loop)
{
	pthread_condattr_t attr;

	jobs->loop = loop;
	TAILQ_INIT(&jobs->finished);
	TAILQ_INIT(&jobs->asks);
	pthread_mutex_init(&jobs->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&jobs->cond, &attr);
	pthread_condattr_destroy(&attr);
	jobs->io = (struct loop_io){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), .fn = on_wake };
	if (jobs->io.fd < 0)
		return ERR_SYSTEM;
	return loop_add_level(loop, &jobs->io, LOOP_IN, false);
}
