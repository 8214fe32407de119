/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates that are ordered by ACME on the page of `holdfast status`. */
#include <string.h>

#include "cli/status_impl.h"

static void cell_state(struct out_table *t, const char *state)
{
	out_cell(t,
	         strcmp(state, "valid") == 0    ? OUT_GREEN
	         : strcmp(state, "failed") == 0 ? OUT_RED
	                                        : OUT_YELLOW,
	         "%s", state);
}

/* Up to the minute, for people. */
static void cell_time(struct out_table *t, const json_t *j, const char *key)
{
	const char *s = view_text(j, key);

	out_cell(t, OUT_PLAIN, "%.10s%s%.5s", s, strlen(s) > 16 ? " " : "",
	         strlen(s) > 16 ? s + 11 : "");
}

void status_put_acme(struct status_page *p, const json_t *certificates)
{
	static const char *const heads[] = { "certificate", "issuer", "state", "valid until",
		                             "next order",  "reason", NULL };
	struct out_table t;
	const json_t *j;
	size_t i;

	if (json_array_size(certificates) == 0)
		return;
	out_table_init(&t, heads);
	json_array_foreach (certificates, i, j) {
		const char *type = view_text(j, "error_type");

		status_cell_list(&t, json_object_get(j, "hosts"), "");
		out_cell(&t, OUT_PLAIN, "%s", view_text(j, "issuer"));
		cell_state(&t, view_text(j, "state"));
		cell_time(&t, j, "not_after");
		cell_time(&t, j, "next");
		out_cell(&t, OUT_PLAIN, "%s%s%s", type, type[0] ? ": " : "", view_text(j, "error"));
	}
	status_title(p, "Certificates by ACME (times in UTC)");
	out_table_write(&t, p->colour, p->width, p->out);
}
