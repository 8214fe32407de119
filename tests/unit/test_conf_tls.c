/* SPDX-License-Identifier: Apache-2.0 */
/* TLS in the configuration: reading, rules, warnings, what is shown. */
#include "rows.h"

#include "base/clock.h"
#include "conf_text.h"

#define ON(x)    "listeners:\n  web: { bind: \"*:443\", " x " }\n" POOL ROUTE
#define TLS(x)   ON("tls: { certificates: [{ dir: /c }], " x " }")
#define CERTS(x) ON("tls: { certificates: [" x "] }")
#define TO(x) \
	LISTENER ROUTE "pools:\n  web: { check: { http: / }, servers: { a: 10.0.0.1:80, b: " \
	               "10.0.0.2:80 }, " x " }\n"

struct tls_case {
	const char *name;
	const char *text;
	uint32_t errors, warnings;
	const char *problem; /* part of the text; NULL: none */
};

static const struct tls_case cases[] = {
	{ "internal", ON("tls: internal"), 0, 0, NULL },
	{ "off", ON("tls: false"), 0, 0, NULL },
	{ "on", ON("tls: true"), 1, 0,
	  "f.yaml:2:30: error: \"tls\" needs \"certificates\", or is" },
	{ "word", ON("tls: yess"), 1, 0, "\"tls\" must be a map or internal" },
	{ "empty", ON("tls: {}"), 1, 0, "\"tls\" has no \"certificates\"" },
	{ "empty_list", CERTS(""), 1, 0, "f.yaml:2:46: error: \"certificates\" is an empty list" },
	{ "one_map", ON("tls: { certificates: { dir: /c } }"), 0, 0, NULL },
	{ "dir", CERTS("{ dir: /c }"), 0, 0, NULL },
	{ "cert", CERTS("{ cert: /a.pem }"), 0, 0, NULL },
	{ "word_internal", CERTS("internal"), 0, 0, NULL },
	{ "word_other", CERTS("internl"), 1, 0, "must be a list of maps or internal" },
	{ "nothing", CERTS("{}"), 1, 0,
	  "a certificate needs one of \"cert\", \"dir\", \"acme\" and \"internal\"" },
	{ "only_key", CERTS("{ key: /a.key }"), 1, 0, "a certificate needs one of" },
	{ "two_kinds", CERTS("{ cert: /a.pem, dir: /c }"), 1, 0,
	  "\"cert\" is here too: make two of it" },
	{ "dir_key", CERTS("{ dir: /c, key: /a.key }"), 1, 0, "\"key\" does not go with \"dir\"" },
	{ "cert_hosts", CERTS("{ cert: /c, hosts: [a.test] }"), 1, 0,
	  "\"hosts\" does not go with \"cert\"" },
	{ "internal_false", CERTS("{ internal: false }"), 1, 0, "\"false\" is not \"true\"" },
	{ "path_empty", CERTS("{ cert: \"\" }"), 1, 0, "\"cert\": this is not a path" },
	{ "unknown_key", CERTS("{ cret: /a }"), 2, 0, "did you mean \"cert\"?" },
	{ "issuer", CERTS("{ acme: le, hosts: [a.test] }"), 1, 0,
	  "f.yaml:2:55: error: there is no issuer \"le\"" },
	{ "acme_no_hosts", CERTS("{ acme: le }"), 2, 0, "\"acme\" needs \"hosts\"" },
	{ "host_bad", CERTS("{ internal: true, hosts: [\"a/b\"] }"), 1, 0, "is not a host name" },
	/* versions, names of OpenSSL */
	{ "versions", TLS("min_version: 1.2, max_version: 1.2"), 0, 0, NULL },
	{ "version_old", TLS("min_version: 1.1"), 1, 0, "is not one of 1.2, 1.3" },
	{ "versions_crossed", TLS("min_version: 1.3, max_version: 1.2"), 1, 0,
	  "\"max_version\" is below \"min_version\"" },
	{ "ciphers", TLS("ciphers: \"ECDHE-RSA-AES128-GCM-SHA256:!SHA1:@STRENGTH\""), 0, 0, NULL },
	{ "ciphers_one_unknown", TLS("ciphers: \"ECDHE-RSA-AES128-GCM-SHA256:AES129\""), 1, 0,
	  "\"ciphers\": OpenSSL knows no \"AES129\"" },
	{ "ciphers_none", TLS("ciphers: \"ECDHE-RSA-AES128-GCM-SHA256:!ALL\""), 1, 0,
	  "OpenSSL knows no" },
	{ "suites", TLS("ciphersuites: TLS_AES_129"), 1, 0,
	  "\"ciphersuites\": OpenSSL does not know all of these" },
	{ "groups", TLS("groups: \"X25519:P-255\""), 1, 0,
	  "\"groups\": OpenSSL does not know all of these" },
	/* tickets */
	{ "rotation", TLS("ticket_rotation: 500ms"), 1, 0, "is out of bounds: 1s to 7d" },
	{ "rotation_useless", TLS("ticket_keys: /k, ticket_rotation: 1h"), 0, 1, "has no effect" },
	{ "keys_useless", TLS("ticket_keys: /k, resumption: off"), 0, 1, "resumption is off" },
	/* client certificates */
	{ "clients_off", TLS("client_certificates: off"), 0, 0, NULL },
	{ "clients_on", TLS("client_certificates: on"), 1, 0, "must be a map or off" },
	{ "clients_no_mode", TLS("client_certificates: { ca: /ca }"), 1, 0, "needs a \"mode\"" },
	{ "clients_no_ca", TLS("client_certificates: { mode: require }"), 1, 0, "proves nothing" },
	{ "clients", TLS("client_certificates: { mode: require, ca: /ca }"), 0, 0, NULL },
	{ "host", TLS("hosts: { \"*.a.test\": { client_certificates: off } }"), 0, 0, NULL },
	{ "host_capitals", TLS("hosts: { A.test: { client_certificates: off } }"), 1, 0,
	  "the host name \"A.test\" has capitals" },
	{ "host_any", TLS("hosts: { \"*\": { client_certificates: off } }"), 1, 0,
	  "takes any host" },
	/* HSTS, redirect */
	{ "hsts_short", TLS("hsts: 365d"), 0, 0, NULL },
	{ "hsts_off", TLS("hsts: off"), 0, 0, NULL },
	{ "hsts_no_age", TLS("hsts: { subdomains: true }"), 1, 0, "\"hsts\" needs a \"max_age\"" },
	{ "hsts_preload", TLS("hsts: { max_age: 30d, subdomains: true, preload: true }"), 1, 0,
	  "a \"max_age\" of at least 365d" },
	{ "redirect", ON("redirect_https: true"), 0, 0, NULL },
	{ "redirect_port", ON("redirect_https: 8443"), 0, 0, NULL },
	{ "redirect_zero", ON("redirect_https: 0"), 1, 0, "is neither true, false nor a port" },
	{ "redirect_self", ON("redirect_https: true, tls: internal"), 1, 0,
	  "would redirect to itself" },
	/* HTTP/2 */
	{ "http2_off", ON("http2: off"), 0, 0, NULL },
	{ "http2_streams", ON("http2: { max_streams: 0 }"), 1, 0, "is out of bounds: 1 to 10000" },
	{ "http2_window", ON("http2: { window: 1KiB }"), 1, 0, "is out of bounds" },
	/* towards servers */
	{ "pool_on", TO("tls: true"), 0, 0, NULL },
	{ "pool_h2", TO("protocol: h2"), 0, 0, NULL },
	{ "pool_protocol", TO("protocol: h3"), 1, 0, "is not one of http, h2" },
	{ "pool_key", TO("tls: { key: /k }"), 1, 0, "\"key\" is of no use without \"cert\"" },
	{ "pool_unverified", TO("tls: { verify: false, ca: /ca }"), 0, 2,
	  "servers are not verified" },
	{ "pool_name", TO("tls: { server_name: \"a b\" }"), 1, 0, "is not a host name" },
};

static void test_case(void **state)
{
	const struct tls_case *c = *state;
	struct loaded t = load_text_n(c->text, strlen(c->text));

	if (t.problems.errors != c->errors || t.problems.warnings != c->warnings) {
		print_error("%s", buf_cstr(&t.problems.text));
	}
	assert_int_equal(t.problems.errors, c->errors);
	assert_int_equal(t.problems.warnings, c->warnings);
	if (c->problem) {
		assert_has(&t, c->problem);
	}
	unload(&t);
}

static void test_everything(void **state)
{
	struct loaded t = load_well(everything);
	const struct conf *c = conf_of(t.l);
	const struct conf_tls *lab = &c->listeners[3].tls, *s = &c->listeners[2].tls;
	const struct conf_pool_tls *p = &conf_pool_find(c, STR("web"))->tls;

	(void)state;
	assert_true(c->listeners[0].redirect_https);
	assert_int_equal(c->listeners[0].redirect_port, 8443);
	assert_false(c->listeners[0].http2.on || c->listeners[0].tls.on);
	assert_true(lab->on);
	assert_int_equal(lab->ncerts, 1);
	assert_int_equal(lab->certs[0].kind, CERT_INTERNAL);
	assert_true(s->on && s->resumption && s->strict_sni);
	assert_int_equal(s->ncerts, 3);
	assert_int_equal(s->certs[0].kind, CERT_FILES);
	assert_true(str_eq(s->certs[0].key, STR("/a.key")));
	assert_int_equal(s->certs[1].kind, CERT_DIR);
	assert_int_equal(s->certs[2].kind, CERT_INTERNAL);
	assert_true(str_eq(s->certs[2].hosts.v[0], STR("lab.test")));
	assert_int_equal(s->min_version, TLS_1_3);
	assert_int_equal(s->clients.mode, CLIENT_CERTS_REQUEST);
	assert_int_equal(s->nhosts, 2);
	assert_int_equal(s->hosts[0].clients.mode, CLIENT_CERTS_REQUIRE);
	assert_int_equal(s->hosts[1].clients.mode, CLIENT_CERTS_OFF);
	assert_int_equal(s->hsts, 730 * 24 * 3600 * NS_PER_S);
	assert_true(s->hsts_subdomains && s->hsts_preload);
	assert_int_equal(c->listeners[2].http2.max_streams, 64);
	assert_int_equal(c->listeners[2].timeouts.handshake, 5 * NS_PER_S);
	assert_true(p->on && p->verify && !p->resumption);
	assert_true(str_eq(p->server_name, STR("web.test")));
	assert_int_equal(conf_pool_find(c, STR("web"))->protocol, POOL_H2);
	unload(&t);
}

static void test_defaults(void **state)
{
	struct loaded t = load_well(ON("tls: internal"));
	const struct conf_tls *s = &conf_of(t.l)->listeners[0].tls;

	(void)state;
	assert_int_equal(s->min_version, TLS_1_2);
	assert_int_equal(s->max_version, TLS_1_3);
	assert_true(s->resumption && !s->strict_sni);
	assert_int_equal(s->ticket_rotation, 12 * 3600 * NS_PER_S);
	assert_int_equal(s->hsts, 0);
	assert_true(str_starts(s->ciphers, STR("ECDHE-ECDSA-AES128-GCM-SHA256:")));
	assert_true(conf_of(t.l)->listeners[0].http2.on);
	assert_int_equal(conf_of(t.l)->listeners[0].http2.max_streams, 128);
	assert_int_equal(conf_of(t.l)->listeners[0].timeouts.handshake, 10 * NS_PER_S);
	unload(&t);
}

static void test_shown(void **state)
{
	struct loaded t = load_well(everything);
	struct buf out = BUF_INIT;

	(void)state;
	conf_show(conf_of(t.l), false, &out);
	assert_non_null(
	    strstr(buf_cstr(&out),
	           "certificates: [{ cert: /a.pem, key: /a.key, ocsp: /a.ocsp }, { dir: "
	           "/certs }, { internal: true, hosts: [lab.test, \"*.lab.test\"] }]\n"));
	assert_non_null(strstr(buf_cstr(&out), "      min_version: 1.3\n"));
	assert_non_null(strstr(buf_cstr(&out), "    redirect_https: 8443\n"));
	buf_free(&out);
	unload(&t);
}

static void test_diff(void **state)
{
	struct loaded a = load_well(CERTS("{ dir: /c }")), b = load_well(CERTS("{ dir: /d }"));
	struct loaded off = load_well(ON("tls: false"));
	struct buf out = BUF_INIT;

	(void)state;
	assert_int_equal(conf_diff(conf_of(a.l), conf_of(b.l), false, &out), 1);
	assert_string_equal(buf_cstr(&out),
	                    "listeners.web.tls.certificates: [{ dir: /c }] -> [{ dir: /d }] (the "
	                    "next request sees it; open connections stay)\n");
	out.len = 0;
	assert_int_equal(conf_diff(conf_of(off.l), conf_of(a.l), false, &out), 1);
	assert_non_null(strstr(buf_cstr(&out), "listeners.web.tls: false -> {"));
	buf_free(&out);
	unload(&a);
	unload(&b);
	unload(&off);
}

int main(void)
{
	static struct rows r;

	ROWS_ADD_TABLE(&r, cases, test_case);
	rows_add(&r, "everything", test_everything, NULL);
	rows_add(&r, "defaults", test_defaults, NULL);
	rows_add(&r, "shown", test_shown, NULL);
	rows_add(&r, "diff", test_diff, NULL);
	return rows_run(&r, "conf_tls");
}
