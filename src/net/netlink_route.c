/* SPDX-License-Identifier: Apache-2.0 */
/* Routes, the default gateway and rules (see netlink.h). */
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <stdlib.h>

#include "base/err.h"
#include "net/netlink_impl.h"

/* Before whatever rules others have: the mark is ours alone. */
#define RULE_PRIORITY 100

static struct nlmsghdr *begin(struct netlink *n, int type, int flags, int family, uint32_t table)
{
	struct nlmsghdr *h = netlink_begin(n, type, flags, sizeof(struct rtmsg));
	struct rtmsg *r = mnl_nlmsg_get_payload(h);

	r->rtm_family = (uint8_t)family;
	r->rtm_table = table < 256 ? (uint8_t)table : RT_TABLE_UNSPEC;
	if (table >= 256) {
		mnl_attr_put_u32(h, RTA_TABLE, table);
	}
	return h;
}

int netlink_route_set(struct netlink *n, const struct net_addr *dst, uint32_t prefix,
                      const struct net_addr *gateway, uint32_t link, uint32_t table, int family)
{
	struct nlmsghdr *h = begin(n, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, family,
	                           table == 0 ? RT_TABLE_MAIN : table);
	struct rtmsg *r = mnl_nlmsg_get_payload(h);

	r->rtm_type = RTN_UNICAST;
	r->rtm_protocol = NETLINK_PROTO_HOLDFAST;
	r->rtm_scope = gateway != NULL || family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	if (dst != NULL) {
		r->rtm_dst_len = (uint8_t)prefix;
		netlink_put_ip(h, RTA_DST, dst);
	}
	if (gateway != NULL) {
		netlink_put_ip(h, RTA_GATEWAY, gateway);
	}
	mnl_attr_put_u32(h, RTA_OIF, link);
	return netlink_do(n, h, NULL, NULL);
}

static uint32_t table_of(const struct nlmsghdr *h)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(h);
	const struct nlattr *attr;

	mnl_attr_for_each(attr, h, sizeof(*r))
	{
		if (mnl_attr_get_type(attr) == RTA_TABLE) {
			return mnl_attr_get_u32(attr);
		}
	}
	return r->rtm_table;
}

static bool is_route(void *arg, const struct nlmsghdr *h)
{
	return h->nlmsg_type == RTM_NEWROUTE &&
	       mnl_nlmsg_get_payload_len(h) >= sizeof(struct rtmsg);
}

/* Sends a message of a dump back with another type: "this one is to go". */
static int remove_it(struct netlink *n, const struct nlmsghdr *h, int type)
{
	struct nlmsghdr *out;

	if (h->nlmsg_len > NETLINK_OUT) {
		errno = EMSGSIZE;
		return ERR_TOO_LARGE;
	}
	memcpy(n->out, h, h->nlmsg_len);
	out = (void *)n->out;
	out->nlmsg_type = (uint16_t)type;
	out->nlmsg_flags = NLM_F_REQUEST;
	out->nlmsg_pid = 0;
	return netlink_do(n, out, NULL, NULL);
}

struct flush {
	struct netlink *n;
	uint32_t table;
	int err;
};

static void flush_route(void *arg, const struct nlmsghdr *h)
{
	struct flush *f = arg;
	int err;

	/* Kernels before 4.20 dump every table. */
	if (table_of(h) != f->table) {
		return;
	}
	err = remove_it(f->n, h, RTM_DELROUTE);
	if (err != OK && err != ERR_NOT_FOUND) {
		f->err = err;
	}
}

int netlink_route_flush(struct netlink *n, uint32_t table, int family)
{
	struct flush f = { .n = n, .table = table };
	int err = netlink_dump(n, begin(n, RTM_GETROUTE, NLM_F_DUMP, family, table), is_route,
	                       flush_route, &f);

	/* A table that never was. */
	return err == ERR_NOT_FOUND ? OK : err != OK ? err : f.err;
}

struct gateway {
	struct net_addr ip;
	uint32_t link;
	uint32_t metric;
	bool found;
};

static void read_hop(const struct nlattr *paths, int family, struct gateway *g)
{
	const struct rtnexthop *hop = mnl_attr_get_payload(paths);
	const struct nlattr *attr;

	if (mnl_attr_get_payload_len(paths) < sizeof(*hop) || hop->rtnh_len < sizeof(*hop) ||
	    hop->rtnh_len > mnl_attr_get_payload_len(paths)) {
		return;
	}
	g->link = (uint32_t)hop->rtnh_ifindex;
	mnl_attr_for_each_payload((void *)RTNH_DATA(hop), hop->rtnh_len - sizeof(*hop))
	{
		if (mnl_attr_get_type(attr) == RTA_GATEWAY) {
			g->found = netlink_get_ip(attr, family, &g->ip);
		}
	}
}

static bool is_default(void *arg, const struct nlmsghdr *h)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(h);

	return is_route(arg, h) && r->rtm_dst_len == 0 && r->rtm_type == RTN_UNICAST &&
	       table_of(h) == RT_TABLE_MAIN;
}

static void look_gateway(void *arg, const struct nlmsghdr *h)
{
	const struct rtmsg *r = mnl_nlmsg_get_payload(h);
	struct gateway *best = arg, g = { .metric = 0 };
	const struct nlattr *attr;

	mnl_attr_for_each(attr, h, sizeof(*r))
	{
		switch (mnl_attr_get_type(attr)) {
		case RTA_GATEWAY:
			g.found = netlink_get_ip(attr, r->rtm_family, &g.ip);
			break;
		case RTA_OIF:
			g.link = mnl_attr_get_u32(attr);
			break;
		case RTA_PRIORITY:
			g.metric = mnl_attr_get_u32(attr);
			break;
		case RTA_MULTIPATH: /* the first of several serves as well as any */
			read_hop(attr, r->rtm_family, &g);
			break;
		default:
			break;
		}
	}
	if (g.found && (!best->found || g.metric < best->metric)) {
		*best = g;
	}
}

int netlink_gateway(struct netlink *n, int family, struct net_addr *ret, uint32_t *ret_link)
{
	struct gateway best = { .found = false };
	int err = netlink_dump(n, begin(n, RTM_GETROUTE, NLM_F_DUMP, family, RT_TABLE_MAIN),
	                       is_default, look_gateway, &best);

	if (err == OK && !best.found) {
		err = ERR_NOT_FOUND;
	}
	if (err == OK) {
		*ret = best.ip;
		*ret_link = best.link;
	}
	return err;
}

static void take_state(void *arg, const struct nlmsghdr *h)
{
	const struct ndmsg *d = mnl_nlmsg_get_payload(h);
	uint16_t *state = arg;

	if (h->nlmsg_type == RTM_NEWNEIGH && mnl_nlmsg_get_payload_len(h) >= sizeof(*d)) {
		*state = d->ndm_state;
	}
}

bool netlink_neighbour_failed(struct netlink *n, uint32_t link, const struct net_addr *ip)
{
	struct nlmsghdr *h = netlink_begin(n, RTM_GETNEIGH, 0, sizeof(struct ndmsg));
	struct ndmsg *d = mnl_nlmsg_get_payload(h);
	uint16_t state = NUD_NONE;

	d->ndm_family = (uint8_t)ip->sa.sa_family;
	d->ndm_ifindex = (int)link;
	netlink_put_ip(h, NDA_DST, ip);
	return netlink_do(n, h, take_state, &state) == OK && (state & NUD_FAILED) != 0;
}

int netlink_rule_set(struct netlink *n, uint32_t mark, uint32_t table, int family, bool add)
{
	struct nlmsghdr *h =
	    netlink_begin(n, add ? RTM_NEWRULE : RTM_DELRULE, add ? NLM_F_CREATE | NLM_F_EXCL : 0,
	                  sizeof(struct fib_rule_hdr));
	struct fib_rule_hdr *r = mnl_nlmsg_get_payload(h);
	int err;

	r->family = (uint8_t)family;
	r->action = FR_ACT_TO_TBL;
	mnl_attr_put_u32(h, FRA_TABLE, table);
	mnl_attr_put_u32(h, FRA_FWMARK, mark);
	mnl_attr_put_u32(h, FRA_FWMASK, UINT32_MAX);
	mnl_attr_put_u32(h, FRA_PRIORITY, RULE_PRIORITY);
	mnl_attr_put_u8(h, FRA_PROTOCOL, NETLINK_PROTO_HOLDFAST);
	err = netlink_do(n, h, NULL, NULL);
	return err == (add ? ERR_EXISTS : ERR_NOT_FOUND) ? OK : err;
}

static void flush_rule(void *arg, const struct nlmsghdr *h)
{
	struct flush *f = arg;
	const struct fib_rule_hdr *r = mnl_nlmsg_get_payload(h);
	const struct nlattr *attr;
	uint32_t table;
	bool ours = false;
	int err;

	if (h->nlmsg_type != RTM_NEWRULE || mnl_nlmsg_get_payload_len(h) < sizeof(*r)) {
		return;
	}
	table = r->table;
	mnl_attr_for_each(attr, h, sizeof(*r))
	{
		if (mnl_attr_get_type(attr) == FRA_PROTOCOL) {
			ours = mnl_attr_get_u8(attr) == NETLINK_PROTO_HOLDFAST;
		} else if (mnl_attr_get_type(attr) == FRA_TABLE) {
			table = mnl_attr_get_u32(attr);
		}
	}
	if (!ours) {
		return;
	}
	err = remove_it(f->n, h, RTM_DELRULE);
	if (err == OK) {
		err = netlink_route_flush(f->n, table, r->family);
	}
	if (err != OK && err != ERR_NOT_FOUND) {
		f->err = err;
	}
}

int netlink_rules_flush(struct netlink *n, int family)
{
	struct flush f = { .n = n };
	struct nlmsghdr *h = netlink_begin(n, RTM_GETRULE, NLM_F_DUMP, sizeof(struct fib_rule_hdr));
	struct fib_rule_hdr *r = mnl_nlmsg_get_payload(h);
	int err;

	r->family = (uint8_t)family;
	err = netlink_dump(n, h, NULL, flush_rule, &f);
	return err != OK ? err : f.err;
}
