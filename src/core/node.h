/* SPDX-License-Identifier: Apache-2.0 */
/* The parent: `holdfast run`. */
#ifndef CORE_NODE_H
#define CORE_NODE_H

#include <stdbool.h>

struct node_options {
	const char *conf_path;
	const char *node_name; /* NULL: the host's name */
	const char *state_dir; /* NULL: /run/holdfast and /var/lib/holdfast, or the XDG folders */
	bool no_restart;       /* roles that end stay away: for tests of what that would mean */
};

/* Runs a node in the foreground until it is told to end. Returns the exit status. */
int node_run(const struct node_options *o);

/* Where a node with that state folder (NULL: default) has its control socket. Returns out. */
const char *node_control_socket(const char *state_dir, char *out, unsigned size);

#endif
