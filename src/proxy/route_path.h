/* SPDX-License-Identifier: Apache-2.0 */
/* Paths and hosts as the route table compares them. Pure. */
#ifndef PROXY_ROUTE_PATH_H
#define PROXY_ROUTE_PATH_H

#include "base/str.h"

/*
 * The path that a request is matched by; what is forwarded stays as sent. Percent-encodings are
 * decoded once, runs of '/' count as one, and dot segments are removed (RFC 3986, 5.2.4; ".;x" and
 * "..;x" too, because some servers drop what follows the ';'), so that /public/../admin and
 * /public/%2e%2e/admin are taken by the route of /admin. What does not begin with '/' ("*") counts
 * as "/". Returns path itself where nothing had to change; else a copy in *room, which holds
 * ROUTE_PATH_ROOM bytes or, for longer paths, comes from malloc. ret.s is NULL when out of memory.
 * The caller calls route_path_free with the same room.
 */
#define ROUTE_PATH_ROOM 4096
struct route_path {
	char room[ROUTE_PATH_ROOM];
	char *big;
};
struct str route_path_clean(struct str path, struct route_path *room);
void route_path_free(struct route_path *room);

/* The host in lower case, without its port and a trailing dot. Longer than out: empty. */
#define ROUTE_HOST_ROOM 256
struct str route_host_clean(struct str host, char out[ROUTE_HOST_ROOM]);

/* Whether path (clean) lies below prefix, on a segment border: "/api" takes "/api" and "/api/x",
 * not "/apix"; "/api/" takes "/api/" and "/api/x". */
bool route_path_below(struct str path, struct str prefix);

#endif
