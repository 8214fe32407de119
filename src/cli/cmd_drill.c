/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast drill`, and the two programs that it runs in hosts: its client and its observer. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/views.h"
#include "conf/value.h"
#include "drill/drill.h"

/* --- the drill ------------------------------------------------------------------------------ */

static int list_scenarios(bool json)
{
	static const char *const heads[] = { "scenario", "runs", "what happens", NULL };
	const char *name, *what, *where;
	json_t *list = json_array();
	struct buf out = BUF_INIT;
	struct out_table t;

	out_table_init(&t, heads);
	for (unsigned i = 0; (name = drill_scenario_name(i, &what, &where)) != NULL; i++) {
		out_cell(&t, OUT_BOLD, "%s", name);
		out_cell(&t, OUT_DIM, "%s", where);
		out_cell(&t, OUT_PLAIN, "%s", what);
		json_array_append_new(list, json_pack("{s:s, s:s, s:s}", "scenario", name, "runs",
		                                      where, "what", what));
	}
	out_table_write(&t, cli_colour(STDOUT_FILENO), out_terminal(STDOUT_FILENO, NULL), &out);
	if (json)
		cli_print_json(list);
	else
		fputs(buf_cstr(&out), stdout);
	json_decref(list);
	buf_free(&out);
	return CLI_WELL;
}

/* A line of progress; on a terminal the next one takes its place unless it is the last. */
static void say(void *arg, const char *text, bool last)
{
	bool live = isatty(STDERR_FILENO) != 0;

	(void)arg;
	if (live)
		fprintf(stderr, "\r\033[K%.200s%s", text, last ? "\n" : "");
	else if (last)
		fprintf(stderr, "%s\n", text);
	fflush(stderr);
}

static void cell_ms(struct out_table *t, const json_t *r, const char *key)
{
	const json_t *v = json_object_get(r, key);
	char text[16];

	if (!json_is_number(v))
		out_cell(t, OUT_RED, "never");
	else if (json_number_value(v) == 0)
		out_cell(t, OUT_PLAIN, "0");
	else
		out_cell(t, OUT_PLAIN, "%s", out_latency(json_number_value(v) * 1000, text));
}

static void cell_streams(struct out_table *t, const json_t *r)
{
	const json_t *download = json_object_get(r, "download_intact");
	bool both = json_is_true(download) && json_is_true(json_object_get(r, "websocket_intact"));

	if (json_is_null(download))
		out_cell(t, OUT_DIM, "-");
	else
		out_cell(t, OUT_PLAIN, "%s", both ? "intact" : "cut");
}

static void table_row(struct out_table *t, const json_t *r)
{
	const char *verdict = view_text(r, "verdict");
	bool met = strcmp(verdict, "met") == 0, skipped = strcmp(verdict, "skipped") == 0;

	out_cell(t, OUT_BOLD, "%s", view_text(r, "scenario"));
	if (json_object_get(r, "requests")) {
		cell_ms(t, r, "gap_ms");
		out_cell(t, OUT_PLAIN, "%llu/%llu", (unsigned long long)view_number(r, "failed"),
		         (unsigned long long)view_number(r, "requests"));
		cell_ms(t, r, "recovery_ms");
		cell_ms(t, r, "split_brain_ms");
		cell_streams(t, r);
	} else {
		for (int i = 0; i < 5; i++)
			out_cell(t, OUT_PLAIN, "%s", "");
	}
	out_cell(t, met ? OUT_GREEN : skipped ? OUT_YELLOW : OUT_RED, "%s", verdict);
	out_cell(t, OUT_PLAIN, "%s", view_text(r, "why"));
}

static void print_table(const struct drill_run *run)
{
	static const char *const heads[] = {
		"drill",   ">longest gap", ">failed", ">well after", ">split brain",
		"streams", "verdict",      "",        NULL
	};
	struct buf out = BUF_INIT;
	struct out_table t;
	const json_t *r;
	size_t i;

	out_table_init(&t, heads);
	json_array_foreach (json_object_get(run->json, "results"), i, r)
		table_row(&t, r);
	buf_printf(&out, "%s, asked: %s\n", view_text(run->json, "cluster"),
	           view_text(run->json, "target"));
	out_table_write(&t, cli_colour(STDOUT_FILENO), 0, &out);
	fputs(buf_cstr(&out), stdout);
	buf_free(&out);
}

static void print_end(const struct drill_run *run)
{
	const json_t *r;
	unsigned ran = 0;
	size_t i;

	json_array_foreach (json_object_get(run->json, "results"), i, r)
		ran += strcmp(view_text(r, "verdict"), "skipped") != 0;
	if (view_number(run->json, "missed") > 0)
		printf("%llu of %u drills did not keep their limits.\n",
		       (unsigned long long)view_number(run->json, "missed"), ran);
	else
		printf("All %u drills kept their limits.\n", ran);
}

/* Durations and numbers among the options; whether all are well. */
static bool take_rates(const struct cli_command *c, struct cli_args *a, struct drill_options *o)
{
	const struct {
		const char *name;
		uint64_t *to, least;
	} spans[] = { { "--every", &o->client.every_ns, NS_PER_MS },
		      { "--limit", &o->client.limit_ns, 10 * NS_PER_MS },
		      { "--streams", &o->client.download_ns, 0 } };
	const char *text, *why = "";
	uint64_t n;

	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		text = cli_option(c, a, spans[i].name);
		if (!text || (value_duration(str_from(text), spans[i].to, &why) == OK &&
		              *spans[i].to >= spans[i].least && *spans[i].to <= 600 * NS_PER_S))
			continue;
		fprintf(stderr, "holdfast drill: %s: \"%s\" is not a duration that fits %s\n",
		        spans[i].name, text, why);
		return false;
	}
	text = cli_option(c, a, "--kept");
	if (text && str_to_u64(str_from(text), 256, &n) != OK) {
		fputs("holdfast drill: --kept: at most 256 connections\n", stderr);
		return false;
	}
	o->client.kept = text ? (unsigned)n : o->client.kept;
	text = cli_option(c, a, "--repeat");
	if (text && (str_to_u64(str_from(text), 1000, &n) != OK || n == 0)) {
		fputs("holdfast drill: --repeat: 1 to 1000 times\n", stderr);
		return false;
	}
	o->repeat = text ? (unsigned)n : 1;
	return true;
}

static int write_report(const struct drill_run *run, const char *path)
{
	if (buf_write_file(&run->html, path, 0644) == OK)
		return CLI_WELL;
	fprintf(stderr, "holdfast drill: %s cannot be written: %s\n", path, strerror(errno));
	return CLI_FAILED;
}

static int drill_main(const struct cli_command *c, struct cli_args *a, struct drill_options *o)
{
	const char *report = cli_option(c, a, "--report");
	struct drill_run run;
	int status = drill_run(o, &run);

	if (!run.json) {
		fprintf(stderr, "holdfast drill: %s\n", run.why);
		drill_run_free(&run);
		return status;
	}
	if (a->json) {
		cli_print_json(run.json);
	} else {
		print_table(&run);
		print_end(&run);
	}
	if (report && write_report(&run, report) != CLI_WELL)
		status = CLI_FAILED;
	drill_run_free(&run);
	return status;
}

static int drill_command_run(const struct cli_command *c, struct cli_args *a)
{
	const char *names[CLI_MAX_ARGS + 1] = { NULL };
	char socket[512];
	struct drill_options o = {
		.conf_path = cli_option(c, a, "--config"),
		.lab = cli_option(c, a, "--lab"),
		.url = cli_option(c, a, "--url"),
		.vip = cli_option(c, a, "--vip"),
		.all = cli_option(c, a, "--all") != NULL,
		.i_know = cli_option(c, a, "--i-know") != NULL,
		.scenarios = names,
		.client = drill_client_defaults(),
		.say = say,
	};

	if (cli_option(c, a, "--list"))
		return list_scenarios(a->json);
	if (o.all && a->argc > 0) {
		fputs("holdfast drill: name scenarios, or --all\n", stderr);
		return CLI_USAGE;
	}
	for (unsigned i = 0; i < a->argc; i++)
		names[i] = a->argv[i];
	o.client.download_ns = 20 * NS_PER_S;
	o.socket = cli_socket(a, socket, sizeof(socket));
	return take_rates(c, a, &o) ? drill_main(c, a, &o) : CLI_USAGE;
}

static const struct cli_option drill_options_rows[] = {
	{ "--config", 'c', "FILE", "the cluster; a lab of it is brought up unless one runs" },
	{ "--lab", 0, "NAME", "the lab to break (the file's, or the only one that runs)" },
	{ "--all", 'a', NULL, "every scenario" },
	{ "--list", 'l', NULL, "print the scenarios and end" },
	{ "--report", 0, "FILE", "write a page with a chart of each drill (HTML)" },
	{ "--vip", 0, "NAME", "the virtual IP to ask (the first)" },
	{ "--repeat", 0, "N", "run each scenario so often (1)" },
	{ "--every", 0, "DURATION", "between two new connections (5ms)" },
	{ "--kept", 0, "N", "kept connections, with 50 requests a second each (4)" },
	{ "--limit", 0, "DURATION", "a request that takes longer has failed (2s)" },
	{ "--streams", 0, "DURATION", "length of the download and WebSocket; 0: none (20s)" },
	{ "--url", 0, "URL", "production: this machine is the client and asks that" },
	{ "--i-know", 0, NULL, "production: also what users may notice" },
	{ NULL, 0, NULL, NULL },
};

const struct cli_command cmd_drill = {
	.name = "drill",
	.arguments = "[SCENARIO ...]",
	.help = "break the cluster and measure what users would have seen",
	.more =
	    "A client asks through the virtual IP, a new connection every 5 ms and 50 requests a "
	    "second on each of 4 kept connections, whatever becomes of its questions; latency "
	    "counts from when a request was due. Then something is broken, taken back, and all "
	    "must be well again. Measured: the longest time in which no new connection was "
	    "answered, failed requests, the time until all is well, the time in which two nodes "
	    "held the address, and whether a download and a WebSocket that were begun before "
	    "came through.\n"
	    "\n"
	    "The limits are those under `slo` in the file, else those of the scenario. Exit "
	    "status 1 when one is missed; it is named.\n"
	    "\n"
	    "A drill happens in a lab (see `holdfast lab`) and touches nothing else: with -c FILE "
	    "a lab is brought up and taken down again, unless one of that name runs. With --url "
	    "it happens in production: run it beside a node (--state or --socket). Then only "
	    "harmless scenarios run, others with --i-know, and those that could not be taken "
	    "back not at all.\n"
	    "\n"
	    "  holdfast drill --list\n"
	    "  holdfast drill node-death graceful-stop -c holdfast.yaml\n"
	    "  holdfast drill --all -c holdfast.yaml --report drills.html\n"
	    "  holdfast drill reload --url http://shop.example/",
	.options = drill_options_rows,
	.max_args = CLI_MAX_ARGS,
	.run = drill_command_run,
};

/* --- the client ----------------------------------------------------------------------------- */

/* A number of microseconds, as the drill passes them. */
static bool micro(const struct cli_command *c, struct cli_args *a, const char *name, uint64_t *ret)
{
	const char *text = cli_option(c, a, name);
	uint64_t us;

	if (!text)
		return true;
	if (str_to_u64(str_from(text), 3600ULL * 1000000, &us) != OK) {
		fprintf(stderr, "holdfast %s: %s: not a number of microseconds: %s\n", c->name,
		        name, text);
		return false;
	}
	*ret = us * NS_PER_US;
	return true;
}

static int client_run(const struct cli_command *c, struct cli_args *a)
{
	struct drill_client_options o = drill_client_defaults();
	const char *kept = cli_option(c, a, "--kept");
	const char *why = NULL;
	uint64_t n = o.kept;

	if (net_addr_parse(str_from(a->argv[0]), &o.to, &why) != OK) {
		fprintf(stderr, "holdfast drill-client: %s: %s\n", a->argv[0], why ? why : "?");
		return CLI_USAGE;
	}
	if (cli_option(c, a, "--host"))
		o.host = cli_option(c, a, "--host");
	if (cli_option(c, a, "--path"))
		o.path = cli_option(c, a, "--path");
	o.tls = cli_option(c, a, "--tls") != NULL;
	if (!micro(c, a, "--every", &o.every_ns) ||
	    !micro(c, a, "--kept-every", &o.kept_every_ns) ||
	    !micro(c, a, "--limit", &o.limit_ns) || !micro(c, a, "--download", &o.download_ns) ||
	    (kept && str_to_u64(str_from(kept), 256, &n) != OK) || o.kept_every_ns == 0)
		return CLI_USAGE;
	o.kept = (unsigned)n;
	return drill_client(&o);
}

static const struct cli_option client_options[] = {
	{ "--host", 0, "HOST", "the Host header" },
	{ "--path", 0, "PATH", "what to ask for" },
	{ "--tls", 0, NULL, "ask by TLS" },
	{ "--every", 0, "US", "between two new connections; 0: none" },
	{ "--kept", 0, "N", "kept connections" },
	{ "--kept-every", 0, "US", "between two requests of one kept connection" },
	{ "--limit", 0, "US", "of a request" },
	{ "--download", 0, "US", "length of the download; 0: no streams" },
	{ NULL, 0, NULL, NULL },
};

const struct cli_command cmd_drill_client = {
	.name = "drill-client",
	.arguments = "ADDRESS",
	.options = client_options,
	.min_args = 1,
	.max_args = 1,
	.run = client_run,
};

/* --- the observer --------------------------------------------------------------------------- */

static int watch_run(const struct cli_command *c, struct cli_args *a)
{
	(void)c;
	return drill_watch(a->argv[0]);
}

const struct cli_command cmd_drill_watch = {
	.name = "drill-watch",
	.arguments = "ADDRESSES",
	.min_args = 1,
	.max_args = 1,
	.run = watch_run,
};
