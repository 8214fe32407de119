/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running exec checks for the role `check`, which may not: only programs of the configuration (the
 * committed one, or the one being prepared), as the check's user, in a process group of their own
 * that ends with them, within the check's time limit. Main thread of the parent.
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
#include "base/log.h"
#include "core/parent.h"
#include "core/spawn.h"

#define EXEC_ARGS    64
#define EXEC_NOT_RUN 125 /* of our own child, before the program */

struct exec_run {
	TAILQ_ENTRY(exec_run) link;
	struct parent *parent;
	struct asker asker;
	struct ipc_exec x;
	pid_t pid;
	int pidfd;
	int out;
	struct loop_io pid_io;
	struct loop_io out_io;
	struct loop_timer timer;
	struct loop_task gone;
	unsigned len; /* of x.output */
	bool line;    /* its first line is complete */
	bool late;    /* over its time limit */
};

static void run_next(struct parent *p);

void exec_init(struct parent *p)
{
	TAILQ_INIT(&p->execs.running);
	TAILQ_INIT(&p->execs.waiting);
}

static void answer(struct exec_run *e)
{
	struct child *c = child_find(e->parent, e->asker.child);

	if (c)
		child_send(c, IPC_EXECUTED, e->asker.id, &e->x, sizeof(e->x), NULL, 0);
}

static void not_run(struct exec_run *e, const char *why)
{
	e->x.status = -1;
	snprintf(e->x.output, sizeof(e->x.output), "%s", why);
	answer(e);
	free(e);
}

/* --- the program ---------------------------------------------------------------------------- */

static void set_environment(const struct conf_pool *pool, const struct conf_server *s)
{
	const char *path = getenv("PATH");
	char addr[NET_ADDR_TEXT];

	if (!path || !*path)
		setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	unsetenv("NOTIFY_SOCKET");
	setenv("HOLDFAST_POOL", pool->name.s, 1);
	setenv("HOLDFAST_SERVER", s->name.s, 1);
	setenv("HOLDFAST_ADDRESS", net_addr_format(&s->address, addr), 1);
}

static void child(const struct conf_pool *pool, const struct conf_server *s,
                  const struct privilege *priv, int out)
{
	char *argv[EXEC_ARGS + 1] = { NULL };
	sigset_t none;
	int null = open("/dev/null", O_RDWR);

	setpgid(0, 0);
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0 ||
	    dup2(out, STDERR_FILENO) < 0)
		_exit(EXEC_NOT_RUN);
	close_range(STDERR_FILENO + 1, ~0U, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	if (privilege_drop(priv) != OK) {
		dprintf(STDERR_FILENO, "cannot become user \"%s\": %s\n", priv->name,
		        strerror(errno));
		_exit(EXEC_NOT_RUN);
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* a change of user would have cleared it */
	set_environment(pool, s);
	for (uint32_t i = 0; i < pool->check.exec.n && i < EXEC_ARGS; i++)
		argv[i] = (char *)pool->check.exec.v[i].s;
	execvp(argv[0], argv);
	dprintf(STDERR_FILENO, "cannot execute %s: %s\n", argv[0], strerror(errno));
	_exit(EXEC_NOT_RUN);
}

/* --- its output, its end -------------------------------------------------------------------- */

static void keep_line(struct exec_run *e, const char *data, size_t len)
{
	for (size_t i = 0; i < len && !e->line; i++) {
		if (data[i] == '\n')
			e->line = true;
		else if (e->len < sizeof(e->x.output) - 1)
			e->x.output[e->len++] =
			    (unsigned char)data[i] < ' ' || data[i] == 0x7f ? ' ' : data[i];
	}
}

static void read_output(struct exec_run *e)
{
	char data[4096];
	ssize_t n = 0;

	for (int i = 0; i < 16 && e->out >= 0; i++) {
		n = read(e->out, data, sizeof(data));
		if (n <= 0)
			break;
		keep_line(e, data, (size_t)n);
	}
	if (e->out >= 0 && (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))) {
		loop_remove(e->parent->loop, &e->out_io);
		close(e->out);
		e->out = -1;
	}
}

static void on_output(struct loop_io *io, uint32_t events)
{
	(void)events;
	read_output(CONTAINER_OF(io, struct exec_run, out_io));
}

static void on_gone(struct loop_task *t)
{
	free(CONTAINER_OF(t, struct exec_run, gone));
}

static void end(struct exec_run *e)
{
	struct parent *p = e->parent;

	loop_timer_stop(p->loop, &e->timer);
	loop_remove(p->loop, &e->pid_io);
	close(e->pidfd);
	if (e->out >= 0) {
		loop_remove(p->loop, &e->out_io);
		close(e->out);
	}
	TAILQ_REMOVE(&p->execs.running, e, link);
	p->execs.nrunning--;
	loop_defer(p->loop, &e->gone);
}

static void on_pid(struct loop_io *io, uint32_t events)
{
	struct exec_run *e = CONTAINER_OF(io, struct exec_run, pid_io);
	struct parent *p = e->parent;
	int status = 0;

	(void)events;
	read_output(e);
	kill(-e->pid, SIGKILL); /* what it has left behind */
	if (waitpid(e->pid, &status, WNOHANG) != e->pid)
		status = EXEC_NOT_RUN << 8;
	e->x.status = WIFEXITED(status) && !e->late ? WEXITSTATUS(status) : -1;
	if (e->late)
		snprintf(e->x.output, sizeof(e->x.output), "it ran beyond its time limit");
	else if (WIFSIGNALED(status))
		snprintf(e->x.output, sizeof(e->x.output), "killed by signal %d (%s)",
		         WTERMSIG(status), strsignal(WTERMSIG(status)));
	else if (e->x.status == EXEC_NOT_RUN && e->len > 0)
		e->x.status = -1;
	answer(e);
	end(e);
	run_next(p);
}

static void on_late(struct loop_timer *t)
{
	struct exec_run *e = CONTAINER_OF(t, struct exec_run, timer);

	e->late = true;
	kill(-e->pid, SIGKILL);
	kill(e->pid, SIGKILL); /* should it not have come to its own group yet */
}

/* --- starting ------------------------------------------------------------------------------- */

static const struct conf_server *find(struct parent *p, const char *id,
                                      const struct conf_pool **ret)
{
	const struct conf_server *s = conf_server_find(p->cur->conf, str_from(id), ret);

	if ((!s || (*ret)->check.probe != PROBE_EXEC) && p->reload.next)
		s = conf_server_find(p->reload.next->conf, str_from(id), ret);
	return s && (*ret)->check.probe == PROBE_EXEC && (*ret)->check.exec.n > 0 ? s : NULL;
}

static int fork_it(struct exec_run *e, const struct conf_pool *pool, const struct conf_server *s,
                   const struct privilege *priv)
{
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) != 0)
		return ERR_SYSTEM;
	e->pid = fork();
	if (e->pid == 0) {
		fcntl(pipes[1], F_SETFL, O_WRONLY);
		child(pool, s, priv, pipes[1]);
	}
	close(pipes[1]);
	e->pidfd = e->pid > 0 ? spawn_pidfd(e->pid) : -1;
	if (e->pidfd < 0) {
		close(pipes[0]);
		if (e->pid > 0) {
			kill(e->pid, SIGKILL);
			waitpid(e->pid, NULL, 0);
		}
		return ERR_SYSTEM;
	}
	e->out = pipes[0];
	return OK;
}

static void run(struct parent *p, struct exec_run *e)
{
	struct privilege priv = p->privilege;
	const struct conf_pool *pool;
	const struct conf_server *s = find(p, e->x.server, &pool);
	char why[128];

	if (!s) {
		not_run(e, "the configuration has no such exec check");
		return;
	}
	if (pool->check.user.len > 0 && geteuid() == 0 &&
	    privilege_user(pool->check.user.s, &priv) != OK) {
		snprintf(why, sizeof(why), "there is no user \"%.64s\"", pool->check.user.s);
		not_run(e, why);
		return;
	}
	if (fork_it(e, pool, s, &priv) != OK) {
		snprintf(why, sizeof(why), "cannot start it: %s", strerror(errno));
		not_run(e, why);
		return;
	}
	e->pid_io = (struct loop_io){ .fd = e->pidfd, .fn = on_pid };
	e->out_io = (struct loop_io){ .fd = e->out, .fn = on_output };
	e->timer.fn = on_late;
	e->gone.fn = on_gone;
	TAILQ_INSERT_TAIL(&p->execs.running, e, link);
	p->execs.nrunning++;
	CHECK(loop_add_level(p->loop, &e->pid_io, LOOP_IN, false) == OK);
	CHECK(loop_add_level(p->loop, &e->out_io, LOOP_IN, false) == OK);
	loop_timer_set(p->loop, &e->timer, pool->check.timeout);
}

static void run_next(struct parent *p)
{
	struct exec_run *e;

	while (p->execs.nrunning < EXEC_RUNNING && (e = TAILQ_FIRST(&p->execs.waiting))) {
		TAILQ_REMOVE(&p->execs.waiting, e, link);
		p->execs.nwaiting--;
		run(p, e);
	}
}

void exec_request(struct child *c, const struct ipc_msg *m)
{
	struct parent *p = c->parent;
	struct exec_run *e = calloc(1, sizeof(*e));

	if (!e)
		return;
	e->parent = p;
	e->asker = (struct asker){ c->serial, m->id };
	e->out = -1;
	if (!ipc_payload(m, &e->x, sizeof(e->x))) {
		free(e);
		return;
	}
	e->x.server[sizeof(e->x.server) - 1] = '\0';
	memset(e->x.output, 0, sizeof(e->x.output));
	if (p->stop.begun || p->execs.nwaiting >= EXEC_WAITING) {
		not_run(e, p->stop.begun ? "the node is ending" : "too many exec checks wait");
		return;
	}
	TAILQ_INSERT_TAIL(&p->execs.waiting, e, link);
	p->execs.nwaiting++;
	run_next(p);
}

void exec_forget(struct parent *p, const struct child *c)
{
	struct exec_run *e;
	struct exec_run *next;

	for (e = TAILQ_FIRST(&p->execs.waiting); e; e = next) {
		next = TAILQ_NEXT(e, link);
		if (c && e->asker.child != c->serial)
			continue;
		TAILQ_REMOVE(&p->execs.waiting, e, link);
		p->execs.nwaiting--;
		free(e);
	}
	TAILQ_FOREACH (e, &p->execs.running, link) {
		if (!c || e->asker.child == c->serial)
			kill(-e->pid, SIGKILL);
	}
}

void exec_end_all(struct parent *p)
{
	struct exec_run *e;

	exec_forget(p, NULL);
	TAILQ_FOREACH (e, &p->execs.running, link) {
		kill(e->pid, SIGKILL);
		while (waitpid(e->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
}
