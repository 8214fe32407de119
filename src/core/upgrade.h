/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a parent takes over and gives over: it adopts the roles of an earlier one (adopt.c), makes
 * room for a new program (upgrade.c), ends the node in order (stop.c). On the parent's one thread.
 */
#ifndef CORE_UPGRADE_H
#define CORE_UPGRADE_H

#include "core/child.h"
#include "core/paths.h"

/* --- taking over, upgrade, end (adopt.c, upgrade.c, stop.c) --------------------------------- */

/* Finds the roles of an earlier parent. Returns their number; board, sockets, children and the
 * committed generation are set from them. */
unsigned adopt_roles(struct parent *p);

enum upgrade_phase {
	UPGRADE_NONE,
	UPGRADE_TEST,
	UPGRADE_HOOKS, /* hooks of virtual IPs run: they end before the program is replaced */
	UPGRADE_OVERLAP,
	UPGRADE_OTHERS
};

struct upgrade {
	enum upgrade_phase phase;
	struct asker asker;
	unsigned step; /* of UPGRADE_OVERLAP: index of a service */
	pid_t pid;     /* of the self-test */
	int pidfd;
	int out; /* what it prints */
	struct loop_io io;
	struct loop_timer timer;
	char binary[PATHS_DIR];
};

/* Where this program was started from: found before anything changes the folder. */
void upgrade_init(struct parent *p);
void upgrade_request(struct child *c, uint32_t id);
/* After the exec, or the adoption of another version's roles: replaces them one by one. */
void upgrade_replace(struct parent *p, struct asker asker);
void upgrade_child_ready(struct child *c);
void upgrade_child_died(struct child *c);
void upgrade_hooks_ended(struct parent *p);
/* The id in the environment of an executed parent; unset by the call. */
bool upgrade_resumed(uint32_t *ret_id, int *ret_lock);

struct stop {
	bool begun;
	bool yielding; /* virtual IPs are being given up */
	bool others;   /* proxies have ended, the rest was told */
	struct loop_timer yield;
	struct loop_timer sockets;
	struct loop_timer hooks;
};

void stop_begin(struct parent *p, const char *why);
void stop_at_once(struct parent *p);
/* vrrp holds no virtual IP any more. */
void stop_yielded(struct child *c);
void stop_child_died(struct parent *p);

#endif
