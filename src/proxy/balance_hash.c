/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Consistent hashing by weighted rendezvous (Thaler and Ravishankar 1998; weights by Schindelhauer
 * and Schomaker 2005) in two steps: a key chooses one of GROUPS groups of servers, weighted by what
 * they hold, then a server of that group. Few servers make groups of one and one step decides; with
 * many a pick looks at GROUPS + n / GROUPS of them. Shares follow the weights exactly. Where one of
 * n servers comes or goes about 1/n of the keys move (at most about 2/n where groups are shared).
 * All threads and nodes agree: the seed plays no part, servers are known by their names. Memory: 16
 * bytes a server.
 */
#include <math.h>

#include "base/check.h"
#include "proxy/balance_impl.h"

#define GROUPS 128

struct member {
	uint64_t hash; /* of the name */
	uint32_t server;
	uint32_t weight;
};

struct group {
	uint32_t first, n; /* members */
	uint64_t weight;   /* of all of them */
};

struct hashing {
	struct balance base;
	uint32_t nfilled;
	uint8_t filled[GROUPS]; /* groups with a weight */
	struct group groups[GROUPS];
	struct member members[]; /* by group */
};

/* A race between exponential clocks: the least -ln(u) / weight wins. */
struct race {
	double best;
	int winner;
};

size_t balance_hash_size(unsigned nservers)
{
	return sizeof(struct hashing) + nservers * sizeof(struct member);
}

void balance_hash_init(struct balance *b, const struct conf_pool *pool, uint64_t seed)
{
	struct hashing *h = (struct hashing *)b;
	uint32_t at = 0;

	for (uint32_t i = 0; i < b->n; i++) {
		struct str name = pool->servers[i].name;

		h->groups[hash_bytes(0, name.s, name.len) % GROUPS].n++;
	}
	for (uint32_t g = 0; g < GROUPS; g++) {
		h->groups[g].first = at;
		at += h->groups[g].n;
		h->groups[g].n = 0;
	}
	for (uint32_t i = 0; i < b->n; i++) {
		struct str name = pool->servers[i].name;
		uint64_t hash = hash_bytes(0, name.s, name.len);
		struct group *g = &h->groups[hash % GROUPS];

		h->members[g->first + g->n++] = (struct member){ hash, i, 0 };
	}
}

void balance_hash_update(struct balance *b, const uint16_t *weights)
{
	struct hashing *h = (struct hashing *)b;

	h->nfilled = 0;
	for (uint32_t i = 0; i < GROUPS; i++) {
		struct group *g = &h->groups[i];

		g->weight = 0;
		for (uint32_t m = g->first; m < g->first + g->n; m++) {
			h->members[m].weight = weights[h->members[m].server];
			g->weight += h->members[m].weight;
		}
		if (g->weight > 0)
			h->filled[h->nfilled++] = (uint8_t)i;
	}
}

static void enter(struct race *r, int who, uint64_t hash, double weight)
{
	double u = ((double)(hash >> 11) + 0.5) * 0x1p-53;
	double time;

	/* -ln(u) >= 1 - u: most runners are out of the race without a logarithm. */
	if (r->winner >= 0 && (1.0 - u) >= r->best * weight)
		return;
	time = -log(u) / weight;
	if (r->winner < 0 || time < r->best) {
		r->best = time;
		r->winner = who;
	}
}

/* The server of a group that a key goes to; -1 when all are skipped. */
static int pick_member(const struct hashing *h, const struct group *g, uint64_t key,
                       const struct balance_pick *p)
{
	struct race race = { .winner = -1 };

	for (uint32_t m = g->first; m < g->first + g->n; m++) {
		const struct member *member = &h->members[m];

		if (member->weight > 0 && !balance_skipped(p, member->server))
			enter(&race, (int)member->server, hash_mix(key ^ member->hash),
			      member->weight);
	}
	return race.winner;
}

int balance_hash_pick(struct balance *b, const struct balance_pick *p)
{
	struct hashing *h = (struct hashing *)b;
	uint64_t key = p->hash != 0 ? p->hash : balance_random(b);
	uint64_t group_key = hash_mix(key + 0x9e3779b97f4a7c15ULL);
	uint64_t member_key = hash_mix(group_key);
	bool passed[GROUPS] = { false };

	/* Nearly always one turn: another only when all of a group are skipped. */
	for (uint32_t turn = 0; turn < h->nfilled; turn++) {
		struct race race = { .winner = -1 };
		int server;

		for (uint32_t i = 0; i < h->nfilled; i++) {
			uint32_t g = h->filled[i];

			if (!passed[g])
				enter(&race, (int)g,
				      hash_mix(group_key ^ ((g + 1) * 0x9fb21c651e98df25ULL)),
				      (double)h->groups[g].weight);
		}
		server = pick_member(h, &h->groups[race.winner], member_key, p);
		if (server >= 0)
			return server;
		passed[race.winner] = true;
	}
	return -1;
}
