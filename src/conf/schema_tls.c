/* SPDX-License-Identifier: Apache-2.0 */
/* The table, continued: TLS of listeners. */
#include "base/check.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/units.h"
#include "conf/value.h"
#include "tls/server.h"

static const char *const versions[] = { "1.2", "1.3", NULL };

/* --- certificates ----------------------------------------------------------------------------- */

static const struct row cert_rows[] = {
	{ "kind", &type_derived_count, OF(conf_cert, kind), .max = CERT_INTERNAL,
	  .flags = ROW_HIDDEN },
	{ "cert", &type_path, OF(conf_cert, cert), .redo = REDO_LISTENER, .flags = ROW_OPTIONAL,
	  .doc = "File with the certificate and those of the authorities between it and a root, "
	         "PEM, its own first. It is watched: a new one is taken without a reload." },
	{ "key", &type_path, OF(conf_cert, key), .redo = REDO_LISTENER, .flags = ROW_OPTIONAL,
	  .doc = "File with the private key, PEM; unless set it is in the certificate's." },
	{ "ocsp", &type_path, OF(conf_cert, ocsp), .redo = REDO_LISTENER, .flags = ROW_OPTIONAL,
	  .doc = "File with an OCSP answer to be stapled, DER; unless set the certificate's path "
	         "with .ocsp, where there is such a file." },
	{ "dir", &type_path, OF(conf_cert, dir), .redo = REDO_LISTENER, .flags = ROW_OPTIONAL,
	  .doc =
	      "Folder whose pairs are all served: NAME.pem, .crt or .cert with NAME.key, or both "
	      "in NAME.pem, and folders that hold fullchain.pem and privkey.pem. It is watched." },
	{ "acme", &type_text, OF(conf_cert, acme), .check = value_is_name, .redo = REDO_LISTENER,
	  .flags = ROW_OPTIONAL,
	  .doc = "Got from this issuer of the map \"acme\", and renewed, for the names in "
	         "\"hosts\"." },
	{ "internal", &type_internal, .redo = REDO_LISTENER,
	  .doc = "Signed by an authority of this node's own, for labs and demos: for the hosts of "
	         "the routes, the names of nodes and \"localhost\"." },
	{ "hosts", &type_list, OF(conf_cert, hosts), .check = value_is_host, .redo = REDO_LISTENER,
	  .flags = ROW_ONE | ROW_LOWER,
	  .doc = "Names: all of one certificate of \"acme\", further ones of \"internal\"." },
	END
};

static bool cert_read(struct load *l, const struct rows *rows, const struct node *n, void *object)
{
	if (n->kind != NODE_TEXT || !str_eq(n->text, STR("internal"))) {
		return false;
	}
	((struct conf_cert *)object)->kind = CERT_INTERNAL;
	return true;
}

/* What does not go with the kind of source that stands before it. */
static void cert_refuse(struct load *l, const struct node *n, const char *with,
                        const char *const *keys)
{
	for (; *keys; keys++) {
		const struct node *child = node_get(n, *keys);

		if (child) {
			problem_error(l->problems, child->key_at, "\"%s\" does not go with \"%s\"",
			              *keys, with);
		}
	}
}

static void cert_finish(struct load *l, const struct node *n, void *object)
{
	static const char *const kinds[] = { "cert", "dir", "acme", "internal" };
	static const char *const others[][3] = { { "hosts", NULL },
		                                 { "key", "ocsp", "hosts" },
		                                 { "key", "ocsp", NULL },
		                                 { "key", "ocsp", NULL } };
	struct conf_cert *c = object;
	const struct node *first = NULL;

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		const struct node *child = node_get(n, kinds[i]);
		const char *list[4] = { 0 };

		if (child && first) {
			problem_error(l->problems, child->key_at,
			              "an entry has one of \"cert\", \"dir\", \"acme\" and "
			              "\"internal\", and \"%.*s\" is here too: make two of it",
			              STR_ARG(first->key));
		} else if (child) {
			first = child;
			c->kind = i;
			memcpy(list, others[i], sizeof(others[i]));
			cert_refuse(l, n, kinds[i], list);
		}
	}
	if (!first) {
		problem_error(l->problems, n->key.s ? n->key_at : n->at,
		              "a certificate needs one of \"cert\", \"dir\", \"acme\" and "
		              "\"internal\"");
	} else if (c->kind == CERT_ACME && !node_get(n, "hosts")) {
		problem_error(l->problems, first->key_at,
		              "\"acme\" needs \"hosts\": the names that the certificate is for");
	}
}

const struct rows schema_cert = {
	"certificate",
	sizeof(struct conf_cert),
	cert_rows,
	cert_read,
	NULL,
	"{\"const\": \"internal\"}",
	"internal",
	cert_finish,
	.doc = "The first one is shown to clients that name no host, or one that no certificate is "
	       "for. Among those for a host an exact name wins over a wildcard; of RSA and ECDSA "
	       "the client's choice is served."
};

/* --- client certificates ---------------------------------------------------------------------- */

static const char *const modes[] = { "off", "request", "require", NULL };

static const struct row client_rows[] = {
	{ "mode", &type_choice, OF(conf_client_certs, mode), .def = "off", .choices = modes,
	  .redo = REDO_LISTENER,
	  .doc = "Whether clients are asked for a certificate, and served without one." },
	{ "ca", &type_path, OF(conf_client_certs, ca), .redo = REDO_LISTENER, .flags = ROW_OPTIONAL,
	  .doc = "File with the authorities that may have signed it, PEM." },
	{ "crl", &type_path, OF(conf_client_certs, crl), .redo = REDO_LISTENER,
	  .flags = ROW_OPTIONAL, .doc = "File with their lists of revoked certificates, PEM." },
	END
};

static bool client_read(struct load *l, const struct rows *rows, const struct node *n, void *object)
{
	const char *why = "";
	bool on = true;

	if (n->kind != NODE_TEXT || value_bool(n->text, &on, &why) != OK || on) {
		return false;
	}
	((struct conf_client_certs *)object)->mode = CLIENT_CERTS_OFF;
	return true;
}

static bool client_print(struct str key, const void *object, struct emit *o)
{
	bool off = ((const struct conf_client_certs *)object)->mode == CLIENT_CERTS_OFF;

	if (off) {
		emit_literal(o, key.s, "false");
	}
	return off;
}

static void client_finish(struct load *l, const struct node *n, void *object)
{
	const struct conf_client_certs *c = object;
	const struct node *mode = node_get(n, "mode");

	if (!mode) {
		problem_error(l->problems, n->key_at,
		              "\"client_certificates\" needs a \"mode\": request or require");
	} else if (c->mode != CLIENT_CERTS_OFF && !node_get(n, "ca")) {
		problem_error(l->problems, n->key_at,
		              "\"client_certificates\" needs a \"ca\": a certificate that nobody "
		              "known has signed proves nothing");
	}
}

static const struct rows client_certs = {
	"client certificates",          0,     client_rows,  client_read, client_print,
	"{\"enum\": [false, \"off\"]}", "off", client_finish
};

/* --- of a listener ---------------------------------------------------------------------------- */

static const char *host_name(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.s[i] >= 'A' && text.s[i] <= 'Z') {
			return "has capitals: it is compared in small letters";
		}
	}
	return value_is_host(text);
}

static const struct row tls_host_rows[] = {
	{ "name", &type_derived, OF(conf_tls_host, name), .flags = ROW_HIDDEN },
	{ "client_certificates", &type_group, OF(conf_tls_host, clients), .sub = &client_certs,
	  .doc = "What a client has to show for this host, instead of the listener's rule." },
	END
};

const struct rows schema_tls_host = {
	"host", sizeof(struct conf_tls_host), tls_host_rows, .is_name = host_name,
	.doc = "A name, or *.NAME for all names below it. A session that began under one rule for "
	       "client certificates is not resumed under another."
};

static const struct row hsts_rows[] = {
	{ "max_age", &type_duration, OF(conf_tls, hsts), .max = 3650 * DAY, .def = "off",
	  .zero = "off", .redo = REDO_LISTENER, .flags = ROW_WIDE,
	  .doc = "How long browsers shall come by https only." },
	{ "subdomains", &type_bool, OF(conf_tls, hsts_subdomains), .def = "false",
	  .redo = REDO_LISTENER, .doc = "Names below the host as well." },
	{ "preload", &type_bool, OF(conf_tls, hsts_preload), .def = "false", .redo = REDO_LISTENER,
	  .doc = "Agrees to be in the lists that browsers come with." },
	END
};

static bool hsts_print(struct str key, const void *object, struct emit *o)
{
	const struct conf_tls *t = object;
	struct row row = hsts_rows[0];

	if (t->hsts_subdomains || t->hsts_preload) {
		return false;
	}
	row.name = key.s;
	row.type->print(&row, object, o);
	return true;
}

static void hsts_finish(struct load *l, const struct node *n, void *object)
{
	const struct conf_tls *t = object;

	if (!node_get(n, "max_age")) {
		problem_error(l->problems, n->key_at, "\"hsts\" needs a \"max_age\"");
	} else if (t->hsts_preload && (!t->hsts_subdomains || t->hsts < 365 * DAY)) {
		problem_error(l->problems, node_get(n, "preload")->key_at,
		              "\"preload\" needs \"subdomains\" and a \"max_age\" of at least "
		              "365d, else no list takes the host");
	}
}

static const struct rows hsts = { "hsts",
	                          0,
	                          hsts_rows,
	                          schema_brief_first,
	                          hsts_print,
	                          "{\"$ref\": \"#/definitions/duration\"}, {\"enum\": [0, false, "
	                          "\"off\"]}, {\"$ref\": \"#/definitions/variable\"}",
	                          "a duration or off",
	                          hsts_finish };

static const struct row tls_rows[] = {
	{ "on", &type_derived_bool, OF(conf_tls, on), .flags = ROW_HIDDEN },
	{ "certificates", &type_items, OF(conf_tls, certs), WITH(conf_tls, ncerts), .max = 64,
	  .sub = &schema_cert, .redo = REDO_LISTENER, .flags = ROW_REQUIRED,
	  .doc = "Where certificates and their keys come from." },
	{ "min_version", &type_tls_version, OF(conf_tls, min_version), .def = "1.2",
	  .choices = versions, .redo = REDO_LISTENER, .doc = "Oldest version of TLS." },
	{ "max_version", &type_tls_version, OF(conf_tls, max_version), .def = "1.3",
	  .choices = versions, .redo = REDO_LISTENER, .doc = "Newest version of TLS." },
	{ "ciphers", &type_text, OF(conf_tls, ciphers), .def = TLS_DEFAULT_CIPHERS,
	  .redo = REDO_LISTENER, .doc = "Ciphers of TLS 1.2 as OpenSSL names them, best first." },
	{ "ciphersuites", &type_text, OF(conf_tls, suites), .def = TLS_DEFAULT_SUITES,
	  .redo = REDO_LISTENER, .doc = "Cipher suites of TLS 1.3, best first." },
	{ "groups", &type_text, OF(conf_tls, groups), .def = TLS_DEFAULT_GROUPS,
	  .redo = REDO_LISTENER, .doc = "Groups for the exchange of keys, best first." },
	{ "resumption", &type_bool, OF(conf_tls, resumption), .def = "true", .redo = REDO_LISTENER,
	  .doc = "Whether clients may resume a session by a ticket." },
	{ "ticket_keys", &type_path, OF(conf_tls, ticket_keys), .redo = REDO_LISTENER,
	  .flags = ROW_OPTIONAL,
	  .doc = "File with keys of tickets, 80 random bytes each, raw or a line of base64 each: "
	         "the first encrypts, all decrypt. Nodes that have the same resume each other's "
	         "sessions. It is watched. Unless set a node makes its own." },
	{ "ticket_rotation", &type_duration, OF(conf_tls, ticket_rotation), .min = 1 * S,
	  .max = 7 * DAY, .def = "12h", .redo = REDO_LISTENER, .flags = ROW_WIDE,
	  .doc =
	      "How often a node makes a new key of its own; the one before goes on decrypting." },
	{ "strict_sni", &type_bool, OF(conf_tls, strict_sni), .def = "false", .redo = REDO_LISTENER,
	  .doc = "Refuse clients that name no host, or one that no certificate is for." },
	{ "client_certificates", &type_group, OF(conf_tls, clients), .sub = &client_certs,
	  .doc = "What clients have to show." },
	{ "hosts", &type_map, OF(conf_tls, hosts), WITH(conf_tls, nhosts), .max = 1024,
	  .sub = &schema_tls_host, .redo = REDO_LISTENER, .flags = ROW_OPTIONAL,
	  .doc = "What differs for some hosts." },
	{ "hsts", &type_group, .sub = &hsts,
	  .doc = "Strict-Transport-Security (RFC 6797) in every response." },
	END
};

static bool tls_read(struct load *l, const struct rows *rows, const struct node *n, void *object)
{
	struct conf_tls *t = object;
	const char *why = "";
	struct conf_cert *c;
	bool on;

	if (n->kind != NODE_TEXT) {
		return false;
	}
	if (str_eq(n->text, STR("internal"))) {
		c = load_alloc(l, 1, sizeof(*c));
		if (c) {
			c->kind = CERT_INTERNAL;
			t->certs = c;
			t->ncerts = 1;
			t->on = true;
		}
		return true;
	}
	if (value_bool(n->text, &on, &why) != OK) {
		return false;
	}
	if (on) {
		problem_error(l->problems, n->at,
		              "\"tls\" needs \"certificates\", or is \"internal\" to have this "
		              "node make its own");
	}
	return true;
}

static bool tls_print(struct str key, const void *object, struct emit *o)
{
	bool on = ((const struct conf_tls *)object)->on;

	if (!on) {
		emit_literal(o, key.s, "false");
	}
	return !on;
}

static void tls_finish(struct load *l, const struct node *n, void *object)
{
	struct conf_tls *t = object;

	t->on = true;
	if (t->min_version > t->max_version) {
		problem_error(l->problems, node_get(n, "max_version")->key_at,
		              "\"max_version\" is below \"min_version\": nothing would be spoken");
	}
	if (node_get(n, "ticket_keys") && node_get(n, "ticket_rotation")) {
		problem_warning(l->problems, node_get(n, "ticket_rotation")->key_at,
		                "\"ticket_rotation\" has no effect: whoever writes the file of "
		                "\"ticket_keys\" rotates them");
	}
	if (node_get(n, "ticket_keys") && !t->resumption) {
		problem_warning(l->problems, node_get(n, "ticket_keys")->key_at,
		                "\"ticket_keys\" has no effect: resumption is off");
	}
	verify_tls_names(l, t, n);
}

const struct rows schema_tls = { "TLS",      0,         tls_rows,
	                         tls_read,   tls_print, "{\"enum\": [\"internal\", false]}",
	                         "internal", tls_finish };
