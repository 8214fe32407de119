/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keeper's life: builds the lab, tells `lab up`, then reaps and answers until it is told to
 * end. Whatever ends it, the kernel ends every other process of the lab with it, for it is the
 * first of their process id namespace, and with the last of them the namespaces go. One thread.
 */
#include "lab/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "lab/space.h"

#define END_TIME  (3 * NS_PER_S) /* of the daemons, to end in order */
#define END_CHECK (10 * NS_PER_MS)

static void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *fmt, ...)
{
	char when[32];
	va_list ap;

	clock_format_utc(clock_wall_ms(), when);
	fprintf(stderr, "%s ", when);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* --- the end -------------------------------------------------------------------------------- */

static void finish(struct keeper *k)
{
	kill(-1, SIGKILL); /* everything in the lab but the keeper */
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR) {
	}
	note("ended");
	lab_dir_remove(k->dir);
	_exit(0);
}

static bool daemons_run(const struct keeper *k)
{
	for (unsigned i = 0; i < k->plan.nhosts; i++) {
		const struct host *h = &k->hosts[i];

		if (h->nprograms > 0 && !h->programs[0].whoami && h->programs[0].pid != 0)
			return true;
	}
	return false;
}

static void end_check(struct loop_timer *t)
{
	struct keeper *k = CONTAINER_OF(t, struct keeper, end_timer);

	if (!daemons_run(k) || clock_mono() >= k->end_ns)
		finish(k);
	loop_timer_set(k->loop, t, END_CHECK);
}

void lab_keeper_end(struct keeper *k, const char *reason)
{
	if (k->end_ns != 0)
		return;
	note("ends: %s", reason);
	k->end_ns = clock_mono() + END_TIME;
	for (unsigned i = 0; i < k->plan.nhosts; i++) {
		const struct host *h = &k->hosts[i];

		if (h->nprograms == 0 || h->programs[0].whoami || h->programs[0].pid == 0)
			continue;
		kill(h->programs[0].pid, SIGTERM);
		if (h->frozen)
			kill(h->programs[0].pid, SIGKILL);
	}
	k->end_timer.fn = end_check;
	loop_timer_set(k->loop, &k->end_timer, END_CHECK);
}

/* --- children and signals ------------------------------------------------------------------- */

void lab_keeper_reap(struct keeper *k)
{
	struct program *p;
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		p = lab_program_of_pid(k, pid);
		if (!p) {
			lab_serve_exited(k, pid, status); /* or an orphan of a host */
			continue;
		}
		p->pid = 0;
		lab_program_describe_exit(status, p->exit, sizeof(p->exit));
		note("%s (pid %d): %s", p->whoami ? p->whoami->name : "daemon", (int)pid, p->exit);
	}
}

static void on_signal(struct loop_io *io, uint32_t events)
{
	struct keeper *k = CONTAINER_OF(io, struct keeper, signal_io);
	struct signalfd_siginfo s;

	(void)events;
	while (read(io->fd, &s, sizeof(s)) == sizeof(s)) {
		if (s.ssi_signo != SIGCHLD)
			lab_keeper_end(k, "a signal told it to");
	}
	lab_keeper_reap(k);
}

static int open_signals(struct keeper *k)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	signal(SIGPIPE, SIG_IGN);
	sigprocmask(SIG_SETMASK, &set, NULL);
	k->signal_io.fn = on_signal;
	k->signal_io.fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	return k->signal_io.fd < 0 ? ERR_SYSTEM
	                           : loop_add_level(k->loop, &k->signal_io, LOOP_IN, false);
}

/* --- `lab up` ------------------------------------------------------------------------------- */

static void on_up(struct loop_io *io, uint32_t events)
{
	struct keeper *k = CONTAINER_OF(io, struct keeper, up_io);
	char text[16] = "";
	ssize_t n = read(io->fd, text, sizeof(text) - 1);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	loop_remove(k->loop, io);
	close(io->fd);
	io->fd = -1;
	if (strcmp(text, "stay") != 0)
		lab_keeper_end(k, "lab up has ended");
}

static void tell(int up, const char *text)
{
	ssize_t n = write(up, text, strlen(text));

	(void)n; /* who has gone needs no answer: its end is seen in the loop */
}

/* --- the beginning -------------------------------------------------------------------------- */

static bool kept(const struct keeper *k, int up, int fd)
{
	for (unsigned i = 0; i < k->plan.nhosts; i++) {
		if (k->hosts[i].api.fd == fd)
			return true;
	}
	return fd == up || fd == k->lock;
}

/* Nothing of who called `lab up` is held: its pipes must not wait for the lab's end. */
static int leave_caller(struct keeper *k, int up)
{
	char path[LAB_DIR + 8];
	int null = open("/dev/null", O_RDONLY), last = MAX(up, k->lock), log;

	setsid();
	umask(022);
	prctl(PR_SET_NAME, "holdfast-lab");
	snprintf(path, sizeof(path), "%s/log", k->dir);
	log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
	if (null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		return ERR_SYSTEM;
	for (unsigned i = 0; i < k->plan.nhosts; i++)
		last = MAX(last, k->hosts[i].api.fd);
	for (int fd = 3; fd <= last; fd++) {
		if (!kept(k, up, fd))
			close(fd);
	}
	close_range((unsigned)last + 1, ~0U, 0);
	/* What the service manager of the caller is told is not about the lab. */
	unsetenv("NOTIFY_SOCKET");
	unsetenv("LISTEN_FDS");
	unsetenv("LISTEN_PID");
	unsetenv("LISTEN_FDNAMES");
	unsetenv("WATCHDOG_USEC");
	unsetenv("WATCHDOG_PID");
	return OK;
}

static int start_all(struct keeper *k, char *why, size_t why_size)
{
	int err = OK;

	for (unsigned i = 0; i < k->plan.nhosts && err == OK; i++)
		err = lab_program_start(&k->hosts[i], true, why, why_size);
	if (err == OK)
		err = lab_program_wait_whoamis(k, why, why_size);
	for (unsigned i = 0; i < k->plan.nnodes && err == OK; i++)
		err = lab_program_start(&k->hosts[i], false, why, why_size);
	return err;
}

static int begin(struct keeper *k, int up, char *why, size_t why_size)
{
	char hosts[LAB_DIR + 8];
	int err = OK;

	snprintf(hosts, sizeof(hosts), "%s/hosts", k->dir);
	if (leave_caller(k, up) != OK) {
		snprintf(why, why_size, "cannot write in %s: %s", k->dir, strerror(errno));
		return ERR_SYSTEM;
	}
	err = lab_space_settle(k->name, hosts, why, why_size);
	if (err != OK)
		return err;
	k->loop = loop_new();
	k->ns_net = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	k->blocked = calloc(k->plan.nhosts, k->plan.nhosts);
	if (!k->loop || k->ns_net < 0 || !k->blocked || open_signals(k) != OK) {
		snprintf(why, why_size, "cannot start the keeper: %s", strerror(errno));
		return ERR_SYSTEM;
	}
	k->up_io = (struct loop_io){ .fd = up, .fn = on_up };
	err = loop_add_level(k->loop, &k->up_io, LOOP_IN | LOOP_RDHUP, false);
	for (unsigned i = 0; i < k->plan.nhosts && err == OK; i++)
		err = lab_forward_open(&k->hosts[i]);
	if (err == OK)
		err = lab_build(k, why, why_size);
	if (err == OK)
		err = lab_serve_open(k, why, why_size);
	return err == OK ? start_all(k, why, why_size) : err;
}

void lab_keeper_main(struct keeper *k, int up)
{
	char why[512] = "the keeper could not start";

	if (begin(k, up, why, sizeof(why)) != OK) {
		note("failed: %s", why);
		tell(up, why);
		_exit(1);
	}
	note("lab %s of %s stands: %u nodes, %u hosts", k->name, k->conf, k->plan.nnodes,
	     k->plan.nhosts);
	tell(up, "ok");
	loop_run(k->loop);
	note("the event loop failed: %s", strerror(errno));
	_exit(1);
}
