/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going on where an earlier process of the role stopped, so that nobody outside notices. Only one
 * process of a node acts at a time. Which one stands on the board: a new process that finds another
 * one alive prepares everything and waits for that one's end. Role vrrp, its one thread.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "vrrp/impl.h"
#include "vrrp/macvlan.h"

#define RESUME_MORE (10 * NS_PER_MS)

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

void vrrp_begin(struct vrrp *v, struct vrrp_instance *i, const struct vrrp_addresses *all)
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

		if (atomic_load(&b->used) != 0 && vrrp_instance_of(v, str_from(b->name)) == NULL) {
			atomic_store(&b->used, 0);
		}
	}
}

static void begin_all(struct vrrp *v)
{
	struct vrrp_addresses all;

	vrrp_addresses_read(v, &all);
	for (unsigned k = 0; k < v->n; k++) {
		vrrp_begin(v, v->v[k], &all);
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
void vrrp_get_ready(struct vrrp *v)
{
	struct vrrp_addresses all;
	struct board_vip was;

	say_lacks(v);
	vrrp_add_all(v);
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
	loop_timer_set(v->loop, &v->renew, VRRP_RENEW);
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

void vrrp_wait_or_act(struct vrrp *v)
{
	v->former = (struct loop_io){ .fd = find_former(v), .fn = on_former };
	vrrp_get_ready(v);
	if (v->former.fd < 0) {
		act(v);
		return;
	}
	CHECK(loop_add_level(v->loop, &v->former, LOOP_IN, false) == OK);
}
