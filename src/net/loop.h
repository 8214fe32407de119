/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: one per thread, epoll underneath. Descriptors are registered once, edge
 * triggered; the clock is read once a turn; timers live in a wheel and cost no system call; what is
 * freed during a turn is released after it, because the kernel may still hold an event for it.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/queue.h>

struct loop;
struct loop_io;
struct loop_timer;
struct loop_task;

#define LOOP_IN    EPOLLIN
#define LOOP_OUT   EPOLLOUT
#define LOOP_HUP   (EPOLLHUP | EPOLLERR)
#define LOOP_RDHUP EPOLLRDHUP

typedef void loop_io_fn(struct loop_io *io, uint32_t events);
typedef void loop_timer_fn(struct loop_timer *t);
typedef void loop_task_fn(struct loop_task *t);

/* Embedded in the object it belongs to; fd < 0 means not registered. */
struct loop_io {
	int fd;
	loop_io_fn *fn;
};

/* Zeroed but for fn before its first use. Its function may arm it again or free it. */
struct loop_timer {
	TAILQ_ENTRY(loop_timer) link;
	uint64_t due;  /* monotonic ns; 0: not armed */
	uint64_t tick; /* the wheel's: where it lies; not after due's tick */
	loop_timer_fn *fn;
};

/* Runs once after the current turn's events and timers: deferred frees, batched work. One that is
 * deferred by a task runs in the next turn, which then does not wait. */
struct loop_task {
	STAILQ_ENTRY(loop_task) link;
	loop_task_fn *fn;
	bool queued;
};

TAILQ_HEAD(loop_timers, loop_timer);
STAILQ_HEAD(loop_tasks, loop_task);

#define LOOP_EVENTS      256 /* taken from the kernel in one turn */
#define LOOP_WHEEL_SLOTS 4096
#define LOOP_TICK_NS     (4 * 1000000ULL) /* timers fire within one tick after they are due */

struct loop {
	uint64_t now; /* monotonic ns, read once a turn */
	int epfd;
	int wakefd;         /* eventfd */
	_Atomic bool stop;  /* set by the loop's callbacks, or from outside with loop_wake() */
	_Atomic int waking; /* a wake-up is under way */
	struct loop_io wake_io;
	void (*on_wake)(struct loop *); /* on loop_wake() from another thread; may be NULL */
	void (*on_turn)(struct loop *); /* after each turn; may be NULL */
	void *arg;                      /* the owner's */
	struct loop_tasks tasks;
	struct epoll_event events[LOOP_EVENTS]; /* of this turn */
	int nevents;
	int event;     /* the one in work */
	uint64_t tick; /* the next tick to run */
	uint64_t bitmap[LOOP_WHEEL_SLOTS / 64];
	struct loop_timers wheel[LOOP_WHEEL_SLOTS];
};

/* A new loop; NULL with errno. loop_free runs what is still deferred and closes the loop's own
 * descriptors only; NULL is allowed. */
struct loop *loop_new(void);
void loop_free(struct loop *l);

/* Registers io->fd, edge triggered for `events` (LOOP_IN | LOOP_OUT …). OK or ERR_SYSTEM. */
int loop_add(struct loop *l, struct loop_io *io, uint32_t events);
/* The same, level triggered: for descriptors off the hot path and listening sockets
 * (`exclusive`: EPOLLEXCLUSIVE, one waiter of many is woken; cannot be modified later, and takes
 * LOOP_IN and LOOP_OUT only). */
int loop_add_level(struct loop *l, struct loop_io *io, uint32_t events, bool exclusive);
/* Changes the events of a level-triggered registration. */
int loop_modify_level(struct loop *l, struct loop_io *io, uint32_t events);
/* Has an edge-triggered registration's present readiness reported once more, in a later turn and
 * behind what is ready already: for who stops although there is more. The same events as before. */
void loop_rearm(struct loop *l, struct loop_io *io, uint32_t events);
/* Unregisters; the caller closes the descriptor (closing alone suffices where it is the only
 * copy of it; then set io->fd to -1). Later events of this turn for io are not delivered.
 * After loop_remove the object of io may be freed at once; after a mere close it must live until
 * the turn's end: free it by loop_defer. */
void loop_remove(struct loop *l, struct loop_io *io);

/* Arms or moves a timer to now + ns. Cheap: a list operation; a timer that is moved later only
 * changes `due` and is moved when its old slot comes round. */
void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t ns);
void loop_timer_stop(struct loop *l, struct loop_timer *t);

void loop_defer(struct loop *l, struct loop_task *t);

/* Wakes the loop from any thread or a signal handler. */
void loop_wake(struct loop *l);

/* Runs until loop->stop; OK or ERR_SYSTEM. A turn: events, timers, tasks, on_turn. */
int loop_run(struct loop *l);
/* One turn that waits at most max_ns. */
int loop_turn(struct loop *l, uint64_t max_ns);

#endif
