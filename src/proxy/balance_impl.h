/* SPDX-License-Identifier: Apache-2.0 */
/* What the balancing algorithms share: the head of their state, random numbers of their own. Only
 * balance*.c include this. */
#ifndef PROXY_BALANCE_IMPL_H
#define PROXY_BALANCE_IMPL_H

#include "proxy/balance.h"

/* Each algorithm's state begins with this and lies in one piece of memory of ops->size() bytes. */
struct balance {
	const struct balance_ops *ops;
	uint64_t rng; /* of this pool on this thread, so that a seed repeats a run */
	uint32_t n;
	uint16_t *weights; /* effective; behind the algorithm's own state */
};

extern const struct balance_ops balance_round_robin;
extern const struct balance_ops balance_least_conn;
extern const struct balance_ops balance_random_two;
extern const struct balance_ops balance_source_hash;
extern const struct balance_ops balance_header_hash;

/* The two hashes differ in nothing but where the proxy takes the key from (balance_hash.c). */
size_t balance_hash_size(unsigned nservers);
void balance_hash_init(struct balance *b, const struct conf_pool *pool, uint64_t seed);
void balance_hash_update(struct balance *b, const uint16_t *weights);
int balance_hash_pick(struct balance *b, const struct balance_pick *p);

/* splitmix64: each step is a full mix of a counter. */
static inline uint64_t balance_random(struct balance *b)
{
	uint64_t x = (b->rng += 0x9e3779b97f4a7c15ULL);

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
	return x ^ (x >> 31);
}

/* Even over 0 … bound-1 (to 2^-32); bound > 0. */
static inline uint32_t balance_random_below(struct balance *b, uint32_t bound)
{
	return (uint32_t)(((balance_random(b) >> 32) * bound) >> 32);
}

static inline bool balance_skipped(const struct balance_pick *p, unsigned server)
{
	return p->skip != NULL && p->skip(p->arg, server);
}

static inline uint32_t balance_load(const struct balance_pick *p, unsigned server)
{
	return p->load != NULL ? p->load(p->arg, server) : 0;
}

#endif
