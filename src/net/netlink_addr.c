/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses of links: set with a lifetime, removed, listed (see netlink.h). */
#include <linux/if_addr.h>

#include "base/err.h"
#include "net/netlink_impl.h"

static struct nlmsghdr *begin(struct netlink *n, int type, int flags, uint32_t link,
                              const struct net_addr *ip, uint32_t prefix)
{
	struct nlmsghdr *h = netlink_begin(n, type, flags, sizeof(struct ifaddrmsg));
	struct ifaddrmsg *a = mnl_nlmsg_get_payload(h);

	a->ifa_family = (uint8_t)ip->sa.sa_family;
	a->ifa_prefixlen = (uint8_t)prefix;
	a->ifa_index = link;
	netlink_put_ip(h, IFA_LOCAL, ip);
	netlink_put_ip(h, IFA_ADDRESS, ip);
	return h;
}

struct neighbour {
	uint32_t link;
	const struct net_addr *ip;
	uint32_t prefix;
	bool found;
};

static void look_near(void *arg, const struct net_ifaddr *a)
{
	struct neighbour *of = arg;

	of->found = of->found ||
	            (a->link == of->link && a->prefix == of->prefix &&
	             net_addr_near(&a->ip, of->ip, a->prefix) && !net_addr_same_ip(&a->ip, of->ip));
}

/*
 * IPv6 without duplicate detection: the address moves while its last holder may still answer. Where
 * another address of the link has the same network, the route to it is that one's: ours would give
 * it our short lifetime.
 */
static uint32_t flags_of(struct netlink *n, uint32_t link, const struct net_addr *ip,
                         uint32_t prefix)
{
	struct neighbour of = { .link = link, .ip = ip, .prefix = prefix };

	if (ip->sa.sa_family != AF_INET6) {
		return 0;
	}
	(void)netlink_addresses(n, look_near, &of);
	return IFA_F_NODAD | (of.found ? IFA_F_NOPREFIXROUTE : 0);
}

int netlink_address_set(struct netlink *n, uint32_t link, const struct net_addr *ip,
                        uint32_t prefix, uint32_t valid_s)
{
	struct ifa_cacheinfo life = { .ifa_valid = valid_s, .ifa_prefered = valid_s };
	uint32_t flags = flags_of(n, link, ip, prefix);
	struct nlmsghdr *h = begin(n, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, link, ip, prefix);

	mnl_attr_put(h, IFA_CACHEINFO, sizeof(life), &life);
	if (valid_s != NETLINK_FOREVER) {
		mnl_attr_put_u8(h, IFA_PROTO, NETLINK_PROTO_HOLDFAST);
	}
	if (flags != 0) {
		mnl_attr_put_u32(h, IFA_FLAGS, flags);
	}
	return netlink_do(n, h, NULL, NULL);
}

int netlink_address_delete(struct netlink *n, uint32_t link, const struct net_addr *ip,
                           uint32_t prefix)
{
	int err = netlink_do(n, begin(n, RTM_DELADDR, 0, link, ip, prefix), NULL, NULL);

	return err == ERR_NOT_FOUND ? OK : err;
}

static void read_attr(const struct nlattr *attr, int family, struct net_ifaddr *a, bool *local)
{
	const struct ifa_cacheinfo *life;

	switch (mnl_attr_get_type(attr)) {
	case IFA_LOCAL:
		*local = netlink_get_ip(attr, family, &a->ip);
		break;
	case IFA_ADDRESS: /* of the other end, where there is a local one as well */
		if (!*local) {
			netlink_get_ip(attr, family, &a->ip);
		}
		break;
	case IFA_FLAGS:
		a->flags = mnl_attr_get_u32(attr);
		break;
	case IFA_PROTO:
		a->protocol = mnl_attr_get_u8(attr);
		break;
	case IFA_CACHEINFO:
		life = mnl_attr_get_payload(attr);
		if (mnl_attr_get_payload_len(attr) >= sizeof(*life)) {
			a->valid_s = life->ifa_valid;
		}
		break;
	default:
		break;
	}
}

struct addresses {
	void (*fn)(void *arg, const struct net_ifaddr *a);
	void *arg;
};

static void take_each(void *arg, const struct nlmsghdr *h)
{
	const struct ifaddrmsg *m = mnl_nlmsg_get_payload(h);
	struct addresses *to = arg;
	struct net_ifaddr a = { .valid_s = NETLINK_FOREVER };
	const struct nlattr *attr;
	bool local = false;

	if (h->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(h) < sizeof(*m)) {
		return;
	}
	a.link = m->ifa_index;
	a.prefix = m->ifa_prefixlen;
	a.flags = m->ifa_flags;
	mnl_attr_for_each(attr, h, sizeof(*m))
	{
		read_attr(attr, m->ifa_family, &a, &local);
	}
	if (a.ip.len > 0) {
		to->fn(to->arg, &a);
	}
}

int netlink_addresses(struct netlink *n, void (*fn)(void *arg, const struct net_ifaddr *a),
                      void *arg)
{
	struct addresses to = { .fn = fn, .arg = arg };

	return netlink_dump(n, netlink_begin(n, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg)),
	                    NULL, take_each, &to);
}
