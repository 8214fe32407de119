/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast check`: validates a configuration file and prints every problem. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "cli/cmd_conf.h"
#include "cli/commands.h"
#include "core/identity.h"
#include "core/role.h"

int cmd_load(const char *path, FILE *to, struct conf_loaded **ret)
{
	struct conf_problems problems = { 0 };
	int err = conf_load(path, cli_colour(fileno(to)), &problems, ret);

	fputs(buf_cstr(&problems.text), to);
	if (err != OK) {
		if (problems.errors) {
			fprintf(to, "%s: not well, %u error%s and %u warning%s\n", path,
			        problems.errors, problems.errors == 1 ? "" : "s", problems.warnings,
			        problems.warnings == 1 ? "" : "s");
		} else {
			fprintf(to, "%s: not well: %s\n", path, err_text(err));
		}
	}
	buf_free(&problems.text);
	return err;
}

static unsigned servers(const struct conf *c)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < c->npools; i++) {
		n += c->pools[i].nservers;
	}
	return n;
}

static void count(struct buf *out, unsigned n, const char *what, const char *after)
{
	buf_printf(out, "%u %s%s%s", n, what, n == 1 ? "" : "s", after);
}

/* Which part this machine would have; a file may well be checked elsewhere. */
static void tell_node(struct buf *out, const char *path, const struct conf *c)
{
	uint32_t self;

	if (c->nnodes == 0) {
		return;
	}
	self = identity_of(c, NULL);
	if (self != CONF_NO_NODE) {
		buf_printf(out, "%s: this machine would be node %s\n", path, c->nodes[self].name.s);
		return;
	}
	buf_printf(out, "%s: this machine would be none of the nodes (", path);
	for (uint32_t i = 0; i < c->nnodes; i++) {
		buf_printf(out, "%s%s", i ? ", " : "", c->nodes[i].name.s);
	}
	buf_adds(out, c->nvips ? ") unless --node names one\n" : ")\n");
}

/* What this machine would lack as that node, as far as we may try. Returns the number. */
static unsigned warn_lacks(struct buf *out, const char *path, const struct conf *c)
{
	struct buf lacks = BUF_INIT;
	struct str rest, line;
	unsigned n = 0;

	for (const struct role_ops *const *r = role_table; *r; r++) {
		if ((*r)->lacks) {
			(*r)->lacks(c, identity_of(c, NULL), &lacks);
		}
	}
	for (rest = buf_str(&lacks); rest.len > 0; n++) {
		line = str_split(rest, '\n', &rest);
		buf_printf(out, "%s: warning: %.*s\n", path, STR_ARG(line));
	}
	buf_free(&lacks);
	return n;
}

static int check_json(const char *path)
{
	struct conf_problems problems = { 0 };
	struct conf_loaded *l = NULL;
	struct buf out = BUF_INIT;
	int err = conf_load(path, false, &problems, &l);

	buf_adds(&out, "{\"file\": ");
	buf_json(&out, str_from(path));
	if (l) {
		problems.warnings += warn_lacks(&problems.text, path, conf_of(l));
	}
	if (l && conf_of(l)->nnodes) {
		uint32_t self = identity_of(conf_of(l), NULL);

		buf_adds(&out, ", \"node\": ");
		if (self == CONF_NO_NODE) {
			buf_adds(&out, "null");
		} else {
			buf_json(&out, conf_of(l)->nodes[self].name);
		}
	}
	buf_printf(&out, ", \"well\": %s, \"errors\": %u, \"warnings\": %u, \"text\": ",
	           err == OK ? "true" : "false", problems.errors, problems.warnings);
	buf_json(&out, buf_str(&problems.text));
	buf_adds(&out, "}\n");
	fputs(buf_cstr(&out), stdout);
	buf_free(&out);
	buf_free(&problems.text);
	conf_free(l);
	return err == OK ? CLI_WELL : CLI_FAILED;
}

static int run_check(const struct cli_command *c, struct cli_args *args)
{
	const char *path = cmd_conf_path(c, args);
	struct conf_loaded *l = NULL;
	struct buf out = BUF_INIT;
	const struct conf *conf;

	if (args->json) {
		return check_json(path);
	}
	if (cmd_load(path, stdout, &l) != OK) {
		return CLI_FAILED;
	}
	conf = conf_of(l);
	tell_node(&out, path, conf);
	(void)warn_lacks(&out, path, conf);
	buf_printf(&out, "%s: well, ", path);
	count(&out, conf->nlisteners, "listener", ", ");
	count(&out, conf->nroutes, "route", ", ");
	count(&out, conf->npools, "pool", ", ");
	count(&out, servers(conf), "server", "");
	if (conf->nchecks) {
		buf_adds(&out, ", ");
		count(&out, conf->nchecks, "named check", "");
	}
	if (conf->nvips) {
		buf_adds(&out, ", ");
		count(&out, conf->nvips, "virtual IP", "");
	}
	buf_addc(&out, '\n');
	fputs(buf_cstr(&out), stdout);
	buf_free(&out);
	conf_free(l);
	return CLI_WELL;
}

static const struct cli_option options[] = {
	{ "--config", 'c', "FILE", "the file; /etc/holdfast/holdfast.yaml unless given" },
	{ NULL },
};

const char *cmd_conf_path(const struct cli_command *c, const struct cli_args *args)
{
	const char *path = cli_option(c, args, "--config");

	if (!path && args->argc > 0) {
		path = args->argv[0];
	}
	return path ? path : "/etc/holdfast/holdfast.yaml";
}

const struct cli_command cmd_check = {
	.name = "check",
	.arguments = "[FILE]",
	.help = "validate a configuration file",
	.more = "Prints every error and every warning of the file and of those it includes, each "
	        "with its place. A warning names what undermines availability; it is no error.",
	.options = options,
	.max_args = 1,
	.run = run_check,
};
