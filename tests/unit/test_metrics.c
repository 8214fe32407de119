/* SPDX-License-Identifier: Apache-2.0 */
/* The exposition: lines as Prometheus wants them, and only of what is configured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "node_fixture.h"

static const char one_pool[] = "listeners: { web: { bind: \"127.0.0.1:80\" } }\n"
                               "pools:\n"
                               "  app:\n"
                               "    servers: { a: \"10.0.0.1:80\", b: { address: \"10.0.0.2:80\", "
                               "weight: 4 } }\n"
                               "routes: { all: { to: app } }\n";
static const char other_pool[] = "listeners: { web: { bind: \"127.0.0.1:80\" } }\n"
                                 "pools:\n"
                                 "  shop:\n"
                                 "    servers: { a: \"10.0.0.1:80\", c: \"10.0.0.3:80\" }\n"
                                 "routes: { other: { to: shop } }\n";

static const char pair[] =
    "nodes: { lb1: { address: 10.77.0.11 }, lb2: { address: 10.77.0.12 } }\n"
    "virtual_ips:\n"
    "  web: { address: 10.77.0.100/24, interface: eth0, router_id: 51,\n"
    "         priority: { lb1: 200, lb2: 100 }, track: [proxy, check.disk] }\n"
    "  mail: { address: 10.77.0.101/24, interface: eth0, router_id: 52,\n"
    "          priority: { lb2: 100 } }\n"
    "checks: { disk: { exec: [/bin/true] } }\n"
    "listeners: { web: { bind: \"127.0.0.1:80\" } }\n"
    "pools: { app: { servers: { a: \"10.0.0.1:80\", b: \"10.0.0.2:80\" } } }\n"
    "routes: { all: { to: app } }\n";

static struct node_fixture node;

static int set_up(void **state)
{
	(void)state;
	node_open(&node, one_pool);
	node_state(&node, "app/a", SERVER_UP, ORDER_READY);
	node_state(&node, "app/b", SERVER_DOWN, ORDER_READY);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	node_close(&node);
	return 0;
}

/* The exposition, to free(). */
static char *expose(void)
{
	struct api a = node_api(&node);
	struct buf out = BUF_INIT;

	metrics_write(&a, &out);
	assert_false(out.failed);
	return buf_take(&out);
}

static bool has_line(const char *text, const char *want)
{
	size_t len = strlen(want);

	for (const char *p = text; (p = strstr(p, want)) != NULL; p++) {
		if ((p == text || p[-1] == '\n') && p[len] == '\n')
			return true;
	}
	return false;
}

static void expect_lines(const char *const *want)
{
	char *text = expose();

	for (; *want != NULL; want++) {
		if (!has_line(text, *want))
			fail_msg("no line \"%s\"", *want);
	}
	free(text);
}

static struct stat_block *server_block(unsigned instance, unsigned thread)
{
	return board_block(node.board, instance, thread, BOARD_SERVER, node_server(&node, "app/a"));
}

static void test_requests_by_method_and_code(void **state)
{
	static const char *const want[] = { "# TYPE holdfast_server_requests_total counter",
		                            "holdfast_server_requests_total{pool=\"app\",server="
		                            "\"a\",method=\"GET\",code=\"200\"} 3",
		                            "holdfast_server_requests_total{pool=\"app\",server="
		                            "\"a\",method=\"POST\",code=\"503\"} 1",
		                            NULL };

	(void)state;
	stat_request(server_block(0, 0), STAT_GET, 200, NS_PER_MS);
	stat_request(server_block(0, 1), STAT_GET, 200, NS_PER_MS);
	stat_request(server_block(1, 0), STAT_GET, 200, NS_PER_MS);
	stat_request(server_block(0, 0), STAT_POST, 503, NS_PER_MS);
	expect_lines(want);
}

static void test_histogram_is_cumulative(void **state)
{
	static const char *const want[] = {
		"# TYPE holdfast_server_request_duration_seconds histogram",
		"holdfast_server_request_duration_seconds_bucket{pool=\"app\",server=\"a\",le=\"0."
		"001\"} 1",
		"holdfast_server_request_duration_seconds_bucket{pool=\"app\",server=\"a\",le="
		"\"10\"} 2",
		"holdfast_server_request_duration_seconds_bucket{pool=\"app\",server=\"a\",le=\"+"
		"Inf\"} 3",
		"holdfast_server_request_duration_seconds_sum{pool=\"app\",server=\"a\"} 20.100500",
		"holdfast_server_request_duration_seconds_count{pool=\"app\",server=\"a\"} 3",
		NULL
	};

	(void)state;
	stat_request(server_block(0, 0), STAT_GET, 200, 500 * NS_PER_US);
	stat_request(server_block(0, 0), STAT_GET, 200, 100 * NS_PER_MS);
	stat_request(server_block(0, 0), STAT_GET, 200, 20 * NS_PER_S);
	expect_lines(want);
}

static void test_fourteen_bounds(void **state)
{
	char *text = expose();
	unsigned n = 0;

	(void)state;
	for (const char *p = text;
	     (p = strstr(p, "holdfast_listener_request_duration_seconds_bucket{")) != NULL; p++)
		n++;
	assert_int_equal(n, 15); /* and +Inf */
	free(text);
}

static void test_states(void **state)
{
	static const char *const want[] = {
		"holdfast_server_up{pool=\"app\",server=\"a\"} 1",
		"holdfast_server_up{pool=\"app\",server=\"b\"} 0",
		"holdfast_server_state{pool=\"app\",server=\"b\",state=\"down\"} 1",
		"holdfast_server_state{pool=\"app\",server=\"b\",state=\"up\"} 0",
		"holdfast_server_weight{pool=\"app\",server=\"a\"} 1",
		"holdfast_server_weight{pool=\"app\",server=\"b\"} 0",
		NULL
	};

	(void)state;
	expect_lines(want);
}

static void test_drained_server(void **state)
{
	static const char *const want[] = {
		"holdfast_server_up{pool=\"app\",server=\"a\"} 0",
		"holdfast_server_state{pool=\"app\",server=\"a\",state=\"draining\"} 1",
		"holdfast_server_state{pool=\"app\",server=\"a\",state=\"up\"} 0", NULL
	};

	(void)state;
	node_state(&node, "app/a", SERVER_UP, ORDER_DRAIN);
	expect_lines(want);
}

static void test_gauges_and_counters(void **state)
{
	static const char *const want[] = {
		"# TYPE holdfast_server_active_requests gauge",
		"# TYPE holdfast_server_open_connections gauge",
		"# TYPE holdfast_server_retries_total counter",
		"holdfast_server_active_requests{pool=\"app\",server=\"a\"} 2",
		"holdfast_server_retries_total{pool=\"app\",server=\"a\"} 7",
		"holdfast_pool_retries_total{pool=\"app\"} 0",
		"holdfast_route_bytes_in_total{route=\"all\"} 0",
		"holdfast_listener_connections_total{listener=\"web\"} 0",
		NULL
	};

	(void)state;
	stat_add(&server_block(0, 0)->c[STAT_ACTIVE], 2);
	stat_add(&server_block(0, 3)->c[STAT_RETRIES], 7);
	expect_lines(want);
}

static void test_checks(void **state)
{
	static const char *const want[] = {
		"holdfast_server_checks_total{pool=\"app\",server=\"a\",result=\"ok\"} 12",
		"holdfast_server_checks_total{pool=\"app\",server=\"a\",result=\"failed\"} 3",
		"holdfast_server_check_duration_seconds_count{pool=\"app\",server=\"a\"} 15", NULL
	};
	struct board_server *s = board_server(node.board, node_server(&node, "app/a"));

	(void)state;
	s->checks_ok = 12;
	s->checks_failed = 3;
	s->check_latency[2] = 15;
	expect_lines(want);
}

static void test_node(void **state)
{
	static const char *const want[] = {
		"holdfast_build_info{version=\"1.2.3\",node=\"lb1\"} 1",
		"holdfast_start_time_seconds 1700000000.000",
		"holdfast_role_up{role=\"proxy\"} 1",
		"holdfast_role_up{role=\"check\"} 0",
		"holdfast_role_restarts_total{role=\"check\"} 2",
		"holdfast_reloads_total{result=\"ok\"} 5",
		"holdfast_reloads_total{result=\"refused\"} 1",
		"holdfast_last_reload_successful 0",
		"holdfast_last_reload_success_timestamp_seconds 1700000001.500",
		"holdfast_configuration_generation 1",
		NULL
	};
	struct board_node *n = board_node(node.board);

	(void)state;
	n->roles[1].ready = 0;
	n->roles[1].restarts = 2;
	n->reloads_ok = 5;
	n->reloads_refused = 1;
	snprintf(n->reload_error, sizeof(n->reload_error), "broken");
	expect_lines(want);
}

static void test_virtual_ips(void **state)
{
	static const char *const want[] = {
		"# TYPE holdfast_vrrp_state gauge",
		"holdfast_vrrp_state{vip=\"web\",state=\"active\"} 1",
		"holdfast_vrrp_state{vip=\"web\",state=\"backup\"} 0",
		"holdfast_vrrp_priority{vip=\"web\"} 180",
		"holdfast_vrrp_base_priority{vip=\"web\"} 200",
		"holdfast_vrrp_holding{vip=\"web\"} 1",
		"holdfast_vrrp_conflict{vip=\"web\"} 0",
		"# TYPE holdfast_vrrp_transitions_total counter",
		"holdfast_vrrp_transitions_total{vip=\"web\"} 3",
		"holdfast_vrrp_dropped_total{vip=\"web\",reason=\"checksum\"} 7",
		"holdfast_vrrp_dropped_total{vip=\"web\",reason=\"auth\"} 0",
		"holdfast_condition_well{vip=\"web\",condition=\"proxy\"} 1",
		"holdfast_condition_well{vip=\"web\",condition=\"check.disk\"} 0",
		"# TYPE holdfast_check_up gauge",
		"holdfast_check_up{check=\"disk\"} 1",
		"holdfast_node_drained 1",
		NULL
	};
	struct board_vip *v;
	char *text;

	(void)state;
	node_load(&node, pair);
	node_state(&node, "check.disk", SERVER_UP, ORDER_READY);
	v = node_vip(&node, 3, "web", VIP_ACTIVE);
	v->priority = 180;
	v->holding = 1;
	v->c[VIP_COUNT_TRANSITIONS] = 3;
	v->dropped[VIP_DROP_CHECKSUM] = 7;
	node_condition(v, "proxy", true, "");
	node_condition(v, "check.disk", false, "exit status 1");
	node_vip(&node, 4, "gone", VIP_ACTIVE); /* of an older configuration */
	board_node(node.board)->drained = 1;
	expect_lines(want);
	text = expose();
	assert_null(strstr(text, "vip=\"gone\""));
	assert_null(strstr(text, "vip=\"mail\"")); /* not this node's */
	free(text);
}

static void test_stale_series_vanish(void **state)
{
	char *text;

	(void)state;
	stat_request(server_block(0, 0), STAT_GET, 200, NS_PER_MS);
	node_load(&node, other_pool);
	text = expose();
	assert_null(strstr(text, "app"));
	assert_null(strstr(text, "route=\"all\""));
	assert_non_null(strstr(text, "pool=\"shop\",server=\"c\""));
	free(text);
}

static void test_labels_are_escaped(void **state)
{
	struct board_node *n = board_node(node.board);
	static const char *const want[] = {
		"holdfast_build_info{version=\"1.2.3\",node=\"a\\\\b\\\"c\\nd?\"} 1", NULL
	};

	(void)state;
	snprintf(n->node, sizeof(n->node), "a\\b\"c\nd\t");
	expect_lines(want);
}

/* Each family once, its samples together, HELP and TYPE before them. */
static void test_families_stand_together(void **state)
{
	char *text;
	char *save = NULL;
	char family[128] = "";
	struct buf seen = BUF_INIT;

	(void)state;
	node_load(&node, pair);
	node_vip(&node, 0, "web", VIP_BACKUP);
	text = expose();
	for (char *l = strtok_r(text, "\n", &save); l != NULL; l = strtok_r(NULL, "\n", &save)) {
		char needle[160];

		if (strncmp(l, "# TYPE ", 7) == 0)
			continue;
		if (strncmp(l, "# HELP ", 7) == 0) {
			sscanf(l + 7, "%127s", family);
			snprintf(needle, sizeof(needle), " %s ", family);
			if (strstr(buf_cstr(&seen), needle) != NULL)
				fail_msg("%s twice", family);
			buf_adds(&seen, needle);
		} else if (strncmp(l, family, strlen(family)) != 0) {
			fail_msg("\"%s\" stands among %s", l, family);
		}
	}
	assert_true(seen.len > 0);
	buf_free(&seen);
	free(text);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_requests_by_method_and_code),
		TEST(test_histogram_is_cumulative),
		TEST(test_fourteen_bounds),
		TEST(test_states),
		TEST(test_drained_server),
		TEST(test_gauges_and_counters),
		TEST(test_checks),
		TEST(test_node),
		TEST(test_virtual_ips),
		TEST(test_stale_series_vanish),
		TEST(test_labels_are_escaped),
		TEST(test_families_stand_together),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
