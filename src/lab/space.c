/* SPDX-License-Identifier: Apache-2.0 */
/* New namespaces for a lab, as root or as an ordinary user. `lab up` and the keeper. */
#include "lab/space.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"

#define SPACES (CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWUTS | CLONE_NEWIPC)

/* --- what forbids it ------------------------------------------------------------------------ */

static long sysctl_number(const char *path)
{
	char text[32] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	return n > 0 ? strtol(text, NULL, 10) : -1;
}

static void explain(int err, char *why, size_t why_size)
{
	if (sysctl_number("/proc/sys/user/max_user_namespaces") == 0)
		snprintf(why, why_size,
		         "this machine allows no user namespaces: run the lab as root, or "
		         "sysctl user.max_user_namespaces=10000");
	else if (sysctl_number("/proc/sys/kernel/unprivileged_userns_clone") == 0)
		snprintf(why, why_size,
		         "this machine allows user namespaces to root only: run the lab as root, "
		         "or sysctl kernel.unprivileged_userns_clone=1");
	else if (sysctl_number("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == 1)
		snprintf(why, why_size,
		         "AppArmor keeps ordinary users from namespaces: run the lab as root, or "
		         "sysctl kernel.apparmor_restrict_unprivileged_userns=0");
	else
		snprintf(why, why_size, "cannot make namespaces: %s%s", strerror(err),
		         err == EPERM ? ": not enough rights: run the lab as root, or outside of "
		                        "the container that forbids it"
		                      : "");
}

/* --- user ids ------------------------------------------------------------------------------- */

static int write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : write(fd, text, strlen(text));
	int err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	return n == (ssize_t)strlen(text) ? OK : ERR_SYSTEM;
}

/* The first range of further ids that /etc/subuid or /etc/subgid gives a user. */
static bool more_ids(const char *file, const char *user, unsigned id, unsigned ret[2])
{
	FILE *f = fopen(file, "re");
	char line[256], number[16];
	bool found = false;

	snprintf(number, sizeof(number), "%u", id);
	while (f && !found && fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (!colon)
			continue;
		*colon = '\0';
		found = (strcmp(line, user) == 0 || strcmp(line, number) == 0) &&
		        sscanf(colon + 1, "%u:%u", &ret[0], &ret[1]) == 2 && ret[1] > 0;
	}
	if (f)
		fclose(f);
	return found;
}

/* newuidmap(1), newgidmap(1): the way to more ids than one's own. */
static bool map_by_tool(const char *tool, pid_t pid, unsigned own, const unsigned more[2])
{
	char text[6][16];
	int status = 0;
	pid_t child;

	snprintf(text[0], 16, "%d", (int)pid);
	snprintf(text[1], 16, "%u", own);
	snprintf(text[2], 16, "%u", more[0]);
	snprintf(text[3], 16, "%u", more[1]);
	child = fork();
	if (child == 0) {
		int null = open("/dev/null", O_RDWR);

		if (null >= 0)
			dup2(null, STDERR_FILENO);
		execlp(tool, tool, text[0], "0", text[1], "1", "1", text[2], text[3], (char *)NULL);
		_exit(127);
	}
	while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
	}
	return child > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static int map_one(const char *what, pid_t pid, unsigned own)
{
	char path[64], text[32];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, what);
	snprintf(text, sizeof(text), "0 %u 1\n", own);
	return write_file(path, text);
}

static int map_ids(pid_t pid)
{
	const struct passwd *pw = getpwuid(getuid());
	const char *user = pw ? pw->pw_name : "";
	unsigned uids[2], gids[2];
	char path[64];

	if (more_ids("/etc/subuid", user, getuid(), uids) &&
	    more_ids("/etc/subgid", user, getuid(), gids) &&
	    map_by_tool("newuidmap", pid, getuid(), uids) &&
	    map_by_tool("newgidmap", pid, getgid(), gids))
		return OK;
	snprintf(path, sizeof(path), "/proc/%d/setgroups", (int)pid);
	/* user_namespaces(7): without that an ordinary user may not map groups. */
	if (write_file(path, "deny") != OK)
		return ERR_SYSTEM;
	if (map_one("uid_map", pid, geteuid()) != OK && errno != EPERM)
		return ERR_SYSTEM; /* EPERM: the tool has done this one */
	return map_one("gid_map", pid, getegid());
}

/* --- the fork ------------------------------------------------------------------------------- */

static pid_t raw_clone(int flags)
{
	return (pid_t)syscall(SYS_clone, (unsigned long)flags | SIGCHLD, NULL, NULL, NULL, NULL);
}

/* The child waits until its ids are mapped. */
static void wait_for_ids(int pipe_end)
{
	char c;

	if (read(pipe_end, &c, 1) != 1)
		_exit(1);
	close(pipe_end);
}

static pid_t fork_as_user(char *why, size_t why_size)
{
	int ends[2];
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC) != 0) {
		snprintf(why, why_size, "cannot make a pipe: %s", strerror(errno));
		return ERR_SYSTEM;
	}
	pid = raw_clone(SPACES | CLONE_NEWUSER);
	if (pid == 0) {
		close(ends[1]);
		wait_for_ids(ends[0]);
		return 0;
	}
	close(ends[0]);
	if (pid < 0) {
		explain(errno, why, why_size);
		close(ends[1]);
		return ERR_DENIED;
	}
	if (map_ids(pid) != OK || write(ends[1], "m", 1) != 1) {
		snprintf(why, why_size, "cannot map user ids into the lab: %s: run it as root",
		         strerror(errno));
		close(ends[1]);
		waitpid(pid, NULL, 0);
		return ERR_DENIED;
	}
	close(ends[1]);
	return pid;
}

pid_t lab_space_fork(char *why, size_t why_size)
{
	pid_t pid;

	if (geteuid() == 0) {
		pid = raw_clone(SPACES);
		if (pid >= 0)
			return pid;
		if (errno != EPERM) {
			explain(errno, why, why_size);
			return ERR_SYSTEM;
		}
	}
	return fork_as_user(why, why_size);
}

/* --- in the new namespaces ------------------------------------------------------------------ */

int lab_space_settle(const char *name, const char *hosts_file, char *why, size_t why_size)
{
	char host[72];
	int n = snprintf(host, sizeof(host), "lab-%s", name);

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
		snprintf(why, why_size, "cannot make mounts private: %s%s", strerror(errno),
		         errno == EACCES || errno == EPERM
		             ? ": the lab may not mount; on Ubuntu: sysctl "
		               "kernel.apparmor_restrict_unprivileged_userns=0, or run it as root"
		             : "");
		return ERR_SYSTEM;
	}
	if (mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) {
		snprintf(why, why_size,
		         "cannot mount a /proc of the lab's own: %s: in a container give it a "
		         "whole /proc, or run the lab as root",
		         strerror(errno));
		return ERR_SYSTEM;
	}
	if (access("/etc/hosts", F_OK) == 0 &&
	    mount(hosts_file, "/etc/hosts", NULL, MS_BIND, NULL) != 0) {
		snprintf(why, why_size, "cannot put %s over /etc/hosts: %s", hosts_file,
		         strerror(errno));
		return ERR_SYSTEM;
	}
	if (sethostname(host, (size_t)n) != 0) {
		snprintf(why, why_size, "cannot set the host name: %s", strerror(errno));
		return ERR_SYSTEM;
	}
	return OK;
}
