/* SPDX-License-Identifier: Apache-2.0 */
/* The table: every option of the configuration file, once. */
#include "conf/schema.h"

#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/value.h"

#define MS   NS_PER_MS
#define S    NS_PER_S
#define HOUR (3600 * NS_PER_S)
#define DAY  (24 * HOUR)
#define KIB  1024ULL
#define TIB  (KIB * KIB * KIB * KIB)

const char *redo_text(enum redo redo)
{
	static const char *const text[] = {
#define REDO_TEXT(name, words) words,
		REDO_ROWS(REDO_TEXT)
#undef REDO_TEXT
	};

	CHECK((size_t)redo < ARRAY_LEN(text));
	return text[redo];
}

/* --- timeouts --------------------------------------------------------------------------------- */

/* One row a timeout; `listener` has defaults, routes and pools override what they set. */
#define TIMEOUT_ROWS(X) \
	X(connect, "3s", 1 * MS, "for a connection to a server") \
	X(request_header, "10s", 1 * MS, "for a request's head to be complete; else 408") \
	X(request_body, "30s", 1 * MS, "between two parts of a request's body; else 408") \
	X(response, "60s", 1 * MS, \
	  "for a response's head, and between two parts of its body; else 504") \
	X(handshake, "10s", 1 * MS, "for the handshake of TLS, and for a PROXY header before it") \
	X(tunnel, "1h", 1 * MS, \
	  "without a byte either way on an upgraded (WebSocket) or TCP connection") \
	X(half_close, "30s", 1 * MS, \
	  "without a byte on a tunnel or TCP connection of which one side has ended its " \
	  "direction") \
	X(session, "30s", 1 * MS, "without a datagram either way after which a UDP session ends") \
	X(keep_alive, "60s", 1 * MS, "that an idle connection is kept open for its next request")

#define TIMEOUT_DEFAULT(key, value, least, text) \
	{ #key, \
	  &type_duration, \
	  OF(conf_timeouts, key), \
	  .min = (least), \
	  .max = 30 * DAY, \
	  .def = (value), \
	  .redo = REDO_LISTENER, \
	  .flags = ROW_WIDE, \
	  .doc = "Time " text "." },
#define TIMEOUT_OVERRIDE(key, value, least, text) \
	{ #key, \
	  &type_duration, \
	  OF(conf_timeouts, key), \
	  .min = (least), \
	  .max = 30 * DAY, \
	  .redo = REDO_POOL, \
	  .flags = ROW_WIDE | ROW_OPTIONAL, \
	  .doc = "Time " text "." },

static const struct row listener_timeout_rows[] = { TIMEOUT_ROWS(TIMEOUT_DEFAULT) END };
static const struct row other_timeout_rows[] = { TIMEOUT_ROWS(TIMEOUT_OVERRIDE) END };

static const struct rows listener_timeouts = { "timeouts", 0, listener_timeout_rows };
static const struct rows other_timeouts = { "timeouts", 0, other_timeout_rows };

/* --- listeners -------------------------------------------------------------------------------- */

static const char *const log_formats[] = { "json", "combined", NULL };
static const char *const protocols[] = { "http", "tcp", "udp", NULL };

static const struct row access_log_rows[] = {
	{ "on", &type_derived_bool, OF(conf_access_log, on), .flags = ROW_HIDDEN },
	{ "path", &type_text, OF(conf_access_log, path), .def = "stderr",
	  .check = value_is_log_path, .redo = REDO_LOG,
	  .doc = "Where to write: stderr, or a file, which SIGUSR1 opens anew." },
	{ "format", &type_choice, OF(conf_access_log, format), .def = "json",
	  .choices = log_formats, .redo = REDO_LOG,
	  .doc = "JSON lines, or the combined format of common web servers." },
	{ "sample", &type_share, OF(conf_access_log, sample), .def = "1", .redo = REDO_LOG,
	  .doc = "Share of the requests written, 0 to 1; those answered with 5xx always are." },
	END
};

static bool access_log_read(struct load *l, const struct rows *rows, const struct node *n,
                            void *object)
{
	struct conf_access_log *a = object;
	const char *why = "";
	struct str text;

	if (n->kind != NODE_TEXT) {
		return false;
	}
	if (!load_text(l, &rows->v[1], n, &text) || value_bool(text, &a->on, &why) == OK) {
		return true;
	}
	why = value_is_log_path(text);
	if (why) {
		problem_error(l->problems, n->at,
		              "\"access_log\": \"%.*s\" is neither true, false, \"stderr\" nor an "
		              "absolute path",
		              (int)MIN(text.len, 80), text.s);
		return true;
	}
	a->on = true;
	a->path = text;
	return true;
}

static bool access_log_print(struct str key, const void *object, struct emit *o)
{
	const struct conf_access_log *a = object;

	if (!a->on) {
		emit_literal(o, key.s, "false");
	}
	return !a->on;
}

static void access_log_finish(struct load *l, const struct node *n, void *object)
{
	((struct conf_access_log *)object)->on = true;
}

const struct rows schema_access_log = { "access log",
	                                0,
	                                access_log_rows,
	                                access_log_read,
	                                access_log_print,
	                                "{\"type\": [\"boolean\", \"string\"]}",
	                                "true (to stderr), false, or a path",
	                                access_log_finish };

static const struct row listener_rows[] = {
	{ "name", &type_derived, OF(conf_listener, name), .flags = ROW_HIDDEN },
	{ "bind", &type_binds, OF(conf_listener, bind), WITH(conf_listener, nbind),
	  .redo = REDO_BIND, .flags = ROW_REQUIRED,
	  .doc = "Addresses to listen on: ADDRESS:PORT, [IPV6]:PORT, *:PORT for all of IPv4 and "
	         "IPv6, or unix:PATH." },
	{ "protocol", &type_choice, OF(conf_listener, protocol), .def = "http",
	  .choices = protocols, .redo = REDO_BIND,
	  .doc =
	      "What is spoken there: http, whose requests are routed; tcp, connections, and udp, "
	      "datagrams, that are passed on as they are." },
	{ "tcp", &type_group, .sub = &schema_listener_tcp, .flags = ROW_INLINE },
	{ "mode", &type_mode, OF(conf_listener, mode), .max = 0777, .def = "0666",
	  .redo = REDO_BIND, .doc = "File mode of unix sockets." },
	{ "max_connections", &type_count, OF(conf_listener, max_connections), .min = 1,
	  .max = 4000000, .def = "auto", .zero = "auto", .redo = REDO_LISTENER,
	  .doc = "Client connections at a time; auto: as many as the process takes." },
	{ "max_line", &type_size, OF(conf_listener, max_line), .min = 64, .max = 64 * KIB,
	  .def = "8KiB", .redo = REDO_LISTENER,
	  .doc = "Longest request line; above it the answer is 414." },
	{ "max_header_size", &type_size, OF(conf_listener, max_header_size), .min = 256,
	  .max = 64 * KIB, .def = "32KiB", .redo = REDO_LISTENER,
	  .doc = "Largest head of a request; above it the answer is 431." },
	{ "max_headers", &type_count, OF(conf_listener, max_headers), .min = 1,
	  .max = HTTP_MAX_FIELDS, .def = "100", .redo = REDO_LISTENER,
	  .doc = "Most header fields of a request; above it the answer is 431." },
	{ "max_body", &type_size, OF(conf_listener, max_body), .min = 1, .max = 64 * TIB,
	  .def = "unlimited", .zero = "unlimited", .redo = REDO_LISTENER, .flags = ROW_WIDE,
	  .doc = "Largest body of a request; above it the answer is 413." },
	{ "timeouts", &type_group, OF(conf_listener, timeouts), .sub = &listener_timeouts,
	  .doc = "How long to wait for what." },
	{ "access_log", &type_group, OF(conf_listener, access_log), .sub = &schema_access_log,
	  .doc = "A line for each request; off unless asked for." },
	{ "error_pages", &type_pages, OF(conf_listener, pages), WITH(conf_listener, npages),
	  .redo = REDO_LISTENER,
	  .doc = "Own error answers: a file for each status, of at most 64 KiB." },
	{ "tls", &type_group, OF(conf_listener, tls), .sub = &schema_tls,
	  .doc = "TLS towards clients." },
	{ "redirect_https", &type_redirect, OF(conf_listener, redirect_https), .def = "false",
	  .redo = REDO_LISTENER,
	  .doc = "Answers every request with a redirect to https, on that port." },
	{ "http2", &type_group, OF(conf_listener, http2), .sub = &schema_http2,
	  .doc = "HTTP/2, by ALPN over TLS and with prior knowledge in clear text." },
	END
};

const struct rows schema_listener = { "listener", sizeof(struct conf_listener), listener_rows,
	                              .doc = "Where clients connect." };

/* --- routes ----------------------------------------------------------------------------------- */

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
	{ "timeouts", &type_group, OF(conf_route, timeouts), .sub = &other_timeouts,
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

/* --- pools ------------------------------------------------------------------------------------ */

static const char *const balances[] = { "round_robin", "least_conn",  "random_two",
	                                "source_hash", "header_hash", NULL };

static const struct row passive_rows[] = {
	{ "failures", &type_count, OF(conf_passive, failures), .min = 1, .max = 1000, .def = "5",
	  .redo = REDO_CHECK, .doc = "Failed requests in a row that eject a server." },
	{ "eject", &type_duration, OF(conf_passive, eject), .min = 10 * MS, .max = HOUR,
	  .def = "10s", .redo = REDO_CHECK, .flags = ROW_WIDE,
	  .doc = "Time out of service, at least; grows when it happens again." },
	{ "max_ejected", &type_percent, OF(conf_passive, max_ejected), .max = 100, .def = "50%",
	  .redo = REDO_CHECK, .doc = "Most of a pool's servers that may be ejected at a time." },
	{ "enabled", &type_bool, OF(conf_passive, on), .def = "true", .redo = REDO_CHECK,
	  .doc = "Whether live traffic counts as a check at all." },
	END
};

static bool passive_read(struct load *l, const struct rows *rows, const struct node *n,
                         void *object)
{
	const struct row *on = &rows->v[ARRAY_LEN(passive_rows) - 2];

	if (n->kind != NODE_TEXT) {
		return false;
	}
	on->type->read(l, on, n, object);
	return true;
}

static bool passive_print(struct str key, const void *object, struct emit *o)
{
	bool on = ((const struct conf_passive *)object)->on;

	if (!on) {
		emit_literal(o, key.s, "false");
	}
	return !on;
}

const struct rows schema_passive = { "passive check", 0,
	                             passive_rows,    passive_read,
	                             passive_print,   "{\"type\": \"boolean\"}",
	                             "true or false", NULL };

static const struct row server_rows[] = {
	{ "name", &type_derived, OF(conf_server, name), .flags = ROW_HIDDEN },
	{ "id", &type_derived, OF(conf_server, id), .flags = ROW_HIDDEN },
	{ "address", &type_server_address, OF(conf_server, address),
	  WITH(conf_server, address_text), .redo = REDO_SERVER, .flags = ROW_REQUIRED,
	  .doc = "ADDRESS:PORT, [IPV6]:PORT, NAME:PORT (resolved at load) or unix:PATH." },
	{ "weight", &type_count, OF(conf_server, weight), .max = 256, .def = "1", .redo = REDO_POOL,
	  .doc = "Its share of the requests; 0: none." },
	{ "backup", &type_bool, OF(conf_server, backup), .def = "false", .redo = REDO_POOL,
	  .doc = "Takes requests only when no other server can." },
	{ "max_connections", &type_count, OF(conf_server, max_connections), .min = 1,
	  .max = 1000000, .redo = REDO_POOL, .flags = ROW_OPTIONAL,
	  .doc = "Requests on it at a time; the pool's unless set." },
	END
};

static bool server_read(struct load *l, const struct rows *rows, const struct node *n, void *object)
{
	const struct row *address = &rows->v[2];

	if (n->kind != NODE_TEXT) {
		return false;
	}
	address->type->read(l, address, n, object);
	return true;
}

static bool server_print(struct str key, const void *object, struct emit *o)
{
	const struct conf_server *s = object;

	if (s->weight != 1 || s->backup || s->max_connections) {
		return false;
	}
	emit_text_named(o, key, s->address_text);
	return true;
}

const struct rows schema_server = { "server",     sizeof(struct conf_server),
	                            server_rows,  server_read,
	                            server_print, "{\"$ref\": \"#/definitions/address\"}",
	                            "an address", NULL };

static const char *const pool_protocols[] = { "http", "h2", NULL };

static const struct row pool_rows[] = {
	{ "name", &type_derived, OF(conf_pool, name), .flags = ROW_HIDDEN },
	{ "balance", &type_choice, OF(conf_pool, balance), .def = "round_robin",
	  .choices = balances, .redo = REDO_POOL,
	  .doc = "How a server is chosen; source_hash and header_hash keep a client on one." },
	{ "hash_header", &type_text, OF(conf_pool, hash_header), .check = value_is_field_name,
	  .redo = REDO_POOL, .flags = ROW_OPTIONAL, .doc = "The header field of header_hash." },
	{ "check", &type_group, OF(conf_pool, check), .sub = &schema_check,
	  .doc = "How servers are probed. Without it a server counts as healthy." },
	{ "passive", &type_group, OF(conf_pool, passive), .sub = &schema_passive,
	  .doc = "How live traffic takes servers out." },
	{ "panic_threshold", &type_percent, OF(conf_pool, panic_threshold), .max = 100,
	  .def = "30%", .redo = REDO_POOL,
	  .doc = "When less than this share of the servers is healthy, all are used; 0%: never." },
	{ "slow_start", &type_duration, OF(conf_pool, slow_start), .min = 10 * MS, .max = HOUR,
	  .def = "none", .zero = "none", .redo = REDO_CHECK, .flags = ROW_WIDE,
	  .doc = "Time in which a server that came back gets its full share." },
	{ "retries", &type_count, OF(conf_pool, retries), .max = 10, .def = "2", .redo = REDO_POOL,
	  .doc = "Further attempts on other servers, where the request may be repeated." },
	{ "retry_budget", &type_percent, OF(conf_pool, retry_budget), .max = 100, .def = "20%",
	  .redo = REDO_POOL,
	  .doc = "Most retries in relation to requests, so that they never storm." },
	{ "max_connections", &type_count, OF(conf_pool, max_connections), .min = 1, .max = 1000000,
	  .def = "unlimited", .zero = "unlimited", .redo = REDO_POOL,
	  .doc = "Requests on each server at a time; further ones wait in its queue." },
	{ "queue_timeout", &type_duration, OF(conf_pool, queue_timeout), .min = 1 * MS, .max = HOUR,
	  .def = "5s", .redo = REDO_POOL, .flags = ROW_WIDE,
	  .doc = "Time in the queue after which a request is answered with 503." },
	{ "queue_length", &type_count, OF(conf_pool, queue_length), .max = 1000000, .def = "1024",
	  .redo = REDO_POOL, .doc = "Requests that may wait for each server." },
	{ "idle_connections", &type_count, OF(conf_pool, idle_connections), .max = 100000,
	  .def = "1024", .redo = REDO_POOL,
	  .doc = "Connections kept open to each server, for each thread." },
	{ "protocol", &type_choice, OF(conf_pool, protocol), .def = "http",
	  .choices = pool_protocols, .redo = REDO_SERVER,
	  .doc = "What is spoken to the servers: HTTP/1.1, or HTTP/2 (h2), which gRPC needs: by "
	         "prior knowledge in clear text, by ALPN over TLS." },
	{ "tls", &type_group, OF(conf_pool, tls), .sub = &schema_pool_tls,
	  .doc = "TLS towards the servers." },
	{ "send_proxy", &type_choice, OF(conf_pool, send_proxy), .def = "off",
	  .choices = schema_send_proxy, .redo = REDO_POOL,
	  .doc =
	      "Begins each connection with a PROXY header, version 1 or 2, that tells the server "
	      "the client's address; such connections are not shared by clients." },
	{ "timeouts", &type_group, OF(conf_pool, timeouts), .sub = &other_timeouts,
	  .flags = ROW_OPTIONAL, .doc = "Override the listener's." },
	{ "error_pages", &type_pages, OF(conf_pool, pages), WITH(conf_pool, npages),
	  .redo = REDO_POOL, .doc = "Own error answers; before the listener's." },
	{ "servers", &type_map, OF(conf_pool, servers), WITH(conf_pool, nservers),
	  .max = CONF_MAX_SERVERS, .sub = &schema_server, .redo = REDO_POOL, .flags = ROW_REQUIRED,
	  .doc = "Who answers." },
	END
};

/* What does not go with servers that speak HTTP/2. */
static void verify_h2(struct load *l, const struct conf_pool *p, const struct node *n)
{
	const struct node *check = node_get(n, "check");

	if (p->protocol == POOL_H2 && p->check.probe == PROBE_HTTP && check) {
		problem_warning(l->problems, check->key_at,
		                "an http check speaks HTTP/1.1, which a server that speaks only "
		                "HTTP/2 refuses: a tcp or grpc check suits both");
	}
}

static void pool_finish(struct load *l, const struct node *n, void *object)
{
	struct conf_pool *p = object;
	const struct node *balance = node_get(n, "balance"), *header = node_get(n, "hash_header");

	if (p->balance == BALANCE_HEADER_HASH && !header) {
		problem_error(l->problems, balance->at,
		              "balance by header_hash needs a \"hash_header\"");
	} else if (p->balance != BALANCE_HEADER_HASH && header) {
		problem_warning(l->problems, header->key_at,
		                "\"hash_header\" has no effect: balance is %s",
		                balances[p->balance]);
	}
	verify_h2(l, p, n);
	for (uint32_t i = 0; i < p->nservers; i++) {
		struct conf_server *s = (struct conf_server *)&p->servers[i];
		char *id = load_alloc(l, p->name.len + s->name.len + 2, 1);

		if (!id) {
			return;
		}
		memcpy(id, p->name.s, p->name.len);
		id[p->name.len] = '/';
		memcpy(id + p->name.len + 1, s->name.s, s->name.len);
		s->id = str_n(id, p->name.len + s->name.len + 1);
	}
	l->nservers += p->nservers;
}

const struct rows schema_pool = { "pool", sizeof(struct conf_pool), pool_rows,
	                          .finish = pool_finish,
	                          .doc = "Servers that answer the same requests." };
