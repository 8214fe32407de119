/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes in: whose it is, whether it may be taken, and what it means to the machine. Strangers'
 * packets are counted with the reason and cost no more than that. Role vrrp, its one thread.
 */
#include "base/check.h"
#include "base/log.h"
#include "vrrp/impl.h"

#define TOKENS_MAX  256 /* what one speaker may say at once */
#define TOKEN_EVERY (2 * NS_PER_MS)
#define SAY_EVERY   (60 * NS_PER_S)

static bool is_multicast(const struct net_addr *a)
{
	return a->sa.sa_family == AF_INET6 ? IN6_IS_ADDR_MULTICAST(&a->in6.sin6_addr)
	                                   : IN_MULTICAST(ntohl(a->in.sin_addr.s_addr));
}

/* Whether that speaker has not said too much. The one that was silent for longest makes room. */
static bool may_speak(struct vrrp_instance *i, const struct net_addr *from, uint64_t now)
{
	struct vrrp_source *s = &i->sources[0];
	uint64_t fresh;

	for (unsigned k = 0; k < VRRP_SOURCES; k++) {
		if (i->sources[k].addr.len != 0 && net_addr_same_ip(&i->sources[k].addr, from)) {
			s = &i->sources[k];
			break;
		}
		if (i->sources[k].at < s->at) {
			s = &i->sources[k];
		}
	}
	if (s->addr.len == 0 || !net_addr_same_ip(&s->addr, from)) {
		*s = (struct vrrp_source){ .addr = *from, .at = now, .tokens = TOKENS_MAX };
	}
	fresh = (now - s->at) / TOKEN_EVERY;
	if (fresh > 0) {
		s->tokens = (uint32_t)MIN(s->tokens + fresh, (uint64_t)TOKENS_MAX);
		s->at = now;
	}
	if (s->tokens == 0) {
		return false;
	}
	s->tokens--;
	return true;
}

/* Unicast: only what comes from the other nodes of the file. */
static bool may_send(const struct vrrp_instance *i, const struct net_addr *from)
{
	if (!i->conf->unicast_peers) {
		return true;
	}
	for (unsigned k = 0; k < i->npeers; k++) {
		if (net_addr_same_ip(&i->peers[k], from)) {
			return true;
		}
	}
	return false;
}

static bool same_addresses(const struct vrrp_instance *i, const struct vrrp_advert *a)
{
	unsigned found = 0;

	for (unsigned k = 0; k < a->naddresses; k++) {
		for (unsigned n = 0; n < i->nsaid; n++) {
			if (net_addr_same_ip(&a->addresses[k], &i->said[n])) {
				found++;
				break;
			}
		}
	}
	return found == i->nsaid && a->naddresses == i->nsaid;
}

/* RFC 9568 section 7.1: told, not dropped. */
static void look_at_differences(struct vrrp_instance *i, const struct vrrp_advert *a,
                                const struct net_addr *from, uint64_t now)
{
	bool addresses = same_addresses(i, a);
	bool interval = a->interval_cs == i->wire.interval_cs;
	char node[NET_ADDR_TEXT + 80];
	uint64_t n;

	if (addresses && interval) {
		return;
	}
	vrrp_count(i, VIP_COUNT_MISMATCHES);
	if (!vrrp_may_say(&i->mismatch, now, SAY_EVERY, &n)) {
		return;
	}
	(void)vrrp_node_text(i->vrrp, from, node, sizeof(node));
	if (!addresses) {
		log_warning("vrrp_mismatch", i->name,
		            "%s advertises other addresses for router id %u than this node's file: "
		            "give both the same file",
		            node, i->conf->router_id);
	} else {
		log_warning("vrrp_mismatch", i->name,
		            "%s advertises every %u ms, this node's file says %u ms: give both the "
		            "same file",
		            node, a->interval_cs * 10, i->wire.interval_cs * 10);
	}
}

static void note_active(struct vrrp_instance *i, const struct net_addr *from, uint64_t now)
{
	bool other = i->peer.len == 0 || !net_addr_same_ip(&i->peer, from);

	i->known = true;
	i->heard_at = now;
	i->heard_wall_ms = clock_wall_ms();
	if (other) {
		i->peer = *from;
		i->standby_at = i->standby_gap = 0;
	}
}

static void take(struct vrrp_instance *i, const struct vrrp_advert *a, const struct net_addr *from,
                 bool alone, uint64_t now)
{
	struct vrrp_event e = {
		.kind = VRRP_EVENT_ADVERT,
		.priority = a->priority,
		.interval_cs = a->interval_cs,
		.from_larger = net_addr_compare_ip(from, &i->port.source) > 0,
	};
	bool was_active = i->m.state == VIP_ACTIVE;

	vrrp_count(i, VIP_COUNT_RECEIVED);
	look_at_differences(i, a, from, now);
	if (a->priority == VRRP_PRIORITY_RELEASE) {
		vrrp_count(i, VIP_COUNT_ZERO_RECEIVED);
		i->known = true;
	} else {
		note_active(i, from, now);
	}
	vrrp_instance_step(i, &e);
	/* What a node says that we have just taken it from is of before. */
	if (a->priority != VRRP_PRIORITY_RELEASE && i->relay != NULL && i->m.state != VIP_ACTIVE) {
		relay_heard(i->relay, from);
	}
	if (was_active && i->m.state == VIP_BACKUP) {
		vrrp_send_was_active(i);
	}
	if (a->priority == VRRP_PRIORITY_RELEASE && alone) {
		struct vrrp_event appoint = { .kind = VRRP_EVENT_APPOINT };

		vrrp_group_step(i, &appoint);
	}
	if (a->priority != VRRP_PRIORITY_RELEASE) {
		vrrp_send_standby(i, now);
		vrrp_publish(i);
		vrrp_orders_look(i->vrrp);
	}
}

/* A word of another node of this program to us alone: the same checks, another type. */
static bool is_word(const struct vrrp_instance *i, const struct net_raw_packet *p,
                    struct vrrp_advert *ret)
{
	uint8_t bytes[VRRP_MAX_PACKET];
	unsigned type = p->len > 0 ? p->payload[0] & 0x0f : 0;

	if ((type != VRRP_TYPE_STANDBY && type != VRRP_TYPE_WAS_ACTIVE) || p->len > sizeof(bytes) ||
	    is_multicast(&p->to)) {
		return false;
	}
	memcpy(bytes, p->payload, p->len);
	bytes[0] = (uint8_t)((bytes[0] & 0xf0) | VRRP_TYPE_ADVERT);
	return vrrp_packet_read(bytes, p->len, &i->wire, &p->from, &p->to,
	                        p->ttl >= 0 ? (unsigned)p->ttl : 0, ret) == VIP_DROPS;
}

static void take_word(struct vrrp_instance *i, const struct net_raw_packet *p,
                      const struct vrrp_advert *a)
{
	i->known = true;
	if ((p->payload[0] & 0x0f) == VRRP_TYPE_WAS_ACTIVE) {
		vrrp_conflict_was(i, &p->from, a->priority);
	}
}

static void hear(struct vrrp_instance *i, const struct net_raw_packet *p)
{
	bool alone = !i->conf->unicast_peers && !is_multicast(&p->to);
	uint64_t now = i->vrrp->loop->now;
	struct vrrp_advert a;
	enum vip_drop why;

	if (i->port.source.len != 0 && net_addr_same_ip(&i->port.source, &p->from)) {
		vrrp_refuse(i, VIP_DROP_OWN, &p->from);
		return;
	}
	if (!may_send(i, &p->from)) {
		vrrp_refuse(i, VIP_DROP_PEER, &p->from);
		return;
	}
	if (!may_speak(i, &p->from, now)) {
		vrrp_refuse(i, VIP_DROP_RATE, &p->from);
		return;
	}
	if (is_word(i, p, &a)) {
		take_word(i, p, &a);
		return;
	}
	why = vrrp_packet_read(p->payload, p->len, &i->wire, &p->from, &p->to,
	                       p->ttl >= 0 ? (unsigned)p->ttl : 0, &a);
	if (why != VIP_DROPS) {
		vrrp_refuse(i, why, &p->from);
		return;
	}
	/* To one node alone only a release is said: that it is appointed. */
	if (alone && a.priority != VRRP_PRIORITY_RELEASE) {
		vrrp_refuse(i, VIP_DROP_PEER, &p->from);
		return;
	}
	/* A node that is not well does not take it: whoever asks is told so by our silence. */
	if (alone && (i->m.health.low || i->m.health.release)) {
		return;
	}
	if (i->port.source.len != 0) {
		take(i, &a, &p->from, alone, now);
	}
}

void vrrp_hear(struct vrrp_channel *c, const struct net_raw_packet *p)
{
	int vrid = vrrp_packet_vrid(p->payload, p->len);
	struct vrrp_instance *first = NULL;
	bool elsewhere = false;

	for (unsigned k = 0; k < c->vrrp->n; k++) {
		struct vrrp_instance *i = c->vrrp->v[k];

		if (i->channel == c) {
			first = first != NULL ? first : i;
			if (vrid == (int)i->conf->router_id) {
				hear(i, p);
				return;
			}
		}
		/* Unicast packets reach the sockets of both kinds. */
		elsewhere |= vrid == (int)i->conf->router_id && !is_multicast(&p->to) &&
		             vrrp_ipv6(i) == (c->family == AF_INET6);
	}
	if (first != NULL && !elsewhere) {
		vrrp_refuse(first, vrid < 0 ? VIP_DROP_LENGTH : VIP_DROP_VRID, &p->from);
	}
}
