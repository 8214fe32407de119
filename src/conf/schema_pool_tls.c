/* SPDX-License-Identifier: Apache-2.0 */
/* The table, continued: TLS towards servers. */
#include "conf/load.h"
#include "conf/value.h"

static const char *const versions[] = { "1.2", "1.3", NULL };

const struct row schema_pool_tls_rows[] = {
	{ "on", &type_derived_bool, OF(conf_pool_tls, on), .flags = ROW_HIDDEN },
	{ "verify", &type_bool, OF(conf_pool_tls, verify), .def = "true", .redo = REDO_SERVER,
	  .doc = "Whether a server must prove who it is. Without it anybody on the way can read "
	         "and change everything." },
	{ "ca", &type_path, OF(conf_pool_tls, ca), .redo = REDO_SERVER, .flags = ROW_OPTIONAL,
	  .doc = "File with the authorities that may have signed servers' certificates, PEM; the "
	         "system's unless set." },
	{ "server_name", &type_text, OF(conf_pool_tls, server_name), .check = value_is_host,
	  .redo = REDO_SERVER, .flags = ROW_OPTIONAL | ROW_LOWER,
	  .doc = "Name asked for (SNI), for which the certificate must be; unless set the host in "
	         "the server's address, or the request's where that is an IP address." },
	{ "cert", &type_path, OF(conf_pool_tls, cert), .redo = REDO_SERVER, .flags = ROW_OPTIONAL,
	  .doc = "File with the certificate shown to servers, PEM." },
	{ "key", &type_path, OF(conf_pool_tls, key), .redo = REDO_SERVER, .flags = ROW_OPTIONAL,
	  .doc = "File with its private key, PEM; unless set it is in the certificate's." },
	{ "min_version", &type_tls_version, OF(conf_pool_tls, min_version), .def = "1.2",
	  .choices = versions, .redo = REDO_SERVER, .doc = "Oldest version of TLS." },
	{ "resumption", &type_bool, OF(conf_pool_tls, resumption), .def = "true",
	  .redo = REDO_SERVER,
	  .doc = "Whether sessions are resumed, which saves both sides work." },
	END
};

static bool pool_tls_read(struct load *l, const struct rows *rows, const struct node *n,
                          void *object)
{
	struct row on = { "tls", &type_bool, OF(conf_pool_tls, on) };

	if (n->kind != NODE_TEXT) {
		return false;
	}
	on.type->read(l, &on, n, object);
	return true;
}

static bool pool_tls_print(struct str key, const void *object, struct emit *o)
{
	bool on = ((const struct conf_pool_tls *)object)->on;

	if (!on) {
		emit_literal(o, key.s, "false");
	}
	return !on;
}

void schema_pool_tls_finish(struct load *l, const struct node *n, void *object)
{
	struct conf_pool_tls *t = object;

	t->on = true;
	if (node_get(n, "key") && !node_get(n, "cert")) {
		problem_error(l->problems, node_get(n, "key")->key_at,
		              "\"key\" is of no use without \"cert\"");
	}
	if (!t->verify && node_get(n, "ca")) {
		problem_warning(l->problems, node_get(n, "ca")->key_at,
		                "\"ca\" has no effect: \"verify\" is off");
	}
	if (!t->verify) {
		problem_warning(l->problems, node_get(n, "verify")->key_at,
		                "servers are not verified: anybody on the way can read and change "
		                "everything");
	}
}

const struct rows schema_pool_tls = { "TLS",
	                              0,
	                              schema_pool_tls_rows,
	                              pool_tls_read,
	                              pool_tls_print,
	                              "{\"type\": \"boolean\"}",
	                              "true or false",
	                              schema_pool_tls_finish };
