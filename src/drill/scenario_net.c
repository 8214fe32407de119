/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that cannot hear each other, while clients reach both. */
#include "base/err.h"
#include "drill/scenario.h"

/* Frames between the active node and each other one, in one direction or both. */
static int block(struct drill *d, bool from_active, bool to_active)
{
	int n = drill_active(d), err = OK;
	const char *name;

	if (n < 0 || drill_standby(d) < 0)
		return ERR_UNSUPPORTED;
	name = d->nodes[n].name;
	for (unsigned i = 0; i < d->nnodes && err == OK; i++) {
		if (i == (unsigned)n)
			continue;
		if (from_active)
			err = drill_fault(d, name, "block", "to", d->nodes[i].name);
		if (to_active && err == OK)
			err = drill_fault(d, d->nodes[i].name, "block", "to", name);
	}
	return err;
}

static int split(struct drill *d)
{
	return block(d, true, true);
}

static int split_half(struct drill *d)
{
	return block(d, true, false);
}

static int heal(struct drill *d)
{
	return drill_fault(d, NULL, "pass-all", NULL, NULL);
}

/* While they cannot hear each other both must claim the address: no node can know that the other
 * lives. What counts is how soon one of them gives way once they can. */
#define SPLIT_LIMITS \
	{ \
		.outage = NS_PER_S, .failed = DRILL_NO_LIMIT, .recovery = 30 * NS_PER_S, \
		.split_brain = 250 * NS_PER_MS \
	}

const struct drill_scenario drill_partition = {
	.name = "partition",
	.what = "the nodes cannot hear each other; both still see the clients",
	.means =
	    "The network between the machines fails, but users reach both. Both answer for the "
	    "address then, and agree on one as soon as they hear each other again.",
	.lab_only = true,
	.limits = SPLIT_LIMITS,
	.splits = true,
	.inject = split,
	.mend = heal,
};

const struct drill_scenario drill_asymmetric_partition = {
	.name = "asymmetric-partition",
	.what = "the other nodes cannot hear the active one, which hears them",
	.means = "The network fails in one direction only: the stand-by believes that the active "
	         "node is "
	         "dead, the active one knows better. Users must be served all the while.",
	.lab_only = true,
	.limits = SPLIT_LIMITS,
	.splits = true,
	.inject = split_half,
	.mend = heal,
};
