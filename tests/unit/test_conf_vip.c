/* SPDX-License-Identifier: Apache-2.0 */
/* Virtual IPs, named checks, nodes and limits of drills: reading, rules, warnings, look-ups. */
#include "rows.h"

#include <arpa/inet.h>

#include "base/clock.h"
#include "conf_text.h"
#include "drill/impl.h"

#define NODES "nodes: { lb1: { address: 10.0.0.11 }, lb2: { address: 10.0.0.12 } }\n"
#define NODES3 \
	"nodes: { a: { address: 10.0.0.11 }, b: { address: 10.0.0.12 }, c: { address: 10.0.0.13 " \
	"} }\n"
#define ADDRESS "address: 10.0.0.100/24, "
#define HERE    "interface: eth0, router_id: 51, "
#define BOTH    "priority: { lb1: 200, lb2: 100 }"
#define VIP(x)  NODES "virtual_ips: { web: { " x " } }\n" MINIMAL
#define WITH(x) VIP(ADDRESS HERE BOTH ", " x)
#define SIX(x)  VIP("address: \"fd00::100/64\", " HERE BOTH ", " x)
#define TWO(x, y) \
	NODES "virtual_ips:\n  one: { interface: eth0, " x " }\n  two: { interface: eth0, " y \
	      " }\n" MINIMAL
#define CHECK(x) WITH("track: [proxy, check.db]") "checks: { db: { " x " } }\n"
#define SLO(x)   "slo: { " x " }\n" MINIMAL

struct vip_case {
	const char *name;
	const char *text;
	uint32_t errors, warnings;
	const char *problem; /* part of the text; NULL: none */
};

static const struct vip_case cases[] = {
	{ "well", VIP(ADDRESS HERE BOTH), 0, 0, NULL },
	{ "nodes_alone", NODES MINIMAL, 0, 0, NULL },
	{ "none", "virtual_ips: {}\n" MINIMAL, 0, 0, NULL },
	/* what must be there */
	{ "no_address", VIP(HERE BOTH), 1, 0,
	  "f.yaml:2:16: error: virtual IP \"web\" has no \"address\"" },
	{ "no_interface", VIP(ADDRESS "router_id: 51, " BOTH), 1, 0,
	  "virtual IP \"web\" has no \"interface\"" },
	{ "no_router_id", VIP(ADDRESS "interface: eth0, " BOTH), 1, 0, "has no \"router_id\"" },
	{ "no_priority", VIP(ADDRESS HERE), 1, 0, "has no \"priority\"" },
	{ "unknown_key", WITH("virtual_router_id: 5"), 1, 0,
	  "unknown key \"virtual_router_id\" in virtual IP \"web\"" },
	/* addresses */
	{ "address_port", VIP("address: \"10.0.0.1:80\", " HERE BOTH), 1, 0,
	  "\"address\": \"10.0.0.1:80\" is not an address like 10.0.0.100/24" },
	{ "address_name", VIP("address: web.test, " HERE BOTH), 1, 0, "is not an address like" },
	{ "address_long_prefix", VIP("address: 10.0.0.100/33, " HERE BOTH), 1, 0,
	  "prefix length that is not between 1 and 32" },
	{ "address_no_prefix", VIP("address: 10.0.0.100/, " HERE BOTH), 1, 0, "between 1 and 32" },
	{ "address_zero_prefix", VIP("address: 10.0.0.100/0, " HERE BOTH), 1, 0,
	  "between 1 and 32" },
	{ "address_prefix6", VIP("address: \"fd00::1/129\", " HERE BOTH), 1, 0,
	  "between 1 and 128" },
	{ "address_network", VIP("address: 10.0.0.0/24, " HERE BOTH), 1, 0, "is a network" },
	{ "address_broadcast", VIP("address: 10.0.0.255/24, " HERE BOTH), 1, 0, "broadcast" },
	{ "address_point_to_point", VIP("address: 10.0.0.100/31, " HERE BOTH), 0, 0, NULL },
	{ "address_host", VIP("address: 10.0.0.100, " HERE BOTH), 0, 0, NULL },
	{ "address_loopback", VIP("address: 127.0.0.2/8, " HERE BOTH), 1, 0, "that a host can" },
	{ "address_multicast", VIP("address: 224.0.0.18, " HERE BOTH), 1, 0, "that a host can" },
	{ "address_any6", VIP("address: \"::\", " HERE BOTH), 1, 0, "that a host can" },
	{ "address_mapped", VIP("address: \"::ffff:10.0.0.1\", " HERE BOTH), 1, 0,
	  "that a host can" },
	{ "address_zone", VIP("address: \"fe80::1%lo/64\", " HERE BOTH), 1, 0,
	  "is not an address like" },
	{ "address_twice", VIP("addresses: [10.0.0.100/24, 10.0.0.100/25], " HERE BOTH), 1, 0,
	  "f.yaml:2:50: error: \"addresses\": \"10.0.0.100/25\" is there twice" },
	{ "address_families", VIP("addresses: [10.0.0.100/24, \"fd00::100/64\"], " HERE BOTH), 1, 0,
	  "make two virtual IPs, one for IPv4 and one for IPv6, with the same \"sync_group\"" },
	{ "address_both_keys", WITH("addresses: [10.0.0.101/24]"), 1, 0,
	  "\"address\" is here too: give all of them under \"addresses\"" },
	{ "address_of_node", VIP("address: 10.0.0.12/24, " HERE BOTH), 1, 0,
	  "f.yaml:2:32: error: 10.0.0.12/24 is the address of node \"lb2\", which would keep it" },
	{ "addresses_one_of_node", VIP("addresses: [10.0.0.100/24, 10.0.0.12/24], " HERE BOTH), 1,
	  0, "f.yaml:2:50: error: 10.0.0.12/24 is the address of node" },
	{ "address_empty_list", VIP("addresses: [], " HERE BOTH), 1, 0, "is an empty list" },
	/* numbers and words */
	{ "router_id_zero", VIP(ADDRESS "interface: eth0, router_id: 0, " BOTH), 1, 0,
	  "is out of bounds: 1 to 255" },
	{ "router_id_large", VIP(ADDRESS "interface: eth0, router_id: 256, " BOTH), 1, 0,
	  "is out of bounds: 1 to 255" },
	{ "interface_long", VIP(ADDRESS "interface: abcdefghijklmnop, router_id: 1, " BOTH), 1, 0,
	  "is longer than the 15 characters" },
	{ "version", WITH("version: 4"), 1, 0, "is out of bounds: 2 to 3" },
	{ "checksum", WITH("checksum: plian"), 1, 0, "did you mean \"plain\"?" },
	{ "preempt_word", WITH("preempt: later"), 1, 0, "neither true, false nor a duration" },
	{ "preempt_long", WITH("preempt: 25h"), 1, 0, "a duration up to 24h" },
	{ "preempt_delay", WITH("preempt: 30s"), 0, 0, NULL },
	{ "handover_short", WITH("handover: 10ms"), 1, 0, "is out of bounds: 1s to 1d, or off" },
	{ "group_name", WITH("sync_group: \"a b\""), 1, 0, "may hold letters" },
	/* advertisements */
	{ "advertise_short", WITH("advertise: 5ms"), 1, 0, "is out of bounds: 10ms to 255s" },
	{ "advertise_step", WITH("advertise: 105ms"), 1, 0,
	  "version 3 counts in steps of 10ms, 10ms to 40950ms" },
	{ "advertise_long", WITH("advertise: 41s"), 1, 0, "steps of 10ms, 10ms to 40950ms" },
	{ "advertise_longest", WITH("advertise: 40950ms"), 0, 0, NULL },
	{ "advertise_v2", WITH("version: 2, advertise: 1500ms"), 1, 0,
	  "version 2 counts in whole seconds, 1s to 255s; version 3 can do less" },
	{ "advertise_v2_short", WITH("version: 2, advertise: 100ms"), 1, 0, "whole seconds" },
	{ "advertise_v2_longest", WITH("version: 2, advertise: 255s"), 0, 0, NULL },
	{ "ipv6_v2", SIX("version: 2"), 1, 0, "IPv6 addresses need version 3" },
	{ "password_v3", WITH("password: secret"), 1, 0, "\"password\" is of version 2 only" },
	{ "password_long", WITH("version: 2, password: secret789"), 1, 0,
	  "is longer than the 8 characters" },
	{ "password_hidden", WITH("version: 2, password: secret789"), 1, 0,
	  "error: \"password\" is longer" },
	{ "password", WITH("version: 2, password: secret78"), 0, 1,
	  "the password is no protection: it is sent in clear text" },
	{ "plain_checksum", WITH("checksum: plain"), 0, 0, NULL },
	{ "plain_checksum_v2", WITH("version: 2, checksum: plain"), 0, 1, "has no effect" },
	{ "plain_checksum6", SIX("checksum: plain"), 0, 1, "has no effect" },
	/* priorities */
	{ "priority_list", VIP(ADDRESS HERE "priority: [lb1, lb2]"), 1, 0,
	  "must be a map of nodes and their priorities, not a list" },
	{ "priority_empty", VIP(ADDRESS HERE "priority: {}"), 1, 0, "must be a map of nodes" },
	{ "priority_word", VIP(ADDRESS HERE "priority: { lb1: high, lb2: 100 }"), 1, 0,
	  "is not a priority between 1 and 254" },
	{ "priority_owner", VIP(ADDRESS HERE "priority: { lb1: 255, lb2: 100 }"), 1, 0,
	  "\"255\" is the priority of an address's owner" },
	{ "priority_zero", VIP(ADDRESS HERE "priority: { lb1: 0, lb2: 100 }"), 1, 0,
	  "is not a priority between 1 and 254" },
	{ "priority_unknown", VIP(ADDRESS HERE "priority: { lb1: 200, bl2: 100 }"), 1, 0,
	  "there is no node \"bl2\"; did you mean \"lb2\"?" },
	{ "priority_place", VIP(ADDRESS HERE "priority: { lb1: 200, lb3: 100 }"), 1, 0,
	  "f.yaml:2:101: error: there is no node \"lb3\"" },
	{ "priority_low_band", VIP(ADDRESS HERE "priority: { lb1: 200, lb2: 2 }"), 1, 0,
	  "\"priority\": with 2 nodes it must be above 2: priorities up to there are for nodes" },
	{ "priority_above_low_band", VIP(ADDRESS HERE "priority: { lb1: 4, lb2: 3 }"), 0, 0, NULL },
	{ "priority_same", VIP(ADDRESS HERE "priority: { lb1: 100, lb2: 100 }"), 0, 1,
	  "nodes \"lb1\" and \"lb2\" have the same priority" },
	{ "priority_one", VIP(ADDRESS HERE "priority: { lb1: 200 }"), 0, 1,
	  "virtual IP \"web\" has one node: when it dies nobody takes over" },
	/* unicast and MAC */
	{ "unicast", WITH("unicast_peers: true"), 0, 0, NULL },
	{ "unicast_alone", VIP(ADDRESS HERE "priority: { lb1: 200 }, unicast_peers: true"), 1, 0,
	  "\"unicast_peers\": there is no other node in \"priority\" to send to" },
	{ "unicast_family", SIX("unicast_peers: true"), 2, 0,
	  "\"unicast_peers\": node \"lb1\" has no IPv6 address to send to: its \"address\" is "
	  "10.0.0.11" },
	{ "unicast_same_node",
	  "nodes: { lb1: { address: 10.0.0.11 }, lb2: { address: 10.0.0.11 } }\n"
	  "virtual_ips: { web: { " ADDRESS HERE BOTH ", unicast_peers: true } }\n" MINIMAL,
	  1, 0, "have the same address" },
	{ "mac_unicast", WITH("unicast_peers: true, virtual_mac: true"), 1, 0,
	  "\"virtual_mac\" does not go with \"unicast_peers\"" },
	/* what is tracked */
	{ "track_none", WITH("track: []"), 0, 1, "\"proxy\" is not tracked" },
	{ "track_word", WITH("track: proxy"), 0, 0, NULL },
	{ "track_map", WITH("track: { proxy: , pool.web: { min: 2 } }"), 0, 0, NULL },
	{ "track_mixed", WITH("track: [proxy, { pool.web: { min: 2 }, gateway: }]"), 0, 0, NULL },
	{ "track_interface", WITH("track: [proxy, interface.eth0]"), 0, 0, NULL },
	{ "track_unknown", WITH("track: [proxy, moon]"), 1, 0,
	  "\"moon\" is no condition: proxy, pool.NAME, check.NAME, interface.NAME and gateway "
	  "are" },
	{ "track_typo", WITH("track: [proxi]"), 1, 0, "did you mean \"proxy\"?" },
	{ "track_bare_pool", WITH("track: [proxy, web]"), 1, 0, "did you mean \"pool.web\"?" },
	{ "track_no_pool", WITH("track: [proxy, pool.wbe]"), 1, 0,
	  "there is no pool \"wbe\"; did you mean \"web\"?" },
	{ "track_no_check", WITH("track: [proxy, check.db]"), 1, 0, "there is no check \"db\"" },
	{ "track_empty_name", WITH("track: [proxy, pool.]"), 1, 0, "is no condition" },
	{ "track_twice", WITH("track: [proxy, pool.web, { pool.web: { min: 2 } }]"), 1, 0,
	  "\"pool.web\" is there twice" },
	{ "track_min_large", WITH("track: { proxy: , pool.web: { min: 3 } }"), 1, 0,
	  "f.yaml:2:148: error: \"min\": 3 servers can never be in service: pool \"web\" has 2" },
	{ "track_min_zero", WITH("track: { proxy: , pool.web: { min: 0 } }"), 1, 0,
	  "is out of bounds: 1 to" },
	{ "track_min_elsewhere", WITH("track: { proxy: { min: 1 } }"), 1, 0,
	  "\"min\" is for pools only" },
	{ "track_key", WITH("track: { pool.web: { least: 1 } }"), 1, 0,
	  "unknown key \"least\" in \"pool.web\"" },
	{ "track_number", WITH("track: { pool.web: 2 }"), 1, 0,
	  "\"pool.web\" must be a map of \"min\" and \"weight\", not a single value" },
	{ "track_list_in_list", WITH("track: [[proxy]]"), 1, 0, "not a list" },
	{ "track_interface_name", WITH("track: [interface.abcdefghijklmnop]"), 1, 0,
	  "15 characters" },
	{ "track_weight_large", WITH("track: { pool.web: { weight: 254 } }"), 1, 0,
	  "is out of bounds: 1 to 253" },
	{ "weight_too_small", WITH("track: { proxy: , pool.web: { weight: 20 } }"), 0, 1,
	  "pool.web failing takes 20 from lb1's 200, which stays above lb2's 100: the address "
	  "would not move; use a weight of at least 101 or none" },
	{ "weight_equal", WITH("track: { proxy: , pool.web: { weight: 100 } }"), 0, 1,
	  "which is then equal to lb2's 100" },
	{ "weight_enough", WITH("track: { proxy: , pool.web: { weight: 101 } }"), 0, 0, NULL },
	{ "weight_same_priority",
	  VIP(ADDRESS HERE "priority: { lb1: 100, lb2: 100 }, track: { proxy: { weight: 1 } }"), 0,
	  1, "the same priority" },
	{ "weight_never_enough",
	  VIP(ADDRESS HERE "priority: { lb1: 9, lb2: 3 }, track: { proxy: { weight: 8 } }"), 0, 1,
	  "proxy failing takes 8 from lb1's 9, which is then equal to lb2's 3: the address would "
	  "not move; use none\n" },
	{ "weight_no_preempt",
	  WITH("preempt: false, track: { proxy: , pool.web: { weight: 150 } }"), 0, 1,
	  "a lower priority moves nothing: the weight of \"pool.web\" has no effect" },
	/* notify */
	{ "notify", WITH("notify: { exec: [/bin/x], webhook: \"https://a.test/x\" }"), 0, 0, NULL },
	{ "notify_relative", WITH("notify: { exec: [x] }"), 1, 0, "is not an absolute path" },
	{ "notify_url", WITH("notify: { webhook: a.test }"), 1, 0, "\"webhook\" is not a URL" },
	{ "notify_user", WITH("notify: { user: nobody, webhook: \"https://a.test/x\" }"), 0, 1,
	  "\"user\" has no effect" },
	/* two of them */
	{ "two",
	  TWO("router_id: 1, address: 10.0.0.100/24, " BOTH,
	      "router_id: 2, address: 10.0.0.101/24, " BOTH),
	  0, 0, NULL },
	{ "two_routers",
	  TWO("router_id: 7, address: 10.0.0.100/24, " BOTH,
	      "router_id: 7, address: 10.0.0.101/24, " BOTH),
	  1, 0,
	  "f.yaml:4:38: error: \"router_id\": 7 is virtual IP \"one\"'s on \"eth0\" (f.yaml:3): "
	  "peers could not tell them apart" },
	{ "two_families",
	  TWO("router_id: 7, address: 10.0.0.100/24, " BOTH,
	      "router_id: 7, address: \"fd00::1/64\", " BOTH),
	  0, 0, NULL },
	{ "two_versions",
	  TWO("router_id: 7, address: 10.0.0.100/24, " BOTH,
	      "router_id: 7, version: 2, address: 10.0.0.101/24, " BOTH),
	  0, 0, NULL },
	{ "two_addresses",
	  TWO("router_id: 1, address: 10.0.0.100/24, " BOTH,
	      "router_id: 2, addresses: [10.0.0.101/24, 10.0.0.100/32], " BOTH),
	  1, 0,
	  "f.yaml:4:68: error: 10.0.0.100/32 is an address of virtual IP \"one\" already "
	  "(f.yaml:3)" },
	{ "two_crossed",
	  TWO("router_id: 1, address: 10.0.0.100/24, " BOTH,
	      "router_id: 2, address: 10.0.0.101/24, priority: { lb1: 100, lb2: 200 }"),
	  0, 0, NULL },
	{ "group",
	  TWO("router_id: 1, address: 10.0.0.100/24, sync_group: g, " BOTH,
	      "router_id: 1, address: \"fd00::1/64\", sync_group: g, "
	      "priority: { lb1: 150, lb2: 140 }"),
	  0, 0, NULL },
	{ "group_crossed",
	  TWO("router_id: 1, address: 10.0.0.100/24, sync_group: g, " BOTH,
	      "router_id: 2, address: 10.0.0.101/24, sync_group: g, "
	      "priority: { lb1: 100, lb2: 200 }"),
	  1, 0, "sync group \"g\" moves as one, but virtual IP \"one\" (f.yaml:3) names other" },
	{ "group_other_nodes",
	  TWO("router_id: 1, address: 10.0.0.100/24, sync_group: g, " BOTH,
	      "router_id: 2, address: 10.0.0.101/24, sync_group: g, priority: { lb1: 100 }"),
	  1, 0, "names other nodes" },
	{ "group_alone", WITH("sync_group: g"), 0, 1, "sync group \"g\" has one member" },
	/* further warnings */
	{ "fast", WITH("advertise: 90ms"), 0, 1,
	  "a node that does not run for 270ms counts as dead" },
	{ "not_so_fast", WITH("advertise: 100ms"), 0, 0, NULL },
	{ "not_served",
	  NODES "virtual_ips: { web: { " ADDRESS HERE BOTH " } }\n" POOL ROUTE
	        "listeners: { http: { bind: \"10.0.0.11:80\" } }\n",
	  0, 1, "no listener is bound to 10.0.0.100/24: connections to it would be refused" },
	{ "served_by_itself",
	  NODES "virtual_ips: { web: { " ADDRESS HERE BOTH " } }\n" POOL ROUTE
	        "listeners: { http: { bind: \"10.0.0.100:80\" } }\n",
	  0, 0, NULL },
	{ "served_by_any",
	  NODES "virtual_ips: { web: { " ADDRESS HERE BOTH " } }\n" POOL ROUTE
	        "listeners: { http: { bind: \"0.0.0.0:80\" } }\n",
	  0, 0, NULL },
	{ "not_served6",
	  NODES "virtual_ips: { web: { address: \"fd00::1\", " HERE BOTH " } }\n" POOL ROUTE
	        "listeners: { http: { bind: \"0.0.0.0:80\" } }\n",
	  0, 1, "no listener is bound to fd00::1:" },
	/* named checks */
	{ "check", CHECK("address: 10.0.0.9:5432, tcp: true"), 0, 0, NULL },
	{ "check_exec", CHECK("exec: [/bin/true]"), 0, 0, NULL },
	{ "check_exec_address", CHECK("exec: [/bin/true], address: 10.0.0.9:5432"), 0, 0, NULL },
	{ "check_no_address", CHECK("http: /"), 1, 0, "check \"db\" has no \"address\"" },
	{ "check_no_probe", CHECK("address: 10.0.0.9:5432"), 1, 0,
	  "a check needs one of tcp, http, exec, tls, grpc" },
	{ "check_two_probes", CHECK("address: 10.0.0.9:80, http: /, tcp: true"), 1, 0,
	  "and \"tcp\" is here too" },
	{ "check_typo", CHECK("address: 10.0.0.9:80, http: /, intervall: 1s"), 1, 0,
	  "unknown key \"intervall\" in check \"db\"; did you mean \"interval\"?" },
	{ "check_no_port", CHECK("address: 10.0.0.9, tcp: true"), 1, 0, "the port is missing" },
	{ "check_ping_no_port", CHECK("address: 10.0.0.9, ping: true"), 0, 0, NULL },
	{ "check_ping_unix", CHECK("address: \"unix:/x\", ping: true"), 1, 0,
	  "a ping check does not suit server \"db\", which is a unix socket" },
	{ "check_redis_no_address", CHECK("redis: true"), 1, 0, "has no \"address\"" },
	{ "check_relative", CHECK("exec: [true]"), 1, 0, "is not an absolute path" },
	{ "check_unix_port", CHECK("address: \"unix:/x\", tcp: true, port: 5"), 1, 0,
	  "\"port\" does not suit server \"db\", which is a unix socket" },
	{ "check_timeout", CHECK("address: 10.0.0.9:80, tcp: true, timeout: 5s"), 0, 1,
	  "timeout is not below its interval" },
	{ "check_unused", "checks: { db: { address: 10.0.0.9:5432, tcp: true } }\n" MINIMAL, 0, 1,
	  "check \"db\" is not tracked by any virtual IP" },
	/* what drills may show */
	{ "slo", SLO("outage: 150ms, failed: 0, recovery: 5s, split_brain: 0"), 0, 0, NULL },
	{ "slo_drill", SLO("drills: { node-death: { outage: 1s } }"), 0, 0, NULL },
	{ "slo_unset", SLO("outage: unset"), 0, 0, NULL },
	{ "slo_unit", SLO("outage: 150"), 1, 0, "needs a unit" },
	{ "slo_key", SLO("outtage: 1s"), 1, 0,
	  "unknown key \"outtage\" in \"slo\"; did you mean \"outage\"?" },
	{ "slo_no_drill", SLO("drills: { node-deth: { outage: 1s } }"), 1, 0,
	  "f.yaml:1:18: error: there is no drill \"node-deth\"; did you mean \"node-death\"?" },
	{ "slo_drill_key", SLO("drills: { node-death: { otage: 1s } }"), 1, 0,
	  "unknown key \"otage\" in drill \"node-death\"; did you mean \"outage\"?" },
};

static void test_case(void **state)
{
	const struct vip_case *c = *state;
	struct loaded t = load_text_n(c->text, strlen(c->text));

	if (t.problems.errors != c->errors || t.problems.warnings != c->warnings) {
		print_error("%u errors, %u warnings:\n%s", t.problems.errors, t.problems.warnings,
		            buf_cstr(&t.problems.text));
	}
	assert_int_equal(t.problems.errors, c->errors);
	assert_int_equal(t.problems.warnings, c->warnings);
	if (c->problem) {
		assert_has(&t, c->problem);
	}
	if (strstr(c->text, "password")) {
		assert_null(strstr(buf_cstr(&t.problems.text), "\"secret789\""));
	}
	unload(&t);
}

static void test_pair(void **state)
{
	struct loaded t = load_well(pair);
	const struct conf *c = conf_of(t.l);
	const struct conf_vip *v = conf_vip_find(c, STR("web"));

	(void)state;
	assert_non_null(v);
	assert_int_equal(v->naddresses, 1);
	assert_int_equal(v->addresses[0].prefix, 24);
	assert_int_equal(v->addresses[0].ip.in.sin_addr.s_addr, inet_addr("10.77.0.100"));
	assert_int_equal(v->addresses[0].ip.in.sin_port, 0);
	assert_int_equal(v->advertise, 40 * NS_PER_MS);
	assert_int_equal(v->version, 3);
	assert_true(v->preempt && v->preempt_delay == 0);
	assert_int_equal(v->handover, 300 * NS_PER_S);
	assert_false(v->unicast_peers || v->plain_checksum || v->virtual_mac);
	assert_int_equal(v->nnodes, 2);
	assert_true(str_eq(v->nodes[0].name, STR("lb1")) && v->nodes[0].node == 0);
	assert_int_equal(v->nodes[0].priority, 200);
	assert_int_equal(v->ntrack, 2);
	assert_int_equal(v->track[0].kind, CONDITION_PROXY);
	assert_int_equal(v->track[1].kind, CONDITION_POOL);
	assert_true(str_eq(v->track[1].object, STR("web")));
	assert_int_equal(v->track[1].min, 1);
	assert_int_equal(v->track[1].weight, 0);
	assert_int_equal(c->nodes[1].ip.in.sin_addr.s_addr, inet_addr("10.77.0.12"));
	assert_int_equal(c->self, CONF_NO_NODE);
	assert_int_equal(c->slo.outage, UINT64_MAX);
	assert_int_equal(c->slo.failed, UINT64_MAX);
	unload(&t);
}

static void test_everything(void **state)
{
	struct loaded t = load_well(everything);
	const struct conf *c = conf_of(t.l);
	const struct conf_vip *web = conf_vip_find(c, STR("web"));
	const struct conf_vip *old = conf_vip_find(c, STR("old"));

	(void)state;
	assert_int_equal(c->nvips, 3);
	assert_true(web->preempt);
	assert_int_equal(web->preempt_delay, 30 * NS_PER_S);
	assert_int_equal(web->handover, 0);
	assert_int_equal(web->ntrack, 5);
	assert_int_equal(web->track[3].kind, CONDITION_CHECK);
	assert_true(str_eq(c->checks[web->track[3].index].name, STR("db")));
	assert_true(str_eq(web->track[2].object, STR("eth1")));
	assert_int_equal(web->track[4].min, 2);
	assert_int_equal(web->track[4].weight, 101);
	assert_ptr_equal(&c->pools[web->track[4].index], conf_pool_find(c, STR("web")));
	assert_int_equal(web->notify.timeout, 5 * NS_PER_S);
	assert_int_equal(old->version, 2);
	assert_false(old->preempt);
	assert_true(str_eq(old->password, STR("pass-77")));
	assert_int_equal(c->slo.outage, 150 * NS_PER_MS);
	assert_int_equal(c->slo.failed, 0);
	assert_int_equal(c->slo.recovery, UINT64_MAX);
	assert_int_equal(c->nslo_drills, 1);
	assert_true(str_eq(c->slo_drills[0].name, STR("node-death")));
	assert_int_equal(c->slo_drills[0].failed, 5);
	assert_int_equal(c->slo_drills[0].split_brain, UINT64_MAX);
	unload(&t);
}

static void assert_address(const struct conf_vip_address *a, const char *text, bool derived)
{
	char out[NET_ADDR_TEXT];

	assert_string_equal(net_addr_host(&a->ip, out), text);
	assert_int_equal(a->derived, derived);
}

/* RFC 9568 section 5.2.9: the first IPv6 address is the link-local one. */
static void test_link_local(void **state)
{
	struct loaded t = load_well(SIX("track: proxy"));
	const struct conf_vip *v = conf_of(t.l)->vips;

	(void)state;
	assert_int_equal(v->naddresses, 2);
	assert_address(&v->addresses[0], "fe80::200:5eff:fe00:233", true);
	assert_int_equal(v->addresses[0].prefix, 64);
	assert_true(str_eq(v->addresses[0].text, STR("fe80::200:5eff:fe00:233/64")));
	assert_address(&v->addresses[1], "fd00::100", false);
	unload(&t);

	t = load_well(
	    VIP("addresses: [\"fd00::1/64\", \"fe80::9/64\", \"fd00::2/64\"], " HERE BOTH));
	v = conf_of(t.l)->vips;
	assert_int_equal(v->naddresses, 3);
	assert_address(&v->addresses[0], "fe80::9", false);
	assert_address(&v->addresses[1], "fd00::1", false);
	assert_address(&v->addresses[2], "fd00::2", false);
	unload(&t);
}

/* A file may list as many addresses as one advertisement holds. */
static void test_many_addresses(void **state)
{
	(void)state;
	for (int n = CONF_MAX_VIP_ADDRESSES - 1; n <= CONF_MAX_VIP_ADDRESSES; n++) {
		struct buf b = BUF_INIT;
		struct loaded t;

		buf_adds(&b, NODES "virtual_ips: { web: { " HERE BOTH ", addresses: [");
		for (int i = 0; i < n; i++) {
			buf_printf(&b, "%s\"fd00::%x/64\"", i ? ", " : "", i + 1);
		}
		buf_adds(&b, "] } }\n" MINIMAL);
		t = load_text_n(b.p, b.len);
		if (n == CONF_MAX_VIP_ADDRESSES) {
			assert_has(&t, "more than 63 addresses in \"addresses\"");
		} else {
			assert_non_null(t.l);
			assert_int_equal(conf_of(t.l)->vips[0].naddresses, CONF_MAX_VIP_ADDRESSES);
		}
		unload(&t);
		buf_free(&b);
	}
}

static void test_many_conditions(void **state)
{
	struct buf b = BUF_INIT;
	struct loaded t;

	(void)state;
	buf_adds(&b, NODES "virtual_ips: { web: { " ADDRESS HERE BOTH ", track: [proxy");
	for (int i = 0; i < CONF_MAX_TRACK; i++) {
		buf_printf(&b, ", interface.eth%d", i);
	}
	buf_adds(&b, "] } }\n" MINIMAL);
	t = load_text_n(b.p, b.len);
	assert_null(t.l);
	assert_has(&t, "more than 16 conditions in \"track\"");
	unload(&t);
	buf_free(&b);
}

static void test_named_check(void **state)
{
	struct loaded t = load_well(everything);
	const struct conf *c = conf_of(t.l);
	const struct conf_pool *pool;
	const struct conf_server *s = conf_probed_find(c, STR("check.db"), &pool);

	(void)state;
	assert_non_null(s);
	assert_true(str_eq(pool->name, STR("db")));
	assert_true(str_eq(s->id, STR("check.db")));
	assert_int_equal(pool->check.probe, PROBE_TCP);
	assert_int_equal(pool->check.interval, 500 * NS_PER_MS);
	assert_int_equal(pool->check.fall, 3);
	assert_int_equal(pool->nservers, 1);
	assert_false(pool->passive.on);
	assert_int_equal(net_addr_port(&s->address), 5432);
	s = conf_probed_find(c, STR("check.disk"), &pool);
	assert_int_equal(pool->check.probe, PROBE_EXEC);
	assert_int_equal(s->address.len, 0);
	assert_int_equal(s->address_text.len, 0);
	/* neither a pool nor a server to anyone else */
	assert_null(conf_server_find(c, STR("check.db"), NULL));
	assert_null(conf_pool_find(c, STR("db")));
	assert_null(conf_probed_find(c, STR("check.nope"), NULL));
	assert_null(conf_probed_find(c, STR("check."), NULL));
	assert_ptr_equal(conf_probed_find(c, STR("web/a"), NULL),
	                 conf_server_find(c, STR("web/a"), NULL));
	unload(&t);
}

/* A pool called "check.db" is no named check. */
static void test_pool_like_check(void **state)
{
	struct loaded t = load_well(
	    LISTENER "routes: { all: { to: check.db } }\n"
	             "pools: { check.db: { check: { http: / }, servers: { a: 10.0.0.1:80, b: "
	             "10.0.0.2:80 } } }\n");
	const struct conf_pool *pool;

	(void)state;
	assert_non_null(conf_probed_find(conf_of(t.l), STR("check.db/a"), &pool));
	assert_true(str_eq(pool->name, STR("check.db")));
	assert_null(conf_probed_find(conf_of(t.l), STR("check.db"), NULL));
	unload(&t);
}

#define THREE(p) NODES3 "virtual_ips: { web: { " ADDRESS HERE "priority: { " p " } } }\n" MINIMAL

static void test_low_priority(void **state)
{
	struct loaded t = load_well(THREE("a: 50, b: 200, c: 100"));
	const struct conf_vip *v = conf_of(t.l)->vips;

	(void)state;
	assert_int_equal(conf_vip_low_priority(v, 0), 1);
	assert_int_equal(conf_vip_low_priority(v, 1), 3);
	assert_int_equal(conf_vip_low_priority(v, 2), 2);
	assert_ptr_equal(conf_vip_node(v, 1), &v->nodes[1]);
	assert_null(conf_vip_node(v, 3));
	unload(&t);

	t = load_well(THREE("a: 100, c: 100")); /* equal ones are told apart */
	v = conf_of(t.l)->vips;
	assert_int_equal(conf_vip_low_priority(v, 0), 1);
	assert_int_equal(conf_vip_low_priority(v, 2), 2);
	assert_int_equal(conf_vip_low_priority(v, 1), 0); /* may not hold it */
	assert_null(conf_vip_node(v, 1));
	unload(&t);
}

static struct net_addr ip(const char *text)
{
	struct net_addr a;

	assert_int_equal(net_ip_parse(str_from(text), &a), OK);
	return a;
}

static void test_self(void **state)
{
	struct loaded t = load_well("nodes: { lb1: { address: 10.0.0.11 }, lb2: { address: "
	                            "10.0.0.12 }, six: { address: \"fd00::1\" } }\n" MINIMAL);
	const struct conf *c = conf_of(t.l);
	struct net_addr own[] = { ip("127.0.0.1"), ip("10.0.0.12"), ip("fe80::1") };
	struct net_addr both[] = { ip("10.0.0.11"), ip("10.0.0.12") };
	struct net_addr six[] = { ip("fd00::1") };

	(void)state;
	assert_int_equal(conf_node_self(c, "lb2", NULL, NULL, 0), 1);
	assert_int_equal(conf_node_self(c, "lb9", "lb1", own, 3), CONF_NO_NODE);
	assert_int_equal(conf_node_self(c, "lb1", "lb2", own, 3), 0);
	assert_int_equal(conf_node_self(c, NULL, "lb1", own, 3), 0); /* the name goes first */
	assert_int_equal(conf_node_self(c, NULL, "lb2.example.com", NULL, 0), 1);
	assert_int_equal(conf_node_self(c, NULL, "host", own, 3), 1);
	assert_int_equal(conf_node_self(c, NULL, NULL, own, 3), 1);
	assert_int_equal(conf_node_self(c, NULL, "host", both, 2), CONF_NO_NODE);
	assert_int_equal(conf_node_self(c, NULL, "host", NULL, 0), CONF_NO_NODE);
	six[0].in6.sin6_scope_id = 3; /* as the kernel may tell it */
	assert_int_equal(conf_node_self(c, NULL, "host", six, 1), 2);
	assert_null(conf_node_find(c, STR("lb")));
	assert_ptr_equal(conf_node_find(c, STR("six")), &c->nodes[2]);
	unload(&t);
}

static void test_webhook_is_secret(void **state)
{
	struct loaded t =
	    load_well(WITH("notify: { webhook: \"https://hooks.test/T0/secret789\" }"));

	(void)state;
	assert_true(
	    str_eq(conf_of(t.l)->vips[0].notify.webhook, STR("https://hooks.test/T0/secret789")));
	for (int json = 0; json < 2; json++) {
		struct buf out = BUF_INIT;

		conf_show(conf_of(t.l), json, &out);
		assert_null(strstr(buf_cstr(&out), "secret789"));
		assert_non_null(strstr(buf_cstr(&out), "***"));
		buf_free(&out);
	}
	unload(&t);
}

/* The file may name the scenarios that there are, and no others. */
static void test_drills(void **state)
{
	size_t here = 0, there = 0;

	(void)state;
	while (conf_drills[here]) {
		here++;
	}
	for (; drill_scenarios[there]; there++) {
		bool found = false;

		for (size_t i = 0; i < here; i++) {
			found = found || strcmp(conf_drills[i], drill_scenarios[there]->name) == 0;
		}
		if (!found) {
			print_error("missing in conf_drills: %s\n", drill_scenarios[there]->name);
		}
		assert_true(found);
	}
	assert_int_equal(here, there);
}

int main(void)
{
	static struct rows r;

	ROWS_ADD_TABLE(&r, cases, test_case);
	rows_add(&r, "pair", test_pair, NULL);
	rows_add(&r, "everything", test_everything, NULL);
	rows_add(&r, "link_local", test_link_local, NULL);
	rows_add(&r, "many_addresses", test_many_addresses, NULL);
	rows_add(&r, "many_conditions", test_many_conditions, NULL);
	rows_add(&r, "named_check", test_named_check, NULL);
	rows_add(&r, "pool_called_like_a_check", test_pool_like_check, NULL);
	rows_add(&r, "drills", test_drills, NULL);
	rows_add(&r, "low_priority", test_low_priority, NULL);
	rows_add(&r, "self", test_self, NULL);
	rows_add(&r, "webhook_is_secret", test_webhook_is_secret, NULL);
	return rows_run(&r, "conf_vip");
}
