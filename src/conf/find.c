/* SPDX-License-Identifier: Apache-2.0 */
/* Looking things up by name: the arrays are sorted. */
#include "conf/conf.h"

/* The element of that name in an array of structs that start with their name. */
static const void *find(const void *v, uint32_t n, size_t size, struct str name)
{
	uint32_t low = 0, high = n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const char *element = (const char *)v + mid * size;
		int order = str_compare(*(const struct str *)element, name);

		if (order == 0) {
			return element;
		}
		if (order < 0) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	return NULL;
}

const struct conf_pool *conf_pool_find(const struct conf *c, struct str name)
{
	return name.s ? find(c->pools, c->npools, sizeof(*c->pools), name) : NULL;
}

const struct conf_server *conf_server_find(const struct conf *c, struct str id,
                                           const struct conf_pool **ret_pool)
{
	struct str server, pool = str_split(id, '/', &server);
	const struct conf_pool *p = conf_pool_find(c, pool);

	if (ret_pool) {
		*ret_pool = p;
	}
	return p && server.s ? find(p->servers, p->nservers, sizeof(*p->servers), server) : NULL;
}

const struct conf_server *conf_probed_find(const struct conf *c, struct str id,
                                           const struct conf_pool **ret_pool)
{
	const struct conf_pool *check;

	if (memchr(id.s, '/', id.len) || !str_starts(id, STR("check."))) {
		return conf_server_find(c, id, ret_pool);
	}
	check = find(c->checks, c->nchecks, sizeof(*c->checks), str_n(id.s + 6, id.len - 6));
	if (ret_pool) {
		*ret_pool = check;
	}
	return check ? check->servers : NULL;
}

const struct conf_vip *conf_vip_find(const struct conf *c, struct str name)
{
	return name.s ? find(c->vips, c->nvips, sizeof(*c->vips), name) : NULL;
}

const struct conf_node *conf_node_find(const struct conf *c, struct str name)
{
	return name.s ? find(c->nodes, c->nnodes, sizeof(*c->nodes), name) : NULL;
}

const struct conf_vip_node *conf_vip_node(const struct conf_vip *v, uint32_t node)
{
	for (uint32_t i = 0; i < v->nnodes; i++) {
		if (v->nodes[i].node == node) {
			return &v->nodes[i];
		}
	}
	return NULL;
}

static uint32_t node_index(const struct conf *c, struct str name)
{
	const struct conf_node *n = conf_node_find(c, name);

	return n ? (uint32_t)(n - c->nodes) : CONF_NO_NODE;
}

static bool is_own(const struct net_addr *ip, const struct net_addr *own, unsigned nown)
{
	for (unsigned i = 0; i < nown; i++) {
		if (net_addr_same_ip(ip, &own[i])) {
			return true;
		}
	}
	return false;
}

bool conf_is_virtual(const struct conf *c, const struct net_addr *a)
{
	for (uint32_t i = 0; i < c->nvips; i++) {
		for (uint32_t k = 0; k < c->vips[i].naddresses; k++) {
			if (net_addr_same_ip(a, &c->vips[i].addresses[k].ip)) {
				return true;
			}
		}
	}
	return false;
}

uint32_t conf_node_self(const struct conf *c, const char *name, const char *host,
                        const struct net_addr *own, unsigned nown)
{
	uint32_t found = CONF_NO_NODE;

	if (name) {
		return node_index(c, str_from(name));
	}
	if (host) {
		found = node_index(c, str_from(host));
		if (found == CONF_NO_NODE) { /* "lb1.example.com" is lb1 */
			found = node_index(c, str_n(host, strcspn(host, ".")));
		}
	}
	if (found != CONF_NO_NODE) {
		return found;
	}
	for (uint32_t i = 0; i < c->nnodes; i++) {
		if (is_own(&c->nodes[i].ip, own, nown)) {
			if (found != CONF_NO_NODE) {
				return CONF_NO_NODE;
			}
			found = i;
		}
	}
	return found;
}

uint32_t conf_vip_low_priority(const struct conf_vip *v, uint32_t node)
{
	const struct conf_vip_node *self = conf_vip_node(v, node);
	uint32_t below = 0;

	for (uint32_t i = 0; self && i < v->nnodes; i++) {
		const struct conf_vip_node *o = &v->nodes[i];

		/* of equals, the one whose name is later goes first on all nodes alike */
		below +=
		    o->priority < self->priority || (o->priority == self->priority && o < self);
	}
	return self ? below + 1 : 0;
}

uint32_t conf_sni_pool(const struct conf_listener *l, struct str host)
{
	const struct conf_sni_route *s =
	    host.len ? find(l->sni, l->nsni, sizeof(*l->sni), host) : NULL;
	char wild[256];

	/* "*.shop.test" takes a.b.shop.test: the first of the names that is there is the longest.
	 */
	for (size_t i = 1; !s && i < host.len && host.len - i + 2 < sizeof(wild); i++) {
		if (host.s[i] == '.') {
			wild[0] = '*';
			memcpy(wild + 1, host.s + i, host.len - i);
			s = find(l->sni, l->nsni, sizeof(*l->sni), str_n(wild, host.len - i + 1));
		}
	}
	return s ? s->pool : l->pool;
}
