/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast connections`: what lasts: TCP connections, tunnels, UDP sessions, long requests. */
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/views.h"

static const struct cli_option connections_options[] = {
	{ "--pool", 0, "POOL[/SERVER]", "only those to a pool, or to one server" },
	{ "--listener", 0, "NAME", "only those of a listener" },
	{ "--older", 0, "DURATION", "only those that are older, such as 1m" },
	{ NULL },
};

static void add_query(struct buf *path, const char *key, const char *value)
{
	if (value == NULL)
		return;
	buf_printf(path, "%c%s=", memchr(path->p, '?', path->len) ? '&' : '?', key);
	cli_url_encode(path, value);
}

static int by_age(const void *pa, const void *pb)
{
	const uint64_t a = view_number(*(json_t *const *)pa, "age_ms");
	const uint64_t b = view_number(*(json_t *const *)pb, "age_ms");

	return a > b ? -1 : a < b;
}

static void put_row(struct out_table *t, const json_t *r)
{
	char span[32], number[16];

	out_cell(t, OUT_PLAIN, "%s", view_text(r, "protocol"));
	out_cell(t, OUT_PLAIN, "%s", view_text(r, "listener"));
	out_cell(t, OUT_PLAIN, "%s", view_text(r, "client"));
	out_cell(t, OUT_PLAIN, "%s", view_text(r, "server"));
	clock_format_span(view_number(r, "age_ms") * NS_PER_MS, span);
	out_cell(t, OUT_PLAIN, "%s", span);
	clock_format_span(view_number(r, "idle_ms") * NS_PER_MS, span);
	out_cell(t, OUT_PLAIN, "%s", span);
	out_cell(t, OUT_PLAIN, "%s", out_number((double)view_number(r, "bytes_in"), number));
	out_cell(t, OUT_PLAIN, "%s", out_number((double)view_number(r, "bytes_out"), number));
	out_cell(t, OUT_YELLOW, "%s",
	         json_is_true(json_object_get(r, "draining")) ? "its proxy is ending" : "");
}

static void render(const json_t *answer)
{
	static const char *const heads[] = { "protocol", "listener", "client", "server", ">age",
		                             ">idle",    ">in",      ">out",   "note",   NULL };
	const json_t *list = json_object_get(answer, "connections");
	const size_t n = json_array_size(list);
	const json_t **v = calloc(n + 1, sizeof(*v));
	struct buf out = BUF_INIT;
	struct out_table t;
	size_t i;

	if (v == NULL)
		return;
	for (i = 0; i < n; i++)
		v[i] = json_array_get(list, i);
	qsort(v, n, sizeof(*v), by_age);
	out_table_init(&t, heads);
	for (i = 0; i < n; i++)
		put_row(&t, v[i]);
	if (n > 0)
		out_table_write(&t, cli_colour(1), out_terminal(1, NULL), &out);
	buf_printf(&out, "%zu connection%s%s\n", n, n == 1 ? "" : "s", n > 0 ? "" : " that last");
	if (!json_is_true(json_object_get(answer, "complete")))
		buf_printf(&out, "of %llu: the list is cut, or a proxy did not answer\n",
		           (unsigned long long)view_number(answer, "found"));
	fwrite(out.p, 1, out.len, stdout);
	buf_free(&out);
	free(v);
}

static int connections_run(const struct cli_command *c, struct cli_args *a)
{
	const char *older = cli_option(c, a, "--older");
	struct buf path = BUF_INIT;
	json_t *answer = NULL;
	uint64_t ns = 0;
	char ms[32];
	int status;

	if (older != NULL && cli_span(older, &ns) != OK) {
		fprintf(stderr, "holdfast connections: \"%s\" is not a duration such as 1m\n",
		        older);
		return CLI_USAGE;
	}
	snprintf(ms, sizeof(ms), "%llu", (unsigned long long)(ns / NS_PER_MS));
	buf_adds(&path, "/api/v1/connections");
	add_query(&path, "pool", cli_option(c, a, "--pool"));
	add_query(&path, "listener", cli_option(c, a, "--listener"));
	add_query(&path, "older", older != NULL ? ms : NULL);
	status = cli_call(a, "GET", buf_cstr(&path), NULL, &answer);
	buf_free(&path);
	if (status == CLI_WELL && a->json)
		cli_print_json(answer);
	else if (status == CLI_WELL)
		render(answer);
	json_decref(answer);
	return status;
}

const struct cli_command cmd_connections = {
	.name = "connections",
	.arguments = "",
	.help = "list connections that last: TCP, tunnels, UDP sessions, long requests",
	.more = "Each line is a TCP connection, a tunnel (WebSocket), a UDP session, or a request "
	        "that has been under way for more than 10 s, the oldest first: where it came in, "
	        "its client and server, how long it is there and how long without a byte, and the "
	        "bytes from and to the client. Those of a proxy that is ending after an upgrade "
	        "are among them. At most 10,000 of each proxy process are listed.",
	.options = connections_options,
	.run = connections_run,
};
