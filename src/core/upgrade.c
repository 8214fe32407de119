/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking a new binary into service. The old parent lets the new program test itself and executes it
 * in its own place, same pid; the new one adopts the roles like any later parent and replaces them
 * one by one: a new proxy is ready before the old one drains. Main thread of the parent.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/parent.h"
#include "core/spawn.h"

#define UPGRADE_TEST_TIME  (20 * NS_PER_S)
#define UPGRADE_HOOKS_TIME (15 * NS_PER_S)
#define UPGRADE_READY_TIME (20 * NS_PER_S)
#define UPGRADE_END_TIME   (5 * NS_PER_S)
#define UPGRADE_ARGS       64
#define ENV_ID             "HOLDFAST_UPGRADE"
#define ENV_LOCK           "HOLDFAST_LOCK"

static void answer(struct parent *p, int err, const char *text)
{
	struct upgrade *u = &p->upgrade;
	struct child *c = child_find(p, u->asker.child);

	if (c)
		child_result(c, IPC_UPGRADED, u->asker.id, err, 0, text);
	u->asker.child = 0;
}

static void refuse(struct parent *p, const char *text)
{
	log_error("upgrade_refused", NULL, "%s", text);
	loop_timer_stop(p->loop, &p->upgrade.timer);
	p->upgrade.phase = UPGRADE_NONE;
	answer(p, ERR_REFUSED, text);
}

/* --- the old parent ------------------------------------------------------------------------- */

/* As the shell found it: a path, or a name looked up in PATH. Symbolic links stay, because an
 * upgrade may be the changing of one. */
void upgrade_init(struct parent *p)
{
	char *out = p->upgrade.binary;
	const char *name = program_invocation_name;
	char cwd[PATHS_DIR];
	char dirs[4096];
	char *save = NULL;
	ssize_t n;

	if (name[0] == '/') {
		snprintf(out, PATHS_DIR, "%s", name);
	} else if (strchr(name, '/') && getcwd(cwd, sizeof(cwd))) {
		paths_join(cwd, name, out, PATHS_DIR);
	} else {
		snprintf(dirs, sizeof(dirs), "%s", getenv("PATH") ? getenv("PATH") : "");
		for (char *d = strtok_r(dirs, ":", &save); d; d = strtok_r(NULL, ":", &save)) {
			if (access(paths_join(d, name, out, PATHS_DIR), X_OK) == 0)
				return;
		}
		out[0] = '\0';
	}
	if (out[0] && access(out, X_OK) == 0)
		return;
	n = readlink("/proc/self/exe", out, PATHS_DIR - 1);
	out[n > 0 ? n : 0] = '\0';
}

/* The arguments that this program was started with. argv points into text. */
static bool own_arguments(struct buf *text, char *argv[UPGRADE_ARGS + 1])
{
	unsigned n = 0;
	char *at;

	if (buf_read_file(text, "/proc/self/cmdline", 65536) != OK || text->len == 0)
		return false;
	at = (char *)buf_cstr(text);
	while (at < text->p + text->len && n < UPGRADE_ARGS) {
		argv[n++] = at;
		at += strlen(at) + 1;
	}
	argv[n] = NULL;
	return n > 0 && n < UPGRADE_ARGS;
}

static void execute_now(struct parent *p)
{
	struct buf text = BUF_INIT;
	char *argv[UPGRADE_ARGS + 1];
	char number[32];
	char why[PATHS_DIR + 128];

	if (!own_arguments(&text, argv)) {
		buf_free(&text);
		refuse(p, "cannot read this program's own arguments");
		return;
	}
	exec_end_all(p);
	hook_end_all(p);
	certs_end(p);
	snprintf(number, sizeof(number), "%u", p->upgrade.asker.id);
	setenv(ENV_ID, number, 1);
	snprintf(number, sizeof(number), "%d", p->lock);
	setenv(ENV_LOCK, number, 1);
	fcntl(p->lock, F_SETFD, 0);
	log_notice("upgrade", NULL, "executing %s in place", p->upgrade.binary);
	execv(p->upgrade.binary, argv);
	snprintf(why, sizeof(why), "cannot execute %s: %s", p->upgrade.binary, strerror(errno));
	fcntl(p->lock, F_SETFD, FD_CLOEXEC);
	unsetenv(ENV_ID);
	unsetenv(ENV_LOCK);
	buf_free(&text);
	certs_begin(p);
	refuse(p, why);
}

static void on_hooks_late(struct loop_timer *t)
{
	upgrade_hooks_ended(CONTAINER_OF(t, struct parent, upgrade.timer));
}

/* Nobody else than this program waits for a hook that runs. */
static void execute(struct parent *p)
{
	if (!hook_busy(p)) {
		execute_now(p);
		return;
	}
	p->upgrade.phase = UPGRADE_HOOKS;
	p->upgrade.timer.fn = on_hooks_late;
	loop_timer_set(p->loop, &p->upgrade.timer, UPGRADE_HOOKS_TIME);
}

void upgrade_hooks_ended(struct parent *p)
{
	if (p->upgrade.phase != UPGRADE_HOOKS)
		return;
	loop_timer_stop(p->loop, &p->upgrade.timer);
	if (p->stop.begun)
		refuse(p, "the node is ending");
	else
		execute_now(p);
}

static void on_tested(struct loop_io *io, uint32_t events)
{
	struct parent *p = CONTAINER_OF(io, struct parent, upgrade.io);
	struct upgrade *u = &p->upgrade;
	char said[256] = "";
	char why[PATHS_DIR + 512];
	int status = -1;
	ssize_t n;

	(void)events;
	loop_timer_stop(p->loop, &u->timer);
	loop_remove(p->loop, io);
	close(u->pidfd);
	while (waitpid(u->pid, &status, 0) < 0 && errno == EINTR)
		;
	n = read(u->out, said, sizeof(said) - 1);
	said[n > 0 ? n : 0] = '\0';
	said[strcspn(said, "\n")] = '\0';
	close(u->out);
	if (p->stop.begun) {
		refuse(p, "the node is ending");
		return;
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		log_notice("upgrade", NULL, "%s", said);
		execute(p);
		return;
	}
	snprintf(why, sizeof(why), "%s did not pass its self-test: %s; nothing was changed",
	         u->binary, said[0] ? said : "it said nothing");
	refuse(p, why);
}

static void on_test_timer(struct loop_timer *t)
{
	struct parent *p = CONTAINER_OF(t, struct parent, upgrade.timer);

	kill(p->upgrade.pid, SIGKILL); /* its end is told by on_tested */
}

static int start_test(struct upgrade *u)
{
	const char *argv[] = { "holdfast", "--self-test", NULL };
	int pipes[2];

	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) != 0)
		return ERR_SYSTEM;
	u->pid = fork();
	if (u->pid == 0) {
		dup2(pipes[1], STDOUT_FILENO);
		dup2(pipes[1], STDERR_FILENO);
		close_range(STDERR_FILENO + 1, ~0U, 0);
		execv(u->binary, (char *const *)argv);
		dprintf(STDERR_FILENO, "cannot be executed: %s\n", strerror(errno));
		_exit(126);
	}
	close(pipes[1]);
	u->out = pipes[0];
	u->pidfd = u->pid > 0 ? spawn_pidfd(u->pid) : -1;
	if (u->pidfd >= 0)
		return OK;
	close(u->out);
	return ERR_SYSTEM;
}

void upgrade_request(struct child *c, uint32_t id)
{
	struct parent *p = c->parent;
	struct upgrade *u = &p->upgrade;
	const char *busy = p->stop.begun                    ? "the node is ending"
	                   : u->phase != UPGRADE_NONE       ? "an upgrade is running already"
	                   : p->reload.phase != RELOAD_IDLE ? "a reload is running: try again"
	                                                    : NULL;

	if (busy) {
		child_result(c, IPC_UPGRADED, id, ERR_REFUSED, 0, busy);
		return;
	}
	u->asker = (struct asker){ c->serial, id };
	u->phase = UPGRADE_TEST;
	if (start_test(u) != OK) {
		refuse(p, "cannot start the self-test of the new program");
		return;
	}
	u->timer.fn = on_test_timer;
	loop_timer_set(p->loop, &u->timer, UPGRADE_TEST_TIME);
	u->io = (struct loop_io){ .fd = u->pidfd, .fn = on_tested };
	CHECK(loop_add_level(p->loop, &u->io, LOOP_IN, false) == OK);
}

/* --- the new parent ------------------------------------------------------------------------- */

bool upgrade_resumed(uint32_t *ret_id, int *ret_lock)
{
	const char *id = getenv(ENV_ID);
	const char *lock = getenv(ENV_LOCK);

	if (!id || !lock)
		return false;
	*ret_id = (uint32_t)strtoul(id, NULL, 10);
	*ret_lock = (int)strtol(lock, NULL, 10);
	fcntl(*ret_lock, F_SETFD, FD_CLOEXEC);
	unsetenv(ENV_ID);
	unsetenv(ENV_LOCK);
	return true;
}

static void done_when_all_ready(struct parent *p)
{
	for (unsigned i = 0; i < p->nservices; i++) {
		const struct service *s = &p->services[i];

		if (service_wanted(s) && (s->replacing || !s->current || !s->current->ready))
			return;
	}
	loop_timer_stop(p->loop, &p->upgrade.timer);
	p->upgrade.phase = UPGRADE_NONE;
	log_notice("upgrade", NULL, "all roles are of version %s", HOLDFAST_VERSION);
	/* Taken over without an order to upgrade: the file may have changed meanwhile. */
	if (p->mixed || p->replace_asker.id == 0)
		reload_request(p, 0, 0, p->mixed);
}

/* The other roles end and are started again at once: states and counters are on the board, sockets
 * with the parent. */
static void replace_others(struct parent *p)
{
	p->upgrade.phase = UPGRADE_OTHERS;
	loop_timer_set(p->loop, &p->upgrade.timer, UPGRADE_READY_TIME);
	answer(p, OK, "version " HOLDFAST_VERSION " is in service");
	for (unsigned i = 0; i < p->nservices; i++) {
		struct service *s = &p->services[i];

		if (s->ops->overlaps || !s->current || !s->current->adopted || s->current->draining)
			continue;
		s->replacing = true;
		child_drain(s->current, UPGRADE_END_TIME);
	}
	done_when_all_ready(p);
}

/* Beside each process of the next role that overlaps and is still of the former program, a new one;
 * when there is none left, the others. */
static void replace_next(struct parent *p)
{
	struct upgrade *u = &p->upgrade;
	char why[128];

	u->phase = UPGRADE_OVERLAP;
	for (; u->step < p->nservices; u->step++) {
		struct service *s = &p->services[u->step];

		if (!s->ops->overlaps || !service_wanted(s) || !s->current ||
		    !s->current->adopted || s->current->draining)
			continue;
		s->successor = supervise_spawn(s);
		if (s->successor) {
			loop_timer_set(p->loop, &u->timer, UPGRADE_READY_TIME);
			return;
		}
		snprintf(why, sizeof(why),
		         "the new %s could not be started; the old one goes on serving",
		         s->ops->name);
		refuse(p, why);
		return;
	}
	replace_others(p);
}

static void on_replace_timer(struct loop_timer *t)
{
	struct parent *p = CONTAINER_OF(t, struct parent, upgrade.timer);
	struct upgrade *u = &p->upgrade;

	if (u->phase == UPGRADE_OVERLAP && p->services[u->step].successor) {
		child_kill(p->services[u->step].successor, SIGKILL, "it was not ready in time");
	} else {
		log_error("upgrade", NULL, "not all roles became ready in time");
		u->phase = UPGRADE_NONE;
	}
}

void upgrade_replace(struct parent *p, struct asker asker)
{
	p->upgrade.asker = asker;
	p->upgrade.step = 0;
	p->upgrade.timer.fn = on_replace_timer;
	replace_next(p);
}

void upgrade_child_ready(struct child *c)
{
	struct parent *p = c->parent;
	struct service *s = c->service;

	if (p->stop.begun)
		return;
	if (p->upgrade.phase == UPGRADE_OTHERS) {
		done_when_all_ready(p);
	} else if (p->upgrade.phase == UPGRADE_OVERLAP && c == s->successor) {
		struct child *old = s->current;

		s->current = c;
		s->successor = NULL;
		if (old)
			child_drain(old, p->cur->conf->shutdown_timeout + NS_PER_S);
		replace_next(p);
	}
}

void upgrade_child_died(struct child *c)
{
	struct parent *p = c->parent;
	struct service *s = c->service;
	char why[300];

	if (c == s->successor) {
		s->successor = NULL;
		snprintf(why, sizeof(why),
		         "the new %s ended before it was ready%s%s; the old one goes on serving",
		         s->ops->name, c->why[0] ? ": " : "", c->why);
		refuse(p, why);
	} else if (s->successor && !s->current) {
		/* The old one was faster: the new one is the only one, ready or not. */
		s->current = s->successor;
		s->successor = NULL;
		supervise_board(s, NULL);
		if (p->upgrade.phase == UPGRADE_OVERLAP && !p->stop.begun)
			replace_next(p);
	}
}
