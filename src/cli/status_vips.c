/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual IPs, their conditions and the named checks on the page of `holdfast status`. */
#include <string.h>

#include "base/check.h"
#include "cli/status_impl.h"

/* "drained, yielded": what is out of the ordinary. */
static void cell_flags(struct out_table *t, const json_t *v)
{
	static const char *const flags[] = { "conflict", "drained", "yielded", "appointed",
		                             "relaying" };
	bool conflict = json_is_true(json_object_get(v, "conflict"));
	struct buf b = BUF_INIT;

	for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
		if (json_is_true(json_object_get(v, flags[i])))
			buf_printf(&b, "%s%s", b.len > 0 ? ", " : "", flags[i]);
	}
	out_cell(t, conflict ? OUT_RED : OUT_YELLOW, "%s", buf_cstr(&b));
	buf_free(&b);
}

static void cell_vip_state(struct out_table *t, const json_t *v)
{
	const char *state = view_text(v, "state");

	if (!json_is_true(json_object_get(v, "member")))
		out_cell(t, OUT_DIM, "elsewhere");
	else if (strcmp(state, "active") == 0)
		out_cell(t, OUT_GREEN, "active");
	else
		out_cell(t, strcmp(state, "out") == 0 ? OUT_YELLOW : OUT_PLAIN, "%s", state);
}

/* "20/200" where it is not as configured. */
static void cell_priority(struct out_table *t, const json_t *v)
{
	uint64_t now = view_number(v, "priority");
	uint64_t base = view_number(v, "base_priority");

	if (!json_is_true(json_object_get(v, "member")))
		out_cell(t, OUT_PLAIN, "%s", "");
	else if (now == base)
		out_cell(t, OUT_PLAIN, "%llu", (unsigned long long)now);
	else
		out_cell(t, OUT_YELLOW, "%llu/%llu", (unsigned long long)now,
		         (unsigned long long)base);
}

static void put_conditions(struct status_page *p, const json_t *vips)
{
	static const char *const heads[] = { "virtual IP", "condition", "state",
		                             ">since",     "reason",    NULL };
	struct out_table t;
	const json_t *v;
	const json_t *c;
	size_t i;
	size_t k;

	out_table_init(&t, heads);
	json_array_foreach (vips, i, v) {
		json_array_foreach (json_object_get(v, "conditions"), k, c) {
			bool well = json_is_true(json_object_get(c, "well"));
			bool known = json_is_true(json_object_get(c, "known"));

			out_cell(&t, OUT_PLAIN, "%s", view_text(v, "name"));
			out_cell(&t, OUT_PLAIN, "%s", view_text(c, "name"));
			out_cell(&t,
			         !well   ? OUT_RED
			         : known ? OUT_GREEN
			                 : OUT_YELLOW,
			         "%s",
			         !well   ? "failed"
			         : known ? "well"
			                 : "assumed");
			status_cell_since(&t, p, c);
			out_cell(&t, OUT_PLAIN, "%s", view_text(c, "reason"));
		}
	}
	if (t.n > 0)
		status_title(p, "Conditions");
	out_table_write(&t, p->colour, p->width, p->out);
}

void status_put_vips(struct status_page *p, const json_t *vips)
{
	static const char *const heads[] = { "virtual IP", "address", "state",  ">since", "holder",
		                             ">priority",  "",        "reason", NULL };
	struct out_table t;
	const json_t *v;
	size_t i;

	if (json_array_size(vips) == 0)
		return;
	out_table_init(&t, heads);
	json_array_foreach (vips, i, v) {
		out_cell(&t, OUT_PLAIN, "%s", view_text(v, "name"));
		status_cell_list(&t, json_object_get(v, "addresses"), "");
		cell_vip_state(&t, v);
		status_cell_since(&t, p, v);
		out_cell(&t, OUT_BOLD, "%s", view_text(v, "holder"));
		cell_priority(&t, v);
		cell_flags(&t, v);
		out_cell(&t, OUT_PLAIN, "%s", view_text(v, "reason"));
	}
	status_title(p, "Virtual IPs");
	out_table_write(&t, p->colour, p->width, p->out);
	put_conditions(p, vips);
}

void status_put_checks(struct status_page *p, const json_t *checks)
{
	static const char *const heads[] = { "check", "state", ">since", "reason", NULL };
	struct out_table t;
	const json_t *c;
	size_t i;

	if (json_array_size(checks) == 0)
		return;
	out_table_init(&t, heads);
	json_array_foreach (checks, i, c) {
		const char *state = view_text(c, "state");

		out_cell(&t, OUT_PLAIN, "%s", view_text(c, "name"));
		out_cell(&t,
		         strcmp(state, "up") == 0     ? OUT_GREEN
		         : strcmp(state, "down") == 0 ? OUT_RED
		                                      : OUT_YELLOW,
		         "%s", state);
		status_cell_since(&t, p, c);
		out_cell(&t, OUT_PLAIN, "%s", view_text(c, "reason"));
	}
	status_title(p, "Checks");
	out_table_write(&t, p->colour, p->width, p->out);
}
