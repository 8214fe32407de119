/* SPDX-License-Identifier: Apache-2.0 */
/* The table, continued: listeners. */
#include "base/check.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/units.h"
#include "conf/value.h"

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
	{ "timeouts", &type_group, OF(conf_listener, timeouts), .sub = &schema_listener_timeouts,
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
