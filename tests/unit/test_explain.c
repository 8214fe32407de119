/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast explain`: what it says about listeners, routes, states and picks, on a real board. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <jansson.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/explain.h"

static struct board *board;
static struct net_addr binds[2];
static const struct str bind_texts[] = { { "*:80", 4 }, { "127.0.0.1:8080", 14 } };
static struct str api_hosts[] = { { "api.test", 8 } };
static struct conf_listener listeners[2];
static struct conf_route routes[4];
static struct conf_server servers[4];
static struct conf_pool pools[2];
static struct conf conf;
static struct buf text;
static json_t *root;

static void set(unsigned server, enum server_state state, enum server_order order,
                const char *reason)
{
	struct board_server *s = board_server(board, servers[server].slot);
	union server_word w = { .state = state, .order = order, .ramp = 100 };

	atomic_store(&s->word, w.word);
	snprintf(s->reason, sizeof(s->reason), "%s", reason);
}

static int setup(void **state)
{
	static const char *const names[] = { "a", "b", "c", "spare" };
	static const char *const ids[] = { "web/a", "web/b", "web/c", "web/spare" };

	memset(routes, 0, sizeof(routes));
	memset(servers, 0, sizeof(servers));
	memset(pools, 0, sizeof(pools));
	assert_int_equal(net_addr_parse(bind_texts[0], &binds[0], NULL), OK);
	assert_int_equal(net_addr_parse(bind_texts[1], &binds[1], NULL), OK);
	for (unsigned i = 0; i < 2; i++)
		listeners[i] = (struct conf_listener){ .bind = &binds[i],
			                               .bind_text = &bind_texts[i],
			                               .nbind = 1,
			                               .max_line = 8192,
			                               .max_header_size = 32768,
			                               .max_headers = 100 };
	listeners[0].name = STR("http");
	listeners[1].name = STR("inside");
	for (unsigned i = 0; i < 4; i++) {
		servers[i] = (struct conf_server){ .name = str_from(names[i]),
			                           .id = str_from(ids[i]),
			                           .address_text = STR("10.0.0.1:80"),
			                           .slot = i + 3,
			                           .weight = 1,
			                           .backup = i == 3 };
		set(i, SERVER_UP, ORDER_READY, "HTTP 200");
		atomic_store(&board_live(board, 0, i + 3)->active, 0);
	}
	pools[0] = (struct conf_pool){ .name = STR("empty") };
	pools[1] = (struct conf_pool){
		.name = STR("web"), .servers = servers, .nservers = 4, .queue_timeout = 5000000000
	};
	routes[0] = (struct conf_route){ .name = STR("api"),
		                         .hosts = { api_hosts, 1 },
		                         .path = STR("/"),
		                         .pool = 1,
		                         .file = STR("holdfast.yaml"),
		                         .line = 12 };
	routes[1] = (struct conf_route){ .name = STR("none"), .path = STR("/none"), .pool = 0 };
	routes[2] = (struct conf_route){ .name = STR("web"), .path = STR("/web"), .pool = 1 };
	conf = (struct conf){ .listeners = listeners,
		              .nlisteners = 2,
		              .routes = routes,
		              .nroutes = 3,
		              .pools = pools,
		              .npools = 2 };
	return 0;
}

static int teardown(void **state)
{
	json_decref(root);
	root = NULL;
	buf_free(&text);
	return 0;
}

static int ask(const struct explain_query *q)
{
	json_error_t e;
	int err;

	json_decref(root);
	text.len = 0;
	err = proxy_explain(&conf, board, q, &text);
	root = json_loads(buf_cstr(&text), JSON_REJECT_DUPLICATES, &e);
	if (root == NULL)
		fail_msg("%s: %s", e.text, text.p);
	return err;
}

static void ask_url(const char *url)
{
	assert_int_equal(ask(&(struct explain_query){ .url = str_from(url) }), OK);
}

/* "server.id"; "" where it is not there. */
static const char *get(const char *path)
{
	const json_t *v = root;
	char key[32];

	while (*path != '\0') {
		size_t n = strcspn(path, ".");

		snprintf(key, sizeof(key), "%.*s", (int)n, path);
		v = json_is_array(v) ? json_array_get(v, (size_t)atoi(key))
		                     : json_object_get(v, key);
		path += n + (path[n] == '.');
	}
	return json_is_string(v) ? json_string_value(v) : "";
}

static void whole_chain(void **state)
{
	ask_url("http://api.test/x?y=1");
	assert_string_equal(get("listener.name"), "http");
	assert_string_equal(get("listener.address"), "*:80");
	assert_string_equal(get("listener.why"), "listens on port 80");
	assert_string_equal(get("route.name"), "api");
	assert_string_equal(get("route.file"), "holdfast.yaml");
	assert_string_equal(get("route.why"), "takes it: host exactly, path /");
	assert_string_equal(get("route.candidates.0"),
	                    "none: no: path /x is not at or below /none");
	assert_string_equal(get("pool.name"), "web");
	assert_string_equal(get("pool.why"), "3 of 4 servers eligible, round_robin");
	assert_string_equal(get("servers.0.id"), "web/a");
	assert_string_equal(get("servers.0.state"), "up");
	assert_string_equal(get("servers.0.why"), "HTTP 200; takes 33.3% by weight");
	assert_string_equal(get("servers.3.why"),
	                    "HTTP 200; backup: rests while another server is up");
	assert_memory_equal(get("server.id"), "web/", 4);
	assert_string_not_equal(get("server.id"), "web/spare");
	assert_string_equal(get("answer"), "");
}

static void listener_by_port_name_or_first(void **state)
{
	ask_url("http://api.test:8080/");
	assert_string_equal(get("listener.name"), "inside");
	ask_url("http://api.test:9999/");
	assert_string_equal(get("listener.name"), "http");
	assert_string_equal(get("listener.why"), "no listener on port 9999: this is the first one");
	ask_url("api.test/");
	assert_string_equal(get("listener.why"), "the first one");
	assert_string_equal(get("route.name"), "api");
	ask_url("/web");
	assert_string_equal(get("route.name"), "web");
	assert_int_equal(ask(&(struct explain_query){ .url = STR("/web"),
	                                              .listener = STR("inside") }),
	                 OK);
	assert_string_equal(get("listener.name"), "inside");
	assert_string_equal(get("listener.why"), "as asked for");
}

static void no_route(void **state)
{
	ask_url("http://other.test/zzz");
	assert_string_equal(get("route.name"), "");
	assert_string_equal(get("answer"), "404: no route for host other.test and path /zzz");
	assert_null(json_object_get(root, "pool"));
}

static void states_and_reasons(void **state)
{
	set(0, SERVER_DOWN, ORDER_READY, "connect refused");
	set(1, SERVER_UP, ORDER_DRAIN, "HTTP 200");
	ask_url("http://api.test/");
	assert_string_equal(get("servers.0.state"), "down");
	assert_string_equal(get("servers.0.why"), "connect refused; takes nothing");
	assert_string_equal(get("servers.1.state"), "drain");
	assert_string_equal(get("servers.1.why"), "HTTP 200; takes nothing new by order");
	assert_string_equal(get("server.id"), "web/c");
	assert_string_equal(get("server.why"), "the only one that is eligible");
	set(2, SERVER_UNPROVED, ORDER_READY, "");
	ask_url("http://api.test/");
	assert_string_equal(get("servers.2.why"), "not proved yet");
	assert_string_equal(get("server.id"), "web/spare");
}

static void when_what_is_open_is_ended(void **state)
{
	struct board_server *s = board_server(board, servers[1].slot);

	set(1, SERVER_UP, ORDER_DRAIN, "HTTP 200");
	atomic_store(&s->end_wall_ms, clock_wall_ms() + 7230000);
	ask_url("http://api.test/");
	assert_string_equal(get("servers.1.why"), "HTTP 200; takes nothing new by order; what is "
	                                          "open is ended in 2h00m");
	atomic_store(&s->end_wall_ms, 0);
	atomic_store(&s->ended, 3);
	ask_url("http://api.test/");
	assert_string_equal(get("servers.1.why"),
	                    "HTTP 200; takes nothing new by order; its time is over: 3 ended");
	atomic_store(&s->ended, 0);
}

static void nobody_is_up(void **state)
{
	for (unsigned i = 0; i < 4; i++)
		set(i, SERVER_DOWN, ORDER_READY, "connect refused");
	ask_url("http://api.test/");
	assert_string_equal(get("answer"),
	                    "503: no healthy server in pool web (4 down: connect refused)");
	set(3, SERVER_UP, ORDER_DISABLE, "by order");
	ask_url("http://api.test/");
	assert_string_equal(get("answer"), "503: no healthy server in pool web (3 down: connect "
	                                   "refused; 0 draining, 1 disabled)");
	assert_string_equal(get("server.id"), "");
}

static void empty_pool(void **state)
{
	ask_url("http://x.test/none");
	assert_string_equal(get("answer"), "503: no healthy server in pool empty (0 down)");
}

static void panic(void **state)
{
	pools[1].panic_threshold = 50;
	set(0, SERVER_DOWN, ORDER_READY, "HTTP 500");
	set(1, SERVER_DOWN, ORDER_READY, "HTTP 500");
	ask_url("http://api.test/");
	assert_string_equal(get("pool.why"),
	                    "4 of 4 servers eligible, round_robin; fewer than 50% are up, so those "
	                    "that are down are used as well");
}

static void loads_and_limits(void **state)
{
	pools[1].balance = BALANCE_LEAST_CONN;
	atomic_store(&board_live(board, 0, servers[0].slot)->active, 7);
	atomic_store(&board_live(board, 0, servers[1].slot)->active, 2);
	atomic_store(&board_live(board, 0, servers[2].slot)->active, 9);
	ask_url("http://api.test/");
	assert_string_equal(get("server.id"), "web/b");
	assert_string_equal(get("server.why"), "fewest requests for its weight; 2 requests now");
	pools[1].max_connections = 8;
	servers[1].max_connections = 2;
	ask_url("http://api.test/");
	assert_string_equal(get("server.id"), "web/a");
	assert_string_equal(get("servers.1.why"),
	                    "HTTP 200; takes 33.3% by weight; full: 2 requests");
	assert_non_null(strstr(get("server.why"), "others are full"));
	pools[1].max_connections = 5;
	ask_url("http://api.test/");
	assert_string_equal(get("answer"), "waits for a free connection, at most 5s, then 503: all "
	                                   "servers of pool web are full");
}

static void hashes(void **state)
{
	struct explain_query q = { .url = STR("http://api.test/"), .client = STR("10.1.2.3") };
	char first[32];

	pools[1].balance = BALANCE_SOURCE_HASH;
	ask(&q);
	snprintf(first, sizeof(first), "%s", get("server.id"));
	assert_string_equal(get("server.why"), "by the hash of the client's address");
	q.client = STR("10.1.2.3:4711");
	for (unsigned i = 0; i < 10; i++) {
		ask(&q);
		assert_string_equal(get("server.id"), first);
	}
	pools[1].balance = BALANCE_HEADER_HASH;
	pools[1].hash_header = STR("X-User");
	ask(&q);
	assert_string_equal(get("server.why"),
	                    "one of them: there is nothing to hash, so any at random");
	q.headers[q.nheaders++] = (struct conf_match_header){ STR("x-user"), STR("joe") };
	ask(&q);
	assert_string_equal(get("server.why"), "by the hash of header X-User");
}

static void method_and_client_count(void **state)
{
	static struct str post[] = { { "POST", 4 } };
	static struct net_cidr office;
	struct explain_query q = { .url = STR("http://api.test/") };

	assert_int_equal(net_cidr_parse(STR("fd00::/8"), &office), OK);
	routes[3] = routes[0];
	routes[3].name = STR("special");
	routes[3].methods = (struct conf_list){ post, 1 };
	routes[3].clients = &office;
	routes[3].nclients = 1;
	conf.nroutes = 4;
	ask(&q);
	assert_string_equal(get("route.name"), "api");
	assert_string_equal(get("route.candidates.0"), "special: no: only for method POST");
	q.method = STR("POST");
	ask(&q);
	assert_string_equal(get("route.candidates.0"),
	                    "special: no: the client is not in fd00::/8");
	q.client = STR("fd00::1");
	ask(&q);
	assert_string_equal(get("route.name"), "special");
	q.client = STR("[fd00::1]:80");
	ask(&q);
	assert_string_equal(get("route.name"), "special");
}

static void bad_questions(void **state)
{
	static const char *const urls[] = {
		"",
		"ftp://x.test/",
		"http://",
		"http:///x",
		"http://x.test:0/",
		"http://x.test:99999/",
		"http://x.test:http/",
		"http://x y/",
		"http://x.test/a b",
		"http://x.test/\r\nX: y",
		"http://x.test/\r\n\r\nGET / HTTP/1.1\r\n",
		"://x",
	};
	static const char *const clients[] = { "nobody", "10.0.0", "10.0.0.256", "::zz",
		                               "0123456789012345678901234567890123456789" };

	for (unsigned i = 0; i < ARRAY_LEN(urls); i++) {
		if (ask(&(struct explain_query){ .url = str_from(urls[i]) }) != ERR_INVALID)
			fail_msg("%s is taken", urls[i]);
		assert_string_not_equal(get("error"), "");
	}
	for (unsigned i = 0; i < ARRAY_LEN(clients); i++) {
		assert_int_equal(ask(&(struct explain_query){ .url = STR("/"),
		                                              .client = str_from(clients[i]) }),
		                 ERR_INVALID);
		assert_string_equal(get("error"), "the client is no address");
	}
	assert_int_equal(ask(&(struct explain_query){ .url = STR("/"), .method = STR("G T") }),
	                 ERR_INVALID);
	assert_int_equal(ask(&(struct explain_query){ .url = STR("/"), .listener = STR("no") }),
	                 ERR_INVALID);
	assert_string_equal(get("error"), "no listener has that name");
}

static void odd_but_good_questions(void **state)
{
	ask_url("http://[::1]:8080/web");
	assert_string_equal(get("route.name"), "web");
	ask_url("http://api.test");
	assert_string_equal(get("route.name"), "api");
	ask_url("http://api.test?x=http://y/");
	assert_string_equal(get("route.name"), "api");
	ask_url("http://api.test/#part");
	assert_string_equal(get("route.name"), "api");
	ask_url("HTTPS://API.test/");
	assert_string_equal(get("route.name"), "api");
	assert_int_equal(
	    ask(&(struct explain_query){
	        .url = STR("/"), .headers = { { STR("Host"), STR("api.test") } }, .nheaders = 1 }),
	    OK);
	assert_string_equal(get("route.name"), "api");
	assert_int_equal(ask(&(struct explain_query){ .url = STR("api.test:80"),
	                                              .method = STR("CONNECT") }),
	                 ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(whole_chain, setup, teardown),
		cmocka_unit_test_setup_teardown(listener_by_port_name_or_first, setup, teardown),
		cmocka_unit_test_setup_teardown(no_route, setup, teardown),
		cmocka_unit_test_setup_teardown(states_and_reasons, setup, teardown),
		cmocka_unit_test_setup_teardown(when_what_is_open_is_ended, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_is_up, setup, teardown),
		cmocka_unit_test_setup_teardown(empty_pool, setup, teardown),
		cmocka_unit_test_setup_teardown(panic, setup, teardown),
		cmocka_unit_test_setup_teardown(loads_and_limits, setup, teardown),
		cmocka_unit_test_setup_teardown(hashes, setup, teardown),
		cmocka_unit_test_setup_teardown(method_and_client_count, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_questions, setup, teardown),
		cmocka_unit_test_setup_teardown(odd_but_good_questions, setup, teardown),
	};
	int fd, failed;

	if (board_create(&board, &fd) != OK)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	board_unmap(board);
	close(fd);
	return failed;
}
