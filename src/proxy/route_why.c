/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Why a request takes the route it takes: a plain walk over all routes, independent of the table's
 * hashes. For `holdfast explain`; never on the hot path.
 */
#include <stdlib.h>

#include "base/check.h"
#include "proxy/route_match.h"
#include "proxy/route_path.h"

enum outcome { FITS, PATH_DIFFERS, CONDITION_FAILS };

struct candidate {
	const struct conf_route *route;
	struct str path; /* its own, clean; the bytes are the configuration's or malloc's */
	char *copy;
	uint32_t host_rank;
	unsigned conditions;
	enum outcome outcome;
};

static int compare_names(struct str a, struct str b)
{
	int d = memcmp(a.s, b.s, MIN(a.len, b.len));

	return d != 0 ? d : (a.len > b.len) - (a.len < b.len);
}

/* Routes that fit first; then what the table orders by. */
static int compare(const void *pa, const void *pb)
{
	const struct candidate *a = pa, *b = pb;

	if ((a->outcome == FITS) != (b->outcome == FITS))
		return a->outcome == FITS ? -1 : 1;
	if (a->host_rank != b->host_rank)
		return a->host_rank > b->host_rank ? -1 : 1;
	if (a->outcome != b->outcome && (a->outcome == PATH_DIFFERS || b->outcome == PATH_DIFFERS))
		return a->outcome == PATH_DIFFERS ? 1 : -1;
	if (a->path.len != b->path.len)
		return a->path.len > b->path.len ? -1 : 1;
	if (a->conditions != b->conditions)
		return a->conditions > b->conditions ? -1 : 1;
	return compare_names(a->route->name, b->route->name);
}

static bool clean_path(struct candidate *n, struct str path)
{
	struct route_path room;
	bool done = true;

	n->path = route_path_clean(path, &room);
	if (n->path.s != path.s) {
		n->copy = n->path.s != NULL ? strndup(n->path.s, n->path.len) : NULL;
		n->path.s = n->copy;
		done = n->copy != NULL;
	}
	route_path_free(&room);
	return done;
}

static bool judge(struct candidate *n, const struct conf *c, const struct route_query *q,
                  struct str host, struct str path)
{
	n->host_rank = route_host_rank(n->route, host);
	if (n->host_rank == 0 || !clean_path(n, n->route->path))
		return false;
	n->conditions = route_conditions(n->route);
	n->outcome = !route_path_below(path, n->path)    ? PATH_DIFFERS
	             : route_takes(c, n->route, q, NULL) ? FITS
	                                                 : CONDITION_FAILS;
	return true;
}

static void say_specificity(const struct candidate *n, struct buf *why)
{
	if (n->host_rank == UINT32_MAX)
		buf_adds(why, "host exactly");
	else if (n->host_rank > 1)
		buf_printf(why, "host by wildcard of %u bytes", n->host_rank - 1);
	else
		buf_adds(why, "any host");
	buf_printf(why, ", path %.*s", STR_ARG(n->path));
	if (n->conditions > 0)
		buf_printf(why, ", %u other condition%s", n->conditions,
		           n->conditions == 1 ? "" : "s");
}

static void say(const struct candidate *n, const struct conf *c, const struct route_query *q,
                const struct conf_route *found, struct str path, struct buf *why)
{
	buf_printf(why, "%.*s: ", STR_ARG(n->route->name));
	if (n->route == found) {
		buf_adds(why, "takes it: ");
		say_specificity(n, why);
	} else if (n->outcome == FITS) {
		buf_printf(why, "would take it, but %.*s is more specific: this one: ",
		           STR_ARG(found != NULL ? found->name : STR("?")));
		say_specificity(n, why);
	} else if (n->outcome == PATH_DIFFERS) {
		buf_printf(why, "no: path %.*s is not at or below %.*s", STR_ARG(path),
		           STR_ARG(n->path));
	} else {
		buf_adds(why, "no: ");
		route_takes(c, n->route, q, why);
	}
	buf_addc(why, '\n');
}

void route_say_why(const struct conf *c, const struct route_query *q,
                   const struct conf_route *found, struct buf *why)
{
	struct candidate *list = calloc(MAX(c->nroutes, 1), sizeof(*list));
	char host_room[ROUTE_HOST_ROOM];
	struct str host = route_host_clean(q->head->host, host_room);
	struct route_path room;
	struct str path = route_path_clean(q->head->path, &room);
	uint32_t n = 0;

	for (uint32_t i = 0; list != NULL && path.s != NULL && i < c->nroutes; i++) {
		list[n] = (struct candidate){ .route = &c->routes[i] };
		n += judge(&list[n], c, q, host, path);
	}
	if (n == 0)
		buf_printf(why, "no route is for host \"%.*s\"\n", STR_ARG(host));
	else
		qsort(list, n, sizeof(*list), compare);
	for (uint32_t i = 0; i < n; i++) {
		if (i < ROUTE_WHY_LINES)
			say(&list[i], c, q, found, path, why);
		free(list[i].copy);
	}
	if (n > ROUTE_WHY_LINES)
		buf_printf(why, "and %u more routes of this host\n", n - ROUTE_WHY_LINES);
	free(list);
	route_path_free(&room);
}
