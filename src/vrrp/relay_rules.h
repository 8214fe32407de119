/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of a planned handover (see relay.h), for relay.c alone. Role vrrp, its one thread. */
#ifndef VRRP_RELAY_RULES_H
#define VRRP_RELAY_RULES_H

#include "vrrp/rules.h"

#define RELAY_PORTS 64

/* Ports on which somebody listens at an address itself. */
struct relay_ports {
	uint16_t v[RELAY_PORTS];
	unsigned n;
};

/* Each once; what is too much is left out. */
void relay_ports_add(struct relay_ports *p, uint16_t port);

/* Of the new holder: what it does not know goes to `from` by the link of that name; from NULL: it
 * is dropped. */
int relay_rules_take(struct rules *r, const char *name, const struct net_addr *ips, unsigned nips,
                     const struct relay_ports *ports, const struct net_addr *from, const char *link,
                     char *why, size_t why_size);
/* Of the old holder: connections are tracked. */
int relay_rules_watch(struct rules *r, const char *name, const struct net_addr *ips, unsigned nips,
                      char *why, size_t why_size);
/* Whether all of that, and what silence.h needs, can be had here; but for connection tracking,
 * which a trial would begin. OK or ERR_UNSUPPORTED. */
int relay_rules_supported(char *why, size_t why_size);

#endif
