/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The condition "interface.NAME": the interface is there, up, and has a carrier. The kernel tells
 * when links change (netlink_watch, by the role); this asks how they are. Role vrrp, its one
 * thread.
 */
#include <net/if.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "vrrp/track_impl.h"

static uint64_t interface_look(struct track_cond *c, uint64_t now)
{
	char name[16];
	struct net_link link;
	int err;

	snprintf(name, sizeof(name), "%.*s", STR_ARG(c->conf->object));
	err = netlink_link(track_env_of(c)->netlink, name, &link);
	if (err == ERR_NOT_FOUND)
		track_verdict(c, true, false, "there is no interface %s", name);
	else if (err != OK) /* the kernel did not answer: what was known stays */
		return now + TRACK_RECHECK;
	else if ((link.flags & IFF_UP) == 0)
		track_verdict(c, true, false, "interface %s is switched off", name);
	else if (!link.carrier)
		track_verdict(c, true, false, "interface %s has no carrier", name);
	else
		track_verdict(c, true, true, "%s", "");
	return now + TRACK_EVERY;
}

const struct track_kind track_interface = { .look = interface_look };
