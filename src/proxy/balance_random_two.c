/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The power of two choices (Mitzenmacher 2001): two servers at random by weight, the one with less
 * load for its weight takes the request. Sampling is O(1) by Walker's alias method, its table built
 * in O(n) by Vose's when the weights change.
 */
#include "base/check.h"
#include "proxy/balance_impl.h"

#define TRIES 8 /* draws before the servers are gone through one by one */

struct alias {
	uint32_t keep; /* of 2^32: below, the column's own server; else the other */
	uint32_t own;  /* servers */
	uint32_t other;
};

struct random_two {
	struct balance base;
	uint32_t ncolumns;
	struct alias columns[];
};

/* Behind the columns: what is left of each one's share, and the work lists, for building only. */
static size_t random_two_size(unsigned nservers)
{
	return sizeof(struct random_two) +
	       nservers * (sizeof(struct alias) + sizeof(uint64_t) + sizeof(uint32_t)) +
	       sizeof(uint64_t);
}

static void random_two_init(struct balance *b, const struct conf_pool *pool, uint64_t seed)
{
}

static void random_two_update(struct balance *b, const uint16_t *weights)
{
	struct random_two *r = (struct random_two *)b;
	uint64_t *share = (uint64_t *)(((uintptr_t)&r->columns[b->n] + 7) & ~(uintptr_t)7);
	uint32_t *list = (uint32_t *)(share + b->n);
	uint32_t n = 0, small = 0, large;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		if (weights[i] == 0)
			continue;
		r->columns[n++] = (struct alias){ UINT32_MAX, i, i };
		sum += weights[i];
	}
	r->ncolumns = n;
	/* A column holds `sum` units; server i has n x weight of them. The list is filled with the
	 * columns short of that from the left and the others from the right. */
	large = n;
	for (uint32_t c = 0; c < n; c++) {
		share[c] = (uint64_t)weights[r->columns[c].own] * n;
		list[share[c] < sum ? small++ : --large] = c;
	}
	while (small > 0 && large < n) {
		uint32_t poor = list[--small], rich = list[large];

		r->columns[poor].keep = (uint32_t)((share[poor] << 32) / sum);
		r->columns[poor].other = r->columns[rich].own;
		share[rich] -= sum - share[poor];
		if (share[rich] < sum) {
			large++;
			list[small++] = rich;
		}
	}
}

static uint32_t draw(struct random_two *r)
{
	uint64_t x = balance_random(&r->base);
	const struct alias *a = &r->columns[((x >> 32) * r->ncolumns) >> 32];

	return (uint32_t)x <= a->keep ? a->own : a->other;
}

/* The first not skipped from a random place: for when most are skipped. */
static int go_through(struct random_two *r, const struct balance_pick *p, int but)
{
	uint32_t at = balance_random_below(&r->base, r->ncolumns);

	for (uint32_t i = 0; i < r->ncolumns; i++) {
		uint32_t s = r->columns[at].own;

		at = at + 1 == r->ncolumns ? 0 : at + 1;
		if ((int)s != but && !balance_skipped(p, s))
			return (int)s;
	}
	return -1;
}

static int random_two_pick(struct balance *b, const struct balance_pick *p)
{
	struct random_two *r = (struct random_two *)b;
	int first = -1, second = -1;

	if (r->ncolumns == 0)
		return -1;
	for (unsigned i = 0; i < TRIES && second < 0; i++) {
		int s = (int)draw(r);

		if (s == first || balance_skipped(p, (unsigned)s))
			continue;
		if (first < 0)
			first = s;
		else
			second = s;
	}
	if (first < 0)
		first = go_through(r, p, -1);
	if (first < 0 || r->ncolumns == 1)
		return first;
	if (second < 0)
		second = go_through(r, p, first);
	if (second < 0)
		return first;
	return (uint64_t)balance_load(p, (unsigned)second) * b->weights[first] <
	               (uint64_t)balance_load(p, (unsigned)first) * b->weights[second]
	           ? second
	           : first;
}

const struct balance_ops balance_random_two = {
	.name = "random_two",
	.id = BALANCE_RANDOM_TWO,
	.size = random_two_size,
	.init = random_two_init,
	.update = random_two_update,
	.pick = random_two_pick,
};
