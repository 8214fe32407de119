/* SPDX-License-Identifier: Apache-2.0 */
/* Error answers: status, reason for those trusted with it, request id for all; text, HTML, JSON or
 * the user's own page. */
#ifndef PROXY_ERROR_PAGE_H
#define PROXY_ERROR_PAGE_H

#include "conf/conf.h"

struct error_page {
	unsigned status;
	struct str reason; /* full reason; shown only when trusted */
	struct str request_id;
	bool trusted;
	bool head;  /* answer to HEAD: no body */
	bool close; /* Connection: close */
	bool http10;
	unsigned retry_after;              /* seconds, 0: no such field */
	struct str accept;                 /* the request's Accept, may be empty */
	const struct conf_error_page *own; /* the user's page; NULL: ours */
	uint64_t wall_ms;                  /* for Date */
	const char *fields;                /* more lines of the head; NULL: none */
};

/* Appends the whole response: head and body. */
void error_page_write(const struct error_page *e, struct buf *out);
/* The page for a status, the most specific list that has one: route, pool, listener, all. */
const struct conf_error_page *error_page_find(unsigned status, const struct conf *c,
                                              const struct conf_listener *l,
                                              const struct conf_route *r);

#endif
