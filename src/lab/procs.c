/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Processes of a host: those in its network namespace, as the lab's own /proc shows them. There is
 * no cgroup to freeze or kill them by: ordinary users seldom have one. The keeper.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/err.h"
#include "lab/keeper.h"

#define MAX_PROCS 4096
#define TIME      (5 * NS_PER_S)

/* Zombies have left their namespaces: they do not count. */
static bool lives_in(const struct host *h, const char *pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%.16s/ns/net", pid);
	return stat(path, &st) == 0 && st.st_dev == h->net_id[0] && st.st_ino == h->net_id[1];
}

static unsigned list(const struct host *h, pid_t *pids)
{
	DIR *d = opendir("/proc");
	unsigned n = 0;

	for (const struct dirent *e; d && n < MAX_PROCS && (e = readdir(d)) != NULL;) {
		pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);

		if (pid > 1 && lives_in(h, e->d_name))
			pids[n++] = pid;
	}
	if (d)
		closedir(d);
	return n;
}

static bool is_stopped(pid_t pid)
{
	char path[64], text[512] = "";
	const char *end;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	end = n > 0 ? strrchr(text, ')') : NULL;
	return !end || strlen(end) < 3 || strchr("TtZX", end[2]) != NULL;
}

/* Sends to those that it has not taken effect on; how many there were. */
static unsigned round_of(const struct host *h, int signal, pid_t *pids)
{
	unsigned n = list(h, pids), left = 0;

	for (unsigned i = 0; i < n; i++) {
		if (signal == SIGSTOP && is_stopped(pids[i]))
			continue;
		left++;
		kill(pids[i], signal);
	}
	return left;
}

/* A process that ends has left its namespaces before it can be reaped. */
static bool programs_left(const struct host *h)
{
	for (unsigned i = 0; i < h->nprograms; i++) {
		if (h->programs[i].pid != 0)
			return true;
	}
	return false;
}

int lab_procs_signal_all(struct keeper *k, const struct host *h, int signal, uint64_t *ret_ns)
{
	pid_t *pids = calloc(MAX_PROCS, sizeof(*pids));
	uint64_t until = clock_mono() + TIME;
	unsigned left;

	if (!pids)
		return ERR_NOMEM;
	left = round_of(h, signal, pids);
	*ret_ns = clock_mono();
	/* What a process forked meanwhile is found by the next round. */
	while (left > 0 && signal != SIGCONT && clock_mono() < until) {
		usleep(200);
		left = round_of(h, signal, pids);
	}
	free(pids);
	lab_keeper_reap(k);
	while (signal == SIGKILL && programs_left(h) && clock_mono() < until) {
		usleep(200);
		lab_keeper_reap(k);
	}
	return left == 0 || signal == SIGCONT ? OK : ERR_TIMEOUT;
}

static bool is_called(pid_t pid, const char *role)
{
	char path[64], name[64], text[64] = "";
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
	snprintf(name, sizeof(name), "holdfast: %.40s", role);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	if (fd >= 0)
		close(fd);
	return n > 0 && strcmp(text, name) == 0;
}

unsigned lab_procs_signal_role(const struct host *h, const char *role, int signal)
{
	pid_t *pids = calloc(MAX_PROCS, sizeof(*pids));
	unsigned n = pids ? list(h, pids) : 0, found = 0;

	for (unsigned i = 0; i < n; i++) {
		if (is_called(pids[i], role) && kill(pids[i], signal) == 0)
			found++;
	}
	free(pids);
	return found;
}
