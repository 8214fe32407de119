/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Smooth weighted round robin, in two forms with the same distribution: of each sum-of-weights
 * picks in a row, every server gets exactly its weight, spread out evenly.
 *
 * Up to SCAN servers: every server's credit grows by its weight, the richest is picked and pays the
 * sum; O(n) with a small n. Above: stride scheduling (Waldspurger 1995). The k-th turn of a server
 * within a round lies at (2k + 1) / 2w of it; a heap gives the earliest; O(log n). A server that is
 * skipped loses its turn and saves up no credit.
 */
#include "base/check.h"
#include "proxy/balance_impl.h"

#define SCAN  64
#define POPS  16 /* skipped servers taken off the heap before the rest is gone through */
#define ROUND (1ULL << 32)

struct turn {
	uint64_t start; /* of the round it is in; all times wrap */
	uint64_t due;
	uint32_t k;
	uint32_t place; /* in the heap */
};

struct round_robin {
	struct balance base;
	uint32_t first; /* where ties begin: spreads the threads */
	uint32_t nactive;
	int64_t *credit;    /* up to SCAN servers */
	struct turn *turns; /* above, by server */
	uint32_t *heap;     /* servers; above SCAN */
};

static size_t round_robin_size(unsigned nservers)
{
	if (nservers <= SCAN)
		return sizeof(struct round_robin) + nservers * sizeof(int64_t);
	return sizeof(struct round_robin) + nservers * (sizeof(struct turn) + sizeof(uint32_t));
}

static void round_robin_init(struct balance *b, const struct conf_pool *pool, uint64_t seed)
{
	struct round_robin *r = (struct round_robin *)b;

	if (b->n > 0)
		r->first = balance_random_below(b, b->n);
	r->credit = (int64_t *)(r + 1);
	r->turns = (struct turn *)(r + 1);
	r->heap = (uint32_t *)(r->turns + b->n);
}

/* --- scanning --- */

static void scan_update(struct round_robin *r, const uint16_t *weights)
{
	int64_t sum = 0, mean;
	uint32_t stay = 0, total = 0;

	for (uint32_t i = 0; i < r->base.n; i++) {
		total += weights[i];
		if (r->base.weights[i] > 0 && weights[i] > 0) {
			sum += r->credit[i];
			stay++;
		}
	}
	/* Those that stay keep their order among themselves; those that come start in the middle.
	 */
	mean = stay > 0 ? sum / (int64_t)stay : 0;
	for (uint32_t i = 0; i < r->base.n; i++) {
		if (r->base.weights[i] == 0 || weights[i] == 0) {
			r->credit[i] = 0;
			continue;
		}
		r->credit[i] -= mean;
		r->credit[i] = MAX(MIN(r->credit[i], (int64_t)total), -(int64_t)total);
	}
}

static int scan_pick(struct round_robin *r, const struct balance_pick *p)
{
	const struct balance *b = &r->base;
	uint32_t at = r->first;
	int64_t total = 0;
	int best = -1;

	for (uint32_t i = 0; i < b->n; i++) {
		uint32_t s = at;

		at = at + 1 == b->n ? 0 : at + 1;
		if (b->weights[s] == 0 || balance_skipped(p, s))
			continue;
		total += b->weights[s];
		r->credit[s] += b->weights[s];
		if (best < 0 || r->credit[s] > r->credit[best])
			best = (int)s;
	}
	if (best >= 0)
		r->credit[best] -= total;
	return best;
}

/* --- the heap --- */

/* Whether a's turn comes before b's. */
static bool earlier(const struct round_robin *r, uint32_t a, uint32_t b)
{
	int64_t d = (int64_t)(r->turns[a].due - r->turns[b].due);
	uint32_t n = r->base.n;

	if (d != 0)
		return d < 0;
	return (a + n - r->first) % n < (b + n - r->first) % n;
}

static void put(struct round_robin *r, uint32_t place, uint32_t server)
{
	r->heap[place] = server;
	r->turns[server].place = place;
}

static void sift_up(struct round_robin *r, uint32_t place)
{
	uint32_t server = r->heap[place];

	while (place > 0 && earlier(r, server, r->heap[(place - 1) / 2])) {
		put(r, place, r->heap[(place - 1) / 2]);
		place = (place - 1) / 2;
	}
	put(r, place, server);
}

static void sift_down(struct round_robin *r, uint32_t place)
{
	uint32_t server = r->heap[place];

	for (;;) {
		uint32_t child = 2 * place + 1;

		if (child >= r->nactive)
			break;
		if (child + 1 < r->nactive && earlier(r, r->heap[child + 1], r->heap[child]))
			child++;
		if (!earlier(r, r->heap[child], server))
			break;
		put(r, place, r->heap[child]);
		place = child;
	}
	put(r, place, server);
}

static void set_due(struct turn *t, uint32_t weight)
{
	t->due = t->start + (2ULL * t->k + 1) * ROUND / (2ULL * weight);
}

/* Places a server's next turn `ahead` (in rounds / 2^32) after a point of time. */
static void restart(struct turn *t, uint64_t from, uint64_t ahead, uint32_t weight)
{
	t->k = 0;
	t->start = from + ahead - ROUND / (2ULL * weight);
	set_due(t, weight);
}

static void heap_update(struct round_robin *r, const uint16_t *weights)
{
	struct balance *b = &r->base;
	uint64_t now = r->nactive > 0 ? r->turns[r->heap[0]].due : 0;

	r->nactive = 0;
	for (uint32_t i = 0; i < b->n; i++) {
		struct turn *t = &r->turns[i];
		uint32_t old = b->weights[i], w = weights[i];

		if (w == 0)
			continue;
		/* Among those that come at once ties break by place, so a fresh pool is exact. */
		if (old == 0)
			restart(t, now, ROUND / (2ULL * w), w);
		else if (old != w)
			restart(t, now, MIN(t->due - now, ROUND) * old / w, w);
		put(r, r->nactive, i);
		sift_up(r, r->nactive++);
	}
}

/* Ends the turn of a server: its next one is due. */
static void take_turn(struct round_robin *r, uint32_t s)
{
	struct turn *t = &r->turns[s];

	if (++t->k == r->base.weights[s]) {
		t->k = 0;
		t->start += ROUND;
	}
	set_due(t, r->base.weights[s]);
	sift_down(r, t->place);
}

/* When the first POPS were skipped: any that is not, from a random place in the heap. It takes the
 * turn of one that lost it and keeps its own. */
static int go_through(struct round_robin *r, const struct balance_pick *p)
{
	uint32_t at = balance_random_below(&r->base, r->nactive);

	for (uint32_t i = 0; i < r->nactive; i++) {
		uint32_t s = r->heap[at];

		at = at + 1 == r->nactive ? 0 : at + 1;
		if (!balance_skipped(p, s))
			return (int)s;
	}
	return -1;
}

static int heap_pick(struct round_robin *r, const struct balance_pick *p)
{
	uint32_t passed[POPS];
	uint64_t now = 0; /* the turn that is taken, or the last one that was lost */
	unsigned n = 0;
	int best = -1;

	while (r->nactive > 0 && n < POPS) {
		uint32_t s = r->heap[0];

		now = r->turns[s].due;
		if (!balance_skipped(p, s)) {
			take_turn(r, s);
			best = (int)s;
			break;
		}
		passed[n++] = s;
		put(r, 0, r->heap[--r->nactive]);
		sift_down(r, 0);
	}
	if (best < 0 && r->nactive > 0)
		best = go_through(r, p);
	for (unsigned i = 0; i < n; i++) {
		uint32_t s = passed[i];

		if (best >= 0)
			restart(&r->turns[s], now, ROUND / (2ULL * r->base.weights[s]),
			        r->base.weights[s]);
		put(r, r->nactive, s);
		sift_up(r, r->nactive++);
	}
	return best;
}

static void round_robin_update(struct balance *b, const uint16_t *weights)
{
	struct round_robin *r = (struct round_robin *)b;

	if (b->n <= SCAN)
		scan_update(r, weights);
	else
		heap_update(r, weights);
}

static int round_robin_pick(struct balance *b, const struct balance_pick *p)
{
	struct round_robin *r = (struct round_robin *)b;

	return b->n <= SCAN ? scan_pick(r, p) : heap_pick(r, p);
}

const struct balance_ops balance_round_robin = {
	.name = "round_robin",
	.id = BALANCE_ROUND_ROBIN,
	.size = round_robin_size,
	.init = round_robin_init,
	.update = round_robin_update,
	.pick = round_robin_pick,
};
