/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interfaces of virtual IPs as the kernel has them: there or not, with a carrier or not, and
 * which address speaks for this node. Role vrrp, its one thread.
 */
#include <linux/if_addr.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "vrrp/impl.h"

#define MAX_ADDRESSES 65536 /* of this machine that are looked at */

static void take_address(void *arg, const struct net_ifaddr *a)
{
	struct vrrp_addresses *all = arg;

	if (all->n == all->room) {
		unsigned room = all->room != 0 ? all->room * 2 : 32;
		struct net_ifaddr *v =
		    room <= MAX_ADDRESSES ? realloc(all->v, room * sizeof(*v)) : NULL;

		if (v == NULL) {
			all->failed = true;
			return;
		}
		all->v = v;
		all->room = room;
	}
	all->v[all->n++] = *a;
}

void vrrp_addresses_read(struct vrrp *v, struct vrrp_addresses *ret)
{
	*ret = (struct vrrp_addresses){ 0 };
	if (netlink_addresses(v->netlink, take_address, ret) != OK) {
		ret->failed = true;
		log_warning("netlink", NULL, "cannot list the addresses of this machine: %s",
		            netlink_error(v->netlink));
	}
}

void vrrp_addresses_free(struct vrrp_addresses *a)
{
	free(a->v);
	*a = (struct vrrp_addresses){ 0 };
}

bool vrrp_address_ours(const struct vrrp *v, const struct net_ifaddr *a)
{
	if (a->protocol == NETLINK_PROTO_HOLDFAST) {
		return true;
	}
	for (uint32_t i = 0; i < v->conf->nvips; i++) {
		for (uint32_t k = 0; k < v->conf->vips[i].naddresses; k++) {
			if (net_addr_same_ip(&v->conf->vips[i].addresses[k].ip, &a->ip)) {
				return true;
			}
		}
	}
	return false;
}

static const struct net_addr *own_address(const struct vrrp *v)
{
	return v->conf->self < v->conf->nnodes ? &v->conf->nodes[v->conf->self].ip : NULL;
}

/* Whether an address may speak for an instance. */
static bool may_speak(const struct vrrp_instance *i, const struct vrrp_port *p,
                      const struct net_ifaddr *a)
{
	if (a->ip.sa.sa_family != (vrrp_ipv6(i) ? AF_INET6 : AF_INET) ||
	    (a->flags & (IFA_F_TENTATIVE | IFA_F_DADFAILED)) != 0 ||
	    vrrp_address_ours(i->vrrp, a)) {
		return false;
	}
	if (i->conf->unicast_peers) {
		const struct net_addr *own = own_address(i->vrrp);

		return own != NULL && net_addr_same_ip(own, &a->ip);
	}
	/* RFC 9568 section 5.1.2.1: over IPv6 the link-local address. */
	return a->link == p->index &&
	       (!vrrp_ipv6(i) || IN6_IS_ADDR_LINKLOCAL(&a->ip.in6.sin6_addr));
}

/* The address by which the file knows this node, else the first. */
static void find_source(const struct vrrp_instance *i, const struct vrrp_addresses *all,
                        struct vrrp_port *p)
{
	const struct net_addr *own = own_address(i->vrrp);

	for (unsigned k = 0; k < all->n; k++) {
		const struct net_ifaddr *a = &all->v[k];

		if (!may_speak(i, p, a)) {
			continue;
		}
		if (p->source.len == 0 || (own != NULL && net_addr_same_ip(own, &a->ip))) {
			p->source = a->ip;
		}
	}
	if (p->source.sa.sa_family == AF_INET6) {
		p->source.in6.sin6_scope_id = 0;
		p->source.in6.sin6_port = 0;
	}
}

void vrrp_port_read(const struct vrrp_instance *i, const struct vrrp_addresses *all,
                    struct vrrp_port *ret)
{
	struct net_link link;

	*ret = (struct vrrp_port){ 0 };
	if (netlink_link(i->vrrp->netlink, i->conf->interface.s, &link) != OK) {
		return;
	}
	ret->index = link.index;
	ret->up = link.carrier;
	memcpy(ret->mac, link.mac, sizeof(ret->mac));
	find_source(i, all, ret);
}

static void source_text(const struct vrrp_instance *i, char *why, size_t size)
{
	const struct net_addr *own = own_address(i->vrrp);
	char text[NET_ADDR_TEXT];

	if (i->conf->unicast_peers && own != NULL) {
		(void)snprintf(why, size,
		               "this node's address %s is on no interface, so it cannot speak to "
		               "its peers",
		               net_addr_host(own, text));
	} else {
		(void)snprintf(why, size, "interface %s has no %s address of its own to speak with",
		               i->conf->interface.s, vrrp_ipv6(i) ? "link-local IPv6" : "IPv4");
	}
}

const char *vrrp_port_why(const struct vrrp_instance *i, const struct vrrp_port *p, char *why,
                          size_t size)
{
	const char *name = i->conf->interface.s;

	if (p->index == 0) {
		(void)snprintf(why, size, "there is no interface %s", name);
	} else if (!p->up) {
		(void)snprintf(why, size, "interface %s is down or has no carrier", name);
	} else if (p->source.len == 0) {
		source_text(i, why, size);
	} else if (i->conf->unicast_peers && i->npeers == 0) {
		(void)snprintf(why, size, "no other node has an address of the family of %s",
		               i->conf->addresses[0].text.s);
	} else {
		return NULL;
	}
	return why;
}

void vrrp_ports_look(struct vrrp *v)
{
	struct vrrp_addresses all;

	if (!v->acting) {
		return;
	}
	vrrp_addresses_read(v, &all);
	if (!all.failed) {
		for (unsigned k = 0; k < v->n; k++) {
			struct vrrp_port p;

			vrrp_port_read(v->v[k], &all, &p);
			if (p.index != v->v[k]->port.index && v->v[k]->channel != NULL) {
				/* Gone, or another one under its name. */
				v->v[k]->port.index = 0;
				vrrp_instance_look(v->v[k]);
				vrrp_channel_put(v->v[k]);
			}
			v->v[k]->port = p;
			vrrp_instance_look(v->v[k]);
			vrrp_held_look(v->v[k], &all);
		}
	}
	vrrp_addresses_free(&all);
}
