/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `holdfast switchover`: hands a virtual IP over, on purpose, and says who holds it now and how
 * long that took.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "cli/client.h"
#include "cli/commands.h"
#include "cli/views.h"

#define PATIENCE_NS NS_PER_S /* for the new holder to be shown */
#define POLL_NS     (10 * NS_PER_MS)
#define FETCH_MS    5000

static const struct cli_option switchover_options[] = {
	{ "--to", 0, "NODE", "the node that is to hold it; without it the best other one" },
	{ NULL, 0, NULL, NULL },
};

/* Who holds it by the node's own word; "" when nobody is known to. */
static void find_holder(const struct cli_args *a, const char *vip, char *out, size_t size)
{
	struct cli_answer ans;
	json_t *status;
	const json_t *v;
	size_t i;

	out[0] = '\0';
	cli_fetch(a, "GET", "/api/v1/status", NULL, FETCH_MS, &ans);
	status = ans.status == 200 ? json_loadb(ans.body.p, ans.body.len, 0, NULL) : NULL;
	json_array_foreach (json_object_get(status, "virtual_ips"), i, v) {
		if (strcmp(view_text(v, "name"), vip) == 0)
			snprintf(out, size, "%s", view_text(v, "holder"));
	}
	json_decref(status);
	buf_free(&ans.body);
}

/* The new holder. The node answers when it has heard who that is; its status may be a moment
 * behind. */
static void find_new_holder(const struct cli_args *a, const char *vip, const char *before,
                            char *out, size_t size)
{
	const struct timespec pause = { .tv_nsec = (long)POLL_NS };
	uint64_t start = clock_mono();

	find_holder(a, vip, out, size);
	while ((out[0] == '\0' || strcmp(out, before) == 0) && clock_mono() - start < PATIENCE_NS) {
		nanosleep(&pause, NULL);
		find_holder(a, vip, out, size);
	}
}

static void report(const struct cli_args *a, json_t *answer, const char *vip, const char *before,
                   uint64_t ns)
{
	char now[64];
	char span[32];

	find_new_holder(a, vip, before, now, sizeof(now));
	clock_format_span(ns, span);
	json_object_set_new(answer, "vip", json_string(vip));
	json_object_set_new(answer, "from", json_string(before));
	json_object_set_new(answer, "holder", json_string(now));
	json_object_set_new(answer, "ms", json_real((double)ns / NS_PER_MS));
	if (a->json)
		cli_print_json(answer);
	else if (now[0] != '\0')
		printf("%s: %s holds it now, after %s\n", vip, now, span);
	else
		printf("%s, after %s\n", view_text(answer, "text"), span);
}

static int switchover_run(const struct cli_command *c, struct cli_args *a)
{
	const char *vip = a->argv[0];
	const char *to = cli_option(c, a, "--to");
	json_t *body = json_pack("{s:s}", "vip", vip);
	json_t *answer = NULL;
	char before[64];
	uint64_t start;
	int status;

	if (to != NULL)
		json_object_set_new(body, "to", json_string(to));
	find_holder(a, vip, before, sizeof(before));
	start = clock_mono();
	status = cli_call(a, "POST", "/api/v1/switchover", body, &answer);
	if (status == CLI_WELL)
		report(a, answer, vip, before, clock_mono() - start);
	else if (a->json && answer != NULL)
		cli_print_json(answer);
	json_decref(answer);
	return status;
}

const struct cli_command cmd_switchover = {
	.name = "switchover",
	.arguments = "VIP [--to NODE]",
	.help = "hand a virtual IP over to another node, on purpose",
	.more =
	    "Asked of the node that holds it, or of the one that is to hold it. The address moves "
	    "within milliseconds, established connections are kept as far as "
	    "virtual_ips.NAME.handover says, and the new holder keeps it, whatever the "
	    "priorities are, until it fails or another switchover. Exits 1 with the reason when "
	    "it is refused: when no other well node is there, for example.",
	.options = switchover_options,
	.min_args = 1,
	.max_args = 1,
	.run = switchover_run,
};
