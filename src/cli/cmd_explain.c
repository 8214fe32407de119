/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast explain URL`: which listener, route, pool and server a request would take, and why. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/views.h"

#define LIST_SHOWN 20 /* of routes and of servers; --json shows all */

static const struct cli_option explain_options[] = {
	{ "--method", 'X', "METHOD", "the request's method; GET unless said" },
	{ "--client", 0, "ADDRESS", "who asks; 127.0.0.1 unless said" },
	{ "--listener", 0, "NAME",
	  "where the request comes in; found by the URL's port unless said" },
	{ NULL, 0, NULL, NULL },
};

/* "  listener  http (127.0.0.1:80)  why" */
static void put_step(const json_t *explanation, const char *key, bool colour, struct buf *out)
{
	const json_t *step = json_object_get(explanation, key);
	const char *name = view_text(step, *view_text(step, "id") != '\0' ? "id" : "name");
	char left[16];

	if (!json_is_object(step))
		return;
	snprintf(left, sizeof(left), "%-9s ", key);
	out_text(out, colour, OUT_DIM, left);
	out_text(out, colour, *name != '\0' ? OUT_BOLD : OUT_RED, *name != '\0' ? name : "none");
	if (*view_text(step, "address") != '\0')
		buf_printf(out, " (%s)", view_text(step, "address"));
	if (*view_text(step, "why") != '\0')
		buf_printf(out, ": %s", view_text(step, "why"));
	buf_addc(out, '\n');
}

/* What else was looked at: strings, or objects with a name and why. */
static void put_list(const json_t *list, struct buf *out)
{
	const json_t *e;
	size_t i;

	json_array_foreach (list, i, e) {
		const char *name = view_text(e, *view_text(e, "id") != '\0' ? "id" : "name");

		if (i == LIST_SHOWN && json_array_size(list) > LIST_SHOWN + 1) {
			buf_printf(out, "            and %zu more\n", json_array_size(list) - i);
			break;
		}
		if (json_is_string(e)) {
			buf_printf(out, "            %s\n", json_string_value(e));
			continue;
		}
		buf_printf(out, "            %s", name);
		if (*view_text(e, "state") != '\0')
			buf_printf(out, " %s", view_text(e, "state"));
		if (*view_text(e, "why") != '\0')
			buf_printf(out, ": %s", view_text(e, "why"));
		else if (*view_text(e, "reason") != '\0')
			buf_printf(out, ": %s", view_text(e, "reason"));
		buf_addc(out, '\n');
	}
}

void explain_render(const json_t *explanation, bool colour, struct buf *out)
{
	put_step(explanation, "listener", colour, out);
	put_step(explanation, "route", colour, out);
	put_list(json_object_get(json_object_get(explanation, "route"), "candidates"), out);
	put_step(explanation, "pool", colour, out);
	put_list(json_object_get(explanation, "servers"), out);
	put_step(explanation, "server", colour, out);
	if (*view_text(explanation, "answer") != '\0') {
		out_text(out, colour, OUT_DIM, "answer    ");
		buf_printf(out, "%s\n", view_text(explanation, "answer"));
	}
}

static void add_query(struct buf *path, const char *key, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(path, "%c%s=", strchr(buf_cstr(path), '?') != NULL ? '&' : '?', key);
	cli_url_encode(path, value);
}

static int explain_run(const struct cli_command *c, struct cli_args *a)
{
	struct buf path = BUF_INIT;
	struct buf page = BUF_INIT;
	json_t *json = NULL;
	int status;

	buf_adds(&path, "/api/v1/explain");
	add_query(&path, "url", a->argv[0]);
	add_query(&path, "method", cli_option(c, a, "--method"));
	add_query(&path, "client", cli_option(c, a, "--client"));
	add_query(&path, "listener", cli_option(c, a, "--listener"));
	for (unsigned i = 1; i < a->argc; i++)
		add_query(&path, "header", a->argv[i]);
	status = cli_call(a, "GET", buf_cstr(&path), NULL, &json);
	if (status == CLI_WELL && a->json) {
		cli_print_json(json);
	} else if (status == CLI_WELL) {
		explain_render(json, cli_colour(STDOUT_FILENO), &page);
		fputs(buf_cstr(&page), stdout);
	}
	buf_free(&path);
	buf_free(&page);
	json_decref(json);
	return status;
}

const struct cli_command cmd_explain = {
	.name = "explain",
	.arguments = "URL [HEADER ...]",
	.help = "say which listener, route, pool and server a request would take, and why",
	.more = "Nothing is sent; the running node says what it would do with such a request now. "
	        "Headers are given as \"Name: value\".\n\n"
	        "  holdfast explain http://shop.test/basket \"X-Beta: yes\"",
	.options = explain_options,
	.min_args = 1,
	.max_args = CLI_MAX_ARGS,
	.run = explain_run,
};
