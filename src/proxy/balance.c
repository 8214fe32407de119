/* SPDX-License-Identifier: Apache-2.0 */
/* The table of balancing algorithms, their common memory, and which servers count at all. Proxy
 * role; each state belongs to one thread. */
#include "proxy/balance.h"

#include <stdlib.h>

#include "base/check.h"
#include "proxy/balance_impl.h"
#include "stat/board.h"

const struct balance_ops *const balance_table[] = {
	[BALANCE_ROUND_ROBIN] = &balance_round_robin, [BALANCE_LEAST_CONN] = &balance_least_conn,
	[BALANCE_RANDOM_TWO] = &balance_random_two,   [BALANCE_SOURCE_HASH] = &balance_source_hash,
	[BALANCE_HEADER_HASH] = &balance_header_hash,
};

struct balance *balance_new(const struct conf_pool *pool, uint64_t seed)
{
	const struct balance_ops *ops;
	struct balance *b;
	size_t size;

	CHECK(pool->balance < ARRAY_LEN(balance_table));
	ops = balance_table[pool->balance];
	size = (ops->size(pool->nservers) + 15) / 16 * 16;
	b = calloc(1, size + pool->nservers * sizeof(b->weights[0]));
	if (b == NULL)
		return NULL;
	b->ops = ops;
	b->rng = seed;
	b->n = pool->nservers;
	b->weights = (uint16_t *)((char *)b + size);
	ops->init(b, pool, seed);
	return b;
}

void balance_free(struct balance *b)
{
	free(b);
}

void balance_update(struct balance *b, const uint16_t *weights)
{
	/* The algorithm sees the old weights in b->weights and the new ones beside them. */
	b->ops->update(b, weights);
	memcpy(b->weights, weights, b->n * sizeof(b->weights[0]));
}

int balance_pick(struct balance *b, const struct balance_pick *p)
{
	return b->ops->pick(b, p);
}

static uint64_t key_of(const void *data, size_t len)
{
	uint64_t key = hash_bytes(0, data, len);

	return key != 0 ? key : 1;
}

uint64_t balance_key(const struct conf_pool *pool, const struct http_head *h,
                     const struct net_addr *client)
{
	if (pool->balance == BALANCE_HEADER_HASH) {
		const struct http_field *f = http_field_named(h, pool->hash_header);

		return f != NULL ? key_of(f->value.s, f->value.len) : 0;
	}
	if (pool->balance != BALANCE_SOURCE_HASH)
		return 0;
	if (client->sa.sa_family == AF_INET)
		return key_of(&client->in.sin_addr, 4);
	if (client->sa.sa_family != AF_INET6)
		return 0;
	if (IN6_IS_ADDR_V4MAPPED(&client->in6.sin6_addr))
		return key_of(&client->in6.sin6_addr.s6_addr[12], 4);
	return key_of(&client->in6.sin6_addr, 16);
}

static bool is_up(union server_word w)
{
	return w.state == SERVER_UP && w.ejected == 0;
}

/* Servers that the checks have judged and nobody has ordered out: those a panic may turn to. */
static bool is_judged(union server_word w)
{
	return w.order == ORDER_READY && w.state != SERVER_UNPROVED;
}

/* weight x ramp percent, at least 1 so that the slowest start still takes something. */
static uint16_t effective(const struct conf_server *s, union server_word w, bool panic)
{
	uint32_t ramp = is_up(w) && w.ramp >= 1 && w.ramp <= 100 ? w.ramp : 100;

	if (panic && !is_up(w))
		ramp = 100;
	return (uint16_t)(MIN(s->weight, 256) * ramp);
}

unsigned balance_weights(const struct conf_pool *pool, const uint64_t *words, uint16_t *weights,
                         bool *panic)
{
	unsigned up[2] = { 0, 0 }, judged[2] = { 0, 0 }, eligible = 0;
	bool backups;

	for (unsigned i = 0; i < pool->nservers; i++) {
		const struct conf_server *s = &pool->servers[i];
		union server_word w = { .word = words[i] };

		if (s->weight == 0 || !is_judged(w))
			continue;
		judged[s->backup]++;
		up[s->backup] += is_up(w);
	}
	backups = up[0] == 0;
	*panic = up[backups] > 0 && up[backups] * 100 < pool->panic_threshold * judged[backups];
	for (unsigned i = 0; i < pool->nservers; i++) {
		const struct conf_server *s = &pool->servers[i];
		union server_word w = { .word = words[i] };
		bool takes = *panic || (is_up(w) && s->backup == backups);

		weights[i] = is_judged(w) && takes ? effective(s, w, *panic) : 0;
		eligible += weights[i] > 0;
	}
	return eligible;
}
