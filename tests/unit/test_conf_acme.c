/* SPDX-License-Identifier: Apache-2.0 */
/* The map `acme`: reading, rules, warnings, what is shown of secrets. */
#include "rows.h"

#include "base/clock.h"
#include "conf_text.h"

#define ISSUER(x) "acme: { le: { agree: true, " x " } }\n"
#define USES(hosts) \
	"listeners:\n  http: { bind: \"*:80\" }\n  https: { bind: \"*:443\", tls: { " \
	"certificates: [ " \
	"{ acme: le, hosts: [" hosts "] } ] } }\n" POOL ROUTE
#define DNS(x)  ISSUER("challenge: dns-01, dns: { " x " }") USES("\"*.shop.test\"")
#define CF      "cloudflare: { token: t0ken }"
#define RFC2136 "rfc2136: { server: \"10.0.0.53:53\", key_name: \"K.\", key: \"c2VjcmV0\" }"

struct acme_case {
	const char *name;
	const char *text;
	uint32_t errors, warnings;
	const char *problem;
};

static const struct acme_case cases[] = {
	{ "well", ISSUER("") USES("shop.test, www.shop.test"), 0, 0, NULL },
	{ "no_agreement", "acme: { le: { email: a@b.test } }\n" USES("shop.test"), 1, 0,
	  "read the terms of service" },
	{ "unused", ISSUER("") MINIMAL, 0, 1, "issuer \"le\" is not used" },
	{ "reserved_name", "acme: { challenges: { agree: true } }\n" MINIMAL, 1, 0,
	  "no issuer can be called \"challenges\"" },
	{ "directory_in_clear", ISSUER("directory: \"http://ca.test/dir\"") USES("shop.test"), 1, 0,
	  "is not https" },
	{ "directory_here", ISSUER("directory: \"http://127.0.0.1:14000/dir\"") USES("shop.test"),
	  0, 0, NULL },
	{ "directory_trick", ISSUER("directory: \"http://127.0.0.1.evil.test/\"") USES("shop.test"),
	  1, 0, "is not https" },
	{ "relative_ca", ISSUER("ca: ca.pem") USES("shop.test"), 1, 0, "is not an absolute path" },
	{ "email", ISSUER("email: nobody") USES("shop.test"), 1, 0, "is not an address like" },
	{ "eab", ISSUER("eab: { kid: k, key: \"AAAA-_\" }") USES("shop.test"), 0, 0, NULL },
	{ "eab_half", ISSUER("eab: { kid: k }") USES("shop.test"), 1, 0, "has no \"key\"" },
	{ "eab_key", ISSUER("eab: { kid: k, key: \"A A\" }") USES("shop.test"), 1, 0,
	  "is not base64url" },
	{ "wildcard", ISSUER("") USES("\"*.shop.test\""), 1, 0, "which only dns-01 can prove" },
	{ "address", ISSUER("") USES("10.0.0.1"), 1, 0, "10.0.0.1" },
	{ "dns_missing", ISSUER("challenge: dns-01") USES("shop.test"), 1, 0,
	  "dns-01 needs \"dns\"" },
	{ "dns_empty", DNS("wait: 1s"), 1, 0, "says nothing about how records are set" },
	{ "dns_two", DNS(CF ", " RFC2136), 1, 0, "records are set by one of them" },
	{ "dns_unused", ISSUER("dns: { " CF " }") USES("shop.test"), 0, 1,
	  "\"dns\" has no effect" },
	{ "cloudflare", DNS(CF), 0, 0, NULL },
	{ "cloudflare_token", DNS("cloudflare: { token: \"a b\" }"), 1, 0, "printable ASCII" },
	{ "rfc2136", DNS(RFC2136), 0, 0, NULL },
	{ "rfc2136_no_key", DNS("rfc2136: { server: \"10.0.0.53:53\", key_name: k }"), 1, 0,
	  "has no \"key\"" },
	{ "rfc2136_no_port", DNS("rfc2136: { server: \"10.0.0.53\", key_name: k, key: AAAA }"), 1,
	  0, "the port is missing" },
	{ "rfc2136_algorithm",
	  DNS("rfc2136: { server: \"10.0.0.53:53\", key_name: k, key: AAAA, algorithm: hmac-md5 }"),
	  1, 0, "hmac-sha256" },
	{ "exec_relative", DNS("exec: [hook]"), 1, 0, "is not an absolute path" },
	{ "user_alone", DNS(CF ", user: nobody"), 0, 1, "\"user\" has no effect" },
	{ "lists_that_meet",
	  ISSUER("") "listeners:\n  http: { bind: \"*:80\" }\n  https: { bind: \"*:443\", tls: { "
	             "certificates: [ { acme: le, hosts: [a.test] }, { acme: le, hosts: [a.test, "
	             "b.test] } ] } }\n" POOL ROUTE,
	  1, 0, "as a different list" },
	{ "no_port_80",
	  ISSUER("") "listeners:\n  https: { bind: \"*:443\", tls: { certificates: [ { acme: le, "
	             "hosts: [a.test] } ] } }\n" POOL ROUTE,
	  0, 1, "needs an HTTP listener on port 80" },
	{ "no_port_443",
	  ISSUER("challenge: tls-alpn-01") "listeners:\n  https: { bind: \"*:8443\", tls: { "
	                                   "certificates: [ { acme: le, hosts: [a.test] } ] } "
	                                   "}\n" POOL ROUTE,
	  0, 1, "needs a listener with TLS on port 443" },
};

static void problems(void **state)
{
	const struct acme_case *c = *state;
	struct loaded t = load_text_n(c->text, strlen(c->text));

	if (t.problems.errors != c->errors || t.problems.warnings != c->warnings)
		print_error("%s", buf_cstr(&t.problems.text));
	assert_int_equal(t.problems.errors, c->errors);
	assert_int_equal(t.problems.warnings, c->warnings);
	if (c->problem)
		assert_has(&t, c->problem);
	unload(&t);
}

static void defaults_are_as_documented(void **state)
{
	struct loaded t = load_well(ISSUER("") USES("shop.test"));
	const struct conf_issuer *c = conf_of(t.l)->issuers;

	assert_int_equal(conf_of(t.l)->nissuers, 1);
	assert_true(str_eq(c->directory, STR("https://acme-v02.api.letsencrypt.org/directory")));
	assert_int_equal(c->challenge, ACME_HTTP_01);
	assert_int_equal(c->key, ACME_KEY_P256);
	assert_true(c->renew_before == 30 * 86400 * NS_PER_S);
	assert_int_equal(c->dns, ACME_DNS_NONE);
	unload(&t);
}

static void providers_are_told_apart(void **state)
{
	struct loaded t = load_well(DNS(RFC2136 ", check: \"10.0.0.54:53\""));
	const struct conf_issuer *c = conf_of(t.l)->issuers;

	assert_int_equal(c->dns, ACME_DNS_RFC2136);
	assert_true(str_eq(c->rfc2136_key_name, STR("k")));
	assert_int_equal(net_addr_port(&c->dns_check_address), 53);
	unload(&t);
	t = load_well(DNS(CF));
	assert_int_equal(conf_of(t.l)->issuers->dns, ACME_DNS_CLOUDFLARE);
	unload(&t);
	t = load_well(DNS("exec: [/bin/hook, x]"));
	assert_int_equal(conf_of(t.l)->issuers->dns, ACME_DNS_EXEC);
	unload(&t);
}

/* What is shown can be read again, and no secret is in it. */
static void secrets_are_masked(void **state)
{
	static const char *const texts[] = {
		DNS("cloudflare: { token: TOPSECRET }"),
		DNS("rfc2136: { server: \"10.0.0.53:53\", key_name: k, key: TOPSECRET }"),
		ISSUER("eab: { kid: k, key: TOPSECRET }") USES("shop.test"),
	};

	for (unsigned i = 0; i < 3; i++) {
		for (int json = 0; json < 2; json++) {
			struct loaded t = load_well(texts[i]);
			struct buf out = BUF_INIT;

			conf_show(conf_of(t.l), json, &out);
			assert_null(strstr(buf_cstr(&out), "TOPSECRET"));
			assert_non_null(strstr(buf_cstr(&out), "***"));
			buf_free(&out);
			unload(&t);
		}
	}
}

int main(void)
{
	struct rows r = { .n = 0 };

	ROWS_ADD_TABLE(&r, cases, problems);
	rows_add(&r, "defaults_are_as_documented", defaults_are_as_documented, NULL);
	rows_add(&r, "providers_are_told_apart", providers_are_told_apart, NULL);
	rows_add(&r, "secrets_are_masked", secrets_are_masked, NULL);
	return rows_run(&r, "conf_acme");
}
