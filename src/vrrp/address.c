/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses on the interface. Each is added with a life of three seconds and renewed each
 * second: a process that is frozen or killed loses them by itself. Role vrrp, its one thread.
 */
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "vrrp/impl.h"
#include "vrrp/macvlan.h"

#define LIFE_S   3
#define LOOPBACK 1 /* its index in every network namespace */

/* Adds or renews one; says a failure once, until it works again. */
static void set(struct vrrp_instance *i, struct vrrp_held *h)
{
	struct netlink *n = i->vrrp->netlink;
	char text[NET_ADDR_TEXT];

	if (netlink_address_set(n, h->ifindex, &h->ip, h->prefix, LIFE_S) == OK) {
		if (h->failed) {
			log_notice("address", i->name, "%s is on %s now",
			           net_addr_host(&h->ip, text), i->conf->interface.s);
		}
		h->failed = false;
		return;
	}
	vrrp_count(i, VIP_COUNT_ADDRESS_ERRORS);
	if (!h->failed) {
		log_error("address", i->name,
		          "cannot add %s/%u to %s: %s; trying again each second",
		          net_addr_host(&h->ip, text), h->prefix, i->conf->interface.s,
		          netlink_error(n));
	}
	h->failed = true;
}

static void take_off(struct vrrp_instance *i, const struct vrrp_held *h)
{
	struct netlink *n = i->vrrp->netlink;
	struct net_link link;
	char text[NET_ADDR_TEXT];

	if (netlink_address_delete(n, h->ifindex, &h->ip, h->prefix) == OK ||
	    netlink_link_by_index(n, h->ifindex, &link) == ERR_NOT_FOUND) {
		return;
	}
	vrrp_count(i, VIP_COUNT_ADDRESS_ERRORS);
	log_error("address", i->name, "cannot remove %s from %s: %s; it goes by itself in %u s",
	          net_addr_host(&h->ip, text), i->conf->interface.s, netlink_error(n), LIFE_S);
}

static void add(struct vrrp_instance *i, const struct conf_vip_address *a)
{
	struct vrrp_held *h;

	if (i->nheld == VRRP_MAX_ADDRESSES) {
		return;
	}
	h = &i->held[i->nheld++];
	*h = (struct vrrp_held){ .ip = a->ip, .prefix = a->prefix, .ifindex = i->held_on };
	if (i->held_on != i->port.index) {
		h->prefix = vrrp_ipv6(i) ? 128 : 32;
	}
	set(i, h);
}

/* The link that the addresses go on: the interface, or with virtual_mac one of its own. */
static void choose_link(struct vrrp_instance *i)
{
	const uint8_t mac[6] = {
		0x00, 0x00, 0x5e, 0x00, vrrp_ipv6(i) ? 0x02 : 0x01, (uint8_t)i->conf->router_id
	};
	char why[256] = "it has gone";

	i->held_on = i->port.index;
	memcpy(i->held_mac, i->port.mac, sizeof(i->held_mac));
	if (!i->conf->virtual_mac) {
		return;
	}
	if (i->macvlan != NULL && macvlan_link(i->macvlan) == 0) {
		macvlan_free(i->macvlan);
		i->macvlan = NULL;
	}
	if ((i->macvlan != NULL || macvlan_new(i->vrrp->netlink, i->conf, i->port.index,
	                                       &i->macvlan, why, sizeof(why)) == OK) &&
	    macvlan_up(i->macvlan, why, sizeof(why)) == OK) {
		i->held_on = macvlan_link(i->macvlan);
		memcpy(i->held_mac, mac, sizeof(mac));
		return;
	}
	log_error("virtual_mac", i->name,
	          "cannot use the virtual router's own MAC on %s: %s; the address goes on the "
	          "interface itself",
	          i->conf->interface.s, why);
}

void vrrp_hold(struct vrrp_instance *i)
{
	CHECK(i->nheld == 0);
	choose_link(i);
	for (uint32_t k = 0; k < i->conf->naddresses; k++) {
		add(i, &i->conf->addresses[k]);
	}
}

void vrrp_release(struct vrrp_instance *i)
{
	/* Backwards: the first one may be what the others of its network hang on. */
	while (i->nheld > 0) {
		take_off(i, &i->held[--i->nheld]);
	}
	if (i->macvlan != NULL) {
		macvlan_down(i->macvlan);
	}
}

void vrrp_renew(struct vrrp_instance *i)
{
	for (unsigned k = 0; k < i->nheld; k++) {
		set(i, &i->held[k]);
	}
}

static bool is_there(const struct vrrp_held *h, const struct vrrp_addresses *all)
{
	for (unsigned k = 0; k < all->n; k++) {
		if (all->v[k].link == h->ifindex && all->v[k].prefix == h->prefix &&
		    net_addr_same_ip(&all->v[k].ip, &h->ip)) {
			return true;
		}
	}
	return false;
}

void vrrp_held_look(struct vrrp_instance *i, const struct vrrp_addresses *all)
{
	char text[NET_ADDR_TEXT];
	bool lost = false;

	for (unsigned k = 0; k < i->nheld; k++) {
		struct vrrp_held *h = &i->held[k];

		if (h->failed || is_there(h, all)) {
			continue;
		}
		log_warning("address_lost", i->name,
		            "%s was taken off %s by somebody else: adding it again",
		            net_addr_host(&h->ip, text), i->conf->interface.s);
		set(i, h);
		lost = true;
	}
	if (lost) {
		vrrp_announce(i);
	}
}

static bool is_it(const struct conf_vip_address *a, const struct vrrp_held *h)
{
	return net_addr_same_ip(&a->ip, &h->ip) && a->prefix == h->prefix;
}

static bool is_wanted(const struct vrrp_instance *i, const struct vrrp_held *h)
{
	for (uint32_t k = 0; k < i->conf->naddresses; k++) {
		if (is_it(&i->conf->addresses[k], h)) {
			return true;
		}
	}
	return false;
}

static bool is_held(const struct vrrp_instance *i, const struct conf_vip_address *a)
{
	for (unsigned k = 0; k < i->nheld; k++) {
		if (is_it(a, &i->held[k])) {
			return true;
		}
	}
	return false;
}

void vrrp_held_adapt(struct vrrp_instance *i)
{
	bool changed = false;
	unsigned n = 0;

	if (i->m.state != VIP_ACTIVE) {
		return;
	}
	/* What goes, goes first: an address may only have got another prefix. */
	for (unsigned k = 0; k < i->nheld; k++) {
		if (is_wanted(i, &i->held[k])) {
			i->held[n++] = i->held[k];
		} else {
			take_off(i, &i->held[k]);
			changed = true;
		}
	}
	i->nheld = n;
	for (uint32_t k = 0; k < i->conf->naddresses; k++) {
		if (!is_held(i, &i->conf->addresses[k])) {
			add(i, &i->conf->addresses[k]);
			changed = true;
		}
	}
	if (changed) {
		vrrp_renew(i); /* what was removed may have taken others of its network with it */
		vrrp_watch_stop(i);
		vrrp_watch_start(i);
		vrrp_announce(i);
	}
}

/* Whether an instance that goes on holds it. */
static bool in_use(const struct vrrp *v, const struct net_ifaddr *a)
{
	/* Of a handover: relay_clean has been there. */
	if (a->link == LOOPBACK && a->protocol == NETLINK_PROTO_HOLDFAST) {
		return true;
	}
	for (unsigned k = 0; k < v->n; k++) {
		for (unsigned h = 0; h < v->v[k]->nheld; h++) {
			const struct vrrp_held *held = &v->v[k]->held[h];

			if (held->ifindex == a->link && held->prefix == a->prefix &&
			    net_addr_same_ip(&held->ip, &a->ip)) {
				return true;
			}
		}
	}
	return false;
}

static void clean(struct vrrp *v, const struct net_ifaddr *a)
{
	char text[NET_ADDR_TEXT];

	(void)net_addr_host(&a->ip, text);
	if (netlink_address_delete(v->netlink, a->link, &a->ip, a->prefix) != OK) {
		log_error("leftover", text, "cannot remove the leftover address: %s",
		          netlink_error(v->netlink));
		return;
	}
	if (a->valid_s == NETLINK_FOREVER) {
		log_warning("leftover", text,
		            "was on an interface for good although it is a virtual IP: removed; "
		            "take it out of the system's network configuration");
	} else {
		log_notice("leftover", text, "removed what an earlier process had left");
	}
}

void vrrp_leftovers(struct vrrp *v)
{
	struct vrrp_addresses all;

	vrrp_addresses_read(v, &all);
	for (unsigned k = all.n; k-- > 0;) {
		if (vrrp_address_ours(v, &all.v[k]) && !in_use(v, &all.v[k])) {
			clean(v, &all.v[k]);
		}
	}
	vrrp_addresses_free(&all);
}
