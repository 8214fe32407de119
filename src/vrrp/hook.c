/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of hooks. Role vrrp; pure. */
#include "vrrp/hook.h"

#include "base/check.h"

static void take_out(struct vrrp_hooks *q, unsigned i)
{
	memmove(&q->v[i], &q->v[i + 1], (q->n - i - 1) * sizeof(q->v[0]));
	q->n--;
}

bool vrrp_hooks_push(struct vrrp_hooks *q, const struct ipc_hook *h, uint64_t patience,
                     struct ipc_hook *ret_lost)
{
	bool lost = q->n == VRRP_HOOKS;

	if (lost) {
		unsigned i = 0;

		while (i < VRRP_HOOKS - 1 && q->v[i].sent) {
			i++;
		}
		*ret_lost = q->v[i].hook;
		take_out(q, i);
	}
	q->v[q->n++] = (struct vrrp_hook){ .hook = *h, .patience = patience };
	return lost;
}

/* Whether an older one of the same virtual IP is still in the queue. */
static bool must_wait(const struct vrrp_hooks *q, unsigned i)
{
	for (unsigned k = 0; k < i; k++) {
		if (strcmp(q->v[k].hook.vip, q->v[i].hook.vip) == 0) {
			return true;
		}
	}
	return false;
}

struct vrrp_hook *vrrp_hooks_next(struct vrrp_hooks *q)
{
	for (unsigned i = 0; i < q->n; i++) {
		if (!q->v[i].sent && !must_wait(q, i)) {
			return &q->v[i];
		}
	}
	return NULL;
}

void vrrp_hooks_sent(struct vrrp_hook *h, uint64_t now)
{
	h->sent = true;
	h->give_up_at = now + h->patience;
}

bool vrrp_hooks_done(struct vrrp_hooks *q, const struct ipc_hook *h)
{
	for (unsigned i = 0; i < q->n; i++) {
		const struct vrrp_hook *x = &q->v[i];

		if (x->sent && x->hook.number == h->number &&
		    strncmp(x->hook.vip, h->vip, sizeof(h->vip)) == 0) {
			take_out(q, i);
			return true;
		}
	}
	return false;
}

bool vrrp_hooks_overdue(struct vrrp_hooks *q, uint64_t now, struct ipc_hook *ret)
{
	for (unsigned i = 0; i < q->n; i++) {
		if (q->v[i].sent && now >= q->v[i].give_up_at) {
			*ret = q->v[i].hook;
			take_out(q, i);
			return true;
		}
	}
	return false;
}
