/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The entrance of the command line: finds the command's row, parses its arguments by it, runs it.
 * One thread, in the process the user started.
 */
#include "cli/cli.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/str.h"

const struct cli_option cli_common_options[] = {
	{ "--json", 0, NULL, "print JSON for programs" },
	{ "--state", 0, "DIR", "the state folder of the node, as given to run" },
	{ "--socket", 0, "PATH", "the control socket of the node; stands above --state" },
	{ "--help", 'h', NULL, "explain the command" },
	{ NULL, 0, NULL, NULL },
};

const struct cli_command *cli_find(const char *name)
{
	for (unsigned i = 0; cli_commands[i] != NULL; i++) {
		if (strcmp(cli_commands[i]->name, name) == 0)
			return cli_commands[i];
	}
	return NULL;
}

/* Whether a distance is small enough for a name of that length to be meant. */
static bool is_close(unsigned distance, size_t len)
{
	return distance <= (len < 4 ? 1 : len < 8 ? 2 : 3);
}

const char *cli_closest_command(const char *name)
{
	unsigned best = UINT_MAX;
	const char *ret = NULL;

	for (unsigned i = 0; cli_commands[i] != NULL; i++) {
		const char *have = cli_commands[i]->name;
		unsigned d = str_distance(str_from(name), str_from(have));

		if (cli_commands[i]->help != NULL && d < best && is_close(d, strlen(name))) {
			best = d;
			ret = have;
		}
	}
	return ret;
}

/* --- options -------------------------------------------------------------------------------- */

/* An argument that starts with a dash, taken apart. */
struct given {
	struct str name; /* "--state"; empty for a letter */
	char letter;
	const char *value; /* after '=' or directly after the letter; NULL: none */
};

static struct given take_apart(const char *arg)
{
	struct given g = { 0 };

	if (arg[1] == '-') {
		const char *eq = strchr(arg, '=');

		g.name = eq != NULL ? str_n(arg, (size_t)(eq - arg)) : str_from(arg);
		g.value = eq != NULL ? eq + 1 : NULL;
	} else {
		g.letter = arg[1];
		g.value = arg[2] != '\0' ? arg + 2 : NULL;
	}
	return g;
}

/* The place of an option in a table; -1 when it is not there. */
static int option_find(const struct cli_option *table, const struct given *g)
{
	for (int i = 0; table != NULL && table[i].name != NULL; i++) {
		if (g->letter != 0 ? table[i].letter == g->letter
		                   : str_eq(str_from(table[i].name), g->name))
			return i;
	}
	return -1;
}

static void option_closest(const struct cli_option *table, struct str name, unsigned *best,
                           const char **ret)
{
	for (unsigned i = 0; table != NULL && table[i].name != NULL; i++) {
		unsigned d = str_distance(name, str_from(table[i].name));

		if (d < *best && is_close(d, name.len - 2)) {
			*best = d;
			*ret = table[i].name;
		}
	}
}

static int unknown_option(const struct cli_command *c, const struct given *g, struct buf *why)
{
	unsigned best = UINT_MAX;
	const char *close = NULL;

	if (g->letter != 0) {
		buf_printf(why, "unknown option -%c", g->letter);
	} else {
		buf_printf(why, "unknown option %.*s", STR_ARG(g->name));
		option_closest(c->options, g->name, &best, &close);
		option_closest(cli_common_options, g->name, &best, &close);
	}
	if (close != NULL)
		buf_printf(why, "; did you mean %s?", close);
	return ERR_INVALID;
}

/* The option's value: given with it, or the next argument. NULL with why when there is none. */
static const char *option_value(const struct cli_option *o, const struct given *g, int argc,
                                char **argv, int *i, struct buf *why)
{
	if (o->value == NULL) {
		if (g->value == NULL)
			return "";
		buf_printf(why, "option %s takes no value", o->name);
		return NULL;
	}
	if (g->value != NULL)
		return g->value;
	if (*i + 1 < argc)
		return argv[++*i];
	buf_printf(why, "option %s needs a value: %s %s", o->name, o->name, o->value);
	return NULL;
}

static void set_common(struct cli_args *a, const char *name, const char *value)
{
	if (strcmp(name, "--json") == 0)
		a->json = true;
	else if (strcmp(name, "--state") == 0)
		a->state_dir = value;
	else if (strcmp(name, "--socket") == 0)
		a->socket = value;
}

/* Takes the option at argv[*i]. */
static int parse_option(const struct cli_command *c, int argc, char **argv, int *i,
                        struct cli_args *a, struct buf *why)
{
	struct given g = take_apart(argv[*i]);
	int own = option_find(c->options, &g);
	int common = own < 0 ? option_find(cli_common_options, &g) : -1;
	const struct cli_option *o;
	const char *value;

	if (own < 0 && common < 0)
		return unknown_option(c, &g, why);
	o = own >= 0 ? &c->options[own] : &cli_common_options[common];
	CHECK(o != NULL);
	if (strcmp(o->name, "--help") == 0)
		return ERR_NOT_FOUND;
	value = option_value(o, &g, argc, argv, i, why);
	if (value == NULL)
		return ERR_INVALID;
	if (own >= 0)
		a->values[own] = value;
	set_common(a, o->name, value);
	return OK;
}

static int count_wrong(const struct cli_command *c, const struct cli_args *a, struct buf *why)
{
	if (a->argc < c->min_args)
		buf_printf(why, "too few arguments: %s wants %s", c->name, c->arguments);
	else if (c->max_args == 0)
		buf_printf(why, "%s takes no argument, but \"%s\" was given", c->name, a->argv[0]);
	else
		buf_printf(why, "too many arguments: %s wants %s", c->name, c->arguments);
	return ERR_INVALID;
}

int cli_parse(const struct cli_command *c, int argc, char **argv, struct cli_args *a,
              struct buf *why)
{
	bool options = true;

	for (int i = 0; i < argc; i++) {
		if (options && strcmp(argv[i], "--") == 0) {
			options = false;
		} else if (options && argv[i][0] == '-' && argv[i][1] != '\0') {
			int rc = parse_option(c, argc, argv, &i, a, why);

			if (rc != OK)
				return rc;
		} else if (a->argc < CLI_MAX_ARGS) {
			a->argv[a->argc++] = argv[i];
			options = options && (c->raw_after == 0 || a->argc < c->raw_after);
		} else {
			buf_printf(why, "more than %d arguments", CLI_MAX_ARGS);
			return ERR_INVALID;
		}
	}
	if (a->argc < c->min_args || a->argc > c->max_args)
		return count_wrong(c, a, why);
	return OK;
}

const char *cli_option(const struct cli_command *c, const struct cli_args *a, const char *name)
{
	for (unsigned i = 0; c->options != NULL && c->options[i].name != NULL; i++) {
		if (strcmp(c->options[i].name, name) == 0)
			return a->values[i];
	}
	return NULL;
}

bool cli_colour(int fd)
{
	const char *no = getenv("NO_COLOR");
	const char *term = getenv("TERM");

	return isatty(fd) != 0 && (no == NULL || *no == '\0') &&
	       (term == NULL || strcmp(term, "dumb") != 0);
}

/* --- main ----------------------------------------------------------------------------------- */

static int print(struct buf *b, FILE *to, int status)
{
	fputs(buf_cstr(b), to);
	buf_free(b);
	return status;
}

static int unknown_command(const char *name)
{
	const char *close = cli_closest_command(name);

	fprintf(stderr, "holdfast: unknown command \"%s\"", name);
	if (close != NULL)
		fprintf(stderr, "; did you mean \"%s\"?", close);
	fputs("\nTry \"holdfast --help\" for the list.\n", stderr);
	return CLI_USAGE;
}

static int help_on(const char *name)
{
	struct buf b = BUF_INIT;
	const struct cli_command *c = name != NULL ? cli_find(name) : NULL;

	if (name != NULL && c == NULL)
		return unknown_command(name);
	if (c != NULL)
		cli_help(c, &b);
	else
		cli_usage(&b);
	return print(&b, stdout, CLI_WELL);
}

static int run(const struct cli_command *c, int argc, char **argv, struct cli_args *a)
{
	struct buf why = BUF_INIT;
	int rc = cli_parse(c, argc, argv, a, &why);

	if (rc == ERR_NOT_FOUND) {
		buf_free(&why);
		return help_on(c->name);
	}
	if (rc != OK) {
		fprintf(stderr, "holdfast %s: %s\nTry \"holdfast %s --help\".\n", c->name,
		        buf_cstr(&why), c->name);
		buf_free(&why);
		return CLI_USAGE;
	}
	return c->run(c, a);
}

/* Options before the command: the common ones and --version. Returns the place of the command's
 * name, or minus the exit status less one. */
static int leading_options(int argc, char **argv, struct cli_args *a)
{
	static const struct cli_command none = { .name = "", .arguments = "" };
	struct buf why = BUF_INIT;
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		int rc;

		if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) {
			printf("holdfast %s\n", HOLDFAST_VERSION);
			return -1 - CLI_WELL;
		}
		rc = parse_option(&none, argc, argv, &i, a, &why);
		if (rc == ERR_NOT_FOUND)
			return -1 - help_on(i + 1 < argc ? argv[i + 1] : NULL);
		if (rc != OK) {
			fprintf(stderr, "holdfast: %s\nTry \"holdfast --help\".\n", buf_cstr(&why));
			buf_free(&why);
			return -1 - CLI_USAGE;
		}
	}
	return i;
}

int cli_main(int argc, char **argv)
{
	struct cli_args a = { 0 };
	const struct cli_command *c;
	int status;
	int at = leading_options(argc, argv, &a);

	if (at < 0)
		return -at - 1;
	if (at >= argc) {
		struct buf b = BUF_INIT;

		cli_usage(&b);
		return print(&b, stderr, CLI_USAGE);
	}
	if (strcmp(argv[at], "help") == 0)
		return help_on(at + 1 < argc ? argv[at + 1] : NULL);
	c = cli_find(argv[at]);
	if (c == NULL)
		return unknown_command(argv[at]);
	status = run(c, argc - at - 1, argv + at + 1, &a);
	/* Output that could not be written (a full disk, a closed pipe) is a failure. */
	if (fflush(stdout) != 0 && status == CLI_WELL)
		status = CLI_FAILED;
	return status;
}
