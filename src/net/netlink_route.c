/* SPDX-License-Identifier: Apache-2.0 */
/* Routes and the default gateway (see netlink.h). */
#include <errno.h>
#include <linux/neighbour.h>

#include "base/err.h"
#include "net/netlink_impl.h"

static struct nlmsghdr *begin(struct netlink *n, int type, int flags, int family)
{
	struct nlmsghdr *h = netlink_begin(n, type, flags, sizeof(struct rtmsg));
	struct rtmsg *r = mnl_nlmsg_get_payload(h);

	r->rtm_family = (uint8_t)family;
	r->rtm_table = RT_TABLE_MAIN;
	return h;
}

int netlink_route_set(struct netlink *n, const struct net_addr *dst, uint32_t prefix,
                      const struct net_addr *gateway, uint32_t link, int family)
{
	struct nlmsghdr *h = begin(n, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, family);
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
	int err = netlink_dump(n, begin(n, RTM_GETROUTE, NLM_F_DUMP, family), is_default,
	                       look_gateway, &best);

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
