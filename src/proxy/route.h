/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The route table: which route takes a request. The most specific wins: exact host, then longest
 * wildcard, then no host; longest path prefix; number of other conditions; never the order in the
 * file. Among routes that are equal in all of that and both hold, the first by name. A route whose
 * other conditions do not hold is passed over, so that a less specific one may take the request.
 *
 * "*.shop.test" takes every host below shop.test at any depth, not shop.test itself. A path "/api"
 * takes "/api" and what lies below "/api/"; "/api/" only the latter. Paths are compared decoded and
 * without dot segments (see route_path_clean). A condition on a method takes that method alone: GET
 * does not imply HEAD.
 *
 * Look-up time does not grow with the number of hosts and paths; it grows with the number of routes
 * that differ in nothing but their other conditions. Immutable once built, shared by all threads.
 */
#ifndef PROXY_ROUTE_H
#define PROXY_ROUTE_H

#include "conf/conf.h"

struct route_table;

struct route_query {
	uint32_t listener; /* index in conf->listeners */
	const struct http_head *head;
	const struct net_addr *client;
};

/* NULL when out of memory. c must outlive the table. */
struct route_table *route_table_new(const struct conf *c);
void route_table_free(struct route_table *t);
/* NULL when no route takes it. */
const struct conf_route *route_find(const struct route_table *t, const struct route_query *q);
/* The same, with one line for each route of that host saying why it does or does not take it; the
 * number of lines is bounded. Walks all routes: not for the hot path. */
const struct conf_route *route_explain(const struct route_table *t, const struct route_query *q,
                                       struct buf *why);

#endif
