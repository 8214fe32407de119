/* SPDX-License-Identifier: Apache-2.0 */
/* The plan's networks. Pure functions. */
#include "lab/plan_net.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

#define PREFIX4 24
#define PREFIX6 64

bool lab_plan_is_loopback(const struct net_addr *a)
{
	if (a->sa.sa_family == AF_INET)
		return (ntohl(a->in.sin_addr.s_addr) >> 24) == 127;
	return a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_LOOPBACK(&a->in6.sin6_addr);
}

struct net_addr lab_plan_with_port(const struct net_addr *a, uint16_t port)
{
	struct net_addr b = *a;

	if (b.sa.sa_family == AF_INET)
		b.in.sin_port = htons(port);
	else if (b.sa.sa_family == AF_INET6)
		b.in6.sin6_port = htons(port);
	return b;
}

bool lab_plan_same_ip(const struct net_addr *a, const struct net_addr *b)
{
	struct net_addr x = lab_plan_with_port(a, 0), y = lab_plan_with_port(b, 0);

	return net_addr_eq(&x, &y);
}

static bool usable_prefix(int family, unsigned prefix)
{
	return prefix >= 1 && prefix <= (family == AF_INET ? 30U : 126U);
}

struct lab_subnet *lab_plan_subnet_add(struct lab_plan *p, const struct net_addr *ip,
                                       unsigned prefix)
{
	char host[NET_ADDR_TEXT], text[NET_ADDR_TEXT + 8];
	struct lab_subnet *s = &p->subnets[p->nsubnets];

	if (p->nsubnets == LAB_MAX_SUBNETS)
		return NULL;
	memset(s, 0, sizeof(*s));
	snprintf(text, sizeof(text), "%s/%u", net_addr_host(ip, host), prefix);
	if (net_cidr_parse(str_from(text), &s->net) != OK)
		return NULL;
	s->family = ip->sa.sa_family;
	s->prefix = prefix;
	for (unsigned i = 0; i < p->nsubnets; i++) {
		if (memcmp(&p->subnets[i].net, &s->net, sizeof(s->net)) == 0)
			return &p->subnets[i];
	}
	p->nsubnets++;
	return s;
}

struct lab_subnet *lab_plan_subnet(struct lab_plan *p, const struct net_addr *ip)
{
	int family = ip->sa.sa_family;
	struct lab_subnet *best = NULL;

	for (unsigned i = 0; i < p->nsubnets; i++) {
		struct lab_subnet *s = &p->subnets[i];

		if (s->family == family && net_cidr_has(&s->net, ip) &&
		    (!best || s->prefix > best->prefix))
			best = s;
	}
	return best ? best : lab_plan_subnet_add(p, ip, family == AF_INET ? PREFIX4 : PREFIX6);
}

static bool taken(const struct lab_plan *p, const struct conf *c, const struct net_addr *ip)
{
	for (unsigned i = 0; i < p->nhosts; i++) {
		for (unsigned j = 0; j < p->hosts[i].naddresses; j++) {
			if (lab_plan_same_ip(&p->hosts[i].addresses[j].ip, ip))
				return true;
		}
	}
	for (uint32_t i = 0; i < c->nvips; i++) {
		for (uint32_t j = 0; j < c->vips[i].naddresses; j++) {
			if (lab_plan_same_ip(&c->vips[i].addresses[j].ip, ip))
				return true;
		}
	}
	/* Nodes and servers whose hosts are still to be planned. */
	for (uint32_t i = 0; i < c->nnodes; i++) {
		if (lab_plan_same_ip(&c->nodes[i].ip, ip))
			return true;
	}
	for (uint32_t i = 0; i < c->npools; i++) {
		for (uint32_t j = 0; j < c->pools[i].nservers; j++) {
			if (lab_plan_same_ip(&c->pools[i].servers[j].address, ip))
				return true;
		}
	}
	return false;
}

/* The nth address from the end of the subnet: IPv4 below the broadcast address, IPv6 below
 * PREFIX::ffff, so that it stays readable. */
static struct net_addr nth(const struct lab_subnet *s, unsigned n)
{
	struct net_addr a = { 0 };
	uint32_t low, mask;

	if (s->family == AF_INET) {
		mask = 0xffffffffU >> s->prefix;
		memcpy(&low, s->net.bytes + 12, 4);
		low = (ntohl(low) | mask) - n;
		a.in.sin_family = AF_INET;
		a.in.sin_addr.s_addr = htonl(low);
		a.len = sizeof(a.in);
		return a;
	}
	mask = s->prefix >= 112 ? 0xffffU >> (s->prefix - 112) : 0xffffU;
	a.in6.sin6_family = AF_INET6;
	memcpy(&a.in6.sin6_addr, s->net.bytes, 16);
	low = ((uint32_t)s->net.bytes[14] << 8 | s->net.bytes[15] | mask) - n;
	a.in6.sin6_addr.s6_addr[14] = (uint8_t)(low >> 8);
	a.in6.sin6_addr.s6_addr[15] = (uint8_t)low;
	a.len = sizeof(a.in6);
	return a;
}

bool lab_plan_free_address(const struct lab_plan *p, const struct conf *c,
                           const struct lab_subnet *s, struct net_addr *ret)
{
	unsigned bits = (s->family == AF_INET ? 32 : 128) - s->prefix;
	unsigned last = bits >= 10 ? 1000 : (1U << bits) - 2;

	if (!usable_prefix(s->family, s->prefix))
		return false;
	for (unsigned n = 1; n <= last; n++) {
		*ret = nth(s, n);
		if (!taken(p, c, ret))
			return true;
	}
	return false;
}

bool lab_plan_give(struct lab_host *h, const struct net_addr *ip, const struct lab_subnet *s)
{
	struct lab_address *a = &h->addresses[h->naddresses];

	if (h->naddresses == LAB_MAX_ADDRESSES)
		return false;
	*a = (struct lab_address){ .ip = lab_plan_with_port(ip, 0), .prefix = s->prefix };
	for (unsigned i = 0; i < h->ninterfaces; i++) {
		if (strcmp(h->interfaces[i], s->interface) == 0)
			a->interface = i;
	}
	h->naddresses++;
	return true;
}
