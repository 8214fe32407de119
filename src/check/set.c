/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sets of pools and servers: made of a configuration, compared with the one in force, put into
 * force. Role check, main thread.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "check/server.h"

/* A check that is a program need not have an address. */
static bool same_address(const struct net_addr *a, const struct net_addr *b)
{
	return a->len == 0 ? b->len == 0 : net_addr_eq(a, b);
}

/* The object of the set in force that goes on as this server; NULL when it is another one. */
static struct check_server *same_server(struct check *c, const struct check_pool *pool,
                                        const struct conf_server *conf)
{
	struct check_server *s = c->by_slot[conf->slot];

	if (s == NULL || !str_eq(s->conf->id, conf->id) ||
	    !same_address(&s->conf->address, &conf->address)) {
		return NULL;
	}
	return s->pool->conf->check.probe == pool->conf->check.probe ||
	               pool->conf->check.probe == PROBE_NONE
	           ? s
	           : NULL;
}

/* At a start, the board may hold what an earlier process of this role knew. */
static void restore(struct check *c, struct check_server *s)
{
	struct board_server *b = board_server(c->role->board, s->conf->slot);
	union server_word word = board_server_word(b);
	char reason[sizeof(b->reason)];

	memcpy(reason, b->reason, sizeof(reason));
	reason[sizeof(reason) - 1] = '\0';
	damp_restore(&s->damp, s->pool->conf, word, reason, c->env.loop->now);
}

static struct check_server *find_or_make(struct check *c, struct check_pool *pool,
                                         const struct conf_server *conf)
{
	struct check_server *old = c->by_slot[conf->slot];
	struct check_server *s = same_server(c, pool, conf);

	if (s != NULL) {
		return s;
	}
	s = check_server_new(c, pool, conf, c->now == NULL);
	if (s == NULL) {
		return NULL;
	}
	if (c->now == NULL) {
		restore(c, s);
	} else if (old != NULL && str_eq(old->conf->id, conf->id)) {
		s->damp.order = old->damp.order; /* an order is for the name */
	}
	return s;
}

static int fill_pool(struct check *c, struct check_set *set, struct check_pool *pool,
                     const struct store *store, char *why, size_t why_size)
{
	const struct conf_pool *conf = pool->conf;
	int err = check_tls_pool(pool, store, why, why_size);

	if (err != OK && c->now == NULL) { /* at a start all other checks are more important */
		log_error("check_not_run", conf->name.s, "%s", why);
	} else if (err != OK) {
		return err;
	}
	(void)snprintf(why, why_size, "out of memory for the servers");
	pool->text.http2 = conf_check_h2(conf);
	if (conf->check.probe == PROBE_HTTP &&
	    probe_http_text(&conf->check, &set->arena, &pool->text) != OK) {
		return ERR_NOMEM;
	}
	pool->servers = arena_alloc(&set->arena, conf->nservers * sizeof(*pool->servers) + 1);
	if (pool->servers == NULL) {
		return ERR_NOMEM;
	}
	for (uint32_t i = 0; i < conf->nservers; i++) {
		CHECK(conf->servers[i].slot < BOARD_MAX_SERVERS);
		pool->servers[i] = find_or_make(c, pool, &conf->servers[i]);
		if (pool->servers[i] == NULL) {
			return ERR_NOMEM;
		}
		set->nservers++;
	}
	return OK;
}

int check_set_new(struct check *c, const struct role_conf *role_conf, struct check_set **ret,
                  char *why, size_t why_size)
{
	struct check_set *set = calloc(1, sizeof(*set));
	const struct conf *conf = role_conf->conf;
	struct store *store;
	int err = OK;

	(void)snprintf(why, why_size, "out of memory for the servers");
	if (set == NULL) {
		return ERR_NOMEM;
	}
	set->conf = conf;
	set->npools = conf->npools;
	set->pools =
	    arena_alloc(&set->arena, (conf->npools + conf->nchecks) * sizeof(*set->pools) + 1);
	if (set->pools == NULL) {
		check_set_free(c, set);
		return ERR_NOMEM;
	}
	store = check_tls_store(role_conf);
	for (uint32_t i = 0; err == OK && i < conf->npools + conf->nchecks; i++) {
		struct check_pool *pool = &set->pools[i];

		pool->named = i >= conf->npools;
		pool->conf = pool->named ? &conf->checks[i - conf->npools] : &conf->pools[i];
		set->nall++;
		err = fill_pool(c, set, pool, store, why, why_size);
	}
	if (store != NULL) {
		store_unmap(store);
	}
	if (err != OK) {
		check_set_free(c, set);
		return err;
	}
	*ret = set;
	return OK;
}

uint32_t check_pool_in_service(const struct check_pool *pool)
{
	uint32_t n = 0;

	for (uint32_t k = 0; k < pool->conf->nservers; k++) {
		const struct damp *d = &pool->servers[k]->damp;

		n += d->state == SERVER_UP && d->order == ORDER_READY;
	}
	return n;
}

static bool in_force(const struct check *c, const struct check_server *s)
{
	return s->board != NULL && c->by_slot[s->conf->slot] == s;
}

static void begin(struct check *c, struct check_server *s, uint32_t *n)
{
	bool known = s->damp.state != SERVER_UNPROVED;

	if (!in_force(c, s)) {
		check_server_begin(s, known ? 0 : (*n)++, known);
	}
}

void check_set_begin(struct check *c, struct check_set *set)
{
	uint32_t n = 0;
	bool more = true;

	/* The first server of every pool first, so that each pool soon has one that is proven. */
	for (uint32_t k = 0; more; k++) {
		more = false;
		for (uint32_t i = 0; i < set->nall; i++) {
			if (k < set->pools[i].conf->nservers) {
				begin(c, set->pools[i].servers[k], &n);
				more = true;
			}
		}
	}
}

void check_set_free(struct check *c, struct check_set *set)
{
	for (uint32_t i = 0; i < set->nall; i++) {
		struct check_pool *pool = &set->pools[i];

		for (uint32_t k = 0; pool->servers != NULL && k < pool->conf->nservers; k++) {
			if (pool->servers[k] != NULL && !in_force(c, pool->servers[k])) {
				check_server_free(pool->servers[k]);
			}
		}
	}
	for (uint32_t i = 0; i < set->nall; i++) {
		tls_client_free(set->pools[i].tls); /* connections keep what they need of it */
	}
	arena_free(&set->arena);
	free(set);
}

static void enter(struct check *c, struct check_pool *pool, uint32_t k)
{
	struct check_server *s = pool->servers[k];
	const struct conf_server *conf = &pool->conf->servers[k];

	if (s->pool != pool) {
		s->board = NULL; /* counted anew below */
		check_server_move(s, pool, conf);
	} else if (pool->conf->check.probe == PROBE_EXEC && s->first && !s->probe.running) {
		check_server_begin(s, 0, false); /* now the parent runs its program */
	}
	c->by_slot[conf->slot] = s;
	check_publish_all(s, board_server(c->role->board, conf->slot));
}

void check_set_commit(struct check *c, struct check_set *set)
{
	struct check_set *old = c->now;

	memset(c->by_slot, 0, sizeof(c->by_slot));
	c->unproved = 0;
	c->now = set;
	for (uint32_t i = 0; i < set->nall; i++) {
		for (uint32_t k = 0; k < set->pools[i].conf->nservers; k++) {
			enter(c, &set->pools[i], k);
		}
	}
	if (old != NULL) {
		check_set_free(c, old);
	}
}

uint32_t check_set_wait(struct check_set *set)
{
	for (uint32_t i = 0; i < set->npools; i++) {
		struct check_pool *pool = &set->pools[i];

		pool->waiting = pool->conf->check.probe != PROBE_NONE &&
		                pool->conf->check.probe != PROBE_EXEC && pool->conf->nservers != 0;
	}
	return check_set_waiting(set);
}

static bool is_settled(const struct check_pool *pool)
{
	uint32_t down = 0;

	for (uint32_t k = 0; k < pool->conf->nservers; k++) {
		const struct damp *d = &pool->servers[k]->damp;

		if (d->state == SERVER_UP) {
			return true;
		}
		down += d->state == SERVER_DOWN;
	}
	return down == pool->conf->nservers;
}

uint32_t check_set_waiting(struct check_set *set)
{
	uint32_t waiting = 0;

	for (uint32_t i = 0; i < set->npools; i++) {
		struct check_pool *pool = &set->pools[i];

		pool->waiting = pool->waiting && !is_settled(pool);
		waiting += pool->waiting;
	}
	return waiting;
}
