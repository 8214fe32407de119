/* SPDX-License-Identifier: Apache-2.0 */
/* The plan's networks: which there are, which addresses of them are free. */
#ifndef LAB_PLAN_NET_H
#define LAB_PLAN_NET_H

#include "lab/plan.h"

/* The subnet with an address: the closest of those known, else a new one of /24 or /64. NULL where
 * there are too many. */
struct lab_subnet *lab_plan_subnet(struct lab_plan *p, const struct net_addr *ip);
/* Notes one with its length; NULL where there are too many. */
struct lab_subnet *lab_plan_subnet_add(struct lab_plan *p, const struct net_addr *ip,
                                       unsigned prefix);
/* The highest address of a subnet that neither a host nor a virtual IP has. */
bool lab_plan_free_address(const struct lab_plan *p, const struct conf *c,
                           const struct lab_subnet *s, struct net_addr *ret);
bool lab_plan_is_loopback(const struct net_addr *a);
/* Equal but for the port. */
bool lab_plan_same_ip(const struct net_addr *a, const struct net_addr *b);
/* The address alone, with another port. */
struct net_addr lab_plan_with_port(const struct net_addr *a, uint16_t port);
/* Gives a host an address with the length of its subnet. False where it has too many. */
bool lab_plan_give(struct lab_host *h, const struct net_addr *ip, const struct lab_subnet *s);

#endif
