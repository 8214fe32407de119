/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections through a planned handover. The new holder marks packets of connections that it does
 * not know (TCP, not SYN, no connection of its own, not begun here: nftables) and routes them by
 * that mark to the old holder, which keeps the address on its loopback, silent towards ARP, until
 * its connections have ended or a deadline passes. Replies go from the old holder straight to the
 * clients. Role vrrp, its one thread.
 */
#ifndef VRRP_RELAY_H
#define VRRP_RELAY_H

#include "conf/conf.h"
#include "net/loop.h"
#include "net/netlink.h"

struct relay; /* of one virtual IP */

/* Whether this kernel and these rights allow it; tried once, in a table that is removed again.
 * why: what is missing and what follows from it. */
bool relay_supported(struct netlink *n, char *why, size_t why_size);
/* Removes what an earlier process left: tables, rules, routes, addresses on the loopback. */
void relay_clean(struct netlink *n);

int relay_new(struct loop *loop, struct netlink *n, const struct conf_vip *vip, struct relay **ret);
/* Ends both, quietly. */
void relay_free(struct relay *r);

/* This node takes the address over from `from`, which is alive: passes on what it does not know,
 * for `ns`. Before the address is added. Taking over from another one later replaces it. */
int relay_take(struct relay *r, uint32_t link, const struct net_addr *from, uint64_t ns, char *why,
               size_t why_size);
/* This node gave the address up, and has removed it: keeps it for its open connections for `ns`;
 * what it does not know itself goes on to the holder before it, if relay_take still runs. */
int relay_keep(struct relay *r, uint32_t link, uint64_t ns, char *why, size_t why_size);
/* It is about to be the holder again: the address leaves the loopback. Connections of its own go
 * on. Before the address is added. */
void relay_back(struct relay *r);
/* Whether either runs, for the board. */
bool relay_active(const struct relay *r);

#endif
