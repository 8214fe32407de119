/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast run`: a node in the foreground. */
#include <stddef.h>
#include <stdio.h>

#include "cli/commands.h"
#include "core/node.h"

static int run(const struct cli_command *c, struct cli_args *args)
{
	const struct node_options o = {
		.conf_path = cli_option(c, args, "--config"),
		.node_name = cli_option(c, args, "--node"),
		.state_dir = args->state_dir,
		.no_restart = cli_option(c, args, "--no-restart") != NULL,
	};

	if (!o.conf_path) {
		fprintf(stderr, "holdfast run: name the configuration: holdfast run -c FILE\n");
		return CLI_USAGE;
	}
	return node_run(&o);
}

static const struct cli_option options[] = {
	{ "--config", 'c', "FILE", "the configuration" },
	{ "--node", 0, "NAME",
	  "which of the file's nodes this is; by default that with the host's name, else that with "
	  "an address of this machine" },
	{ "--no-restart", 0, NULL, "leave roles that end dead: only for tests of what that means" },
	{ NULL, 0, NULL, NULL },
};

const struct cli_command cmd_run = {
	.name = "run",
	.arguments = "",
	.help = "run a node in the foreground",
	.more =
	    "Starts the parent, which opens the listening sockets and starts the roles: proxy, "
	    "check, control, and vrrp where the file has virtual IPs that this node may hold. A "
	    "role that ends is started again; roles of an earlier parent that was killed are "
	    "taken over without an interruption.\n\n"
	    "With --state DIR everything the node keeps is under DIR, so that several nodes on "
	    "one machine share nothing. Otherwise it is under /run/holdfast and "
	    "/var/lib/holdfast, for an ordinary user under the XDG folders.\n\n"
	    "Signals: SIGHUP reloads the file, SIGUSR1 reopens access logs, SIGTERM and SIGINT "
	    "end the node: it hands its virtual IPs over, lets open requests finish, then ends; "
	    "a second one ends it at once.",
	.options = options,
	.run = run,
};
