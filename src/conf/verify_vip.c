/* SPDX-License-Identifier: Apache-2.0 */
/* What only the whole shows of virtual IPs and named checks: references, and rules between them. */

#include "base/check.h"
#include "conf/load.h"

/* The value of a key of a virtual IP, else the virtual IP itself. */
static struct place place_of(const struct node *n, const char *key)
{
	const struct node *child = node_get(n, key);

	return child ? child->at : n->key_at;
}

/* Where the file has that address. */
static struct place address_place(const struct node *n, struct str text)
{
	const struct node *list = node_get(n, "addresses");

	list = list ? list : node_get(n, "address");
	for (const struct node *i = list && list->kind == NODE_LIST ? list->first : NULL; i;
	     i = i->next) {
		if (i->kind == NODE_TEXT && str_eq(i->text, text)) {
			return i->at;
		}
	}
	return list ? list->at : n->key_at;
}

/* --- references ------------------------------------------------------------------------------- */

static void find_nodes(struct load *l, struct conf_vip *v, const struct node *n)
{
	const struct node *priority = node_get(n, "priority");

	for (uint32_t i = 0; i < v->nnodes; i++) {
		struct conf_vip_node *o = (struct conf_vip_node *)&v->nodes[i];
		const struct conf_node *found = conf_node_find(l->conf, o->name);
		struct guess g;

		o->node = found ? (uint32_t)(found - l->conf->nodes) : CONF_NO_NODE;
		if (found) {
			continue;
		}
		guess_init(&g, o->name);
		for (uint32_t k = 0; k < l->conf->nnodes; k++) {
			guess_try(&g, l->conf->nodes[k].name);
		}
		verify_undefined(l, node_get(priority, o->name.s)->key_at, "node", &g);
	}
}

/* Where a condition stands in "track": a name in the list, or the key of a map. Only what was
 * written has one. */
static const struct node *track_node(const struct node *track, struct str name)
{
	const struct node *found = NULL;

	if (!track) {
		return NULL;
	}
	if (track->kind == NODE_MAP) {
		return node_get(track, name.s);
	}
	for (const struct node *i = track->kind == NODE_LIST ? track->first : NULL; i && !found;
	     i = i->next) {
		found = i->kind == NODE_MAP                             ? node_get(i, name.s)
		        : i->kind == NODE_TEXT && str_eq(i->text, name) ? i
		                                                        : NULL;
	}
	return found ? found : track;
}

static uint32_t find_object(struct load *l, const struct conf_track *t, const struct node *n)
{
	bool pool = t->kind == CONDITION_POOL;
	const struct conf_pool *v = pool ? l->conf->pools : l->conf->checks;
	uint32_t count = pool ? l->conf->npools : l->conf->nchecks;
	struct guess g;

	guess_init(&g, t->object);
	for (uint32_t i = 0; i < count; i++) {
		if (str_eq(v[i].name, t->object)) {
			return i;
		}
		guess_try(&g, v[i].name);
	}
	verify_undefined(l, n->key.s && n->key.len == t->name.len ? n->key_at : n->at,
	                 pool ? "pool" : "check", &g);
	return UINT32_MAX;
}

static void find_tracked(struct load *l, struct conf_vip *v, const struct node *n)
{
	const struct node *track = node_get(n, "track");

	for (uint32_t i = 0; i < v->ntrack; i++) {
		struct conf_track *t = (struct conf_track *)&v->track[i];
		const struct node *at = track_node(track, t->name);

		if ((t->kind != CONDITION_POOL && t->kind != CONDITION_CHECK) || !at) {
			continue;
		}
		t->index = find_object(l, t, at);
		if (t->index != UINT32_MAX && t->kind == CONDITION_POOL &&
		    !l->pools[t->index]->faulty && t->min > l->conf->pools[t->index].nservers) {
			problem_error(l->problems, place_of(at, "min"),
			              "\"min\": %u servers can never be in service: pool \"%.*s\" "
			              "has %u",
			              t->min, STR_ARG(t->object),
			              l->conf->pools[t->index].nservers);
		}
	}
}

/* --- one virtual IP --------------------------------------------------------------------------- */

static void verify_priorities(struct load *l, const struct conf_vip *v, const struct node *n)
{
	const struct node *priority = node_get(n, "priority");

	for (uint32_t i = 0; i < v->nnodes; i++) {
		if (v->nodes[i].priority <= v->nnodes) {
			problem_error(
			    l->problems, node_get(priority, v->nodes[i].name.s)->at,
			    "\"priority\": with %u node%s it must be above %u: priorities up to "
			    "there are for nodes that are not well",
			    v->nnodes, v->nnodes == 1 ? "" : "s", v->nnodes);
		}
	}
}

static void verify_unicast(struct load *l, const struct conf_vip *v, const struct node *n)
{
	const struct node *unicast = node_get(n, "unicast_peers");
	const struct node *priority = node_get(n, "priority");

	if (!v->unicast_peers || !unicast) {
		return;
	}
	if (v->nnodes == 1) {
		problem_error(
		    l->problems, unicast->key_at,
		    "\"unicast_peers\": there is no other node in \"priority\" to send to; "
		    "name it there, or leave this out for multicast");
	}
	for (uint32_t i = 0; i < v->nnodes && v->naddresses; i++) {
		const struct conf_node *o =
		    v->nodes[i].node == CONF_NO_NODE ? NULL : &l->conf->nodes[v->nodes[i].node];
		bool ipv6 = v->addresses[0].ip.sa.sa_family == AF_INET6;

		if (!o || o->ip.len == 0) {
			continue;
		}
		if (o->ip.sa.sa_family != v->addresses[0].ip.sa.sa_family) {
			problem_error(l->problems, node_get(priority, o->name.s)->key_at,
			              "\"unicast_peers\": node \"%.*s\" has no IPv%d address to "
			              "send to: its \"address\" is %.*s",
			              STR_ARG(o->name), ipv6 ? 6 : 4, STR_ARG(o->address));
		}
		for (uint32_t k = 0; k < i; k++) {
			if (v->nodes[k].node != CONF_NO_NODE &&
			    net_addr_eq(&l->conf->nodes[v->nodes[k].node].ip, &o->ip)) {
				problem_error(l->problems, node_get(priority, o->name.s)->key_at,
				              "\"unicast_peers\": nodes \"%.*s\" and \"%.*s\" have "
				              "the same address",
				              STR_ARG(v->nodes[k].name), STR_ARG(o->name));
			}
		}
	}
}

static void verify_owners(struct load *l, const struct conf_vip *v, const struct node *n)
{
	for (uint32_t i = 0; i < v->naddresses; i++) {
		for (uint32_t k = 0; k < l->conf->nnodes; k++) {
			const struct conf_node *o = &l->conf->nodes[k];

			if (net_addr_eq(&v->addresses[i].ip, &o->ip)) {
				problem_error(
				    l->problems, address_place(n, v->addresses[i].text),
				    "%.*s is the address of node \"%.*s\", which would keep it for "
				    "itself; a virtual IP needs one that is nobody's own",
				    STR_ARG(v->addresses[i].text), STR_ARG(o->name));
			}
		}
	}
}

/* --- two of them ------------------------------------------------------------------------------ */

static bool same_router(const struct conf_vip *a, const struct conf_vip *b)
{
	return a->naddresses && b->naddresses && a->router_id && a->router_id == b->router_id &&
	       a->version == b->version && str_eq(a->interface, b->interface) &&
	       a->addresses[0].ip.sa.sa_family == b->addresses[0].ip.sa.sa_family;
}

/* Whether the same nodes are named in the same order of preference. */
static bool same_preference(const struct conf_vip *a, const struct conf_vip *b)
{
	for (uint32_t i = 0; i < a->nnodes && a->nnodes == b->nnodes; i++) {
		if (!str_eq(a->nodes[i].name, b->nodes[i].name)) {
			return false;
		}
		for (uint32_t k = 0; k < i; k++) {
			uint32_t x = a->nodes[i].priority, y = a->nodes[k].priority;
			uint32_t s = b->nodes[i].priority, t = b->nodes[k].priority;

			if ((x > y) != (s > t) || (x < y) != (s < t)) {
				return false;
			}
		}
	}
	return a->nnodes == b->nnodes;
}

static void verify_pair(struct load *l, const struct conf_vip *a, const struct node *na,
                        const struct conf_vip *b, const struct node *nb)
{
	const char *file = l->problems->files[na->key_at.file].path;
	uint32_t line = na->key_at.line;

	if (nb->key_at.file < na->key_at.file ||
	    (nb->key_at.file == na->key_at.file && nb->key_at.line < line)) {
		verify_pair(l, b, nb, a, na);
		return;
	}
	if (same_router(a, b)) {
		problem_error(
		    l->problems, place_of(nb, "router_id"),
		    "\"router_id\": %u is virtual IP \"%.*s\"'s on \"%.*s\" (%s:%u): peers "
		    "could not tell them apart",
		    b->router_id, STR_ARG(a->name), STR_ARG(a->interface), file, line);
	}
	for (uint32_t i = 0; i < b->naddresses; i++) {
		for (uint32_t k = 0; k < a->naddresses; k++) {
			if (!b->addresses[i].derived && !a->addresses[k].derived &&
			    net_addr_eq(&a->addresses[k].ip, &b->addresses[i].ip)) {
				problem_error(l->problems, address_place(nb, b->addresses[i].text),
				              "%.*s is an address of virtual IP \"%.*s\" already "
				              "(%s:%u)",
				              STR_ARG(b->addresses[i].text), STR_ARG(a->name), file,
				              line);
			}
		}
	}
	if (a->group.len && str_eq(a->group, b->group) && !same_preference(a, b)) {
		problem_error(l->problems, place_of(nb, "priority"),
		              "\"priority\": sync group \"%.*s\" moves as one, but virtual IP "
		              "\"%.*s\" (%s:%u) names other nodes or prefers them in another order",
		              STR_ARG(b->group), STR_ARG(a->name), file, line);
	}
}

/* --- all -------------------------------------------------------------------------------------- */

void verify_vips(struct load *l)
{
	struct conf *c = l->conf;

	for (uint32_t i = 0; i < c->nchecks; i++) {
		verify_check(l, &c->checks[i].check, l->checks[i]);
		verify_check_address(l, &c->checks[i].check, c->checks[i].servers, l->checks[i]);
	}
	for (uint32_t i = 0; i < c->nvips; i++) {
		struct conf_vip *v = (struct conf_vip *)&c->vips[i];

		find_nodes(l, v, l->vips[i]);
		find_tracked(l, v, l->vips[i]);
		verify_priorities(l, v, l->vips[i]);
		verify_unicast(l, v, l->vips[i]);
		verify_owners(l, v, l->vips[i]);
		for (uint32_t k = 0; k < i; k++) {
			verify_pair(l, &c->vips[k], l->vips[k], v, l->vips[i]);
		}
	}
}
