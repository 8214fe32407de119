/* SPDX-License-Identifier: Apache-2.0 */
/* What the API says about virtual IPs and named checks. Role control. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "control/api.h"
#include "control/jw.h"

bool view_vip(const struct api *a, const struct conf_vip *v, struct board_vip *ret)
{
	for (unsigned i = 0; i < BOARD_MAX_VIPS; i++) {
		struct board_vip *place = board_vip(a->board, i);

		/* A place has one name for as long as it is used: no need to copy all of it first.
		 */
		if (strncmp(place->name, v->name.s, sizeof(place->name)) == 0 &&
		    board_vip_read(place, ret))
			return true;
	}
	return false;
}

bool view_vip_is_ours(const struct api *a, const struct conf_vip *v)
{
	return a->conf->self != CONF_NO_NODE && conf_vip_node(v, a->conf->self) != NULL;
}

/* The other one of two nodes that may hold it; NULL where there are more, or this is none of them.
 */
static const struct conf_node *other_of_two(const struct api *a, const struct conf_vip *v)
{
	if (v->nnodes != 2 || !view_vip_is_ours(a, v))
		return NULL;
	return &a->conf->nodes[v->nodes[v->nodes[0].node == a->conf->self].node];
}

/* Which node the one that was last heard is; "" where it is not known. IPv6 is spoken from
 * link-local addresses, which the configuration does not have. */
static struct str peer_node(const struct api *a, const struct conf_vip *v,
                            const struct board_vip *b)
{
	const struct conf_node *other = other_of_two(a, v);
	char text[NET_ADDR_TEXT];

	if (b->peer[0] == '\0')
		return STR("");
	for (uint32_t i = 0; i < a->conf->nnodes; i++) {
		if (strcmp(net_addr_host(&a->conf->nodes[i].ip, text), b->peer) == 0)
			return a->conf->nodes[i].name;
	}
	return other != NULL && strncmp(b->peer, "fe80:", 5) == 0 ? other->name : STR("");
}

/* Who holds it, as far as this node knows; "" when nobody is known to. */
static struct str holder_of(const struct api *a, const struct conf_vip *v,
                            const struct board_vip *b)
{
	struct str peer = peer_node(a, v, b);

	if (b->state == VIP_ACTIVE)
		return str_from(board_node(a->board)->node);
	if (b->state != VIP_BACKUP)
		return STR("");
	return peer.len > 0 ? peer : str_from(b->peer);
}

/* Why there is nothing on the board about it. */
static const char *why_absent(const struct api *a, const struct conf_vip *v)
{
	if (!view_vip_is_ours(a, v))
		return "this node may not hold it";
	return view_role(a, "vrrp") != NULL ? "the role vrrp is starting"
	                                    : "the role vrrp does not run";
}

static void put_conditions(struct jw *w, const struct board_vip *b)
{
	jw_open(w, "conditions", '[');
	for (uint32_t i = 0; i < b->nconditions; i++) {
		const struct board_condition *c = &b->conditions[i];

		jw_open(w, NULL, '{');
		jw_str(w, "name", str_n(c->name, strnlen(c->name, sizeof(c->name))));
		jw_bool(w, "known", c->known != 0);
		jw_bool(w, "well", c->well != 0);
		jw_time(w, "since", c->since_wall_ms);
		jw_str(w, "reason", str_n(c->reason, strnlen(c->reason, sizeof(c->reason))));
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

static void put_counters(struct jw *w, const struct board_vip *b)
{
	jw_open(w, "counters", '{');
	for (unsigned i = 0; i < VIP_COUNTERS; i++)
		jw_u64(w, vip_counter_series[i], b->c[i]);
	jw_close(w, '}');
	jw_open(w, "dropped", '{');
	for (unsigned i = 0; i < VIP_DROPS; i++)
		jw_u64(w, vip_drop_label[i], b->dropped[i]);
	jw_close(w, '}');
}

static void put_conf(const struct api *a, struct jw *w, const struct conf_vip *v)
{
	jw_str(w, "name", v->name);
	jw_open(w, "addresses", '[');
	for (uint32_t i = 0; i < v->naddresses; i++) {
		if (!v->addresses[i].derived)
			jw_str(w, NULL, v->addresses[i].text);
	}
	jw_close(w, ']');
	jw_str(w, "interface", v->interface);
	jw_u64(w, "router_id", v->router_id);
	jw_u64(w, "version", v->version);
	jw_bool(w, "member", view_vip_is_ours(a, v));
	jw_open(w, "nodes", '[');
	for (uint32_t i = 0; i < v->nnodes; i++) {
		jw_open(w, NULL, '{');
		jw_str(w, "name", a->conf->nodes[v->nodes[i].node].name);
		jw_u64(w, "priority", v->nodes[i].priority);
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

static void put_state(const struct api *a, struct jw *w, const struct conf_vip *v,
                      const struct board_vip *b)
{
	jw_text(w, "state", vip_state_name[b->state]);
	jw_text(w, "reason", b->reason);
	jw_time(w, "since", b->since_wall_ms);
	jw_str(w, "holder", holder_of(a, v, b));
	jw_u64(w, "priority", b->priority);
	jw_u64(w, "base_priority", b->base);
	jw_text(w, "peer", b->peer);
	jw_str(w, "peer_node", peer_node(a, v, b));
	jw_u64(w, "peer_priority", b->peer_priority);
	jw_bool(w, "peer_known", b->known != 0);
	jw_time(w, "heard", b->heard_wall_ms);
	jw_u64(w, "active_interval_ms", (uint64_t)b->active_interval_cs * 10);
	jw_bool(w, "holding", b->holding != 0);
	jw_bool(w, "drained", b->drained != 0);
	jw_bool(w, "yielded", b->yielded != 0);
	jw_bool(w, "appointed", b->appointed != 0);
	jw_bool(w, "conflict", b->conflict != 0);
	jw_bool(w, "relaying", b->relaying != 0);
}

void view_vips(const struct api *a, struct jw *w)
{
	jw_open(w, "virtual_ips", '[');
	for (uint32_t i = 0; i < a->conf->nvips; i++) {
		const struct conf_vip *v = &a->conf->vips[i];
		struct board_vip b;

		if (!view_vip(a, v, &b)) {
			b = (struct board_vip){ .state = VIP_OUT };
			snprintf(b.reason, sizeof(b.reason), "%s", why_absent(a, v));
		}
		jw_open(w, NULL, '{');
		put_conf(a, w, v);
		put_state(a, w, v, &b);
		put_conditions(w, &b);
		put_counters(w, &b);
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

void view_vips_brief(const struct api *a, struct jw *w)
{
	jw_open(w, "virtual_ips", '[');
	for (uint32_t i = 0; i < a->conf->nvips; i++) {
		struct board_vip b;

		if (!view_vip(a, &a->conf->vips[i], &b))
			continue;
		jw_open(w, NULL, '{');
		jw_str(w, "name", a->conf->vips[i].name);
		put_state(a, w, &a->conf->vips[i], &b);
		put_conditions(w, &b);
		put_counters(w, &b);
		jw_close(w, '}');
	}
	jw_close(w, ']');
}

void view_checks(const struct api *a, struct jw *w)
{
	jw_open(w, "checks", '[');
	for (uint32_t i = 0; i < a->conf->nchecks; i++) {
		const struct conf_pool *c = &a->conf->checks[i];
		struct board_server s =
		    board_server_read(board_server(a->board, c->servers[0].slot));

		jw_open(w, NULL, '{');
		jw_str(w, "name", c->name);
		view_probed(w, &s);
		jw_close(w, '}');
	}
	jw_close(w, ']');
}
