/* SPDX-License-Identifier: Apache-2.0 */
/* The page of `holdfast status`. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/status_impl.h"
#include "cli/views.h"

const char *view_text(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s != NULL ? s : "";
}

uint64_t view_number(const json_t *object, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(object, key));

	return n > 0 ? (uint64_t)n : 0;
}

uint64_t view_time(const json_t *object, const char *key)
{
	struct tm tm = { 0 };
	const char *rest = strptime(view_text(object, key), "%Y-%m-%dT%H:%M:%S", &tm);
	unsigned ms = 0;

	if (rest == NULL)
		return 0;
	if (*rest == '.')
		sscanf(rest + 1, "%3u", &ms);
	return (uint64_t)timegm(&tm) * 1000 + ms;
}

void status_title(struct status_page *p, const char *text)
{
	buf_addc(p->out, '\n');
	out_text(p->out, p->colour, OUT_BOLD, text);
	buf_addc(p->out, '\n');
}

static void cell_count(struct out_table *t, const json_t *o, const char *key, enum out_colour c)
{
	uint64_t n = view_number(o, key);

	out_cell(t, n > 0 ? c : OUT_PLAIN, "%llu", (unsigned long long)n);
}

void status_cell_since(struct out_table *t, const struct status_page *p, const json_t *o)
{
	char ago[32];

	out_cell(t, OUT_PLAIN, "%s", out_ago(view_time(o, "since"), p->now, ago));
}

void status_cell_list(struct out_table *t, const json_t *list, const char *none)
{
	struct buf b = BUF_INIT;
	const json_t *s;
	size_t i;

	json_array_foreach (list, i, s)
		buf_printf(&b, "%s%s", i > 0 ? ", " : "", json_string_value(s));
	out_cell(t, OUT_PLAIN, "%s", b.len > 0 ? buf_cstr(&b) : none);
	buf_free(&b);
}

/* --- parts ---------------------------------------------------------------------------------- */

static enum out_colour health_colour(const char *health)
{
	if (strcmp(health, "healthy") == 0)
		return OUT_GREEN;
	return strcmp(health, "degraded") == 0 ? OUT_YELLOW : OUT_RED;
}

static void put_node(struct status_page *p, const json_t *j)
{
	const char *health = view_text(j, "health");
	const json_t *reloads = json_object_get(j, "reloads");
	char up[32];
	char ago[32];

	if (*view_text(j, "cluster") != '\0')
		buf_printf(p->out, "%s/", view_text(j, "cluster"));
	out_text(p->out, p->colour, OUT_BOLD, view_text(j, "node"));
	buf_addc(p->out, ' ');
	out_text(p->out, p->colour, health_colour(health), health);
	buf_printf(p->out, ", up %s, version %s\n", out_ago(view_time(j, "started"), p->now, up),
	           view_text(j, "version"));
	buf_printf(p->out, "configuration %llu from %s, loaded %s ago\n",
	           (unsigned long long)view_number(j, "generation"), view_text(j, "file"),
	           out_ago(view_time(j, "loaded"), p->now, ago));
	if (*view_text(reloads, "error") != '\0') {
		out_text(p->out, p->colour, OUT_RED, "the last reload was refused");
		buf_printf(p->out, " %s ago: %s\n",
		           out_ago(view_time(reloads, "last"), p->now, ago),
		           view_text(reloads, "error"));
	}
	if (json_is_true(json_object_get(j, "draining")))
		out_text(p->out, p->colour, OUT_YELLOW, "about to end: finishes what is open\n");
	if (json_is_true(json_object_get(j, "drained")))
		out_text(p->out, p->colour, OUT_YELLOW,
		         "drained by order: holds no virtual IP until \"holdfast ready --node\"\n");
	if (json_is_true(json_object_get(j, "orphan")))
		out_text(
		    p->out, p->colour, OUT_RED,
		    "the parent process has gone: \"holdfast run\" adopts what still serves\n");
}

static void put_roles(struct status_page *p, const json_t *roles)
{
	static const char *const heads[] = { "role",      "state",    ">pid", ">since",
		                             ">restarts", "last end", NULL };
	struct out_table t;
	const json_t *r;
	size_t i;

	out_table_init(&t, heads);
	json_array_foreach (roles, i, r) {
		bool runs = view_number(r, "pid") != 0;
		bool ready = json_is_true(json_object_get(r, "ready"));

		out_cell(&t, OUT_PLAIN, "%s", view_text(r, "name"));
		out_cell(&t,
		         ready  ? OUT_GREEN
		         : runs ? OUT_YELLOW
		                : OUT_RED,
		         "%s",
		         ready  ? "ready"
		         : runs ? "starting"
		                : "not running");
		out_cell(&t, OUT_PLAIN, "%llu", (unsigned long long)view_number(r, "pid"));
		status_cell_since(&t, p, r);
		cell_count(&t, r, "restarts", OUT_YELLOW);
		out_cell(&t, OUT_PLAIN, "%s", view_text(r, "reason"));
	}
	status_title(p, "Roles");
	out_table_write(&t, p->colour, p->width, p->out);
}

static void put_listeners(struct status_page *p, const json_t *listeners)
{
	static const char *const heads[] = { "listener", "address",   "protocol", ">connections",
		                             ">active",  ">requests", ">errors",  NULL };
	struct out_table t;
	const json_t *l;
	size_t i;

	out_table_init(&t, heads);
	json_array_foreach (listeners, i, l) {
		out_cell(&t, OUT_PLAIN, "%s", view_text(l, "name"));
		status_cell_list(&t, json_object_get(l, "bind"), "");
		out_cell(&t, OUT_PLAIN, "%s",
		         strcmp(view_text(l, "protocol"), "http") == 0 ? ""
		                                                       : view_text(l, "protocol"));
		cell_count(&t, l, "open", OUT_PLAIN);
		cell_count(&t, l, "active", OUT_PLAIN);
		cell_count(&t, l, "requests", OUT_PLAIN);
		cell_count(&t, l, "errors", OUT_RED);
	}
	status_title(p, "Listeners");
	out_table_write(&t, p->colour, p->width, p->out);
}

static void put_routes(struct status_page *p, const json_t *routes)
{
	static const char *const heads[] = { "route",     "host",    "path", "to",
		                             ">requests", ">errors", NULL };
	struct out_table t;
	const json_t *r;
	size_t i;

	if (json_array_size(routes) == 0)
		return;
	out_table_init(&t, heads);
	json_array_foreach (routes, i, r) {
		out_cell(&t, OUT_PLAIN, "%s", view_text(r, "name"));
		status_cell_list(&t, json_object_get(r, "host"), "any");
		out_cell(&t, OUT_PLAIN, "%s", view_text(r, "path"));
		out_cell(&t, OUT_PLAIN, "%s", view_text(r, "to"));
		cell_count(&t, r, "requests", OUT_PLAIN);
		cell_count(&t, r, "errors", OUT_RED);
	}
	status_title(p, "Routes");
	out_table_write(&t, p->colour, p->width, p->out);
}

static void put_pools(struct status_page *p, const json_t *pools)
{
	static const char *const heads[] = { "pool",      "balance", ">up", ">active",
		                             ">requests", ">errors", NULL };
	struct out_table t;
	const json_t *pool;
	size_t i;

	if (json_array_size(pools) == 0)
		return;
	out_table_init(&t, heads);
	json_array_foreach (pools, i, pool) {
		uint64_t up = view_number(pool, "up");
		uint64_t all = view_number(pool, "servers");

		out_cell(&t, OUT_PLAIN, "%s", view_text(pool, "name"));
		out_cell(&t, OUT_PLAIN, "%s", view_text(pool, "balance"));
		out_cell(&t,
		         up == 0    ? OUT_RED
		         : up < all ? OUT_YELLOW
		                    : OUT_GREEN,
		         "%llu/%llu", (unsigned long long)up, (unsigned long long)all);
		cell_count(&t, pool, "active", OUT_PLAIN);
		cell_count(&t, pool, "requests", OUT_PLAIN);
		cell_count(&t, pool, "errors", OUT_RED);
	}
	status_title(p, "Pools");
	out_table_write(&t, p->colour, p->width, p->out);
}

static void cell_state(struct out_table *t, const json_t *s)
{
	const char *state = view_text(s, "state");
	const char *order = view_text(s, "order");
	uint64_t ramp = view_number(s, "ramp");

	if (strcmp(order, "disable") == 0)
		out_cell(t, OUT_YELLOW, "disabled");
	else if (strcmp(order, "drain") == 0)
		out_cell(t, OUT_YELLOW, "draining");
	else if (strcmp(state, "up") == 0 && ramp > 0 && ramp < 100)
		out_cell(t, OUT_GREEN, "up, %llu %%", (unsigned long long)ramp);
	else if (strcmp(state, "up") == 0)
		out_cell(t, OUT_GREEN, "up");
	else if (json_is_true(json_object_get(s, "ejected")))
		out_cell(t, OUT_RED, "ejected");
	else
		out_cell(t, strcmp(state, "down") == 0 ? OUT_RED : OUT_YELLOW, "%s", state);
}

/* With when what is open on a drained one is ended, or how much was. */
static void cell_server_reason(struct out_table *t, const struct status_page *p, const json_t *s)
{
	uint64_t end = view_time(s, "end_at");
	uint64_t ended = view_number(s, "ended");
	char span[32];

	clock_format_span(end > p->now ? (end - p->now) * NS_PER_MS : 0, span);
	if (end != 0)
		out_cell(t, OUT_PLAIN, "%s; what is open is ended in %s", view_text(s, "reason"),
		         span);
	else if (ended > 0)
		out_cell(t, OUT_PLAIN, "%s; its time is over: %llu ended", view_text(s, "reason"),
		         (unsigned long long)ended);
	else
		out_cell(t, OUT_PLAIN, "%s", view_text(s, "reason"));
}

static void put_servers(struct status_page *p, const json_t *servers)
{
	static const char *const heads[] = { "server",  "address", "state",   ">since",
		                             ">weight", "",        ">active", ">requests",
		                             ">errors", "reason",  NULL };
	struct out_table t;
	const json_t *s;
	size_t i;

	if (json_array_size(servers) == 0)
		return;
	out_table_init(&t, heads);
	json_array_foreach (servers, i, s) {
		out_cell(&t, OUT_PLAIN, "%s", view_text(s, "id"));
		out_cell(&t, OUT_PLAIN, "%s", view_text(s, "address"));
		cell_state(&t, s);
		status_cell_since(&t, p, s);
		cell_count(&t, s, "weight", OUT_PLAIN);
		out_cell(&t, OUT_DIM, "%s",
		         json_is_true(json_object_get(s, "backup")) ? "backup" : "");
		cell_count(&t, s, "active", OUT_PLAIN);
		cell_count(&t, s, "requests", OUT_PLAIN);
		cell_count(&t, s, "errors", OUT_RED);
		cell_server_reason(&t, p, s);
	}
	status_title(p, "Servers");
	out_table_write(&t, p->colour, p->width, p->out);
}

void status_render(const json_t *status, bool colour, unsigned width, struct buf *out)
{
	struct status_page p = { out, colour, width, view_time(status, "time") };

	put_node(&p, status);
	put_roles(&p, json_object_get(status, "roles"));
	status_put_vips(&p, json_object_get(status, "virtual_ips"));
	status_put_checks(&p, json_object_get(status, "checks"));
	status_put_acme(&p, json_object_get(status, "acme"));
	put_listeners(&p, json_object_get(status, "listeners"));
	status_put_certs(&p, status);
	put_routes(&p, json_object_get(status, "routes"));
	put_pools(&p, json_object_get(status, "pools"));
	put_servers(&p, json_object_get(status, "servers"));
}
