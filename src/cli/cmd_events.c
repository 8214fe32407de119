/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast events`: what happened and why, so far or as it happens. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/views.h"

#define FOLLOW_US (300 * 1000)
#define FETCH_MS  10000

static const struct cli_option events_options[] = {
	{ "--follow", 'f', NULL, "go on with what happens from now" },
	{ "--since", 0, "WHEN", "a time span such as 10m, or an event's number" },
	{ "--limit", 'n', "N", "only the last N" },
	{ NULL, 0, NULL, NULL },
};

/* An event's text may quote what strangers sent: no control bytes to the terminal. */
static void add_clean(struct buf *out, const char *text)
{
	for (; *text != '\0'; text++)
		buf_addc(out, (unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text);
}

void event_render(const json_t *event, bool colour, struct buf *out)
{
	const char *level = view_text(event, "level");
	const char *object = view_text(event, "object");
	enum out_colour c = strcmp(level, "error") == 0     ? OUT_RED
	                    : strcmp(level, "warning") == 0 ? OUT_YELLOW
	                                                    : OUT_PLAIN;

	out_text(out, colour, OUT_DIM, view_text(event, "time"));
	buf_addc(out, ' ');
	out_text(out, colour, c, level);
	buf_printf(out, " %s %s%s", view_text(event, "area"), view_text(event, "event"),
	           *object != '\0' ? " " : "");
	add_clean(out, object);
	buf_adds(out, ": ");
	add_clean(out, view_text(event, "text"));
}

/* "10m" to milliseconds; ERR_INVALID. */
static int parse_span(const char *text, uint64_t *ret_ms)
{
	static const struct {
		const char *unit;
		uint64_t ms;
	} units[] = {
		{ "ms", 1 }, { "s", 1000 }, { "m", 60000 }, { "h", 3600000 }, { "d", 86400000 }
	};
	size_t digits = strspn(text, "0123456789");
	uint64_t n;

	if (str_to_u64(str_n(text, digits), UINT32_MAX, &n) != OK)
		return ERR_INVALID;
	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(text + digits, units[i].unit) == 0) {
			*ret_ms = n * units[i].ms;
			return OK;
		}
	}
	return ERR_INVALID;
}

static void print_event(const json_t *event, bool json)
{
	struct buf line = BUF_INIT;

	if (json) {
		json_dumpf(event, stdout, JSON_COMPACT);
		putchar('\n');
		return;
	}
	event_render(event, cli_colour(STDOUT_FILENO), &line);
	puts(buf_cstr(&line));
	buf_free(&line);
}

/* What of the answer is wanted: not before from_ms, at most the last `limit`. */
static json_t *select_events(const json_t *answer, uint64_t from_ms, uint64_t limit)
{
	json_t *ret = json_array();
	json_t *e;
	size_t i;

	json_array_foreach (json_object_get(answer, "events"), i, e) {
		if (view_time(e, "time") >= from_ms)
			json_array_append(ret, e);
	}
	while (json_array_size(ret) > limit)
		json_array_remove(ret, 0);
	return ret;
}

static void print_events(const json_t *list, bool lines)
{
	const json_t *e;
	size_t i;

	json_array_foreach (list, i, e)
		print_event(e, lines);
	fflush(stdout);
}

/* Goes on until interrupted; a node that is away for a while is waited for. */
static int follow(const struct cli_args *a, uint64_t next)
{
	bool away = false;

	for (;;) {
		struct cli_answer ans;
		char path[64];

		usleep(FOLLOW_US);
		snprintf(path, sizeof(path), "/api/v1/events?since=%" PRIu64 "&limit=4096", next);
		cli_fetch(a, "GET", path, NULL, FETCH_MS, &ans);
		if (ans.status == 200) {
			json_t *json = json_loadb(ans.body.p, ans.body.len, 0, NULL);

			print_events(json_object_get(json, "events"), a->json);
			next = view_number(json, "next");
			json_decref(json);
		} else if (!away) {
			fputs("holdfast: the node is away; waiting for it\n", stderr);
		}
		away = ans.status != 200;
		buf_free(&ans.body);
		if (ferror(stdout))
			return CLI_FAILED;
	}
}

static int events_run(const struct cli_command *c, struct cli_args *a)
{
	const char *since = cli_option(c, a, "--since");
	const char *last = cli_option(c, a, "--limit");
	bool on = cli_option(c, a, "--follow") != NULL;
	uint64_t number = 0;
	uint64_t span = 0;
	uint64_t limit = UINT64_MAX;
	json_t *answer = NULL;
	json_t *list;
	char path[64];
	int status;

	if ((since != NULL && str_to_u64(str_from(since), UINT64_MAX - 1, &number) != OK &&
	     parse_span(since, &span) != OK) ||
	    (last != NULL && str_to_u64(str_from(last), UINT32_MAX, &limit) != OK)) {
		fputs("holdfast events: --since takes a span such as 10m or an event's number, "
		      "--limit a number\n",
		      stderr);
		return CLI_USAGE;
	}
	snprintf(path, sizeof(path), "/api/v1/events?since=%" PRIu64 "&limit=4096", number);
	status = cli_call(a, "GET", path, NULL, &answer);
	if (status != CLI_WELL)
		return status;
	list = select_events(answer, span > 0 ? clock_wall_ms() - span : 0, limit);
	if (a->json && !on) {
		json_object_set(answer, "events", list);
		cli_print_json(answer);
	} else {
		print_events(list, a->json);
	}
	number = view_number(answer, "next");
	json_decref(list);
	json_decref(answer);
	return on ? follow(a, number) : CLI_WELL;
}

const struct cli_command cmd_events = {
	.name = "events",
	.arguments = "",
	.help = "show what happened and why, oldest first",
	.more = "The node keeps the last 4096 events in memory; they survive restarts of its "
	        "processes. With --json and --follow each line is one event.",
	.options = events_options,
	.run = events_run,
};
