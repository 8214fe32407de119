/* SPDX-License-Identifier: Apache-2.0 */
/* What needs the whole file: references, clashing addresses, ties of routes, warnings. */
#include "rows.h"

#include "conf_text.h"

#define SERVERS "servers: { a: 10.0.0.1:80, b: 10.0.0.2:80 }"
#define CHECKED "check: { http: / }, " SERVERS
#define WEB     "pools: { web: { " CHECKED " } }\n"

struct verify_case {
	const char *name;
	const char *text;
	uint32_t errors, warnings;
	const char *problem; /* part of the text; NULL: none */
};

#define ROUTES(a, b) LISTENER WEB "routes:\n  a: { to: web, " a " }\n  b: { to: web, " b " }\n"
#define BINDS(a, b)  "listeners:\n  x: { bind: " a " }\n  y: { bind: " b " }\n" WEB ROUTE

#define TCP(more) "listeners: { x: { bind: \"*:80\", protocol: tcp, " more " } }\n" WEB
#define UDP(more) "listeners: { x: { bind: \"*:80\", protocol: udp, " more " } }\n" WEB

static const struct verify_case cases[] = {
	{ "well", MINIMAL, 0, 0, NULL },
	{ "no_listeners", POOL ROUTE, 1, 0,
	  "f.yaml: error: there are no listeners: nothing would" },
	{ "listeners_empty", "listeners: {}\n" POOL ROUTE, 1, 0,
	  "f.yaml:1:1: error: there are no list" },
	{ "listeners_nothing", "listeners:\n" POOL ROUTE, 1, 0,
	  "f.yaml:1:1: error: there are no list" },
	{ "no_routes", LISTENER POOL, 1, 0, "there are no routes: every request" },
	{ "no_pools_no_routes", LISTENER, 2, 0, "there are no pools: there would be nobody" },
	{ "pool_undefined", LISTENER POOL "routes: { all: { to: wbe } }\n", 1, 0,
	  "f.yaml:7:22: error: there is no pool \"wbe\"; did you mean \"web\"?" },
	{ "pool_far", LISTENER POOL "routes: { all: { to: shop } }\n", 1, 0,
	  "there is no pool \"shop\"\n" },
	{ "listener_undefined", LISTENER POOL "routes: { all: { to: web, listener: [htp] } }\n", 1,
	  0, "there is no listener \"htp\"; did you mean \"http\"?" },
	{ "no_servers", LISTENER ROUTE "pools: { web: { servers: {} } }\n", 1, 0,
	  "pool \"web\" has no servers" },
	{ "no_servers_key", LISTENER ROUTE "pools: { web: {} }\n", 1, 0,
	  "pool \"web\" has no \"servers\"" },
	{ "line_above_head",
	  "listeners: { a: { bind: \"*:80\", max_line: 4KiB, max_header_size: 1KiB } }\n" POOL
	      ROUTE,
	  1, 0, "\"max_line\" is larger than \"max_header_size\"" },
	{ "port_of_unix",
	  LISTENER ROUTE "pools: { web: { check: { tcp: true, port: 80 }, servers: { a: "
	                 "\"unix:/x\", b: 10.0.0.1:80 } } }\n",
	  1, 0, "which is a unix socket" },
	{ "h2",
	  LISTENER ROUTE "pools: { web: { protocol: h2, check: { tcp: true }, " SERVERS " } }\n", 0,
	  0, NULL },
	{ "h2_http_check", LISTENER ROUTE "pools: { web: { protocol: h2, " CHECKED " } }\n", 0, 0,
	  NULL },
	/* addresses */
	{ "bind_same", BINDS("\"10.0.0.1:80\"", "\"10.0.0.1:80\""), 1, 0,
	  "f.yaml:3:14: error: \"10.0.0.1:80\" is bound already: by \"x\" (\"10.0.0.1:80\") in "
	  "f.yaml:2" },
	{ "bind_same_listener", "listeners: { x: { bind: [\"*:80\", \"*:80\"] } }\n" WEB ROUTE, 1,
	  0, "is bound already: by \"x\"" },
	{ "bind_star_v4", BINDS("\"*:80\"", "\"0.0.0.0:80\""), 1, 0, "is bound already" },
	{ "bind_star_v6", BINDS("\"*:80\"", "\"[::]:80\""), 1, 0, "is bound already" },
	{ "bind_star_one", BINDS("\"127.0.0.1:80\"", "\"*:80\""), 1, 0, "is bound already" },
	{ "bind_any_one", BINDS("\"0.0.0.0:80\"", "\"127.0.0.1:80\""), 1, 0, "is bound already" },
	{ "bind_any6_one", BINDS("\"[::]:80\"", "\"[::1]:80\""), 1, 0, "is bound already" },
	{ "bind_v4_v6", BINDS("\"0.0.0.0:80\"", "\"[::]:80\""), 0, 0, NULL },
	{ "bind_v4_v6_one", BINDS("\"0.0.0.0:80\"", "\"[::1]:80\""), 0, 0, NULL },
	{ "bind_two_hosts", BINDS("\"127.0.0.1:80\"", "\"127.0.0.2:80\""), 0, 0, NULL },
	{ "bind_two_ports", BINDS("\"*:80\"", "\"*:81\""), 0, 0, NULL },
	{ "bind_unix_same", BINDS("\"unix:/a\"", "\"unix:/a\""), 1, 0, "is bound already" },
	{ "bind_unix_two", BINDS("\"unix:/a\"", "\"unix:/b\""), 0, 0, NULL },
	{ "bind_control", "control: { bind: \"127.0.0.1:80\" }\n" MINIMAL, 1, 0,
	  "is bound already" },
	{ "bind_tcp_udp",
	  "listeners: { x: { bind: \"*:53\", protocol: tcp, to: web }, y: { bind: \"*:53\", "
	  "protocol: udp, to: web } }\n" WEB,
	  0, 0, NULL },
	{ "bind_udp_udp",
	  "listeners: { x: { bind: \"*:53\", protocol: udp, to: web }, y: { bind: \"*:53\", "
	  "protocol: udp, to: web } }\n" WEB,
	  1, 0, "is bound already" },
	/* tcp and udp */
	{ "tcp", TCP("to: web"), 0, 0, NULL },
	{ "tcp_no_to", TCP("max_connections: 5"), 1, 0,
	  "f.yaml:1:14: error: tcp listener \"x\" has no \"to\": the pool that gets its "
	  "connections" },
	{ "tcp_no_pool", TCP("to: wbe"), 1, 0, "there is no pool \"wbe\"; did you mean \"web\"?" },
	{ "tcp_database", TCP("to: postgres.main.primary"), 1, 0,
	  "there is no pool \"postgres.main.primary\"" },
	{ "tcp_sni", TCP("sni: { a.test: web, \"*.b.test\": web }"), 0, 0, NULL },
	{ "tcp_sni_no_pool", TCP("sni: { a.test: wbe }"), 1, 0,
	  "f.yaml:1:63: error: there is no pool \"wbe\"" },
	{ "tcp_http_options",
	  TCP("to: web, max_line: 1KiB, timeouts: { response: 2s, session: 2s }"), 0, 3,
	  "\"max_line\" has no effect: listener \"x\" speaks tcp" },
	{ "tcp_route", TCP("to: web") "routes: { a: { to: web, listener: x } }\n", 1, 0,
	  "listener \"x\" speaks tcp: no request of a route comes from there" },
	{ "tcp_header_hash",
	  "listeners: { x: { bind: \"*:80\", protocol: tcp, to: web } }\npools: { web: { balance: "
	  "header_hash, hash_header: A, " CHECKED " } }\n",
	  1, 0, "what comes by tcp has no header" },
	{ "udp", UDP("to: web"), 0, 0, NULL },
	{ "udp_no_to", UDP("sni: { a.test: web }"), 2, 0, "the pool that gets its datagrams" },
	{ "udp_accept_proxy", UDP("to: web, accept_proxy: 10.0.0.0/8"), 1, 0,
	  "datagrams carry no PROXY header" },
	{ "udp_unix", "listeners: { x: { bind: \"unix:/x\", protocol: udp, to: web } }\n" WEB, 1, 0,
	  "a udp listener needs an IP address" },
	{ "udp_unix_server",
	  "listeners: { x: { bind: \"*:80\", protocol: udp, to: web } }\npools: { web: { check: { "
	  "tcp: true }, servers: { a: \"unix:/x\" } } }\n",
	  1, 0, "is a unix socket, which takes no datagrams" },
	{ "udp_send_proxy",
	  "listeners: { x: { bind: \"*:80\", protocol: udp, to: web } }\npools: { web: { "
	  "send_proxy: "
	  "v2, " CHECKED " } }\n",
	  1, 0, "has \"send_proxy\"" },
	{ "send_proxy_ping",
	  LISTENER ROUTE "pools: { web: { check: { ping: true, send_proxy: v2 }, " SERVERS " } }\n",
	  0, 1, "\"send_proxy\" has no effect: this is no tcp, http, tls, " },
	{ "send_proxy_h2",
	  LISTENER ROUTE "pools: { web: { send_proxy: v2, protocol: h2, " CHECKED " } }\n", 1, 0,
	  "does not suit \"protocol: h2\"" },
	{ "udp_options", UDP("to: web, timeouts: { tunnel: 2s }, access_log: true"), 0, 2,
	  "\"tunnel\" has no effect: listener \"x\" speaks udp" },
	{ "warn_unused_but_tcp",
	  "listeners: { h: { bind: \"*:80\" }, x: { bind: \"*:81\", protocol: tcp, to: old } "
	  "}\n" ROUTE "pools: { web: { " CHECKED " }, old: { " CHECKED " } }\n",
	  0, 0, NULL },
	/* ties */
	{ "tie_all", ROUTES("path: /", "path: /"), 1, 0,
	  "f.yaml:6:3: error: route \"b\" ties with route \"a\" (f.yaml:5): both take any host, "
	  "path /" },
	{ "tie_host", ROUTES("host: x.test", "host: [y.test, X.TEST]"), 1, 1,
	  "both take host \"x.test\", path /" },
	{ "tie_two_hosts", ROUTES("host: [x.test, y.test]", "host: [y.test, x.test]"), 2, 1,
	  "ties with" },
	{ "tie_wildcard", ROUTES("host: \"*.x.test\"", "host: \"*.x.test\""), 1, 1,
	  "\"*.x.test\"" },
	{ "tie_method_overlap", ROUTES("method: [GET, PUT]", "method: [PUT]"), 1, 1, "ties with" },
	{ "tie_different_kinds", ROUTES("method: GET", "client: 10.0.0.0/8"), 1, 1, "ties with" },
	{ "tie_networks", ROUTES("client: 10.0.0.0/8", "client: 10.1.0.0/16"), 1, 1, "ties with" },
	{ "tie_header_present", ROUTES("header: { A: }", "header: { A: x }"), 1, 1, "ties with" },
	{ "tie_headers", ROUTES("header: { A: x }", "header: { B: x }"), 1, 1, "ties with" },
	{ "no_tie_path", ROUTES("path: /a", "path: /b"), 0, 1, NULL },
	{ "no_tie_prefix", ROUTES("path: /", "path: /a"), 0, 0, NULL },
	{ "no_tie_host", ROUTES("host: x.test", "host: \"*.test\""), 0, 1, NULL },
	{ "no_tie_conditions", ROUTES("method: GET", "path: /"), 0, 0, NULL },
	{ "no_tie_methods", ROUTES("method: GET", "method: POST"), 0, 1, NULL },
	{ "no_tie_networks", ROUTES("client: 10.0.0.0/8", "client: 11.0.0.0/8"), 0, 1, NULL },
	{ "no_tie_families", ROUTES("client: 10.0.0.0/8", "client: \"fd00::/8\""), 0, 1, NULL },
	{ "no_tie_unix", ROUTES("client: unix", "client: 10.0.0.0/8"), 0, 1, NULL },
	{ "no_tie_header_values", ROUTES("header: { A: x }", "header: { a: y }"), 0, 1, NULL },
	{ "no_tie_listeners",
	  "listeners: { x: { bind: \"*:80\" }, y: { bind: \"*:81\" } }\n" WEB
	  "routes: { a: { to: web, listener: x }, b: { to: web, listener: y } }\n",
	  0, 0, NULL },
	{ "tie_listeners",
	  "listeners: { x: { bind: \"*:80\" }, y: { bind: \"*:81\" } }\n" WEB
	  "routes: { a: { to: web, listener: x }, b: { to: web, listener: [x, y] } }\n",
	  1, 0, "ties" },
	{ "no_tie_with_faulty", ROUTES("path: x", "path: /"), 1, 0, "must start with" },
	/* warnings */
	{ "warn_one_server",
	  LISTENER ROUTE "pools: { web: { check: { http: / }, servers: { a: 10.0.0.1:80 } } }\n", 0,
	  1, "f.yaml:5:37: warning: pool \"web\" has one server: when it fails, so does all" },
	{ "warn_no_check", LISTENER ROUTE "pools: { web: { " SERVERS " } }\n", 0, 1,
	  "has no check: a dead server is noticed by failed requests only" },
	{ "warn_backups",
	  LISTENER ROUTE "pools: { web: { check: { http: / }, servers: "
	                 "{ a: { address: 10.0.0.1:80, backup: true }, b: { address: 10.0.0.2:80, "
	                 "backup: true } } } }\n",
	  0, 1, "has backup servers only" },
	{ "warn_weights",
	  LISTENER ROUTE "pools: { web: { check: { http: / }, servers: "
	                 "{ a: { address: 10.0.0.1:80, weight: 0 }, b: { address: 10.0.0.2:80, "
	                 "weight: 0 } } } }\n",
	  0, 1, "weight 0: none takes requests" },
	{ "warn_same_address",
	  LISTENER ROUTE "pools: { web: { check: { http: / }, servers: "
	                 "{ a: 10.0.0.1:80, b: 10.0.0.1:80 } } }\n",
	  0, 1, "they fail together" },
	{ "warn_unused", MINIMAL "  # \n", 0, 0, NULL },
	{ "warn_unused_pool",
	  LISTENER ROUTE "pools: { web: { " CHECKED " }, old: { " CHECKED " } }\n", 0, 1,
	  "pool \"old\" is not used by any route or listener" },
	{ "warn_no_host", LISTENER WEB "routes: { a: { to: web, host: x.test } }\n", 0, 1,
	  "requests to listener \"http\" that match no route get 404" },
	{ "warn_timeout",
	  LISTENER ROUTE "pools: { web: { check: { http: /, timeout: 2s }, " SERVERS " } }\n", 0, 1,
	  "timeout is not below its interval" },
	{ "warn_fall",
	  LISTENER ROUTE "pools: { web: { check: { http: /, fall: 1 }, " SERVERS " } }\n", 0, 1,
	  "fall 1: a single lost probe takes a server out" },
	{ "warn_slow_check",
	  LISTENER ROUTE "pools: { web: { check: { http: /, interval: 30s }, " SERVERS " } }\n", 0,
	  1, "more than a minute" },
	{ "warn_retries", LISTENER ROUTE "pools: { web: { retries: 0, " CHECKED " } }\n", 0, 1,
	  "no retries: a server that fails costs" },
	{ "warn_budget", LISTENER ROUTE "pools: { web: { retry_budget: 0%, " CHECKED " } }\n", 0, 1,
	  "a retry budget of 0%" },
	{ "warn_queue",
	  LISTENER ROUTE "pools: { web: { max_connections: 5, queue_length: 0, " CHECKED " } }\n",
	  0, 1, "no queue" },
	{ "warn_control", "control: { bind: \"*:8404\" }\n" MINIMAL, 0, 1,
	  "open to other machines" },
	{ "warn_control_token", "control: { bind: \"10.0.0.1:8404\", token: 0123456789 }\n" MINIMAL,
	  0, 1, "can be overheard" },
	{ "control_loopback", "control: { bind: \"127.0.0.1:8404\" }\n" MINIMAL, 0, 0, NULL },
	{ "control_loopback6", "control: { bind: \"[::1]:8404\" }\n" MINIMAL, 0, 0, NULL },
	{ "warn_shutdown", "proxy: { shutdown_timeout: 0 }\n" MINIMAL, 0, 1, "cuts open requests" },
	{ "warn_hash_header", LISTENER ROUTE "pools: { web: { hash_header: A, " CHECKED " } }\n", 0,
	  1, "\"hash_header\" has no effect: balance is round_robin" },
	{ "warn_http_only",
	  LISTENER ROUTE "pools: { web: { check: { tcp: true, expect: 200 }, " SERVERS " } }\n", 0,
	  1, "\"expect\" has no effect: this is no http check" },
	{ "warn_expiry",
	  LISTENER ROUTE "pools: { web: { check: { tcp: true, expiry: 3d }, " SERVERS " } }\n", 0,
	  1, "\"expiry\" has no effect: this is no tls check" },
	{ "warn_role",
	  LISTENER ROUTE "pools: { web: { check: { mysql: true, role: primary }, " SERVERS " } }\n",
	  0, 1, "\"role\" has no effect: this is no redis or postgres check" },
	{ "warn_ping_port",
	  LISTENER ROUTE "pools: { web: { check: { ping: true, port: 7 }, " SERVERS " } }\n", 0, 1,
	  "\"port\" has no effect: ping checks use none" },
	{ "warn_user",
	  LISTENER ROUTE "pools: { web: { check: { tcp: true, user: x }, " SERVERS " } }\n", 0, 1,
	  "\"user\" has no effect" },
};

static void test_case(void **state)
{
	const struct verify_case *c = *state;
	struct loaded t = load_text_n(c->text, strlen(c->text));

	if (t.problems.errors != c->errors || (!c->errors && t.problems.warnings != c->warnings)) {
		print_error("%s", buf_cstr(&t.problems.text));
	}
	assert_int_equal(t.problems.errors, c->errors);
	if (c->errors == 0) {
		assert_int_equal(t.problems.warnings, c->warnings);
	}
	if (c->problem) {
		assert_has(&t, c->problem);
	}
	unload(&t);
}

/* The order of routes in the file decides nothing: the error names the same two. */
static void test_order(void **state)
{
	struct loaded t =
	    load_text_n(LISTENER WEB "routes:\n  z: { to: web }\n  a: { to: web }\n",
	                strlen(LISTENER WEB "routes:\n  z: { to: web }\n  a: { to: web }\n"));

	(void)state;
	assert_int_equal(t.problems.errors, 1);
	assert_has(&t, "f.yaml:6:3: error: route \"a\" ties with route \"z\" (f.yaml:5)");
	unload(&t);
}

int main(void)
{
	static struct rows r;

	ROWS_ADD_TABLE(&r, cases, test_case);
	rows_add(&r, "tie_names_the_later", test_order, NULL);
	return rows_run(&r, "conf_verify");
}
