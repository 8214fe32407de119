/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that die, freeze, or lose everything of Holdfast at once. */
#include "base/err.h"
#include "drill/scenario.h"

#define RESTART_LIMIT (20 * NS_PER_S)

/* The active node and its name; needs another one to take over. -1 with why. */
static int victim(struct drill *d, const char **ret_name)
{
	int n = drill_active(d);

	if (n < 0 || drill_standby(d) < 0)
		return -1;
	*ret_name = drill_node_name(d, (unsigned)n);
	return n;
}

/* --- node-death ----------------------------------------------------------------------------- */

static int death(struct drill *d)
{
	const char *name;
	int n = victim(d, &name), err;

	if (n < 0)
		return ERR_UNSUPPORTED;
	err = drill_fault(d, name, "cut", NULL, NULL);
	drill_event_down(d, (unsigned)n, clock_mono());
	d->nodes[n].down = true;
	return err == OK ? drill_fault(d, name, "kill", NULL, NULL) : err;
}

/* The link first, as with a machine that boots; a dead node's addresses are not in its kernel. */
static int revive(struct drill *d)
{
	const char *name = drill_node_name(d, (unsigned)d->active);
	int err = drill_fault(d, name, "mend", NULL, NULL);

	return err == OK ? drill_start(d, name, RESTART_LIMIT) : err;
}

const struct drill_scenario drill_node_death = {
	.name = "node-death",
	.what = "the active node dies: its link is cut and everything on it killed",
	.means = "A machine loses power or burns. Until another one answers for its address, users "
	         "get nothing; requests it was working on are lost with it.",
	.lab_only = true,
	.limits = { .outage = 200 * NS_PER_MS,
	            .failed = DRILL_NO_LIMIT,
	            .recovery = 30 * NS_PER_S,
	            .split_brain = 50 * NS_PER_MS },
	.outage_adverts = 4,
	.inject = death,
	.mend = revive,
	.watch_ns = 5 * NS_PER_S, /* as long as an address lives that nobody renews */
};

/* --- node-freeze ---------------------------------------------------------------------------- */

static int freeze(struct drill *d)
{
	const char *name;

	return victim(d, &name) < 0 ? ERR_UNSUPPORTED : drill_fault(d, name, "freeze", NULL, NULL);
}

static int thaw(struct drill *d)
{
	return drill_fault(d, drill_node_name(d, (unsigned)d->active), "thaw", NULL, NULL);
}

const struct drill_scenario drill_node_freeze = {
	.name = "node-freeze",
	.what = "every process of the active node is stopped (SIGSTOP), and wakes up later",
	.means =
	    "A machine hangs, or a virtual machine is paused: it is there, but does nothing. "
	    "Another one must take the address, and the first must not disturb when it wakes up.",
	.lab_only = true,
	/* The frozen node's kernel keeps the address until its lifetime has run out. */
	.limits = { .outage = 5 * NS_PER_S,
	            .failed = DRILL_NO_LIMIT,
	            .recovery = 30 * NS_PER_S,
	            .split_brain = 4 * NS_PER_S },
	.inject = freeze,
	.mend = thaw,
	.watch_ns = 6 * NS_PER_S,
};

/* --- daemon-crash --------------------------------------------------------------------------- */

static int crash(struct drill *d)
{
	const char *name;
	int n = victim(d, &name);

	if (n < 0)
		return ERR_UNSUPPORTED;
	d->nodes[n].down = true;
	return drill_fault(d, name, "kill", NULL, NULL);
}

static int restart(struct drill *d)
{
	return drill_start(d, drill_node_name(d, (unsigned)d->active), RESTART_LIMIT);
}

const struct drill_scenario drill_daemon_crash = {
	.name = "daemon-crash",
	.what = "every process of Holdfast on the active node is killed; its link stays",
	.means =
	    "The machine lives, but Holdfast on it is gone at once, as when memory runs out. The "
	    "kernel holds the address a little longer than anybody answers there.",
	.lab_only = true,
	.limits = { .outage = 5 * NS_PER_S,
	            .failed = DRILL_NO_LIMIT,
	            .recovery = 30 * NS_PER_S,
	            .split_brain = 4 * NS_PER_S },
	.inject = crash,
	.mend = restart,
	.watch_ns = 6 * NS_PER_S,
};

/* --- power-cycle ---------------------------------------------------------------------------- */

static int power_off(struct drill *d)
{
	for (unsigned i = 0; i < d->nnodes; i++) {
		int err = drill_fault(d, d->nodes[i].name, "cut", NULL, NULL);

		drill_event_down(d, i, clock_mono());
		d->nodes[i].down = true;
		if (err == OK)
			err = drill_fault(d, d->nodes[i].name, "kill", NULL, NULL);
		if (err != OK)
			return err;
	}
	return OK;
}

static int power_on(struct drill *d)
{
	int err = OK;

	for (unsigned i = 0; i < d->nnodes && err == OK; i++) {
		err = drill_fault(d, d->nodes[i].name, "mend", NULL, NULL);
		if (err == OK)
			err = drill_start(d, d->nodes[i].name, RESTART_LIMIT);
	}
	return err;
}

const struct drill_scenario drill_power_cycle = {
	.name = "power-cycle",
	.what = "all nodes die and come back",
	.means =
	    "The power of the whole rack fails. Nothing can answer meanwhile; what counts is that "
	    "all is well by itself soon after it is back.",
	.lab_only = true,
	.limits = { .outage = DRILL_NO_LIMIT,
	            .failed = DRILL_NO_LIMIT,
	            .recovery = 15 * NS_PER_S,
	            .split_brain = 250 * NS_PER_MS },
	.inject = power_off,
	.mend = power_on,
	.watch_ns = 5 * NS_PER_S,
};
