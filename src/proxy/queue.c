/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues: requests for which every server of a pool is full wait, first come first, on their own
 * thread. A place that comes free goes to this thread's queue, or, in proportion, to another's.
 */
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/exchange.h"

void queue_join(struct exchange *x)
{
	struct thread *t = x->thread;
	const struct conf_pool *p = x->pool->conf;
	struct pool_shared *s = x->pool->shared;
	_Atomic uint32_t *queued = &t->proxy->queued[p->slot];

	if (atomic_fetch_add(queued, 1) >= p->queue_length) {
		atomic_fetch_sub(queued, 1);
		stat_add(&x->pool->stat->c[STAT_REFUSED], 1);
		exchange_fail(x, 503, "every server of pool %s is full and its queue too",
		              p->name.s);
		return;
	}
	if (x->queue_since == 0) {
		x->queue_since = t->loop->now;
		stat_add(&x->pool->stat->c[STAT_QUEUED], 1);
	}
	x->state = X_QUEUED;
	TAILQ_INSERT_TAIL(&s->waiting, x, waiting);
	if (s->nwaiting++ == 0)
		TAILQ_INSERT_TAIL(&t->queues, s, link);
	t->nwaiting++;
	exchange_arm(x);
}

void queue_leave(struct exchange *x)
{
	struct pool_shared *s = x->pool->shared;

	CHECK(x->state == X_QUEUED);
	TAILQ_REMOVE(&s->waiting, x, waiting);
	if (--s->nwaiting == 0)
		TAILQ_REMOVE(&x->thread->queues, s, link);
	x->thread->nwaiting--;
	atomic_fetch_sub(&x->thread->proxy->queued[x->pool->conf->slot], 1);
	x->state = X_NEW;
	loop_timer_stop(x->thread->loop, &x->timer);
}

/* The first of the queue tries again; false when it is back in the queue or there is none. */
static bool queue_try(struct thread *t, struct pool_shared *s)
{
	struct exchange *x = TAILQ_FIRST(&s->waiting);

	if (x == NULL)
		return false;
	queue_leave(x);
	attempt_start(x);
	if (x->state != X_QUEUED)
		return true;
	/* Still full: it keeps its turn. */
	TAILQ_REMOVE(&s->waiting, x, waiting);
	TAILQ_INSERT_HEAD(&s->waiting, x, waiting);
	return false;
}

static void wake_others(struct thread *t)
{
	struct proxy *p = t->proxy;
	const unsigned n = p->nthreads;
	unsigned i;

	for (i = 0; i < n; i++)
		if (p->threads[i] != t)
			loop_wake(p->threads[i]->loop);
}

void queue_next(struct thread *t, uint32_t pool_slot)
{
	uint32_t all = atomic_load_explicit(&t->proxy->queued[pool_slot], memory_order_relaxed);
	struct pool_shared *s = t->by_pool[pool_slot];

	if (likely(all == 0))
		return;
	/* Fair in proportion: others that wait get their share of the places. */
	if (s == NULL || s->nwaiting == 0 || random_below(all) >= s->nwaiting)
		wake_others(t);
	else
		loop_defer(t->loop, &t->queue_task); /* not under the feet of who just let go */
}

void queue_all(struct thread *t)
{
	struct pool_shared *s;
	unsigned n = 0;

	/* Trying takes queues off the list and puts them at its end: as many turns as there are
	 * queues now, not until the end of the list. */
	TAILQ_FOREACH (s, &t->queues, link)
		n++;
	while (n-- > 0 && (s = TAILQ_FIRST(&t->queues)) != NULL) {
		TAILQ_REMOVE(&t->queues, s, link);
		TAILQ_INSERT_TAIL(&t->queues, s, link);
		while (queue_try(t, s))
			;
	}
}

void queue_task(struct loop_task *task)
{
	queue_all(CONTAINER_OF(task, struct thread, queue_task));
}
