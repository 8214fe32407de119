/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside the command line: parsing of arguments by a command's row, and what is generated from the
 * rows (usage, help, manual page, completion).
 */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/buf.h"
#include "cli/command.h"

/* Options that every command takes; ends with name NULL. */
extern const struct cli_option cli_common_options[];

/* The row with that name, hidden ones too; NULL when there is none. */
const struct cli_command *cli_find(const char *name);
/* The closest of the visible names to a mistyped one; NULL when none is close. */
const char *cli_closest_command(const char *name);

/*
 * Parses what follows the command's name into *a (zeroed here but for what the common options set
 * before). argv[0] is the first argument. Returns OK; ERR_NOT_FOUND when --help was asked for;
 * ERR_INVALID with a sentence for the user in *why.
 */
int cli_parse(const struct cli_command *c, int argc, char **argv, struct cli_args *a,
              struct buf *why);

void cli_usage(struct buf *out);
void cli_help(const struct cli_command *c, struct buf *out);
/* The manual page holdfast(1), in man(7). */
void cli_manual(struct buf *out);
/* A completion script for bash. */
void cli_completion(struct buf *out);

#endif
