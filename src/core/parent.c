/* SPDX-License-Identifier: Apache-2.0 */
/* The parent's loop: signals, timers, and what its roles say. One thread. */
#include "core/parent.h"

#include <signal.h>
#include <stdio.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/notify.h"

/* --- signals -------------------------------------------------------------------------------- */

static void handle(struct parent *p, unsigned sig, unsigned pid)
{
	char why[64];

	switch (sig) {
	case SIGHUP:
		log_info("signal", NULL, "SIGHUP from pid %u: reload", pid);
		reload_request(p, 0, 0, false);
		break;
	case SIGUSR1:
		generation_reopen_logs(p);
		break;
	case SIGINT:
	case SIGTERM:
		snprintf(why, sizeof(why), "%s from pid %u", sig == SIGINT ? "SIGINT" : "SIGTERM",
		         pid);
		stop_begin(p, why);
		break;
	default:
		break;
	}
}

static void take_signals(struct parent *p)
{
	struct signalfd_siginfo info;

	while (read(p->signal_io.fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
		handle(p, info.ssi_signo, info.ssi_pid);
}

static void on_signal(struct loop_io *io, uint32_t events)
{
	(void)events;
	take_signals(CONTAINER_OF(io, struct parent, signal_io));
}

/* --- messages ------------------------------------------------------------------------------- */

/* Roles may ask only for what is theirs to ask. */
static bool from(const struct child *c, const char *role, const struct ipc_msg *m)
{
	if (service_is(c->service, role))
		return true;
	log_warning("message", c->service->ops->name, "%s is not its message to send",
	            ipc_type_name(m->type));
	return false;
}

void parent_message(struct child *c, struct ipc_msg *m)
{
	switch (m->type) {
	case IPC_HELLO: /* known by its pair */
	case IPC_PULSE: /* any message is a life sign */
		break;
	case IPC_DRAIN:
		take_signals(c->parent); /* the whole node may have got the same one */
		supervise_leaving(c);
		break;
	case IPC_READY:
		supervise_ready(c);
		break;
	case IPC_PREPARED:
		reload_prepared(c, m);
		break;
	case IPC_COMMITTED:
		reload_committed(c, m->id);
		break;
	case IPC_ORDER:
		if (from(c, "control", m))
			order_request(c, m);
		break;
	case IPC_ORDERED:
		if (from(c, "check", m))
			order_done(c, m);
		break;
	case IPC_RELOAD:
		if (from(c, "control", m))
			reload_request(c->parent, c->serial, m->id, false);
		break;
	case IPC_UPGRADE:
		if (from(c, "control", m))
			upgrade_request(c, m->id);
		break;
	case IPC_EXEC:
		if (service_is(c->service, "acme") || from(c, "check", m))
			exec_request(c, m);
		break;
	case IPC_LIST:
		if (from(c, "control", m))
			list_request(c, m);
		break;
	case IPC_LISTED:
		if (from(c, "proxy", m))
			list_answered(c, m);
		break;
	case IPC_SWITCHOVER:
		if (from(c, "control", m))
			vips_switchover(c, m);
		break;
	case IPC_SWITCHED:
	case IPC_NODE:
		if (from(c, "vrrp", m))
			vips_answered(c, m);
		break;
	case IPC_YIELDED:
		if (from(c, "vrrp", m))
			stop_yielded(c);
		break;
	case IPC_CERTED:
		certs_answered(c, m);
		break;
	case IPC_ISSUED:
		if (from(c, "acme", m))
			certs_issued(c, m);
		break;
	case IPC_HOOK:
		if (from(c, "vrrp", m))
			hook_request(c, m);
		break;
	default:
		log_warning("message", c->service->ops->name, "unexpected: %s",
		            ipc_type_name(m->type));
		break;
	}
}

static int watch_signals(struct parent *p)
{
	static const int taken[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1 };
	sigset_t set;
	int fd;

	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_LEN(taken); i++)
		sigaddset(&set, taken[i]);
	sigprocmask(SIG_SETMASK, &set, NULL);
	fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		return ERR_SYSTEM;
	p->signal_io = (struct loop_io){ .fd = fd, .fn = on_signal };
	return loop_add_level(p->loop, &p->signal_io, LOOP_IN, false);
}

/* --- timers --------------------------------------------------------------------------------- */

static void on_tick(struct loop_timer *t)
{
	struct parent *p = CONTAINER_OF(t, struct parent, tick);

	supervise_tick(p);
	loop_timer_set(p->loop, t, NS_PER_S / 4);
}

static void on_watchdog(struct loop_timer *t)
{
	struct parent *p = CONTAINER_OF(t, struct parent, watchdog);

	notify_watchdog();
	loop_timer_set(p->loop, t, notify_watchdog_interval());
}

int parent_run(struct parent *p)
{
	if (watch_signals(p) != OK)
		return ERR_SYSTEM;
	p->loop->now = p->ticked = clock_mono();
	p->tick.fn = on_tick;
	loop_timer_set(p->loop, &p->tick, NS_PER_S / 4);
	p->watchdog.fn = on_watchdog;
	if (notify_watchdog_interval() > 0)
		loop_timer_set(p->loop, &p->watchdog, notify_watchdog_interval());
	certs_begin(p);
	supervise_start(p);
	if (p->replace)
		upgrade_replace(p, p->replace_asker);
	else if (p->adopted)
		reload_request(p, 0, 0, p->mixed);
	return loop_run(p->loop);
}
