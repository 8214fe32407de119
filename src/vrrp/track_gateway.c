/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The condition "gateway": the default gateway of the virtual IP's family answers on its link. It
 * is asked once a second; one answer makes it well, three questions without one in a row make it
 * fail, and so does a missing default route at once. Role vrrp, its one thread.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "net/neighbour.h"
#include "vrrp/track_impl.h"

#define ASK_EVERY NS_PER_S
#define FALL      3

struct gateway {
	struct track_cond *cond;
	struct loop_io io; /* answers; fd -1: not asked yet, or on a link without neighbours */
	struct net_addr ip;
	uint32_t link; /* 0: none known */
	uint64_t ask_at;
	bool asked; /* and not answered yet */
	unsigned misses;
};

static void hang_up(struct gateway *g)
{
	if (g->io.fd >= 0) {
		loop_remove(track_env_of(g->cond)->loop, &g->io);
		close(g->io.fd);
	}
	g->io.fd = -1;
}

/* --- our own address ------------------------------------------------------------------------ */

struct own_search {
	const struct gateway *gateway;
	struct net_addr found;
	bool any;
	bool on_subnet;
};

static bool is_virtual(const struct conf *c, const struct net_addr *ip)
{
	for (uint32_t i = 0; i < c->nvips; i++) {
		for (uint32_t k = 0; k < c->vips[i].naddresses; k++) {
			if (net_addr_eq(&c->vips[i].addresses[k].ip, ip))
				return true;
		}
	}
	return false;
}

static bool same_subnet(const struct net_addr *a, const struct net_addr *b, uint32_t prefix)
{
	uint32_t mask = htonl(net_ipv4_mask(prefix));

	return ((a->in.sin_addr.s_addr ^ b->in.sin_addr.s_addr) & mask) == 0;
}

static void consider(void *arg, const struct net_ifaddr *a)
{
	struct own_search *s = arg;
	bool on_subnet;

	if (a->link != s->gateway->link || a->ip.sa.sa_family != AF_INET || s->on_subnet ||
	    a->protocol == NETLINK_PROTO_HOLDFAST ||
	    is_virtual(track_conf_of(s->gateway->cond), &a->ip))
		return;
	on_subnet = same_subnet(&a->ip, &s->gateway->ip, a->prefix);
	if (s->any && !on_subnet)
		return;
	s->any = true;
	s->on_subnet = on_subnet;
	s->found = a->ip;
}

/* --- asking --------------------------------------------------------------------------------- */

static void on_answer(struct loop_io *io, uint32_t events)
{
	struct gateway *g = CONTAINER_OF(io, struct gateway, io);

	(void)events;
	if (!net_neighbour_answered(g->io.fd, &g->ip) || !g->asked)
		return;
	g->asked = false;
	g->misses = 0;
	track_look_at(g->cond);
}

static bool open_socket(struct gateway *g)
{
	if (g->io.fd >= 0)
		return true;
	g->io.fd = net_neighbour_open(g->ip.sa.sa_family, g->link);
	if (g->io.fd < 0)
		return false;
	if (loop_add_level(track_env_of(g->cond)->loop, &g->io, LOOP_IN, false) == OK)
		return true;
	hang_up(g);
	return false;
}

/* Sends a question; one that cannot be sent gets no answer either. */
static void ask(struct gateway *g)
{
	struct netlink *netlink = track_env_of(g->cond)->netlink;
	struct own_search own = { .gateway = g };
	struct net_link link;

	g->asked = true;
	if (netlink_link_by_index(netlink, g->link, &link) != OK)
		return;
	if (!link.has_mac) { /* a tunnel: nobody to ask there */
		hang_up(g);
		g->asked = false;
		return;
	}
	if (!open_socket(g))
		return;
	netlink_addresses(netlink, consider, &own);
	if (net_neighbour_ask(g->io.fd, g->link, link.mac, own.any ? &own.found : NULL, &g->ip) !=
	        OK &&
	    errno == ENXIO)
		hang_up(g); /* the link was made anew */
}

/* --- the verdict ---------------------------------------------------------------------------- */

/* Where the default route leads now. Returns whether there is one, or it cannot be known. */
static bool find_gateway(struct gateway *g)
{
	struct net_addr ip;
	uint32_t link;
	int err = netlink_gateway(track_env_of(g->cond)->netlink, g->cond->family, &ip, &link);

	if (err == ERR_NOT_FOUND) {
		hang_up(g);
		g->link = 0;
		return false;
	}
	if (err == OK && (link != g->link || !net_addr_eq(&ip, &g->ip))) {
		hang_up(g);
		g->misses = 0;
		g->link = link;
		g->ip = ip;
	}
	return true;
}

static void judge(struct gateway *g)
{
	struct track_cond *c = g->cond;
	char text[NET_ADDR_TEXT];

	if (g->misses >= FALL)
		track_verdict(c, true, false, "the gateway %s does not answer",
		              net_addr_host(&g->ip, text));
	else if (g->misses == 0 && !g->asked && g->io.fd >= 0)
		track_verdict(c, true, true, "%s", "");
	else if (!g->asked && g->io.fd < 0)
		track_verdict(c, false, true, "the gateway's link has no neighbours to ask");
	else if (!c->known)
		track_verdict(c, false, true, "not answered yet");
}

/* The time for a question: the one before it has been answered by now, or will not be. */
static void turn(struct gateway *g)
{
	g->misses += g->asked && g->misses < FALL;
	g->asked = false;
	if (find_gateway(g)) {
		ask(g);
		return;
	}
	g->misses = 0;
	track_verdict(g->cond, true, false, "there is no default route for IPv%d",
	              g->cond->family == AF_INET6 ? 6 : 4);
}

static uint64_t gateway_look(struct track_cond *c, uint64_t now)
{
	struct gateway *g = c->own;

	if (now >= g->ask_at) {
		g->ask_at = now + ASK_EVERY;
		turn(g);
	}
	if (g->link != 0)
		judge(g);
	return g->ask_at;
}

/* --- making --------------------------------------------------------------------------------- */

static int gateway_open(struct track_cond *c, const struct track_cond *prev)
{
	const struct gateway *old = prev != NULL ? prev->own : NULL;
	struct gateway *g = calloc(1, sizeof(*g));

	if (g == NULL)
		return ERR_NOMEM;
	if (old != NULL)
		*g = *old;
	g->cond = c;
	g->io = (struct loop_io){ .fd = -1, .fn = on_answer };
	g->asked = false; /* an answer would go to the set before */
	g->ask_at = 0;
	c->own = g;
	return OK;
}

static void gateway_close(struct track_cond *c)
{
	hang_up(c->own);
	free(c->own);
}

const struct track_kind track_gateway = {
	.open = gateway_open,
	.look = gateway_look,
	.close = gateway_close,
};
