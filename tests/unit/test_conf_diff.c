/* SPDX-License-Identifier: Apache-2.0 */
/* Differences between two configurations: what, and what it touches. */
#include "rows.h"

#include <jansson.h>

#include "conf_text.h"

#define L(x) "listeners: { http: { bind: \"*:80\"" x " } }\n"
#define R(x) "routes: { all: { to: web" x " } }\n"
#define P(x) \
	"pools: { web: { servers: { a: 10.0.0.1:80, b: 10.0.0.2:80 }, check: { http: /" x " } } " \
	"}\n"

#define N "nodes: { lb1: { address: 10.0.0.11 }, lb2: { address: 10.0.0.12 } }\n" MINIMAL
#define V(x) \
	N "virtual_ips: { web: { interface: eth0, router_id: 51, priority: { lb1: 200, lb2: 100 " \
	  "}, " x " } }\n"
#define A      "address: 10.0.0.100/24"
#define C(x)   MINIMAL "checks: { db: { address: 10.0.0.9:80, http: /" x " } }\n"
#define SLO(x) MINIMAL "slo: { " x " }\n"

struct diff_case {
	const char *name;
	const char *from, *to;
	const char *line; /* the only one; NULL: no change */
};

static const struct diff_case cases[] = {
	{ "vip_added", N, V(A),
	  "virtual_ips.web: added (the virtual IP is adjusted; its address stays)" },
	{ "vip_removed", V(A), N, "virtual_ips.web: removed (the virtual IP" },
	{ "vip_same", V(A), V(A ", advertise: 1000ms, track: [proxy], preempt: yes"), NULL },
	{ "vip_address", V(A), V("address: 10.0.0.101/24"),
	  "virtual_ips.web.address: 10.0.0.100/24 -> 10.0.0.101/24 (the virtual IP is adjusted" },
	{ "vip_derived_is_not_shown", V("address: \"fd00::1/64\""), V("address: \"fd00::2/64\""),
	  "virtual_ips.web.address: fd00::1/64 -> fd00::2/64 (" },
	{ "vip_priority", V(A),
	  N "virtual_ips: { web: { interface: eth0, router_id: 51, priority: { lb1: 150, lb2: 100 "
	    "}, " A " } }\n",
	  "virtual_ips.web.priority: { lb1: 200, lb2: 100 } -> { lb1: 150, lb2: 100 } (" },
	{ "vip_preempt", V(A), V(A ", preempt: 30s"), "virtual_ips.web.preempt: true -> 30s (" },
	{ "vip_track", V(A), V(A ", track: [proxy, { pool.web: { min: 2 } }]"),
	  "virtual_ips.web.track: [proxy] -> { proxy: { }, pool.web: { min: 2 } } (" },
	{ "vip_unicast", V(A), V(A ", unicast_peers: true"),
	  "virtual_ips.web.unicast_peers: false -> true (the virtual IP starts over; its address "
	  "may move)" },
	{ "vip_password", V(A ", version: 2, password: a"), V(A ", version: 2, password: b"),
	  "virtual_ips.web.password: changed (" },
	{ "vip_notify", V(A), V(A ", notify: { exec: [/bin/x] }"),
	  "virtual_ips.web.notify: (not set) -> { exec: [/bin/x], timeout: 10s } (the virtual IP "
	  "is "
	  "adjusted" },
	{ "node_address", N,
	  "nodes: { lb1: { address: 10.0.0.11 }, lb2: { address: 10.0.0.13 } }\n" MINIMAL,
	  "nodes.lb2.address: 10.0.0.12 -> 10.0.0.13 (" },
	{ "check_added", MINIMAL, C(""), "checks.db: added (" },
	{ "check_key", C(""), C(", rise: 1"),
	  "checks.db.rise: 2 -> 1 (checks of the pool start over with its states kept)" },
	{ "check_address", MINIMAL "checks: { db: { address: 10.0.0.8:80, http: / } }\n", C(""),
	  "checks.db.address: 10.0.0.8:80 -> 10.0.0.9:80 (" },
	{ "slo_set", SLO("failed: 1"), SLO("failed: 1, outage: 150ms"),
	  "slo.outage: (not set) -> 150ms (" },
	{ "slo_zero", SLO("failed: 1"), SLO("failed: 0"), "slo.failed: 1 -> 0 (" },
	{ "slo_drill", SLO("drills: { reload: { failed: 1 } }"),
	  SLO("drills: { reload: { failed: 2 } }"), "slo.drills.reload.failed: 1 -> 2 (" },
	{ "same", MINIMAL, MINIMAL, NULL },
	{ "same_but_order", L("") R("") P(""), P("") R("") L(""), NULL },
	{ "same_but_default", L("") R("") P(""), L(", max_line: 8KiB") R("") P(""), NULL },
	{ "same_but_spelling", L(", max_body: 1024KiB") R("") P(""),
	  L(", max_body: 1MiB") R("") P(""), NULL },
	{ "size", L("") R("") P(""), L(", max_line: 16KiB") R("") P(""),
	  "listeners.http.max_line: 8KiB -> 16KiB (the next request sees it; open connections "
	  "stay)" },
	{ "bind", L("") R("") P(""), "listeners: { http: { bind: \"*:81\" } }\n" R("") P(""),
	  "listeners.http.bind: \"*:80\" -> \"*:81\" (a listening socket is opened or closed)" },
	{ "binds", L("") R("") P(""),
	  "listeners: { http: { bind: [\"*:80\", \"*:81\"] } }\n" R("") P(""),
	  "listeners.http.bind: \"*:80\" -> [\"*:80\", \"*:81\"] (a listening socket" },
	{ "timeout", L("") R("") P(""), L(", timeouts: { response: 5s }") R("") P(""),
	  "listeners.http.timeouts.response: 1m -> 5s (" },
	{ "access_log_on", L("") R("") P(""), L(", access_log: true") R("") P(""),
	  "listeners.http.access_log: false -> { path: stderr, format: json, sample: 1 } "
	  "(logging" },
	{ "access_log_option", L(", access_log: true") R("") P(""),
	  L(", access_log: { sample: 0.5 }") R("") P(""),
	  "listeners.http.access_log.sample: 1 -> 0.5 (" },
	{ "listener_added", L("") R("") P(""),
	  "listeners: { http: { bind: \"*:80\" }, alt: { bind: \"*:81\" } }\n" R("") P(""),
	  "listeners.alt: added (a listening socket is opened or closed)" },
	{ "route_path", L("") R("") P(""), L("") R(", path: /a") P(""),
	  "routes.all.path: / -> /a (routes are rebuilt" },
	{ "route_host_set", L("") R("") P(""), L("") R(", host: a.test") P(""),
	  "routes.all.host: (not set) -> [a.test] (" },
	{ "route_host_unset", L("") R(", host: a.test") P(""), L("") R("") P(""),
	  "routes.all.host: [a.test] -> (not set) (" },
	{ "route_removed", L("") "routes: { all: { to: web }, b: { to: web, path: /b } }\n" P(""),
	  L("") R("") P(""), "routes.b: removed (" },
	{ "route_timeout", L("") R("") P(""), L("") R(", timeouts: { response: 5s }") P(""),
	  "routes.all.timeouts.response: (not set) -> 5s (" },
	{ "route_header", L("") R(", header: { A: x }") P(""), L("") R(", header: { A: z }") P(""),
	  "routes.all.header: { A: x } -> { A: z } (" },
	{ "check_interval", L("") R("") P(""), L("") R("") P(", interval: 5s"),
	  "pools.web.check.interval: 2s -> 5s (checks of the pool start over with its states "
	  "kept)" },
	{ "check_removed", L("") R("") P(""),
	  L("") R("") "pools: { web: { servers: { a: 10.0.0.1:80, b: 10.0.0.2:80 } } }\n",
	  "pools.web.check: { http: /, method: GET, expect: \"200-399\", interval: 2s" },
	{ "server_address", L("") R("") P(""),
	  L("") R("") "pools: { web: { servers: { a: 10.0.0.1:80, b: 10.0.0.3:80 }, check: { http: "
	              "/ } } }\n",
	  "pools.web.servers.b.address: 10.0.0.2:80 -> 10.0.0.3:80 (a server's connections" },
	{ "server_weight", L("") R("") P(""),
	  L("") R("") "pools: { web: { servers: { a: 10.0.0.1:80, b: { address: 10.0.0.2:80, "
	              "weight: 3 } },"
	              " check: { http: / } } }\n",
	  "pools.web.servers.b.weight: 1 -> 3 (" },
	{ "server_added", L("") R("") P(""),
	  L("")
	      R("") "pools: { web: { servers: { a: 10.0.0.1:80, aa: 10.0.0.4:80, b: 10.0.0.2:80 },"
	            " check: { http: / } } }\n",
	  "pools.web.servers.aa: added (" },
	{ "server_removed", L("") R("") P(""),
	  L("") R("") "pools: { web: { servers: { b: 10.0.0.2:80 }, check: { http: / } } }\n",
	  "pools.web.servers.a: removed (" },
	{ "passive_off", L("") R("") P(""),
	  L("")
	      R("") "pools: { web: { passive: false, servers: { a: 10.0.0.1:80, b: 10.0.0.2:80 }, "
	            "check: { http: / } } }\n",
	  "pools.web.passive: { failures: 5, eject: 10s, max_ejected: 50%, enabled: true } -> "
	  "false (" },
	{ "threads", L("") R("") P(""), "proxy: { threads: 2 }\n" L("") R("") P(""),
	  "proxy.threads: auto -> 2 (proxy threads are started or ended" },
	{ "user", L("") R("") P(""), "user: nobody\n" L("") R("") P(""),
	  "user: holdfast -> nobody (needs a restart of holdfast)" },
	{ "token", "control: { bind: 127.0.0.1:9, token: 11111111 }\n" MINIMAL,
	  "control: { bind: 127.0.0.1:9, token: 22222222 }\n" MINIMAL,
	  "control.token: changed (the control role follows; traffic is not touched)" },
	{ "control_added", MINIMAL, "control: { bind: \"127.0.0.1:9\" }\n" MINIMAL,
	  "control: (not set) -> { bind: 127.0.0.1:9 } (the control role" },
	{ "trust", MINIMAL, "trust: [10.0.0.0/8]\n" MINIMAL, "trust: (not set) -> [10.0.0.0/8] (" },
};

static void test_diff(void **state)
{
	const struct diff_case *c = *state;
	struct loaded a = load_well(c->from), b = load_well(c->to);
	struct buf text = BUF_INIT, json = BUF_INIT;
	json_t *j;

	assert_int_equal(conf_diff(conf_of(a.l), conf_of(b.l), false, &text), c->line ? 1 : 0);
	if (c->line && strncmp(buf_cstr(&text), c->line, strlen(c->line)) != 0) {
		print_error("wanted %s\ngot %s", c->line, buf_cstr(&text));
		fail();
	}
	assert_int_equal(conf_diff(conf_of(a.l), conf_of(b.l), true, &json), c->line ? 1 : 0);
	j = json_loads(buf_cstr(&json), 0, NULL);
	assert_true(json_is_array(j));
	assert_int_equal(json_array_size(j), c->line ? 1 : 0);
	if (c->line) {
		const char *path = json_string_value(json_object_get(json_array_get(j, 0), "path"));

		assert_int_equal(strncmp(path, c->line, strlen(path)), 0);
	}
	json_decref(j);
	buf_free(&text);
	buf_free(&json);
	unload(&a);
	unload(&b);
}

static void test_many(void **state)
{
	struct loaded a = load_well(MINIMAL), b = load_well(everything);
	struct buf there = BUF_INIT, back = BUF_INIT;
	unsigned n = conf_diff(conf_of(a.l), conf_of(b.l), false, &there);

	(void)state;
	assert_true(n > 20);
	assert_int_equal(conf_diff(conf_of(b.l), conf_of(a.l), false, &back), n);
	assert_null(strstr(buf_cstr(&there), "0123456789abcdef"));
	buf_free(&there);
	buf_free(&back);
	unload(&a);
	unload(&b);
}

int main(void)
{
	static struct rows r;

	ROWS_ADD_TABLE(&r, cases, test_diff);
	rows_add(&r, "many", test_many, NULL);
	return rows_run(&r, "conf_diff");
}
