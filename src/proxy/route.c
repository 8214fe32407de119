/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route table. One hash table maps hosts and wildcard suffixes to small numbers, a second one
 * (host number, path prefix) to the routes that have both, the one with most other conditions
 * first. A look-up tries the few hosts that fit, each with the path's prefixes on segment borders
 * from long to short. Both hashes are rolled over the bytes, so its cost is that of reading host
 * and path once for each host that fits, whatever the number of routes.
 *
 * Built on the proxy's main thread, then immutable and read by all.
 */
#include "proxy/route.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "proxy/route_match.h"
#include "proxy/route_path.h"

#define ANY_HOST    0 /* number of routes without a host */
#define MAX_SUFFIX  128
#define NO_HOST     UINT32_MAX
#define FACTOR      0x9e3779b97f4a7c15ULL
#define FACTOR_BACK 0xf1de83e19937733dULL /* its inverse modulo 2^64 */

struct host {
	struct str name; /* of a wildcard: from its dot */
	bool wildcard;
	uint32_t max_path; /* bytes of its longest path prefix */
	uint64_t lengths;  /* bit n % 64: it has a prefix of n bytes */
};

struct entry { /* the routes with one host and one path */
	uint32_t host;
	uint32_t first, n; /* in members */
	struct str path;
};

struct member { /* one host of one route */
	uint32_t host;
	uint32_t conditions;
	struct str path; /* clean */
	const struct conf_route *route;
};

struct route_table {
	const struct conf *conf;
	struct arena arena; /* clean paths that differ from the configured ones */
	struct host *hosts;
	uint32_t nhosts;
	uint32_t max_dots;    /* of a wildcard */
	uint32_t *host_slots; /* number + 1; 0 is free */
	uint32_t host_mask;
	struct member *members; /* sorted: host, path, most conditions first, name */
	uint32_t nmembers;
	struct entry *entries;
	uint32_t nentries;
	uint32_t *entry_slots;
	uint32_t entry_mask;
};

/* A hash that takes bytes on and off at its end. */
static inline uint64_t roll(uint64_t h, char c)
{
	return (h ^ (unsigned char)c) * FACTOR;
}

static inline uint64_t roll_back(uint64_t h, char c)
{
	return (h * FACTOR_BACK) ^ (unsigned char)c;
}

/* Hosts are read from their end. */
static uint64_t host_hash(struct str name)
{
	uint64_t h = 0;

	for (size_t i = name.len; i-- > 0;)
		h = roll(h, name.s[i]);
	return h;
}

static uint64_t path_hash(struct str path)
{
	uint64_t h = 0;

	for (size_t i = 0; i < path.len; i++)
		h = roll(h, path.s[i]);
	return h;
}

static uint64_t host_slot(uint64_t hash, bool wildcard)
{
	return hash_mix(hash + wildcard);
}

static uint64_t entry_slot(uint64_t hash, uint32_t host)
{
	return hash_mix(hash + host * 0xff51afd7ed558ccdULL);
}

static uint32_t find_host(const struct route_table *t, struct str name, uint64_t hash,
                          bool wildcard)
{
	uint64_t slot = host_slot(hash, wildcard);

	for (;; slot++) {
		uint32_t n = t->host_slots[slot & t->host_mask];

		if (n == 0)
			return NO_HOST;
		if (t->hosts[n - 1].wildcard == wildcard && str_eq(t->hosts[n - 1].name, name))
			return n - 1;
	}
}

static const struct entry *find_entry(const struct route_table *t, uint32_t host, struct str path,
                                      uint64_t hash)
{
	uint64_t slot = entry_slot(hash, host);

	for (;; slot++) {
		uint32_t n = t->entry_slots[slot & t->entry_mask];

		if (n == 0)
			return NULL;
		if (t->entries[n - 1].host == host && str_eq(t->entries[n - 1].path, path))
			return &t->entries[n - 1];
	}
}

/* --- building --- */

static int compare_members(const void *pa, const void *pb)
{
	const struct member *a = pa, *b = pb;
	int d;

	if (a->host != b->host)
		return a->host < b->host ? -1 : 1;
	if (a->path.len != b->path.len)
		return a->path.len < b->path.len ? -1 : 1;
	d = memcmp(a->path.s, b->path.s, a->path.len);
	if (d != 0)
		return d;
	if (a->conditions != b->conditions)
		return a->conditions > b->conditions ? -1 : 1;
	/* Nobody's order but a fixed one: names are unique. */
	d = memcmp(a->route->name.s, b->route->name.s, MIN(a->route->name.len, b->route->name.len));
	if (d != 0)
		return d;
	return (a->route->name.len > b->route->name.len) -
	       (a->route->name.len < b->route->name.len);
}

static uint32_t power_of_two(uint32_t least)
{
	uint32_t n = 8;

	while (n < least)
		n *= 2;
	return n;
}

/* The number of a configured host, taken if new; NO_HOST when out of memory. */
static uint32_t add_host(struct route_table *t, struct str pattern)
{
	bool wildcard = route_host_is_wildcard(pattern);
	char room[ROUTE_HOST_ROOM];
	uint32_t dots = 0, n;
	struct str name;
	uint64_t hash, slot;

	if (route_host_is_any(pattern))
		return ANY_HOST;
	name = wildcard ? str_n(pattern.s + 1, pattern.len - 1) : pattern;
	name = route_host_clean(name, room);
	hash = host_hash(name);
	n = find_host(t, name, hash, wildcard);
	if (n != NO_HOST)
		return n;
	name = arena_str(&t->arena, name);
	if (name.s == NULL)
		return NO_HOST;
	n = t->nhosts++;
	t->hosts[n] = (struct host){ .name = name, .wildcard = wildcard };
	slot = host_slot(hash, wildcard);
	while (t->host_slots[slot & t->host_mask] != 0)
		slot++;
	t->host_slots[slot & t->host_mask] = n + 1;
	for (size_t i = 0; wildcard && i < name.len; i++)
		dots += name.s[i] == '.';
	t->max_dots = MAX(t->max_dots, dots);
	return n;
}

static bool add_member(struct route_table *t, const struct conf_route *r, struct str path,
                       struct str pattern)
{
	uint32_t n = add_host(t, pattern);
	struct host *host;

	if (n == NO_HOST)
		return false;
	host = &t->hosts[n];
	host->max_path = MAX(host->max_path, (uint32_t)path.len);
	host->lengths |= 1ULL << path.len % 64;
	t->members[t->nmembers++] = (struct member){ n, route_conditions(r), path, r };
	return true;
}

static bool add_route(struct route_table *t, const struct conf_route *r)
{
	struct route_path room;
	struct str path = route_path_clean(r->path, &room);

	if (path.s != NULL && path.s != r->path.s)
		path = arena_str(&t->arena, path);
	route_path_free(&room);
	if (path.s == NULL)
		return false;
	for (uint32_t i = 0; i < r->hosts.n; i++) {
		if (!add_member(t, r, path, r->hosts.v[i]))
			return false;
	}
	return r->hosts.n > 0 || add_member(t, r, path, STR_NONE);
}

static void add_entries(struct route_table *t)
{
	for (uint32_t i = 0; i < t->nmembers; i++) {
		const struct member *m = &t->members[i];
		struct entry *last = t->nentries > 0 ? &t->entries[t->nentries - 1] : NULL;
		uint64_t slot;

		if (last != NULL && last->host == m->host && str_eq(last->path, m->path)) {
			last->n++;
			continue;
		}
		slot = entry_slot(path_hash(m->path), m->host);
		while (t->entry_slots[slot & t->entry_mask] != 0)
			slot++;
		t->entries[t->nentries++] = (struct entry){ m->host, i, 1, m->path };
		t->entry_slots[slot & t->entry_mask] = t->nentries;
	}
}

struct route_table *route_table_new(const struct conf *c)
{
	struct route_table *t = calloc(1, sizeof(*t));
	uint32_t n = 0, slots;

	if (t == NULL)
		return NULL;
	for (uint32_t i = 0; i < c->nroutes; i++)
		n += MAX(c->routes[i].hosts.n, 1);
	slots = power_of_two(2 * n);
	t->conf = c;
	t->hosts = calloc(n + 1, sizeof(t->hosts[0]));
	t->members = calloc(n + 1, sizeof(t->members[0]));
	t->entries = calloc(n + 1, sizeof(t->entries[0]));
	t->host_slots = calloc(slots, sizeof(t->host_slots[0]));
	t->entry_slots = calloc(slots, sizeof(t->entry_slots[0]));
	t->host_mask = t->entry_mask = slots - 1;
	if (t->hosts == NULL || t->members == NULL || t->entries == NULL || t->host_slots == NULL ||
	    t->entry_slots == NULL)
		goto fail;
	t->nhosts = 1; /* ANY_HOST */
	for (uint32_t i = 0; i < c->nroutes; i++) {
		if (!add_route(t, &c->routes[i]))
			goto fail;
	}
	qsort(t->members, t->nmembers, sizeof(t->members[0]), compare_members);
	add_entries(t);
	return t;
fail:
	route_table_free(t);
	return NULL;
}

void route_table_free(struct route_table *t)
{
	if (t == NULL)
		return;
	arena_free(&t->arena);
	free(t->hosts);
	free(t->members);
	free(t->entries);
	free(t->host_slots);
	free(t->entry_slots);
	free(t);
}

/* --- looking up --- */

static const struct conf_route *find_in_entry(const struct route_table *t, const struct entry *e,
                                              const struct route_query *q)
{
	for (uint32_t i = e->first; i < e->first + e->n; i++) {
		const struct member *m = &t->members[i];

		if (m->conditions == 0 || route_takes(t->conf, m->route, q, NULL))
			return m->route;
	}
	return NULL;
}

static const struct conf_route *find_in_host(const struct route_table *t, uint32_t number,
                                             struct str path, const struct route_query *q)
{
	const struct host *host = &t->hosts[number];
	size_t n = MIN(path.len, host->max_path);
	uint64_t h = path_hash(str_n(path.s, n));

	for (; n > 0; n--) {
		bool border = n == path.len || path.s[n] == '/' || path.s[n - 1] == '/';

		if (border && (host->lengths >> n % 64 & 1) != 0) {
			const struct entry *e = find_entry(t, number, str_n(path.s, n), h);
			const struct conf_route *r = e != NULL ? find_in_entry(t, e, q) : NULL;

			if (r != NULL)
				return r;
		}
		h = roll_back(h, path.s[n - 1]);
	}
	return NULL;
}

/* The hosts that fit, most specific first: exact, wildcards from long to short, any. */
static unsigned fitting_hosts(const struct route_table *t, struct str name,
                              uint32_t ret[MAX_SUFFIX + 2])
{
	uint32_t found[MAX_SUFFIX], exact;
	unsigned nfound = 0, dots = 0, n = 0;
	uint64_t h = 0;

	for (size_t i = name.len; i-- > 0;) {
		h = roll(h, name.s[i]);
		if (name.s[i] != '.' || i == 0 || dots++ >= t->max_dots || nfound == MAX_SUFFIX)
			continue;
		found[nfound] = find_host(t, str_n(name.s + i, name.len - i), h, true);
		nfound += found[nfound] != NO_HOST;
	}
	exact = name.len > 0 ? find_host(t, name, h, false) : NO_HOST;
	if (exact != NO_HOST)
		ret[n++] = exact;
	while (nfound > 0)
		ret[n++] = found[--nfound];
	ret[n++] = ANY_HOST;
	return n;
}

const struct conf_route *route_find(const struct route_table *t, const struct route_query *q)
{
	const struct conf_route *r = NULL;
	uint32_t hosts[MAX_SUFFIX + 2];
	char host_room[ROUTE_HOST_ROOM];
	struct route_path path_room;
	struct str path;
	unsigned n;

	n = fitting_hosts(t, route_host_clean(q->head->host, host_room), hosts);
	path = route_path_clean(q->head->path, &path_room);
	for (unsigned i = 0; i < n && r == NULL && path.s != NULL; i++)
		r = find_in_host(t, hosts[i], path, q);
	route_path_free(&path_room);
	return r;
}

const struct conf_route *route_explain(const struct route_table *t, const struct route_query *q,
                                       struct buf *why)
{
	const struct conf_route *r = route_find(t, q);

	route_say_why(t->conf, q, r, why);
	return r;
}
