/* SPDX-License-Identifier: Apache-2.0 */
/* The effective configuration as text: it loads again as the same one. */
#include "rows.h"

#include <jansson.h>

#include "conf_text.h"

static char *shown(const struct conf *c, bool json)
{
	struct buf out = BUF_INIT;

	conf_show(c, json, &out);
	return buf_take(&out);
}

#define TWICE(x) LISTENER "routes: { all: { to: web, " x " } }\n" POOL

#define PROBED(x) \
	LISTENER ROUTE "pools: { web: { servers: { a: 10.0.0.1:80 }, check: { " x " } } }\n"

struct show_case {
	const char *name;
	const char *text;
	const char *part; /* of what YAML shows; NULL: any */
};

static const struct show_case cases[] = {
	{ "minimal", MINIMAL, "servers:\n      a: 10.0.0.21:80\n      b: 10.0.0.22:80\n" },
	{ "defaults", MINIMAL, "      request_header: 10s\n" },
	{ "sizes", MINIMAL, "    max_line: 8KiB\n" },
	{ "words_for_zero", MINIMAL, "    max_body: unlimited\n" },
	{ "quoted_star", MINIMAL, "    bind: \"*:80\"\n" },
	{ "retries_inherited", MINIMAL, NULL },
	{ "retries_zero", TWICE("retries: 0"), "    retries: 0\n" },
	{ "host_list", TWICE("host: [b.test, \"*.a.test\"]"),
	  "    host: [b.test, \"*.a.test\"]\n" },
	{ "headers", TWICE("header: { X-A: \"1\", X-B: }"), "      X-A: \"1\"\n      X-B: \"\"\n" },
	{ "header_colon", TWICE("header: { A: \"b: c # d\" }"), "      A: \"b: c # d\"\n" },
	{ "header_word", TWICE("header: { A: \"yes\" }"), "      A: \"yes\"\n" },
	{ "header_number", TWICE("header: { A: \"1e3\" }"), "      A: \"1e3\"\n" },
	{ "header_quotes", TWICE("header: { A: \"x\\\"y\\\\z\" }"), "      A: \"x\\\"y\\\\z\"\n" },
	{ "header_variable", TWICE("header: { A: \"$${B}\" }"), "      A: \"$${B}\"\n" },
	{ "header_utf8", TWICE("header: { A: \"b\\u00e4r\" }"), NULL },
	{ "header_dash", TWICE("header: { A: \"- x\" }"), "      A: \"- x\"\n" },
	{ "timeouts", TWICE("timeouts: { response: 90s }"),
	  "    timeouts:\n      response: 90s\n" },
	{ "clients", TWICE("client: [10.0.0.0/8, unix]"), "client: [10.0.0.0/8, unix]\n" },
	{ "everything", everything, "    check:\n      exec: [/bin/probe, \"-x\", \"-x\"]\n" },
	{ "expect", everything, "      expect: \"200,204-206,301,302\"\n" },
	{ "sample", everything, "      sample: 0.1\n" },
	{ "passive_off", everything, "    passive: false\n" },
	{ "secret", everything, "  token: \"***\"\n" },
	{ "password", everything, "    password: \"***\"\n" },
	{ "pair", pair, "    priority:\n      lb1: 200\n      lb2: 100\n" },
	{ "pair_track", pair, "    track: [proxy, pool.web]\n" },
	{ "pair_no_slo", pair, "control:\n" },
	{ "track_long", everything, "      pool.web:\n        min: 2\n        weight: 101\n" },
	{ "track_short_in_long", everything, "      gateway: {}\n" },
	{ "addresses", everything, "    addresses: [fd00::100/64, fd00::101]\n" },
	{ "preempt_delay", everything, "    preempt: 30s\n" },
	{ "preempt_off", everything, "    preempt: false\n" },
	{ "handover_off", everything, "    handover: off\n" },
	{ "named_check", everything, "  db:\n    address: 10.0.0.9:5432\n    tcp: true\n" },
	{ "send", PROBED("tcp: true, send: 'PING\\r\\n\\0\\x7f\\\\$$', match: PONG"),
	  "      send: \"PING\\\\r\\\\n\\\\x00\\\\x7f\\\\\\\\$$\"\n      match: PONG\n" },
	{ "send_by_yaml", PROBED("tcp: true, send: \"A\\r\\n\""), "      send: \"A\\\\r\\\\n\"\n" },
	{ "redis", PROBED("redis: true, role: replica"),
	  "      redis: true\n      role: replica\n      interval: 2s\n" },
	{ "grpc", PROBED("grpc: true"), "      grpc: true\n      interval: 2s\n" },
	{ "grpc_service", PROBED("grpc: shop.Cart"), "      grpc: shop.Cart\n" },
	{ "dns", PROBED("dns: a.test"), "      dns: a.test\n      dns_type: A\n      interval" },
	{ "expiry", PROBED("tls: true, expiry: 14d"), "      tls: true\n      expiry: 14d\n" },
	{ "slo", everything,
	  "slo:\n  outage: 150ms\n  failed: 0\n  drills:\n    node-death:\n      outage: 200ms\n" },
};

/* The file with its secrets put back in. */
static void reload(const char *text, struct loaded *t)
{
	static const char *const secrets[] = { "0123456789abcdef", "pass-77" };
	struct buf b = BUF_INIT;
	const char *stars;

	for (int i = 0; i < 2 && (stars = strstr(text, "***")); i++) {
		buf_add(&b, text, (size_t)(stars - text));
		buf_adds(&b, secrets[i]);
		text = stars + 3;
	}
	buf_adds(&b, text);
	*t = load_well(buf_cstr(&b));
	buf_free(&b);
}

static void test_show(void **state)
{
	const struct show_case *c = *state;
	struct loaded t = load_well(c->text), again;
	struct buf diff = BUF_INIT;

	for (int json = 0; json < 2; json++) {
		char *text = shown(conf_of(t.l), json), *second;

		if (!json && c->part && !strstr(text, c->part)) {
			print_error("missing: %s\nin: %s", c->part, text);
			fail();
		}
		reload(text, &again);
		if (conf_diff(conf_of(t.l), conf_of(again.l), false, &diff) != 0) {
			print_error("%s\nfrom %s", buf_cstr(&diff), text);
			fail();
		}
		second = shown(conf_of(again.l), json);
		assert_string_equal(text, second);
		free(text);
		free(second);
		unload(&again);
	}
	buf_free(&diff);
	unload(&t);
}

static void test_json(void **state)
{
	struct loaded t = load_well(everything);
	char *text = shown(conf_of(t.l), true);
	json_t *j = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	json_t *web;

	(void)state;
	assert_non_null(j);
	web = json_object_get(json_object_get(j, "pools"), "web");
	assert_int_equal(json_integer_value(json_object_get(web, "max_connections")), 100);
	assert_string_equal(json_string_value(json_object_get(web, "slow_start")), "30s");
	assert_string_equal(json_string_value(
	                        json_object_get(json_object_get(j, "control"), "token")),
	                    "***");
	json_decref(j);
	free(text);
	unload(&t);
}

static void test_no_secret(void **state)
{
	struct loaded t = load_well(everything);

	(void)state;
	for (int json = 0; json < 2; json++) {
		char *text = shown(conf_of(t.l), json);

		assert_null(strstr(text, "0123456789abcdef"));
		assert_null(strstr(text, "pass-77"));
		free(text);
	}
	unload(&t);
}

int main(void)
{
	static struct rows r;

	ROWS_ADD_TABLE(&r, cases, test_show);
	rows_add(&r, "json_types", test_json, NULL);
	rows_add(&r, "no_secret_is_shown", test_no_secret, NULL);
	return rows_run(&r, "conf_show");
}
