/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Least connections: the server with the fewest requests on it for its weight; among equals one at
 * random, in proportion to the weights, so that an idle pool spreads by weight too. Exact up to
 * WINDOW eligible servers; above, the best of WINDOW neighbours from a random place, because
 * reading thousands of shared counters for each request costs more than the last difference of one
 * request is worth.
 */
#include "base/check.h"
#include "proxy/balance_impl.h"

#define WINDOW 512

struct least_conn {
	struct balance base;
	uint32_t nactive;
	uint32_t active[]; /* servers with a weight */
};

static size_t least_conn_size(unsigned nservers)
{
	return sizeof(struct least_conn) + nservers * sizeof(uint32_t);
}

static void least_conn_init(struct balance *b, const struct conf_pool *pool, uint64_t seed)
{
}

static void least_conn_update(struct balance *b, const uint16_t *weights)
{
	struct least_conn *l = (struct least_conn *)b;

	l->nactive = 0;
	for (uint32_t i = 0; i < b->n; i++) {
		if (weights[i] > 0)
			l->active[l->nactive++] = i;
	}
}

static int least_conn_pick(struct balance *b, const struct balance_pick *p)
{
	struct least_conn *l = (struct least_conn *)b;
	uint64_t best_load = 0, best_weight = 1;
	uint32_t at = 0, seen = 0, ties = 0;
	int best = -1;

	if (l->nactive == 0)
		return -1;
	if (l->nactive > WINDOW)
		at = balance_random_below(b, l->nactive);
	for (uint32_t i = 0; i < l->nactive && seen < WINDOW; i++) {
		uint32_t s = l->active[at];
		uint64_t load, left, right;

		at = at + 1 == l->nactive ? 0 : at + 1;
		if (balance_skipped(p, s))
			continue;
		seen++;
		/* load / weight against the best's, without dividing. */
		load = balance_load(p, s);
		left = load * best_weight;
		right = best_load * b->weights[s];
		if (best >= 0 && left > right)
			continue;
		if (best < 0 || left < right)
			ties = 0;
		ties += b->weights[s];
		if (ties == b->weights[s] || balance_random_below(b, ties) < b->weights[s]) {
			best = (int)s;
			best_weight = b->weights[s];
			best_load = load;
		}
	}
	return best;
}

const struct balance_ops balance_least_conn = {
	.name = "least_conn",
	.id = BALANCE_LEAST_CONN,
	.size = least_conn_size,
	.init = least_conn_init,
	.update = least_conn_update,
	.pick = least_conn_pick,
};
