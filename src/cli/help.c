/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is generated from the rows of the command table: usage, help, the manual page and the
 * completion script, and the small commands that print them.
 */
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/err.h"
#include "cli/cli.h"
#include "cli/commands.h"

#define WIDTH 80

/* Fills one paragraph's words to the width. */
static void fill(struct buf *out, const char *text, size_t len)
{
	size_t column = 0;

	while (len > 0) {
		size_t word = 0;

		while (len > 0 && (*text == ' ' || *text == '\n')) {
			text++;
			len--;
		}
		while (word < len && text[word] != ' ' && text[word] != '\n')
			word++;
		if (word == 0)
			break;
		if (column > 0 && column + 1 + word > WIDTH) {
			buf_addc(out, '\n');
			column = 0;
		} else if (column > 0) {
			buf_addc(out, ' ');
			column++;
		}
		buf_add(out, text, word);
		column += word;
		text += word;
		len -= word;
	}
	buf_addc(out, '\n');
}

static void paragraphs(struct buf *out, const char *text)
{
	while (*text != '\0') {
		const char *end = strstr(text, "\n\n");
		size_t len = end != NULL ? (size_t)(end - text) : strlen(text);

		buf_addc(out, '\n');
		if (*text == ' ')
			buf_printf(out, "%.*s\n", (int)len, text);
		else
			fill(out, text, len);
		text += len;
		while (*text == '\n')
			text++;
	}
}

/* Two columns; a long left one stands on a line of its own. */
static void put_left(struct buf *out, const char *left, const char *help)
{
	if (strlen(left) > 24)
		buf_printf(out, "  %s\n  %-24s %s\n", left, "", help);
	else
		buf_printf(out, "  %-24s %s\n", left, help);
}

static void option_rows(struct buf *out, const struct cli_option *o)
{
	for (; o != NULL && o->name != NULL; o++) {
		char left[64];

		snprintf(left, sizeof(left), "%c%c%s%s%s%s", o->letter ? '-' : ' ',
		         o->letter ? o->letter : ' ', o->letter ? ", " : "  ", o->name,
		         o->value ? " " : "", o->value ? o->value : "");
		put_left(out, left, o->help);
	}
}

void cli_usage(struct buf *out)
{
	buf_adds(out, "holdfast makes self-hosted web services highly available.\n\n"
	              "usage: holdfast COMMAND [OPTIONS] [ARGUMENTS]\n\n");
	for (unsigned i = 0; cli_commands[i] != NULL; i++) {
		const struct cli_command *c = cli_commands[i];
		char left[64];

		if (c->help == NULL)
			continue;
		snprintf(left, sizeof(left), "%s%s%s", c->name, *c->arguments ? " " : "",
		         c->arguments);
		put_left(out, left, c->help);
	}
	buf_adds(out, "\nOptions of every command:\n");
	option_rows(out, cli_common_options);
	buf_adds(out,
	         "\nExit status: 0 well, 1 refused or failed, 2 wrong usage, 3 the node is not "
	         "reachable.\n\"holdfast COMMAND --help\" explains a command.\n");
}

void cli_help(const struct cli_command *c, struct buf *out)
{
	buf_printf(out, "usage: holdfast %s [OPTIONS]%s%s\n\n%s\n", c->name,
	           *c->arguments ? " " : "", c->arguments, c->help != NULL ? c->help : c->name);
	if (c->more != NULL)
		paragraphs(out, c->more);
	if (c->options != NULL) {
		buf_adds(out, "\nOptions:\n");
		option_rows(out, c->options);
	}
	buf_adds(out, "\nOptions of every command:\n");
	option_rows(out, cli_common_options);
}

/* --- the manual page ------------------------------------------------------------------------ */

/* Text for man(7): backslashes and hyphens escaped, a dot or quote never first on a line. */
static void man_text(struct buf *out, const char *s, size_t len)
{
	bool start = true;

	for (size_t i = 0; i < len; i++) {
		if (start && (s[i] == '.' || s[i] == '\''))
			buf_adds(out, "\\&");
		start = s[i] == '\n';
		if (s[i] == '\\')
			buf_adds(out, "\\e");
		else if (s[i] == '-')
			buf_adds(out, "\\-");
		else
			buf_addc(out, s[i]);
	}
}

static void man_s(struct buf *out, const char *s)
{
	man_text(out, s, strlen(s));
}

static void man_paragraphs(struct buf *out, const char *text)
{
	while (*text != '\0') {
		const char *end = strstr(text, "\n\n");
		size_t len = end != NULL ? (size_t)(end - text) : strlen(text);

		buf_adds(out, *text == ' ' ? ".PP\n.nf\n" : ".PP\n");
		man_text(out, text, len);
		buf_adds(out, *text == ' ' ? "\n.fi\n" : "\n");
		text += len;
		while (*text == '\n')
			text++;
	}
}

static void man_options(struct buf *out, const struct cli_option *o)
{
	for (; o != NULL && o->name != NULL; o++) {
		buf_adds(out, ".TP\n");
		if (o->letter != 0)
			buf_printf(out, "\\fB\\-%c\\fR, ", o->letter);
		buf_adds(out, "\\fB");
		man_s(out, o->name);
		buf_adds(out, "\\fR");
		if (o->value != NULL)
			buf_printf(out, " \\fI%s\\fR", o->value);
		buf_addc(out, '\n');
		man_s(out, o->help);
		buf_addc(out, '\n');
	}
}

static void man_command(struct buf *out, const struct cli_command *c)
{
	buf_adds(out, ".SS \"");
	man_s(out, c->name);
	if (*c->arguments != '\0') {
		buf_addc(out, ' ');
		man_s(out, c->arguments);
	}
	buf_adds(out, "\"\n");
	man_s(out, c->help);
	buf_addc(out, '\n');
	if (c->more != NULL)
		man_paragraphs(out, c->more);
	man_options(out, c->options);
}

void cli_manual(struct buf *out)
{
	buf_adds(out, ".\\\" Generated from the command table; do not edit.\n"
	              ".TH HOLDFAST 1 \"\" \"holdfast " HOLDFAST_VERSION "\" \"User Commands\"\n"
	              ".SH NAME\nholdfast \\- make self\\-hosted web services highly available\n"
	              ".SH SYNOPSIS\n.B holdfast\n.I COMMAND\n[\\fIOPTIONS\\fR] "
	              "[\\fIARGUMENTS\\fR]\n"
	              ".SH DESCRIPTION\nOne binary and one file, the same on every node: a "
	              "balancer with health checks that goes on answering\nwhile any of its "
	              "processes dies, its configuration is reloaded or its binary replaced.\n"
	              ".BR \"holdfast run\" \" runs a node; the other commands look at it or tell "
	              "it what to do.\"\n.SH COMMANDS\n");
	for (unsigned i = 0; cli_commands[i] != NULL; i++) {
		if (cli_commands[i]->help != NULL)
			man_command(out, cli_commands[i]);
	}
	buf_adds(out, ".SH OPTIONS OF EVERY COMMAND\n");
	man_options(out, cli_common_options);
	buf_adds(out, ".SH EXIT STATUS\n.TP\n0\nwell\n.TP\n1\nrefused or failed; the reason is on "
	              "standard error\n.TP\n2\nwrong usage\n.TP\n3\nthe node is not reachable\n"
	              ".SH ENVIRONMENT\n.TP\n.B NO_COLOR\nno colour in the output\n"
	              ".SH FILES\n.TP\n.I /run/holdfast/control.sock\nthe control socket, unless "
	              "\\fB\\-\\-state\\fR says otherwise\n.SH SEE ALSO\n"
	              ".BR holdfast.yaml (5)\n");
}

/* --- completion ----------------------------------------------------------------------------- */

static void completion_words(struct buf *out, const struct cli_option *o)
{
	for (; o != NULL && o->name != NULL; o++)
		buf_printf(out, " %s", o->name);
}

/* Options whose value is a file or a folder, for the shell to complete. */
static void completion_files(struct buf *out, const struct cli_option *o, const char *value,
                             bool *first)
{
	for (; o != NULL && o->name != NULL; o++) {
		if (o->value == NULL || strcmp(o->value, value) != 0)
			continue;
		buf_printf(out, "%s%s", *first ? "" : "|", o->name);
		*first = false;
		if (o->letter != 0)
			buf_printf(out, "|-%c", o->letter);
	}
}

static void completion_case(struct buf *out, const char *value, const char *flag)
{
	bool first = true;

	buf_adds(out, "\t");
	completion_files(out, cli_common_options, value, &first);
	for (unsigned i = 0; cli_commands[i] != NULL; i++) {
		if (cli_commands[i]->help != NULL)
			completion_files(out, cli_commands[i]->options, value, &first);
	}
	if (first)
		buf_adds(out, "''");
	buf_printf(out, ") COMPREPLY=($(compgen %s -- \"$cur\")); return ;;\n", flag);
}

void cli_completion(struct buf *out)
{
	buf_adds(out, "# bash completion for holdfast, generated by \"holdfast completion bash\"\n"
	              "_holdfast()\n{\n\tlocal cur=${COMP_WORDS[COMP_CWORD]} "
	              "prev=${COMP_WORDS[COMP_CWORD-1]} cmd= i\n"
	              "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	              "\t\tcase ${COMP_WORDS[i]} in\n"
	              "\t\t--state|--socket) ((i++)) ;;\n\t\t-*) ;;\n"
	              "\t\t*) cmd=${COMP_WORDS[i]}; break ;;\n\t\tesac\n\tdone\n"
	              "\tcase $prev in\n");
	completion_case(out, "FILE", "-f");
	completion_case(out, "PATH", "-f");
	completion_case(out, "DIR", "-d");
	buf_adds(out, "\tesac\n\tlocal words\n\tcase $cmd in\n\t'') words='help");
	for (unsigned i = 0; cli_commands[i] != NULL; i++) {
		if (cli_commands[i]->help != NULL)
			buf_printf(out, " %s", cli_commands[i]->name);
	}
	completion_words(out, cli_common_options);
	buf_adds(out, "' ;;\n");
	for (unsigned i = 0; cli_commands[i] != NULL; i++) {
		const struct cli_command *c = cli_commands[i];

		if (c->help == NULL)
			continue;
		buf_printf(out, "\t%s) words='%s", c->name, c->words != NULL ? c->words : "");
		completion_words(out, c->options);
		completion_words(out, cli_common_options);
		buf_adds(out, "' ;;\n");
	}
	buf_adds(out, "\tesac\n\tCOMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
	              "\t[[ ${#COMPREPLY[@]} -eq 0 && $cur != -* ]] && "
	              "COMPREPLY=($(compgen -f -- \"$cur\"))\n}\n"
	              "complete -o filenames -F _holdfast holdfast\n");
}

/* --- commands ------------------------------------------------------------------------------- */

static int version_run(const struct cli_command *c, struct cli_args *a)
{
	(void)c;
	if (a->json)
		printf("{\"version\": \"%s\"}\n", HOLDFAST_VERSION);
	else
		printf("holdfast %s\n", HOLDFAST_VERSION);
	return CLI_WELL;
}

const struct cli_command cmd_version = {
	.name = "version",
	.arguments = "",
	.help = "print the version of this binary",
	.run = version_run,
};

static int completion_run(const struct cli_command *c, struct cli_args *a)
{
	struct buf b = BUF_INIT;

	(void)c;
	if (strcmp(a->argv[0], "bash") != 0) {
		fprintf(stderr,
		        "holdfast completion: no script for \"%s\"; there is one for bash\n",
		        a->argv[0]);
		return CLI_USAGE;
	}
	cli_completion(&b);
	fputs(buf_cstr(&b), stdout);
	buf_free(&b);
	return CLI_WELL;
}

const struct cli_command cmd_completion = {
	.name = "completion",
	.arguments = "bash",
	.help = "print a completion script for the shell",
	.more = "Load it with:\n\n  source <(holdfast completion bash)",
	.min_args = 1,
	.max_args = 1,
	.run = completion_run,
};
