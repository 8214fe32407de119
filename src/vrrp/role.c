/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The role vrrp as its harness sees it: start, reload as a transaction, messages, end; and what the
 * kernel and the other roles tell it. One thread.
 */
#include <errno.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "vrrp/impl.h"

#define LOOPBACK 1 /* its index in every network namespace */

static bool vrrp_wanted(const struct conf *c)
{
	for (uint32_t k = 0; k < c->nvips; k++) {
		if (vrrp_wanted_here(c, &c->vips[k])) {
			return true;
		}
	}
	return false;
}

/* --- what comes from outside ---------------------------------------------------------------- */

static void on_track(void *arg, struct track *t)
{
	struct vrrp *v = arg;

	for (unsigned k = 0; v->acting && v->track != NULL && k < v->n; k++) {
		/* All of them: in a group each has the health of all. */
		if (track_find(v->track, str_from(v->v[k]->name)) == t ||
		    v->v[k]->conf->group.len != 0) {
			vrrp_instance_feel(v->v[k]);
		}
	}
}

static void on_states(struct loop_io *io, uint32_t events)
{
	struct vrrp *v = CONTAINER_OF(io, struct vrrp, states_io);
	uint64_t count;

	(void)events;
	if (read(io->fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) {
		track_set_look(v->track);
	}
}

static void on_look(struct loop_task *t)
{
	struct vrrp *v = CONTAINER_OF(t, struct vrrp, look);

	vrrp_ports_look(v);
	track_set_look(v->track);
}

static void on_watch(struct loop_io *io, uint32_t events)
{
	struct vrrp *v = CONTAINER_OF(io, struct vrrp, watch_io);

	(void)events;
	if (netlink_watched(io->fd)) {
		loop_defer(v->loop, &v->look);
	}
}

static void on_renew(struct loop_timer *t)
{
	struct vrrp *v = CONTAINER_OF(t, struct vrrp, renew);

	for (unsigned k = 0; k < v->n; k++) {
		struct vrrp_instance *i = v->v[k];

		/* One that slept may have nothing left to renew. */
		vrrp_instance_hurry(i);
		vrrp_renew(i);
		if (i->m.state != VIP_ACTIVE) {
			atomic_store(&i->board->alive_ns, v->loop->now);
		}
		vrrp_publish(i);
	}
	loop_timer_set(v->loop, t, VRRP_RENEW);
}

/* --- start ---------------------------------------------------------------------------------- */

/* Without its rights the role runs, holds nothing, and says why. */
static void look_at_rights(struct vrrp *v)
{
	struct net_link lo;

	v->frames = net_frame_open(0, 0, NULL, 0);
	if (v->frames < 0) {
		v->lacks = "this process may not use raw sockets: the node needs CAP_NET_RAW";
	} else if (netlink_link_by_index(v->netlink, LOOPBACK, &lo) == OK &&
	           netlink_link_set(v->netlink, LOOPBACK, (lo.flags & IFF_UP) != 0) == ERR_DENIED) {
		/* It is as it was: nothing happens. */
		v->lacks = "this process may not add addresses: the node needs CAP_NET_ADMIN";
	}
	if (v->lacks != NULL) {
		log_error("vrrp", NULL, "no virtual IP can be held: %s", v->lacks);
	}
}

static int open_sockets(struct vrrp *v, const struct role_conf *first, char *why, size_t size)
{
	int states = role_conf_fd(first, ROLE_FD_STATES, 0, 0);

	if (netlink_open(&v->netlink) != OK) {
		(void)snprintf(why, size, "cannot open a netlink socket: %s", strerror(errno));
		return ERR_SYSTEM;
	}
	v->watch_io = (struct loop_io){ .fd = netlink_watch(), .fn = on_watch };
	v->states_io = (struct loop_io){ .fd = states >= 0 ? dup(states) : -1, .fn = on_states };
	if (v->watch_io.fd < 0) {
		(void)snprintf(why, size, "cannot watch the interfaces: %s", strerror(errno));
		return ERR_SYSTEM;
	}
	look_at_rights(v);
	return OK;
}

static int new_track(struct vrrp *v, const struct conf *conf, struct track_set **ret, char *why,
                     size_t size)
{
	struct track_env env = { .loop = v->loop, .board = v->role->board, .netlink = v->netlink };
	int err = track_set_new(&env, conf, v->track, on_track, v, ret);

	if (err != OK) {
		(void)snprintf(why, size, "out of memory for the conditions of virtual IPs");
	}
	return err;
}

static int vrrp_start(struct role *r, const struct role_conf *first, char *why, size_t why_size)
{
	struct vrrp *v = calloc(1, sizeof(*v));
	int err;

	if (v == NULL) {
		(void)snprintf(why, why_size, "out of memory");
		return ERR_NOMEM;
	}
	r->data = v;
	v->role = r;
	v->loop = r->loop;
	v->conf = first->conf;
	v->drained = board_node(r->board)->drained != 0;
	v->renew.fn = on_renew;
	v->look.fn = on_look;
	LIST_INIT(&v->channels);
	vrrp_orders_init(v);
	vrrp_hooks_start(v);
	err = open_sockets(v, first, why, why_size);
	if (err == OK) {
		err = new_track(v, v->conf, &v->track, why, why_size);
	}
	if (err != OK) {
		return err;
	}
	vrrp_wait_or_act(v);
	role_ready(r);
	return OK;
}

/* --- reload --------------------------------------------------------------------------------- */

static int vrrp_prepare(struct role *r, const struct role_conf *next, char *why, size_t why_size)
{
	struct vrrp *v = r->data;

	CHECK(v->next_track == NULL);
	return new_track(v, next->conf, &v->next_track, why, why_size);
}

static void vrrp_abort(struct role *r)
{
	struct vrrp *v = r->data;

	if (v->next_track != NULL) {
		track_set_free(v->next_track);
	}
	v->next_track = NULL;
}

static void commit_acting(struct vrrp *v, const struct conf *next)
{
	struct track_set *old = v->track;

	vrrp_end_old(v, next);
	v->conf = next;
	v->track = v->next_track;
	v->next_track = NULL;
	vrrp_begin_new(v);
	track_set_free(old);
	vrrp_ports_look(v);
	for (unsigned k = 0; k < v->n; k++) {
		vrrp_instance_feel(v->v[k]);
	}
}

/* Nothing of it was seen by anybody yet. */
static void commit_waiting(struct vrrp *v, const struct conf *next)
{
	while (v->n > 0) {
		vrrp_instance_free(v->v[--v->n]);
	}
	v->conf = next;
	track_set_free(v->track);
	v->track = v->next_track;
	v->next_track = NULL;
	vrrp_get_ready(v);
}

static void vrrp_commit(struct role *r)
{
	struct vrrp *v = r->data;

	CHECK(v->next_track != NULL);
	if (v->acting) {
		commit_acting(v, r->conf->conf);
	} else {
		commit_waiting(v, r->conf->conf);
	}
}

/* --- end ------------------------------------------------------------------------------------ */

/* A successor takes over what is as it is; otherwise nothing of us may stay. */
static void vrrp_drain(struct role *r)
{
	struct vrrp *v = r->data;

	vrrp_abort(r);
	if (v->acting && v->ending) {
		while (v->n > 0) {
			vrrp_remove_at(v, v->n - 1, "the node ends");
		}
	}
	role_exit(r);
}

static void vrrp_message(struct role *r, struct ipc_msg *m)
{
	struct vrrp *v = r->data;

	switch (m->type) {
	case IPC_SWITCHOVER:
		vrrp_order_switchover(v, m);
		break;
	case IPC_NODE:
		vrrp_order_node(v, m);
		break;
	case IPC_YIELD:
		vrrp_order_yield(v, m);
		break;
	default:
		break;
	}
}

const struct role_ops vrrp_role = {
	.name = "vrrp",
	.realtime = true,
	.overlaps = true,
	.capabilities = 1ULL << CAP_NET_ADMIN | 1ULL << CAP_NET_RAW,
	.wanted = vrrp_wanted,
	.lacks = vrrp_lacks,
	.start = vrrp_start,
	.prepare = vrrp_prepare,
	.commit = vrrp_commit,
	.abort = vrrp_abort,
	.drain = vrrp_drain,
	.message = vrrp_message,
};
