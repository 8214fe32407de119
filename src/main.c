/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program: one binary that is parent, role and command. What exists is listed here: the table
 * of roles and the table of commands.
 */
#include <stddef.h>
#include <string.h>

#include "check/check.h"
#include "cli/commands.h"
#include "core/loader.h"
#include "core/role.h"
#include "core/self_test.h"
#include "proxy/proxy.h"

const struct role_ops *const role_table[] = {
	&check_role,
	&proxy_role,
	NULL,
};

const struct cli_command *const cli_commands[] = {
	&cmd_run,
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
	if (argc > 2 && strcmp(argv[1], "--role") == 0 && strcmp(argv[2], "loader") == 0)
		return loader_main(argc - 3, argv + 3);
	if (argc > 2 && strcmp(argv[1], "--role") == 0)
		return role_main(argv[2], argc - 3, argv + 3);
	if (argc == 2 && strcmp(argv[1], "--self-test") == 0)
		return self_test_main();
	return cli_main(argc, argv);
}
