/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Balancing algorithms: one const struct each (balance_*.c) in one array. State belongs to one pool
 * on one thread; no clock, no I/O, no allocation in pick.
 */
#ifndef PROXY_BALANCE_H
#define PROXY_BALANCE_H

#include "conf/conf.h"

struct balance; /* of one pool on one thread */

struct balance_pick {
	uint64_t hash; /* of the source address or the header; 0: no key, a hash picks at random */
	bool (*skip)(void *arg, unsigned server);     /* tried already, or full; may be NULL */
	uint32_t (*load)(void *arg, unsigned server); /* requests on it now, all threads */
	void *arg;
};

struct balance_ops {
	const char *name; /* as in the file */
	enum conf_balance id;
	size_t (*size)(unsigned nservers); /* bytes of its state */
	void (*init)(struct balance *b, const struct conf_pool *pool, uint64_t seed);
	/* New effective weights: weight x ramp percent, 0 … 25600; 0: takes nothing. */
	void (*update)(struct balance *b, const uint16_t *weights);
	/* A server's index, or -1 when none is eligible. */
	int (*pick)(struct balance *b, const struct balance_pick *p);
};

extern const struct balance_ops *const balance_table[]; /* by enum conf_balance */

/* seed spreads the threads' starting points. NULL when out of memory. All weights start at 0. */
struct balance *balance_new(const struct conf_pool *pool, uint64_t seed);
void balance_free(struct balance *b);
void balance_update(struct balance *b, const uint16_t *weights);
int balance_pick(struct balance *b, const struct balance_pick *p);

/*
 * What a hash balances a request by: the pool's header, or the client's address without its port,
 * an IPv4-mapped one as IPv4. 0: nothing to go by (no such header, a unix client), or no hash.
 */
uint64_t balance_key(const struct conf_pool *pool, const struct http_head *h,
                     const struct net_addr *client);

/*
 * The weights that count, from the states: primaries that are up; if none is, backups that are up.
 * If of these primaries (or, with no primary up, backups) some but fewer than panic_threshold
 * percent are up, the checks are doubted: all servers but the ordered-out and those not yet proved
 * take traffic, and *panic is set. With no server up at all nothing is eligible. Draining,
 * disabled: 0. words: state words by server index. Returns how many are eligible.
 */
unsigned balance_weights(const struct conf_pool *pool, const uint64_t *words, uint16_t *weights,
                         bool *panic);

#endif
