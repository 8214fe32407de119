/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The program: one binary that is parent, role and command. What exists is listed here: the table
 * of roles and the table of commands.
 */
#include <stddef.h>
#include <string.h>

#include "acme/acme.h"
#include "check/check.h"
#include "cli/commands.h"
#include "control/control.h"
#include "core/certs_helper.h"
#include "core/loader.h"
#include "core/role.h"
#include "core/self_test.h"
#include "proxy/explain.h"
#include "proxy/proxy.h"
#include "tls/memory.h"
#include "vrrp/vrrp.h"

/* One row a line, so that changes to the tables do not meet. */
/* clang-format off */
/* In the order in which they start and commit a configuration: states first. */
const struct role_ops *const role_table[] = {
	&check_role,
	&proxy_role,
	&vrrp_role,
	&acme_role,
	&control_role,
	NULL,
};

const struct cli_command *const cli_commands[] = {
	&cmd_run,
	&cmd_check,
	&cmd_show,
	&cmd_diff,
	&cmd_schema,
	&cmd_status,
	&cmd_connections,
	&cmd_top,
	&cmd_events,
	&cmd_explain,
	&cmd_reload,
	&cmd_upgrade,
	&cmd_drain,
	&cmd_ready,
	&cmd_disable,
	&cmd_switchover,
	&cmd_lab,
	&cmd_drill,
	&cmd_drill_client,
	&cmd_drill_watch,
	&cmd_whoami,
	&cmd_version,
	&cmd_completion,
	&cmd_manual,
	NULL,
};
/* clang-format on */

/* How the parent executes the program again: `--role NAME …`. */
static int role(const char *name, int argc, char **argv)
{
	if (strcmp(name, "certs") == 0)
		return certs_main(argc, argv);
	if (strcmp(name, "loader") == 0)
		return loader_main(argc, argv);
	control_set_explain(proxy_explain);
	return role_main(name, argc, argv);
}

int main(int argc, char **argv)
{
	tls_memory_init();
	if (argc >= 3 && strcmp(argv[1], "--role") == 0)
		return role(argv[2], argc - 3, argv + 3);
	if (argc == 2 && strcmp(argv[1], "--self-test") == 0)
		return self_test_main();
	return cli_main(argc, argv);
}
