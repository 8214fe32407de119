/* SPDX-License-Identifier: Apache-2.0 */
/* The table, continued: timeouts, of listeners, routes and pools. */
#include "conf/schema.h"
#include "conf/units.h"

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

const struct rows schema_listener_timeouts = { "timeouts", 0, listener_timeout_rows };
const struct rows schema_timeouts = { "timeouts", 0, other_timeout_rows };
