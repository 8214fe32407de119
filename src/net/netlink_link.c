/* SPDX-License-Identifier: Apache-2.0 */
/* Links: looked up, listed, made, changed (see netlink.h). */
#include <errno.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/veth.h>
#include <stdio.h>

#include "base/err.h"
#include "net/netlink_impl.h"

static struct nlmsghdr *begin(struct netlink *n, int type, int flags, uint32_t index)
{
	struct nlmsghdr *h = netlink_begin(n, type, flags, sizeof(struct ifinfomsg));
	struct ifinfomsg *i = mnl_nlmsg_get_payload(h);

	i->ifi_family = AF_UNSPEC;
	i->ifi_index = (int)index;
	return h;
}

/* Longer names are refused by the kernel; shorter than its limit they need no check here. */
static void put_name(struct nlmsghdr *h, const char *name)
{
	char cut[IFNAMSIZ + 1];

	snprintf(cut, sizeof(cut), "%s", name);
	mnl_attr_put_strz(h, IFLA_IFNAME, cut);
}

static void read_info(const struct nlattr *info, struct net_link *l)
{
	const struct nlattr *attr;

	mnl_attr_for_each_nested(attr, info)
	{
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND) {
			snprintf(l->kind, sizeof(l->kind), "%.*s",
			         (int)mnl_attr_get_payload_len(attr), mnl_attr_get_str(attr));
		}
	}
}

static void read_attr(const struct nlattr *attr, struct net_link *l)
{
	switch (mnl_attr_get_type(attr)) {
	case IFLA_IFNAME:
		snprintf(l->name, sizeof(l->name), "%.*s", (int)mnl_attr_get_payload_len(attr),
		         mnl_attr_get_str(attr));
		break;
	case IFLA_MTU:
		l->mtu = mnl_attr_get_u32(attr);
		break;
	case IFLA_MASTER:
		l->master = mnl_attr_get_u32(attr);
		break;
	case IFLA_LINK:
		l->parent = mnl_attr_get_u32(attr);
		break;
	case IFLA_ADDRESS:
		l->has_mac = mnl_attr_get_payload_len(attr) == sizeof(l->mac);
		if (l->has_mac) {
			memcpy(l->mac, mnl_attr_get_payload(attr), sizeof(l->mac));
		}
		break;
	case IFLA_LINKINFO:
		read_info(attr, l);
		break;
	default:
		break;
	}
}

static bool read_link(const struct nlmsghdr *h, struct net_link *l)
{
	const struct ifinfomsg *i = mnl_nlmsg_get_payload(h);
	const struct nlattr *attr;

	if (h->nlmsg_type != RTM_NEWLINK || mnl_nlmsg_get_payload_len(h) < sizeof(*i)) {
		return false;
	}
	*l = (struct net_link){ .index = (uint32_t)i->ifi_index, .flags = i->ifi_flags };
	l->carrier = (l->flags & IFF_UP) != 0 && (l->flags & IFF_RUNNING) != 0;
	mnl_attr_for_each(attr, h, sizeof(*i))
	{
		read_attr(attr, l);
	}
	return true;
}

static void take_one(void *arg, const struct nlmsghdr *h)
{
	read_link(h, arg);
}

int netlink_link(struct netlink *n, const char *name, struct net_link *ret)
{
	struct nlmsghdr *h = begin(n, RTM_GETLINK, 0, 0);

	put_name(h, name);
	*ret = (struct net_link){ 0 };
	return netlink_do(n, h, take_one, ret);
}

int netlink_link_by_index(struct netlink *n, uint32_t index, struct net_link *ret)
{
	*ret = (struct net_link){ 0 };
	return netlink_do(n, begin(n, RTM_GETLINK, 0, index), take_one, ret);
}

struct links {
	void (*fn)(void *arg, const struct net_link *l);
	void *arg;
};

static void take_each(void *arg, const struct nlmsghdr *h)
{
	struct links *to = arg;
	struct net_link l;

	if (read_link(h, &l)) {
		to->fn(to->arg, &l);
	}
}

int netlink_links(struct netlink *n, void (*fn)(void *arg, const struct net_link *l), void *arg)
{
	struct links to = { .fn = fn, .arg = arg };

	return netlink_dump(n, begin(n, RTM_GETLINK, NLM_F_DUMP, 0), NULL, take_each, &to);
}

int netlink_link_set(struct netlink *n, uint32_t index, bool up)
{
	struct nlmsghdr *h = begin(n, RTM_NEWLINK, 0, index);
	struct ifinfomsg *i = mnl_nlmsg_get_payload(h);

	i->ifi_change = IFF_UP;
	i->ifi_flags = up ? IFF_UP : 0;
	return netlink_do(n, h, NULL, NULL);
}

int netlink_link_delete(struct netlink *n, uint32_t index)
{
	return netlink_do(n, begin(n, RTM_DELLINK, 0, index), NULL, NULL);
}

static struct nlmsghdr *begin_new(struct netlink *n, const char *name)
{
	struct nlmsghdr *h = begin(n, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);

	put_name(h, name);
	return h;
}

int netlink_bridge_add(struct netlink *n, const char *name)
{
	struct nlmsghdr *h = begin_new(n, name);
	struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO), *data;

	mnl_attr_put_strz(h, IFLA_INFO_KIND, "bridge");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	mnl_attr_put_u8(h, IFLA_BR_MCAST_SNOOPING, 0);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return netlink_do(n, h, NULL, NULL);
}

int netlink_veth_add(struct netlink *n, const char *name, const char *peer, int peer_ns)
{
	struct nlmsghdr *h = begin_new(n, name);
	struct nlattr *info = mnl_attr_nest_start(h, IFLA_LINKINFO), *data, *other;

	mnl_attr_put_strz(h, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	other = mnl_attr_nest_start(h, VETH_INFO_PEER);
	mnl_nlmsg_put_extra_header(h, sizeof(struct ifinfomsg));
	put_name(h, peer);
	if (peer_ns >= 0) {
		mnl_attr_put_u32(h, IFLA_NET_NS_FD, (uint32_t)peer_ns);
	}
	mnl_attr_nest_end(h, other);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	return netlink_do(n, h, NULL, NULL);
}

int netlink_master_set(struct netlink *n, uint32_t index, uint32_t master)
{
	struct nlmsghdr *h = begin(n, RTM_NEWLINK, 0, index);

	mnl_attr_put_u32(h, IFLA_MASTER, master);
	return netlink_do(n, h, NULL, NULL);
}

/* Without a link-local address of its own: nodes that share the MAC would make the same. */
static int no_link_local(struct netlink *n, uint32_t index)
{
	struct nlmsghdr *h = begin(n, RTM_NEWLINK, 0, index);
	struct nlattr *spec = mnl_attr_nest_start(h, IFLA_AF_SPEC);
	struct nlattr *inet6 = mnl_attr_nest_start(h, AF_INET6);

	mnl_attr_put_u8(h, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(h, inet6);
	mnl_attr_nest_end(h, spec);
	return netlink_do(n, h, NULL, NULL);
}

int netlink_macvlan_add(struct netlink *n, const char *name, uint32_t link, const uint8_t mac[6])
{
	struct nlmsghdr *h = begin_new(n, name);
	struct nlattr *info, *data;
	struct net_link made;
	int err;

	mnl_attr_put_u32(h, IFLA_LINK, link);
	mnl_attr_put(h, IFLA_ADDRESS, 6, mac);
	info = mnl_attr_nest_start(h, IFLA_LINKINFO);
	mnl_attr_put_strz(h, IFLA_INFO_KIND, "macvlan");
	data = mnl_attr_nest_start(h, IFLA_INFO_DATA);
	mnl_attr_put_u32(h, IFLA_MACVLAN_MODE, MACVLAN_MODE_PRIVATE);
	mnl_attr_nest_end(h, data);
	mnl_attr_nest_end(h, info);
	err = netlink_do(n, h, NULL, NULL);
	if (err == OK) {
		err = netlink_link(n, name, &made);
	}
	if (err == OK) {
		/* A kernel without IPv6 refuses; it makes no such address either. */
		(void)no_link_local(n, made.index);
	}
	return err;
}
