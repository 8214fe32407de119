/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets over which advertisements go: one for all virtual routers of an interface and family,
 * one of a family for those with unicast peers. Role vrrp, its one thread.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "net/sock.h"
#include "vrrp/impl.h"

#define RCVBUF        (1024 * 1024)
#define PER_TURN      64  /* packets read in one turn, so that timers come to their right */
#define PER_DRAIN     512 /* before a timer counts; a good second of talk of all who may */
#define SAY_EVERY     (10 * NS_PER_S)
#define STANDBY_FIRST (250 * NS_PER_MS)
#define STANDBY_EVERY (10 * NS_PER_S)

static struct net_addr group_of(bool ipv6)
{
	struct net_addr a = { 0 };

	if (ipv6) { /* ff02::12 */
		a.in6.sin6_family = AF_INET6;
		a.in6.sin6_addr.s6_addr[0] = 0xff;
		a.in6.sin6_addr.s6_addr[1] = 0x02;
		a.in6.sin6_addr.s6_addr[15] = 0x12;
		a.len = sizeof(a.in6);
	} else { /* 224.0.0.18 */
		a.in.sin_family = AF_INET;
		a.in.sin_addr.s_addr = htonl(0xe0000012);
		a.len = sizeof(a.in);
	}
	return a;
}

/* --- channels ------------------------------------------------------------------------------- */

/* At most `max` packets; whether there may be more. */
static bool read_some(struct vrrp_channel *c, unsigned max)
{
	static uint8_t buf[VRRP_MAX_PACKET + 128];
	struct net_raw_packet p;

	for (unsigned i = 0; i < max && c->io.fd >= 0; i++) {
		int err = net_raw_recv(c->io.fd, c->family, buf, sizeof(buf), &p);

		if (err == OK) {
			vrrp_hear(c, &p);
		} else if (err != ERR_SYNTAX) {
			/* ERR_SYSTEM: the interface went down just now; netlink tells of it. */
			return false;
		}
	}
	return true;
}

static void on_channel(struct loop_io *io, uint32_t events)
{
	(void)events;
	(void)read_some(CONTAINER_OF(io, struct vrrp_channel, io), PER_TURN);
}

void vrrp_channel_drain(struct vrrp_channel *c)
{
	(void)read_some(c, PER_DRAIN);
}

static void channel_gone(struct loop_task *t)
{
	free(CONTAINER_OF(t, struct vrrp_channel, gone));
}

static int channel_open(struct vrrp *v, int family, uint32_t ifindex, struct vrrp_channel **ret)
{
	struct net_addr group = group_of(family == AF_INET6);
	struct vrrp_channel *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		return ERR_NOMEM;
	}
	c->vrrp = v;
	c->family = family;
	c->ifindex = ifindex;
	c->gone.fn = channel_gone;
	c->io.fn = on_channel;
	c->io.fd = net_raw_open(family, VRRP_PROTOCOL, ifindex, RCVBUF);
	if (c->io.fd < 0 || (ifindex != 0 && net_raw_join(c->io.fd, &group, ifindex) != OK) ||
	    (v->acting && loop_add_level(v->loop, &c->io, LOOP_IN, false) != OK)) {
		int saved = errno;

		if (c->io.fd >= 0) {
			net_close(c->io.fd);
		}
		free(c);
		errno = saved;
		return ERR_SYSTEM;
	}
	LIST_INSERT_HEAD(&v->channels, c, link);
	*ret = c;
	return OK;
}

int vrrp_channel_get(struct vrrp_instance *i)
{
	struct vrrp *v = i->vrrp;
	uint32_t ifindex = i->conf->unicast_peers ? 0 : i->port.index;
	int family = vrrp_ipv6(i) ? AF_INET6 : AF_INET;
	struct vrrp_channel *c;
	int err;

	if (i->channel != NULL) {
		return OK;
	}
	LIST_FOREACH (c, &v->channels, link) {
		if (c->ifindex == ifindex && c->family == family) {
			break;
		}
	}
	if (c == NULL) {
		err = channel_open(v, family, ifindex, &c);
		if (err != OK) {
			return err;
		}
	}
	c->users++;
	i->channel = c;
	return OK;
}

void vrrp_channel_put(struct vrrp_instance *i)
{
	struct vrrp_channel *c = i->channel;

	i->channel = NULL;
	if (c == NULL || --c->users > 0) {
		return;
	}
	LIST_REMOVE(c, link);
	loop_remove(i->vrrp->loop, &c->io);
	net_close(c->io.fd);
	c->io.fd = -1;
	loop_defer(i->vrrp->loop, &c->gone);
}

void vrrp_channels_start(struct vrrp *v)
{
	static uint8_t buf[64];
	struct net_raw_packet p;
	struct vrrp_channel *c;

	LIST_FOREACH (c, &v->channels, link) {
		for (unsigned i = 0; i < RCVBUF / 256; i++) { /* old news */
			int err = net_raw_recv(c->io.fd, c->family, buf, sizeof(buf), &p);

			if (err != OK && err != ERR_SYNTAX) {
				break;
			}
		}
		CHECK(loop_add_level(v->loop, &c->io, LOOP_IN, false) == OK);
	}
}

/* --- sending -------------------------------------------------------------------------------- */

static void failed(struct vrrp_instance *i, const struct net_addr *to, int err)
{
	uint64_t now = i->vrrp->loop->now;
	char text[NET_ADDR_TEXT];

	vrrp_count(i, VIP_COUNT_SEND_ERRORS);
	if (i->send_failed_at != 0 && now < i->send_failed_at + SAY_EVERY) {
		return;
	}
	i->send_failed_at = now;
	log_warning("vrrp_send", i->name, "cannot send an advertisement to %s on %s: %s",
	            net_addr_host(to, text), i->conf->interface.s,
	            err == ERR_AGAIN ? "the interface's queue is full" : strerror(errno));
}

/* To a group as a frame: the kernel would want an entry in its neighbour table for it, and where
 * that is full, as on large networks, it drops the packet without an error. */
static int send_to_group(struct vrrp_instance *i, const void *bytes, size_t len,
                         const struct net_addr *group)
{
	uint8_t frame[VRRP_MAX_PACKET + VRRP_FRAME_HEADERS];
	size_t n = vrrp_frame_packet(frame, i->port.mac, &i->port.source, group, bytes, len);

	return net_frame_send(i->vrrp->frames, i->port.index, frame, n);
}

static bool send_bytes(struct vrrp_instance *i, const void *bytes, size_t len,
                       const struct net_addr *to, bool group)
{
	int err;

	if (i->channel == NULL || i->port.source.len == 0) {
		return false;
	}
	err = group ? send_to_group(i, bytes, len, to)
	            : net_raw_send(i->channel->io.fd, &i->port.source, to, i->channel->ifindex,
	                           bytes, len);
	if (err != OK) {
		failed(i, to, err);
	}
	return err == OK;
}

static size_t write_packet(struct vrrp_instance *i, void *out, unsigned priority,
                           const struct net_addr *to)
{
	return vrrp_packet_write(out, &i->wire, priority, i->said, i->nsaid, &i->port.source, to);
}

static void send_advert(struct vrrp_instance *i, unsigned priority, const struct net_addr *to,
                        bool group)
{
	uint8_t packet[VRRP_MAX_PACKET];

	if (!send_bytes(i, packet, write_packet(i, packet, priority, to), to, group)) {
		return;
	}
	vrrp_count(i, VIP_COUNT_SENT);
	if (priority == VRRP_PRIORITY_RELEASE) {
		vrrp_count(i, VIP_COUNT_ZERO_SENT);
	}
}

void vrrp_send_to(struct vrrp_instance *i, unsigned priority, const struct net_addr *to)
{
	send_advert(i, priority, to, false);
}

void vrrp_send(struct vrrp_instance *i, unsigned priority)
{
	struct net_addr group;

	if (i->conf->unicast_peers) {
		for (unsigned k = 0; k < i->npeers; k++) {
			send_advert(i, priority, &i->peers[k], false);
		}
		return;
	}
	group = group_of(vrrp_ipv6(i));
	send_advert(i, priority, &group, true);
}

/* Beyond the standard: says something to the active node alone. Not among unicast peers: there
 * other speakers see it, and complain. */
static void send_word(struct vrrp_instance *i, enum vrrp_type type)
{
	uint8_t packet[VRRP_MAX_PACKET];
	size_t len;

	if (i->conf->unicast_peers) {
		return;
	}
	len = write_packet(i, packet, i->m.priority, &i->peer);
	packet[0] = (uint8_t)((packet[0] & 0xf0) | type);
	(void)send_bytes(i, packet, len, &i->peer, false);
}

/* A backup says nothing in VRRP, so that nobody knows whether there is one. Whoever hands over has
 * to: that is the difference between a switchover and an outage. More often at first: a new node's
 * words may be lost while it does not know its neighbours. */
void vrrp_send_standby(struct vrrp_instance *i, uint64_t now)
{
	if (i->m.state == VIP_BACKUP && i->peer.len != 0 && now >= i->standby_at) {
		i->standby_gap =
		    i->standby_gap == 0 ? STANDBY_FIRST : MIN(2 * i->standby_gap, STANDBY_EVERY);
		i->standby_at = now + i->standby_gap;
		send_word(i, VRRP_TYPE_STANDBY);
	}
}

/* After a split the one that is heard first need not have heard the other: without this word it
 * would not know that the network may look for the address elsewhere. */
void vrrp_send_was_active(struct vrrp_instance *i)
{
	if (i->peer.len != 0) {
		send_word(i, VRRP_TYPE_WAS_ACTIVE);
	}
}
