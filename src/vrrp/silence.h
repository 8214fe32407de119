/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IPv4 addresses that this host has but must not speak for by ARP: while a planned handover goes on
 * (relay.c), or because another link with its own MAC does (macvlan.c). Requests for them are not
 * answered, and our own questions do not name them as their sender. IPv6 needs nothing of the kind:
 * a link answers only for addresses of its own. Role vrrp, its one thread.
 */
#ifndef VRRP_SILENCE_H
#define VRRP_SILENCE_H

#include "net/netlink.h"
#include "vrrp/rules.h"

/* Begins, and lasts until rules is cleared: for the addresses, on all links but `speaker` (NULL: on
 * all). name: of the virtual IP. link: where they are reached; its own address stands in for them
 * in questions. ERR_REFUSED with why. */
int silence_set(struct rules *rules, struct netlink *n, const char *name,
                const struct net_addr *ips, unsigned nips, uint32_t link, const char *speaker,
                char *why, size_t why_size);

#endif
