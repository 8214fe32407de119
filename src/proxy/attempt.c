/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attempts: choosing a server, reaching it, and what follows when that came to nothing. A request
 * is sent again only where no byte of a response came and either nothing of it was sent or it is
 * idempotent and has no body (RFC 9110, 9.2.2). Proxy role, one worker thread each.
 */
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "proxy/exchange.h"
#include "proxy/tcp.h"

#define UNPROCESSED_MAX 3 /* attempts that a server may refuse; then another's turn comes */

struct choice {
	struct exchange *x;
	bool full; /* a server was passed over because it has no place left */
};

static bool choice_skip(void *arg, unsigned i)
{
	struct choice *choice = arg;
	struct exchange *x = choice->x;
	struct server *s = x->pool->servers[i];
	uint32_t max = pool_server_max(x->pool, i);
	unsigned n;

	for (n = 0; n < x->ntried; n++)
		if (x->tried[n] == s)
			return true;
	if (max != 0 && atomic_load_explicit(&s->live->active, memory_order_relaxed) >= max) {
		choice->full = true;
		return true;
	}
	return false;
}

static uint32_t choice_load(void *arg, unsigned i)
{
	struct choice *choice = arg;

	return atomic_load_explicit(&choice->x->pool->servers[i]->live->active,
	                            memory_order_relaxed);
}

/* Takes a place at a server: OK, ERR_FULL when all that would do are full, ERR_NOT_FOUND. */
static int choose(struct exchange *x)
{
	struct pool *p = x->pool;
	struct choice choice = { .x = x };
	const struct balance_pick pick = {
		.hash = x->hash, .skip = choice_skip, .load = choice_load, .arg = &choice
	};
	unsigned turns;

	for (turns = 0; turns < 8; turns++) {
		int i = balance_pick(p->balance, &pick);

		if (i < 0)
			return choice.full ? ERR_FULL : ERR_NOT_FOUND;
		if (!server_take(p->servers[i], pool_server_max(p, (unsigned)i)))
			continue; /* another thread was faster */
		x->server = p->servers[i];
		x->server->users++;
		x->placed = true;
		return OK;
	}
	return ERR_FULL;
}

/* x's pool with weights up to date; NULL when out of memory. */
static struct pool *pool_again(struct exchange *x)
{
	return view_pool(x->view, (uint32_t)(x->pool->conf - x->view->snap->conf->pools));
}

static void why_no_server(const struct exchange *x, char *out, size_t size)
{
	const struct pool *p = x->pool;
	unsigned counts[3] = { 0 }; /* down, draining, disabled */
	const char *reason = NULL;
	uint32_t i;

	for (i = 0; i < p->conf->nservers; i++) {
		union server_word w = board_server_word(p->servers[i]->board);

		if (w.order == ORDER_DISABLE)
			counts[2]++;
		else if (w.order == ORDER_DRAIN)
			counts[1]++;
		else if (w.state != SERVER_UP) {
			counts[0]++;
			if (reason == NULL && p->servers[i]->board->reason[0] != '\0')
				reason = p->servers[i]->board->reason;
		}
	}
	snprintf(out, size, "%u down%s%s", counts[0], reason ? ": " : "", reason ? reason : "");
	if (counts[1] + counts[2] > 0) {
		size_t n = strlen(out);

		snprintf(out + n, size - n, "; %u draining, %u disabled", counts[1], counts[2]);
	}
}

/* What is wrong with a server's certificate is worth more than that something is. */
static const char *fail_words(const struct server *s, enum fail_why why)
{
	return why == FAIL_TLS ? s->tls_why : fail_text(why);
}

/* What the client is told when it was the last failure. */
static unsigned fail_status(enum fail_why why)
{
	return why == FAIL_TIMEOUT || why == FAIL_CONNECT_TIMEOUT ? 504
	       : why == FAIL_WEBSOCKET                            ? 501
	                                                          : 502;
}

static void no_server(struct exchange *x)
{
	char why[256];

	if (x->ntried > 0) {
		exchange_fail(x, fail_status((enum fail_why)x->last_fail),
		              "no other server in pool %s after %u attempts: %s",
		              x->pool->conf->name.s, x->attempts,
		              fail_words(x->tried[x->ntried - 1], (enum fail_why)x->last_fail));
		return;
	}
	why_no_server(x, why, sizeof(why));
	exchange_fail(x, 503, "no healthy server in pool %s (%s)", x->pool->conf->name.s, why);
}

/* Sends what there is of the request. What has come since brings no event of its own; while the
 * client's bytes are being looked at, client_read() goes on with it. */
static void forward(struct exchange *x)
{
	struct client *c = x->client;

	if (x->raw)
		tcp_connected(x);
	else if (request_send(x) && !c->reading)
		request_pump(x);
}

/* Sends on a connection that is there or makes one. */
static void reach(struct exchange *x)
{
	enum fail_why why = FAIL_NONE;
	int err;

	x->attempts++;
	x->sent = false;
	x->reused = false;
	err = x->back->open(x, &why);
	x->fresh = false;
	if (err == OK) {
		forward(x);
	} else if (err == ERR_AGAIN) {
		x->state = X_CONNECTING;
		exchange_arm(x);
	} else {
		attempt_failed(x, why);
	}
}

void attempt_start(struct exchange *x)
{
	struct pool *p = x->pool;
	int err;

	if (x->server != NULL && x->fresh) { /* the same server once more, by a new connection */
		reach(x);
		return;
	}
	if (pool_again(x) == NULL || p->eligible == 0) {
		no_server(x);
		return;
	}
	err = choose(x);
	if (err == OK) {
		stat_add(&x->server->stat->c[STAT_ACTIVE], 1);
		reach(x);
	} else if (err == ERR_FULL) {
		queue_join(x);
	} else {
		no_server(x);
	}
}

void attempt_ready(struct exchange *x)
{
	if (x->raw)
		tcp_connected(x);
	else if (request_send(x) && request_pump(x))
		response_pump(x);
}

/* Gives the place back; the connection is kept or closed. */
void attempt_release(struct exchange *x, bool keep)
{
	struct server *s = x->server;

	if (x->back != NULL)
		x->back->release(x, keep);
	if (x->placed) {
		x->placed = false;
		server_give(s);
		stat_add(&s->stat->c[STAT_ACTIVE], (uint64_t)-1);
		queue_next(x->thread, x->pool->conf->slot);
	}
}

void attempt_succeeded(struct exchange *x)
{
	server_succeeded(x->server);
}

static bool is_connect_failure(enum fail_why why)
{
	return why == FAIL_REFUSED || why == FAIL_UNREACHABLE || why == FAIL_CONNECT_TIMEOUT ||
	       why == FAIL_CONNECT || why == FAIL_LOCAL || why == FAIL_TLS || why == FAIL_HTTP2;
}

/* Whether the failed attempt cost the server anything: one where nobody listens cannot be stormed,
 * and while it is not yet known to be down no request shall fail for want of budget. */
static bool is_budgeted(enum fail_why why)
{
	return why != FAIL_REFUSED && why != FAIL_UNREACHABLE && why != FAIL_WEBSOCKET;
}

static unsigned retries_of(const struct exchange *x)
{
	return x->route != NULL && x->route->retries >= 0 ? (unsigned)x->route->retries
	                                                  : x->pool->conf->retries;
}

/* Leaves the failed server for good. */
static void leave(struct exchange *x)
{
	stat_add(&x->server->stat->c[STAT_RETRIES], 1);
	attempt_release(x, false);
	if (x->ntried < EXCHANGE_TRIED)
		x->tried[x->ntried++] = x->server;
	server_unuse(x->server);
	x->server = NULL;
}

/* Another attempt is due: forgets what belongs to the one that failed. */
static void again(struct exchange *x)
{
	stat_add(&x->pool->stat->c[STAT_RETRIES], 1);
	flow_free(&x->rin);
	x->rscanned = 0;
	x->interim = 0;
	x->upload_dead = false;
	x->state = X_NEW;
	attempt_start(x);
}

static void give_up(struct exchange *x, enum fail_why why, const char *note)
{
	const char *bad = why == FAIL_BAD_RESPONSE ? x->bad : NULL;
	const char *name =
	    board_slot_name(x->thread->proxy->role->board, BOARD_SERVER, x->server->slot);

	exchange_fail(x, why == FAIL_LOCAL ? 503 : fail_status(why),
	              "server %s: %s%s%s (attempt %u%s)", name ? name : "?",
	              fail_words(x->server, why), bad ? ": " : "", bad ? bad : "", x->attempts,
	              note);
}

void attempt_failed(struct exchange *x, enum fail_why why)
{
	/* A kept connection that the server closed meanwhile: no failure of the server. */
	const bool stale =
	    x->reused && x->sent && !x->got && (why == FAIL_RESET || why == FAIL_CLOSED);
	const bool may = x->status == 0 && !x->got && (!x->sent || x->repeatable);

	CHECK(x->server != NULL);
	x->last_fail = (uint8_t)why;
	loop_timer_stop(x->thread->loop, &x->timer);
	if (stale && may) {
		x->back->release(x, false);
		x->fresh = true;
		again(x);
		return;
	}
	if (!stale && why != FAIL_WEBSOCKET) /* which it need not offer */
		server_failed(x->server, &x->pool->conf->passive, why);
	if (why != FAIL_WEBSOCKET)
		stat_add(&x->server->stat->c[is_connect_failure(why) ? STAT_CONNECT_ERRORS
		                                                     : STAT_RESPONSE_ERRORS],
		         1);
	if (!may) {
		give_up(x, why, x->sent && !x->got ? "; it may not be sent twice" : "");
	} else if (why == FAIL_LOCAL &&
	           upstream_evict(x->thread, 16) + client_evict(x->thread, 16) == 0) {
		give_up(x, why, "");
	} else if (x->attempts > retries_of(x)) {
		give_up(x, why, retries_of(x) > 0 ? ", no retries left" : "");
	} else if (is_budgeted(why) &&
	           !retry_budget_take(&x->pool->shared->budget, x->thread->loop->now,
	                              x->pool->conf->retry_budget)) {
		stat_add(&x->pool->stat->c[STAT_BUDGET], 1);
		give_up(x, why, "; the pool's retry budget is used up");
	} else {
		leave(x);
		x->fresh = false;
		again(x);
	}
}

void attempt_unprocessed(struct exchange *x, enum fail_why why)
{
	/* RFC 9113, 8.7: the server did nothing of it. What was sent of its body is needed again.
	 */
	if (x->holds && !x->got)
		x->sent = false;
	if (x->sent || x->status != 0 || x->unprocessed++ >= UNPROCESSED_MAX) {
		attempt_failed(x, why);
		return;
	}
	loop_timer_stop(x->thread->loop, &x->timer);
	x->last_fail = (uint8_t)why;
	x->back->release(x, false);
	x->attempts--; /* it was none */
	x->fresh = true;
	again(x);
}

void attempt_move(struct exchange *x)
{
	const struct pool *p;

	if ((x->state != X_SENT && x->state != X_CONNECTING) || x->got ||
	    (x->sent && !x->repeatable))
		return;
	p = pool_again(x);
	if (p == NULL || p->eligible == 0 || p->panic)
		return;
	x->last_fail = FAIL_TIMEOUT;
	loop_timer_stop(x->thread->loop, &x->timer);
	leave(x);
	x->fresh = false;
	again(x);
}
