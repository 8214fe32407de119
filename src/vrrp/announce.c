/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Telling the network where the addresses are: gratuitous ARP, unsolicited neighbour
 * advertisements. At once, and some times more within a second, because frames get lost and some
 * hosts heed only one kind. Role vrrp, its one thread.
 */
#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "vrrp/impl.h"

/* Between the rounds. */
static const uint64_t pause_ns[] = { 8 * NS_PER_MS, 40 * NS_PER_MS, 200 * NS_PER_MS,
	                             750 * NS_PER_MS };

void vrrp_announce_frames(struct vrrp_instance *i, enum vrrp_frame kind)
{
	uint8_t frame[VRRP_FRAME_MAX];

	for (unsigned k = 0; k < i->nheld; k++) {
		size_t len = vrrp_frame_write(frame, kind, &i->held[k].ip, i->held_mac);

		if (len != 0) {
			/* What fails now is said again in a moment. */
			(void)net_frame_send(i->vrrp->frames, i->held[k].ifindex, frame, len);
		}
	}
}

static void round_of(struct vrrp_instance *i)
{
	vrrp_announce_frames(i, VRRP_FRAME_REQUEST);
	vrrp_announce_frames(i, VRRP_FRAME_REPLY);
	if (i->announced < ARRAY_LEN(pause_ns)) {
		loop_timer_set(i->vrrp->loop, &i->announce, pause_ns[i->announced++]);
	}
}

static void on_announce(struct loop_timer *t)
{
	round_of(CONTAINER_OF(t, struct vrrp_instance, announce));
}

void vrrp_announce(struct vrrp_instance *i)
{
	vrrp_announce_stop(i);
	i->announce.fn = on_announce;
	i->announced = 0;
	round_of(i);
}

void vrrp_announce_stop(struct vrrp_instance *i)
{
	loop_timer_stop(i->vrrp->loop, &i->announce);
}
