/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two who hold one address: an active node that hears another one, and strangers that claim an
 * address while we hold it. For these a socket hears every frame in which one of our addresses is
 * claimed, and now and then we ask who else has it. Role vrrp, its one thread.
 */
#include <errno.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "net/sock.h"
#include "vrrp/impl.h"

#define PER_TURN    32
#define PROBE_FIRST (5 * NS_PER_S) /* a dead node's kernel answers for some seconds more */
#define PROBE_EVERY (10 * NS_PER_S)
#define JUDGE_AFTER (500 * NS_PER_MS)
#define SAY_EVERY   (10 * NS_PER_S)

static bool is_held(const struct vrrp_instance *i, const struct net_addr *ip)
{
	for (unsigned k = 0; k < i->nheld; k++) {
		if (net_addr_same_ip(&i->held[k].ip, ip)) {
			return true;
		}
	}
	return false;
}

/* The next holder says so in VRRP as well, perhaps a moment later: then we are no longer active
 * when it is judged. */
static void claimed(struct vrrp_instance *i, const struct net_addr *ip, const uint8_t mac[6])
{
	struct vrrp_watch *w = &i->watch;

	if (memcmp(mac, i->held_mac, 6) == 0 || !is_held(i, ip) || w->judge.due != 0 ||
	    (i->relay != NULL && relay_active(i->relay))) {
		return;
	}
	memcpy(w->mac, mac, sizeof(w->mac));
	w->ip = *ip;
	loop_timer_set(i->vrrp->loop, &w->judge, JUDGE_AFTER);
}

static void on_judge(struct loop_timer *t)
{
	struct vrrp_instance *i = CONTAINER_OF(t, struct vrrp_instance, watch.judge);
	struct vrrp_watch *w = &i->watch;
	char text[NET_ADDR_TEXT];

	/* Another active node is a conflict of its own, which the standard's rules end. */
	if (i->m.conflict || !is_held(i, &w->ip)) {
		return;
	}
	if (w->said_at != 0 && i->vrrp->loop->now < w->said_at + SAY_EVERY) {
		return;
	}
	w->said_at = i->vrrp->loop->now;
	vrrp_count(i, VIP_COUNT_DUPLICATES);
	log_error("vip_duplicate", i->name,
	          "%02x:%02x:%02x:%02x:%02x:%02x on %s answers for %s, which this node holds: two "
	          "machines have one address; look for that MAC and take the address from it",
	          w->mac[0], w->mac[1], w->mac[2], w->mac[3], w->mac[4], w->mac[5],
	          i->conf->interface.s, net_addr_host(&w->ip, text));
	vrrp_announce(i);
}

static void on_probe(struct loop_timer *t)
{
	struct vrrp_instance *i = CONTAINER_OF(t, struct vrrp_instance, watch.probe);

	vrrp_announce_frames(i, VRRP_FRAME_PROBE);
	loop_timer_set(i->vrrp->loop, t, PROBE_EVERY);
}

static void on_frame(struct loop_io *io, uint32_t events)
{
	struct vrrp_instance *i = CONTAINER_OF(io, struct vrrp_instance, watch.io);
	uint8_t frame[VRRP_FRAME_MAX];
	uint8_t mac[6];
	struct net_addr ip;

	(void)events;
	for (unsigned k = 0; k < PER_TURN; k++) {
		ssize_t n = net_frame_recv(io->fd, frame, sizeof(frame));

		if (n < 0) {
			return;
		}
		if (vrrp_frame_claim(frame, (size_t)n, vrrp_ipv6(i), &ip, mac)) {
			claimed(i, &ip, mac);
		}
	}
}

void vrrp_watch_start(struct vrrp_instance *i)
{
	struct sock_filter program[VRRP_FRAME_FILTER(VRRP_MAX_ADDRESSES)];
	struct net_addr ips[VRRP_MAX_ADDRESSES];
	struct vrrp_watch *w = &i->watch;
	unsigned n;

	for (unsigned k = 0; k < i->nheld; k++) {
		ips[k] = i->held[k].ip;
	}
	n = vrrp_frame_filter(program, ips, i->nheld, vrrp_ipv6(i));
	w->io.fn = on_frame;
	w->probe.fn = on_probe;
	w->judge.fn = on_judge;
	w->io.fd = net_frame_open(i->port.index, vrrp_frame_type(vrrp_ipv6(i)), program, n);
	if (w->io.fd < 0 || loop_add_level(i->vrrp->loop, &w->io, LOOP_IN, false) != OK) {
		log_warning("vip_watch", i->name,
		            "cannot watch %s for others that hold the address: %s",
		            i->conf->interface.s, strerror(errno));
		vrrp_watch_stop(i);
		return;
	}
	loop_timer_set(i->vrrp->loop, &w->probe, PROBE_FIRST);
}

void vrrp_watch_stop(struct vrrp_instance *i)
{
	struct vrrp_watch *w = &i->watch;

	loop_timer_stop(i->vrrp->loop, &w->probe);
	loop_timer_stop(i->vrrp->loop, &w->judge);
	if (w->io.fd >= 0) {
		loop_remove(i->vrrp->loop, &w->io);
		net_close(w->io.fd);
		w->io.fd = -1;
	}
}

static void say_conflict(struct vrrp_instance *i, const struct net_addr *other, unsigned priority,
                         const char *now)
{
	char node[NET_ADDR_TEXT + 80];

	vrrp_count(i, VIP_COUNT_CONFLICTS);
	log_error("vip_conflict", i->name,
	          "%s %s, with priority %u below our %u: both held the address, which is announced "
	          "again; look for what kept them from hearing each other",
	          vrrp_node_text(i->vrrp, other, node, sizeof(node)), now, priority, i->m.priority);
	vrrp_publish(i);
}

void vrrp_conflict(struct vrrp_instance *i)
{
	say_conflict(i, &i->peer, i->m.heard_priority, "is active too until it hears us");
}

void vrrp_conflict_was(struct vrrp_instance *i, const struct net_addr *from, unsigned priority)
{
	uint64_t now = clock_mono();

	/* One that we have just preempted was active, of course. */
	if (i->m.state != VIP_ACTIVE ||
	    now - i->m.since < 2 * (uint64_t)i->m.rules.interval_cs * 10 * NS_PER_MS) {
		return;
	}
	if (!i->m.conflict && now >= i->watch.was_at + SAY_EVERY) {
		i->watch.was_at = now;
		say_conflict(i, from, priority, "was active too until it heard us");
	}
	vrrp_announce(i);
}
