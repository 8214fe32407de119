/* SPDX-License-Identifier: Apache-2.0 */
/* Links, addresses, routes and rules by rtnetlink, in network namespaces of the test's own. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <linux/if.h>
#include <linux/if_addr.h>

#include "base/err.h"
#include "net/netlink.h"
#include "net/sock.h"

#define WAIT_MS 30000

static struct netlink *here, *there;
static int there_ns = -1;

static int skipped(const char *what)
{
	fprintf(stderr, "skipped: no network namespace of its own here: %s: %s\n", what,
	        strerror(errno));
	return 77;
}

/* Two namespaces: `there`, then `here`, in which the test stays. 0, or its exit status. */
static int enter(void)
{
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		return skipped("unshare");
	}
	there_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (there_ns < 0 || netlink_open(&there) != OK) {
		return skipped("/proc/self/ns/net");
	}
	if (unshare(CLONE_NEWNET) < 0 || netlink_open(&here) != OK) {
		return skipped("a second one");
	}
	return 0;
}

static struct net_addr ip(const char *text)
{
	char full[NET_ADDR_TEXT];
	struct net_addr a;

	snprintf(full, sizeof(full), strchr(text, ':') != NULL ? "[%s]:1" : "%s:1", text);
	assert_int_equal(net_addr_parse(str_from(full), &a, NULL), OK);
	return a;
}

static struct net_link link_of(struct netlink *n, const char *name)
{
	struct net_link l;

	assert_int_equal(netlink_link(n, name, &l), OK);
	assert_string_equal(l.name, name);
	return l;
}

static void pair(const char *a, const char *b)
{
	assert_int_equal(netlink_veth_add(here, a, b, there_ns), OK);
	assert_int_equal(netlink_link_set(here, link_of(here, a).index, true), OK);
	assert_int_equal(netlink_link_set(there, link_of(there, b).index, true), OK);
}

static void unpair(const char *a)
{
	assert_int_equal(netlink_link_delete(here, link_of(here, a).index), OK);
}

/* --- links ---------------------------------------------------------------------------------- */

static void test_veth(void **state)
{
	struct net_link l;

	(void)state;
	assert_int_equal(netlink_veth_add(here, "va", "vb", there_ns), OK);
	assert_int_equal(netlink_link(here, "vb", &l), ERR_NOT_FOUND);
	l = link_of(here, "va");
	assert_string_equal(l.kind, "veth");
	assert_true(l.has_mac && l.mtu == 1500 && !l.carrier && (l.flags & IFF_UP) == 0);
	assert_int_equal(netlink_veth_add(here, "va", "vc", there_ns), ERR_EXISTS);
	assert_int_equal(netlink_link_set(here, l.index, true), OK);
	assert_false(link_of(here, "va").carrier);
	assert_int_equal(netlink_link_set(there, link_of(there, "vb").index, true), OK);
	assert_true(link_of(here, "va").carrier);
	assert_int_equal(netlink_link_by_index(here, l.index, &l), OK);
	assert_string_equal(l.name, "va");
	assert_int_equal(netlink_link_delete(here, l.index), OK);
	assert_int_equal(netlink_link(here, "va", &l), ERR_NOT_FOUND);
	assert_int_equal(netlink_link(there, "vb", &l), ERR_NOT_FOUND);
	assert_int_equal(netlink_link_by_index(here, 4711, &l), ERR_NOT_FOUND);
	assert_int_equal(errno, ENODEV);
}

static void count_link(void *arg, const struct net_link *l)
{
	unsigned *n = arg;

	*n += strncmp(l->name, "many", 4) == 0;
	/* The socket is free for other requests meanwhile. */
	assert_int_equal(link_of(here, l->name).index, l->index);
}

static void delete_link(void *arg, const struct net_link *l)
{
	unsigned *n = arg;

	if (strncmp(l->name, "many", 4) == 0) {
		*n += netlink_link_delete(here, l->index) == OK;
	}
}

/* More than fit into one part of a dump. */
static void test_many_links(void **state)
{
	unsigned n = 0, gone = 0, rest = 0;
	char name[16];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		snprintf(name, sizeof(name), "many%u", i);
		assert_int_equal(netlink_bridge_add(here, name), OK);
	}
	assert_int_equal(netlink_links(here, count_link, &n), OK);
	assert_int_equal(n, 100);
	assert_int_equal(netlink_links(here, delete_link, &gone), OK);
	assert_int_equal(gone, 100);
	assert_int_equal(netlink_links(here, count_link, &rest), OK);
	assert_int_equal(rest, 0);
}

static void test_bridge(void **state)
{
	struct net_link b, p;

	(void)state;
	assert_int_equal(netlink_bridge_add(here, "br"), OK);
	pair("va", "vb");
	b = link_of(here, "br");
	assert_string_equal(b.kind, "bridge");
	p = link_of(here, "va");
	assert_int_equal(netlink_master_set(here, p.index, b.index), OK);
	assert_int_equal(link_of(here, "va").master, b.index);
	assert_int_equal(netlink_master_set(here, p.index, 0), OK);
	assert_int_equal(link_of(here, "va").master, 0);
	/* The kernel's own words, where it has any. */
	assert_int_not_equal(netlink_master_set(here, p.index, p.index), OK);
	assert_int_not_equal(strlen(netlink_error(here)), 0);
	unpair("va");
	assert_int_equal(netlink_link_delete(here, b.index), OK);
}

static void test_macvlan(void **state)
{
	const uint8_t mac[6] = { 0x00, 0x00, 0x5e, 0x00, 0x01, 51 };
	struct net_link l;

	(void)state;
	pair("va", "vb");
	if (netlink_macvlan_add(here, "mv", link_of(here, "va").index, mac) != OK) {
		assert_int_equal(errno, EOPNOTSUPP);
		fprintf(stderr, "this kernel has no macvlan: %s\n", netlink_error(here));
	} else {
		l = link_of(here, "mv");
		assert_string_equal(l.kind, "macvlan");
		assert_memory_equal(l.mac, mac, 6);
		assert_int_equal(l.parent, link_of(here, "va").index);
	}
	unpair("va");
	assert_int_equal(netlink_link(here, "mv", &l), ERR_NOT_FOUND);
}

/* --- addresses ------------------------------------------------------------------------------ */

struct wanted {
	struct net_addr ip;
	struct net_ifaddr found;
	unsigned n;
};

static void find_address(void *arg, const struct net_ifaddr *a)
{
	struct wanted *w = arg;
	struct net_addr plain = w->ip;

	if (plain.sa.sa_family == AF_INET) {
		plain.in.sin_port = 0;
	} else {
		plain.in6.sin6_port = 0;
	}
	if (net_addr_eq(&a->ip, &plain)) {
		w->found = *a;
		w->n++;
	}
}

static bool has(const char *text, struct net_ifaddr *ret)
{
	struct wanted w = { .ip = ip(text) };

	assert_int_equal(netlink_addresses(here, find_address, &w), OK);
	assert_true(w.n <= 1);
	if (ret != NULL) {
		*ret = w.found;
	}
	return w.n == 1;
}

static void address_life(const char *text, uint32_t prefix)
{
	struct net_addr a = ip(text);
	struct net_ifaddr found;
	uint32_t link = link_of(here, "va").index;
	bool six = a.sa.sa_family == AF_INET6;

	assert_int_equal(netlink_address_set(here, link, &a, prefix, 1000), OK);
	assert_true(has(text, &found));
	assert_true(found.link == link && found.prefix == prefix);
	assert_true(found.valid_s <= 1000 && found.valid_s > 900);
	assert_int_equal(found.protocol, NETLINK_PROTO_HOLDFAST);
	assert_int_equal((found.flags & IFA_F_NODAD) != 0, six);
	assert_int_equal(found.flags & IFA_F_TENTATIVE, 0);
	/* Renewed in its place. */
	assert_int_equal(netlink_address_set(here, link, &a, prefix, 5000), OK);
	assert_true(has(text, &found) && found.valid_s > 4000);
	assert_int_equal(netlink_address_set(here, link, &a, prefix, NETLINK_FOREVER), OK);
	assert_true(has(text, &found) && found.valid_s == NETLINK_FOREVER);
	assert_int_equal(netlink_address_delete(here, link, &a, prefix), OK);
	assert_false(has(text, NULL));
	assert_int_equal(netlink_address_delete(here, link, &a, prefix), OK);
	/* The kernel takes it away when nobody renews it. */
	assert_int_equal(netlink_address_set(here, link, &a, prefix, 1), OK);
	for (unsigned i = 0; i < WAIT_MS / 10 && has(text, NULL); i++) {
		usleep(10 * 1000);
	}
	assert_false(has(text, NULL));
}

static void test_addresses(void **state)
{
	(void)state;
	pair("va", "vb");
	address_life("10.99.0.100", 24);
	address_life("10.99.0.101", 32);
	address_life("fd99::100", 64);
	address_life("fe80::5:100", 64);
	unpair("va");
}

/* The network's route belongs to the address that stays. */
static void test_short_life_beside_a_long_one(void **state)
{
	struct net_addr own = ip("fd99::1"), vip = ip("fd99::100");
	struct net_ifaddr found;
	uint32_t link;

	(void)state;
	pair("va", "vb");
	link = link_of(here, "va").index;
	assert_int_equal(netlink_address_set(here, link, &own, 64, NETLINK_FOREVER), OK);
	assert_true(has("fd99::1", &found) && (found.flags & IFA_F_NOPREFIXROUTE) == 0);
	assert_int_equal(netlink_address_set(here, link, &vip, 64, 1), OK);
	assert_true(has("fd99::100", &found) && (found.flags & IFA_F_NOPREFIXROUTE) != 0);
	unpair("va");
}

static void test_refusals(void **state)
{
	struct net_addr a = ip("10.99.0.1");

	(void)state;
	assert_int_equal(netlink_address_set(here, 4711, &a, 24, 3), ERR_NOT_FOUND);
	assert_int_equal(errno, ENODEV);
	assert_int_equal(netlink_address_delete(here, 4711, &a, 24), OK);
	assert_int_equal(netlink_link_delete(here, 4711), ERR_NOT_FOUND);
	assert_int_not_equal(strlen(netlink_error(here)), 0);
}

/* --- routes --------------------------------------------------------------------------------- */

static void routes(int family, const char *own, const char *via, const char *net, uint32_t prefix)
{
	struct net_addr a = ip(own), g = ip(via), d = ip(net), found;
	uint32_t link, at = 0, bits = family == AF_INET ? 24 : 64;

	pair("va", "vb");
	link = link_of(here, "va").index;
	assert_int_equal(netlink_gateway(here, family, &found, &at), ERR_NOT_FOUND);
	assert_int_equal(netlink_address_set(here, link, &a, bits, NETLINK_FOREVER), OK);
	assert_int_equal(netlink_route_set(here, &d, prefix, NULL, link, family), OK);
	assert_int_equal(netlink_gateway(here, family, &found, &at), ERR_NOT_FOUND);
	assert_int_equal(netlink_route_set(here, NULL, 0, &g, link, family), OK);
	assert_int_equal(netlink_gateway(here, family, &found, &at), OK);
	assert_int_equal(at, link);
	if (family == AF_INET) {
		g.in.sin_port = 0;
	} else {
		g.in6.sin6_port = 0;
	}
	assert_true(net_addr_eq(&found, &g));
	unpair("va");
}

static void test_routes(void **state)
{
	(void)state;
	routes(AF_INET, "10.99.0.1", "10.99.0.2", "10.98.0.0", 16);
	routes(AF_INET6, "fd99::1", "fd99::2", "fd98::", 32);
}

static bool readable(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* --- sockets -------------------------------------------------------------------------------- */

static int listen_at(const char *text, struct net_addr *ret)
{
	int fd;

	assert_int_equal(net_addr_parse(str_from(text), ret, NULL), OK);
	fd = net_listen(ret, 16, 0);
	assert_true(fd >= 0);
	return fd;
}

static int client_of(const char *text, int l, int *ret_server)
{
	struct net_addr a, peer;
	bool done;
	int c;

	assert_int_equal(net_addr_parse(str_from(text), &a, NULL), OK);
	c = net_connect(&a, &done);
	assert_true(c >= 0 && readable(l, WAIT_MS));
	*ret_server = net_accept(l, &peer);
	assert_true(*ret_server >= 0);
	return c;
}

static unsigned connections(struct netlink *s, const char *text)
{
	struct net_addr a = ip(text);
	unsigned n = 4711;

	assert_int_equal(netlink_tcp_connections(s, &a, &n), OK);
	return n;
}

static void test_tcp(void **state)
{
	struct net_addr a, one = ip("127.0.0.1"), two = ip("127.0.0.2");
	struct netlink *s;
	uint16_t ports[2];
	unsigned n;
	int all, own, c4, s4, c6, s6, co, so;

	(void)state;
	assert_int_equal(netlink_link_set(here, link_of(here, "lo").index, true), OK);
	assert_int_equal(netlink_open_sockets(&s), OK);
	all = listen_at("*:7080", &a);
	own = listen_at("127.0.0.1:7081", &a);
	assert_int_equal(connections(s, "127.0.0.1"), 0);
	c4 = client_of("127.0.0.2:7080", all, &s4);
	c6 = client_of("[::1]:7080", all, &s6);
	co = client_of("127.0.0.1:7081", own, &so);
	/* The accepted end; clients have the other as well when it is their address too. */
	assert_int_equal(connections(s, "127.0.0.2"), 1);
	assert_int_equal(connections(s, "127.0.0.1"), 3);
	assert_int_equal(connections(s, "::1"), 2);
	assert_int_equal(connections(s, "127.0.0.3"), 0);
	assert_int_equal(netlink_tcp_listeners(s, &one, ports, 2, &n), OK);
	assert_true(n == 1 && ports[0] == 7081);
	assert_int_equal(netlink_tcp_listeners(s, &two, ports, 2, &n), OK);
	assert_int_equal(n, 0);
	close(c4);
	close(s4);
	/* One end waits (TIME_WAIT), neither counts any more. */
	for (unsigned i = 0; i < WAIT_MS / 10 && connections(s, "127.0.0.2") > 0; i++) {
		usleep(10 * 1000);
	}
	assert_int_equal(connections(s, "127.0.0.2"), 0);
	close(c6);
	close(s6);
	close(co);
	close(so);
	close(all);
	close(own);
	netlink_close(s);
}

/* --- watching ------------------------------------------------------------------------------- */

/* A new link's own news (IPv6 finds its addresses) would come at any time. */
static void no_ipv6(void)
{
	int fd = open("/proc/sys/net/ipv6/conf/default/disable_ipv6", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		assert_int_equal(write(fd, "1", 1), 1);
		close(fd);
	}
}

static void settle(int fd)
{
	while (readable(fd, 300)) {
		netlink_watched(fd);
	}
}

static void test_watch(void **state)
{
	struct net_addr a = ip("10.99.0.1");
	int fd = netlink_watch();
	uint32_t link;

	(void)state;
	assert_true(fd >= 0);
	no_ipv6();
	assert_false(netlink_watched(fd));
	pair("va", "vb");
	assert_true(readable(fd, WAIT_MS));
	assert_true(netlink_watched(fd));
	settle(fd);
	assert_false(netlink_watched(fd));
	link = link_of(here, "va").index;
	/* Ours, new or renewed, is no news; that it goes is. */
	assert_int_equal(netlink_address_set(here, link, &a, 24, 100), OK);
	assert_int_equal(netlink_address_set(here, link, &a, 24, 100), OK);
	assert_false(netlink_watched(fd));
	assert_int_equal(netlink_address_delete(here, link, &a, 24), OK);
	assert_true(netlink_watched(fd));
	assert_int_equal(netlink_link_set(here, link, false), OK);
	assert_true(readable(fd, WAIT_MS));
	assert_true(netlink_watched(fd));
	unpair("va");
	close(fd);
}

/* Lost messages mean: look at everything. */
static void test_watch_overflows(void **state)
{
	int fd = netlink_watch(), small = 1;

	(void)state;
	assert_true(fd >= 0);
	no_ipv6();
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	for (unsigned i = 0; i < 20; i++) {
		pair("va", "vb");
		unpair("va");
	}
	assert_true(netlink_watched(fd));
	settle(fd);
	assert_false(netlink_watched(fd));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_veth),
		cmocka_unit_test(test_many_links),
		cmocka_unit_test(test_bridge),
		cmocka_unit_test(test_macvlan),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_short_life_beside_a_long_one),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_watch_overflows),
	};
	int status = enter();

	if (status != 0) {
		return status;
	}
	status = cmocka_run_group_tests(tests, NULL, NULL);
	netlink_close(here);
	netlink_close(there);
	close(there_ns);
	return status;
}
