/* SPDX-License-Identifier: Apache-2.0 */
/* Routes that tie: neither is more specific, so that the file's order would decide. */
#include <stdlib.h>

#include "base/check.h"
#include "conf/load.h"

/* A route under one of its hosts. */
struct entry {
	struct str host, path;
	uint32_t conditions;
	uint32_t route;
};

static int compare_entries(const void *pa, const void *pb)
{
	const struct entry *a = pa, *b = pb;
	int order = str_compare(a->host, b->host);

	order = order ? order : str_compare(a->path, b->path);
	if (order) {
		return order;
	}
	if (a->conditions != b->conditions) {
		return a->conditions < b->conditions ? -1 : 1;
	}
	return a->route < b->route ? -1 : a->route > b->route;
}

/* Whether both lists are there and have nothing in common. */
static bool disjoint(const struct conf_list *a, const struct conf_list *b)
{
	for (uint32_t i = 0; i < a->n; i++) {
		for (uint32_t k = 0; k < b->n; k++) {
			if (str_eq(a->v[i], b->v[k])) {
				return false;
			}
		}
	}
	return a->n && b->n;
}

static bool networks_meet(const struct net_cidr *a, const struct net_cidr *b)
{
	unsigned bits = MIN(a->bits, b->bits);

	if (a->bits == 255 || b->bits == 255) { /* unix */
		return a->bits == b->bits;
	}
	for (unsigned i = 0; i < bits; i += 8) {
		unsigned char mask = bits - i >= 8 ? 0xff : (unsigned char)(0xff << (8 - bits + i));

		if ((a->bytes[i / 8] ^ b->bytes[i / 8]) & mask) {
			return false;
		}
	}
	return true;
}

static bool clients_disjoint(const struct conf_route *a, const struct conf_route *b)
{
	for (uint32_t i = 0; i < a->nclients; i++) {
		for (uint32_t k = 0; k < b->nclients; k++) {
			if (networks_meet(&a->clients[i], &b->clients[k])) {
				return false;
			}
		}
	}
	return a->nclients && b->nclients;
}

static bool headers_disjoint(const struct conf_route *a, const struct conf_route *b)
{
	for (uint32_t i = 0; i < a->nheaders; i++) {
		for (uint32_t k = 0; k < b->nheaders; k++) {
			if (str_eq_nocase(a->headers[i].name, b->headers[k].name) &&
			    a->headers[i].value.len && b->headers[k].value.len &&
			    !str_eq(a->headers[i].value, b->headers[k].value)) {
				return true;
			}
		}
	}
	return false;
}

static void report_tie(struct load *l, const struct entry *a, const struct entry *b)
{
	const struct conf_route *x = &l->conf->routes[a->route], *y = &l->conf->routes[b->route];
	struct place px = l->routes[a->route]->key_at, py = l->routes[b->route]->key_at;

	if (py.file < px.file || (py.file == px.file && py.line < px.line)) {
		report_tie(l, b, a);
		return;
	}
	problem_error(
	    l->problems, py,
	    "route \"%.*s\" ties with route \"%.*s\" (%s:%u): both take %s%.*s%s%.*s and are "
	    "equally specific",
	    STR_ARG(y->name), STR_ARG(x->name), l->problems->files[px.file].path, px.line,
	    a->host.len ? "host \"" : "any host", STR_ARG(a->host),
	    a->host.len ? "\", path " : ", path ", STR_ARG(a->path));
}

/* Reports the first tie of entry i with one before it. */
static void find_tie(struct load *l, const struct entry *v, uint32_t i)
{
	const struct conf_route *r = &l->conf->routes[v[i].route];

	for (uint32_t k = i; k-- > 0;) {
		const struct conf_route *o = &l->conf->routes[v[k].route];

		if (v[k].conditions != v[i].conditions || !str_eq(v[k].host, v[i].host) ||
		    !str_eq(v[k].path, v[i].path)) {
			return;
		}
		if (v[k].route != v[i].route && !disjoint(&r->methods, &o->methods) &&
		    !disjoint(&r->listeners, &o->listeners) && !clients_disjoint(r, o) &&
		    !headers_disjoint(r, o)) {
			report_tie(l, &v[k], &v[i]);
			return;
		}
	}
}

void verify_ties(struct load *l)
{
	const struct conf *c = l->conf;
	struct entry *v;
	size_t n = 0;
	uint32_t used = 0;

	for (uint32_t i = 0; i < c->nroutes; i++) {
		n += MAX(c->routes[i].hosts.n, 1);
	}
	v = load_alloc(l, n, sizeof(*v));
	for (uint32_t i = 0; v && i < c->nroutes; i++) {
		const struct conf_route *r = &c->routes[i];
		uint32_t conditions =
		    r->nheaders + (r->methods.n > 0) + (r->nclients > 0) + (r->listeners.n > 0);

		for (uint32_t k = 0; k < MAX(r->hosts.n, 1) && !l->routes[i]->faulty; k++) {
			v[used++] = (struct entry){ r->hosts.n ? r->hosts.v[k] : STR(""), r->path,
				                    conditions, i };
		}
	}
	if (v) {
		qsort(v, used, sizeof(*v), compare_entries);
	}
	for (uint32_t i = 1; i < used; i++) {
		find_tie(l, v, i);
	}
}
