/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Nodes on one bridge, each in a network namespace of its own, and a client that has the bridge.
 * All in one process: a socket stays in the namespace in which it was made.
 */
#ifndef TESTS_VIP_NET_H
#define TESTS_VIP_NET_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/err.h"
#include "net/loop.h"
#include "net/netlink.h"
#include "net/sock.h"

#define WAIT_MS 30000

struct vip_host {
	int ns;
	struct netlink *n;
	uint32_t link;        /* of the nodes: eth0; of the client: br */
	struct net_addr four; /* 10.88.0.11, … 12, … 13; the client 10.88.0.1 */
	struct net_addr six;  /* link-local: what VRRP sends from */
};

#define VIP_NODES 3

static struct vip_host client, nodes[VIP_NODES];
static struct loop *loop;

static inline struct net_addr ip(const char *text)
{
	struct net_addr a;

	CHECK(net_ip_parse(str_from(text), &a) == OK);
	return a;
}

static inline void enter(const struct vip_host *h)
{
	CHECK(setns(h->ns, CLONE_NEWNET) == 0);
}

/* Runs a program in a namespace; its status. */
static inline int run_in(const struct vip_host *h, const char *command)
{
	enter(h);
	return system(command);
}

struct found {
	uint32_t link;
	struct net_addr ip;
};

static inline void find_link_local(void *arg, const struct net_ifaddr *a)
{
	struct found *f = arg;

	if (a->link == f->link && a->ip.sa.sa_family == AF_INET6 &&
	    IN6_IS_ADDR_LINKLOCAL(&a->ip.in6.sin6_addr)) {
		f->ip = a->ip;
	}
}

static inline void quick_ipv6(void)
{
	int fd = open("/proc/sys/net/ipv6/conf/default/accept_dad", O_WRONLY | O_CLOEXEC);

	if (fd >= 0) {
		CHECK(write(fd, "0", 1) == 1);
		close(fd);
	}
}

/* false: not possible here, errno says why. */
static inline bool new_host(struct vip_host *h)
{
	struct net_link lo;

	if (unshare(CLONE_NEWNET) < 0) {
		return false;
	}
	h->ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (h->ns < 0 || netlink_open(&h->n) != OK) {
		return false;
	}
	quick_ipv6();
	CHECK(netlink_link(h->n, "lo", &lo) == OK);
	CHECK(netlink_link_set(h->n, lo.index, true) == OK);
	return true;
}

static inline void address(struct vip_host *h, unsigned last)
{
	char text[32];
	struct net_addr six;

	snprintf(text, sizeof(text), "10.88.0.%u", last);
	h->four = ip(text);
	CHECK(netlink_address_set(h->n, h->link, &h->four, 24, NETLINK_FOREVER) == OK);
	snprintf(text, sizeof(text), "fd88::%u", last);
	six = ip(text);
	CHECK(netlink_address_set(h->n, h->link, &six, 64, NETLINK_FOREVER) == OK);
	for (unsigned i = 0; i < WAIT_MS / 10 && h->six.len == 0; i++) {
		struct found f = { .link = h->link };

		CHECK(netlink_addresses(h->n, find_link_local, &f) == OK);
		h->six = f.ip;
		usleep(h->six.len == 0 ? 10 * 1000 : 0);
	}
	CHECK(h->six.len > 0);
}

static inline uint32_t index_of(struct vip_host *h, const char *name)
{
	struct net_link l;

	CHECK(netlink_link(h->n, name, &l) == OK);
	return l.index;
}

static inline void plug_in(struct vip_host *node, unsigned i)
{
	char port[16];

	snprintf(port, sizeof(port), "port%u", i);
	CHECK(netlink_veth_add(client.n, port, "eth0", node->ns) == OK);
	CHECK(netlink_master_set(client.n, index_of(&client, port), client.link) == OK);
	CHECK(netlink_link_set(client.n, index_of(&client, port), true) == OK);
	node->link = index_of(node, "eth0");
	CHECK(netlink_link_set(node->n, node->link, true) == OK);
	address(node, 11 + i);
}

/* 0, or the exit status of the test: skipped, with a message. */
static inline int vip_net_make(void)
{
	/* An ordinary user gets the rights in a namespace of its own. */
	if (geteuid() != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
		goto skipped;
	}
	if (!new_host(&client)) {
		goto skipped;
	}
	if (netlink_bridge_add(client.n, "br") != OK) {
		goto skipped;
	}
	client.link = index_of(&client, "br");
	CHECK(netlink_link_set(client.n, client.link, true) == OK);
	for (unsigned i = 0; i < VIP_NODES; i++) {
		if (!new_host(&nodes[i])) {
			goto skipped;
		}
		plug_in(&nodes[i], i);
	}
	address(&client, 1);
	loop = loop_new();
	CHECK(loop != NULL);
	return 0;
skipped:
	fprintf(stderr, "skipped: no network namespaces here: %s\n", strerror(errno));
	return 77;
}

static inline void vip_net_free(void)
{
	loop_free(loop);
	for (unsigned i = 0; i < VIP_NODES; i++) {
		netlink_close(nodes[i].n);
		close(nodes[i].ns);
	}
	netlink_close(client.n);
	close(client.ns);
}

/* Until the condition is true: the loop turns meanwhile. */
#define WAIT_FOR(condition) \
	do { \
		for (unsigned i_ = 0; i_ < WAIT_MS / 10 && !(condition); i_++) { \
			CHECK(loop_turn(loop, 10 * 1000000ULL) == OK); \
		} \
		assert_true(condition); \
	} while (0)

#endif
