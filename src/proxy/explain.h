/* SPDX-License-Identifier: Apache-2.0 */
/* What a request would take and why, by the same parser, routes, states and balancing as the
 * proxy's. Runs in the control role; nothing is sent. */
#ifndef PROXY_EXPLAIN_H
#define PROXY_EXPLAIN_H

#include "core/explain.h"

/* As explain_fn says; OK, ERR_INVALID, ERR_NOMEM. */
int proxy_explain(const struct conf *c, struct board *b, const struct explain_query *q,
                  struct buf *json_out);

/* The members "pool", "servers" and "server" or "answer" of the explanation. */
int explain_pool(const struct conf_pool *pool, struct board *b, const struct http_head *h,
                 const struct net_addr *client, struct buf *out);

#endif
