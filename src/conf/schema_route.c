/* SPDX-License-Identifier: Apache-2.0 */
/* The table, continued: routes. */
#include "conf/load.h"
#include "conf/units.h"
#include "conf/value.h"

static const struct row route_rows[] = {
	{ "name", &type_derived, OF(conf_route, name), .flags = ROW_HIDDEN },
	{ "file", &type_derived, OF(conf_route, file), .flags = ROW_HIDDEN },
	{ "host", &type_list, OF(conf_route, hosts), .check = value_is_host, .redo = REDO_ROUTES,
	  .flags = ROW_ONE | ROW_LOWER,
	  .doc = "Hosts it takes: a name, or *.NAME for all names below it; any when left out." },
	{ "path", &type_text, OF(conf_route, path), .def = "/", .check = value_is_url_path,
	  .redo = REDO_ROUTES,
	  .doc = "Path prefix it takes, on segment borders: /api takes /api and /api/x, not "
	         "/apix." },
	{ "method", &type_list, OF(conf_route, methods), .check = value_is_method,
	  .redo = REDO_ROUTES, .flags = ROW_ONE, .doc = "Methods it takes; any when left out." },
	{ "header", &type_headers, OF(conf_route, headers), WITH(conf_route, nheaders),
	  .redo = REDO_ROUTES,
	  .doc = "Header fields a request must have; with an empty value any will do." },
	{ "client", &type_networks, OF(conf_route, clients), WITH(conf_route, nclients),
	  .redo = REDO_ROUTES,
	  .doc = "Networks the client must be in, like 10.0.0.0/8; any when left out." },
	{ "listener", &type_list, OF(conf_route, listeners), .redo = REDO_ROUTES, .flags = ROW_ONE,
	  .doc = "Listeners it belongs to; all when left out." },
	{ "to", &type_text, OF(conf_route, to), .redo = REDO_ROUTES, .flags = ROW_REQUIRED,
	  .doc = "The pool that answers." },
	{ "retries", &type_retries, OF(conf_route, retries), .max = 10, .def = "inherit",
	  .redo = REDO_ROUTES, .flags = ROW_OPTIONAL,
	  .doc = "Further attempts; the pool's unless set." },
	{ "max_body", &type_size, OF(conf_route, max_body), .min = 1, .max = 64 * TIB,
	  .redo = REDO_ROUTES, .flags = ROW_WIDE | ROW_OPTIONAL,
	  .doc = "Largest body of a request; the listener's unless set." },
	{ "timeouts", &type_group, OF(conf_route, timeouts), .sub = &schema_timeouts,
	  .redo = REDO_ROUTES, .flags = ROW_OPTIONAL,
	  .doc = "Override the pool's and the listener's." },
	{ "error_pages", &type_pages, OF(conf_route, pages), WITH(conf_route, npages),
	  .redo = REDO_ROUTES, .doc = "Own error answers; before those of pool and listener." },
	END
};

static void route_finish(struct load *l, const struct node *n, void *object)
{
	struct conf_route *r = object;

	r->line = n->key_at.line;
	r->file = str_from(l->problems->files[n->key_at.file].path);
}

const struct rows schema_route = {
	"route", sizeof(struct conf_route), route_rows, .finish = route_finish,
	.doc = "Which requests go to which pool. The most specific route wins: an exact host, then "
	       "the longest wildcard; then the longest path; then the number of other conditions; "
	       "never the order in the file. Two routes that tie are an error."
};
