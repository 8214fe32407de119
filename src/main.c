/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program: one binary that is parent, role and command. What exists is listed here: the table
 * of roles and the table of commands.
 */
#include <stddef.h>

#include "cli/commands.h"

const struct cli_command *const cli_commands[] = {
	&cmd_check,
	&cmd_show,
	&cmd_diff,
	&cmd_schema,
	&cmd_drain,
	&cmd_ready,
	&cmd_disable,
	&cmd_version,
	&cmd_whoami,
	&cmd_completion,
	&cmd_manual_commands,
	&cmd_manual,
	NULL,
};

int main(int argc, char **argv)
{
	return cli_main(argc, argv);
}
