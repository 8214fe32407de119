/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates on the page of `holdfast status`. */
#include <string.h>

#include "base/check.h"
#include "cli/status_impl.h"

#define SHOWN 100 /* lines; what is wrong comes first */

static bool is_ill(const json_t *c)
{
	return view_text(c, "problem")[0] != '\0' || strcmp(view_text(c, "stage"), "urgent") == 0 ||
	       strcmp(view_text(c, "stage"), "expired") == 0;
}

static void cell_left(struct out_table *t, const json_t *c)
{
	const char *stage = view_text(c, "stage");
	enum out_colour colour = strcmp(stage, "well") == 0   ? OUT_GREEN
	                         : strcmp(stage, "soon") == 0 ? OUT_YELLOW
	                                                      : OUT_RED;

	if (!json_is_true(json_object_get(c, "serving")))
		out_cell(t, OUT_RED, "none");
	else if (strcmp(stage, "expired") == 0)
		out_cell(t, OUT_RED, "expired");
	else
		out_cell(t, colour, "%llu d", (unsigned long long)view_number(c, "days_left"));
}

static void put_cert(struct out_table *t, const json_t *c)
{
	const char *problem = view_text(c, "problem");

	out_cell(t, OUT_PLAIN, "%s", view_text(c, "names"));
	out_cell(t, OUT_PLAIN, "%s", view_text(c, "listener"));
	cell_left(t, c);
	out_cell(t, OUT_PLAIN, "%s", view_text(c, "key"));
	out_cell(t, OUT_DIM, "%s", view_text(c, "origin"));
	out_cell(t, problem[0] ? OUT_RED : OUT_YELLOW, "%s",
	         problem[0] ? problem : view_text(c, "note"));
}

void status_put_certs(struct status_page *p, const json_t *status)
{
	static const char *const heads[] = { "certificate", "listener", ">left", "key",
		                             "from",        "problem",  NULL };
	const json_t *certs = json_object_get(status, "certificates"), *c;
	const char *authority = view_text(status, "authority");
	size_t shown = 0, i;
	struct out_table t;

	if (json_array_size(certs) == 0)
		return;
	out_table_init(&t, heads);
	for (int ill = 1; ill >= 0; ill--) {
		json_array_foreach (certs, i, c) {
			if (is_ill(c) == (ill == 1) && shown++ < SHOWN)
				put_cert(&t, c);
		}
	}
	status_title(p, "Certificates");
	out_table_write(&t, p->colour, p->width, p->out);
	shown += view_number(status, "certificates_more");
	if (shown > SHOWN)
		buf_printf(p->out, "and %zu more: --json has them\n", shown - SHOWN);
	if (authority[0] != '\0')
		buf_printf(p->out, "authority of `tls: internal`: %s\n", authority);
}
