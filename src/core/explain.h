/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a request would take: asked through the control role, answered by what the proxy knows of
 * routes and balancing. The two roles meet in this one function type; src/main.c joins them.
 */
#ifndef CORE_EXPLAIN_H
#define CORE_EXPLAIN_H

#include "conf/conf.h"
#include "stat/board.h"

#define EXPLAIN_MAX_HEADERS 32

struct explain_query {
	struct str url;      /* "http://shop.test/a?b", "shop.test/a" or "/a" */
	struct str method;   /* empty: GET */
	struct str client;   /* an address; empty: 127.0.0.1 */
	struct str listener; /* its name; empty: found by the URL's port, else the first */
	struct conf_match_header headers[EXPLAIN_MAX_HEADERS];
	uint32_t nheaders;
};

/*
 * Appends a JSON object:
 *   {"listener": {"name", "address", "why"},
 *    "route": {"name", "why", "candidates": ["shop: host differs", …]},
 *    "pool": {"name", "why"}, "servers": [{"id", "state", "why"}, …],
 *    "server": {"id", "address", "why"}, "answer": "503: no healthy server …" where none is taken}
 * with as many of its members as the request would come to. ERR_INVALID with {"error": "…"} for a
 * query that is none (a malformed URL, an unknown listener).
 */
typedef int explain_fn(const struct conf *c, struct board *b, const struct explain_query *q,
                       struct buf *json_out);

#endif
