/* SPDX-License-Identifier: Apache-2.0 */
/* The arithmetic and the page of `holdfast top`. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cli/output.h"
#include "cli/views.h"
#include "stat/board.h"

static const char *const kinds[] = { "listeners", "routes", "pools", "servers" };
static const char *const titles[] = { "listener", "route", "pool", "server" };

/* --- differences ---------------------------------------------------------------------------- */

/* What a counter rose by; counters that went back (a new node) count from zero. */
static uint64_t rise(const json_t *before, const json_t *after, const char *key)
{
	uint64_t a = view_number(before, key);
	uint64_t b = view_number(after, key);

	return b >= a ? b - a : b;
}

static void latency_rise(const json_t *before, const json_t *after, uint64_t out[STAT_BUCKETS + 1])
{
	const json_t *a = json_object_get(before, "latency");
	const json_t *b = json_object_get(after, "latency");

	for (unsigned i = 0; i <= STAT_BUCKETS; i++) {
		json_int_t x = json_integer_value(json_array_get(a, i));
		json_int_t y = json_integer_value(json_array_get(b, i));

		out[i] = (uint64_t)(y >= x ? y - x : y);
	}
}

/* An index of the objects by name, so that 10,000 of them are compared in linear time. */
static json_t *by_name(const json_t *list)
{
	json_t *index = json_object();
	json_t *o;
	size_t i;

	json_array_foreach (list, i, o)
		json_object_set(index, view_text(o, "name"), o);
	return index;
}

static json_t *compute_one(const json_t *before, const json_t *after, double seconds)
{
	uint64_t latency[STAT_BUCKETS + 1];
	uint64_t requests = rise(before, after, "requests");
	uint64_t errors = rise(before, after, "errors");

	latency_rise(before, after, latency);
	return json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:I, s:I, s:f, s:f}", "name",
	                 view_text(after, "name"), "requests_per_s", (double)requests / seconds,
	                 "error_share", requests > 0 ? (double)errors / (double)requests : 0.0,
	                 "p50_us", stat_quantile(latency, 0.5), "p95_us",
	                 stat_quantile(latency, 0.95), "p99_us", stat_quantile(latency, 0.99),
	                 "active", (json_int_t)view_number(after, "active_requests"), "open",
	                 (json_int_t)view_number(after, "open_connections"), "bytes_in_per_s",
	                 (double)rise(before, after, "bytes_in_total") / seconds, "bytes_out_per_s",
	                 (double)rise(before, after, "bytes_out_total") / seconds);
}

json_t *top_compute(const json_t *before, const json_t *after)
{
	uint64_t us = rise(before, after, "at_us");
	double seconds = us > 0 ? (double)us / 1e6 : 1;
	json_t *ret = json_pack("{s:s, s:s, s:f}", "node", view_text(after, "node"), "health",
	                        view_text(after, "health"), "seconds", seconds);

	for (unsigned k = 0; k < ARRAY_LEN(kinds) && ret != NULL; k++) {
		json_t *index = by_name(json_object_get(before, kinds[k]));
		json_t *list = json_array();
		const json_t *o;
		size_t i;

		json_array_foreach (json_object_get(after, kinds[k]), i, o)
			json_array_append_new(
			    list,
			    compute_one(json_object_get(index, view_text(o, "name")), o, seconds));
		json_object_set_new(ret, kinds[k], list);
		json_decref(index);
	}
	if (ret != NULL && json_array_size(json_object_get(after, "virtual_ips")) > 0)
		json_object_set(ret, "virtual_ips", json_object_get(after, "virtual_ips"));
	return ret;
}

/* --- the page ------------------------------------------------------------------------------- */

static double real(const json_t *o, const char *key)
{
	return json_number_value(json_object_get(o, key));
}

static void put_row(struct out_table *t, const json_t *o)
{
	double share = real(o, "error_share");
	char text[16];

	out_cell(t, OUT_PLAIN, "%s", view_text(o, "name"));
	out_cell(t, OUT_PLAIN, "%s", out_number(real(o, "requests_per_s"), text));
	if (share > 0)
		out_cell(t, OUT_RED, "%.2f %%", share * 100);
	else
		out_cell(t, OUT_DIM, "-");
	out_cell(t, OUT_PLAIN, "%s", out_latency(real(o, "p50_us"), text));
	out_cell(t, OUT_PLAIN, "%s", out_latency(real(o, "p95_us"), text));
	out_cell(t, OUT_PLAIN, "%s", out_latency(real(o, "p99_us"), text));
	out_cell(t, OUT_PLAIN, "%s", out_number((double)view_number(o, "active"), text));
	out_cell(t, OUT_PLAIN, "%s", out_number((double)view_number(o, "open"), text));
	out_cell(t, OUT_PLAIN, "%s", out_number(real(o, "bytes_in_per_s"), text));
	out_cell(t, OUT_PLAIN, "%s", out_number(real(o, "bytes_out_per_s"), text));
}

static void put_kind(const json_t *list, const char *head, bool colour, unsigned width,
                     unsigned rows, struct buf *out)
{
	const char *const heads[] = { head,      ">req/s", ">errors", ">p50",     ">p95", ">p99",
		                      ">active", ">open",  ">in B/s", ">out B/s", NULL };
	size_t n = json_array_size(list);
	size_t shown = rows == 0 || n <= rows ? n : rows;
	struct out_table t;

	if (n == 0)
		return;
	out_table_init(&t, heads);
	for (size_t i = 0; i < shown; i++)
		put_row(&t, json_array_get(list, i));
	out_table_write(&t, colour, width, out);
	if (shown < n)
		buf_printf(out, "  and %zu more\n", n - shown);
	buf_addc(out, '\n');
}

/* What is wrong with a virtual IP here; "" when nothing is. */
static const char *vip_trouble(const json_t *v, char *out, size_t size)
{
	const json_t *c;
	size_t i;

	out[0] = '\0';
	json_array_foreach (json_object_get(v, "conditions"), i, c) {
		if (!json_is_true(json_object_get(c, "well")))
			snprintf(out, size, "%s: %s", view_text(c, "name"), view_text(c, "reason"));
	}
	if (json_is_true(json_object_get(v, "conflict")))
		snprintf(out, size, "another node is active as well");
	return out;
}

/* Who holds which address. Returns the lines that it took. */
static unsigned put_vips(const json_t *list, bool colour, unsigned width, struct buf *out)
{
	static const char *const heads[] = { "virtual IP", "state",   "holder",
		                             ">priority",  "trouble", NULL };
	struct out_table t;
	char trouble[256];
	const json_t *v;
	size_t i;

	if (json_array_size(list) == 0)
		return 0;
	out_table_init(&t, heads);
	json_array_foreach (list, i, v) {
		const char *state = view_text(v, "state");

		out_cell(&t, OUT_PLAIN, "%s", view_text(v, "name"));
		out_cell(&t,
		         strcmp(state, "active") == 0 ? OUT_GREEN
		         : strcmp(state, "out") == 0  ? OUT_YELLOW
		                                      : OUT_PLAIN,
		         "%s", state);
		out_cell(&t, OUT_BOLD, "%s", view_text(v, "holder"));
		out_cell(&t, OUT_PLAIN, "%llu", (unsigned long long)view_number(v, "priority"));
		out_cell(&t, OUT_RED, "%s", vip_trouble(v, trouble, sizeof(trouble)));
	}
	out_table_write(&t, colour, width, out);
	buf_addc(out, '\n');
	return (unsigned)json_array_size(list) + 2;
}

/* How many rows each kind may show, so that the page fits: a share for each, what one leaves goes
 * to those after it. 0: all. */
static unsigned share_of(const json_t *rates, unsigned from, unsigned left)
{
	unsigned filled = 0;

	for (unsigned k = from; k < ARRAY_LEN(kinds); k++)
		filled += json_array_size(json_object_get(rates, kinds[k])) > 0;
	return filled > 0 ? MAX(left / filled, 1) : 1;
}

void top_render(const json_t *rates, bool colour, unsigned width, unsigned rows, struct buf *out)
{
	/* The first two lines; head, "and more" and blank line of each kind. */
	unsigned left = rows > 2 + 3 * ARRAY_LEN(kinds) ? rows - 2 - 3 * ARRAY_LEN(kinds) : 4;
	const char *health = view_text(rates, "health");
	enum out_colour c = strcmp(health, "healthy") == 0    ? OUT_GREEN
	                    : strcmp(health, "degraded") == 0 ? OUT_YELLOW
	                                                      : OUT_RED;
	unsigned vips;

	out_text(out, colour, OUT_BOLD, view_text(rates, "node"));
	buf_addc(out, ' ');
	out_text(out, colour, c, health);
	buf_printf(out, ", over %.1f s\n\n", real(rates, "seconds"));
	vips = put_vips(json_object_get(rates, "virtual_ips"), colour, width, out);
	left -= MIN(left, vips);
	for (unsigned k = 0; k < ARRAY_LEN(kinds); k++) {
		const json_t *list = json_object_get(rates, kinds[k]);
		unsigned max = rows > 0 ? share_of(rates, k, left) : 0;

		put_kind(list, titles[k], colour, width, max, out);
		left -= MIN(left, MIN(max, (unsigned)json_array_size(list)));
	}
}
