/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The access log's writer: one thread of the proxy process that empties the threads' rings, formats
 * and writes in batches. It looks at the rings a few times a second, and at once when one is half
 * full, so that a request costs the proxy thread a copy and nearly never a system call. It is
 * started with the first listener that has a log.
 */
#include "proxy/access_log.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "proxy/access_ring.h"
#include "stat/board.h"

#define PAUSE_MS      50          /* between looks at the rings */
#define BATCH         (64 * 1024) /* bytes in one write */
#define TURN          4096        /* records taken from one ring before the next has its turn */
#define WRITE_WAIT_MS 1000        /* for a pipe whose reader is slow; then its lines are lost */
#define NO_CHANGE     -2

struct output { /* of one listener; the writer's own */
	int fd; /* -1: none */
	enum conf_log_format format;
	bool cut;   /* what was written last ends within a line */
	bool stuck; /* it took nothing in time: not waited for again till it does */
	struct buf lines;
};

struct change { /* what access_log_set asks for */
	int fd; /* -1: no log any more; NO_CHANGE */
	enum conf_log_format format;
};

struct access_log {
	unsigned nrings;
	struct access_ring *_Atomic *rings;
	int wakefd;
	pthread_t thread;
	bool running;
	_Atomic bool stop;
	_Atomic uint64_t lost; /* lines that could not be written */
	pthread_mutex_t lock;  /* changes */
	struct change changes[BOARD_MAX_LISTENERS];
	struct output outputs[BOARD_MAX_LISTENERS];
};

/* --- the writer thread --- */

static void lose(struct access_log *a, const char *lines, size_t len)
{
	uint64_t n = 0;

	for (size_t i = 0; i < len; i++)
		n += lines[i] == '\n';
	atomic_fetch_add_explicit(&a->lost, n, memory_order_relaxed);
}

/* Whether a descriptor that is full takes more in time. */
static bool wait_writable(const struct output *o)
{
	struct pollfd p = { .fd = o->fd, .events = POLLOUT };

	return poll(&p, 1, o->stuck ? 0 : WRITE_WAIT_MS) == 1 && (p.revents & POLLOUT) != 0;
}

static void write_out(struct access_log *a, struct output *o)
{
	size_t done = 0;

	if (o->lines.failed || o->fd < 0)
		lose(a, o->lines.p, o->lines.len);
	while (!o->lines.failed && o->fd >= 0 && done < o->lines.len) {
		ssize_t n = write(o->fd, o->lines.p + done, o->lines.len - done);

		if (n > 0) {
			done += (size_t)n;
			o->stuck = false;
		} else if (n < 0 && errno == EINTR) {
			continue;
		} else if (n < 0 && errno != EAGAIN) {
			lose(a, o->lines.p + done, o->lines.len - done);
			break;
		} else if (!wait_writable(o)) {
			o->stuck = true;
			lose(a, o->lines.p + done, o->lines.len - done);
			break;
		}
	}
	if (done > 0)
		o->cut = o->lines.p[done - 1] != '\n';
	o->lines.len = 0;
	o->lines.failed = false;
}

static void take_changes(struct access_log *a)
{
	pthread_mutex_lock(&a->lock);
	for (unsigned i = 0; i < BOARD_MAX_LISTENERS; i++) {
		struct output *o = &a->outputs[i];
		struct change *c = &a->changes[i];

		if (c->fd == NO_CHANGE)
			continue;
		if (o->fd >= 0)
			close(o->fd);
		if (c->fd < 0)
			buf_free(&o->lines);
		o->fd = c->fd;
		o->format = c->format;
		o->cut = false;
		o->stuck = false;
		c->fd = NO_CHANGE;
	}
	pthread_mutex_unlock(&a->lock);
}

/* Formats what one ring holds; whether there may be more. */
static bool empty_ring(struct access_log *a, struct access_ring *ring)
{
	struct access_record record;
	struct net_addr client;
	uint32_t slot;

	for (unsigned n = 0; n < TURN; n++) {
		struct output *o;

		if (!access_ring_get(ring, &slot, &record, &client))
			return false;
		CHECK(slot < BOARD_MAX_LISTENERS);
		o = &a->outputs[slot];
		if (o->fd >= 0) {
			if (o->cut)
				buf_addc(&o->lines, '\n');
			o->cut = false;
			access_log_format(&record, o->format, &o->lines);
			if (o->lines.len >= BATCH || o->lines.failed)
				write_out(a, o);
		}
		access_ring_done(ring);
	}
	return true;
}

static void empty_rings(struct access_log *a)
{
	bool more = true;

	while (more) {
		more = false;
		take_changes(a);
		for (unsigned i = 0; i < a->nrings; i++) {
			struct access_ring *r = atomic_load(&a->rings[i]);

			more |= r != NULL && empty_ring(a, r);
		}
		for (unsigned i = 0; i < BOARD_MAX_LISTENERS; i++) {
			if (a->outputs[i].lines.len > 0)
				write_out(a, &a->outputs[i]);
		}
	}
}

static bool has_output(const struct access_log *a)
{
	for (unsigned i = 0; i < BOARD_MAX_LISTENERS; i++) {
		if (a->outputs[i].fd >= 0)
			return true;
	}
	return false;
}

static void *writer(void *arg)
{
	struct access_log *a = arg;
	bool stop;

	pthread_setname_np(pthread_self(), "access-log");
	do {
		struct pollfd p = { .fd = a->wakefd, .events = POLLIN };
		uint64_t count;

		poll(&p, 1, has_output(a) ? PAUSE_MS : -1);
		(void)!read(a->wakefd, &count, sizeof(count));
		/* Read first: what was put before the request to stop is written. */
		stop = atomic_load(&a->stop);
		empty_rings(a);
	} while (!stop);
	return NULL;
}

/* --- the main thread --- */

struct access_log *access_log_new(unsigned threads)
{
	struct access_log *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->nrings = threads;
	a->rings = calloc(MAX(threads, 1), sizeof(a->rings[0]));
	a->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->rings == NULL || a->wakefd < 0) {
		if (a->wakefd >= 0)
			close(a->wakefd);
		free(a->rings);
		free(a);
		return NULL;
	}
	pthread_mutex_init(&a->lock, NULL);
	for (unsigned i = 0; i < BOARD_MAX_LISTENERS; i++) {
		a->outputs[i].fd = -1;
		a->changes[i].fd = NO_CHANGE;
	}
	return a;
}

static void wake(struct access_log *a)
{
	(void)!write(a->wakefd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

void access_log_free(struct access_log *a)
{
	if (a == NULL)
		return;
	if (a->running) {
		atomic_store(&a->stop, true);
		wake(a);
		pthread_join(a->thread, NULL);
	}
	take_changes(a);
	for (unsigned i = 0; i < BOARD_MAX_LISTENERS; i++) {
		if (a->outputs[i].fd >= 0)
			close(a->outputs[i].fd);
		buf_free(&a->outputs[i].lines);
	}
	for (unsigned i = 0; i < a->nrings; i++)
		access_ring_free(a->rings[i]);
	pthread_mutex_destroy(&a->lock);
	close(a->wakefd);
	free(a->rings);
	free(a);
}

struct access_ring *access_log_ring(struct access_log *a, unsigned thread)
{
	struct access_ring *r;

	CHECK(thread < a->nrings);
	r = atomic_load(&a->rings[thread]);
	if (r == NULL) {
		r = access_ring_new(a->wakefd);
		atomic_store(&a->rings[thread], r);
	}
	return r;
}

/* The writer must not be the one that a signal of the process reaches, nor die of SIGPIPE. */
static void start(struct access_log *a)
{
	sigset_t all, before;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	a->running = pthread_create(&a->thread, NULL, writer, a) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void access_log_set(struct access_log *a, uint32_t slot, int fd, enum conf_log_format format)
{
	struct change *c;

	CHECK(slot < BOARD_MAX_LISTENERS);
	c = &a->changes[slot];
	pthread_mutex_lock(&a->lock);
	if (c->fd >= 0)
		close(c->fd);
	*c = (struct change){ fd, format };
	pthread_mutex_unlock(&a->lock);
	if (!a->running && fd >= 0)
		start(a);
	if (a->running)
		wake(a);
}

uint64_t access_log_dropped(const struct access_log *a)
{
	uint64_t n = atomic_load_explicit(&a->lost, memory_order_relaxed);

	for (unsigned i = 0; i < a->nrings; i++) {
		struct access_ring *r = atomic_load(&a->rings[i]);

		if (r != NULL)
			n += access_ring_dropped(r);
	}
	return n;
}

bool access_log_wants(const struct conf_access_log *c, unsigned status)
{
	if (!c->on)
		return false;
	if (status >= 500 || c->sample >= 1)
		return true;
	return c->sample > 0 && (double)(random_u64() >> 11) * 0x1p-53 < c->sample;
}
