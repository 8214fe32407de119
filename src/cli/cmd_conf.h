/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands about configuration files share. */
#ifndef CLI_CMD_CONF_H
#define CLI_CMD_CONF_H

#include <stdio.h>

#include "cli/command.h"
#include "conf/conf.h"

/* The file a command is about: --config, the first argument, or the usual place. */
const char *cmd_conf_path(const struct cli_command *c, const struct cli_args *args);
/* Loads a file and prints its problems, and, where it is refused, how many there are. */
int cmd_load(const char *path, FILE *to, struct conf_loaded **ret);

#endif
