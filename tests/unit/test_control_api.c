/* SPDX-License-Identifier: Apache-2.0 */
/* The API: what each resource answers, who may change things, what is refused with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "node_fixture.h"

#define COMMON \
	"listeners: { web: { bind: \"127.0.0.1:80\" } }\n" \
	"pools:\n" \
	"  app: { servers: { a: \"10.0.0.1:80\", b: \"10.0.0.2:80\" } }\n" \
	"  shop: { servers: { c: \"10.0.0.3:80\", d: \"10.0.0.4:80\" } }\n" \
	"routes: { all: { to: app }, shop: { host: shop.test, to: shop } }\n"

static const char with_token[] =
    COMMON "control: { bind: \"127.0.0.1:8404\", token: open-sesame }\n";
static const char without_token[] = COMMON "control: { bind: \"127.0.0.1:8404\" }\n";

static const char pair[] =
    COMMON "nodes: { lb1: { address: 10.77.0.11 }, lb2: { address: 10.77.0.12 },\n"
           "         lb3: { address: 10.77.0.13 } }\n"
           "virtual_ips:\n"
           "  web: { address: 10.77.0.100/24, interface: eth0, router_id: 51,\n"
           "         priority: { lb1: 200, lb2: 100 }, track: [proxy, check.disk] }\n"
           "  mail: { address: 10.77.0.101/24, interface: eth0, router_id: 52,\n"
           "          priority: { lb2: 100, lb3: 90 } }\n"
           "checks: { disk: { exec: [/bin/true] } }\n";

static struct node_fixture node;
static struct api api;
static struct api_answer ans;
static struct api_change change;

static int set_up(void **state)
{
	(void)state;
	node_open(&node, with_token);
	node_state(&node, "app/a", SERVER_UP, ORDER_READY);
	node_state(&node, "app/b", SERVER_UP, ORDER_READY);
	node_state(&node, "shop/c", SERVER_UP, ORDER_READY);
	node_state(&node, "shop/d", SERVER_UP, ORDER_READY);
	api = node_api(&node);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	buf_free(&ans.body);
	node_close(&node);
	return 0;
}

/* By the control socket. Returns what api_handle did. */
static int ask(const char *method, const char *path, const char *query, const char *body)
{
	struct api_request q = { .method = str_from(method),
		                 .path = str_from(path),
		                 .query = str_from(query),
		                 .body = str_from(body),
		                 .host = STR("localhost"),
		                 .local = true };

	buf_free(&ans.body);
	return api_handle(&api, &q, &ans, &change);
}

/* A POST by TCP. Returns its status, 0 where it would be carried out. */
static unsigned ask_tcp(const char *path, const char *host, const char *authorization)
{
	struct api_request q = { .method = STR("POST"),
		                 .path = str_from(path),
		                 .host = str_from(host),
		                 .authorization = str_from(authorization) };

	buf_free(&ans.body);
	return api_handle(&api, &q, &ans, &change) == ERR_AGAIN ? 0 : ans.status;
}

static json_t *answer(void)
{
	json_error_t e;
	json_t *j = json_loadb(ans.body.p, ans.body.len, JSON_REJECT_DUPLICATES, &e);

	if (j == NULL)
		fail_msg("not JSON (%s): %s", e.text, buf_cstr(&ans.body));
	return j;
}

static void expect_error(unsigned status, const char *words)
{
	json_t *j = answer();
	const char *error = json_string_value(json_object_get(j, "error"));

	assert_int_equal(ans.status, status);
	if (error == NULL || strstr(error, words) == NULL)
		fail_msg("no \"%s\" in %s", words, buf_cstr(&ans.body));
	json_decref(j);
}

/* --- reading -------------------------------------------------------------------------------- */

static void test_status(void **state)
{
	json_t *j;
	json_t *s;

	(void)state;
	stat_request(board_block(node.board, 0, 0, BOARD_SERVER, node_server(&node, "app/a")),
	             STAT_GET, 200, 1000);
	stat_request(board_block(node.board, 0, 0, BOARD_SERVER, node_server(&node, "app/a")),
	             STAT_GET, 502, 1000);
	assert_int_equal(ask("GET", "/api/v1/status", "", ""), OK);
	j = answer();
	assert_string_equal(json_string_value(json_object_get(j, "node")), "lb1");
	assert_string_equal(json_string_value(json_object_get(j, "health")), "healthy");
	assert_int_equal(json_array_size(json_object_get(j, "servers")), 4);
	assert_int_equal(json_array_size(json_object_get(j, "roles")), 3);
	s = json_array_get(json_object_get(j, "servers"), 0);
	assert_string_equal(json_string_value(json_object_get(s, "id")), "app/a");
	assert_string_equal(json_string_value(json_object_get(s, "state")), "up");
	assert_string_equal(json_string_value(json_object_get(s, "reason")),
	                    "because of \"app/a\"");
	assert_string_equal(json_string_value(json_object_get(s, "since")),
	                    "2023-11-14T22:13:22.000Z");
	assert_int_equal(json_integer_value(json_object_get(s, "requests")), 2);
	assert_int_equal(json_integer_value(json_object_get(s, "errors")), 1);
	json_decref(j);
}

static const char *text_of(const json_t *j, const char *key)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s != NULL ? s : "(none)";
}

static struct board_vip *use_pair(enum vip_state web)
{
	struct board_vip *v;

	node_load(&node, pair);
	api = node_api(&node);
	node_state(&node, "check.disk", SERVER_DOWN, ORDER_READY);
	v = node_vip(&node, 5, "web", web);
	node_condition(v, "proxy", true, "");
	node_condition(v, "check.disk", false, "exit status 1");
	return v;
}

static void test_status_virtual_ips(void **state)
{
	struct board_vip *b = use_pair(VIP_BACKUP);
	json_t *j;
	json_t *v;
	json_t *c;

	(void)state;
	snprintf(b->peer, sizeof(b->peer), "10.77.0.12");
	b->peer_priority = 100;
	b->yielded = 1;
	b->active_interval_cs = 4;
	b->c[VIP_COUNT_RECEIVED] = 12;
	b->dropped[VIP_DROP_TTL] = 2;
	ask("GET", "/api/v1/status", "", "");
	j = answer();
	assert_int_equal(json_array_size(json_object_get(j, "virtual_ips")), 2);
	v = json_array_get(json_object_get(j, "virtual_ips"), 1);
	assert_string_equal(text_of(v, "name"), "web");
	assert_string_equal(text_of(v, "state"), "backup");
	assert_string_equal(text_of(v, "holder"), "lb2");
	assert_string_equal(text_of(v, "reason"), "because of \"web\"");
	assert_string_equal(json_string_value(json_array_get(json_object_get(v, "addresses"), 0)),
	                    "10.77.0.100/24");
	assert_int_equal(json_integer_value(json_object_get(v, "peer_priority")), 100);
	assert_int_equal(json_integer_value(json_object_get(v, "active_interval_ms")), 40);
	assert_true(json_is_true(json_object_get(v, "yielded")));
	assert_true(json_is_false(json_object_get(v, "conflict")));
	c = json_array_get(json_object_get(v, "conditions"), 1);
	assert_string_equal(text_of(c, "name"), "check.disk");
	assert_true(json_is_false(json_object_get(c, "well")));
	assert_string_equal(text_of(c, "reason"), "exit status 1");
	assert_int_equal(json_integer_value(json_object_get(json_object_get(v, "counters"),
	                                                    "advertisements_received_total")),
	                 12);
	assert_int_equal(json_integer_value(json_object_get(json_object_get(v, "dropped"), "ttl")),
	                 2);
	/* IPv6 is spoken from link-local addresses: of two nodes it is the other one. */
	snprintf(b->peer, sizeof(b->peer), "fe80::1");
	ask("GET", "/api/v1/stats", "", "");
	assert_non_null(strstr(buf_cstr(&ans.body), "\"holder\":\"lb2\""));
	snprintf(b->peer, sizeof(b->peer), "10.77.0.99"); /* a stranger */
	ask("GET", "/api/v1/stats", "", "");
	assert_non_null(strstr(buf_cstr(&ans.body), "\"holder\":\"10.77.0.99\""));
	v = json_array_get(json_object_get(j, "virtual_ips"), 0);
	assert_string_equal(text_of(v, "name"), "mail");
	assert_string_equal(text_of(v, "state"), "out");
	assert_string_equal(text_of(v, "reason"), "this node may not hold it");
	c = json_array_get(json_object_get(j, "checks"), 0);
	assert_string_equal(text_of(c, "name"), "disk");
	assert_string_equal(text_of(c, "state"), "down");
	assert_string_equal(text_of(c, "reason"), "because of \"check.disk\"");
	json_decref(j);
}

static void test_failed_conditions_degrade(void **state)
{
	struct board_vip *v = use_pair(VIP_BACKUP);
	json_t *j;

	(void)state;
	ask("GET", "/health", "", "");
	assert_int_equal(ans.status, 200);
	assert_non_null(strstr(buf_cstr(&ans.body), "check.disk: exit status 1"));
	j = answer();
	assert_string_equal(text_of(j, "state"), "degraded");
	json_decref(j);
	v->conditions[1].well = 1;
	ask("GET", "/health", "", "");
	j = answer();
	assert_string_equal(text_of(j, "state"), "healthy");
	json_decref(j);
	v->conflict = 1;
	ask("GET", "/health", "", "");
	assert_non_null(strstr(buf_cstr(&ans.body), "another node is active as well"));
	v->conflict = 0;
	v->state = VIP_OUT;
	ask("GET", "/health", "", "");
	assert_non_null(strstr(buf_cstr(&ans.body), "degraded"));
	board_node(node.board)->drained = 1; /* by order is no fault */
	ask("GET", "/health", "", "");
	assert_null(strstr(buf_cstr(&ans.body), "degraded"));
}

static void test_a_role_that_is_not_wanted_is_not_shown(void **state)
{
	struct board_role *r = &board_node(node.board)->roles[3];

	(void)state;
	node_role(&node, 3, "vrrp");
	r->pid = 0;
	ask("GET", "/health", "", "");
	assert_non_null(strstr(buf_cstr(&ans.body), "\"vrrp\""));
	assert_non_null(strstr(buf_cstr(&ans.body), "degraded"));
	*r = (struct board_role){ 0 };
	ask("GET", "/health", "", "");
	assert_null(strstr(buf_cstr(&ans.body), "\"vrrp\""));
	ask("GET", "/api/v1/roles", "", "");
	assert_null(strstr(buf_cstr(&ans.body), "\"vrrp\""));
}

static void test_status_active_counts_all_instances(void **state)
{
	uint32_t slot = node_server(&node, "app/a");
	json_t *j;

	(void)state;
	atomic_store(&board_live(node.board, 0, slot)->active, 2);
	atomic_store(&board_live(node.board, 1, slot)->active, 3);
	ask("GET", "/api/v1/status", "", "");
	j = answer();
	assert_int_equal(json_integer_value(
	                     json_object_get(json_array_get(json_object_get(j, "servers"), 0),
	                                     "active")),
	                 5);
	json_decref(j);
}

static void test_stats(void **state)
{
	json_t *j;

	(void)state;
	assert_int_equal(ask("GET", "/api/v1/stats", "", ""), OK);
	j = answer();
	assert_int_equal(json_array_size(json_object_get(j, "servers")), 4);
	assert_int_equal(json_array_size(
	                     json_object_get(json_array_get(json_object_get(j, "pools"), 0),
	                                     "latency")),
	                 STAT_BUCKETS + 1);
	json_decref(j);
}

static void test_roles(void **state)
{
	json_t *j;

	(void)state;
	assert_int_equal(ask("GET", "/api/v1/roles", "", ""), OK);
	j = answer();
	assert_int_equal(json_array_size(j), 3);
	json_decref(j);
}

static void put_event(const char *text)
{
	struct log_line line = { .wall_ms = 1700000000000,
		                 .level = LOG_LEVEL_WARNING,
		                 .area = "check",
		                 .event = "server_down",
		                 .object = "app/a",
		                 .text = text };

	board_journal(&line, node.board);
}

static void test_events(void **state)
{
	json_t *j;
	json_t *e;

	(void)state;
	put_event("first");
	put_event("second");
	put_event("third");
	assert_int_equal(ask("GET", "/api/v1/events", "since=1&limit=1", ""), OK);
	j = answer();
	assert_int_equal(json_array_size(json_object_get(j, "events")), 1);
	e = json_array_get(json_object_get(j, "events"), 0);
	assert_string_equal(json_string_value(json_object_get(e, "text")), "second");
	assert_string_equal(json_string_value(json_object_get(e, "level")), "warning");
	assert_int_equal(json_integer_value(json_object_get(j, "next")), 2);
	json_decref(j);
}

static void test_events_beyond_the_ring(void **state)
{
	json_t *j;

	(void)state;
	for (unsigned i = 0; i < BOARD_EVENTS + 10; i++)
		put_event("x");
	ask("GET", "/api/v1/events", "limit=99999", "");
	j = answer();
	assert_int_equal(json_integer_value(json_object_get(j, "first")), 10);
	assert_int_equal(json_array_size(json_object_get(j, "events")), BOARD_EVENTS);
	json_decref(j);
	ask("GET", "/api/v1/events", "since=18446744073709551614", "");
	j = answer();
	assert_int_equal(json_array_size(json_object_get(j, "events")), 0);
	assert_int_equal(json_integer_value(json_object_get(j, "next")), BOARD_EVENTS + 10);
	json_decref(j);
}

static void test_events_bad_number(void **state)
{
	(void)state;
	ask("GET", "/api/v1/events", "since=-1", "");
	expect_error(400, "numbers");
}

static void test_config_hides_secrets(void **state)
{
	(void)state;
	assert_int_equal(ask("GET", "/api/v1/config", "", ""), OK);
	assert_int_equal(ans.status, 200);
	assert_null(strstr(buf_cstr(&ans.body), "open-sesame"));
	assert_non_null(strstr(buf_cstr(&ans.body), "***"));
	json_decref(answer());
}

static void test_config_image_by_socket_only(void **state)
{
	struct api_request q = { .method = STR("GET"),
		                 .path = STR("/api/v1/config"),
		                 .query = STR("format=image") };

	(void)state;
	assert_int_equal(ask("GET", "/api/v1/config", "format=image", ""), OK);
	assert_int_equal(ans.status, 200);
	assert_true(ans.body.len > 100);
	buf_free(&ans.body);
	api_handle(&api, &q, &ans, &change);
	expect_error(403, "control socket");
}

static int fake_explain(const struct conf *c, struct board *b, const struct explain_query *q,
                        struct buf *out)
{
	(void)c;
	(void)b;
	buf_printf(out, "{\"url\": \"%.*s\", \"method\": \"%.*s\", \"header\": \"%.*s=%.*s\"}",
	           STR_ARG(q->url), STR_ARG(q->method), STR_ARG(q->headers[0].name),
	           STR_ARG(q->headers[0].value));
	return q->nheaders == 1 ? OK : ERR_INVALID;
}

static void test_explain(void **state)
{
	json_t *j;

	(void)state;
	api.explain = fake_explain;
	assert_int_equal(ask("GET", "/api/v1/explain",
	                     "url=http%3A%2F%2Fa.test%2Fx%3Fy&method=PUT&header=X-A:+b%20c", ""),
	                 OK);
	assert_int_equal(ans.status, 200);
	j = answer();
	assert_string_equal(json_string_value(json_object_get(j, "url")), "http://a.test/x?y");
	assert_string_equal(json_string_value(json_object_get(j, "method")), "PUT");
	assert_string_equal(json_string_value(json_object_get(j, "header")), "X-A=b c");
	json_decref(j);
}

static void test_explain_refusals(void **state)
{
	(void)state;
	api.explain = fake_explain;
	ask("GET", "/api/v1/explain", "", "");
	expect_error(400, "url is missing");
	ask("GET", "/api/v1/explain", "url=%4", "");
	expect_error(400, "syntax");
	ask("GET", "/api/v1/explain", "url=%00", "");
	expect_error(400, "syntax");
	ask("GET", "/api/v1/explain", "url=/&header=nocolon", "");
	expect_error(400, "syntax");
	ask("GET", "/api/v1/explain", "url=/&method=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	    "");
	expect_error(400, "too large");
	api.explain = NULL;
	ask("GET", "/api/v1/explain", "url=/", "");
	expect_error(501, "cannot explain");
}

static void test_not_found_and_methods(void **state)
{
	(void)state;
	ask("GET", "/api/v1/nothing", "", "");
	expect_error(404, "/api/v1/status");
	ask("POST", "/api/v1/status", "", "");
	expect_error(405, "takes GET");
	assert_string_equal(ans.extra, "Allow: GET, HEAD\r\n");
	ask("GET", "/api/v1/reload", "", "");
	expect_error(405, "takes POST");
	assert_int_equal(ask("HEAD", "/health", "", ""), OK);
	assert_int_equal(ans.status, 200);
}

/* --- changing ------------------------------------------------------------------------------- */

static void test_changes_by_socket(void **state)
{
	(void)state;
	assert_int_equal(ask("POST", "/api/v1/reload", "", ""), ERR_AGAIN);
	assert_int_equal(change.type, IPC_RELOAD);
	assert_int_equal(ask("POST", "/api/v1/upgrade", "", ""), ERR_AGAIN);
	assert_int_equal(change.type, IPC_UPGRADE);
	assert_int_equal(ask("POST", "/api/v1/order", "",
	                     "{\"target\": \"app/a\", \"order\": \"drain\"}"),
	                 ERR_AGAIN);
	assert_int_equal(change.type, IPC_ORDER);
	assert_int_equal(change.order.order, ORDER_DRAIN);
	assert_string_equal(change.order.target, "app/a");
	assert_int_equal(ask("POST", "/api/v1/order", "",
	                     "{\"target\": \"app/*\", \"order\": \"ready\"}"),
	                 ERR_AGAIN);
}

static void test_switchover(void **state)
{
	(void)state;
	use_pair(VIP_ACTIVE);
	assert_int_equal(ask("POST", "/api/v1/switchover", "", "{\"vip\": \"web\"}"), ERR_AGAIN);
	assert_int_equal(change.type, IPC_SWITCHOVER);
	assert_string_equal(change.switchover.vip, "web");
	assert_string_equal(change.switchover.to, "");
	assert_int_equal(ask("POST", "/api/v1/switchover", "",
	                     "{\"vip\": \"web\", \"to\": \"lb2\"}"),
	                 ERR_AGAIN);
	assert_string_equal(change.switchover.to, "lb2");
	ask("POST", "/api/v1/switchover", "", "{\"vip\": \"web\", \"to\": \"lb3\"}");
	expect_error(404, "\"lb3\" is no node that may hold web; there are lb1, lb2");
	ask("POST", "/api/v1/switchover", "", "{\"vip\": \"shop\"}");
	expect_error(404, "no virtual IP \"shop\"");
	ask("POST", "/api/v1/switchover", "", "{\"vip\": \"web\", \"to\": 7}");
	expect_error(400, "a switchover is");
	ask("POST", "/api/v1/switchover", "", "[]");
	expect_error(400, "a switchover is");
}

static void test_orders_for_the_node(void **state)
{
	(void)state;
	assert_int_equal(ask("POST", "/api/v1/order", "",
	                     "{\"target\": \"@node\", \"order\": \"drain\"}"),
	                 ERR_AGAIN);
	assert_int_equal(change.type, IPC_ORDER);
	assert_string_equal(change.order.target, IPC_NODE_TARGET);
	ask("POST", "/api/v1/order", "", "{\"target\": \"@node\", \"order\": \"disable\"}");
	expect_error(400, "not disabled");
}

static void test_order_refusals(void **state)
{
	(void)state;
	ask("POST", "/api/v1/order", "", "");
	expect_error(400, "an order is");
	ask("POST", "/api/v1/order", "", "{\"target\": \"app/a\", \"order\": \"explode\"}");
	expect_error(400, "an order is");
	ask("POST", "/api/v1/order", "", "[[[[");
	expect_error(400, "an order is");
	ask("POST", "/api/v1/order", "", "{\"target\": \"app/z\", \"order\": \"drain\"}");
	expect_error(404, "no server or pool \"app/z\"");
}

static void test_order_with_a_time(void **state)
{
	static const char *const refused[] = {
		"{\"target\": \"app/a\", \"order\": \"drain\", \"kill_after_ms\": -1}",
		"{\"target\": \"app/a\", \"order\": \"drain\", \"kill_after_ms\": 604800001}",
		"{\"target\": \"app/a\", \"order\": \"drain\", \"kill_after_ms\": \"5s\"}",
		"{\"target\": \"app/a\", \"order\": \"disable\", \"kill_after_ms\": 5}",
		"{\"target\": \"app/a\", \"order\": \"ready\", \"kill_after_ms\": 5}",
		"{\"target\": \"@node\", \"order\": \"drain\", \"kill_after_ms\": 5}",
	};
	struct ipc_result done = { .count = 1, .text = "drained" };
	uint64_t now = clock_wall_ms();

	(void)state;
	ask("POST", "/api/v1/order", "", "{\"target\": \"app/a\", \"order\": \"drain\"}");
	assert_int_equal(change.order.end_wall_ms, 0);
	assert_int_equal(ask("POST", "/api/v1/order", "",
	                     "{\"target\": \"app/a\", \"order\": \"drain\", "
	                     "\"kill_after_ms\": 600000}"),
	                 ERR_AGAIN);
	assert_in_range(change.order.end_wall_ms, now + 600000, now + 660000);
	change.order.end_wall_ms = 1700000000000;
	buf_free(&ans.body);
	api_result(&change, &done, &ans);
	assert_non_null(strstr(buf_cstr(&ans.body), "\"end_at\":\"2023-11-14T22:13:20.000Z\""));
	for (unsigned i = 0; i < ARRAY_LEN(refused); i++) {
		ask("POST", "/api/v1/order", "", refused[i]);
		expect_error(400, "kill_after_ms goes with");
	}
}

static void test_orphan(void **state)
{
	(void)state;
	api.orphan = true;
	assert_int_equal(ask("POST", "/api/v1/reload", "", ""), OK);
	expect_error(503, "holdfast run");
}

static void test_token(void **state)
{
	(void)state;
	assert_int_equal(ask_tcp("/api/v1/reload", "127.0.0.1:8404", "Bearer open-sesame"), 0);
	assert_int_equal(ask_tcp("/api/v1/reload", "127.0.0.1:8404", "bearer  open-sesame"), 0);
	assert_int_equal(ask_tcp("/api/v1/reload", "127.0.0.1:8404", ""), 401);
	expect_error(401, "Authorization: Bearer");
	assert_string_equal(ans.extra, "WWW-Authenticate: Bearer realm=\"holdfast\"\r\n");
	assert_int_equal(ask_tcp("/api/v1/reload", "127.0.0.1:8404", "Bearer open-sesam"), 401);
	assert_int_equal(ask_tcp("/api/v1/reload", "127.0.0.1:8404", "Bearer open-sesame2"), 401);
	assert_int_equal(ask_tcp("/api/v1/reload", "127.0.0.1:8404", "Bearer"), 401);
	assert_int_equal(ask_tcp("/api/v1/reload", "127.0.0.1:8404", "Basic open-sesame"), 401);
	assert_int_equal(ask_tcp("/api/v1/upgrade", "127.0.0.1:8404", ""), 401);
	assert_int_equal(ask_tcp("/api/v1/order", "127.0.0.1:8404", ""), 401);
}

static void test_no_token_configured(void **state)
{
	(void)state;
	node_load(&node, without_token);
	api = node_api(&node);
	assert_int_equal(ask_tcp("/api/v1/reload", "127.0.0.1:8404", "Bearer "), 403);
	expect_error(403, "control.token is not configured");
}

static void test_host_of_changes(void **state)
{
	static const struct {
		const char *host;
		unsigned status;
	} rows[] = { { "127.0.0.1:8404", 0 },
		     { "10.1.2.3", 0 },
		     { "[::1]:8404", 0 },
		     { "localhost", 0 },
		     { "LOCALHOST:8404", 0 },
		     { "evil.test", 403 },
		     { "evil.test:8404", 403 },
		     { "", 403 },
		     { "127.0.0.1.evil.test", 403 },
		     { "localhost.evil", 403 } };

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
		unsigned got = ask_tcp("/api/v1/reload", rows[i].host, "Bearer open-sesame");

		if (got != rows[i].status)
			fail_msg("Host %s gives %u", rows[i].host, got);
	}
}

static void test_results(void **state)
{
	struct api_change c = { .type = IPC_ORDER };
	struct ipc_result r = { .err = OK, .count = 2, .text = "done" };
	json_t *j;

	(void)state;
	api_result(&c, &r, &ans);
	assert_int_equal(ans.status, 200);
	j = answer();
	assert_int_equal(json_integer_value(json_object_get(j, "servers")), 2);
	json_decref(j);
	buf_free(&ans.body);
	r = (struct ipc_result){ .err = ERR_INVALID, .text = "h.yaml:3:1: error: \"x\"\n" };
	c.type = IPC_RELOAD;
	api_result(&c, &r, &ans);
	expect_error(409, "h.yaml:3:1: error: \"x\"");
}

/* --- health --------------------------------------------------------------------------------- */

static void expect_health(unsigned status, const char *health, const char *words)
{
	json_t *j;

	assert_int_equal(ask("GET", "/health", "", ""), OK);
	assert_int_equal(ans.status, status);
	j = answer();
	assert_string_equal(json_string_value(json_object_get(j, "state")), health);
	json_decref(j);
	if (strstr(buf_cstr(&ans.body), words) == NULL)
		fail_msg("no \"%s\" in %s", words, buf_cstr(&ans.body));
}

static void test_health(void **state)
{
	(void)state;
	expect_health(200, "healthy", "2 of 2 servers up");
	node_state(&node, "app/a", SERVER_DOWN, ORDER_READY);
	expect_health(200, "degraded", "1 of 2 servers up, 1 down");
	node_state(&node, "app/b", SERVER_DOWN, ORDER_READY);
	expect_health(200, "degraded", "0 of 2 servers up, 2 down");
	node_state(&node, "shop/c", SERVER_DOWN, ORDER_READY);
	node_state(&node, "shop/d", SERVER_UNPROVED, ORDER_READY);
	expect_health(503, "unhealthy", "1 starting");
}

static void test_health_orders_are_no_fault(void **state)
{
	(void)state;
	node_state(&node, "app/a", SERVER_UP, ORDER_DRAIN);
	expect_health(200, "healthy", "1 out of service by order");
	node_state(&node, "app/b", SERVER_UP, ORDER_DISABLE);
	expect_health(200, "degraded", "0 of 2 servers up");
}

static void test_health_of_roles(void **state)
{
	struct board_node *n = board_node(node.board);

	(void)state;
	n->roles[1].ready = 0;
	expect_health(200, "degraded", "starting");
	n->roles[0].pid = 0;
	snprintf(n->roles[0].reason, sizeof(n->roles[0].reason), "ended by signal 9");
	expect_health(503, "unhealthy", "not running: ended by signal 9");
}

static void test_health_of_reload_and_end(void **state)
{
	struct board_node *n = board_node(node.board);

	(void)state;
	snprintf(n->reload_error, sizeof(n->reload_error), "broken");
	expect_health(200, "degraded", "the last reload was refused");
	n->draining = 1;
	expect_health(503, "unhealthy", "about to end");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_status),
		TEST(test_status_virtual_ips),
		TEST(test_failed_conditions_degrade),
		TEST(test_a_role_that_is_not_wanted_is_not_shown),
		TEST(test_status_active_counts_all_instances),
		TEST(test_stats),
		TEST(test_roles),
		TEST(test_events),
		TEST(test_events_beyond_the_ring),
		TEST(test_events_bad_number),
		TEST(test_config_hides_secrets),
		TEST(test_config_image_by_socket_only),
		TEST(test_explain),
		TEST(test_explain_refusals),
		TEST(test_not_found_and_methods),
		TEST(test_changes_by_socket),
		TEST(test_switchover),
		TEST(test_orders_for_the_node),
		TEST(test_order_refusals),
		TEST(test_order_with_a_time),
		TEST(test_orphan),
		TEST(test_token),
		TEST(test_no_token_configured),
		TEST(test_host_of_changes),
		TEST(test_results),
		TEST(test_health),
		TEST(test_health_orders_are_no_fault),
		TEST(test_health_of_roles),
		TEST(test_health_of_reload_and_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
