/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running programs that the configuration names, for roles which may not: as a user of its own, in
 * a process group that ends with it, with a time limit; its exit status and the first line of its
 * output are told. Main thread of the parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "core/parent.h"
#include "core/spawn.h"

#define PROGRAM_ARGS    64
#define PROGRAM_NOT_RUN 125 /* of our own child, before the program */

/* --- the new process ------------------------------------------------------------------------ */

static void set_environment(const struct program_order *o)
{
	const char *path = getenv("PATH");

	if (!path || !*path)
		setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	unsetenv("NOTIFY_SOCKET");
	o->environment(o->arg);
}

static void child(const struct program_order *o, const struct privilege *priv, int out)
{
	char *argv[PROGRAM_ARGS + 1] = { NULL };
	sigset_t none;
	int null = open("/dev/null", O_RDWR);

	setpgid(0, 0);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(out, STDERR_FILENO) < 0)
		_exit(PROGRAM_NOT_RUN);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (privilege_drop(priv) != OK) {
		dprintf(STDERR_FILENO, "cannot become user \"%s\": %s\n", priv->name,
		        strerror(errno));
		_exit(PROGRAM_NOT_RUN);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user would have cleared it */
	set_environment(o);
	for (uint32_t i = 0; i < o->exec->n && i < PROGRAM_ARGS; i++)
		argv[i] = (char *)o->exec->v[i].s;
	if (!argv[0])
		_exit(PROGRAM_NOT_RUN);
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "cannot execute %s: %s\n", argv[0], strerror(errno));
	_exit(PROGRAM_NOT_RUN);
}

/* --- its output, its end -------------------------------------------------------------------- */

static void keep_line(struct program *g, const char *data, size_t len)
{
	for (size_t i = 0; i < len && !g->line; i++) {
		if (data[i] == '\n')
			g->line = true;
		else if (g->len < sizeof(g->output) - 1)
			g->output[g->len++] =
			    (unsigned char)data[i] < ' ' || data[i] == 0x7f ? ' ' : data[i];
	}
}

static void read_output(struct program *g)
{
	char data[4096];
	ssize_t n = 0;

	for (int i = 0; i < 16 && g->out >= 0; i++) {
		n = read(g->out, data, sizeof(data));
		if (n <= 0)
			break;
		keep_line(g, data, (size_t)n);
	}
	if (g->out >= 0 && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))) {
		loop_remove(g->parent->loop, &g->out_io);
		close(g->out);
		g->out = -1;
	}
}

static void on_output(struct loop_io *io, uint32_t events)
{
	(void)events;
	read_output(CONTAINER_OF(io, struct program, out_io));
}

static void let_go(struct program *g)
{
	struct loop *l = g->parent->loop;

	loop_timer_stop(l, &g->timer);
	loop_remove(l, &g->pid_io);
	close(g->pidfd);
	if (g->out >= 0) {
		loop_remove(l, &g->out_io);
		close(g->out);
	}
	g->pidfd = g->out = -1;
}

static void on_pid(struct loop_io *io, uint32_t events)
{
	struct program *g = CONTAINER_OF(io, struct program, pid_io);
	int status = 0;

	(void)events;
	read_output(g);
	kill(-g->pid, SIGKILL); /* what it has left behind */
	if (waitpid(g->pid, &status, WNOHANG) != g->pid)
		status = PROGRAM_NOT_RUN << 8;
	g->status = WIFEXITED(status) && !g->late ? WEXITSTATUS(status) : -1;
	if (g->late)
		snprintf(g->output, sizeof(g->output), "it ran beyond its time limit");
	else if (WIFSIGNALED(status))
		snprintf(g->output, sizeof(g->output), "killed by signal %d (%s)", WTERMSIG(status),
		         strsignal(WTERMSIG(status)));
	else if (g->status == PROGRAM_NOT_RUN && g->len > 0)
		g->status = -1;
	let_go(g);
	g->ended(g);
}

void program_kill(struct program *g)
{
	kill(-g->pid, SIGKILL);
	kill(g->pid, SIGKILL); /* should it not have come to its own group yet */
}

static void on_late(struct loop_timer *t)
{
	struct program *g = CONTAINER_OF(t, struct program, timer);

	g->late = true;
	program_kill(g);
}

void program_end(struct program *g)
{
	program_kill(g);
	while (waitpid(g->pid, NULL, 0) < 0 && errno == EINTR)
		;
	let_go(g);
}

/* --- starting ------------------------------------------------------------------------------- */

static int fork_it(struct program *g, const struct program_order *o, const struct privilege *priv)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) != 0)
		return ERR_SYSTEM;
	g->pid = fork();
	if (g->pid == 0) {
		fcntl(pipes[1], F_SETFL, O_WRONLY);
		child(o, priv, pipes[1]);
	}
	close(pipes[1]);
	g->pidfd = g->pid > 0 ? spawn_pidfd(g->pid) : -1;
	if (g->pidfd < 0) {
		close(pipes[0]);
		if (g->pid > 0) {
			kill(g->pid, SIGKILL);
			waitpid(g->pid, NULL, 0);
		}
		return ERR_SYSTEM;
	}
	g->out = pipes[0];
	return OK;
}

int program_start(struct parent *p, struct program *g, const struct program_order *o)
{
	struct privilege priv = p->privilege;

	*g = (struct program){ .parent = p, .ended = g->ended, .status = -1, .out = -1 };
	if (o->user.len > 0 && geteuid() == 0 && privilege_user(o->user.s, &priv) != OK) {
		snprintf(g->output, sizeof(g->output), "there is no user \"%.64s\"", o->user.s);
		return ERR_NOT_FOUND;
	}
	if (fork_it(g, o, &priv) != OK) {
		snprintf(g->output, sizeof(g->output), "cannot start it: %s", strerror(errno));
		return ERR_SYSTEM;
	}
	g->pid_io = (struct loop_io){ .fd = g->pidfd, .fn = on_pid };
	g->out_io = (struct loop_io){ .fd = g->out, .fn = on_output };
	g->timer.fn = on_late;
	CHECK(loop_add_level(p->loop, &g->pid_io, LOOP_IN, false) == OK);
	CHECK(loop_add_level(p->loop, &g->out_io, LOOP_IN, false) == OK);
	loop_timer_set(p->loop, &g->timer, o->timeout);
	return OK;
}
