/* SPDX-License-Identifier: Apache-2.0 */
/* The plan of a lab: which hosts a file becomes, with which addresses, and where test servers run.
 */
#include "rows.h"

#include "base/err.h"
#include "lab/plan.h"

#define LISTENERS "listeners: { http: { bind: \"*:80\" } }\nroutes: { all: { to: web } }\n"
#define PAIR \
	"nodes: { lb1: { address: 10.77.0.11 }, lb2: { address: 10.77.0.12 } }\n" \
	"virtual_ips: { web: { address: 10.77.0.100/24, interface: eth0, router_id: 51,\n" \
	"  priority: { lb1: 200, lb2: 100 } } }\n"

struct planned {
	struct conf_loaded *loaded;
	struct lab_plan plan;
	char why[512];
	int err;
};

static void make(struct planned *p, const char *text)
{
	struct conf_problems problems = { 0 };
	int err = conf_load_text(str_from(text), "f.yaml", false, &problems, &p->loaded);

	if (err != OK)
		print_error("%s\n", buf_cstr(&problems.text));
	assert_int_equal(err, OK);
	buf_free(&problems.text);
	p->err = lab_plan_make(conf_of(p->loaded), &p->plan, p->why, sizeof(p->why));
}

static void drop(struct planned *p)
{
	lab_plan_free(&p->plan);
	conf_free(p->loaded);
}

/* "lb1 eth0 10.77.0.11/24@eth0; …": all hosts in one line, to compare. */
static void describe(const struct lab_plan *p, struct buf *out)
{
	char text[NET_ADDR_TEXT];

	for (unsigned i = 0; i < p->nhosts; i++) {
		const struct lab_host *h = &p->hosts[i];

		buf_printf(out, "%s%s", i ? "; " : "", h->name);
		for (unsigned j = 0; j < h->naddresses; j++)
			buf_printf(out, " %s/%u@%s", net_addr_host(&h->addresses[j].ip, text),
			           h->addresses[j].prefix,
			           h->interfaces[h->addresses[j].interface]);
	}
	buf_adds(out, " |");
	for (unsigned i = 0; i < p->nwhoamis; i++)
		buf_printf(out, " %s:%s=%s", p->hosts[p->whoamis[i].host].name, p->whoamis[i].name,
		           net_addr_format(&p->whoamis[i].bind, text));
}

struct plan_case {
	const char *name;
	const char *text;
	const char *want;
	const char *note; /* part of the notes; NULL: there are none */
};

static const struct plan_case cases[] = {
	{ "pair",
	  PAIR LISTENERS "pools: { web: { servers: { a: 10.77.0.21:80, b: 10.77.0.22:80 } } }\n",
	  "lb1 10.77.0.11/24@eth0; lb2 10.77.0.12/24@eth0; a 10.77.0.21/24@eth0; "
	  "b 10.77.0.22/24@eth0; client 10.77.0.254/24@eth0 | a:a=10.77.0.21:80 b:b=10.77.0.22:80",
	  NULL },
	{ "no_nodes", LISTENERS "pools: { web: { servers: { a: 10.0.0.21:80 } } }\n",
	  "node 10.0.0.254/24@eth0; a 10.0.0.21/24@eth0; client 10.0.0.253/24@eth0 | "
	  "a:a=10.0.0.21:80",
	  "the file names no nodes" },
	{ "two_pools_one_server",
	  PAIR LISTENERS "pools: { web: { servers: { a: 10.77.0.21:80 } }, api: { servers: { a: "
	                 "10.77.0.21:80, b: 10.77.0.21:81 } } }\n",
	  "lb1 10.77.0.11/24@eth0; lb2 10.77.0.12/24@eth0; a 10.77.0.21/24@eth0; client "
	  "10.77.0.254/24@eth0 | a:a=10.77.0.21:80 a:b=10.77.0.21:81",
	  NULL },
	{ "same_name_elsewhere",
	  PAIR LISTENERS "pools: { web: { servers: { a: 10.77.0.21:80 } }, api: { servers: { a: "
	                 "10.77.0.22:80, lb1: 10.77.0.23:80 } } }\n",
	  "lb1 10.77.0.11/24@eth0; lb2 10.77.0.12/24@eth0; a 10.77.0.22/24@eth0; api-lb1 "
	  "10.77.0.23/24@eth0; web-a 10.77.0.21/24@eth0; client 10.77.0.254/24@eth0 | "
	  "a:a=10.77.0.22:80 api-lb1:lb1=10.77.0.23:80 web-a:a=10.77.0.21:80",
	  NULL },
	{ "loopback",
	  PAIR LISTENERS "pools: { web: { servers: { a: 127.0.0.1:8080, b: \"[::1]:81\" } } }\n",
	  "lb1 10.77.0.11/24@eth0; lb2 10.77.0.12/24@eth0; client 10.77.0.254/24@eth0 | "
	  "lb1:a=127.0.0.1:8080 lb2:a=127.0.0.1:8080 lb1:b=[::1]:81 lb2:b=[::1]:81",
	  NULL },
	{ "on_a_node",
	  PAIR LISTENERS "pools: { web: { servers: { a: 10.77.0.11:8080, b: 10.77.0.12:80 } } }\n",
	  "lb1 10.77.0.11/24@eth0; lb2 10.77.0.12/24@eth0; client 10.77.0.254/24@eth0 | "
	  "lb1:a=10.77.0.11:8080",
	  NULL },
	{ "at_the_virtual_ip",
	  PAIR LISTENERS "pools: { web: { servers: { a: 10.77.0.100:81, b: 10.77.0.21:80 } } }\n",
	  "lb1 10.77.0.11/24@eth0; lb2 10.77.0.12/24@eth0; b 10.77.0.21/24@eth0; client "
	  "10.77.0.254/24@eth0 | b:b=10.77.0.21:80",
	  NULL },
	{ "unix_server",
	  PAIR LISTENERS "pools: { web: { servers: { a: \"unix:/run/a\", b: 10.77.0.21:80 } } }\n",
	  "lb1 10.77.0.11/24@eth0; lb2 10.77.0.12/24@eth0; b 10.77.0.21/24@eth0; client "
	  "10.77.0.254/24@eth0 | b:b=10.77.0.21:80",
	  "server web/a (unix:/run/a): a unix socket" },
	{ "check_port",
	  PAIR LISTENERS
	  "pools: { web: { check: { http: /, port: 81 }, servers: { a: 10.77.0.21:80 "
	  "} } }\n",
	  "lb1 10.77.0.11/24@eth0; lb2 10.77.0.12/24@eth0; a 10.77.0.21/24@eth0; client "
	  "10.77.0.254/24@eth0 | a:a=10.77.0.21:80 a:a=10.77.0.21:81",
	  NULL },
	{ "expectation",
	  PAIR LISTENERS "pools: { web: { check: { http: /, expect: 204 }, servers: { a: "
	                 "10.77.0.21:80 } } }\n",
	  "lb1 10.77.0.11/24@eth0; lb2 10.77.0.12/24@eth0; a 10.77.0.21/24@eth0; client "
	  "10.77.0.254/24@eth0 | a:a=10.77.0.21:80",
	  "its check wants status 204" },
	{ "subnets_and_interfaces",
	  "nodes: { lb1: { address: 10.1.0.11 }, lb2: { address: 10.1.0.12 } }\n"
	  "virtual_ips:\n"
	  "  in: { address: 10.1.0.100/16, interface: lan0, router_id: 1,\n"
	  "    priority: { lb1: 200, lb2: 100 } }\n"
	  "  out: { address: 192.0.2.100/24, interface: wan0, router_id: 2,\n"
	  "    priority: { lb1: 200, lb2: 100 }, track: [proxy, interface.wan0, interface.mgmt0] "
	  "}\n" LISTENERS "pools: { web: { servers: { a: 10.1.5.21:80, b: 10.2.0.22:80 } } }\n",
	  "lb1 10.1.0.11/16@lan0 192.0.2.254/24@wan0; lb2 10.1.0.12/16@lan0 192.0.2.253/24@wan0; "
	  "a 10.1.5.21/16@eth0; b 10.2.0.22/24@eth0; client 10.1.255.254/16@eth0 "
	  "192.0.2.252/24@eth0 10.2.0.254/24@eth0 | a:a=10.1.5.21:80 b:b=10.2.0.22:80",
	  NULL },
	{ "ipv6",
	  "nodes: { lb1: { address: \"fd00:77::11\" }, lb2: { address: \"fd00:77::12\" } }\n"
	  "virtual_ips: { web: { address: \"fd00:77::100/64\", interface: eth0, router_id: 51,\n"
	  "  priority: { lb1: 200, lb2: 100 } } }\n" LISTENERS
	  "pools: { web: { servers: { a: \"[fd00:77::21]:80\" } } }\n",
	  "lb1 fd00:77::11/64@eth0; lb2 fd00:77::12/64@eth0; a fd00:77::21/64@eth0; client "
	  "fd00:77::fffe/64@eth0 | a:a=[fd00:77::21]:80",
	  NULL },
};

static void run_case(const struct plan_case *c)
{
	struct planned p = { 0 };
	struct buf got = BUF_INIT;

	make(&p, c->text);
	if (p.err != OK)
		print_error("%s\n", p.why);
	assert_int_equal(p.err, OK);
	describe(&p.plan, &got);
	assert_string_equal(buf_cstr(&got), c->want);
	if (c->note)
		assert_non_null(strstr(buf_cstr(&p.plan.notes), c->note));
	else
		assert_string_equal(buf_cstr(&p.plan.notes), "");
	buf_free(&got);
	drop(&p);
}

static void test_cases(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		print_message("%s\n", cases[i].name);
		run_case(&cases[i]);
	}
}

#define SERVER "pools: { web: { servers: { a: 10.77.0.21:80 } } }\n"

static void test_control(void **state)
{
	static const struct {
		const char *bind, *want;
	} rows[] = { { "127.0.0.1:8404", "127.0.0.1:8404" },
		     { "*:8404", "127.0.0.1:8404" },
		     { "0.0.0.0:8404", "127.0.0.1:8404" },
		     { "[::]:8404", "[::1]:8404" },
		     { "10.77.0.11:8404", "10.77.0.11:8404" } };
	char text[1024], at[NET_ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct planned p = { 0 };

		snprintf(text, sizeof(text),
		         "control: { bind: \"%s\", token: secretsecretsecret }\n%s", rows[i].bind,
		         PAIR LISTENERS SERVER);
		make(&p, text);
		assert_true(p.plan.has_control);
		assert_string_equal(net_addr_format(&p.plan.control, at), rows[i].want);
		drop(&p);
	}
}

/* More than a lab holds is refused with the reason, and nothing is written beyond its tables. */
static void test_limits(void **state)
{
	struct buf b = BUF_INIT;
	struct planned p = { 0 };

	(void)state;
	buf_adds(&b, PAIR LISTENERS "pools: { web: { servers: {");
	for (unsigned i = 0; i < LAB_MAX_SERVERS + 5; i++)
		buf_printf(&b, "%ss%u: 10.77.%u.%u:80", i ? ", " : " ", i, 1 + i / 100,
		           1 + i % 100);
	buf_adds(&b, " } } }\n");
	make(&p, buf_cstr(&b));
	assert_int_equal(p.err, ERR_INVALID);
	assert_non_null(strstr(p.why, "more than 200 servers"));
	drop(&p);

	p = (struct planned){ 0 };
	b.len = 0;
	buf_adds(&b, PAIR LISTENERS "pools: { web: { servers: {");
	for (unsigned i = 0; i < LAB_MAX_SUBNETS + 1; i++)
		buf_printf(&b, "%ss%u: 10.80.%u.1:80", i ? ", " : " ", i, i);
	buf_adds(&b, " } } }\n");
	make(&p, buf_cstr(&b));
	assert_int_equal(p.err, ERR_INVALID);
	assert_non_null(strstr(p.why, "subnets"));
	drop(&p);
	buf_free(&b);
}

static void test_folders(void **state)
{
	struct planned p = { 0 };

	(void)state;
	make(&p, "listeners:\n"
	         "  a: { bind: [\"*:80\", \"unix:/run/shop/deep/a.sock\"] }\n"
	         "  b: { bind: [\"unix:/run/b.sock\", \"unix:/run/c.sock\"], access_log: { path: "
	         "/var/log/shop/access.log } }\n"
	         "  c: { bind: \"unix:/d.sock\", access_log: { path: stderr } }\n"
	         "routes: { all: { to: web } }\n" SERVER);
	assert_int_equal(p.err, OK);
	assert_int_equal(p.plan.nfolders, 3);
	assert_string_equal(p.plan.folders[0], "/run");
	assert_string_equal(p.plan.folders[1], "/var/log/shop");
	assert_string_equal(p.plan.folders[2], "/run/shop/deep");
	drop(&p);
}

static void test_client_is_taken(void **state)
{
	struct planned p = { 0 };

	(void)state;
	make(&p,
	     "nodes: { client: { address: 10.77.0.11 }, b: { address: 10.77.0.12 } }\n" LISTENERS
	         SERVER);
	assert_int_equal(p.err, ERR_INVALID);
	assert_non_null(strstr(p.why, "give the node another name"));
	drop(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),           cmocka_unit_test(test_control),
		cmocka_unit_test(test_limits),          cmocka_unit_test(test_folders),
		cmocka_unit_test(test_client_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
