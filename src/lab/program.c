/* SPDX-License-Identifier: Apache-2.0 */
/* Programs in the hosts: the daemons and the test servers. The keeper, and its children before they
 * execute. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "lab/keeper.h"
#include "net/sock.h"

#define MAX_ARGS   32
#define READY_TIME (10 * NS_PER_S)

int lab_program_plan(struct keeper *k)
{
	bool bare = k->options->bare;
	unsigned n = 0;

	k->hosts = calloc(k->plan.nhosts, sizeof(*k->hosts));
	k->programs = calloc(k->plan.nnodes + k->plan.nwhoamis + 1, sizeof(*k->programs));
	if (!k->hosts || !k->programs)
		return ERR_NOMEM;
	for (unsigned i = 0; i < k->plan.nhosts; i++) {
		struct host *h = &k->hosts[i];

		*h = (struct host){ .keeper = k, .plan = &k->plan.hosts[i], .net = -1 };
		h->api.fd = -1;
		h->programs = &k->programs[n];
		if (h->plan->kind == LAB_NODE && bare)
			continue;
		if (h->plan->kind == LAB_NODE)
			n++;
		for (unsigned j = 0; j < k->plan.nwhoamis; j++) {
			if (k->plan.whoamis[j].host == i)
				k->programs[n++].whoami = &k->plan.whoamis[j];
		}
		h->nprograms = (unsigned)(&k->programs[n] - h->programs);
	}
	return OK;
}

struct program *lab_program_of_pid(struct keeper *k, pid_t pid)
{
	for (unsigned i = 0; i < k->plan.nnodes + k->plan.nwhoamis; i++) {
		if (k->programs[i].pid == pid)
			return &k->programs[i];
	}
	return NULL;
}

void lab_program_describe_exit(int status, char *out, size_t size)
{
	if (WIFSIGNALED(status))
		snprintf(out, size, "killed by signal %d (%s)", WTERMSIG(status),
		         sigabbrev_np(WTERMSIG(status)) ? sigabbrev_np(WTERMSIG(status)) : "?");
	else
		snprintf(out, size, "exit status %d", WEXITSTATUS(status));
}

/* --- starting ------------------------------------------------------------------------------- */

void lab_program_enter(const struct host *h, const char *cwd)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	setsid();
	if (setns(h->mnt, CLONE_NEWNS) != 0 || setns(h->net, CLONE_NEWNET) != 0 ||
	    setns(h->uts, CLONE_NEWUTS) != 0) {
		fprintf(stderr, "lab: cannot enter host %s: %s\n", h->plan->name, strerror(errno));
		_exit(126);
	}
	if (chdir(cwd) != 0 && chdir("/") != 0)
		_exit(126);
}

/* nodes/NAME/log of the daemon; nodes/NAME/servers.log; servers/NAME/log. */
static void log_path(const struct host *h, const struct program *p, char *out, size_t size)
{
	bool node = h->plan->kind == LAB_NODE;

	snprintf(out, size, "%s/%s/%s/%s", h->keeper->dir, node ? "nodes" : "servers",
	         h->plan->name, node && p->whoami ? "servers.log" : "log");
}

static void exec_daemon(const struct host *h)
{
	const struct keeper *k = h->keeper;
	char state[LAB_DIR + LAB_NAME + 32];
	const char *argv[MAX_ARGS] = { "holdfast", "run",         "-c",      k->conf,
		                       "--node",   h->plan->name, "--state", state };
	unsigned n = 8;

	snprintf(state, sizeof(state), "%s/nodes/%s/state", k->dir, h->plan->name);
	for (unsigned i = 0; k->options->run_args && k->options->run_args[i]; i++) {
		if (n < MAX_ARGS - 1)
			argv[n++] = k->options->run_args[i];
	}
	execv(k->binary, (char *const *)argv);
}

static void exec_whoami(const struct host *h, const struct lab_whoami_plan *w)
{
	char bind[NET_ADDR_TEXT];
	const char *argv[] = { "holdfast", "whoami", "--bind", net_addr_format(&w->bind, bind),
		               "--name",   w->name,  NULL };

	execv(h->keeper->binary, (char *const *)argv);
}

static void child(const struct host *h, const struct program *p)
{
	char log[LAB_DIR + LAB_NAME + 32];
	int fd, null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	log_path(h, p, log, sizeof(log));
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	if (fd < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0 ||
	    dup2(fd, STDERR_FILENO) < 0)
		_exit(126);
	lab_program_enter(h, h->keeper->cwd);
	close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
	if (p->whoami)
		exec_whoami(h, p->whoami);
	else
		exec_daemon(h);
	fprintf(stderr, "lab: cannot execute %s: %s\n", h->keeper->binary, strerror(errno));
	_exit(126);
}

static void make_folder(const struct host *h)
{
	char path[LAB_DIR + LAB_NAME + 32];
	const char *group = h->plan->kind == LAB_NODE ? "nodes" : "servers";

	snprintf(path, sizeof(path), "%s/%s", h->keeper->dir, group);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/%s/%s", h->keeper->dir, group, h->plan->name);
	mkdir(path, 0755);
}

int lab_program_start(struct host *h, bool servers_only, char *why, size_t why_size)
{
	if (h->nprograms > 0)
		make_folder(h);
	for (unsigned i = 0; i < h->nprograms; i++) {
		struct program *p = &h->programs[i];
		pid_t pid;

		if (p->pid != 0 || (servers_only && !p->whoami))
			continue;
		pid = fork();
		if (pid == 0)
			child(h, p);
		if (pid < 0) {
			snprintf(why, why_size, "cannot start a process: %s", strerror(errno));
			return ERR_SYSTEM;
		}
		p->pid = pid;
		p->exit[0] = '\0';
	}
	return OK;
}

/* --- waiting -------------------------------------------------------------------------------- */

int lab_program_connect(struct host *h, const struct net_addr *a, bool *ret_done)
{
	int fd, err;

	if (setns(h->net, CLONE_NEWNET) != 0)
		return ERR_SYSTEM;
	fd = net_connect(a, ret_done);
	err = errno;
	if (setns(h->keeper->ns_net, CLONE_NEWNET) != 0) {
		fprintf(stderr, "lab: cannot leave host %s: %s\n", h->plan->name, strerror(errno));
		abort(); /* everything after would happen in the wrong place */
	}
	errno = err;
	return fd;
}

static bool accepts(struct host *h, const struct net_addr *a)
{
	struct pollfd p = { .events = POLLOUT };
	bool done = false;

	p.fd = lab_program_connect(h, a, &done);
	if (p.fd < 0)
		return false;
	if (!done)
		done = poll(&p, 1, 100) == 1 && net_connect_error(p.fd) == 0;
	net_close_reset(p.fd);
	return done;
}

static int wait_whoami(struct host *h, const struct program *p, uint64_t until, char *why,
                       size_t why_size)
{
	char log[LAB_DIR + LAB_NAME + 32], at[NET_ADDR_TEXT];

	while (!accepts(h, &p->whoami->bind)) {
		lab_keeper_reap(h->keeper);
		if (p->pid != 0 && clock_mono() < until) {
			usleep(1000);
			continue;
		}
		log_path(h, p, log, sizeof(log));
		snprintf(why, why_size, "the test server of %s at %s %s: see %s", p->whoami->name,
		         net_addr_format(&p->whoami->bind, at),
		         p->pid != 0 ? "does not answer" : "has ended", log);
		return ERR_TIMEOUT;
	}
	return OK;
}

int lab_program_wait_whoamis(struct keeper *k, char *why, size_t why_size)
{
	uint64_t until = clock_mono() + READY_TIME + k->plan.nwhoamis * 50 * NS_PER_MS;
	int err = OK;

	for (unsigned i = 0; i < k->plan.nhosts; i++) {
		struct host *h = &k->hosts[i];

		for (unsigned j = 0; j < h->nprograms && err == OK; j++) {
			if (h->programs[j].whoami)
				err = wait_whoami(h, &h->programs[j], until, why, why_size);
		}
	}
	return err;
}
