/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: one row for each command. Names, arguments and help are here once; usage,
 * --help, shell completion and the manual page holdfast(1) are made from the rows.
 */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

/* Exit statuses, a contract. */
enum cli_exit { CLI_WELL = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_UNREACHABLE = 3 };

struct cli_args;

struct cli_option {
	const char *name;  /* "--state" */
	char letter;       /* 'c' for -c; 0: none */
	const char *value; /* "DIR"; NULL: a flag */
	const char *help;
};

struct cli_command {
	const char *name;
	const char *arguments; /* "[POOL/SERVER]"; "" for none */
	const char *help;      /* one line; NULL: a hidden command */
	/* Paragraphs for --help and the manual, apart by "\n\n" and filled to the width; lines that
	 * start with a blank stand as they are. May be NULL. */
	const char *more;
	const struct cli_option *options; /* ends with name NULL; may be NULL */
	unsigned min_args, max_args;
	/* After so many arguments the rest is a program's: no options any more. 0: never. */
	unsigned raw_after;
	const char *words; /* that the shell offers as arguments, apart by blanks; may be NULL */
	int (*run)(const struct cli_command *c, struct cli_args *args);
};

#define CLI_MAX_ARGS 256

struct cli_args {
	const char *argv[CLI_MAX_ARGS + 1]; /* positional; NULL behind the last */
	unsigned argc;
	const char *values[16]; /* by the option's place in its command's table; flags: "" */
	bool json;              /* --json, for every command */
	const char *state_dir;  /* --state */
	const char *socket;     /* --socket */
};

extern const struct cli_command *const cli_commands[]; /* ends with NULL; in src/main.c */

/* Parses, runs, returns the exit status. */
int cli_main(int argc, char **argv);
/* Value of an option, NULL when not given. */
const char *cli_option(const struct cli_command *c, const struct cli_args *a, const char *name);
/* "500ms", "30s", "5m", "2h", "1d" in ns, at most a week. OK or ERR_INVALID. */
int cli_span(const char *text, uint64_t *ret);
bool cli_colour(int fd); /* a terminal and no NO_COLOR */

#endif
