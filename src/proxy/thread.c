/* SPDX-License-Identifier: Apache-2.0 */
/* Worker threads; see thread.h. */
#include "proxy/thread.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "proxy/back_http2.h"
#include "proxy/connections.h"
#include "proxy/exchange.h"
#include "proxy/http2.h"
#include "proxy/udp_impl.h"

#define TICK_QUIET   BOARD_PULSE_EVERY /* and so long at most between two signs of life */
#define TICK_PRESSED (8 * NS_PER_MS)   /* while requests wait or listeners pause */
#define PULSE_LEAST  (BOARD_PULSE_EVERY / 4)
#define DRAIN_IDLE   NS_PER_S /* a draining thread closes what was idle for so long */

uint64_t thread_wall_ms(struct thread *t)
{
	if (t->date_of != t->loop->now) {
		t->date_of = t->loop->now;
		t->date_ms = clock_wall_ms();
	}
	return t->date_ms;
}

static void reap(struct loop_task *task)
{
	struct thread *t = CONTAINER_OF(task, struct thread, reaper);
	struct exchange *x;
	struct upstream *u;
	struct client *c;

	while ((x = STAILQ_FIRST(&t->dead_exchanges)) != NULL) {
		STAILQ_REMOVE_HEAD(&t->dead_exchanges, dead);
		if (x->server != NULL)
			server_unuse(x->server);
		flow_free(&x->hold);
		flow_free(&x->rin);
		flow_free(&x->trailers);
		flow_free(&x->rtrailers);
		free(x->reason);
		if (x->head != x->head_space)
			free(x->head);
		listener_unuse(x->listener);
		view_drop(x->view);
		x->magic = 0;
		slab_put(x->raw ? &t->raw_slab : &t->exchange_slab, x);
	}
	udp_reap(t);
	while ((u = STAILQ_FIRST(&t->dead_upstreams)) != NULL) {
		STAILQ_REMOVE_HEAD(&t->dead_upstreams, dead);
		slab_put(&t->upstream_slab, u);
	}
	if (t->up != NULL)
		up_thread_reap(t->up);
	while ((c = STAILQ_FIRST(&t->dead_clients)) != NULL) {
		STAILQ_REMOVE_HEAD(&t->dead_clients, dead);
		slab_put(&t->client_slab, c);
	}
}

/* --- hand-over ------------------------------------------------------------------------------ */

void thread_order(struct thread *t, struct snapshot *next, enum thread_order order)
{
	struct proxy *p = t->proxy;

	pthread_mutex_lock(&p->lock);
	t->next = next;
	t->order = order;
	t->wanted++;
	pthread_mutex_unlock(&p->lock);
	loop_wake(t->loop);
}

void thread_certs(struct thread *t)
{
	struct proxy *p = t->proxy;

	pthread_mutex_lock(&p->lock);
	t->certs = true;
	t->wanted++;
	pthread_mutex_unlock(&p->lock);
	loop_wake(t->loop);
}

void thread_wait(struct thread *t)
{
	struct proxy *p = t->proxy;

	pthread_mutex_lock(&p->lock);
	while (t->acked != t->wanted)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

static void take_over(struct thread *t, struct snapshot *next, enum thread_order order)
{
	struct view *old = t->view;

	if (next != NULL) {
		struct view *v = view_new(t, next);

		if (v == NULL) {
			log_error("reload_lost", NULL,
			          "thread %u: out of memory, it keeps the old "
			          "configuration",
			          t->index);
			return;
		}
		t->view = v;
		if (order == THREAD_RUN) {
			listeners_update(t, v);
			udp_update(t, v);
		}
		servers_sweep(t, next);
		udp_sweep(t);
		if (old != NULL)
			view_drop(old);
	}
	t->closing = order != THREAD_RUN;
	if (t->closing) {
		listeners_close(t);
		udp_close(t);
		upstream_evict(t, UINT32_MAX);
		t->drain_since = order == THREAD_DRAIN ? t->loop->now : 0;
	}
	http2_drain(t);
}

static void on_wake(struct loop *l)
{
	struct thread *t = l->arg;
	struct proxy *p = t->proxy;
	struct snapshot *next;
	enum thread_order order;
	uint64_t wanted;
	bool certs, listing;

	pthread_mutex_lock(&p->lock);
	listing = t->listing;
	t->listing = false;
	certs = t->certs;
	t->certs = false;
	next = t->next;
	order = t->order;
	wanted = t->wanted;
	t->next = NULL;
	pthread_mutex_unlock(&p->lock);
	if (wanted != t->acked) {
		if (!certs || next != NULL)
			take_over(t, next, order);
		else if (t->view != NULL) {
			listeners_certs(t);
			view_certs(t->view);
		}
		pthread_mutex_lock(&p->lock);
		t->acked = wanted;
		pthread_cond_broadcast(&p->changed);
		pthread_mutex_unlock(&p->lock);
	}
	if (listing)
		connections_fill(t, p->list);
	queue_all(t);
}

/* --- the tick ------------------------------------------------------------------------------- */

static bool is_pressed(const struct thread *t)
{
	const struct listener *l;

	if (t->nwaiting > 0)
		return true;
	TAILQ_FOREACH (l, &t->listeners, link)
		if (l->paused)
			return true;
	return false;
}

/* A draining thread: connections that have been silent since before are closed; the others get
 * their last answer with the next request. */
static void close_silent(struct thread *t)
{
	struct client *c, *next;

	if (t->drain_since == 0 || t->loop->now - t->drain_since < DRAIN_IDLE)
		return;
	for (c = TAILQ_FIRST(&t->idle); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		if (!c->reading && (c->state == CLIENT_IDLE || c->state == CLIENT_FRESH))
			client_close(c, false);
	}
}

static void on_tick(struct loop_timer *timer)
{
	struct thread *t = CONTAINER_OF(timer, struct thread, tick);
	uint64_t epoch = atomic_load(board_epoch(t->proxy->role->board));

	if (t->view != NULL && epoch != t->swept_epoch) {
		t->swept_epoch = epoch;
		servers_sweep(t, t->view->snap);
		udp_sweep(t);
		queue_all(t);
	}
	if (t->nwaiting > 0)
		queue_all(t);
	if (!t->closing)
		listeners_resume(t);
	close_silent(t);
	loop_timer_set(t->loop, timer, is_pressed(t) ? TICK_PRESSED : TICK_QUIET);
}

/* A sign of life after a turn: most of them see that the last one is fresh. */
static void on_turn(struct loop *l)
{
	struct thread *t = l->arg;

	if (l->now - t->pulsed < PULSE_LEAST)
		return;
	t->pulsed = l->now;
	atomic_store_explicit(&t->pulse->ns, l->now, memory_order_relaxed);
}

static void *thread_main(void *arg)
{
	struct thread *t = arg;
	char name[16];

	snprintf(name, sizeof(name), "proxy/%u", t->index);
	pthread_setname_np(pthread_self(), name);
	loop_timer_set(t->loop, &t->tick, TICK_QUIET);
	if (loop_run(t->loop) != OK)
		log_error("thread_lost", NULL, "thread %u: its loop failed", t->index);
	atomic_store(&t->pulse->ns, 0);
	return NULL;
}

struct thread *thread_start(struct proxy *p, unsigned index)
{
	struct thread *t = calloc(1, sizeof(*t));

	if (t == NULL)
		return NULL;
	t->proxy = p;
	t->index = index;
	t->loop = loop_new();
	t->by_slot = calloc(BOARD_MAX_SERVERS, sizeof(struct server *));
	t->by_pool = calloc(BOARD_MAX_POOLS, sizeof(struct pool_shared *));
	TAILQ_INIT(&t->exchanges);
	TAILQ_INIT(&t->clients);
	TAILQ_INIT(&t->idle);
	TAILQ_INIT(&t->servers);
	TAILQ_INIT(&t->listeners);
	TAILQ_INIT(&t->queues);
	STAILQ_INIT(&t->dead_exchanges);
	STAILQ_INIT(&t->dead_clients);
	STAILQ_INIT(&t->dead_upstreams);
	slab_init(&t->client_slab, sizeof(struct client));
	slab_init(&t->exchange_slab, sizeof(struct exchange));
	TAILQ_INIT(&t->udp_listeners);
	STAILQ_INIT(&t->dead_sessions);
	t->udp_key[0] = random_u64();
	t->udp_key[1] = random_u64();
	slab_init(&t->session_slab, sizeof(struct udp_session));
	slab_init(&t->raw_slab, offsetof(struct exchange, head_space));
	slab_init(&t->upstream_slab, sizeof(struct upstream));
	t->reaper.fn = reap;
	t->queue_task.fn = queue_task;
	t->tick.fn = on_tick;
	t->log = access_log_ring(p->log, index);
	t->pulse = board_pulse(p->role->board, p->role->instance, index);
	board_thread_used(p->role->board, p->role->instance, index);
	if (t->loop != NULL && t->by_slot != NULL && t->by_pool != NULL) {
		t->loop->arg = t;
		t->loop->on_wake = on_wake;
		t->loop->on_turn = on_turn;
		if (pthread_create(&t->id, NULL, thread_main, t) == 0) {
			t->started = true;
			return t;
		}
	}
	thread_stop(t);
	return NULL;
}

void thread_stop(struct thread *t)
{
	if (t->started) {
		atomic_store(&t->loop->stop, true);
		loop_wake(t->loop);
		pthread_join(t->id, NULL);
	}
	/* The process ends with its threads: the kernel takes back what connections hold. */
	loop_free(t->loop);
	http2_thread_free(t->http2);
	free(t->by_slot);
	free(t->by_pool);
	free(t);
}
