/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast status`, `reload` and `upgrade`. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "cli/views.h"

static int status_run(const struct cli_command *c, struct cli_args *a)
{
	struct buf page = BUF_INIT;
	json_t *json = NULL;
	int status = cli_call(a, "GET", "/api/v1/status", NULL, &json);

	(void)c;
	if (status == CLI_WELL && a->json) {
		cli_print_json(json);
	} else if (status == CLI_WELL) {
		status_render(json, cli_colour(STDOUT_FILENO), out_terminal(STDOUT_FILENO, NULL),
		              &page);
		fputs(buf_cstr(&page), stdout);
	}
	buf_free(&page);
	json_decref(json);
	return status;
}

const struct cli_command cmd_status = {
	.name = "status",
	.arguments = "",
	.help = "show the state of everything, since when and why",
	.run = status_run,
};

/* Prints text with exactly one newline behind it. */
static void print_text(const char *text)
{
	struct str s = str_from(text);

	while (s.len > 0 && s.s[s.len - 1] == '\n')
		s.len--;
	printf("%.*s\n", STR_ARG(s));
}

/* A change: prints its outcome; a refusal's reasons are on standard error already. */
static int change(struct cli_args *a, const char *path)
{
	json_t *json = NULL;
	int status = cli_call(a, "POST", path, NULL, &json);

	if (a->json && json != NULL)
		cli_print_json(json);
	else if (status == CLI_WELL)
		print_text(view_text(json, "text"));
	json_decref(json);
	return status;
}

static int reload_run(const struct cli_command *c, struct cli_args *a)
{
	(void)c;
	return change(a, "/api/v1/reload");
}

const struct cli_command cmd_reload = {
	.name = "reload",
	.arguments = "",
	.help = "put the changed configuration file in force, all of it or nothing",
	.more = "The node loads its file again, prepares everything in all of its processes and "
	        "then commits; it returns after the commit. When anything is wrong it says what, "
	        "exits 1, and the configuration before stays in force.",
	.run = reload_run,
};

static int upgrade_run(const struct cli_command *c, struct cli_args *a)
{
	(void)c;
	return change(a, "/api/v1/upgrade");
}

const struct cli_command cmd_upgrade = {
	.name = "upgrade",
	.arguments = "",
	.help = "take the replaced binary into service without refusing or cutting a connection",
	.run = upgrade_run,
};
