/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of transitions that hooks must hear of: in order for each virtual IP, the next only
 * after the one before has ended; bounded. Pure: the caller sends and is told. Role vrrp.
 */
#ifndef VRRP_HOOK_H
#define VRRP_HOOK_H

#include "ipc/msg.h"

#define VRRP_HOOKS 128

struct vrrp_hook {
	struct ipc_hook hook;
	bool sent;
	uint64_t give_up_at; /* monotonic ns; when sent: no longer waited for */
	uint64_t patience;   /* ns, for one call */
};

struct vrrp_hooks {
	struct vrrp_hook v[VRRP_HOOKS]; /* oldest first */
	unsigned n;
};

/* Appends. When it is full the oldest that was not sent goes; true: that has happened, *ret_lost
 * is it. */
bool vrrp_hooks_push(struct vrrp_hooks *q, const struct ipc_hook *h, uint64_t patience,
                     struct ipc_hook *ret_lost);
/* The next that may be sent now; NULL: none. The caller sends it, then calls vrrp_hooks_sent. */
struct vrrp_hook *vrrp_hooks_next(struct vrrp_hooks *q);
void vrrp_hooks_sent(struct vrrp_hook *h, uint64_t now);
/* That one has ended; false: nobody waited for it. */
bool vrrp_hooks_done(struct vrrp_hooks *q, const struct ipc_hook *h);
/* Takes out one that was sent and whose end is overdue; false: none is. */
bool vrrp_hooks_overdue(struct vrrp_hooks *q, uint64_t now, struct ipc_hook *ret);

#endif
