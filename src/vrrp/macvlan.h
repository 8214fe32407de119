/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtual_mac: the virtual IP's addresses lie on a link of their own, a private macvlan on the
 * interface, with the MAC of RFC 9568 section 7.3: 00:00:5e:00:01:VRID (IPv4),
 * 00:00:5e:00:02:VRID (IPv6). Clients keep their ARP entry over a failover. The link is made when
 * the virtual IP starts, and is up only while this node is active. Role vrrp, its one thread.
 */
#ifndef VRRP_MACVLAN_H
#define VRRP_MACVLAN_H

#include "conf/conf.h"
#include "net/netlink.h"

struct macvlan; /* of one virtual IP */

/* Makes it, down, on the link `parent`. why: what the kernel or these rights lack. */
int macvlan_new(struct netlink *n, const struct conf_vip *vip, uint32_t parent,
                struct macvlan **ret, char *why, size_t why_size);
/* Removes it, and with it its addresses. */
void macvlan_free(struct macvlan *m);

/* The link that the addresses go on (as /32 or /128: the network's route is the interface's), and
 * that announcements are sent by; 0 when it has gone. */
uint32_t macvlan_link(const struct macvlan *m);
/* Before the addresses are added: up, and the interface is silent for them. */
int macvlan_up(struct macvlan *m, char *why, size_t why_size);
/* After they are removed. */
void macvlan_down(struct macvlan *m);

/* Removes what an earlier process left. Not while another process of this node acts. */
void macvlan_clean(struct netlink *n);

#endif
