/* SPDX-License-Identifier: Apache-2.0 */
/* TCP sockets of this host by their local address (see netlink.h): sock_diag(7). */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <stdlib.h>

#include "base/err.h"
#include "net/netlink_impl.h"

/* All that may still have something to say. */
#define CONNECTED (~(1U << TCP_LISTEN | 1U << TCP_TIME_WAIT | 1U << TCP_CLOSE))

#define IP_BYTES 16

/* One condition with one address behind it: what the kernel compares sockets with. An IPv4 address
 * matches the mapped ones of IPv6 sockets as well. */
struct filter {
	char bytes[sizeof(struct inet_diag_bc_op) + sizeof(struct inet_diag_hostcond) + IP_BYTES];
	size_t len;
};

static void fill(struct filter *f, const struct net_addr *ip)
{
	bool six = ip->sa.sa_family == AF_INET6;
	size_t bytes = six ? IP_BYTES : sizeof(ip->in.sin_addr);
	struct inet_diag_hostcond host = { .family = (__u8)ip->sa.sa_family,
		                           .prefix_len = (__u8)(bytes * 8),
		                           .port = -1 };
	struct inet_diag_bc_op op = { .code = INET_DIAG_BC_S_COND };

	f->len = sizeof(op) + sizeof(host) + bytes;
	op.yes = (unsigned char)f->len;
	op.no = (unsigned short)(f->len + 4); /* beyond the end: refused */
	memcpy(f->bytes, &op, sizeof(op));
	memcpy(f->bytes + sizeof(op), &host, sizeof(host));
	memcpy(f->bytes + sizeof(op) + sizeof(host),
	       six ? (const void *)&ip->in6.sin6_addr : (const void *)&ip->in.sin_addr, bytes);
}

static int dump(struct netlink *n, int family, const struct net_addr *ip, uint32_t states,
                netlink_want *want, void *arg)
{
	struct nlmsghdr *h =
	    netlink_begin(n, SOCK_DIAG_BY_FAMILY, NLM_F_DUMP, sizeof(struct inet_diag_req_v2));
	struct inet_diag_req_v2 *r = mnl_nlmsg_get_payload(h);
	struct filter f;

	fill(&f, ip);
	r->sdiag_family = (__u8)family;
	r->sdiag_protocol = IPPROTO_TCP;
	r->idiag_states = states;
	mnl_attr_put(h, INET_DIAG_REQ_BYTECODE, f.len, f.bytes);
	return netlink_dump(n, h, want, NULL, arg);
}

/* Sockets of both families: a dual-stack listener's connections are IPv6 ones. */
static int dump_both(struct netlink *n, const struct net_addr *ip, uint32_t states,
                     netlink_want *want, void *arg)
{
	int err = dump(n, AF_INET6, ip, states, want, arg);

	/* A kernel without IPv6. */
	if (err == ERR_NOT_FOUND) {
		err = OK;
	}
	if (err == OK && ip->sa.sa_family == AF_INET) {
		err = dump(n, AF_INET, ip, states, want, arg);
	}
	return err;
}

static bool count(void *arg, const struct nlmsghdr *h)
{
	unsigned *n = arg;

	*n += h->nlmsg_type == SOCK_DIAG_BY_FAMILY;
	return false;
}

int netlink_tcp_connections(struct netlink *n, const struct net_addr *ip, unsigned *ret)
{
	*ret = 0;
	return dump_both(n, ip, CONNECTED, count, ret);
}

struct ports {
	uint16_t *v;
	unsigned max;
	unsigned n;
};

static bool take_port(void *arg, const struct nlmsghdr *h)
{
	const struct inet_diag_msg *m = mnl_nlmsg_get_payload(h);
	struct ports *to = arg;
	uint16_t port;

	if (h->nlmsg_type != SOCK_DIAG_BY_FAMILY || mnl_nlmsg_get_payload_len(h) < sizeof(*m)) {
		return false;
	}
	port = ntohs(m->id.idiag_sport);
	for (unsigned i = 0; i < to->n; i++) {
		if (to->v[i] == port) {
			return false;
		}
	}
	if (to->n < to->max) {
		to->v[to->n++] = port;
	}
	return false;
}

int netlink_tcp_listeners(struct netlink *n, const struct net_addr *ip, uint16_t *ports,
                          unsigned max, unsigned *ret_n)
{
	struct ports to = { .v = ports, .max = max };
	int err = dump_both(n, ip, 1U << TCP_LISTEN, take_port, &to);

	*ret_n = to.n;
	return err;
}
