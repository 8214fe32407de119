/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of all commands, for the table in src/main.c; each is defined in its cmd_*.c. */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/command.h"

extern const struct cli_command cmd_check;
extern const struct cli_command cmd_completion;
extern const struct cli_command cmd_connections;
extern const struct cli_command cmd_diff;
extern const struct cli_command cmd_disable;
extern const struct cli_command cmd_drain;
extern const struct cli_command cmd_drill;
extern const struct cli_command cmd_drill_client;
extern const struct cli_command cmd_drill_watch;
extern const struct cli_command cmd_events;
extern const struct cli_command cmd_explain;
extern const struct cli_command cmd_lab;
extern const struct cli_command cmd_manual;
extern const struct cli_command cmd_ready;
extern const struct cli_command cmd_reload;
extern const struct cli_command cmd_run;
extern const struct cli_command cmd_schema;
extern const struct cli_command cmd_show;
extern const struct cli_command cmd_status;
extern const struct cli_command cmd_switchover;
extern const struct cli_command cmd_top;
extern const struct cli_command cmd_upgrade;
extern const struct cli_command cmd_version;
extern const struct cli_command cmd_whoami;

#endif
