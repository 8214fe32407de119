/* SPDX-License-Identifier: Apache-2.0 */
/* Making the process of a role. Main thread of the parent, which has no other threads: the child
 * may call anything before it executes. */
#include "core/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/log.h"
#include "core/role_fds.h"
#include "net/sock.h"

static char *role_path(const struct paths *p, const char *role, unsigned instance, const char *end,
                       char *out, size_t size)
{
	char name[64];

	snprintf(name, sizeof(name), "roles/%s.%u.%s", role, instance, end);
	return paths_join(p->run, name, out, size);
}

char *spawn_socket_path(const struct paths *p, const char *role, unsigned instance, char *out,
                        size_t size)
{
	return role_path(p, role, instance, "sock", out, size);
}

char *spawn_pid_path(const struct paths *p, const char *role, unsigned instance, char *out,
                     size_t size)
{
	return role_path(p, role, instance, "pid", out, size);
}

void spawn_forget(const struct paths *p, const char *role, unsigned instance)
{
	char path[PATHS_DIR + 64];

	unlink(spawn_socket_path(p, role, instance, path, sizeof(path)));
	unlink(spawn_pid_path(p, role, instance, path, sizeof(path)));
}

int spawn_pidfd(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd;
}

/* The socket on which a later parent finds the role. */
static int adoption_socket(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd;

	if (strlen(path) == 0 || strlen(path) >= sizeof(un.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(un.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -1;
	unlink(path);
	if (bind(fd, (struct sockaddr *)&un, sizeof(un)) == 0 && listen(fd, 4) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Places from and to may overlap: both go out of the way first. */
static void place_fds(int parent, int adopt)
{
	int a = fcntl(parent, F_DUPFD, 16);
	int b = fcntl(adopt, F_DUPFD, 16);

	if (a < 0 || b < 0 || dup2(a, ROLE_FD_NUMBER_PARENT) < 0 ||
	    dup2(b, ROLE_FD_NUMBER_ADOPT) < 0)
		_exit(126);
	close_range(ROLE_FD_NUMBER_COUNT, ~0U, 0);
}

static void child(const struct role_ops *ops, unsigned instance, const struct paths *p,
                  const struct privilege *priv, int parent, int adopt)
{
	char title[32];
	char number[16];
	const char *argv[] = { title,     "--role",
		               ops->name, number,
		               p->keep,   priv->drop ? "drop" : priv->limit ? "limit" : "keep",
		               NULL };
	sigset_t none;
	int null;

	snprintf(title, sizeof(title), "holdfast: %s", ops->name);
	snprintf(number, sizeof(number), "%u", instance);
	place_fds(parent, adopt);
	null = open("/dev/null", O_RDONLY);
	if (null >= 0 && null != STDIN_FILENO) {
		dup2(null, STDIN_FILENO);
		close(null);
	}
	/* SIGTERM stays blocked until the role can take it in order. */
	sigemptyset(&none);
	sigaddset(&none, SIGTERM);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (ops->realtime)
		privilege_realtime(); /* the role looks whether it is, and says so */
	if (privilege_drop_but(priv, ops->capabilities) != OK)
		_exit(125);
	execv("/proc/self/exe", (char *const *)argv);
	_exit(126);
}

static void write_pid(const struct paths *p, const char *role, unsigned instance, pid_t pid)
{
	char path[PATHS_DIR + 64];
	struct buf b = BUF_INIT;

	buf_printf(&b, "%d\n", (int)pid);
	buf_write_file(&b, spawn_pid_path(p, role, instance, path, sizeof(path)), 0644);
	buf_free(&b);
}

/* What a role keeps belongs to the user that roles run as. */
static int make_folder(const char *name, const struct paths *p, const struct privilege *priv,
                       char *why, size_t why_size)
{
	char path[PATHS_DIR + 64];
	struct stat st;
	bool made;
	int fd;

	paths_join(p->keep, name, path, sizeof(path));
	made = mkdir(path, 0700) == 0;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) != 0 ||
	    (made && priv->drop && fchown(fd, priv->uid, priv->gid) != 0)) {
		snprintf(why, why_size, "cannot make the folder %s: %s", path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return ERR_SYSTEM;
	}
	if (!made && priv->drop && st.st_uid != priv->uid)
		log_warning(
		    "state", path,
		    "it belongs to another user than \"%s\", as which roles run: chown -R it",
		    priv->name);
	close(fd);
	return OK;
}

int spawn_role(const struct role_ops *ops, unsigned instance, const struct paths *p,
               const struct privilege *priv, struct spawned *ret, char *why, size_t why_size)
{
	char path[PATHS_DIR + 64];
	int pair[2] = { -1, -1 };
	int adopt;

	if (ops->folder && make_folder(ops->folder, p, priv, why, why_size) != OK)
		return ERR_SYSTEM;
	adopt = adoption_socket(spawn_socket_path(p, ops->name, instance, path, sizeof(path)));

	if (adopt < 0) {
		snprintf(why, why_size, "cannot make the socket %s: %s", path, strerror(errno));
		return ERR_SYSTEM;
	}
	if (net_pair(pair) != OK) {
		snprintf(why, why_size, "cannot make a socket pair: %s", strerror(errno));
		close(adopt);
		return ERR_SYSTEM;
	}
	ret->pid = fork();
	if (ret->pid == 0)
		child(ops, instance, p, priv, pair[1], adopt);
	close(pair[1]);
	close(adopt);
	if (ret->pid < 0) {
		snprintf(why, why_size, "cannot fork: %s", strerror(errno));
		close(pair[0]);
		return ERR_SYSTEM;
	}
	ret->fd = pair[0];
	ret->pidfd = spawn_pidfd(ret->pid);
	if (ret->pidfd < 0) {
		snprintf(why, why_size, "cannot watch the process: %s", strerror(errno));
		kill(ret->pid, SIGKILL);
		close(pair[0]);
		return ERR_SYSTEM;
	}
	write_pid(p, ops->name, instance, ret->pid);
	return OK;
}
