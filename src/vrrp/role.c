/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The role vrrp as its harness sees it: start, reload as a transaction, messages, end; and taking
 * over from an earlier process of the role, which nobody outside is to notice. One thread.
 *
 * Only one process of a node acts at a time. Which one stands on the board: a new process that
 * finds another one alive prepares everything, says that it is ready, and waits for that one's end.
 */
#include <errno.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "vrrp/impl.h"
#include "vrrp/macvlan.h"

#define RENEW       NS_PER_S
#define RESUME_MORE (10 * NS_PER_MS)

static bool wanted_here(const struct conf *c, const struct conf_vip *v)
{
	return c->self != CONF_NO_NODE && conf_vip_node(v, c->self) != NULL;
}

static bool vrrp_wanted(const struct conf *c)
{
	for (uint32_t k = 0; k < c->nvips; k++) {
		if (wanted_here(c, &c->vips[k])) {
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
	loop_timer_set(v->loop, t, RENEW);
}

/* --- instances ------------------------------------------------------------------------------ */

static void relay_for(struct vrrp *v, struct vrrp_instance *i)
{
	if (relay_new(v->loop, v->netlink, i->conf, &i->relay) != OK) {
		i->relay = NULL;
		log_warning("relay", i->name, "connections will not be kept through a handover: %s",
		            strerror(errno));
	}
}

static struct vrrp_instance *add(struct vrrp *v, const struct conf_vip *conf)
{
	struct vrrp_instance *i = vrrp_instance_new(v, conf);

	CHECK(i != NULL); /* some kilobytes, at start or reload */
	relay_for(v, i);
	v->v[v->n++] = i;
	return i;
}

static void add_all(struct vrrp *v)
{
	for (uint32_t k = 0; k < v->conf->nvips; k++) {
		if (wanted_here(v->conf, &v->conf->vips[k])) {
			(void)add(v, &v->conf->vips[k]);
		}
	}
}

static struct vrrp_instance *instance_of(const struct vrrp *v, struct str name)
{
	for (unsigned k = 0; k < v->n; k++) {
		if (str_eq(str_from(v->v[k]->name), name)) {
			return v->v[k];
		}
	}
	return NULL;
}

static void remove_at(struct vrrp *v, unsigned at, const char *why)
{
	struct vrrp_instance *i = v->v[at];
	struct vrrp_event e = { .kind = VRRP_EVENT_OUT, .keep = true, .why = why };

	vrrp_instance_step(i, &e);
	v->v[at] = v->v[--v->n];
	vrrp_instance_free(i);
}

/* --- beginning to act ----------------------------------------------------------------------- */

/* What the earlier process published last; false: it is no use to go on from there. An active one
 * that was silent for as long as the others wait begins again. */
static bool read_former(const struct vrrp_instance *i, struct vrrp_event *ret,
                        const struct board_vip *was)
{
	uint64_t age = clock_mono() - atomic_load(&i->board->alive_ns);
	uint64_t interval = MAX(i->conf->advertise, was->active_interval_cs * 10 * NS_PER_MS);

	*ret = (struct vrrp_event){
		.kind = VRRP_EVENT_RESUME,
		.state = was->state,
		.yielded = was->yielded,
		.appointed = was->appointed,
		.active_interval_cs = was->active_interval_cs,
	};
	return was->state == VIP_BACKUP ||
	       (was->state == VIP_ACTIVE && age <= 3 * interval + RESUME_MORE);
}

static void take_history(struct vrrp_instance *i, const struct board_vip *was)
{
	i->since_wall_ms = was->since_wall_ms;
	i->heard_wall_ms = was->heard_wall_ms;
	i->known |= was->known != 0;
	(void)snprintf(i->reason, sizeof(i->reason), "%s", was->reason);
}

/* A handover that goes on. */
static void take_relay(struct vrrp_instance *i, const struct board_vip *was)
{
	struct relay_state s = { .take_until = was->relay_take_until,
		                 .keep_until = was->relay_keep_until };

	if (i->relay == NULL || i->port.index == 0) {
		return;
	}
	if (net_ip_parse(str_from(was->relay_from), &s.from) != OK) {
		s.take_until = 0;
	}
	relay_resume(i->relay, i->port.index, &s);
}

static void begin(struct vrrp *v, struct vrrp_instance *i, const struct vrrp_addresses *all)
{
	struct vrrp_event as;
	struct board_vip was;

	vrrp_port_read(i, all, &i->port);
	if (atomic_load(&i->board->pid) != 0 && board_vip_read(i->board, &was)) {
		take_history(i, &was);
		take_relay(i, &was);
		if (read_former(i, &as, &was)) {
			vrrp_instance_resume(i, &as);
			log_info("vip_resumed", i->name,
			         "%s before and after a restart of the role",
			         vip_state_name[i->m.state]);
		}
	}
	atomic_store(&i->board->pid, getpid());
	atomic_store(&i->board->alive_ns, clock_mono());
	vrrp_instance_look(i);
	vrrp_publish(i);
}

/* Places of virtual IPs that an earlier process had and nobody has now. */
static void free_places(struct vrrp *v)
{
	for (unsigned n = 0; n < BOARD_MAX_VIPS; n++) {
		struct board_vip *b = board_vip(v->role->board, n);

		if (atomic_load(&b->used) != 0 && instance_of(v, str_from(b->name)) == NULL) {
			atomic_store(&b->used, 0);
		}
	}
}

static void begin_all(struct vrrp *v)
{
	struct vrrp_addresses all;

	vrrp_addresses_read(v, &all);
	for (unsigned k = 0; k < v->n; k++) {
		begin(v, v->v[k], &all);
	}
	vrrp_addresses_free(&all);
}

/* Once, not at each handover. */
static void say_lacks(const struct vrrp *v)
{
	struct buf lacks = BUF_INIT;
	struct str rest, line;

	vrrp_lacks(v->conf, v->conf->self, &lacks);
	rest = buf_str(&lacks);
	while (rest.len > 0) {
		line = str_split(rest, '\n', &rest);
		log_warning("vrrp", NULL, "%.*s", STR_ARG(line));
	}
	buf_free(&lacks);
}

/* While an earlier process acts: all that takes time, so that its end is not noticed. */
static void get_ready(struct vrrp *v)
{
	struct vrrp_addresses all;
	struct board_vip was;

	say_lacks(v);
	add_all(v);
	vrrp_addresses_read(v, &all);
	for (unsigned k = 0; k < v->n; k++) {
		struct vrrp_instance *i = v->v[k];

		vrrp_port_read(i, &all, &i->port);
		if (i->port.index != 0) {
			(void)vrrp_channel_get(i); /* said, if it still fails then */
		}
		if (v->former.fd >= 0 && board_vip_read(i->board, &was)) {
			take_relay(i, &was);
		}
	}
	vrrp_addresses_free(&all);
}

/* From here on this process is the one that acts. */
static void act(struct vrrp *v)
{
	v->acting = true;
	vrrp_channels_start(v);
	relay_clean(v->netlink);
	macvlan_clean(v->netlink);
	begin_all(v);
	free_places(v);
	vrrp_leftovers(v);
	if (loop_add_level(v->loop, &v->watch_io, LOOP_IN, false) != OK ||
	    (v->states_io.fd >= 0 &&
	     loop_add_level(v->loop, &v->states_io, LOOP_IN, false) != OK)) {
		log_error("vrrp", NULL, "cannot watch the interfaces: %s", strerror(errno));
	}
	/* What changed between the first look and the watch. */
	loop_defer(v->loop, &v->look);
	loop_timer_set(v->loop, &v->renew, RENEW);
}

/* --- the earlier process -------------------------------------------------------------------- */

static bool is_vrrp(pid_t pid)
{
	char path[64];
	char comm[32] = "";
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (f == NULL) {
		return false;
	}
	(void)fgets(comm, sizeof(comm), f);
	(void)fclose(f);
	return strcmp(comm, "holdfast: vrrp\n") == 0;
}

/* The pidfd of a living process that acts for a virtual IP; -1: there is none. */
static int find_former(struct vrrp *v)
{
	for (unsigned n = 0; n < BOARD_MAX_VIPS; n++) {
		struct board_vip *b = board_vip(v->role->board, n);
		pid_t pid = atomic_load(&b->used) != 0 ? atomic_load(&b->pid) : 0;
		int fd;

		if (pid <= 0 || pid == getpid()) {
			continue;
		}
		fd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (fd < 0) {
			continue;
		}
		/* After the pidfd is there: the number cannot become another's meanwhile. */
		if (is_vrrp(pid) && poll(&(struct pollfd){ fd, POLLIN, 0 }, 1, 0) == 0) {
			return fd;
		}
		close(fd);
	}
	return -1;
}

static void on_former(struct loop_io *io, uint32_t events)
{
	struct vrrp *v = CONTAINER_OF(io, struct vrrp, former);

	(void)events;
	loop_remove(v->loop, io);
	close(io->fd);
	io->fd = -1;
	act(v);
	log_info("vrrp", NULL, "the earlier process has ended: this one goes on for it");
}

static void wait_or_act(struct vrrp *v)
{
	v->former = (struct loop_io){ .fd = find_former(v), .fn = on_former };
	get_ready(v);
	if (v->former.fd < 0) {
		act(v);
		return;
	}
	CHECK(loop_add_level(v->loop, &v->former, LOOP_IN, false) == OK);
}

/* --- start ---------------------------------------------------------------------------------- */

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
	v->frames = net_frame_open(0, 0, NULL, 0);
	if (v->frames < 0) {
		(void)snprintf(why, size,
		               "cannot open a packet socket: %s: virtual IPs need CAP_NET_ADMIN "
		               "and CAP_NET_RAW",
		               strerror(errno));
		return ERR_SYSTEM;
	}
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
	wait_or_act(v);
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

/* Before the new configuration counts: what ends ends by the one that it knows. */
static void end_old(struct vrrp *v, const struct conf *next)
{
	for (unsigned k = v->n; k-- > 0;) {
		struct vrrp_instance *i = v->v[k];
		const struct conf_vip *c = conf_vip_find(next, str_from(i->name));
		struct vrrp_event e = {
			.kind = VRRP_EVENT_OUT,
			.why = "its interface, router id or version has changed in the file",
		};

		if (c == NULL || !wanted_here(next, c)) {
			remove_at(v, k, "it was taken out of this node's configuration");
		} else if (!vrrp_instance_same(i, c)) {
			vrrp_instance_step(i, &e);
			vrrp_instance_detach(i);
		}
	}
}

/* Those that stay, as they are configured now; then those that are new. */
static void begin_new(struct vrrp *v)
{
	struct vrrp_addresses all;

	for (unsigned k = 0; k < v->n; k++) {
		struct vrrp_instance *i = v->v[k];
		const struct conf_vip *c = conf_vip_find(v->conf, str_from(i->name));
		bool moved = !vrrp_instance_same_addresses(i, c);

		vrrp_instance_configure(i, c);
		if (moved) {
			if (i->relay != NULL) {
				relay_free(i->relay);
			}
			relay_for(v, i);
			vrrp_held_adapt(i);
		}
	}
	vrrp_addresses_read(v, &all);
	for (uint32_t k = 0; k < v->conf->nvips; k++) {
		const struct conf_vip *c = &v->conf->vips[k];

		if (wanted_here(v->conf, c) && instance_of(v, c->name) == NULL) {
			begin(v, add(v, c), &all);
		}
	}
	vrrp_addresses_free(&all);
}

static void commit_acting(struct vrrp *v, const struct conf *next)
{
	struct track_set *old = v->track;

	end_old(v, next);
	v->conf = next;
	v->track = v->next_track;
	v->next_track = NULL;
	begin_new(v);
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
	get_ready(v);
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
			remove_at(v, v->n - 1, "the node ends");
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
