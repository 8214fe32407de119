/* SPDX-License-Identifier: Apache-2.0 */
/* What checks do as their pools do: by the options of both. */
#include "rows.h"

#include "conf_text.h"

struct how_case {
	const char *name;
	const char *pool; /* its options */
	uint32_t send_proxy;
	bool tls;
	bool h2;
};

#define SERVERS ", servers: { a: 10.0.0.1:80, b: 10.0.0.2:80 }"
#define OTHERS  ", servers: { a: 10.0.0.1:80, b: 10.0.0.2:81 }"
#define V2(how) "send_proxy: v2, check: { " how " }"

static const struct how_case cases[] = {
	{ "nothing", "check: { http: / }" SERVERS, SEND_PROXY_OFF, false },
	{ "as_the_pool", V2("http: /") SERVERS, SEND_PROXY_V2, false },
	{ "off", V2("http: /, send_proxy: off") SERVERS, SEND_PROXY_OFF, false },
	{ "other_version", V2("tcp: true, send_proxy: v1") SERVERS, SEND_PROXY_V1, false },
	{ "by_itself", "check: { mysql: true, send_proxy: v2 }" SERVERS, SEND_PROXY_V2, false },
	{ "own_port", V2("http: /, port: 81") SERVERS, SEND_PROXY_OFF, false },
	{ "own_port_too", V2("http: /, port: 81, send_proxy: v1") SERVERS, SEND_PROXY_V1, false },
	{ "their_port", V2("http: /, port: 80") SERVERS, SEND_PROXY_V2, false },
	{ "one's_port", V2("http: /, port: 80") OTHERS, SEND_PROXY_OFF, false },
	{ "their_ports", V2("http: /") OTHERS, SEND_PROXY_V2, false },
	{ "no_connection", V2("ping: true") SERVERS, SEND_PROXY_OFF, false },
	{ "datagrams", V2("dns: a.test") SERVERS, SEND_PROXY_OFF, false },
	{ "over_tls", "tls: true, " V2("http: /") SERVERS, SEND_PROXY_V2, true },
	{ "h2", "protocol: h2, check: { http: / }" SERVERS, SEND_PROXY_OFF, false, true },
	{ "h2_other_kind", "protocol: h2, check: { tcp: true }" SERVERS, SEND_PROXY_OFF },
	{ "h2_own_port", "protocol: h2, check: { http: /, port: 81 }" SERVERS, SEND_PROXY_OFF },
	{ "h2_own_port_too", "protocol: h2, check: { http: /, port: 81, protocol: h2 }" SERVERS,
	  SEND_PROXY_OFF, false, true },
	{ "h2_not", "protocol: h2, check: { http: /, protocol: http }" SERVERS, SEND_PROXY_OFF },
	{ "h2_by_itself", "check: { http: /, protocol: h2 }" SERVERS, SEND_PROXY_OFF, false, true },
	{ "handshake", V2("tls: true") SERVERS, SEND_PROXY_V2, true },
};

static void test_case(void **state)
{
	const struct how_case *c = *state;
	char text[1000];
	struct loaded t;

	(void)snprintf(text, sizeof(text), "%s%spools: { web: { %s } }\n", LISTENER, ROUTE,
	               c->pool);
	t = load_well(text);
	assert_int_equal(conf_check_send_proxy(&conf_of(t.l)->pools[0]), c->send_proxy);
	assert_int_equal(conf_check_tls(&conf_of(t.l)->pools[0]) != NULL, c->tls);
	assert_int_equal(conf_check_h2(&conf_of(t.l)->pools[0]), c->h2);
	unload(&t);
}

int main(void)
{
	static struct rows r;

	ROWS_ADD_TABLE(&r, cases, test_case);
	return rows_run(&r, "check_how");
}
