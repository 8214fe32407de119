/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast show`, `schema` and `manual`: what the schema rows make of a file and of themselves. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "cli/cli.h"
#include "cli/cmd_conf.h"
#include "cli/commands.h"

static int print(struct buf *out)
{
	int status = CLI_WELL;

	if (out->failed || fwrite(out->p, 1, out->len, stdout) != out->len || fflush(stdout) != 0) {
		fprintf(stderr, "holdfast: cannot write the answer\n");
		status = CLI_FAILED;
	}
	buf_free(out);
	return status;
}

static int run_show(const struct cli_command *c, struct cli_args *args)
{
	struct conf_loaded *l = NULL;
	struct buf out = BUF_INIT;

	if (cmd_load(cmd_conf_path(c, args), stderr, &l) != OK) {
		return CLI_FAILED;
	}
	conf_show(conf_of(l), args->json, &out);
	conf_free(l);
	return print(&out);
}

static int run_schema(const struct cli_command *c, struct cli_args *args)
{
	struct buf out = BUF_INIT;

	(void)c;
	(void)args;
	conf_schema(&out);
	return print(&out);
}

/* holdfast.yaml(5), or holdfast(1) with "commands". */
static int run_manual(const struct cli_command *c, struct cli_args *args)
{
	struct buf out = BUF_INIT;

	(void)c;
	if (args->argc > 0 && strcmp(args->argv[0], "commands") != 0) {
		fputs("holdfast manual: [commands]\n", stderr);
		return CLI_USAGE;
	}
	if (args->argc > 0)
		cli_manual(&out);
	else
		conf_manual(&out);
	return print(&out);
}

static const struct cli_option options[] = {
	{ "--config", 'c', "FILE", "the file; /etc/holdfast/holdfast.yaml unless given" },
	{ NULL },
};

const struct cli_command cmd_show = {
	.name = "show",
	.arguments = "[FILE]",
	.help = "print a configuration with all its defaults",
	.more = "What it prints is a configuration file again. Secrets are shown as ***.",
	.options = options,
	.max_args = 1,
	.run = run_show,
};

const struct cli_command cmd_schema = {
	.name = "schema",
	.arguments = "",
	.help = "print the JSON Schema of the configuration file",
	.more = "For editors that complete and check YAML, draft-07.",
	.run = run_schema,
};

const struct cli_command cmd_manual = {
	.name = "manual",
	.arguments = "[commands]",
	.help = NULL,
	.max_args = 1,
	.run = run_manual,
};
