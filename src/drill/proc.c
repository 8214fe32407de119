/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs that the drill runs, in a host of the lab or here. What they write goes to a memory
 * file: they never wait for the drill, and the drill reads when it likes. Each has a thread that
 * waits for its end.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"
#include "drill/impl.h"

extern char **environ;

void drill_sleep(uint64_t ns)
{
	struct timespec t = { .tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S) };

	while (nanosleep(&t, &t) != 0 && errno == EINTR) {
	}
}

static pid_t spawn(char *const *argv, const int fds[3])
{
	posix_spawn_file_actions_t a;
	pid_t pid = -1;
	int err;

	posix_spawn_file_actions_init(&a);
	for (int i = 0; i < 3; i++)
		posix_spawn_file_actions_adddup2(&a, fds[i], i);
	err = posix_spawn(&pid, argv[0], &a, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&a);
	if (err != 0) {
		errno = err;
		return -1;
	}
	return pid;
}

static int exit_status(int status)
{
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* --- programs beside the drill -------------------------------------------------------------- */

struct work {
	struct drill_proc *p;
	int fds[3];
};

static void *run(void *arg)
{
	struct work *w = arg;
	struct drill_proc *p = w->p;
	int status = 0;
	pid_t pid;

	if (p->host[0] != '\0') {
		p->status = lab_exec(p->lab, p->host, (const char *const *)p->argv, w->fds, p->why,
		                     sizeof(p->why));
	} else {
		pid = spawn(p->argv, w->fds);
		if (pid < 0)
			snprintf(p->why, sizeof(p->why), "%s: %s", p->argv[0], strerror(errno));
		while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
		}
		p->status = pid > 0 ? exit_status(status) : -1;
	}
	close(w->fds[0]);
	free(w);
	atomic_store(&p->done, true);
	return NULL;
}

static int copy_argv(struct drill_proc *p, const char *const *argv)
{
	size_t n = 0;

	for (; argv[n]; n++) {
		if (n + 1 == sizeof(p->argv) / sizeof(p->argv[0]))
			return ERR_TOO_LARGE;
		p->argv[n] = strdup(argv[n]);
		if (!p->argv[n])
			return ERR_NOMEM;
	}
	return OK;
}

static int start(struct drill_proc *p)
{
	struct work *w = calloc(1, sizeof(*w));
	int pipe_fds[2], err;

	if (!w || pipe2(pipe_fds, O_CLOEXEC) != 0) {
		free(w);
		return ERR_SYSTEM;
	}
	*w = (struct work){ p, { pipe_fds[0], p->out, STDERR_FILENO } };
	err = pthread_create(&p->thread, NULL, run, w);
	if (err != 0) {
		close(pipe_fds[0]);
		close(pipe_fds[1]);
		free(w);
		errno = err;
		return ERR_SYSTEM;
	}
	p->in = pipe_fds[1];
	p->started = true;
	return OK;
}

int drill_proc_start(struct drill_proc *p, const char *lab, const char *host,
                     const char *const *argv)
{
	int err;

	*p = (struct drill_proc){ .in = -1, .out = -1 };
	snprintf(p->lab, sizeof(p->lab), "%s", lab ? lab : "");
	snprintf(p->host, sizeof(p->host), "%s", host ? host : "");
	/* Appending: it is read from its beginning at the same time. */
	p->out = memfd_create("drill", MFD_CLOEXEC);
	if (p->out < 0)
		return ERR_SYSTEM;
	err = copy_argv(p, argv);
	if (err == OK)
		err = start(p);
	if (err != OK)
		drill_proc_free(p);
	return err;
}

bool drill_proc_stop(struct drill_proc *p, uint64_t limit_ns)
{
	uint64_t until = clock_mono() + limit_ns;

	if (!p->started)
		return true;
	if (p->in >= 0)
		close(p->in);
	p->in = -1;
	while (!atomic_load(&p->done)) {
		if (clock_mono() >= until)
			return false;
		drill_sleep(2 * NS_PER_MS);
	}
	pthread_join(p->thread, NULL);
	p->started = false;
	return true;
}

int drill_proc_read(const struct drill_proc *p, struct buf *out)
{
	char piece[65536];
	off_t at = 0;

	for (;;) {
		ssize_t n = pread(p->out, piece, sizeof(piece), at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? ERR_SYSTEM : OK;
		buf_add(out, piece, (size_t)n);
		at += n;
	}
}

void drill_proc_free(struct drill_proc *p)
{
	/* One that does not end keeps its thread, and what that uses: the drill is over then. */
	if (!drill_proc_stop(p, 10 * NS_PER_S))
		return;
	if (p->out >= 0)
		close(p->out);
	for (size_t i = 0; i < sizeof(p->argv) / sizeof(p->argv[0]); i++)
		free(p->argv[i]);
	*p = (struct drill_proc){ .in = -1, .out = -1 };
}

/* --- commands ------------------------------------------------------------------------------- */

int drill_command(const char *const *argv, uint64_t limit_ns, struct buf *out)
{
	uint64_t until = clock_mono() + limit_ns;
	struct drill_proc p = { .out = memfd_create("drill", MFD_CLOEXEC) };
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), status = 0;
	int fds[3] = { null, p.out, p.out };
	pid_t pid = p.out < 0 || null < 0 ? -1 : spawn((char *const *)(uintptr_t)argv, fds);

	while (pid > 0 && waitpid(pid, &status, WNOHANG) == 0) {
		if (clock_mono() >= until) {
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			buf_adds(out, "no answer in time");
			break;
		}
		drill_sleep(NS_PER_MS);
	}
	if (pid > 0)
		drill_proc_read(&p, out);
	else
		buf_printf(out, "cannot run %s: %s", argv[0], strerror(errno));
	if (null >= 0)
		close(null);
	if (p.out >= 0)
		close(p.out);
	return pid > 0 ? exit_status(status) : -1;
}
