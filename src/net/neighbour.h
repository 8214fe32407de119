/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Asking a neighbour on a link whether it is there: ARP (RFC 826) for IPv4, neighbour solicitation
 * (RFC 4861 section 7.2) for IPv6. Needs CAP_NET_RAW. Nothing here waits.
 */
#ifndef NET_NEIGHBOUR_H
#define NET_NEIGHBOUR_H

#include "net/addr.h"

/* A socket that hears answers on a link; AF_INET or AF_INET6. The descriptor, or ERR_SYSTEM. */
int net_neighbour_open(int family, uint32_t link);
/*
 * Asks who has `target`. mac: of our link. from: an address of ours on that link, so that every
 * router answers; NULL: a probe that touches nobody's table (RFC 5227). IPv6 chooses its source
 * itself. OK or ERR_SYSTEM.
 */
int net_neighbour_ask(int fd, uint32_t link, const uint8_t mac[6], const struct net_addr *from,
                      const struct net_addr *target);
/* Takes what has arrived; true: `target` was in it. At most 64 packets a call. */
bool net_neighbour_answered(int fd, const struct net_addr *target);

#endif
