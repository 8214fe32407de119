/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: descriptors, deferred work, wake-ups by threads; and its timer wheel, driven with
 * a clock of the test's own.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "net/loop.h"
#include "net/wheel.h"

#define LIMIT (30 * NS_PER_S)

/* --- the wheel ------------------------------------------------------------------------------ */

struct alarm {
	struct loop_timer timer;
	struct loop *loop;
	unsigned fired;
	uint64_t fired_at;
	uint64_t again_ns;   /* arms itself again */
	struct alarm *stops; /* stops another one */
	bool frees;
};

static void on_alarm(struct loop_timer *t)
{
	struct alarm *a = CONTAINER_OF(t, struct alarm, timer);

	a->fired++;
	a->fired_at = a->loop->now;
	if (a->again_ns != 0) {
		loop_timer_set(a->loop, t, a->again_ns);
	}
	if (a->stops != NULL) {
		loop_timer_stop(a->loop, &a->stops->timer);
	}
	if (a->frees) {
		free(a);
	}
}

static struct alarm make_alarm(struct loop *l)
{
	return (struct alarm){ .loop = l, .timer.fn = on_alarm };
}

/* Moves the loop's clock on, tick by tick. */
static void pass(struct loop *l, uint64_t ns)
{
	uint64_t end = l->now + ns;

	while (l->now < end) {
		l->now += MIN(LOOP_TICK_NS, end - l->now);
		wheel_run(l);
	}
}

static int wheel_setup(void **state)
{
	struct loop *l = loop_new();

	assert_non_null(l);
	l->now = 1000 * LOOP_TICK_NS * LOOP_WHEEL_SLOTS + 12345;
	wheel_init(l);
	*state = l;
	return 0;
}

static int teardown(void **state)
{
	loop_free(*state);
	return 0;
}

static void test_timer_fires_once(void **state)
{
	struct loop *l = *state;
	struct alarm a = make_alarm(l);
	uint64_t start = l->now;

	assert_true(wheel_wait(l, l->now) == UINT64_MAX);
	loop_timer_set(l, &a.timer, 100 * NS_PER_MS);
	assert_true(wheel_wait(l, l->now) >= 100 * NS_PER_MS);
	assert_true(wheel_wait(l, l->now) <= 100 * NS_PER_MS + LOOP_TICK_NS);
	pass(l, NS_PER_S);
	assert_int_equal(a.fired, 1);
	assert_true(a.fired_at >= start + 100 * NS_PER_MS);
	assert_true(a.fired_at <= start + 100 * NS_PER_MS + 2 * LOOP_TICK_NS);
	assert_true(a.timer.due == 0);
	assert_true(wheel_wait(l, l->now) == UINT64_MAX);
}

/* Never early, at most one tick late, whatever the duration: short, at and beyond a revolution. */
static void test_timer_exact(void **state)
{
	static const uint64_t durations_ms[] = { 0,     1,     3,     4,     5,     100,   16379,
		                                 16380, 16384, 16385, 16388, 20000, 30000, 100000 };
	struct loop *l = *state;

	for (size_t i = 0; i < ARRAY_LEN(durations_ms); i++) {
		uint64_t ns = durations_ms[i] * NS_PER_MS, start = l->now;
		struct alarm a = make_alarm(l);

		loop_timer_set(l, &a.timer, ns);
		pass(l, ns + 20 * NS_PER_MS);
		assert_int_equal(a.fired, 1);
		assert_true(a.fired_at >= start + ns);
		assert_true(a.fired_at < start + ns + 2 * LOOP_TICK_NS);
	}
}

static void test_timer_stop(void **state)
{
	struct loop *l = *state;
	struct alarm a = make_alarm(l), b = make_alarm(l);

	loop_timer_stop(l, &a.timer); /* not armed: nothing */
	loop_timer_set(l, &a.timer, 50 * NS_PER_MS);
	loop_timer_set(l, &b.timer, 50 * NS_PER_MS);
	loop_timer_stop(l, &a.timer);
	loop_timer_stop(l, &a.timer);
	pass(l, NS_PER_S);
	assert_int_equal(a.fired, 0);
	assert_int_equal(b.fired, 1);
	loop_timer_set(l, &a.timer, 50 * NS_PER_MS);
	loop_timer_stop(l, &a.timer);
	assert_true(wheel_wait(l, l->now) == UINT64_MAX);
}

static void test_timer_moved_later(void **state)
{
	struct loop *l = *state;
	struct alarm a = make_alarm(l);
	uint64_t start;

	loop_timer_set(l, &a.timer, 100 * NS_PER_MS);
	for (unsigned i = 0; i < 1000; i++) { /* as a busy connection moves its time limit */
		pass(l, 10 * NS_PER_MS);
		loop_timer_set(l, &a.timer, 100 * NS_PER_MS);
	}
	assert_int_equal(a.fired, 0);
	start = l->now;
	pass(l, NS_PER_S);
	assert_int_equal(a.fired, 1);
	assert_true(a.fired_at >= start + 100 * NS_PER_MS);
	assert_true(a.fired_at < start + 100 * NS_PER_MS + 2 * LOOP_TICK_NS);
}

static void test_timer_moved_earlier(void **state)
{
	struct loop *l = *state;
	struct alarm a = make_alarm(l);
	uint64_t start = l->now;

	loop_timer_set(l, &a.timer, 60 * NS_PER_S);
	loop_timer_set(l, &a.timer, 200 * NS_PER_MS);
	loop_timer_set(l, &a.timer, 30 * NS_PER_S);   /* later again, lazily … */
	loop_timer_set(l, &a.timer, 250 * NS_PER_MS); /* … and back, still after its slot */
	pass(l, NS_PER_S);
	assert_int_equal(a.fired, 1);
	assert_true(a.fired_at >= start + 250 * NS_PER_MS);
	assert_true(a.fired_at < start + 250 * NS_PER_MS + 2 * LOOP_TICK_NS);
	pass(l, 100 * NS_PER_S);
	assert_int_equal(a.fired, 1);
}

static void test_timer_moved_beyond_revolution(void **state)
{
	struct loop *l = *state;
	struct alarm a = make_alarm(l);
	uint64_t start = l->now;

	loop_timer_set(l, &a.timer, 1 * NS_PER_S);
	loop_timer_set(l, &a.timer, 50 * NS_PER_S);
	pass(l, 50 * NS_PER_S - 1);
	assert_int_equal(a.fired, 0);
	pass(l, NS_PER_S);
	assert_int_equal(a.fired, 1);
	assert_true(a.fired_at < start + 50 * NS_PER_S + 2 * LOOP_TICK_NS);
}

static void test_timer_again(void **state)
{
	struct loop *l = *state;
	struct alarm a = make_alarm(l);

	a.again_ns = 40 * NS_PER_MS;
	loop_timer_set(l, &a.timer, 40 * NS_PER_MS);
	pass(l, 4 * NS_PER_S);
	assert_in_range(a.fired, 80, 100);
	/* One that wants to run at once does not hold up the turn. */
	a.again_ns = 1;
	a.fired = 0;
	loop_timer_set(l, &a.timer, 1);
	pass(l, 10 * LOOP_TICK_NS);
	assert_in_range(a.fired, 9, 12);
}

/* A timer may stop its neighbour of the same slot, and free itself. */
static void test_timer_stops_neighbour(void **state)
{
	struct loop *l = *state;
	struct alarm *own = malloc(sizeof(*own));
	struct alarm b = make_alarm(l), c = make_alarm(l);

	*own = make_alarm(l);
	own->stops = &b;
	own->frees = true;
	loop_timer_set(l, &own->timer, 100 * NS_PER_MS);
	loop_timer_set(l, &b.timer, 100 * NS_PER_MS);
	loop_timer_set(l, &c.timer, 100 * NS_PER_MS);
	pass(l, NS_PER_S);
	assert_int_equal(b.fired, 0);
	assert_int_equal(c.fired, 1);
}

/* The process stood still for a minute: all that is due runs, in its order, in one go. */
static void test_timer_after_standstill(void **state)
{
	struct loop *l = *state;
	struct alarm a[5];

	for (unsigned i = 0; i < 5; i++) {
		a[i] = make_alarm(l);
		loop_timer_set(l, &a[i].timer, (i * 15 + 1) * NS_PER_S);
	}
	l->now += 60 * NS_PER_S;
	wheel_run(l);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(a[i].fired, 1);
	}
	assert_int_equal(a[4].fired, 0);
	pass(l, 2 * NS_PER_S);
	assert_int_equal(a[4].fired, 1);
}

/* Set while the clock has moved on but the wheel has not run yet, as in a turn's events. */
static void test_timer_set_before_run(void **state)
{
	struct loop *l = *state;
	struct alarm a = make_alarm(l), b = make_alarm(l);
	uint64_t start;

	l->now += 40 * NS_PER_S;
	start = l->now;
	loop_timer_set(l, &a.timer, 10 * NS_PER_MS);
	loop_timer_set(l, &b.timer, 0);
	wheel_run(l);
	assert_int_equal(a.fired, 0);
	pass(l, 100 * NS_PER_MS);
	assert_int_equal(a.fired, 1);
	assert_int_equal(b.fired, 1);
	assert_true(a.fired_at >= start + 10 * NS_PER_MS);
	assert_true(a.fired_at < start + 10 * NS_PER_MS + 2 * LOOP_TICK_NS);
}

static void test_timer_far_away(void **state)
{
	struct loop *l = *state;
	struct alarm a = make_alarm(l);

	loop_timer_set(l, &a.timer, UINT64_MAX);
	pass(l, 60 * NS_PER_S);
	assert_int_equal(a.fired, 0);
	loop_timer_set(l, &a.timer, 10 * NS_PER_MS);
	pass(l, NS_PER_S);
	assert_int_equal(a.fired, 1);
}

/* Many timers, moved and stopped at random, against a plain model of what must happen. */
static void test_timer_random(void **state)
{
	struct loop *l = *state;
	static struct alarm a[300];
	static uint64_t due[300];

	for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
		a[i] = make_alarm(l);
		due[i] = 0;
	}
	for (unsigned round = 0; round < 3000; round++) {
		unsigned n = (unsigned)random_below(ARRAY_LEN(a));

		if (random_below(4) == 0) {
			loop_timer_stop(l, &a[n].timer);
			due[n] = 0;
		} else {
			uint64_t ns =
			    random_below(random_below(2) ? 100 * NS_PER_MS : 40 * NS_PER_S);

			loop_timer_set(l, &a[n].timer, ns);
			due[n] = l->now + ns;
		}
		a[n].fired = 0;
		l->now += random_below(50 * NS_PER_MS);
		wheel_run(l);
		for (unsigned i = 0; i < ARRAY_LEN(a); i++) {
			if (due[i] == 0) {
				assert_int_equal(a[i].fired, 0);
			} else if (a[i].fired != 0) {
				assert_true(due[i] <= l->now);
				due[i] = 0;
				a[i].fired = 0;
			} else {
				assert_true(due[i] + LOOP_TICK_NS > l->now);
			}
		}
	}
}

/* --- descriptors ---------------------------------------------------------------------------- */

struct watcher {
	struct loop_io io;
	struct loop *loop;
	unsigned calls;
	uint32_t events;
	struct watcher *removes; /* takes another one out of the loop */
	bool stops;
};

static void on_io(struct loop_io *io, uint32_t events)
{
	struct watcher *w = CONTAINER_OF(io, struct watcher, io);

	w->calls++;
	w->events |= events;
	if (w->removes != NULL) {
		loop_remove(w->loop, &w->removes->io);
		memset(&w->removes->io, 0xee, sizeof(w->removes->io)); /* as if it was freed */
		w->removes = NULL;
	}
	if (w->stops) {
		w->loop->stop = true;
	}
}

static struct watcher watch(struct loop *l, int fd)
{
	return (struct watcher){ .io = { .fd = fd, .fn = on_io }, .loop = l };
}

static int loop_setup(void **state)
{
	*state = loop_new();
	assert_non_null(*state);
	return 0;
}

static void make_pair(int pair[2])
{
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair),
	                 0);
}

static void close_pair(int pair[2])
{
	close(pair[0]);
	close(pair[1]);
}

static void test_edge(void **state)
{
	struct loop *l = *state;
	struct watcher w;
	int pair[2];

	make_pair(pair);
	w = watch(l, pair[0]);
	assert_int_equal(loop_add(l, &w.io, LOOP_IN | LOOP_RDHUP), OK);
	assert_int_equal(loop_turn(l, 0), OK);
	assert_int_equal(w.calls, 0);
	assert_int_equal(write(pair[1], "x", 1), 1);
	loop_turn(l, LIMIT);
	assert_int_equal(w.calls, 1);
	assert_true(w.events & LOOP_IN);
	loop_turn(l, 0); /* not read, but told once */
	assert_int_equal(w.calls, 1);
	shutdown(pair[1], SHUT_WR);
	loop_turn(l, LIMIT);
	assert_true(w.events & LOOP_RDHUP);
	close_pair(pair);
}

/* What was left in the socket is told of again, but not in the same turn. */
static void test_rearm(void **state)
{
	struct loop *l = *state;
	struct watcher w;
	int pair[2];

	make_pair(pair);
	w = watch(l, pair[0]);
	assert_int_equal(loop_add(l, &w.io, LOOP_IN | LOOP_OUT | LOOP_RDHUP), OK);
	assert_int_equal(write(pair[1], "x", 1), 1);
	loop_turn(l, LIMIT);
	loop_turn(l, 0);
	assert_int_equal(w.calls, 1);
	for (int i = 2; i < 5; i++) {
		loop_rearm(l, &w.io, LOOP_IN | LOOP_OUT | LOOP_RDHUP);
		assert_int_equal(w.calls, i - 1);
		loop_turn(l, LIMIT);
		assert_int_equal(w.calls, i);
		assert_true(w.events & LOOP_IN);
		loop_turn(l, 0); /* once, as an edge */
		assert_int_equal(w.calls, i);
	}
	close_pair(pair);
}

static void test_level(void **state)
{
	struct loop *l = *state;
	struct watcher w;
	int pair[2];

	make_pair(pair);
	w = watch(l, pair[0]);
	assert_int_equal(loop_add_level(l, &w.io, LOOP_IN, false), OK);
	assert_int_equal(write(pair[1], "x", 1), 1);
	loop_turn(l, LIMIT);
	loop_turn(l, LIMIT);
	assert_int_equal(w.calls, 2);
	assert_int_equal(loop_modify_level(l, &w.io, 0), OK);
	loop_turn(l, 0);
	assert_int_equal(w.calls, 2);
	assert_int_equal(loop_modify_level(l, &w.io, LOOP_OUT), OK);
	loop_turn(l, LIMIT);
	assert_int_equal(w.calls, 3);
	assert_true(w.events & LOOP_OUT);
	loop_remove(l, &w.io);
	loop_turn(l, 0);
	assert_int_equal(w.calls, 3);
	close_pair(pair);
}

static void test_add_errors(void **state)
{
	struct loop *l = *state;
	struct watcher w = watch(l, -1), file;
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_int_equal(loop_add(l, &w.io, LOOP_IN), ERR_SYSTEM);
	loop_remove(l, &w.io); /* harmless */
	file = watch(l, 1000000);
	assert_int_equal(loop_add(l, &file.io, LOOP_IN), ERR_SYSTEM);
	close(fd);
}

/* Whichever of two comes first removes and ruins the other, whose event is pending. */
static void test_remove_pending(void **state)
{
	struct loop *l = *state;
	struct watcher a, b;
	int first[2], second[2];

	make_pair(first);
	make_pair(second);
	a = watch(l, first[0]);
	b = watch(l, second[0]);
	a.removes = &b;
	b.removes = &a;
	assert_int_equal(loop_add(l, &a.io, LOOP_IN), OK);
	assert_int_equal(loop_add(l, &b.io, LOOP_IN), OK);
	assert_int_equal(write(first[1], "x", 1), 1);
	assert_int_equal(write(second[1], "x", 1), 1);
	loop_turn(l, LIMIT);
	assert_int_equal(a.calls + b.calls, 1);
	loop_turn(l, 0);
	assert_int_equal(a.calls + b.calls, 1);
	close_pair(first);
	close_pair(second);
}

struct closer {
	struct loop_io io;
	struct loop *loop;
	struct closer *other;
	unsigned calls;
	int next_fd; /* the other's descriptor is closed; -1, or it goes on with this one */
};

static void on_closer(struct loop_io *io, uint32_t events)
{
	struct closer *c = CONTAINER_OF(io, struct closer, io);

	(void)events;
	c->calls++;
	if (c->other == NULL) {
		return;
	}
	close(c->other->io.fd);
	c->other->io.fd = c->next_fd;
	if (c->next_fd >= 0) {
		assert_int_equal(loop_add(c->loop, &c->other->io, LOOP_IN), OK);
	}
	c->other->other = NULL;
	c->other = NULL;
}

/* Closed without loop_remove while its event is pending; then the same with a new descriptor in
 * its place: neither must see the old event. */
static void test_close_pending(void **state)
{
	struct loop *l = *state;

	for (unsigned reuse = 0; reuse < 2; reuse++) {
		int first[2], second[2], third[2];
		struct closer a = { .loop = l }, b = { .loop = l };

		make_pair(first);
		make_pair(second);
		make_pair(third);
		a.io = (struct loop_io){ .fd = first[0], .fn = on_closer };
		b.io = (struct loop_io){ .fd = second[0], .fn = on_closer };
		a.other = &b;
		b.other = &a;
		a.next_fd = b.next_fd = reuse ? third[0] : -1;
		assert_int_equal(loop_add(l, &a.io, LOOP_IN), OK);
		assert_int_equal(loop_add(l, &b.io, LOOP_IN), OK);
		assert_int_equal(write(first[1], "x", 1), 1);
		assert_int_equal(write(second[1], "x", 1), 1);
		loop_turn(l, LIMIT);
		assert_int_equal(a.calls + b.calls, 1);
		if (reuse) {
			assert_int_equal(write(third[1], "x", 1), 1);
			loop_turn(l, LIMIT);
			assert_int_equal(a.calls + b.calls, 2);
		}
		close(a.io.fd >= 0 ? a.io.fd : b.io.fd);
		if (reuse) {
			close(a.io.fd == third[0] ? b.io.fd : a.io.fd);
		} else {
			close(third[0]);
		}
		close(first[1]);
		close(second[1]);
		close(third[1]);
	}
}

static void test_many(void **state)
{
	struct loop *l = *state;
	static struct watcher w[300]; /* more than one turn takes */
	static int pairs[300][2];
	unsigned calls = 0;

	for (unsigned i = 0; i < 300; i++) {
		make_pair(pairs[i]);
		w[i] = watch(l, pairs[i][0]);
		assert_int_equal(loop_add(l, &w[i].io, LOOP_IN), OK);
		assert_int_equal(write(pairs[i][1], "x", 1), 1);
	}
	for (unsigned turns = 0; turns < 4; turns++) {
		loop_turn(l, 0);
	}
	for (unsigned i = 0; i < 300; i++) {
		assert_int_equal(w[i].calls, 1);
		calls += w[i].calls;
		loop_remove(l, &w[i].io);
		close_pair(pairs[i]);
	}
	assert_int_equal(calls, 300);
}

/* --- tasks, wake-ups, running ---------------------------------------------------------------- */

struct job {
	struct loop_task task;
	struct loop *loop;
	unsigned runs;
	unsigned again;
};

static void on_job(struct loop_task *t)
{
	struct job *j = CONTAINER_OF(t, struct job, task);

	j->runs++;
	if (j->again > 0) {
		j->again--;
		loop_defer(j->loop, t);
	}
}

static void test_defer(void **state)
{
	struct loop *l = *state;
	struct job j = { .task.fn = on_job, .loop = l }, other = j;

	loop_defer(l, &j.task);
	loop_defer(l, &j.task); /* queued already */
	loop_defer(l, &other.task);
	loop_turn(l, LIMIT); /* does not wait */
	assert_int_equal(j.runs, 1);
	assert_int_equal(other.runs, 1);
	loop_turn(l, 0);
	assert_int_equal(j.runs, 1);
	j.again = 3;
	loop_defer(l, &j.task);
	for (unsigned i = 0; i < 4; i++) {
		loop_turn(l, LIMIT);
		assert_int_equal(j.runs, i + 2); /* one run a turn */
	}
}

static void test_free_runs_deferred(void **state)
{
	struct loop *l = loop_new();
	struct job j = { .task.fn = on_job, .loop = l, .again = 2 };

	(void)state;
	loop_defer(l, &j.task);
	loop_free(l);
	assert_int_equal(j.runs, 3);
	loop_free(NULL);
}

static unsigned turns_seen;

static void on_turn(struct loop *l)
{
	(void)l;
	turns_seen++;
}

static void test_on_turn(void **state)
{
	struct loop *l = *state;

	turns_seen = 0;
	l->on_turn = on_turn;
	loop_turn(l, 0);
	loop_turn(l, 0);
	assert_int_equal(turns_seen, 2);
}

static void test_real_timer(void **state)
{
	struct loop *l = *state;
	struct alarm a = make_alarm(l);
	uint64_t start = clock_mono();

	l->now = start;
	loop_timer_set(l, &a.timer, 20 * NS_PER_MS);
	while (a.fired == 0 && clock_mono() - start < LIMIT) {
		assert_int_equal(loop_turn(l, LIMIT), OK);
	}
	assert_int_equal(a.fired, 1);
	assert_true(clock_mono() - start >= 20 * NS_PER_MS);
}

struct shared {
	struct loop *loop;
	_Atomic unsigned posted;
	unsigned seen;
	unsigned wakes;
	unsigned want;
};

static void on_wake(struct loop *l)
{
	struct shared *s = l->arg;

	s->wakes++;
	s->seen = atomic_load_explicit(&s->posted, memory_order_relaxed);
	if (s->seen == s->want) {
		l->stop = true;
	}
}

static void *post(void *arg)
{
	struct shared *s = arg;

	for (unsigned i = 0; i < 5000; i++) {
		atomic_fetch_add_explicit(&s->posted, 1, memory_order_relaxed);
		loop_wake(s->loop);
	}
	return NULL;
}

/* No wake-up is lost: the loop ends, because it sees what was posted last. */
static void test_wake_from_threads(void **state)
{
	struct loop *l = *state;
	struct shared s = { .loop = l, .want = 20000 };
	pthread_t threads[4];

	l->arg = &s;
	l->on_wake = on_wake;
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, post, &s), 0);
	}
	assert_int_equal(loop_run(l), OK);
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(s.seen, 20000);
	assert_in_range(s.wakes, 1, 20000);
}

static struct loop *signalled;

static void on_signal(int sig)
{
	(void)sig;
	signalled->stop = true;
	loop_wake(signalled);
}

static void test_stop_by_signal(void **state)
{
	const struct sigaction handler = { .sa_handler = on_signal };
	const struct itimerval soon = { .it_value = { .tv_usec = 20000 } };
	struct sigaction before;

	signalled = *state;
	assert_int_equal(sigaction(SIGALRM, &handler, &before), 0);
	assert_int_equal(setitimer(ITIMER_REAL, &soon, NULL), 0);
	assert_int_equal(loop_run(signalled), OK);
	assert_true(signalled->stop);
	sigaction(SIGALRM, &before, NULL);
}

static void test_stop_before_run(void **state)
{
	struct loop *l = *state;

	l->stop = true;
	assert_int_equal(loop_run(l), OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define WHEEL(f) cmocka_unit_test_setup_teardown(f, wheel_setup, teardown)
#define LOOP(f)  cmocka_unit_test_setup_teardown(f, loop_setup, teardown)
		WHEEL(test_timer_fires_once),
		WHEEL(test_timer_exact),
		WHEEL(test_timer_stop),
		WHEEL(test_timer_moved_later),
		WHEEL(test_timer_moved_earlier),
		WHEEL(test_timer_moved_beyond_revolution),
		WHEEL(test_timer_again),
		WHEEL(test_timer_stops_neighbour),
		WHEEL(test_timer_after_standstill),
		WHEEL(test_timer_set_before_run),
		WHEEL(test_timer_far_away),
		WHEEL(test_timer_random),
		LOOP(test_edge),
		LOOP(test_rearm),
		LOOP(test_level),
		LOOP(test_add_errors),
		LOOP(test_remove_pending),
		LOOP(test_close_pending),
		LOOP(test_many),
		LOOP(test_defer),
		cmocka_unit_test(test_free_runs_deferred),
		LOOP(test_on_turn),
		LOOP(test_real_timer),
		LOOP(test_wake_from_threads),
		LOOP(test_stop_by_signal),
		LOOP(test_stop_before_run),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
