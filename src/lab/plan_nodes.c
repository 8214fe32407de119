/* SPDX-License-Identifier: Apache-2.0 */
/* The plan's nodes: their interfaces and addresses. Pure functions. */
#include <stdio.h>

#include "base/err.h"
#include "lab/plan_impl.h"

/* The subnets that the virtual IPs name with their length tell which interface is in which. */
static int vip_subnets(struct lab_plan_work *w)
{
	for (uint32_t i = 0; i < w->c->nvips; i++) {
		const struct conf_vip *v = &w->c->vips[i];

		for (uint32_t j = 0; j < v->naddresses; j++) {
			const struct conf_vip_address *a = &v->addresses[j];
			struct lab_subnet *s;

			if (a->derived || a->prefix > (a->ip.sa.sa_family == AF_INET ? 30 : 126))
				continue;
			if (a->ip.sa.sa_family == AF_INET6 &&
			    IN6_IS_ADDR_LINKLOCAL(&a->ip.in6.sin6_addr))
				continue;
			s = lab_plan_subnet_add(w->p, &a->ip, a->prefix);
			if (!s)
				return lab_plan_too_many(w, "subnets", LAB_MAX_SUBNETS);
			s->of_vip = true;
			if (s->interface[0] == '\0')
				snprintf(s->interface, sizeof(s->interface), "%.*s",
				         STR_ARG(v->interface));
		}
	}
	return OK;
}

static int node_interfaces(struct lab_plan_work *w, struct lab_host *h)
{
	bool fits = true;

	for (uint32_t i = 0; i < w->c->nvips; i++)
		fits = fits && lab_plan_interface_add(h, w->c->vips[i].interface);
	for (uint32_t i = 0; i < w->c->nvips; i++) {
		const struct conf_vip *v = &w->c->vips[i];

		for (uint32_t j = 0; j < v->ntrack; j++) {
			if (v->track[j].kind == CONDITION_INTERFACE)
				fits = fits && lab_plan_interface_add(h, v->track[j].object);
		}
	}
	if (h->ninterfaces == 0)
		lab_plan_interface_add(h, STR("eth0"));
	return fits ? OK : lab_plan_too_many(w, "interfaces of a node", LAB_MAX_INTERFACES);
}

static int node_new(struct lab_plan_work *w, struct str name, const struct net_addr *ip)
{
	struct lab_host *h;
	int err;

	if (str_eq(name, STR("client"))) {
		snprintf(w->why, w->why_size,
		         "a node is called \"client\", which is the lab's host for clients: give "
		         "the node another name");
		return ERR_INVALID;
	}
	h = lab_plan_host_add(w->p, LAB_NODE, name);
	w->p->nnodes++;
	err = node_interfaces(w, h);
	if (err != OK || ip->sa.sa_family == AF_UNSPEC || lab_plan_is_loopback(ip))
		return err;
	return lab_plan_give_to(w, h, ip, lab_plan_subnet(w->p, ip));
}

static bool has_address(const struct lab_host *h, const struct lab_subnet *s, int interface)
{
	for (unsigned i = 0; i < h->naddresses; i++) {
		const struct lab_address *a = &h->addresses[i];

		if (s && net_cidr_has(&s->net, &a->ip))
			return true;
		if (interface >= 0 && a->interface == (unsigned)interface &&
		    a->ip.sa.sa_family == AF_INET)
			return true;
	}
	return false;
}

static int give_free(struct lab_plan_work *w, struct lab_host *h, const struct lab_subnet *s,
                     int interface)
{
	struct net_addr ip;
	int err;

	if (!lab_plan_free_address(w->p, w->c, s, &ip))
		return OK; /* a full subnet: it is reached by its route */
	err = lab_plan_give_to(w, h, &ip, s);
	if (err == OK && interface >= 0)
		h->addresses[h->naddresses - 1].interface = (unsigned)interface;
	return err;
}

/* Nodes have an address in each subnet of a virtual IP and, IPv4, on each interface that speaks
 * VRRP: advertisements need a source. */
static int node_free_addresses(struct lab_plan_work *w, struct lab_host *h)
{
	int err = OK;

	for (unsigned i = 0; i < w->p->nsubnets && err == OK; i++) {
		if (w->p->subnets[i].of_vip && !has_address(h, &w->p->subnets[i], -1))
			err = give_free(w, h, &w->p->subnets[i], -1);
	}
	for (uint32_t i = 0; i < w->c->nvips && err == OK; i++) {
		const struct conf_vip *v = &w->c->vips[i];

		for (unsigned k = 0; k < h->ninterfaces && err == OK; k++) {
			if (v->naddresses == 0 || v->addresses[0].ip.sa.sa_family != AF_INET ||
			    !str_eq(v->interface, str_from(h->interfaces[k])) ||
			    has_address(h, NULL, (int)k))
				continue;
			err = give_free(w, h, lab_plan_subnet(w->p, &v->addresses[0].ip), (int)k);
		}
	}
	return err;
}

int lab_plan_nodes(struct lab_plan_work *w)
{
	static const struct net_addr none;
	int err = vip_subnets(w);

	if (w->c->nnodes > LAB_MAX_NODES)
		return lab_plan_too_many(w, "nodes", LAB_MAX_NODES);
	for (uint32_t i = 0; i < w->c->nnodes && err == OK; i++)
		err = node_new(w, w->c->nodes[i].name, &w->c->nodes[i].ip);
	if (err == OK && w->c->nnodes == 0) {
		err = node_new(w, STR("node"), &none);
		buf_adds(&w->p->notes,
		         "the file names no nodes: the lab has one, called \"node\"\n");
	}
	for (unsigned i = 0; i < w->p->nnodes && err == OK; i++)
		err = node_free_addresses(w, &w->p->hosts[i]);
	return err;
}

int lab_plan_lonely_node(struct lab_plan_work *w)
{
	struct lab_host *h = &w->p->hosts[0];
	struct net_addr ten = { .in = { .sin_family = AF_INET,
		                        .sin_addr = { htonl(0x0a4d0000) } }, /* 10.77.0.0 */
		                .len = sizeof(struct sockaddr_in) };

	if (w->p->nsubnets == 0 && !lab_plan_subnet_add(w->p, &ten, 24))
		return ERR_INVALID;
	return h->naddresses == 0 ? give_free(w, h, &w->p->subnets[0], -1) : OK;
}
