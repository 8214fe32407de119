/* SPDX-License-Identifier: Apache-2.0 */
/* Loading: each option's type and bounds, unknown keys, defaults, files. */
#include "rows.h"

#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "conf_text.h"

/* A listener, pool and route with something added. */
#define ON_LISTENER(x) "listeners:\n  http: { bind: \"*:80\", " x " }\n" POOL ROUTE
#define ON_ROUTE(x)    LISTENER POOL "routes:\n  all: { to: web, " x " }\n"
#define ON_POOL(x) \
	LISTENER ROUTE "pools:\n  web: { servers: { a: 10.0.0.1:80, b: 10.0.0.2:80 }, " x " }\n"
#define ON_CHECK(x)  ON_POOL("check: { " x " }")
#define ON_SERVER(x) LISTENER ROUTE "pools:\n  web: { servers: { a: { " x " }, b: 10.0.0.2:80 } }\n"

struct refusal {
	const char *name;
	const char *text;
	const char *problem; /* how it begins, or part of it */
};

static const struct refusal refusals[] = {
	/* the file */
	{ "empty", "", "f.yaml: error: the file is empty; a minimal file" },
	{ "empty_shows_file", "# x\n", "servers: { a: 10.0.0.21:80" },
	{ "list", "- a\n", "f.yaml:1:1: error: the file must be a map" },
	{ "word", "hello\n", "must be a map" },
	{ "include_in_memory", "include: x.yaml\n" MINIMAL,
	  "f.yaml:1:1: error: files are not included" },
	/* keys */
	{ "unknown_top", "listenrs: {}\n" MINIMAL,
	  "f.yaml:1:1: error: unknown key \"listenrs\" in the file; did you mean \"listeners\"?" },
	{ "unknown_far", "quux: {}\n" MINIMAL, "unknown key \"quux\" in the file\n" },
	{ "unknown_listener", ON_LISTENER("max_conections: 5"),
	  "in listener \"http\"; did you mean \"max_connections\"?" },
	{ "unknown_route", ON_ROUTE("hosts: a"), "in route \"all\"; did you mean \"host\"?" },
	{ "unknown_pool", ON_POOL("blance: x"), "in pool \"web\"; did you mean \"balance\"?" },
	{ "unknown_check", ON_CHECK("http: /, intervall: 2s"),
	  "in \"check\"; did you mean \"interval\"?" },
	{ "unknown_server", ON_SERVER("address: 10.0.0.1:80, wieght: 2"),
	  "in server \"a\"; did you mean \"weight\"?" },
	{ "unknown_timeout", ON_LISTENER("timeouts: { conect: 2s }"), "did you mean \"connect\"?" },
	{ "belongs_elsewhere", ON_POOL("interval: 2s"), "it belongs under \"check\"" },
	{ "synonym", "upstreams: {}\n" MINIMAL, "did you mean \"pools\"?" },
	{ "synonym_backend", ON_ROUTE("backend: x"), "did you mean \"to\"?" },
	{ "hidden_is_unknown", ON_LISTENER("slot: 5"), "unknown key \"slot\"" },
	{ "name_is_unknown", ON_LISTENER("name: x"), "unknown key \"name\"" },
	/* later versions */
	{ "protocol", ON_LISTENER("protocol: sctp"), "is not one of http, tcp, udp" },
	{ "http_to", ON_LISTENER("to: web"),
	  "\"to\": an http listener finds its pools by routes; \"protocol: tcp\" passes" },
	{ "http_sni", ON_LISTENER("sni: { a.test: web }"), "\"sni\": it is for \"protocol: tcp\"" },
	{ "sni_list", ON_LISTENER("protocol: tcp, sni: [a]"),
	  "must be a map of host names and pools" },
	{ "sni_host", ON_LISTENER("protocol: tcp, sni: { \"a b\": web }"), "\"a b\"" },
	{ "sni_address", ON_LISTENER("protocol: tcp, sni: { \"[::1]\": web }"),
	  "\"[::1]\" is an address: a ClientHello names hosts only" },
	{ "sni_twice", ON_LISTENER("protocol: tcp, sni: { a.test: web, A.test: web }"),
	  "\"sni\" has \"a.test\" twice" },
	{ "accept_proxy", ON_LISTENER("accept_proxy: [10.0.0.0/33]"), "is not a network" },
	{ "send_proxy", ON_POOL("send_proxy: v3"), "is not one of off, v1, v2" },
	/* types */
	{ "listeners_text", "listeners: x\n" POOL ROUTE,
	  "f.yaml:1:12: error: \"listeners\" must be a map of named things, not a single value" },
	{ "listeners_list", "listeners: [x]\n" POOL ROUTE, "not a list" },
	{ "listener_text", "listeners: { http: x }\n" POOL ROUTE, "\"http\" must be a map" },
	{ "pool_list", LISTENER ROUTE "pools: { web: [a] }\n", "\"web\" must be a map" },
	{ "server_list", LISTENER ROUTE "pools: { web: { servers: { a: [b] } } }\n",
	  "\"a\" must be a map or an address, not a list" },
	{ "check_text", ON_POOL("check: /health"), "\"check\" must be a map" },
	{ "timeouts_list", ON_LISTENER("timeouts: [1s]"), "\"timeouts\" must be a map" },
	{ "duration_map", ON_CHECK("http: /, interval: {}"), "must be a duration, not a map" },
	{ "duration_nothing", ON_CHECK("http: /, interval: "), "must be a duration, not nothing" },
	{ "count_text", ON_CHECK("http: /, rise: two"), "\"rise\": \"two\" is not a whole number" },
	{ "count_list", ON_CHECK("http: /, rise: [2]"), "must be a number, not a list" },
	{ "bool_text", ON_SERVER("address: 10.0.0.1:80, backup: maybe"), "neither true nor false" },
	{ "text_list", ON_ROUTE("path: [/a]"), "must be text, not a list" },
	{ "headers_list", ON_ROUTE("header: [a]"), "must be a map of header names and values" },
	{ "pages_list", ON_ROUTE("error_pages: [a]"), "must be a map of statuses and files" },
	/* bounds */
	{ "line_small", ON_LISTENER("max_line: 63B"), "is out of bounds: 64B to 64KiB" },
	{ "line_large", ON_LISTENER("max_line: 65KiB"), "is out of bounds: 64B to 64KiB" },
	{ "line_unit", ON_LISTENER("max_line: 8192"), "needs a unit" },
	{ "header_large", ON_LISTENER("max_header_size: 1MiB"), "is out of bounds: 256B to 64KiB" },
	{ "headers_many", ON_LISTENER("max_headers: 257"), "is out of bounds: 1 to 256" },
	{ "headers_none", ON_LISTENER("max_headers: 0"), "is out of bounds" },
	{ "body_unit", ON_LISTENER("max_body: 10"), "needs a unit" },
	{ "connections_huge", ON_LISTENER("max_connections: 99999999999999999999"),
	  "is out of bounds" },
	{ "mode", ON_LISTENER("mode: rw"), "is not an octal file mode" },
	{ "timeout_zero", ON_LISTENER("timeouts: { connect: 0 }"), "is out of bounds: 1ms to 30d" },
	{ "timeout_unit", ON_LISTENER("timeouts: { connect: 3 }"), "needs a unit" },
	{ "timeout_long", ON_LISTENER("timeouts: { tunnel: 31d }"), "is out of bounds" },
	{ "threads_many", "proxy: { threads: 65 }\n" MINIMAL,
	  "is out of bounds: 1 to 64, or auto" },
	{ "threads_word", "proxy: { threads: many }\n" MINIMAL, "is not a whole number" },
	{ "interval_short", ON_CHECK("http: /, interval: 1ms"), "is out of bounds: 10ms to 1h" },
	{ "rise_zero", ON_CHECK("http: /, rise: 0"), "is out of bounds: 1 to 100" },
	{ "port_large", ON_CHECK("tcp: true, port: 65536"), "is out of bounds: 1 to 65535" },
	{ "jitter_large", ON_CHECK("http: /, jitter: 60%"), "is out of bounds: 0% to 50%" },
	{ "weight_large", ON_SERVER("address: 10.0.0.1:80, weight: 257"),
	  "is out of bounds: 0 to 256" },
	{ "weight_negative", ON_SERVER("address: 10.0.0.1:80, weight: -1"),
	  "is not a whole number" },
	{ "retries_many", ON_POOL("retries: 11"), "is out of bounds: 0 to 10" },
	{ "route_retries", ON_ROUTE("retries: 11"), "is out of bounds: 0 to 10" },
	{ "budget", ON_POOL("retry_budget: 120%"), "is not a percentage" },
	{ "panic", ON_POOL("panic_threshold: x"), "is not a percentage" },
	{ "sample", ON_LISTENER("access_log: { sample: 2 }"), "is not a share between 0 and 1" },
	/* words */
	{ "balance", ON_POOL("balance: roundrobin"), "did you mean \"round_robin\"?" },
	{ "balance_list", ON_POOL("balance: x"),
	  "is not one of round_robin, least_conn, random_two" },
	{ "log_level", "log: { level: warn }\n" MINIMAL, "is not one of error, warning, notice" },
	{ "log_to", "log: { to: file }\n" MINIMAL, "is not one of stderr, journald, syslog" },
	{ "log_format", ON_LISTENER("access_log: { format: jsno }"), "did you mean \"json\"?" },
	{ "access_log_relative", ON_LISTENER("access_log: x.log"), "nor an absolute path" },
	/* addresses */
	{ "bind_name", "listeners: { a: { bind: \"localhost:80\" } }\n" POOL ROUTE,
	  "a name cannot be bound" },
	{ "bind_no_port", "listeners: { a: { bind: 10.0.0.1 } }\n" POOL ROUTE,
	  "the port is missing" },
	{ "bind_port_zero", "listeners: { a: { bind: \"*:0\" } }\n" POOL ROUTE,
	  "port must be a number" },
	{ "bind_ip6", "listeners: { a: { bind: \"::1:80\" } }\n" POOL ROUTE, "needs brackets" },
	{ "bind_empty_list", "listeners: { a: { bind: [] } }\n" POOL ROUTE, "is an empty list" },
	{ "bind_missing", "listeners: { a: {} }\n" POOL ROUTE,
	  "f.yaml:1:14: error: listener \"a\" has no \"bind\"" },
	{ "bind_unix_relative", "listeners: { a: { bind: \"unix:x\" } }\n" POOL ROUTE,
	  "must begin with /" },
	{ "server_wildcard", ON_SERVER("address: \"*:80\""), "it names no single server" },
	{ "server_no_port", ON_SERVER("address: 10.0.0.1"), "the port is missing" },
	{ "server_no_address", ON_SERVER("weight: 2"), "server \"a\" has no \"address\"" },
	{ "server_name", ON_SERVER("address: \"web1:80\""), "names are not resolved here" },
	{ "trust", "trust: [10.0.0.0/33]\n" MINIMAL,
	  "f.yaml:1:9: error: \"trust\": \"10.0.0.0/33\" is not" },
	{ "client", ON_ROUTE("client: here"), "is not a network like 10.0.0.0/8" },
	{ "node_address", "nodes: { lb1: { address: lb1 } }\n" MINIMAL, "is not an IP address" },
	{ "node_port", "nodes: { lb1: { address: 10.0.0.1:80 } }\n" MINIMAL,
	  "is not an IP address" },
	{ "node_zone", "nodes: { lb1: { address: \"fe80::1%lo\" } }\n" MINIMAL,
	  "is not an IP address" },
	/* routes */
	{ "host_port", ON_ROUTE("host: \"a.test:80\""), "must not carry a port" },
	{ "host_twice", ON_ROUTE("host: [a.test, A.test]"), "\"a.test\" is there twice" },
	{ "host_star", ON_ROUTE("host: \"*\""), "leave \"host\" out instead" },
	{ "path", ON_ROUTE("path: api"), "must start with \"/\"" },
	{ "method", ON_ROUTE("method: [GET, post]"), "has lower-case letters" },
	{ "header_name", ON_ROUTE("header: { \"a b\": c }"), "\"a b\" is not a header name" },
	{ "header_value", ON_ROUTE("header: { a: \"x\\ny\" }"), "holds a control character" },
	{ "route_no_to", LISTENER POOL "routes: { all: {} }\n", "route \"all\" has no \"to\"" },
	{ "max_body", ON_ROUTE("max_body: 1"), "needs a unit" },
	/* checks */
	{ "check_empty", ON_POOL("check: {}"), "a check needs one of" },
	{ "check_nothing", ON_POOL("check: "), "a check needs one of" },
	{ "check_two", ON_CHECK("http: /, tcp: true"), "and \"tcp\" is here too\n" },
	{ "check_tcp_false", ON_CHECK("tcp: false"), "leave the check out" },
	{ "check_redis_false", ON_CHECK("redis: false"), "leave the check out" },
	{ "check_grpc_false", ON_CHECK("grpc: false"), "neither \"true\" nor a service" },
	{ "check_dns_label", ON_CHECK("dns: a..b"), "a label is empty" },
	{ "check_dns_type", ON_CHECK("dns: a.test, dns_type: AXFR"), "is not one of A, AAAA" },
	{ "check_role", ON_CHECK("redis: true, role: master"), "is not one of any, primary, rep" },
	{ "check_login_alone", ON_CHECK("redis: true, login: x"), "without \"password\"" },
	{ "check_send_escape", ON_CHECK("tcp: true, send: 'a\\q'"), "an escape that is none of" },
	{ "check_send_hex", ON_CHECK("tcp: true, send: '\\x1'"), "an escape that is none of" },
	{ "check_send_end", ON_CHECK("tcp: true, send: 'a\\'"), "an escape that is none of" },
	{ "check_send_empty", ON_CHECK("tcp: true, send: ''"), "is not 1 to 4096 bytes" },
	{ "check_expiry", ON_CHECK("tls: true, expiry: 14"), "needs a unit" },
	{ "check_path", ON_CHECK("http: health"), "must start with \"/\"" },
	{ "check_exec_text", ON_CHECK("exec: /bin/true"), "must be a list, not a single value" },
	{ "check_exec_relative", ON_CHECK("exec: [probe]"), "is not an absolute path" },
	{ "check_exec_empty", ON_CHECK("exec: []"), "is an empty list" },
	{ "expect_high", ON_CHECK("http: /, expect: 600"), "is not a status or a range" },
	{ "expect_order", ON_CHECK("http: /, expect: 300-200"), "is not a status or a range" },
	{ "expect_word", ON_CHECK("http: /, expect: [200, ok]"), "is not a status or a range" },
	{ "passive", ON_POOL("passive: maybe"), "neither true nor false" },
	{ "hash_header_missing", ON_POOL("balance: header_hash"), "needs a \"hash_header\"" },
	{ "hash_header_bad", ON_POOL("balance: header_hash, hash_header: \"a b\""),
	  "is not a header name" },
	/* names */
	{ "name_slash", "listeners: { \"a/b\": { bind: \"*:80\" } }\n" POOL ROUTE,
	  "f.yaml:1:14: error: the listener name \"a/b\" may hold letters" },
	{ "name_long",
	  MINIMAL "  a12345678901234567890123456789012345678901234567890123456789: { to: web }\n",
	  "is longer than 59 characters" },
	{ "cluster", "cluster: \"a b\"\n" MINIMAL, "\"cluster\": \"a b\" may hold letters" },
	{ "duplicate_group",
	  "control: { bind: \"127.0.0.1:1\" }\ncontrol: { token: abc }\n" MINIMAL,
	  "f.yaml:2:1: error: duplicate key \"control\"" },
	/* secrets */
	{ "token_short", "control: { bind: 127.0.0.1:1, token: abc }\n" MINIMAL, "shorter than 8" },
	{ "token_file", "control: { bind: 127.0.0.1:1, token: \"file:/x\" }\n" MINIMAL,
	  "not read here" },
	{ "control_no_bind", "control: { token: abcdefghij }\n" MINIMAL,
	  "\"control\" has no \"bind\"" },
	{ "control_nothing", "control:\n" MINIMAL, "\"control\" has no \"bind\"" },
	{ "variable", ON_ROUTE("path: \"${CONF_NOT_SET}\""), "CONF_NOT_SET is not set" },
	{ "page_status", ON_ROUTE("error_pages: { 200: x.html }"), "not an error status" },
	{ "page_in_memory", ON_ROUTE("error_pages: { 503: x.html }"), "files are not read here" },
};

static void test_refusal(void **state)
{
	const struct refusal *c = *state;
	struct loaded t = load_text_n(c->text, strlen(c->text));

	assert_null(t.l);
	assert_has(&t, c->problem);
	if (t.problems.errors != 1) {
		print_error("%s", buf_cstr(&t.problems.text));
	}
	assert_int_equal(t.problems.errors, 1); /* no error causes another */
	unload(&t);
}

/* Six different mistakes: six errors, each at its place. */
static void test_six(void **state)
{
	static const char text[] = "listeners:\n"
	                           "  http: { bind: \"*:80\", max_line: 8 }\n"
	                           "pools:\n"
	                           "  web:\n"
	                           "    blance: round_robin\n"
	                           "    check: { http: health, interval: 2 }\n"
	                           "    servers: { a: 10.0.0.21:80, b: 10.0.0.22 }\n"
	                           "routes:\n"
	                           "  all: { to: wep }\n";
	static const char *const want[] = {
		"f.yaml:2:35: error: \"max_line\"",
		"f.yaml:5:5: error: unknown key \"blance\"",
		"f.yaml:6:20: error: \"http\"",
		"f.yaml:6:38: error: \"interval\"",
		"f.yaml:7:36: error: \"address\"",
		"f.yaml:9:14: error: there is no pool \"wep\"; did",
	};
	struct loaded t = load_text_n(text, sizeof(text) - 1);
	const char *at;

	(void)state;
	assert_int_equal(t.problems.errors, 6);
	at = buf_cstr(&t.problems.text);
	for (size_t i = 0; i < 6; i++) { /* in the order of the file */
		at = strstr(at, want[i]);
		assert_non_null(at);
	}
	unload(&t);
}

static void test_defaults(void **state)
{
	struct loaded t = load_well(MINIMAL);
	const struct conf *c = conf_of(t.l);
	const struct conf_listener *l = &c->listeners[0];
	const struct conf_pool *p = &c->pools[0];

	(void)state;
	assert_int_equal(t.problems.warnings, 0);
	assert_true(str_eq(c->user, STR("holdfast")));
	assert_int_equal(c->shutdown_timeout, 30 * NS_PER_S);
	assert_int_equal(c->threads, 0);
	assert_false(c->control.on);
	assert_int_equal(l->timeouts.connect, 3 * NS_PER_S);
	assert_int_equal(l->timeouts.request_header, 10 * NS_PER_S);
	assert_int_equal(l->timeouts.request_body, 30 * NS_PER_S);
	assert_int_equal(l->timeouts.response, 60 * NS_PER_S);
	assert_int_equal(l->timeouts.tunnel, 3600 * NS_PER_S);
	assert_int_equal(l->timeouts.keep_alive, 60 * NS_PER_S);
	assert_int_equal(l->max_line, 8192);
	assert_int_equal(l->max_header_size, 32768);
	assert_int_equal(l->max_headers, 100);
	assert_int_equal(l->max_body, 0);
	assert_int_equal(l->mode, 0666);
	assert_false(l->access_log.on);
	assert_true(l->bind[0].wildcard);
	assert_int_equal(c->routes[0].retries, -1);
	assert_int_equal(c->routes[0].timeouts.response, 0);
	assert_true(str_eq(c->routes[0].path, STR("/")));
	assert_int_equal(c->routes[0].line, 8);
	assert_int_equal(p->balance, BALANCE_ROUND_ROBIN);
	assert_int_equal(p->check.probe, PROBE_HTTP);
	assert_int_equal(p->check.interval, 2 * NS_PER_S);
	assert_int_equal(p->check.rise, 2);
	assert_int_equal(p->check.fall, 3);
	assert_int_equal(p->check.jitter, 10);
	assert_true(conf_expects(&p->check, 200) && conf_expects(&p->check, 399));
	assert_false(conf_expects(&p->check, 199) || conf_expects(&p->check, 400));
	assert_true(p->passive.on);
	assert_int_equal(p->passive.max_ejected, 50);
	assert_int_equal(p->panic_threshold, 30);
	assert_int_equal(p->retries, 2);
	assert_int_equal(p->retry_budget, 20);
	assert_int_equal(p->queue_length, 1024);
	assert_int_equal(p->servers[0].weight, 1);
	assert_true(str_eq(p->servers[1].id, STR("web/b")));
	unload(&t);
}

static void test_everything(void **state)
{
	struct loaded t = load_well(everything);
	const struct conf *c = conf_of(t.l);
	const struct conf_route *r = &c->routes[0];
	const struct conf_pool *web = conf_pool_find(c, STR("web")), *pool;
	const struct conf_pool *other = conf_pool_find(c, STR("other"));
	uint32_t wire = 0;

	(void)state;
	assert_int_equal(c->nnodes, 2);
	assert_int_equal(c->ntrust, 3);
	assert_true(str_eq(c->trust_text.v[0], STR("10.0.0.0/8")));
	assert_int_equal(c->log.level, 4);
	assert_true(str_eq(c->control.token, STR("0123456789abcdef")));
	assert_true(str_eq(c->listeners[0].name, STR("alt"))); /* sorted */
	assert_true(c->listeners[0].access_log.on);
	assert_true(str_eq(c->listeners[0].access_log.path, STR("stderr")));
	assert_int_equal(c->listeners[1].nbind, 2);
	assert_int_equal(c->listeners[1].mode, 0600);
	assert_int_equal(c->listeners[1].access_log.format, LOG_FORMAT_COMBINED);
	assert_true(c->listeners[1].access_log.sample > 0.09);
	assert_true(str_eq(r->hosts.v[0], STR("shop.test")));
	assert_true(str_eq(r->hosts.v[1], STR("*.shop.test")));
	assert_int_equal(r->nheaders, 2);
	assert_int_equal(r->headers[1].value.len, 0);
	assert_int_equal(r->nclients, 1);
	assert_int_equal(r->retries, 0);
	assert_int_equal(r->max_body, 1ULL << 30);
	assert_int_equal(r->timeouts.response, 300 * NS_PER_S);
	assert_ptr_equal(&c->pools[r->pool], web);
	assert_true(conf_expects(&web->check, 205) && conf_expects(&web->check, 302));
	assert_false(conf_expects(&web->check, 201));
	assert_true(str_eq(web->check.expect_text, STR("200,204-206,301,302")));
	assert_int_equal(web->passive.failures, 7);
	assert_int_equal(web->servers[1].weight, 5);
	assert_true(web->servers[2].backup);
	assert_int_equal(other->check.probe, PROBE_EXEC);
	assert_int_equal(other->check.exec.n, 3);
	assert_false(other->passive.on);
	assert_int_equal(other->servers[0].address.sa.sa_family, AF_UNIX);
	assert_ptr_equal(conf_server_find(c, STR("web/c"), &pool), &web->servers[2]);
	assert_ptr_equal(pool, web);
	assert_null(conf_server_find(c, STR("web/x"), NULL));
	assert_null(conf_server_find(c, STR("web"), NULL));
	assert_null(conf_server_find(c, STR("nope/c"), NULL));
	assert_null(conf_pool_find(c, STR("we")));
	while (!str_eq(c->listeners[wire].name, STR("wire")))
		wire++;
	assert_int_equal(c->listeners[wire].naccept_proxy, 2);
	assert_int_equal(c->listeners[wire].timeouts.half_close, 5 * NS_PER_S);
	assert_ptr_equal(&c->pools[c->listeners[wire].pool], other);
	assert_int_equal(other->send_proxy, SEND_PROXY_V2);
	assert_int_equal(c->listeners[1].pool, CONF_NO_POOL);
	pool = conf_pool_find(c, STR("zones"));
	assert_ptr_equal(&c->pools[conf_sni_pool(&c->listeners[wire], STR("a.shop.test"))], pool);
	assert_ptr_equal(&c->pools[conf_sni_pool(&c->listeners[wire], STR("a.b.shop.test"))], pool);
	assert_ptr_equal(&c->pools[conf_sni_pool(&c->listeners[wire], STR("shop.test"))], other);
	assert_ptr_equal(&c->pools[conf_sni_pool(&c->listeners[wire], STR("db.shop.test"))], other);
	assert_ptr_equal(&c->pools[conf_sni_pool(&c->listeners[wire], STR(""))], other);
	unload(&t);
}

/* --- files ------------------------------------------------------------------------------------ */

static char folder[] = "/tmp/holdfast-test-conf-XXXXXX";

static int make_folder(void **state)
{
	(void)state;
	return mkdtemp(folder) && chdir(folder) == 0 ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", folder);
	return chdir("/") == 0 && system(command) == 0 ? 0 : -1;
}

static void put(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static struct loaded load_path(const char *path)
{
	struct loaded t = { 0 };

	(void)conf_load(path, false, &t.problems, &t.l);
	return t;
}

static void test_missing_file(void **state)
{
	struct loaded t = load_path("missing.yaml");

	(void)state;
	assert_null(t.l);
	assert_has(&t, "missing.yaml: error: cannot read missing.yaml: No such file");
	unload(&t);
	t = load_path("/");
	assert_null(t.l);
	assert_has(&t, "Is a directory");
	unload(&t);
	t = load_path("/dev/zero");
	assert_null(t.l);
	assert_has(&t, "not a regular file");
	unload(&t);
}

static void test_large_file(void **state)
{
	struct loaded t;

	(void)state;
	put("large.yaml", "");
	assert_int_equal(truncate("large.yaml", 100 * 1024 * 1024), 0);
	t = load_path("large.yaml");
	assert_null(t.l);
	assert_has(&t, "larger than 16 MiB");
	unload(&t);
	unlink("large.yaml");
}

static void test_byte_order_mark(void **state)
{
	struct loaded t;

	(void)state;
	put("bom.yaml", "\xef\xbb\xbf" MINIMAL);
	t = load_path("bom.yaml");
	assert_non_null(t.l);
	unload(&t);
}

static void test_include(void **state)
{
	struct loaded t;

	(void)state;
	mkdir("d", 0700);
	put("main.yaml", "include: d/*.yaml\n" LISTENER);
	put("d/a.yaml", POOL);
	put("d/b.yaml", ROUTE "pools: { other: { servers: { x: 10.0.0.9:80 } } }\n");
	t = load_path("main.yaml");
	if (!t.l) {
		print_error("%s", buf_cstr(&t.problems.text));
	}
	assert_non_null(t.l);
	assert_int_equal(conf_of(t.l)->npools, 2);
	assert_true(str_ends(conf_of(t.l)->routes[0].file, STR("d/b.yaml")));
	assert_int_equal(conf_of(t.l)->path.s[0], '/');
	unload(&t);
}

struct include_case {
	const char *name;
	const char *main, *a, *b; /* contents of i/main.yaml, i/d/a.yaml, i/d/b.yaml */
	const char *problem;
};

static const struct include_case includes[] = {
	{ "include_same_name", "include: d/*.yaml\n" LISTENER ROUTE, POOL, "# x\n" POOL,
	  "i/d/b.yaml:3:3: error: \"web\" is defined in i/d/a.yaml:2 already" },
	{ "include_same_option", "include: d/*.yaml\nuser: a\n" MINIMAL, "user: b\n", "# x\n",
	  "i/d/a.yaml:1:1: error: \"user\" is defined in i/main.yaml:2 already" },
	{ "include_error_located", "include: d/*.yaml\n" LISTENER ROUTE, POOL, "x: 1\n",
	  "i/d/b.yaml:1:1: error: unknown key \"x\"" },
	{ "include_missing", "include: d/c.yaml\n" MINIMAL, "", "",
	  "i/main.yaml:1:10: error: there is no file i/d/c.yaml" },
	{ "include_itself", "include: main.yaml\n" MINIMAL, "", "", "main.yaml is included twice" },
	{ "include_circle", "include: d/a.yaml\n" MINIMAL, "include: ../main.yaml\n", "",
	  "i/d/a.yaml:1:10: error: i/d/../main.yaml is included twice" },
	{ "include_twice", "include: [d/a.yaml, d/*.yaml]\n" LISTENER ROUTE, POOL, "",
	  "i/d/a.yaml is included twice" },
	{ "include_map", "include: { a: b }\n" MINIMAL, "", "", "must be a list, not a map" },
	{ "include_folder", "include: d\n" MINIMAL, "", "", "cannot read i/d: Is a directory" },
	{ "include_broken", "include: d/a.yaml\n" MINIMAL, "a: [\n", "", "i/d/a.yaml:2:1: error" },
	{ "include_list_file", "include: d/a.yaml\n" MINIMAL, "- a\n", "", "must be a map" },
	{ "include_wrong_kind", "include: d/a.yaml\n" MINIMAL, "pools: x\n", "", "is defined in" },
	{ "include_empty_pattern", "include: \"\"\n" MINIMAL, "", "", "includes nothing" },
};

static void test_include_problem(void **state)
{
	const struct include_case *c = *state;
	struct loaded t;

	mkdir("i", 0700);
	mkdir("i/d", 0700);
	put("i/main.yaml", c->main);
	put("i/d/a.yaml", c->a);
	put("i/d/b.yaml", c->b);
	t = load_path("i/main.yaml");
	assert_null(t.l);
	assert_has(&t, c->problem);
	assert_int_equal(t.problems.errors, 1);
	unload(&t);
}

static void test_include_depth(void **state)
{
	struct loaded t;

	(void)state;
	put("n0.yaml", "include: n1.yaml\n" MINIMAL);
	put("n1.yaml", "include: n2.yaml\n");
	put("n2.yaml", "include: n3.yaml\n");
	put("n3.yaml", "cluster: deep\n");
	t = load_path("n0.yaml");
	assert_non_null(t.l);
	assert_true(str_eq(conf_of(t.l)->cluster, STR("deep")));
	unload(&t);
	put("n3.yaml", "include: n4.yaml\n");
	t = load_path("n0.yaml");
	assert_null(t.l);
	assert_has(&t, "n3.yaml:1:1: error: included files may include others three levels deep");
	unload(&t);
}

static void test_no_match(void **state)
{
	struct loaded t;

	(void)state;
	put("none.yaml", "include: none.d/*.yaml\n" MINIMAL);
	t = load_path("none.yaml");
	assert_non_null(t.l);
	assert_int_equal(t.problems.warnings, 1);
	assert_has(&t, "warning: no file matches none.d/*.yaml");
	unload(&t);
}

static void test_pages(void **state)
{
	const struct conf_route *r;
	struct loaded t;

	(void)state;
	mkdir("p", 0700);
	put("p/503.html", "<h1>soon</h1>");
	put("p/404.json", "{}");
	put("p/main.yaml", LISTENER POOL
	    "routes: { all: { to: web, error_pages: { 503: 503.html, 404: 404.json } } }\n");
	t = load_path("p/main.yaml");
	assert_non_null(t.l);
	r = &conf_of(t.l)->routes[0];
	assert_int_equal(r->npages, 2);
	assert_int_equal(r->pages[0].status, 404);
	assert_true(str_eq(r->pages[0].type, STR("application/json")));
	assert_true(str_eq(r->pages[1].body, STR("<h1>soon</h1>")));
	unload(&t);
	unlink("p/503.html");
	t = load_path("p/main.yaml");
	assert_null(t.l);
	assert_has(&t, "cannot read \"p/503.html\": No such file");
	unload(&t);
	put("p/503.html", "");
	assert_int_equal(truncate("p/503.html", 65537), 0);
	t = load_path("p/main.yaml");
	assert_null(t.l);
	assert_has(&t, "it is too large");
	unload(&t);
}

static void test_secret_file(void **state)
{
	struct loaded t;

	(void)state;
	put("token", "0123456789\n");
	put("s.yaml", "control: { bind: 127.0.0.1:8404, token: \"file:token\" }\n" MINIMAL);
	t = load_path("s.yaml");
	assert_non_null(t.l);
	assert_true(str_eq(conf_of(t.l)->control.token, STR("0123456789")));
	unload(&t);
	put("token", "short\n");
	t = load_path("s.yaml");
	assert_null(t.l);
	assert_has(&t, "shorter than 8");
	assert_null(strstr(buf_cstr(&t.problems.text), "\"short\""));
	unload(&t);
}

static void test_credential(void **state)
{
	struct loaded t;

	(void)state;
	put("c.yaml", "control: { bind: 127.0.0.1:8404, token: \"cred:api\" }\n" MINIMAL);
	unsetenv("CREDENTIALS_DIRECTORY");
	t = load_path("c.yaml");
	assert_null(t.l);
	assert_has(&t, "needs systemd's credentials");
	unload(&t);
	put("api", "abcdefghijkl");
	setenv("CREDENTIALS_DIRECTORY", folder, 1);
	t = load_path("c.yaml");
	assert_non_null(t.l);
	assert_true(str_eq(conf_of(t.l)->control.token, STR("abcdefghijkl")));
	unload(&t);
	unsetenv("CREDENTIALS_DIRECTORY");
}

static void test_variables(void **state)
{
	struct loaded t;

	(void)state;
	setenv("CONF_TEST_PORT", "8088", 1);
	t = load_well("listeners: { a: { bind: \"*:${CONF_TEST_PORT}\" } }\n"
	              "proxy: { threads: \"${CONF_TEST_THREADS:-3}\" }\n" POOL ROUTE);
	assert_int_equal(net_addr_port(&conf_of(t.l)->listeners[0].bind[0]), 8088);
	assert_int_equal(conf_of(t.l)->threads, 3);
	unload(&t);
	unsetenv("CONF_TEST_PORT");
}

int main(void)
{
	static struct rows r;

	ROWS_ADD_TABLE(&r, refusals, test_refusal);
	ROWS_ADD_TABLE(&r, includes, test_include_problem);
	rows_add(&r, "six_mistakes", test_six, NULL);
	rows_add(&r, "defaults", test_defaults, NULL);
	rows_add(&r, "everything", test_everything, NULL);
	rows_add(&r, "missing_file", test_missing_file, NULL);
	rows_add(&r, "large_file", test_large_file, NULL);
	rows_add(&r, "byte_order_mark", test_byte_order_mark, NULL);
	rows_add(&r, "include", test_include, NULL);
	rows_add(&r, "include_depth", test_include_depth, NULL);
	rows_add(&r, "include_no_match", test_no_match, NULL);
	rows_add(&r, "error_pages", test_pages, NULL);
	rows_add(&r, "secret_file", test_secret_file, NULL);
	rows_add(&r, "credential", test_credential, NULL);
	rows_add(&r, "variables", test_variables, NULL);
	return _cmocka_run_group_tests("conf_load", r.tests, r.n, make_folder, remove_folder);
}
