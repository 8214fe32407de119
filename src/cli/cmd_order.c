/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `holdfast drain`, `ready` and `disable`: a person's orders for a server or a pool, and waiting
 * until they have had their effect.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/client.h"
#include "cli/commands.h"

#define WAIT_DEFAULT (5 * 60 * NS_PER_S)
#define WAIT_MAX_S   (7 * 24 * 3600ULL)
#define POLL_NS      (200 * NS_PER_MS)

/* What the servers of a target do now. */
struct order_view {
	uint64_t servers;
	uint64_t active; /* requests on them */
	uint64_t up;
	const char *reason; /* of one that is not up; lives as long as the answer */
};

/* "500ms", "30s", "5m", "2h". */
static int parse_span(const char *text, uint64_t *ret)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {
		{ "ms", NS_PER_MS }, /* before "s" */
		{ "s", NS_PER_S },
		{ "m", 60 * NS_PER_S },
		{ "h", 3600 * NS_PER_S },
	};
	struct str s = str_from(text);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		struct str unit = str_from(units[i].unit);
		uint64_t n;

		if (!str_ends(s, unit))
			continue;
		s.len -= unit.len;
		if (str_to_u64(s, WAIT_MAX_S * NS_PER_S / units[i].ns, &n) != OK)
			return ERR_INVALID;
		*ret = n * units[i].ns;
		return OK;
	}
	return ERR_INVALID;
}

static bool is_meant(const json_t *server, const char *target)
{
	const char *id = json_string_value(json_object_get(server, "id"));
	const char *slash = strchr(target, '/');
	size_t pool = slash != NULL ? (size_t)(slash - target) : strlen(target);

	if (id == NULL)
		return false;
	if (slash != NULL && strcmp(slash, "/*") != 0)
		return strcmp(id, target) == 0;
	return strncmp(id, target, pool) == 0 && id[pool] == '/';
}

static struct order_view look(const json_t *status, const char *target)
{
	struct order_view v = { .reason = "" };
	size_t i;
	json_t *s;

	json_array_foreach (json_object_get(status, "servers"), i, s) {
		const char *state = json_string_value(json_object_get(s, "state"));

		if (!is_meant(s, target))
			continue;
		v.servers++;
		v.active += (uint64_t)json_integer_value(json_object_get(s, "active"));
		if (state != NULL && strcmp(state, "up") == 0)
			v.up++;
		else if (json_is_string(json_object_get(s, "reason")))
			v.reason = json_string_value(json_object_get(s, "reason"));
	}
	return v;
}

static bool is_reached(const struct order_view *v, bool ready)
{
	return ready ? v->up == v->servers : v->active == 0;
}

/* What is still missing, for people. */
static void describe(const struct order_view *v, bool ready, char *out, size_t size)
{
	if (ready)
		snprintf(out, size, "%llu of %llu servers up%s%s", (unsigned long long)v->up,
		         (unsigned long long)v->servers, v->reason[0] != '\0' ? ": " : "",
		         v->reason);
	else
		snprintf(out, size, "%llu request%s still open", (unsigned long long)v->active,
		         v->active == 1 ? "" : "s");
}

static void show_progress(const char *text, uint64_t gone)
{
	char span[32];

	if (!isatty(STDERR_FILENO))
		return;
	clock_format_span(gone, span);
	fprintf(stderr, "\r\033[K%s (%s)", text, span);
	fflush(stderr);
}

static void end_progress(void)
{
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
}

/* Polls until the effect is there; CLI_FAILED with what is missing after `limit`. */
static int wait_for_effect(struct cli_args *a, const char *target, bool ready, uint64_t limit,
                           json_t *result, char *said, size_t size)
{
	struct timespec pause = { .tv_nsec = (long)POLL_NS };
	uint64_t start = clock_mono();

	for (;;) {
		json_t *status = NULL;
		int rc = cli_call(a, "GET", "/api/v1/status", NULL, &status);
		uint64_t gone = clock_mono() - start;
		struct order_view v = look(status, target);
		bool reached = is_reached(&v, ready);

		if (rc != CLI_WELL) {
			end_progress();
			json_decref(status);
			return rc;
		}
		describe(&v, ready, said, size);
		if (reached || gone >= limit) {
			end_progress();
			json_object_set_new(result, "reached", json_boolean(reached));
			json_object_set_new(result, "active", json_integer((json_int_t)v.active));
			json_object_set_new(result, "up", json_integer((json_int_t)v.up));
			json_object_set_new(result, "waited_ms",
			                    json_integer((json_int_t)(gone / NS_PER_MS)));
			json_decref(status);
			return reached ? CLI_WELL : CLI_FAILED;
		}
		show_progress(said, gone);
		json_decref(status);
		nanosleep(&pause, NULL);
	}
}

static void print_outcome(const char *target, const json_t *result, bool ready, int status,
                          const char *missing)
{
	char span[32];

	clock_format_span((uint64_t)json_integer_value(json_object_get(result, "waited_ms")) *
	                      NS_PER_MS,
	                  span);
	if (status == CLI_WELL)
		printf("%s: %s after %s\n", target, ready ? "up" : "no request is open", span);
	else
		fprintf(stderr, "holdfast: %s: gave up waiting after %s: %s (the order stays)\n",
		        target, span, missing);
}

static int give_order(const struct cli_command *c, struct cli_args *a)
{
	const char *target = a->argv[0];
	bool waits = cli_option(c, a, "--wait") != NULL;
	bool ready = strcmp(c->name, "ready") == 0;
	uint64_t limit = WAIT_DEFAULT;
	char missing[256] = "";
	json_t *result = NULL;
	int status;

	if (a->argc == 2 && (!waits || parse_span(a->argv[1], &limit) != OK)) {
		fprintf(stderr,
		        "holdfast: %s: \"%s\" is not a duration after --wait, such as 30s\n",
		        c->name, a->argv[1]);
		return CLI_USAGE;
	}
	status = cli_call(a, "POST", "/api/v1/order",
	                  json_pack("{s:s, s:s}", "target", target, "order", c->name), &result);
	if (status == CLI_WELL && !a->json)
		puts(json_string_value(json_object_get(result, "text")) != NULL
		         ? json_string_value(json_object_get(result, "text"))
		         : "done");
	if (status == CLI_WELL && waits) {
		fflush(stdout);
		status = wait_for_effect(a, target, ready, limit, result, missing, sizeof(missing));
		if (!a->json && json_object_get(result, "reached") != NULL)
			print_outcome(target, result, ready, status, missing);
	}
	if (a->json && result != NULL)
		cli_print_json(result);
	json_decref(result);
	return status;
}

static const struct cli_option out_options[] = {
	{ "--wait", 'w', NULL,
	  "return when no request is open on it any more; at most DURATION (5m)" },
	{ NULL },
};

static const struct cli_option ready_options[] = {
	{ "--wait", 'w', NULL, "return when it is up; at most DURATION (5m)" },
	{ NULL },
};

const struct cli_command cmd_drain = {
	.name = "drain",
	.arguments = "POOL[/SERVER] [--wait [DURATION]]",
	.help = "take a server or a pool out gracefully: nothing new, what is open ends well",
	.more =
	    "The order survives reloads and restarts until `holdfast ready` takes it back. With "
	    "--wait, exits 1 when requests are still open after DURATION; the order stays.",
	.options = out_options,
	.min_args = 1,
	.max_args = 2,
	.run = give_order,
};

const struct cli_command cmd_ready = {
	.name = "ready",
	.arguments = "POOL[/SERVER] [--wait [DURATION]]",
	.help = "put a drained or disabled server or pool back into service",
	.more = "It takes traffic as soon as its checks say that it is up; they went on meanwhile. "
	        "Where its pool has a slow start, its share grows from there.",
	.options = ready_options,
	.min_args = 1,
	.max_args = 2,
	.run = give_order,
};

const struct cli_command cmd_disable = {
	.name = "disable",
	.arguments = "POOL[/SERVER] [--wait [DURATION]]",
	.help = "cut a server or a pool off: nothing new, and what is open is cut",
	.more = "The order survives reloads and restarts until `holdfast ready` takes it back.",
	.options = out_options,
	.min_args = 1,
	.max_args = 2,
	.run = give_order,
};
