/* SPDX-License-Identifier: Apache-2.0 */
/* The route table: one row for each case, each tried with the routes in many orders and against a
 * plain walk over all routes; large tables; cost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/route_match.h"
#include "proxy/route_path.h"

#define MAX_ROUTES 16000

static struct arena arena;
static struct conf_route routes[MAX_ROUTES];
static struct conf_listener listeners[2];
static struct conf conf;

static struct conf_list list_of(const char *words)
{
	struct str rest = str_from(words), *v = arena_alloc(&arena, 16 * sizeof(*v));
	struct conf_list l = { v, 0 };

	while (rest.s != NULL && rest.len > 0)
		v[l.n++] = arena_str(&arena, str_split(rest, ' ', &rest));
	return l;
}

/* "host host" "path" "GET PUT" "name=value name" "10.0.0.0/8" "http" */
static struct conf_route route(const char *name, const char *hosts, const char *path,
                               const char *methods, const char *headers, const char *clients,
                               const char *on)
{
	struct conf_match_header *h = arena_alloc(&arena, 8 * sizeof(*h));
	struct net_cidr *n = arena_alloc(&arena, 8 * sizeof(*n));
	struct conf_route r = {
		.name = str_from(arena_printf(&arena, "%s", name)),
		.hosts = list_of(hosts),
		.path = arena_str(&arena, str_from(path)),
		.methods = list_of(methods),
		.listeners = list_of(on),
		.headers = h,
		.clients = n,
	};
	struct conf_list l = list_of(headers);

	for (uint32_t i = 0; i < l.n; i++) {
		h[r.nheaders].name = str_split(l.v[i], '=', &h[r.nheaders].value);
		r.nheaders++;
	}
	l = list_of(clients);
	for (uint32_t i = 0; i < l.n; i++)
		assert_int_equal(net_cidr_parse(l.v[i], &n[r.nclients++]), OK);
	return r;
}

static void use(uint32_t n)
{
	listeners[0].name = STR("http");
	listeners[1].name = STR("internal");
	conf = (struct conf){
		.routes = routes, .nroutes = n, .listeners = listeners, .nlisteners = 2
	};
}

static uint32_t fixed_routes(void)
{
	uint32_t n = 0;

	routes[n++] = route("any", "", "/", "", "", "", "");
	routes[n++] = route("any_api", "", "/api", "", "", "", "");
	routes[n++] = route("shop", "shop.test www.shop.test", "/", "", "", "", "");
	routes[n++] = route("shop_api", "shop.test", "/api", "", "", "", "");
	routes[n++] = route("shop_api_v2", "shop.test", "/api/v2", "", "", "", "");
	routes[n++] = route("shop_api_post", "shop.test", "/api", "POST PUT", "", "", "");
	routes[n++] = route("shop_api_beta", "shop.test", "/api", "", "x-beta", "", "");
	routes[n++] =
	    route("shop_api_beta_post", "shop.test", "/api", "POST", "x-beta=yes", "", "");
	routes[n++] = route("shop_admin", "shop.test", "/admin", "", "", "", "");
	routes[n++] = route("shop_office", "shop.test", "/", "", "", "10.0.0.0/8 fd00::/8", "");
	routes[n++] = route("shop_slash", "shop.test", "/files/", "", "", "", "");
	routes[n++] = route("shop_space", "shop.test", "/a%20b", "", "", "", "");
	routes[n++] = route("shop_internal", "shop.test", "/status", "", "", "", "internal");
	routes[n++] = route("wild", "*.shop.test", "/", "", "", "", "");
	routes[n++] = route("wild_api", "*.shop.test", "/api", "", "", "", "");
	routes[n++] = route("wild_eu", "*.eu.shop.test", "/", "", "", "", "");
	routes[n++] = route("wild_tenants", "*.a.test *.b.test", "/", "", "", "", "");
	routes[n++] = route("only_get", "get.test", "/", "GET", "", "", "");
	routes[n++] = route("v6", "[::1]", "/", "", "", "", "");
	routes[n++] = route("star", "*", "/star", "", "", "", "");
	return n;
}

static const struct row {
	const char *method, *host, *path, *header, *client;
	uint32_t listener;
	const char *want;
} rows[] = {
	{ "GET", "other.test", "/", NULL, NULL, 0, "any" },
	{ "GET", "", "/", NULL, NULL, 0, "any" },
	{ "GET", "other.test", "/api", NULL, NULL, 0, "any_api" },
	{ "GET", "other.test", "/api/", NULL, NULL, 0, "any_api" },
	{ "GET", "other.test", "/api/x/y", NULL, NULL, 0, "any_api" },
	{ "GET", "other.test", "/apix", NULL, NULL, 0, "any" },
	{ "GET", "other.test", "/ap", NULL, NULL, 0, "any" },
	{ "GET", "other.test", "/API", NULL, NULL, 0, "any" },
	{ "GET", "other.test", "/star/x", NULL, NULL, 0, "star" },
	{ "GET", "shop.test", "/", NULL, NULL, 0, "shop" },
	{ "GET", "www.shop.test", "/", NULL, NULL, 0, "shop" },
	{ "GET", "SHOP.Test", "/", NULL, NULL, 0, "shop" },
	{ "GET", "shop.test:8080", "/", NULL, NULL, 0, "shop" },
	{ "GET", "shop.test.", "/", NULL, NULL, 0, "shop" },
	{ "GET", "Shop.Test.:443", "/", NULL, NULL, 0, "shop" },
	{ "GET", "shop.test", "/x", NULL, NULL, 0, "shop" },
	{ "GET", "shop.test", "/star", NULL, NULL, 0, "shop" },
	{ "GET", "shop.test", "/api", NULL, NULL, 0, "shop_api" },
	{ "GET", "shop.test", "/api/v1", NULL, NULL, 0, "shop_api" },
	{ "GET", "shop.test", "/api/v2", NULL, NULL, 0, "shop_api_v2" },
	{ "GET", "shop.test", "/api/v2/x", NULL, NULL, 0, "shop_api_v2" },
	{ "GET", "shop.test", "/api/v22", NULL, NULL, 0, "shop_api" },
	{ "POST", "shop.test", "/api", NULL, NULL, 0, "shop_api_post" },
	{ "PUT", "shop.test", "/api/x", NULL, NULL, 0, "shop_api_post" },
	{ "POST", "shop.test", "/api/v2", NULL, NULL, 0, "shop_api_v2" },
	{ "post", "shop.test", "/api", NULL, NULL, 0, "shop_api" },
	{ "GET", "shop.test", "/api", "X-Beta=1", NULL, 0, "shop_api_beta" },
	{ "GET", "shop.test", "/api", "x-beta=yes", NULL, 0, "shop_api_beta" },
	{ "POST", "shop.test", "/api", "x-beta=yes", NULL, 0, "shop_api_beta_post" },
	{ "POST", "shop.test", "/api", "x-beta=no", NULL, 0, "shop_api_beta" },
	{ "PUT", "shop.test", "/api", "x-beta=no", NULL, 0, "shop_api_beta" },
	{ "GET", "shop.test", "/", NULL, "10.1.2.3:999", 0, "shop_office" },
	{ "GET", "shop.test", "/x", NULL, "[fd00::5]:999", 0, "shop_office" },
	{ "GET", "shop.test", "/", NULL, "11.1.2.3:999", 0, "shop" },
	{ "GET", "shop.test", "/api", NULL, "10.1.2.3:999", 0, "shop_api" },
	{ "GET", "shop.test", "/files/a", NULL, NULL, 0, "shop_slash" },
	{ "GET", "shop.test", "/files/", NULL, NULL, 0, "shop_slash" },
	{ "GET", "shop.test", "/files", NULL, NULL, 0, "shop" },
	{ "GET", "shop.test", "/status", NULL, NULL, 0, "shop" },
	{ "GET", "shop.test", "/status", NULL, NULL, 1, "shop_internal" },
	{ "GET", "a.shop.test", "/", NULL, NULL, 0, "wild" },
	{ "GET", "a.b.c.shop.test", "/", NULL, NULL, 0, "wild" },
	{ "GET", "a.shop.test", "/api/x", NULL, NULL, 0, "wild_api" },
	{ "GET", "de.eu.shop.test", "/", NULL, NULL, 0, "wild_eu" },
	{ "GET", "de.eu.shop.test", "/api", NULL, NULL, 0, "wild_eu" },
	{ "GET", "eu.shop.test", "/", NULL, NULL, 0, "wild" },
	{ "GET", "ashop.test", "/", NULL, NULL, 0, "any" },
	{ "GET", ".shop.test", "/", NULL, NULL, 0, "any" },
	{ "GET", "x.a.test", "/", NULL, NULL, 0, "wild_tenants" },
	{ "GET", "X.B.TEST:1", "/", NULL, NULL, 0, "wild_tenants" },
	{ "GET", "a.test", "/", NULL, NULL, 0, "any" },
	{ "GET", "get.test", "/", NULL, NULL, 0, "only_get" },
	{ "HEAD", "get.test", "/", NULL, NULL, 0, "any" },
	{ "POST", "get.test", "/api", NULL, NULL, 0, "any_api" },
	{ "GET", "[::1]:80", "/", NULL, NULL, 0, "v6" },
	{ "OPTIONS", "shop.test", "*", NULL, NULL, 0, "shop" },
	/* nobody slips past a route by writing its path in another way */
	{ "GET", "shop.test", "/public/../admin", NULL, NULL, 0, "shop_admin" },
	{ "GET", "shop.test", "/public/%2e%2E/admin/x", NULL, NULL, 0, "shop_admin" },
	{ "GET", "shop.test", "/public/..%2fadmin", NULL, NULL, 0, "shop_admin" },
	{ "GET", "shop.test", "/public/..;a=b/admin", NULL, NULL, 0, "shop_admin" },
	{ "GET", "shop.test", "//admin", NULL, NULL, 0, "shop_admin" },
	{ "GET", "shop.test", "/./admin", NULL, NULL, 0, "shop_admin" },
	{ "GET", "shop.test", "/%61dmin", NULL, NULL, 0, "shop_admin" },
	{ "GET", "shop.test", "/../../admin", NULL, NULL, 0, "shop_admin" },
	{ "GET", "shop.test", "/admin/..", NULL, NULL, 0, "shop" },
	{ "GET", "shop.test", "/admin/../x", NULL, NULL, 0, "shop" },
	{ "GET", "shop.test", "/admin/.", NULL, NULL, 0, "shop_admin" },
	{ "GET", "shop.test", "/%2561dmin", NULL, NULL, 0, "shop" },
	{ "GET", "shop.test", "/admin%", NULL, NULL, 0, "shop" },
	{ "GET", "shop.test", "/a%20b/c", NULL, NULL, 0, "shop_space" },
	{ "GET", "shop.test", "/.well-known/x", NULL, NULL, 0, "shop" },
};

static struct http_head head;
static struct net_addr client;

static struct route_query query(const struct row *row)
{
	struct str name, value;

	memset(&head, 0, sizeof(head));
	head.method_text = str_from(row->method);
	head.method = http_method_of(head.method_text);
	head.host = str_from(row->host);
	head.path = str_from(row->path);
	if (row->header != NULL) {
		name = str_split(str_from(row->header), '=', &value);
		head.fields[head.nfields++] = (struct http_field){ .name = name, .value = value };
	}
	assert_int_equal(net_addr_parse(str_from(row->client != NULL ? row->client : "192.0.2.9:1"),
	                                &client, NULL),
	                 OK);
	return (struct route_query){ row->listener, &head, &client };
}

static const char *name_of(const struct conf_route *r)
{
	static char name[128];

	snprintf(name, sizeof(name), "%.*s", r != NULL ? (int)r->name.len : 6,
	         r != NULL ? r->name.s : "nobody");
	return name;
}

static void check_rows(void)
{
	struct route_table *t = route_table_new(&conf);

	assert_non_null(t);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct route_query q = query(&rows[i]);
		const struct conf_route *r = route_find(t, &q);

		if (strcmp(name_of(r), rows[i].want) != 0)
			fail_msg("%s %s%s: %s, not %s", rows[i].method, rows[i].host, rows[i].path,
			         name_of(r), rows[i].want);
	}
	route_table_free(t);
}

static void cases(void **state)
{
	use(fixed_routes());
	check_rows();
}

static uint64_t random_state = 1;

static uint32_t below(uint32_t n)
{
	random_state = random_state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)((random_state >> 33) % n);
}

static void order_does_not_matter(void **state)
{
	uint32_t n = fixed_routes();

	use(n);
	for (unsigned turn = 0; turn < 100; turn++) {
		for (uint32_t i = n - 1; i > 0; i--) {
			uint32_t j = below(i + 1);
			struct conf_route r = routes[i];

			routes[i] = routes[j];
			routes[j] = r;
		}
		check_rows();
	}
}

/* Explaining walks over all routes without the table: its first line must name the winner. */
static void explaining_agrees(void **state)
{
	struct route_table *t;

	use(fixed_routes());
	t = route_table_new(&conf);
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		struct route_query q = query(&rows[i]);
		struct buf why = BUF_INIT;
		char want[160];

		assert_string_equal(name_of(route_explain(t, &q, &why)), rows[i].want);
		snprintf(want, sizeof(want), "%s: takes it: ", rows[i].want);
		if (strncmp(buf_cstr(&why), want, strlen(want)) != 0)
			fail_msg("%s %s%s: %s", rows[i].method, rows[i].host, rows[i].path,
			         buf_cstr(&why));
		buf_free(&why);
	}
	route_table_free(t);
}

static void explanation(void **state)
{
	static const struct row row = { "POST", "shop.test", "/status", NULL, NULL, 0, NULL };
	struct route_query q = query(&row);
	struct buf why = BUF_INIT;
	struct route_table *t;
	const char *text;

	use(fixed_routes());
	t = route_table_new(&conf);
	route_explain(t, &q, &why);
	text = buf_cstr(&why);
	assert_non_null(strstr(text, "shop: takes it: host exactly, path /\n"));
	assert_non_null(strstr(text, "any: would take it, but shop is more specific"));
	assert_non_null(strstr(text, "shop_internal: no: only on listener internal\n"));
	assert_non_null(
	    strstr(text, "shop_office: no: the client is not in 10.0.0.0/8, fd00::/8\n"));
	assert_non_null(strstr(text, "shop_api: no: path /status is not at or below /api\n"));
	assert_null(strstr(text, "wild"));
	buf_free(&why);
	route_table_free(t);
}

static void explanation_of_conditions(void **state)
{
	static const struct row row = { "GET", "shop.test", "/api", NULL, NULL, 0, NULL };
	struct route_query q = query(&row);
	struct buf why = BUF_INIT;
	struct route_table *t;
	const char *text;

	use(fixed_routes());
	t = route_table_new(&conf);
	route_explain(t, &q, &why);
	text = buf_cstr(&why);
	assert_non_null(strstr(text, "shop_api_post: no: only for method POST, PUT\n"));
	assert_non_null(strstr(text, "shop_api_beta: no: there is no header x-beta\n"));
	buf_free(&why);
	route_table_free(t);
}

static void explanation_without_routes(void **state)
{
	static const struct row row = { "GET", "no.test", "/", NULL, NULL, 0, NULL };
	struct route_query q = query(&row);
	struct buf why = BUF_INIT;
	struct route_table *t;

	routes[0] = route("one", "one.test", "/", "", "", "", "");
	use(1);
	t = route_table_new(&conf);
	assert_null(route_explain(t, &q, &why));
	assert_string_equal(buf_cstr(&why), "no route is for host \"no.test\"\n");
	buf_free(&why);
	route_table_free(t);
}

static void explanation_is_bounded(void **state)
{
	static const struct row row = { "GET", "x.test", "/p5/x", NULL, NULL, 0, NULL };
	struct route_query q = query(&row);
	struct buf why = BUF_INIT;
	struct route_table *t;
	unsigned lines = 0;

	for (unsigned i = 0; i < 5000; i++)
		routes[i] = route(arena_printf(&arena, "r%u", i), "x.test",
		                  arena_printf(&arena, "/p%u", i), "", "", "", "");
	use(5000);
	t = route_table_new(&conf);
	assert_string_equal(name_of(route_explain(t, &q, &why)), "r5");
	for (const char *p = buf_cstr(&why); (p = strchr(p, '\n')) != NULL; p++)
		lines++;
	assert_int_equal(lines, ROUTE_WHY_LINES + 1);
	assert_non_null(strstr(why.p, "and 4900 more routes of this host\n"));
	buf_free(&why);
	route_table_free(t);
}

static void empty_table(void **state)
{
	static const struct row row = { "GET", "x.test", "/", NULL, NULL, 0, NULL };
	struct route_query q = query(&row);
	struct route_table *t;

	use(0);
	t = route_table_new(&conf);
	assert_null(route_find(t, &q));
	route_table_free(t);
	route_table_free(NULL);
}

static void equal_routes_by_name(void **state)
{
	static const struct row row = { "GET", "x.test", "/", "a=1", NULL, 0, NULL };
	struct route_query q = query(&row);

	for (unsigned turn = 0; turn < 2; turn++) {
		struct route_table *t;

		routes[turn] = route("beta", "x.test", "/", "GET", "", "", "");
		routes[1 - turn] = route("alpha", "x.test", "/", "", "a", "", "");
		use(2);
		t = route_table_new(&conf);
		assert_string_equal(name_of(route_find(t, &q)), "alpha");
		route_table_free(t);
	}
}

static void long_and_deep_paths(void **state)
{
	static char deep[60001], config[3001];
	struct row row = { "GET", "x.test", deep, NULL, NULL, 0, NULL };
	struct route_query q;
	struct route_table *t;

	for (unsigned i = 0; i < sizeof(config) - 1; i++)
		config[i] = i % 2 == 0 ? '/' : 'a';
	routes[0] = route("deep", "x.test", config, "", "", "", "");
	routes[1] = route("admin", "x.test", "/admin", "", "", "", "");
	routes[2] = route("rest", "", "/", "", "", "", "");
	use(3);
	t = route_table_new(&conf);
	for (unsigned i = 0; i < sizeof(deep) - 1; i++)
		deep[i] = i % 2 == 0 ? '/' : 'a';
	q = query(&row);
	assert_string_equal(name_of(route_find(t, &q)), "deep");
	deep[2999] = 'b';
	assert_string_equal(name_of(route_find(t, &q)), "rest");
	/* Longer than the room on the stack, and it leads elsewhere in the end. */
	memset(deep + 1, 'x', sizeof(deep) - 2);
	memcpy(deep + sizeof(deep) - 1 - 10, "/../admin/", 10);
	assert_string_equal(name_of(route_find(t, &q)), "admin");
	/* Nothing but slashes. */
	memset(deep, '/', sizeof(deep) - 1);
	assert_string_equal(name_of(route_find(t, &q)), "rest");
	route_table_free(t);
}

static void long_hosts(void **state)
{
	static char host[2001];
	struct row row = { "GET", host, "/", NULL, NULL, 0, NULL };
	struct route_query q;
	struct route_table *t;

	routes[0] = route("wild", "*.a", "/", "", "", "", "");
	routes[1] = route("rest", "", "/", "", "", "", "");
	use(2);
	t = route_table_new(&conf);
	for (unsigned n = 2; n < 2000; n += 2) {
		memcpy(host + n - 2, ".a", 3);
		q = query(&row);
		/* Longer than a name can be (RFC 1035): no host. */
		assert_string_equal(name_of(route_find(t, &q)),
		                    n > 2 && n <= 256 ? "wild" : "rest");
	}
	route_table_free(t);
}

/* Random tables and requests from a small alphabet: the table and the walk must agree. */
static void random_tables(void **state)
{
	static const char *const hosts[] = { "", "a.t", "b.a.t", "*.t", "*.a.t", "*.b.a.t", "*" };
	static const char *const paths[] = { "/",   "/a",     "/a/", "/a/b",  "/b",   "/a/b/",
		                             "/aa", "/a/b/c", "//a", "/a/./", "/%61", "/a/b/../c" };
	static const char *const methods[] = { "", "", "GET", "POST GET" };
	static const char *const headers[] = { "", "", "h", "h=1", "h=2 g" };
	static const char *const requests[] = { "a.t", "b.a.t", "c.b.a.t", "x.t", "t", "" };

	for (unsigned turn = 0; turn < 300; turn++) {
		uint32_t n = 1 + below(30);
		struct route_table *t;

		for (uint32_t i = 0; i < n; i++)
			routes[i] =
			    route(arena_printf(&arena, "r%u", i), hosts[below(ARRAY_LEN(hosts))],
			          paths[below(ARRAY_LEN(paths))],
			          methods[below(ARRAY_LEN(methods))],
			          headers[below(ARRAY_LEN(headers))],
			          below(4) == 0 ? "10.0.0.0/8" : "",
			          below(4) == 0 ? "internal" : "");
		use(n);
		t = route_table_new(&conf);
		for (unsigned i = 0; i < 50; i++) {
			struct row row = { below(2) ? "GET" : "POST",
				           requests[below(ARRAY_LEN(requests))],
				           paths[below(ARRAY_LEN(paths))],
				           below(2) ? "h=1" : NULL,
				           below(2) ? "10.1.1.1:1" : NULL,
				           below(2),
				           NULL };
			struct route_query q = query(&row);
			struct buf why = BUF_INIT;
			const struct conf_route *r = route_explain(t, &q, &why);
			char want[160];

			snprintf(want, sizeof(want), "%s: takes it: ", name_of(r));
			if (r != NULL)
				assert_memory_equal(buf_cstr(&why), want, strlen(want));
			else
				assert_null(strstr(buf_cstr(&why), "take it"));
			buf_free(&why);
		}
		route_table_free(t);
		arena_free(&arena);
	}
}

/* Look-ups of a table with n routes, ns each: the best of some runs. */
static uint64_t cost(uint32_t n, bool by_host, uint64_t *build)
{
	uint64_t best = UINT64_MAX, start;
	struct route_table *t;

	for (uint32_t i = 0; i < n; i++)
		routes[i] =
		    route(arena_printf(&arena, "r%u", i),
		          by_host ? arena_printf(&arena, "host%u.example.test", i)
		                  : "shop.example.test",
		          by_host ? "/api" : arena_printf(&arena, "/app%u/api", i), "", "", "", "");
	use(n);
	start = clock_mono();
	t = route_table_new(&conf);
	*build = clock_mono() - start;
	for (unsigned turn = 0; turn < 20; turn++) {
		enum { LOOKUPS = 1000 };

		start = clock_mono();
		for (unsigned i = 0; i < LOOKUPS; i++) {
			uint32_t k = below(n);
			char host[64], path[64];
			struct route_query q = { 0, &head, &client };

			snprintf(host, sizeof(host),
			         by_host ? "host%u.example.test:80" : "shop.example.test", k);
			snprintf(path, sizeof(path),
			         by_host ? "/api/v1/things/7" : "/app%u/api/things/7", k);
			head.host = str_from(host);
			head.path = str_from(path);
			assert_ptr_equal(route_find(t, &q), &routes[k]);
		}
		best = MIN(best, (clock_mono() - start) / LOOKUPS);
	}
	route_table_free(t);
	arena_free(&arena);
	return best;
}

static void cost_does_not_grow(void **state)
{
	for (unsigned by_host = 0; by_host < 2; by_host++) {
		uint64_t build, few = cost(10, by_host, &build), many;

		many = cost(10000, by_host, &build);
		print_message("10 routes by %s: %lu ns; 10000: %lu ns, built in %lu us\n",
		              by_host ? "host" : "path", (unsigned long)few, (unsigned long)many,
		              (unsigned long)(build / 1000));
		/* Cache misses and a loaded machine, but no search: that would be 1000 times. */
		assert_true(many < 50 * few + 20000);
		assert_true(build < 2 * NS_PER_S);
	}
}

static void clean_paths(void **state)
{
	static const char *const pairs[][2] = {
		{ "/", "/" },
		{ "", "/" },
		{ "*", "/" },
		{ "/a/b", "/a/b" },
		{ "/a//b", "/a/b" },
		{ "//", "/" },
		{ "/a/./b", "/a/b" },
		{ "/a/.", "/a/" },
		{ "/a/..", "/" },
		{ "/a/../", "/" },
		{ "/a/b/../c", "/a/c" },
		{ "/a/b/../../../c", "/c" },
		{ "/..", "/" },
		{ "/...", "/..." },
		{ "/a/.b", "/a/.b" },
		{ "/a/..b", "/a/..b" },
		{ "/a/b..", "/a/b.." },
		{ "/a%2fb", "/a/b" },
		{ "/a%2F..%2fb", "/b" },
		{ "/%2e%2e/b", "/b" },
		{ "/a%", "/a%" },
		{ "/a%2", "/a%2" },
		{ "/a%zz", "/a%zz" },
		{ "/a%252e", "/a%2e" },
		{ "/a/..;x=1/b", "/b" },
		{ "/a/;x/b", "/a/;x/b" },
		{ "/a;x=1/b", "/a;x=1/b" },
		{ "/a%20b", "/a b" },
	};

	for (unsigned i = 0; i < ARRAY_LEN(pairs); i++) {
		struct route_path room;
		struct str p = route_path_clean(str_from(pairs[i][0]), &room);
		char got[64];

		snprintf(got, sizeof(got), "%.*s", STR_ARG(p));
		assert_string_equal(got, pairs[i][1]);
		route_path_free(&room);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cases),
		cmocka_unit_test(order_does_not_matter),
		cmocka_unit_test(explaining_agrees),
		cmocka_unit_test(explanation),
		cmocka_unit_test(explanation_of_conditions),
		cmocka_unit_test(explanation_without_routes),
		cmocka_unit_test(explanation_is_bounded),
		cmocka_unit_test(empty_table),
		cmocka_unit_test(equal_routes_by_name),
		cmocka_unit_test(long_and_deep_paths),
		cmocka_unit_test(long_hosts),
		cmocka_unit_test(random_tables),
		cmocka_unit_test(cost_does_not_grow),
		cmocka_unit_test(clean_paths),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	arena_free(&arena);
	return failed;
}
