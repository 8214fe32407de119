/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections through a planned handover. The new holder sends packets of connections that it does
 * not know (TCP, not SYN, no socket of its own: nftables) on to the old holder, which keeps the
 * address on its loopback, silent towards ARP, until its connections have ended or a deadline
 * passes. Replies go from the old holder straight to the clients.
 *
 * Nothing of it outlives the process: the rules belong to it (rules.h), the addresses on the
 * loopback have a life of seconds and are renewed. No setting of the host is changed, nothing is
 * routed: a packet is sent to the old holder's MAC as it came (nftables' dup). Both nodes must be
 * on the same link. Role vrrp, its one thread.
 */
#ifndef VRRP_RELAY_H
#define VRRP_RELAY_H

#include "conf/conf.h"
#include "net/loop.h"
#include "net/netlink.h"

struct relay; /* of one virtual IP */

/* Whether this kernel allows it; tried in tables that are removed again, in which no packet is
 * looked at: some ten milliseconds. OK, ERR_UNSUPPORTED, or ERR_DENIED: these rights do not suffice
 * to try. why: what is missing. */
int relay_supported(struct netlink *n, char *why, size_t why_size);
/* Removes what an earlier process left: addresses on the loopback. Not while another process of
 * this node acts. */
void relay_clean(struct netlink *n);

int relay_new(struct loop *loop, struct netlink *n, const struct conf_vip *vip, struct relay **ret);
/* Ends both, quietly. */
void relay_free(struct relay *r);

/* This node takes the address over from `from`, which is alive: passes on what it does not know,
 * for `ns`. Before the address is added. Taking over from another one later replaces it. */
int relay_take(struct relay *r, uint32_t link, const struct net_addr *from, uint64_t ns, char *why,
               size_t why_size);
/* This node gives the address up: keeps it for its open connections for `ns`. Best called just
 * before it is removed from the link, so that there is no moment without it. What it does not know
 * itself goes on to the holder before it, if relay_take still runs. */
int relay_keep(struct relay *r, uint32_t link, uint64_t ns, char *why, size_t why_size);
/* It is about to be the holder again: the address leaves the loopback. Connections of its own go
 * on. Before the address is added. */
void relay_back(struct relay *r);
/* That node is heard to hold the address now: nothing is passed on to it any more, as it would pass
 * it back; nor is it refused, as it may be a connection of the holder on its old way. */
void relay_heard(struct relay *r, const struct net_addr *from);
/* Whether either runs, for the board. */
bool relay_active(const struct relay *r);

/* What runs, so that another process of this node can go on with it. */
struct relay_state {
	uint64_t take_until; /* monotonic ns; 0: does not run */
	uint64_t keep_until;
	struct net_addr from;
};
void relay_state(const struct relay *r, struct relay_state *ret);
/* Goes on with it, or ends what does not run there. While that other process still lives as well:
 * then there is no moment without rules. */
void relay_resume(struct relay *r, uint32_t link, const struct relay_state *s);

#endif
