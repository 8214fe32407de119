/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the plan share: the work in progress and its hosts. */
#ifndef LAB_PLAN_IMPL_H
#define LAB_PLAN_IMPL_H

#include "lab/plan.h"
#include "lab/plan_net.h"

struct lab_plan_work {
	const struct conf *c;
	struct lab_plan *p;
	char *why;
	size_t why_size;
};

int lab_plan_too_many(struct lab_plan_work *w, const char *what, unsigned limit);
struct lab_host *lab_plan_host_add(struct lab_plan *p, enum lab_kind kind, struct str name);
/* Adds an interface that it has not; false where it has too many. */
bool lab_plan_interface_add(struct lab_host *h, struct str name);
/* Gives a host an address in a subnet (NULL: there were too many). */
int lab_plan_give_to(struct lab_plan_work *w, struct lab_host *h, const struct net_addr *ip,
                     const struct lab_subnet *s);

/* --- plan_nodes.c */
int lab_plan_nodes(struct lab_plan_work *w);
/* A node without an address in the file gets one where its servers are. */
int lab_plan_lonely_node(struct lab_plan_work *w);

/* --- plan_servers.c */
/* The test servers of pools, or of named checks. */
int lab_plan_pools(struct lab_plan_work *w, const struct conf_pool *pools, uint32_t n, bool checks);

#endif
