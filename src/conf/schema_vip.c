/* SPDX-License-Identifier: Apache-2.0 */
/* The table, continued: nodes, virtual IPs, named checks, and what drills may show. */
#include <stdio.h>

#include "base/check.h"
#include "conf/load.h"
#include "conf/units.h"
#include "conf/value.h"

/* --- nodes ------------------------------------------------------------------------------------ */

static const struct row node_rows[] = {
	{ "name", &type_derived, OF(conf_node, name), .flags = ROW_HIDDEN },
	{ "address", &type_ip, OF(conf_node, ip), WITH(conf_node, address), .redo = REDO_VIP,
	  .flags = ROW_REQUIRED, .doc = "Its own IP address, by which the other nodes reach it." },
	END
};

const struct rows schema_node = {
	"node", sizeof(struct conf_node), node_rows,
	.doc = "The machines that share this file. Each knows its part by its name "
	       "(holdfast run --node NAME, else the host's name) or by its address."
};

/* --- virtual IPs ------------------------------------------------------------------------------ */

static const struct row track_rows[] = {
	{ "min", &type_count, OF(conf_track, min), .min = 1, .max = CONF_MAX_SERVERS, .def = "1",
	  .redo = REDO_VIP,
	  .doc = "Servers of the pool that must be in service for the condition to hold." },
	{ "weight", &type_count, OF(conf_track, weight), .min = 1, .max = 253, .redo = REDO_VIP,
	  .flags = ROW_OPTIONAL,
	  .doc = "What a failure takes from the node's priority. Without it the node goes into a "
	         "low band below all that are well, in which the order of the nodes is kept." },
	END
};

const struct rows schema_track = {
	"condition", 0, track_rows, .brief_doc = "their list",
	.doc = "In the long form a map of conditions, { pool.web: { min: 2 } }, or a list in which "
	       "such maps stand beside names."
};

static const struct row notify_rows[] = {
	{ "exec", &type_list, OF(conf_notify, exec), .check = value_is_word, .redo = REDO_VIP,
	  .doc = "Runs a program, [PATH, ARGUMENT, ...], on each transition, one after the other. "
	         "HOLDFAST_VIP, HOLDFAST_FROM and HOLDFAST_TO (active, backup, out), "
	         "HOLDFAST_REASON and others tell it what happened." },
	{ "user", &type_text, OF(conf_notify, user), .check = value_is_word, .redo = REDO_VIP,
	  .flags = ROW_OPTIONAL, .doc = "User that runs the program; the roles' unless set." },
	{ "timeout", &type_duration, OF(conf_notify, timeout), .min = 10 * MS, .max = HOUR,
	  .def = "10s", .redo = REDO_VIP, .flags = ROW_WIDE,
	  .doc = "Time after which a call is ended." },
	{ "webhook", &type_secret, OF(conf_notify, webhook), .check = value_is_web_url,
	  .redo = REDO_VIP, .flags = ROW_OPTIONAL,
	  .doc =
	      "URL that is told of each transition, by POST of a JSON object: cluster, node, vip, "
	      "from, to, reason, number, time, addresses, interface, priority. In order, three "
	      "tries each; what cannot be told is an event. Such URLs often hold a token: it is "
	      "kept secret." },
	END
};

static void notify_finish(struct load *l, const struct node *n, void *object)
{
	const struct conf_notify *c = object;
	const struct node *exec = node_get(n, "exec"), *user = node_get(n, "user");

	if (c->exec.n && c->exec.v[0].s[0] != '/') {
		problem_error(l->problems, exec->at, "\"exec\": \"%.*s\" is not an absolute path",
		              STR_ARG(c->exec.v[0]));
	}
	if (user && !exec) {
		problem_warning(l->problems, user->key_at,
		                "\"user\" has no effect: there is no \"exec\"");
	}
}

static bool notify_print(struct str key, const void *object, struct emit *o)
{
	const struct conf_notify *c = object;

	return c->exec.n == 0 && c->webhook.len == 0;
}

static const struct rows notify = { "notify", 0, notify_rows, .brief_print = notify_print,
	                            .finish = notify_finish };

static const char *check_password(struct str text)
{
	if (text.len == 0 || text.len > 8) {
		return text.len ? "is longer than the 8 characters that version 2 can carry"
		                : "is empty";
	}
	return value_is_word(text);
}

static const char *const checksums[] = { "pseudo_header", "plain", NULL };

static const struct row vip_rows[] = {
	{ "name", &type_derived, OF(conf_vip, name), .flags = ROW_HIDDEN },
	{ "address", &type_vip_address, OF(conf_vip, addresses), WITH(conf_vip, naddresses),
	  .redo = REDO_VIP,
	  .doc = "The address that the nodes share, with the prefix length of its network: "
	         "10.0.0.100/24." },
	{ "addresses", &type_vip_addresses, OF(conf_vip, addresses), WITH(conf_vip, naddresses),
	  .redo = REDO_VIP,
	  .doc = "Several that move together, all of one family. IPv6 needs a link-local one: "
	         "where none is given, one is made of the router id." },
	{ "interface", &type_text, OF(conf_vip, interface), .check = value_is_interface,
	  .redo = REDO_VIP_ANEW, .flags = ROW_REQUIRED,
	  .doc = "The network interface that gets the addresses." },
	{ "router_id", &type_count, OF(conf_vip, router_id), .min = 1, .max = 255,
	  .redo = REDO_VIP_ANEW, .flags = ROW_REQUIRED,
	  .doc = "The virtual router id (VRID): the same on all nodes, and used by nothing else in "
	         "that network." },
	{ "version", &type_count, OF(conf_vip, version), .min = 2, .max = 3, .def = "3",
	  .redo = REDO_VIP_ANEW,
	  .doc = "Version of VRRP: 3 (RFC 9568), or 2 (RFC 3768) for older peers." },
	{ "advertise", &type_duration, OF(conf_vip, advertise), .min = 10 * MS, .max = 255 * S,
	  .def = "1s", .redo = REDO_VIP, .flags = ROW_WIDE,
	  .doc = "Time between two advertisements; after three that are missing another node takes "
	         "over. Steps of 10ms up to 40.95s; whole seconds with version 2." },
	{ "priority", &type_priorities, OF(conf_vip, nodes), WITH(conf_vip, nnodes),
	  .redo = REDO_VIP, .flags = ROW_REQUIRED,
	  .doc =
	      "Which nodes may hold it, and how much they are preferred: { lb1: 200, lb2: 100 }, "
	      "1 to 254. A failed condition without a weight puts a node into a low band: "
	      "priorities must lie above the number of nodes named here." },
	{ "preempt", &type_preempt, OF(conf_vip, preempt), WITH(conf_vip, preempt_delay),
	  .max = DAY, .def = "true", .redo = REDO_VIP,
	  .doc = "Whether a preferred node that comes back takes it from one that is well; a "
	         "duration: only after so long." },
	{ "unicast_peers", &type_bool, OF(conf_vip, unicast_peers), .def = "false",
	  .redo = REDO_VIP_ANEW,
	  .doc =
	      "Advertise to the addresses of the other nodes named in \"priority\" instead of by "
	      "multicast, as most clouds need it." },
	{ "checksum", &type_either, OF(conf_vip, plain_checksum), .def = "pseudo_header",
	  .choices = checksums, .redo = REDO_VIP,
	  .doc = "Of version 3 over IPv4: as keepalived makes it by default, or as RFC 9568 says. "
	         "Both are understood." },
	{ "virtual_mac", &type_bool, OF(conf_vip, virtual_mac), .def = "false",
	  .redo = REDO_VIP_ANEW,
	  .doc = "Hold the addresses on an interface of their own with the MAC of the standard, so "
	         "that neighbours need not learn another one." },
	{ "password", &type_secret, OF(conf_vip, password), .check = check_password,
	  .redo = REDO_VIP, .flags = ROW_OPTIONAL,
	  .doc = "Simple authentication of version 2, at most 8 characters, sent in clear text." },
	{ "sync_group", &type_text, OF(conf_vip, group), .check = value_is_name, .redo = REDO_VIP,
	  .flags = ROW_OPTIONAL,
	  .doc =
	      "Virtual IPs with the same group move together: IPv4 and IPv6, inside and outside." },
	{ "handover", &type_duration, OF(conf_vip, handover), .min = 1 * S, .max = DAY, .def = "5m",
	  .zero = "off", .redo = REDO_VIP, .flags = ROW_WIDE,
	  .doc = "How long connections that are open at a planned handover are kept by the node "
	         "that had the address." },
	{ "track", &type_track, OF(conf_vip, track), WITH(conf_vip, ntrack), .max = CONF_MAX_TRACK,
	  .def = "proxy", .sub = &schema_track, .redo = REDO_VIP,
	  .doc = "What must be well for a node to be preferred: proxy (it accepts and answers), "
	         "pool.NAME (servers of it are in service), check.NAME (of \"checks\"), "
	         "interface.NAME (it has a carrier), gateway (the default gateway answers)." },
	{ "notify", &type_group, OF(conf_vip, notify), .sub = &notify,
	  .doc = "Who is told of each transition, in their order." },
	END
};

/* Puts the link-local address first that IPv6 must have there (RFC 9568 section 5.2.9): a given
 * one, else one made of the virtual MAC (RFC 4291 appendix A, RFC 9568 section 7.3). */
static void link_local_first(struct load *l, struct conf_vip *v)
{
	struct conf_vip_address *all = load_alloc(l, v->naddresses + 1, sizeof(*all));
	char text[64];
	uint32_t at = 0;

	while (at < v->naddresses && !IN6_IS_ADDR_LINKLOCAL(&v->addresses[at].ip.in6.sin6_addr)) {
		at++;
	}
	if (!all || (at == 0 && v->naddresses)) {
		return;
	}
	if (at < v->naddresses) {
		all[0] = v->addresses[at];
		memcpy(all + 1, v->addresses, at * sizeof(*all));
		memcpy(all + 1 + at, v->addresses + at + 1,
		       (v->naddresses - at - 1) * sizeof(*all));
		v->addresses = all;
		return;
	}
	snprintf(text, sizeof(text), "fe80::200:5eff:fe00:2%02x", v->router_id & 0xff);
	CHECK(net_ip_parse(str_from(text), &all[0].ip) == 0);
	all[0].prefix = 64;
	all[0].derived = true;
	strcat(text, "/64");
	all[0].text = arena_str(l->arena, str_from(text));
	memcpy(all + 1, v->addresses, v->naddresses * sizeof(*all));
	v->addresses = all;
	v->naddresses++;
}

static void vip_finish_version(struct load *l, const struct node *n, const struct conf_vip *v)
{
	const struct node *advertise = node_get(n, "advertise");
	const struct node *password = node_get(n, "password");
	bool ipv6 = v->naddresses && v->addresses[0].ip.sa.sa_family == AF_INET6;

	if (v->version == 2 && ipv6) {
		problem_error(l->problems, node_get(n, "version")->at,
		              "version 2 is for IPv4 only: IPv6 addresses need version 3");
	}
	if (v->version == 2 && advertise && v->advertise % S) {
		problem_error(l->problems, advertise->at,
		              "\"advertise\": version 2 counts in whole seconds, 1s to 255s; "
		              "version 3 can do less");
	} else if (v->version == 3 && advertise &&
	           (v->advertise % (10 * MS) || v->advertise > 40950 * MS)) {
		problem_error(l->problems, advertise->at,
		              "\"advertise\": version 3 counts in steps of 10ms, 10ms to 40950ms");
	}
	if (v->version != 2 && password) {
		problem_error(l->problems, password->key_at,
		              "\"password\" is of version 2 only: version 3 has no authentication "
		              "(RFC 9568 section 9); leave it out, or say \"version: 2\"");
	}
	if (v->plain_checksum && (v->version == 2 || ipv6)) {
		problem_warning(l->problems, node_get(n, "checksum")->key_at,
		                "\"checksum\" has no effect: it is for version 3 over IPv4");
	}
}

static void vip_finish(struct load *l, const struct node *n, void *object)
{
	struct conf_vip *v = object;
	const struct node *one = node_get(n, "address"), *more = node_get(n, "addresses");
	const struct node *mac = node_get(n, "virtual_mac");

	if (one && more) {
		problem_error(l->problems, more->key_at,
		              "\"address\" is here too: give all of them under \"addresses\"");
	} else if (!one && !more) {
		problem_error(l->problems, n->key_at, "virtual IP \"%.*s\" has no \"address\"",
		              STR_ARG(v->name));
	}
	vip_finish_version(l, n, v);
	if (v->virtual_mac && v->unicast_peers) {
		problem_error(
		    l->problems, mac->key_at,
		    "\"virtual_mac\" does not go with \"unicast_peers\": networks that "
		    "need unicast drop frames from MACs they did not give out; leave one of "
		    "them out");
	}
	if (v->naddresses && v->addresses[0].ip.sa.sa_family == AF_INET6) {
		link_local_first(l, v);
	}
}

const struct rows schema_vip = {
	"virtual IP", sizeof(struct conf_vip), vip_rows, .finish = vip_finish,
	.doc = "One of the nodes holds the address; when it dies or is not well, another takes it "
	       "over (VRRP). Some node always holds it: when all are unwell, the one that is "
	       "preferred."
};

/* --- named checks ----------------------------------------------------------------------------- */

static const struct row named_check_rows[] = {
	{ "name", &type_derived, OF(conf_pool, name), .flags = ROW_HIDDEN },
	{ "address", &type_check_address, OF(conf_pool, servers), WITH(conf_pool, nservers),
	  .redo = REDO_CHECK,
	  .doc = "What is probed: ADDRESS:PORT, [IPV6]:PORT, NAME:PORT (resolved at load) or "
	         "unix:PATH. Required, but for exec, which may have one; a ping needs no port." },
	{ "check", &type_group, OF(conf_pool, check), .sub = &schema_check, .flags = ROW_INLINE },
	END
};

static void named_check_finish(struct load *l, const struct node *n, void *object)
{
	struct conf_pool *p = object;
	struct conf_server *s = (struct conf_server *)p->servers;

	if (!s) {
		s = load_alloc(l, 1, sizeof(*s));
		if (!s) {
			return;
		}
		if (!node_get(n, "address") && p->check.probe != PROBE_EXEC &&
		    p->check.probe != PROBE_NONE) {
			problem_error(l->problems, n->key_at, "check \"%.*s\" has no \"address\"",
			              STR_ARG(p->name));
		}
		s->address_text = STR("");
	} else if (s->address_text.len && s->address.sa.sa_family != AF_UNIX &&
	           net_addr_port(&s->address) == 0 && p->check.port == 0 &&
	           p->check.probe != PROBE_PING) {
		load_refuse(l, &named_check_rows[1], node_get(n, "address"), s->address_text,
		            "is not enough: the port is missing, as in 10.0.0.21:80");
	}
	s->name = p->name;
	s->id = str_from(arena_printf(l->arena, "check.%.*s", STR_ARG(p->name)));
	s->weight = 1;
	p->servers = s;
	p->nservers = 1;
	l->nservers++;
}

const struct rows schema_named_check = {
	"check", sizeof(struct conf_pool), named_check_rows, .finish = named_check_finish,
	.doc = "Probed as a pool's servers are; no traffic goes there."
};

/* --- what drills may show --------------------------------------------------------------------- */

static const struct row limit_rows[] = {
	{ "outage", &type_duration, OF(conf_slo_limits, outage), .max = DAY, .def = "unset",
	  .flags = ROW_WIDE | ROW_UNSET, .doc = "Longest time without a good answer." },
	{ "failed", &type_count, OF(conf_slo_limits, failed), .max = 1000000000, .def = "unset",
	  .flags = ROW_WIDE | ROW_UNSET, .doc = "Most requests that fail." },
	{ "recovery", &type_duration, OF(conf_slo_limits, recovery), .max = DAY, .def = "unset",
	  .flags = ROW_WIDE | ROW_UNSET, .doc = "Longest time until all is well again." },
	{ "split_brain", &type_duration, OF(conf_slo_limits, split_brain), .max = DAY,
	  .def = "unset", .flags = ROW_WIDE | ROW_UNSET,
	  .doc = "Longest time during which two nodes hold an address." },
	END
};
static const struct rows limits = { "limits", 0, limit_rows };

const char *const conf_drills[] = {
	"node-death",
	"node-freeze",
	"proxy-crash",
	"daemon-crash",
	"graceful-stop",
	"switchover",
	"server-death",
	"server-hang",
	"all-servers-death",
	"partition",
	"asymmetric-partition",
	"flapping-server",
	"reload",
	"bad-reload",
	"upgrade",
	"power-cycle",
	NULL,
};

static void drill_finish(struct load *l, const struct node *n, void *object)
{
	struct guess g;
	char hint[128];

	guess_init(&g, ((const struct conf_slo_limits *)object)->name);
	for (size_t i = 0; conf_drills[i]; i++) {
		if (str_eq(g.word, str_from(conf_drills[i]))) {
			return;
		}
		guess_try(&g, str_from(conf_drills[i]));
	}
	problem_error(l->problems, n->key_at, "there is no drill \"%.*s\"%s",
	              (int)MIN(g.word.len, 80), g.word.s, guess_text(&g, hint));
}

static const struct row drill_rows[] = {
	{ "name", &type_derived, OF(conf_slo_limits, name), .flags = ROW_HIDDEN },
	{ "limits", &type_group, .sub = &limits, .flags = ROW_INLINE },
	END
};
static const struct rows drills = {
	"drill", sizeof(struct conf_slo_limits), drill_rows, .finish = drill_finish,
	.doc = "Limits of one scenario, by its name; what is not set here is as above."
};

static const struct row slo_rows[] = {
	{ "name", &type_derived, OF(conf, slo.name), .flags = ROW_HIDDEN },
	{ "limits", &type_group, OF(conf, slo), .sub = &limits, .flags = ROW_INLINE },
	{ "drills", &type_map, OF(conf, slo_drills), WITH(conf, nslo_drills), .max = 64,
	  .sub = &drills, .redo = REDO_NOTHING, .flags = ROW_OPTIONAL,
	  .doc = "Other limits for some scenarios." },
	END
};

const struct rows schema_slo = { "slo", 0, slo_rows };
