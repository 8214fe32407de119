/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One virtual router: what the file says of it, its begin, what hinders it, its end. What happens
 * to it in between is in instance_step.c. Role vrrp, its one thread.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "vrrp/impl.h"
#include "vrrp/macvlan.h"

/* --- its values ----------------------------------------------------------------------------- */

static void copy_str(char *out, size_t size, struct str s)
{
	(void)snprintf(out, size, "%.*s", STR_ARG(s));
}

void vrrp_instance_rules(const struct vrrp_instance *i, struct vrrp_rules *ret)
{
	const struct conf *c = i->vrrp->conf;
	const struct conf_vip_node *own = conf_vip_node(i->conf, c->self);

	CHECK(own != NULL);
	*ret = (struct vrrp_rules){
		.version = (uint8_t)i->conf->version,
		.priority = (uint8_t)own->priority,
		.low_priority = (uint8_t)conf_vip_low_priority(i->conf, c->self),
		.low_band = (uint8_t)i->conf->nnodes,
		.preempt = i->conf->preempt,
		.preempt_delay = i->conf->preempt_delay,
		.interval_cs = (uint32_t)(i->conf->advertise / NS_PER_CS),
	};
}

static void set_peers(struct vrrp_instance *i)
{
	const struct conf *c = i->vrrp->conf;
	int family = vrrp_ipv6(i) ? AF_INET6 : AF_INET;

	i->npeers = 0;
	for (uint32_t k = 0; k < i->conf->nnodes; k++) {
		uint32_t node = i->conf->nodes[k].node;

		if (node == c->self || c->nodes[node].ip.sa.sa_family != family) {
			continue;
		}
		i->peers[i->npeers] = c->nodes[node].ip;
		i->npeers++;
	}
}

void vrrp_instance_configure(struct vrrp_instance *i, const struct conf_vip *conf)
{
	struct vrrp_event e = { .kind = VRRP_EVENT_RULES };
	struct vrrp_rules rules;

	i->conf = conf;
	copy_str(i->password, sizeof(i->password), conf->password);
	i->wire = (struct vrrp_wire){
		.version = (uint8_t)conf->version,
		.vrid = (uint8_t)conf->router_id,
		.ipv6 = conf->addresses[0].ip.sa.sa_family == AF_INET6,
		.plain_checksum = conf->plain_checksum,
		.any_ttl = conf->unicast_peers,
		.interval_cs = (uint32_t)(conf->advertise / NS_PER_CS),
		.password = i->password,
	};
	i->nsaid = 0;
	for (uint32_t k = 0; k < conf->naddresses && i->nsaid < VRRP_MAX_ADDRESSES; k++) {
		i->said[i->nsaid++] = conf->addresses[k].ip;
	}
	set_peers(i);
	i->known |= conf->unicast_peers && i->npeers > 0; /* they say no more than they must */
	vrrp_instance_rules(i, &rules);
	e.rules = &rules;
	if (i->m.state != VIP_OUT) {
		vrrp_instance_step(i, &e);
	}
}

bool vrrp_instance_same_addresses(const struct vrrp_instance *i, const struct conf_vip *conf)
{
	const struct conf_vip *now = i->conf;

	for (uint32_t k = 0; k < conf->naddresses && now->naddresses == conf->naddresses; k++) {
		if (!net_addr_same_ip(&now->addresses[k].ip, &conf->addresses[k].ip) ||
		    now->addresses[k].prefix != conf->addresses[k].prefix) {
			return false;
		}
	}
	return now->naddresses == conf->naddresses;
}

bool vrrp_instance_same(const struct vrrp_instance *i, const struct conf_vip *conf)
{
	const struct conf_vip *now = i->conf;

	/* A link of its own is made for its addresses. */
	return (!conf->virtual_mac || vrrp_instance_same_addresses(i, conf)) &&
	       str_eq(now->interface, conf->interface) && now->router_id == conf->router_id &&
	       now->version == conf->version && now->unicast_peers == conf->unicast_peers &&
	       now->virtual_mac == conf->virtual_mac &&
	       now->addresses[0].ip.sa.sa_family == conf->addresses[0].ip.sa.sa_family;
}

/* --- begin and end -------------------------------------------------------------------------- */

/* Why it takes no part now; NULL: it may. */
static const char *hindrance(struct vrrp_instance *i, bool *ret_keep)
{
	*ret_keep = true;
	if (i->vrrp->ending) {
		return "the node ends";
	}
	if (i->vrrp->drained) {
		return "the node is drained";
	}
	*ret_keep = false;
	if (i->vrrp->lacks != NULL) {
		return i->vrrp->lacks;
	}
	if (vrrp_port_why(i, &i->port, i->out_why, sizeof(i->out_why)) != NULL) {
		return i->out_why;
	}
	if (vrrp_channel_get(i) != OK) {
		(void)snprintf(i->out_why, sizeof(i->out_why),
		               "cannot open a socket for VRRP on %s: %s", i->conf->interface.s,
		               strerror(errno));
		return i->out_why;
	}
	return NULL;
}

static void stay_out(struct vrrp_instance *i, const char *why)
{
	if (strcmp(i->reason, why) == 0) {
		return;
	}
	(void)snprintf(i->reason, sizeof(i->reason), "%s", why);
	log_notice("vip_out", i->name, "takes no part: %s", why);
	vrrp_publish(i);
}

void vrrp_instance_look(struct vrrp_instance *i)
{
	struct vrrp_event e = { .kind = VRRP_EVENT_OUT };
	struct vrrp_rules rules;

	e.why = hindrance(i, &e.keep);
	if (e.why != NULL && i->m.state != VIP_OUT) {
		vrrp_instance_step(i, &e);
	} else if (e.why != NULL) {
		stay_out(i, e.why);
	} else if (i->m.state == VIP_OUT) {
		vrrp_instance_rules(i, &rules);
		e.kind = VRRP_EVENT_START;
		e.rules = &rules;
		e.health = vrrp_instance_health(i);
		vrrp_instance_step(i, &e);
	}
}

void vrrp_instance_resume(struct vrrp_instance *i, const struct vrrp_event *as)
{
	struct vrrp_event e = *as;
	struct vrrp_rules rules;
	bool keep;

	if (hindrance(i, &keep) != NULL) {
		return;
	}
	vrrp_instance_rules(i, &rules);
	e.kind = VRRP_EVENT_RESUME;
	e.rules = &rules;
	e.health = vrrp_instance_health(i);
	e.why = i->health_why;
	vrrp_instance_step(i, &e);
	vrrp_publish(i);
}

struct vrrp_instance *vrrp_instance_new(struct vrrp *v, const struct conf_vip *conf)
{
	struct vrrp_instance *i = calloc(1, sizeof(*i));

	if (i == NULL) {
		return NULL;
	}
	i->vrrp = v;
	copy_str(i->name, sizeof(i->name), conf->name);
	i->board = vrrp_board_find(v, i->name);
	CHECK(i->board != NULL); /* there are as many places as a configuration may have */
	i->timer.fn = vrrp_instance_timer;
	i->watch.io.fd = -1;
	i->since_wall_ms = clock_wall_ms();
	vrrp_machine_init(&i->m);
	vrrp_instance_configure(i, conf);
	return i;
}

void vrrp_instance_detach(struct vrrp_instance *i)
{
	struct loop *l = i->vrrp->loop;

	vrrp_watch_stop(i);
	vrrp_announce_stop(i);
	vrrp_release(i);
	loop_timer_stop(l, &i->timer);
	vrrp_channel_put(i);
	macvlan_free(i->macvlan);
	i->macvlan = NULL;
	i->port = (struct vrrp_port){ 0 };
}

void vrrp_instance_free(struct vrrp_instance *i)
{
	vrrp_instance_detach(i);
	vrrp_orders_forget(i, "it was taken out of the configuration");
	if (i->relay != NULL) {
		relay_free(i->relay);
	}
	if (i->vrrp->acting) {
		vrrp_board_free(i);
	}
	free(i);
}
