/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The harness of a role: process set-up, the loop, signals, the parent's messages, life signs. Its
 * configurations are in role_conf.c, its line to the parent in role_parent.c. Main thread of a
 * role.
 */
#include "core/role.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "core/logsink.h"
#include "core/privilege.h"
#include "core/role_impl.h"

#define LEAVE_PATIENCE NS_PER_S

const struct role_ops *role_find(const char *name)
{
	for (unsigned i = 0; role_table[i]; i++) {
		if (strcmp(role_table[i]->name, name) == 0)
			return role_table[i];
	}
	return NULL;
}

void role_ready(struct role *r)
{
	struct harness *h = harness_of(r);

	if (h->ready)
		return;
	h->ready = true;
	role_send(r, IPC_READY, 0, NULL, 0);
}

void role_exit(struct role *r)
{
	r->loop->stop = true;
}

void role_fail(struct harness *h, const char *why)
{
	log_error("role_failed", NULL, "%s", why);
	ipc_send_result(h->role.parent, IPC_PREPARED, 0, ERR_REFUSED, 0, why);
	h->status = 3;
	role_exit(&h->role);
}

/* What the role was to have and has not. */
static void tell_rights(const struct role_ops *ops)
{
	uint64_t missing = privilege_missing(ops->capabilities);
	char names[256];

	if (missing != 0)
		log_warning(
		    "privilege", NULL,
		    "it goes on without %s, which the node does not have: start it as root, "
		    "or let the service manager give it these capabilities",
		    privilege_names(missing, names, sizeof(names)));
	if (ops->realtime && !privilege_is_realtime())
		log_info("privilege", NULL,
		         "real-time priority is not permitted here: a busy machine may delay it");
}

static void on_start(struct harness *h)
{
	struct held_conf *first;
	char why[1024] = "";
	int err;

	if (h->started || h->in.lead[HANDOVER_BOARD] < 0) {
		role_fail(h, "started twice or without a board");
		return;
	}
	h->board_fd = h->in.lead[HANDOVER_BOARD];
	h->in.lead[HANDOVER_BOARD] = -1;
	err = board_map(h->board_fd, &h->role.board);
	if (err != OK) {
		snprintf(why, sizeof(why), "cannot map the board: %s", err_text(err));
		role_fail(h, why);
		return;
	}
	log_set_journal(board_journal, h->role.board);
	if (role_conf_take(h, &first, why, sizeof(why)) != OK) {
		role_fail(h, why);
		return;
	}
	h->started = true;
	h->role.conf = &first->pub;
	if (h->role.ops->keeps_conf)
		first->pub.users++;
	logsink_apply(first->pub.conf);
	tell_rights(h->role.ops);
	err = h->role.ops->start(&h->role, &first->pub, why, sizeof(why));
	if (err != OK)
		role_fail(h, why[0] ? why : err_text(err));
}

/* --- messages ------------------------------------------------------------------------------- */

void role_drain(struct harness *h)
{
	if (h->draining)
		return;
	h->draining = true;
	role_conf_forget_next(h);
	if (!h->started) {
		role_exit(&h->role);
		return;
	}
	h->role.ops->drain(&h->role);
	role_conf_close_listening(h);
}

static void on_handover(struct harness *h, struct ipc_msg *m)
{
	int err = m->type == IPC_MORE_FDS ? handover_more(&h->in, m) : handover_begin(&h->in, m);

	if (err != OK) {
		handover_drop(&h->in);
		role_fail(h, err == ERR_UNSUPPORTED ? "the parent is of another version"
		                                    : "the parent sent a broken message");
		return;
	}
	if (!handover_complete(&h->in))
		return;
	switch (h->in.type) {
	case IPC_START:
		on_start(h);
		break;
	case IPC_PREPARE:
		if (h->started)
			role_conf_prepare(h);
		break;
	case IPC_LOGS:
		role_conf_logs(h, m);
		break;
	default:
		break;
	}
}

void role_message(struct harness *h, struct ipc_msg *m)
{
	switch (m->type) {
	case IPC_START:
	case IPC_PREPARE:
	case IPC_LOGS:
	case IPC_MORE_FDS:
		on_handover(h, m);
		break;
	case IPC_COMMIT:
		role_conf_commit(h, m->id);
		break;
	case IPC_ABORT:
		role_conf_forget_next(h);
		break;
	case IPC_DRAIN:
		loop_timer_stop(h->role.loop, &h->leave);
		if (m->id != IPC_DRAIN_LATER)
			role_drain(h);
		break;
	default:
		if (m->type == IPC_CERTS)
			role_conf_certs(h, m);
		if (h->started && h->role.ops->message)
			h->role.ops->message(&h->role, m);
		break;
	}
	ipc_msg_close(m);
}

/* --- the process ---------------------------------------------------------------------------- */

static void on_pulse(struct loop_timer *t)
{
	struct harness *h = CONTAINER_OF(t, struct harness, pulse);

	role_send(&h->role, IPC_PULSE, 0, NULL, 0);
	loop_timer_set(h->role.loop, t, NS_PER_S);
}

static void on_leave(struct loop_timer *t)
{
	role_drain(CONTAINER_OF(t, struct harness, leave));
}

/* The parent says when: after a successor has begun, or in its turn where the whole node ends and
 * all of it got the signal. Without a word from it there is nothing to wait for. */
static void leave(struct harness *h)
{
	if (role_send(&h->role, IPC_DRAIN, 0, NULL, 0) != OK) {
		role_drain(h);
		return;
	}
	h->leave.fn = on_leave;
	loop_timer_set(h->role.loop, &h->leave, LEAVE_PATIENCE);
}

static void on_signal(struct loop_io *io, uint32_t events)
{
	struct harness *h = CONTAINER_OF(io, struct harness, signal_io);
	struct signalfd_siginfo info;

	(void)events;
	while (read(io->fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
		if (h->terms++ > 0) {
			role_exit(&h->role); /* told twice: at once */
			continue;
		}
		log_notice("signal", NULL, "SIGTERM from pid %u: ending in order", info.ssi_pid);
		leave(h);
	}
}

static int set_signals(struct harness *h)
{
	static const int ignored[] = { SIGINT, SIGHUP, SIGPIPE, SIGUSR1, SIGUSR2 };
	sigset_t set;
	int fd;

	for (unsigned i = 0; i < ARRAY_LEN(ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigprocmask(SIG_SETMASK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return ERR_SYSTEM;
	h->signal_io = (struct loop_io){ .fd = fd, .fn = on_signal };
	return loop_add_level(h->role.loop, &h->signal_io, LOOP_IN, false);
}

int role_main(const char *name, int argc, char **argv)
{
	static struct harness h; /* one role a process */
	const struct role_ops *ops = role_find(name);
	char title[16];

	if (!ops || argc < 3) {
		fprintf(stderr, "holdfast: --role is for holdfast's own use\n");
		return 2;
	}
	snprintf(title, sizeof(title), "holdfast: %s", name);
	prctl(PR_SET_NAME, title);
	privilege_confine(strcmp(argv[2], "drop") == 0, strcmp(argv[2], "limit") == 0,
	                  ops->capabilities);
	logsink_default();
	log_set_area(ops->name);
	h.role.ops = ops;
	h.role.instance = (unsigned)strtoul(argv[0], NULL, 10);
	h.role.state_dir = argv[1];
	h.role.loop = loop_new();
	if (!h.role.loop || set_signals(&h) != OK || role_parent_take(&h) != OK) {
		fprintf(stderr, "holdfast: %s cannot start: %s\n", name, strerror(errno));
		return 3;
	}
	role_parent_hello(&h);
	h.pulse.fn = on_pulse;
	h.role.loop->now = clock_mono();
	loop_timer_set(h.role.loop, &h.pulse, NS_PER_S);
	loop_run(h.role.loop);
	return h.status;
}
