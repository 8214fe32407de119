/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions of virtual IPs: what must be well for this node to be preferred. Read from the board
 * (proxy, pools, checks), told by the kernel (interfaces) or asked for (gateway); never by scripts.
 * Role vrrp, its one thread.
 *
 * proxy: failed when the role was not ready for 250 ms (a restart takes less), or when no thread
 * gave a sign of life for a second; well again after a second of service without a break.
 */
#ifndef VRRP_TRACK_H
#define VRRP_TRACK_H

#include "net/loop.h"
#include "net/netlink.h"
#include "stat/board.h"
#include "vrrp/machine.h"

struct conf;
struct conf_vip;
struct track_set; /* the conditions of all virtual IPs of one configuration */
struct track;     /* those of one */

struct track_env {
	struct loop *loop;
	struct board *board;
	struct netlink *netlink;
};

/* changed is called, from the loop, whenever the health of a virtual IP may have changed. The first
 * verdicts are there when this returns; what cannot be known yet counts as well. Conditions of prev
 * (freed by its owner) that are the same keep their verdicts; without prev those that an earlier
 * process of the role has published keep them. ERR_NOMEM. */
int track_set_new(const struct track_env *env, const struct conf *conf,
                  const struct track_set *prev, void (*changed)(void *arg, struct track *t),
                  void *arg, struct track_set **ret);
void track_set_free(struct track_set *s);
/* The board's states may have changed (ROLE_FD_STATES), or links have (netlink_watch). */
void track_set_look(struct track_set *s);

/* Of the virtual IP of that name; NULL where this node may not hold it. */
struct track *track_find(struct track_set *s, struct str vip);
/* Its health; why: words for what failed, "" when all is well. */
void track_health(const struct track *t, struct vrrp_health *ret, char why[VRRP_WHY]);
/* Writes nconditions and conditions; between board_vip_begin and _end. */
void track_publish(const struct track *t, struct board_vip *v);

#endif
