/* SPDX-License-Identifier: Apache-2.0 */
/* The table, continued: HTTP/2 of listeners. */
#include "conf/load.h"
#include "conf/units.h"

static const struct row http2_rows[] = {
	{ "enabled", &type_bool, OF(conf_http2, on), .def = "true", .redo = REDO_LISTENER,
	  .doc = "Whether it is spoken at all." },
	{ "max_streams", &type_count, OF(conf_http2, max_streams), .min = 1, .max = 10000,
	  .def = "128", .redo = REDO_LISTENER, .doc = "Requests of a connection at a time." },
	{ "window", &type_size, OF(conf_http2, window), .min = 64 * KIB - 1, .max = 16 * KIB * KIB,
	  .def = "64KiB", .redo = REDO_LISTENER,
	  .doc = "Bytes of a request's body that a client may send ahead." },
	{ "max_resets", &type_count, OF(conf_http2, max_resets), .min = 10, .max = 1000000,
	  .def = "200", .redo = REDO_LISTENER,
	  .doc =
	      "Requests that a client may give up within 10 s, before its connection is ended." },
	END
};

static bool http2_print(struct str key, const void *object, struct emit *o)
{
	bool on = ((const struct conf_http2 *)object)->on;

	if (!on) {
		emit_literal(o, key.s, "false");
	}
	return !on;
}

const struct rows schema_http2 = { "HTTP/2",           0,           http2_rows,
	                           schema_brief_first, http2_print, "{\"type\": \"boolean\"}",
	                           "true or false",    NULL };
