/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions of virtual IPs in virtual time, on a board made here. The kernel's links and the
 * gateway are played by this file: it defines the functions of net/netlink.h and net/neighbour.h
 * that the conditions call.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "conf/conf.h"
#include "net/neighbour.h"
#include "net/wheel.h"
#include "vrrp/track.h"

#define MS NS_PER_MS

/* --- the world that the conditions see ------------------------------------------------------ */

static struct {
	bool there;
	bool up;
	bool carrier;
	bool mac;
	bool route;
	bool fails; /* the kernel does not answer */
	unsigned opened;
	unsigned asked;
	bool from_own; /* the last question came from 10.77.0.11 */
	int answers;   /* eventfd: the gateway's answers */
} world;

static int fill_link(struct net_link *ret)
{
	if (world.fails)
		return ERR_SYSTEM;
	if (!world.there)
		return ERR_NOT_FOUND;
	*ret = (struct net_link){ .index = 7,
		                  .name = "eth0",
		                  .flags = world.up ? IFF_UP : 0,
		                  .carrier = world.up && world.carrier,
		                  .has_mac = world.mac };
	return OK;
}

int netlink_link(struct netlink *n, const char *name, struct net_link *ret)
{
	(void)n;
	assert_string_equal(name, "eth0");
	return fill_link(ret);
}

int netlink_link_by_index(struct netlink *n, uint32_t index, struct net_link *ret)
{
	(void)n;
	assert_int_equal(index, 7);
	return fill_link(ret);
}

static struct net_addr addr(const char *ip)
{
	struct net_addr a = { .len = sizeof(a.in) };

	a.in.sin_family = AF_INET;
	assert_int_equal(inet_pton(AF_INET, ip, &a.in.sin_addr), 1);
	return a;
}

int netlink_addresses(struct netlink *n, void (*fn)(void *arg, const struct net_ifaddr *a),
                      void *arg)
{
	/* Ours by another's link, the virtual one, one of another network, the one to take. */
	struct net_ifaddr all[] = {
		{ .link = 6, .ip = addr("10.77.0.9"), .prefix = 24 },
		{ .link = 7, .ip = addr("10.77.0.100"), .prefix = 24 },
		{ .link = 7, .ip = addr("192.0.2.1"), .prefix = 24 },
		{ .link = 7, .ip = addr("10.77.0.11"), .prefix = 24 },
	};

	(void)n;
	for (unsigned i = 0; i < ARRAY_LEN(all); i++)
		fn(arg, &all[i]);
	return OK;
}

int netlink_gateway(struct netlink *n, int family, struct net_addr *ret, uint32_t *ret_link)
{
	(void)n;
	assert_int_equal(family, AF_INET);
	if (!world.route)
		return ERR_NOT_FOUND;
	*ret = addr("10.77.0.1");
	*ret_link = 7;
	return OK;
}

int net_neighbour_open(int family, uint32_t link)
{
	assert_int_equal(family, AF_INET);
	assert_int_equal(link, 7);
	world.opened++;
	return dup(world.answers);
}

int net_neighbour_ask(int fd, uint32_t link, const uint8_t mac[6], const struct net_addr *from,
                      const struct net_addr *target)
{
	struct net_addr own = addr("10.77.0.11");

	world.asked++;
	world.from_own = from != NULL && net_addr_eq(from, &own);
	return OK;
}

bool net_neighbour_answered(int fd, const struct net_addr *target)
{
	uint64_t n;

	return read(fd, &n, sizeof(n)) == sizeof(n);
}

/* --- the fixture ---------------------------------------------------------------------------- */

#define SERVERS 3

static struct fixture {
	struct board *board;
	int board_fd;
	struct loop *loop;
	struct track_env env;
	struct conf_server servers[SERVERS];
	struct conf_server check_server;
	struct conf_pool pool;
	struct conf_pool check;
	struct conf_track track[4];
	struct conf_vip_address address;
	struct conf_vip vip;
	struct conf conf;
	struct track_set *set;
	unsigned changes;
	char text[VRRP_WHY + 64];
} f;

static const struct conf_vip_node self_node = { .node = 0, .priority = 100 };

static void quiet(const struct log_line *line, void *arg)
{
	(void)line;
	(void)arg;
}

static int setup(void **state)
{
	(void)state;
	memset(&f, 0, sizeof(f));
	memset(&world, 0, sizeof(world));
	world.there = world.up = world.carrier = world.mac = world.route = true;
	world.answers = eventfd(0, EFD_NONBLOCK);
	log_set_sink(quiet, NULL);
	assert_int_equal(board_create(&f.board, &f.board_fd), OK);
	f.loop = loop_new();
	f.env = (struct track_env){ .loop = f.loop, .board = f.board };
	for (unsigned i = 0; i < SERVERS; i++) {
		char name[16];

		snprintf(name, sizeof(name), "web/%u", i);
		assert_int_equal(board_slot(f.board, BOARD_SERVER, str_from(name), 1,
		                            &f.servers[i].slot),
		                 OK);
	}
	assert_int_equal(board_slot(f.board, BOARD_SERVER, STR("check.disk"), 1,
	                            &f.check_server.slot),
	                 OK);
	f.pool = (struct conf_pool){ .servers = f.servers, .nservers = SERVERS };
	f.check = (struct conf_pool){ .servers = &f.check_server, .nservers = 1 };
	f.address = (struct conf_vip_address){ .ip = addr("10.77.0.100"), .prefix = 24 };
	f.vip = (struct conf_vip){
		.name = STR("web"), .addresses = &f.address, .naddresses = 1, .track = f.track
	};
	f.vip.nodes = &self_node;
	f.vip.nnodes = 1;
	f.conf = (struct conf){ .pools = &f.pool,
		                .npools = 1,
		                .checks = &f.check,
		                .nchecks = 1,
		                .vips = &f.vip,
		                .nvips = 1 };
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	track_set_free(f.set);
	loop_free(f.loop);
	board_unmap(f.board);
	close(f.board_fd);
	close(world.answers);
	return 0;
}

static void condition(const char *name, enum conf_condition kind, uint32_t min, uint32_t weight)
{
	struct str object;

	str_split(str_from(name), '.', &object);
	f.track[f.vip.ntrack++] = (struct conf_track){
		.name = str_from(name), .kind = kind, .object = object, .min = min, .weight = weight
	};
}

static void on_change(void *arg, struct track *t)
{
	struct fixture *me = arg;

	me->changes++;
	assert_ptr_equal(t, track_find(me->set, STR("web")));
}

static void start(void)
{
	assert_int_equal(track_set_new(&f.env, &f.conf, NULL, on_change, &f, &f.set), OK);
}

/* The set is made anew, as by a reload. */
static void reload(void)
{
	struct track_set *old = f.set;

	assert_int_equal(track_set_new(&f.env, &f.conf, old, on_change, &f, &f.set), OK);
	track_set_free(old);
}

static bool proxy_pulses;

/* Lets virtual time pass: timers run when they are due, the proxy's threads give their signs. */
static void pass(uint64_t ms)
{
	for (uint64_t i = 0; i < ms; i += 4) {
		f.loop->now += 4 * MS;
		if (proxy_pulses)
			atomic_store(&board_pulse(f.board, 1, 2)->ns, f.loop->now);
		wheel_run(f.loop);
	}
}

/* "well", or what it costs and why. */
static const char *health(void)
{
	struct vrrp_health h;
	char why[VRRP_WHY];

	track_health(track_find(f.set, STR("web")), &h, why);
	if (!h.low && !h.release && h.weight == 0) {
		assert_string_equal(why, "");
		return "well";
	}
	snprintf(f.text, sizeof(f.text), "%s%s-%u %s", h.low ? "low " : "",
	         h.release ? "release " : "", h.weight, why);
	return f.text;
}

static struct board_condition published(unsigned n)
{
	struct board_vip v = { 0 };

	track_publish(track_find(f.set, STR("web")), &v);
	assert_int_equal(v.nconditions, f.vip.ntrack);
	return v.conditions[n];
}

static void server(unsigned n, enum server_state state, enum server_order order, bool ejected)
{
	union server_word w = { .state = state, .order = order, .ejected = ejected };

	atomic_store(&board_server(f.board, f.servers[n].slot)->word, w.word);
}

static void proxy_is(int32_t pid, bool ready)
{
	struct board_role *r = &board_node(f.board)->roles[3];

	snprintf(r->name, sizeof(r->name), "proxy");
	r->pid = pid;
	r->ready = ready;
	r->instance = 1;
}

/* --- proxy ---------------------------------------------------------------------------------- */

static void proxy_serves(void)
{
	proxy_pulses = true;
	proxy_is(getpid(), true);
	condition("proxy", CONDITION_PROXY, 0, 0);
	start();
	assert_string_equal(health(), "well");
}

static void test_proxy_survives_a_restart(void **state)
{
	proxy_serves();
	pass(5000);
	proxy_is(0, false);
	pass(240);
	proxy_is(getpid(), true);
	pass(5000);
	assert_string_equal(health(), "well");
	assert_int_equal(f.changes, 0);
}

static void test_proxy_fails_after_a_quarter_of_a_second(void **state)
{
	proxy_serves();
	snprintf(board_node(f.board)->roles[3].reason, 64, "killed by signal 9");
	proxy_is(0, false);
	track_set_look(f.set);
	pass(244);
	assert_string_equal(health(), "well");
	pass(12);
	assert_string_equal(health(),
	                    "low release -0 proxy: the proxy does not run: killed by signal 9");
	assert_int_equal(f.changes, 1);

	/* Well again after a second of unbroken service. */
	proxy_is(getpid(), true);
	pass(600);
	proxy_is(0, false);
	pass(100);
	proxy_is(getpid(), true);
	pass(950);
	assert_int_equal(published(0).well, 0);
	pass(120);
	assert_string_equal(health(), "well");
}

static void test_proxy_not_ready_at_the_start_is_not_well(void **state)
{
	proxy_pulses = true;
	proxy_is(getpid(), false);
	condition("proxy", CONDITION_PROXY, 0, 0);
	start();
	assert_string_equal(health(), "low release -0 proxy: the proxy is not ready");
	proxy_is(getpid(), true); /* the first time its word is enough */
	pass(60);
	assert_string_equal(health(), "well");
}

static void test_proxy_hangs(void **state)
{
	proxy_serves();
	pass(5000);
	proxy_pulses = false;
	pass(990);
	assert_string_equal(health(), "well");
	pass(16);
	assert_string_equal(health(),
	                    "low release -0 proxy: the proxy hangs: no thread gave a sign "
	                    "of life for a second");
	proxy_pulses = true;
	pass(900);
	assert_int_equal(published(0).well, 0);
	pass(200);
	assert_string_equal(health(), "well");
}

static void test_our_own_sleep_is_not_the_proxys(void **state)
{
	proxy_serves();
	pass(2000);
	proxy_pulses = false;
	f.loop->now += 10 * NS_PER_S; /* stopped, both */
	track_set_look(f.set);
	assert_string_equal(health(), "well");
	pass(1100); /* but it does not come back */
	assert_int_equal(published(0).well, 0);
}

static void test_the_end_of_the_proxy_is_heard_without_the_parent(void **state)
{
	uint64_t deadline = clock_mono() + 30 * NS_PER_S;
	pid_t pid = fork();

	if (pid == 0) {
		pause();
		_exit(0);
	}
	proxy_pulses = true;
	proxy_is(pid, true);
	condition("proxy", CONDITION_PROXY, 0, 0);
	start();
	reload(); /* the watch goes over to the next set */
	kill(pid, SIGKILL);
	while (published(0).well && clock_mono() < deadline) {
		atomic_store(&board_pulse(f.board, 1, 2)->ns, clock_mono());
		loop_turn(f.loop, 10 * MS);
	}
	assert_string_equal(health(), "low release -0 proxy: the proxy does not run");
	waitpid(pid, NULL, 0);
}

/* --- pools and checks ----------------------------------------------------------------------- */

static void test_pool_counts_servers_in_service(void **state)
{
	condition("pool.web", CONDITION_POOL, 2, 0);
	start();
	assert_string_equal(health(), "well");
	assert_int_equal(published(0).known, 0); /* assumed */
	server(0, SERVER_UP, ORDER_READY, false);
	server(1, SERVER_UP, ORDER_READY, false);
	track_set_look(f.set);
	assert_int_equal(published(0).known, 1);
	server(2, SERVER_DOWN, ORDER_READY, false);
	server(1, SERVER_UP, ORDER_DRAIN, false);
	track_set_look(f.set);
	assert_string_equal(health(),
	                    "low -0 pool.web: 1 of 3 servers in service, at least 2 are needed");
	server(2, SERVER_UP, ORDER_READY, false);
	track_set_look(f.set);
	assert_string_equal(health(), "well");
	server(2, SERVER_DOWN, ORDER_READY, true);
	pass(1100); /* nobody told us */
	assert_int_equal(published(0).well, 0);
	server(2, SERVER_UNPROVED, ORDER_READY, false);
	track_set_look(f.set);
	assert_string_equal(health(), "well");
}

static void test_check_says_why(void **state)
{
	struct board_server *s;
	union server_word w = { .state = SERVER_DOWN };

	condition("check.disk", CONDITION_CHECK, 0, 30);
	start();
	s = board_server(f.board, f.check_server.slot);
	assert_string_equal(health(), "well");
	snprintf(s->reason, sizeof(s->reason), "exit status 1: disk is full");
	atomic_store(&s->word, w.word);
	track_set_look(f.set);
	assert_string_equal(health(), "-30 check.disk: exit status 1: disk is full");
	assert_int_equal(f.changes, 1);
	w.state = SERVER_UP;
	atomic_store(&s->word, w.word);
	track_set_look(f.set);
	assert_string_equal(health(), "well");
}

static void test_weights_add_up(void **state)
{
	condition("check.disk", CONDITION_CHECK, 0, 30);
	condition("pool.web", CONDITION_POOL, 1, 20);
	start();
	for (unsigned i = 0; i < SERVERS; i++)
		server(i, SERVER_DOWN, ORDER_READY, false);
	atomic_store(&board_server(f.board, f.check_server.slot)->word,
	             ((union server_word){ .state = SERVER_DOWN }).word);
	track_set_look(f.set);
	assert_string_equal(health(),
	                    "-50 check.disk: ; pool.web: 0 of 3 servers in service, at least "
	                    "1 is needed");
	assert_int_equal(f.changes, 1); /* one call for both */
}

/* --- interface and gateway ------------------------------------------------------------------ */

static void test_interface(void **state)
{
	condition("interface.eth0", CONDITION_INTERFACE, 0, 0);
	start();
	assert_string_equal(health(), "well");
	world.carrier = false;
	track_set_look(f.set);
	assert_string_equal(health(), "low -0 interface.eth0: interface eth0 has no carrier");
	world.up = false;
	track_set_look(f.set);
	assert_string_equal(health(), "low -0 interface.eth0: interface eth0 is switched off");
	world.there = false;
	track_set_look(f.set);
	assert_string_equal(health(), "low -0 interface.eth0: there is no interface eth0");
	world.there = world.up = world.carrier = true;
	world.fails = true; /* not knowing changes nothing */
	track_set_look(f.set);
	assert_int_equal(published(0).well, 0);
	world.fails = false;
	pass(100);
	assert_string_equal(health(), "well");
}

static void answer(void)
{
	uint64_t one = 1;
	uint64_t now = f.loop->now;

	assert_int_equal(write(world.answers, &one, sizeof(one)), sizeof(one));
	loop_turn(f.loop, 0);
	f.loop->now = MAX(now, f.loop->now); /* the turn has read the real clock */
}

static void test_gateway_rises_at_once_and_falls_after_three(void **state)
{
	condition("gateway", CONDITION_GATEWAY, 0, 0);
	start();
	assert_string_equal(health(), "well");
	assert_int_equal(published(0).known, 0);
	assert_int_equal(world.asked, 1);
	assert_true(world.from_own);
	answer();
	assert_int_equal(published(0).known, 1);
	pass(1020); /* asked again … */
	assert_int_equal(world.asked, 2);
	pass(2000);
	assert_string_equal(health(), "well"); /* … two misses */
	pass(1000);
	assert_string_equal(health(), "low -0 gateway: the gateway 10.77.0.1 does not answer");
	pass(3000);
	answer();
	assert_string_equal(health(), "well");
	assert_int_equal(world.opened, 1);
	assert_int_equal(f.changes, 3);
}

static void test_gateway_needs_a_route(void **state)
{
	world.route = false;
	condition("gateway", CONDITION_GATEWAY, 0, 0);
	start();
	assert_string_equal(health(), "low -0 gateway: there is no default route for IPv4");
	world.route = true;
	pass(1020);
	assert_int_equal(world.asked, 1);
	assert_int_equal(published(0).well, 0); /* not before it has answered */
	answer();
	assert_string_equal(health(), "well");
}

static void test_gateway_behind_a_tunnel_cannot_be_asked(void **state)
{
	world.mac = false;
	condition("gateway", CONDITION_GATEWAY, 0, 0);
	start();
	pass(10000);
	assert_string_equal(health(), "well");
	assert_int_equal(published(0).known, 0);
	assert_int_equal(world.asked, 0);
}

/* --- reload --------------------------------------------------------------------------------- */

static void test_a_reload_keeps_verdicts(void **state)
{
	struct board_condition before;

	condition("gateway", CONDITION_GATEWAY, 0, 0);
	condition("interface.eth0", CONDITION_INTERFACE, 0, 0);
	world.carrier = false;
	start();
	pass(4000);
	assert_int_equal(published(0).well, 0);
	before = published(1);
	reload();
	assert_int_equal(published(0).well, 0);
	assert_int_equal(published(1).since_wall_ms, before.since_wall_ms);
	assert_int_equal(f.changes, 1);
	answer();
	assert_int_equal(published(0).well, 1);
	assert_int_equal(f.changes, 2); /* by the new set alone */
}

/* The process dies; the next one finds on the board what this one has said. */
static void test_a_restart_keeps_verdicts(void **state)
{
	struct board_vip *b = board_vip(f.board, 7);
	uint64_t since;

	condition("gateway", CONDITION_GATEWAY, 0, 0);
	start();
	pass(4020);
	since = published(0).since_wall_ms;
	snprintf(b->name, sizeof(b->name), "web");
	track_publish(track_find(f.set, STR("web")), b);
	atomic_store(&b->used, 1);
	track_set_free(f.set);
	start();
	assert_string_equal(health(), "low -0 gateway: the gateway 10.77.0.1 does not answer");
	assert_int_equal(published(0).since_wall_ms, since);
	answer();
	assert_string_equal(health(), "well");
}

static void test_what_others_hold_is_not_looked_at(void **state)
{
	condition("gateway", CONDITION_GATEWAY, 0, 0);
	f.conf.self = 3;
	start();
	pass(5000);
	assert_int_equal(world.asked, 0);
	assert_null(track_find(f.set, STR("web")));
}

static void test_virtual_ips_share_conditions(void **state)
{
	struct conf_vip two[2];

	condition("gateway", CONDITION_GATEWAY, 0, 0);
	two[0] = f.vip;
	two[1] = f.vip;
	two[1].name = STR("mail");
	f.conf.vips = two;
	f.conf.nvips = 2;
	start();
	assert_int_equal(world.asked, 1);
	assert_non_null(track_find(f.set, STR("mail")));
	assert_null(track_find(f.set, STR("none")));
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(proxy_survives_a_restart),
		TEST(proxy_fails_after_a_quarter_of_a_second),
		TEST(proxy_not_ready_at_the_start_is_not_well),
		TEST(proxy_hangs),
		TEST(our_own_sleep_is_not_the_proxys),
		TEST(the_end_of_the_proxy_is_heard_without_the_parent),
		TEST(pool_counts_servers_in_service),
		TEST(check_says_why),
		TEST(weights_add_up),
		TEST(interface),
		TEST(gateway_rises_at_once_and_falls_after_three),
		TEST(gateway_needs_a_route),
		TEST(gateway_behind_a_tunnel_cannot_be_asked),
		TEST(a_reload_keeps_verdicts),
		TEST(a_restart_keeps_verdicts),
		TEST(what_others_hold_is_not_looked_at),
		TEST(virtual_ips_share_conditions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
