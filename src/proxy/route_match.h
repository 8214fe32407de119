/* SPDX-License-Identifier: Apache-2.0 */
/* One route against one request: what route_find and route_explain have in common. Pure. */
#ifndef PROXY_ROUTE_MATCH_H
#define PROXY_ROUTE_MATCH_H

#include "proxy/route.h"

/* How many conditions a route has beside host and path: methods, each header, clients, listeners.
 */
unsigned route_conditions(const struct conf_route *r);

/* Whether these conditions hold. why (may be NULL) gets the first that does not, for the user. */
bool route_takes(const struct conf *c, const struct conf_route *r, const struct route_query *q,
                 struct buf *why);

/* How well one of a route's hosts fits a clean host: 0 not at all, 1 any host, n + 1 for a wildcard
 * whose suffix has n bytes, UINT32_MAX exactly. */
uint32_t route_host_rank(const struct conf_route *r, struct str host);

/* Writes one line for each route of the request's host: the one found, then those that would follow
 * it, then those that do not take the request; at most ROUTE_WHY_LINES and the number left out. */
#define ROUTE_WHY_LINES 100
void route_say_why(const struct conf *c, const struct route_query *q,
                   const struct conf_route *found, struct buf *why);

/* "*.shop.test" is a wildcard of ".shop.test": it takes a.shop.test and a.b.shop.test, not
 * shop.test. "*" is any host. */
static inline bool route_host_is_wildcard(struct str host)
{
	return host.len >= 2 && host.s[0] == '*' && host.s[1] == '.';
}

static inline bool route_host_is_any(struct str host)
{
	return host.len == 0 || (host.len == 1 && host.s[0] == '*');
}

#endif
