/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `holdfast drain`, `ready` and `disable`: a person's orders for a server, a pool or the node
 * itself, and waiting until they have had their effect.
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
#include "cli/views.h"
#include "ipc/msg.h"

#define WAIT_DEFAULT (5 * 60 * NS_PER_S)
#define POLL_NS      (200 * NS_PER_MS)

/* What the servers of a target do now. */
struct order_view {
	uint64_t servers;
	uint64_t active; /* requests on them */
	uint64_t up;
	uint64_t ended;     /* requests that were open when the order's time was over */
	const char *reason; /* of one that is not up; lives as long as the answer */
};

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
		v.active += view_number(s, "active");
		v.ended += view_number(s, "ended");
		if (state != NULL && strcmp(state, "up") == 0)
			v.up++;
		else if (json_is_string(json_object_get(s, "reason")))
			v.reason = json_string_value(json_object_get(s, "reason"));
	}
	return v;
}

/* Whether the order has had its effect; else `said` tells people what is missing. */
typedef bool judge_fn(const json_t *status, const char *target, bool ready, json_t *result,
                      char *said, size_t size);

static void put_count(json_t *result, const char *key, uint64_t n)
{
	json_object_set_new(result, key, json_integer((json_int_t)n));
}

static bool judge_servers(const json_t *status, const char *target, bool ready, json_t *result,
                          char *said, size_t size)
{
	struct order_view v = look(status, target);

	put_count(result, "active", v.active);
	put_count(result, "up", v.up);
	if (v.ended > 0)
		put_count(result, "ended", v.ended);
	if (ready)
		snprintf(said, size, "%llu of %llu servers up%s%s", (unsigned long long)v.up,
		         (unsigned long long)v.servers, v.reason[0] != '\0' ? ": " : "", v.reason);
	else
		snprintf(said, size, "%llu request%s still open", (unsigned long long)v.active,
		         v.active == 1 ? "" : "s");
	return ready ? v.up == v.servers : v.active == 0;
}

/* Drained: it holds no address, and no connection to one is kept here. Ready: it takes part in
 * every virtual IP that it may hold. */
static bool judge_node(const json_t *status, const char *target, bool ready, json_t *result,
                       char *said, size_t size)
{
	uint64_t held = 0;
	const json_t *v;
	size_t i;

	(void)target;
	said[0] = '\0';
	json_array_foreach (json_object_get(status, "virtual_ips"), i, v) {
		bool holding = json_is_true(json_object_get(v, "holding"));
		bool keeping = json_is_true(json_object_get(v, "relaying"));
		bool out = strcmp(view_text(v, "state"), "out") == 0;

		held += holding;
		if (!ready && (holding || keeping))
			snprintf(said, size,
			         holding ? "still holds %s" : "connections to %s are still open",
			         view_text(v, "name"));
		else if (ready && out && json_is_true(json_object_get(v, "member")))
			snprintf(said, size, "%s takes no part: %s", view_text(v, "name"),
			         view_text(v, "reason"));
	}
	put_count(result, "held", held);
	if (said[0] == '\0' && json_is_true(json_object_get(status, "drained")) == ready)
		snprintf(said, size, "the order is not in force yet");
	return said[0] == '\0';
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
static int wait_for_effect(struct cli_args *a, judge_fn *judge, const char *target, bool ready,
                           uint64_t limit, json_t *result, char *said, size_t size)
{
	struct timespec pause = { .tv_nsec = (long)POLL_NS };
	uint64_t start = clock_mono();

	for (;;) {
		json_t *status = NULL;
		int rc = cli_call(a, "GET", "/api/v1/status", NULL, &status);
		uint64_t gone = clock_mono() - start;
		bool reached;

		if (rc != CLI_WELL) {
			end_progress();
			json_decref(status);
			return rc;
		}
		reached = judge(status, target, ready, result, said, size);
		if (reached || gone >= limit) {
			end_progress();
			json_object_set_new(result, "reached", json_boolean(reached));
			put_count(result, "waited_ms", gone / NS_PER_MS);
			json_decref(status);
			return reached ? CLI_WELL : CLI_FAILED;
		}
		show_progress(said, gone);
		json_decref(status);
		nanosleep(&pause, NULL);
	}
}

static void print_outcome(const char *what, const char *effect, const json_t *result, int status,
                          const char *missing)
{
	uint64_t ended = view_number(result, "ended");
	char span[32];

	clock_format_span((uint64_t)json_integer_value(json_object_get(result, "waited_ms")) *
	                      NS_PER_MS,
	                  span);
	if (status == CLI_WELL && ended > 0)
		printf("%s: %s after %s: %llu ended that %s still open when the time was over\n",
		       what, effect, span, (unsigned long long)ended, ended == 1 ? "was" : "were");
	else if (status == CLI_WELL)
		printf("%s: %s after %s\n", what, effect, span);
	else
		fprintf(stderr, "holdfast: %s: gave up waiting after %s: %s (the order stays)\n",
		        what, span, missing);
}

/* What is ordered, and how its effect is known. */
struct order_target {
	const char *target;
	const char *what; /* for people */
	judge_fn *judge;
	const char *drained; /* the effects, in words */
	const char *ready;
};

static const struct order_target the_node = { IPC_NODE_TARGET, "this node", judge_node,
	                                      "holds no virtual IP",
	                                      "takes part in its virtual IPs" };

/* Takes the arguments: a target unless --node, a duration only after --wait. */
static int parse_order(const struct cli_command *c, const struct cli_args *a,
                       struct order_target *t, uint64_t *limit)
{
	bool waits = cli_option(c, a, "--wait") != NULL;
	bool node = cli_option(c, a, "--node") != NULL;
	unsigned targets = node ? 0 : 1;

	if (a->argc < targets) {
		fprintf(stderr, "holdfast %s: too few arguments: it wants %s\n", c->name,
		        c->arguments);
		return CLI_USAGE;
	}
	if (node)
		*t = the_node;
	else
		*t = (struct order_target){ a->argv[0], a->argv[0], judge_servers,
			                    "no request is open", "up" };
	if (a->argc == targets)
		return CLI_WELL;
	if (node && (a->argc == 2 || !waits)) {
		fprintf(stderr, "holdfast %s: --node is the node itself: no \"%s\" beside it\n",
		        c->name, a->argv[0]);
		return CLI_USAGE;
	}
	if (!waits || cli_span(a->argv[targets], limit) != OK) {
		fprintf(stderr,
		        "holdfast: %s: \"%s\" is not a duration after --wait, such as 30s\n",
		        c->name, a->argv[targets]);
		return CLI_USAGE;
	}
	return CLI_WELL;
}

/* Waits for the effect of an order that was given. */
static int see_effect(const struct cli_command *c, struct cli_args *a, const struct order_target *t,
                      uint64_t limit, json_t *result)
{
	bool ready = strcmp(c->name, "ready") == 0;
	char missing[256] = "";
	int status;

	fflush(stdout);
	status =
	    wait_for_effect(a, t->judge, t->target, ready, limit, result, missing, sizeof(missing));
	if (status != CLI_UNREACHABLE && !a->json)
		print_outcome(t->what, ready ? t->ready : t->drained, result, status, missing);
	return status;
}

/* The time of --kill-after into the order, where it is given; false: usage. */
static bool parse_kill(const struct cli_command *c, const struct cli_args *a, json_t *order,
                       uint64_t *ret)
{
	const char *after = strcmp(c->name, "drain") == 0 ? cli_option(c, a, "--kill-after") : NULL;

	*ret = 0;
	if (after == NULL)
		return true;
	if (cli_option(c, a, "--node") != NULL) {
		fprintf(stderr, "holdfast drain: --kill-after is for servers and pools, not for "
		                "--node\n");
		return false;
	}
	if (cli_span(after, ret) == OK) {
		put_count(order, "kill_after_ms", *ret / NS_PER_MS);
		return true;
	}
	fprintf(stderr,
	        "holdfast drain: \"%s\" is not a duration after --kill-after, such as 30s\n",
	        after);
	return false;
}

/* What the node has answered: what it did, and when it will end what is open. */
static void print_order(const struct order_target *t, const json_t *result, uint64_t after)
{
	char span[32];

	puts(*view_text(result, "text") != '\0' ? view_text(result, "text") : "done");
	if (*view_text(result, "end_at") == '\0')
		return;
	clock_format_conf(after, span);
	printf("%s: what is open is ended in %s, at %s\n", t->what, span,
	       view_text(result, "end_at"));
}

static int give_order(const struct cli_command *c, struct cli_args *a)
{
	uint64_t limit = UINT64_MAX, after;
	json_t *order, *result = NULL;
	struct order_target t;
	int status = parse_order(c, a, &t, &limit);

	if (status != CLI_WELL)
		return status;
	order = json_pack("{s:s, s:s}", "target", t.target, "order", c->name);
	if (!parse_kill(c, a, order, &after)) {
		json_decref(order);
		return CLI_USAGE;
	}
	if (limit == UINT64_MAX)
		limit = WAIT_DEFAULT + after;
	status = cli_call(a, "POST", "/api/v1/order", order, &result);
	if (status == CLI_WELL && !a->json)
		print_order(&t, result, after);
	if (status == CLI_WELL && cli_option(c, a, "--wait") != NULL)
		status = see_effect(c, a, &t, limit, result);
	if (a->json && result != NULL)
		cli_print_json(result);
	json_decref(result);
	return status;
}

#define WAIT_OUT \
	{ \
		"--wait", 'w', NULL, \
		    "return when no request is open on it any more; at most DURATION (5m)" \
	}

static const struct cli_option drain_options[] = {
	WAIT_OUT,
	{ "--kill-after", 0, "DURATION", "the node ends what is still open on it after so long" },
	{ "--node", 0, NULL, "the node itself: it hands its virtual IPs over and takes none" },
	{ NULL },
};

static const struct cli_option ready_options[] = {
	{ "--wait", 'w', NULL, "return when it is up; at most DURATION (5m)" },
	{ "--node", 0, NULL, "the node itself: it may hold virtual IPs again" },
	{ NULL },
};

static const struct cli_option disable_options[] = {
	WAIT_OUT,
	{ NULL },
};

const struct cli_command cmd_drain = {
	.name = "drain",
	.arguments = "POOL[/SERVER]|--node [--wait [DURATION]] [--kill-after DURATION]",
	.help = "take a server, a pool or the node out gracefully: what is open ends well",
	.more =
	    "A server or pool gets nothing new, and what is open on it ends well. With --node the "
	    "node hands its virtual IPs over to others and takes none; the proxy goes on, and "
	    "established connections are kept as far as virtual_ips.NAME.handover says.\n\n"
	    "The order survives reloads and restarts until `holdfast ready` takes it back. With "
	    "--wait, exits 1 when requests are still open (with --node: an address is still held, "
	    "or connections to it are kept here) after DURATION; the order stays.\n\n"
	    "With --kill-after the node itself ends what is still open on the server or pool when "
	    "the time is over, whether or not this command still runs, after reloads and restarts "
	    "too; `holdfast status` says when, `holdfast ready` before then takes it back, another "
	    "drain sets it anew. The command returns at once; with --wait it waits, that time "
	    "longer unless told otherwise, and says how many were ended. `holdfast connections "
	    "--pool` lists the long-lived ones among what is open.",
	.options = drain_options,
	.max_args = 2,
	.run = give_order,
};

const struct cli_command cmd_ready = {
	.name = "ready",
	.arguments = "POOL[/SERVER]|--node [--wait [DURATION]]",
	.help = "put a drained or disabled server or pool, or the node, back into service",
	.more = "It takes traffic as soon as its checks say that it is up; they went on meanwhile. "
	        "Where its pool has a slow start, its share grows from there. With --node the node "
	        "takes part in its virtual IPs again, by their priorities.",
	.options = ready_options,
	.max_args = 2,
	.run = give_order,
};

const struct cli_command cmd_disable = {
	.name = "disable",
	.arguments = "POOL[/SERVER] [--wait [DURATION]]",
	.help = "cut a server or a pool off: nothing new, and what is open is cut",
	.more = "The order survives reloads and restarts until `holdfast ready` takes it back.",
	.options = disable_options,
	.min_args = 1,
	.max_args = 2,
	.run = give_order,
};
