/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop over epoll: one for each thread of any role. All functions but loop_wake() belong
 * to the loop's own thread.
 */
#include "net/loop.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/wheel.h"

#define WAIT_MAX_MS 60000

static void on_wake_io(struct loop_io *io, uint32_t events)
{
	struct loop *l = CONTAINER_OF(io, struct loop, wake_io);
	uint64_t count;

	(void)events;
	if (read(io->fd, &count, sizeof(count)) < 0 && errno != EAGAIN && errno != EINTR) {
		CHECK(!"an eventfd cannot fail");
	}
	/* Whoever finds the flag set has published its work before: on_wake sees it. */
	atomic_exchange_explicit(&l->waking, 0, memory_order_acq_rel);
	if (l->on_wake != NULL) {
		l->on_wake(l);
	}
}

struct loop *loop_new(void)
{
	struct loop *l = calloc(1, sizeof(*l));

	if (l == NULL) {
		return NULL;
	}
	l->now = clock_mono();
	STAILQ_INIT(&l->tasks);
	wheel_init(l);
	l->epfd = epoll_create1(EPOLL_CLOEXEC);
	l->wakefd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	l->wake_io = (struct loop_io){ .fd = l->wakefd, .fn = on_wake_io };
	if (l->epfd < 0 || l->wakefd < 0 || loop_add_level(l, &l->wake_io, LOOP_IN, false) != OK) {
		int saved = errno;

		loop_free(l);
		errno = saved;
		return NULL;
	}
	return l;
}

static void run_tasks(struct loop *l)
{
	struct loop_tasks todo = STAILQ_HEAD_INITIALIZER(todo);

	/* What a task defers runs in the next turn, so that none can hold up the loop. */
	STAILQ_CONCAT(&todo, &l->tasks);
	while (!STAILQ_EMPTY(&todo)) {
		struct loop_task *t = STAILQ_FIRST(&todo);

		STAILQ_REMOVE_HEAD(&todo, link);
		t->queued = false;
		t->fn(t);
	}
}

void loop_free(struct loop *l)
{
	if (l == NULL) {
		return;
	}
	while (!STAILQ_EMPTY(&l->tasks)) {
		run_tasks(l);
	}
	if (l->epfd >= 0) {
		close(l->epfd);
	}
	if (l->wakefd >= 0) {
		close(l->wakefd);
	}
	free(l);
}

/* Drops the events of this turn that io has not seen. */
static void forget(struct loop *l, const struct loop_io *io)
{
	for (int i = l->event + 1; i < l->nevents; i++) {
		if (l->events[i].data.ptr == io) {
			l->events[i].data.ptr = NULL;
		}
	}
}

static int add(struct loop *l, struct loop_io *io, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = io };

	CHECK(io->fn != NULL);
	forget(l, io); /* of a descriptor that it had before */
	return epoll_ctl(l->epfd, EPOLL_CTL_ADD, io->fd, &e) < 0 ? ERR_SYSTEM : OK;
}

int loop_add(struct loop *l, struct loop_io *io, uint32_t events)
{
	return add(l, io, events | EPOLLET);
}

int loop_add_level(struct loop *l, struct loop_io *io, uint32_t events, bool exclusive)
{
	return add(l, io, exclusive ? events | EPOLLEXCLUSIVE : events);
}

int loop_modify_level(struct loop *l, struct loop_io *io, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.ptr = io };

	return epoll_ctl(l->epfd, EPOLL_CTL_MOD, io->fd, &e) < 0 ? ERR_SYSTEM : OK;
}

void loop_rearm(struct loop *l, struct loop_io *io, uint32_t events)
{
	/* It can fail for what is not registered only. */
	CHECK(loop_modify_level(l, io, events | EPOLLET) == OK);
}

void loop_remove(struct loop *l, struct loop_io *io)
{
	int saved = errno;

	forget(l, io);
	if (io->fd >= 0) {
		epoll_ctl(l->epfd, EPOLL_CTL_DEL, io->fd, NULL);
	}
	errno = saved;
}

void loop_defer(struct loop *l, struct loop_task *t)
{
	if (!t->queued) {
		t->queued = true;
		STAILQ_INSERT_TAIL(&l->tasks, t, link);
	}
}

void loop_wake(struct loop *l)
{
	const uint64_t one = 1;
	int saved = errno;

	/* One system call for any number of wake-ups that the loop has not seen yet. */
	if (atomic_exchange_explicit(&l->waking, 1, memory_order_acq_rel) == 0) {
		while (write(l->wakefd, &one, sizeof(one)) < 0 && errno == EINTR) {
		}
	}
	errno = saved;
}

/* How long epoll may wait, rounded up: a timer never runs early. */
static int wait_ms(const struct loop *l, uint64_t max_ns)
{
	uint64_t ns;

	if (max_ns == 0 || !STAILQ_EMPTY(&l->tasks) || atomic_load(&l->stop)) {
		return 0;
	}
	ns = MIN(wheel_wait(l, clock_mono()), max_ns);
	return ns > WAIT_MAX_MS * NS_PER_MS ? WAIT_MAX_MS : (int)((ns + NS_PER_MS - 1) / NS_PER_MS);
}

int loop_turn(struct loop *l, uint64_t max_ns)
{
	int n = epoll_wait(l->epfd, l->events, LOOP_EVENTS, wait_ms(l, max_ns));

	if (n < 0) {
		if (errno != EINTR) {
			return ERR_SYSTEM;
		}
		n = 0;
	}
	l->now = clock_mono();
	l->nevents = n;
	for (l->event = 0; l->event < l->nevents; l->event++) {
		struct loop_io *io = l->events[l->event].data.ptr;

		if (io != NULL && io->fd >= 0) {
			io->fn(io, l->events[l->event].events);
		}
	}
	l->nevents = 0;
	/* After the events: what has come in time counts, even if we are late to read it. */
	wheel_run(l);
	run_tasks(l);
	if (l->on_turn != NULL) {
		l->on_turn(l);
	}
	return OK;
}

int loop_run(struct loop *l)
{
	while (!atomic_load_explicit(&l->stop, memory_order_acquire)) {
		int err = loop_turn(l, UINT64_MAX);

		if (err != OK) {
			return err;
		}
	}
	return OK;
}
