/* SPDX-License-Identifier: Apache-2.0 */
/* What only the whole configuration shows: references, addresses bound twice. */
#include <stdlib.h>

#include "base/check.h"
#include "conf/load.h"

#define MAX_BINDS 4096

/* --- references ------------------------------------------------------------------------------- */

static void need(struct load *l, const char *key, uint32_t n, const char *consequence)
{
	const struct node *have = node_get(l->root, key);

	if (!have) {
		problem_error(l->problems, ((struct place){ .file = 0 }), "there are no %s: %s",
		              key, consequence);
	} else if (n == 0 &&
	           (have->kind == NODE_NULL || (have->kind == NODE_MAP && have->n == 0))) {
		problem_error(l->problems, have->key_at, "there are no %s: %s", key, consequence);
	}
}

void verify_undefined(struct load *l, struct place at, const char *what, const struct guess *g)
{
	char hint[128];

	problem_error(l->problems, at, "there is no %s \"%.*s\"%s", what, (int)MIN(g->word.len, 80),
	              g->word.s, guess_text(g, hint));
}

static const struct node *item_of(const struct node *n, uint32_t i)
{
	if (n->kind == NODE_LIST) {
		for (n = n->first; i > 0 && n->next; i--) {
			n = n->next;
		}
	}
	return n;
}

uint32_t verify_pool_name(struct load *l, struct str name, struct place at)
{
	const struct conf_pool *pool = conf_pool_find(l->conf, name);
	struct guess g;

	if (pool) {
		return (uint32_t)(pool - l->conf->pools);
	}
	guess_init(&g, name);
	for (uint32_t i = 0; i < l->conf->npools && l->problems->errors < 100; i++) {
		guess_try(&g, l->conf->pools[i].name);
	}
	verify_undefined(l, at, "pool", &g);
	return CONF_NO_POOL;
}

static void verify_route(struct load *l, struct conf_route *r, struct node *n)
{
	struct guess g;

	if (r->to.len) {
		r->pool = verify_pool_name(l, r->to, node_get(n, "to")->at);
	}
	for (uint32_t i = 0; i < r->listeners.n; i++) {
		bool found = false;

		guess_init(&g, r->listeners.v[i]);
		for (uint32_t k = 0; k < l->conf->nlisteners && !found; k++) {
			guess_try(&g, l->conf->listeners[k].name);
			found = str_eq(l->conf->listeners[k].name, r->listeners.v[i]);
		}
		if (!found) {
			verify_undefined(l, item_of(node_get(n, "listener"), i)->at, "listener",
			                 &g);
		}
	}
}

void verify_check(struct load *l, const struct conf_check *c, const struct node *n)
{
	if (c->exec.n && c->exec.v[0].s[0] != '/') {
		problem_error(l->problems, item_of(node_get(n, "exec"), 0)->at,
		              "\"exec\": \"%.*s\" is not an absolute path", STR_ARG(c->exec.v[0]));
	}
	if (c->tls.on && n && n->kind == NODE_MAP) {
		verify_pool_files(l, &c->tls, node_get(n, "tls"));
	}
}

void verify_check_address(struct load *l, const struct conf_check *c, const struct conf_server *s,
                          const struct node *at)
{
	if (!s || !at || at->kind != NODE_MAP || s->address.sa.sa_family != AF_UNIX) {
		return;
	}
	if (c->port != 0) {
		problem_error(l->problems, node_get(at, "port")->key_at,
		              "\"port\" does not suit server \"%.*s\", which is a unix socket",
		              STR_ARG(s->name));
	} else if (c->probe == PROBE_DNS || c->probe == PROBE_PING) {
		problem_error(l->problems, node_get(at, conf_probe_name(c->probe))->key_at,
		              "a %s check does not suit server \"%.*s\", which is a unix socket",
		              conf_probe_name(c->probe), STR_ARG(s->name));
	}
}

static void verify_pool(struct load *l, const struct conf_pool *p, const struct node *n)
{
	const struct node *servers = node_get(n, "servers"), *check = node_get(n, "check");

	if (servers && p->nservers == 0 &&
	    (servers->kind == NODE_NULL || (servers->kind == NODE_MAP && servers->n == 0))) {
		problem_error(l->problems, servers->key_at, "pool \"%.*s\" has no servers",
		              STR_ARG(p->name));
	}
	verify_check(l, &p->check, check);
	for (uint32_t i = 0; check && i < p->nservers; i++) {
		uint32_t before = l->problems->errors;

		verify_check_address(l, &p->check, &p->servers[i], check);
		if (l->problems->errors != before) {
			break; /* once is enough */
		}
	}
}

/* --- addresses -------------------------------------------------------------------------------- */

struct bound {
	const struct net_addr *addr;
	struct str text;
	struct str owner;
	const struct node *at;
	bool datagrams; /* ports of UDP are others than those of TCP */
};

static uint32_t port_of(const struct net_addr *a)
{
	return a->sa.sa_family == AF_UNIX ? 0 : net_addr_port(a);
}

static int compare_bound(const void *pa, const void *pb)
{
	const struct bound *a = pa, *b = pb;
	uint32_t x = port_of(a->addr), y = port_of(b->addr);

	if (x != y) {
		return x < y ? -1 : 1;
	}
	return a->at->at.line < b->at->at.line ? -1 : a->at->at.line > b->at->at.line;
}

static bool is_any(const struct net_addr *a)
{
	return a->sa.sa_family == AF_INET ? a->in.sin_addr.s_addr == INADDR_ANY
	                                  : IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr);
}

/* Whether the kernel would refuse the second of two sockets, same port. */
static bool clash(const struct net_addr *a, const struct net_addr *b)
{
	if (a->sa.sa_family == AF_UNIX || b->sa.sa_family == AF_UNIX) {
		return a->sa.sa_family == b->sa.sa_family && net_addr_eq(a, b);
	}
	if (a->wildcard || b->wildcard) {
		return true;
	}
	return a->sa.sa_family == b->sa.sa_family && (is_any(a) || is_any(b) || net_addr_eq(a, b));
}

static void verify_binds(struct load *l)
{
	struct bound *v = load_alloc(l, MAX_BINDS + 1, sizeof(*v));
	const struct node *control = node_get(l->root, "control");
	uint32_t n = 0;

	if (!v) {
		return;
	}
	for (uint32_t i = 0; i < l->conf->nlisteners; i++) {
		const struct conf_listener *c = &l->conf->listeners[i];
		const struct node *bind = node_get(l->listeners[i], "bind");

		for (uint32_t k = 0; k < c->nbind && n < MAX_BINDS; k++) {
			v[n++] = (struct bound){ &c->bind[k], c->bind_text[k], c->name,
				                 l->listeners[i]->faulty ? bind : item_of(bind, k),
				                 c->protocol == PROTOCOL_UDP };
		}
	}
	if (l->conf->control.on && l->conf->control.bind_text.len) {
		v[n++] = (struct bound){ &l->conf->control.bind, l->conf->control.bind_text,
			                 STR("control"), node_get(control, "bind"), false };
	}
	if (n > MAX_BINDS) {
		problem_error(l->problems, ((struct place){ .file = 0 }),
		              "more than %d addresses are bound", MAX_BINDS);
		return;
	}
	qsort(v, n, sizeof(*v), compare_bound);
	for (uint32_t i = 1; i < n; i++) {
		for (uint32_t k = i; k-- > 0 && port_of(v[k].addr) == port_of(v[i].addr);) {
			if (v[k].datagrams == v[i].datagrams && clash(v[k].addr, v[i].addr)) {
				problem_error(
				    l->problems, v[i].at->at,
				    "\"%.*s\" is bound already: by \"%.*s\" (\"%.*s\") in "
				    "%s:%u",
				    STR_ARG(v[i].text), STR_ARG(v[k].owner), STR_ARG(v[k].text),
				    l->problems->files[v[k].at->at.file].path, v[k].at->at.line);
				break;
			}
		}
	}
}

/* Whether there is anything to route: listeners of TCP and UDP name their pools themselves. */
static bool takes_requests(const struct conf *c)
{
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		if (c->listeners[i].protocol == PROTOCOL_HTTP) {
			return true;
		}
	}
	return c->nlisteners == 0;
}

void verify(struct load *l)
{
	struct conf *c = l->conf;

	need(l, "listeners", c->nlisteners, "nothing would be served");
	if (takes_requests(c)) {
		need(l, "routes", c->nroutes, "every request would be answered with 404");
	}
	if (c->nroutes == 0 || !node_get(l->root, "pools")) {
		need(l, "pools", c->npools, "there would be nobody to answer");
	}
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		if (c->listeners[i].max_line > c->listeners[i].max_header_size) {
			problem_error(l->problems, l->listeners[i]->key_at,
			              "\"max_line\" is larger than \"max_header_size\", which "
			              "contains it");
		}
	}
	for (uint32_t i = 0; i < c->nroutes; i++) {
		verify_route(l, (struct conf_route *)&c->routes[i], l->routes[i]);
	}
	for (uint32_t i = 0; i < c->npools; i++) {
		verify_pool(l, &c->pools[i], l->pools[i]);
	}
	verify_tcp(l);
	if (l->nservers > CONF_MAX_SERVERS) {
		problem_error(l->problems, ((struct place){ .file = 0 }),
		              "%u servers are more than the %d that one node takes", l->nservers,
		              CONF_MAX_SERVERS);
	}
	verify_binds(l);
}
