/* SPDX-License-Identifier: Apache-2.0 */
/* Dropping privileges. Parent (find, and drop between fork and exec) and roles (confine). */
#include "core/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"

/* Under the address sanitizer the process must stay traceable by its own leak checker. */
#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifndef SANITIZED
#define SANITIZED 0
#endif

int privilege_user(const char *user, struct privilege *ret)
{
	const struct passwd *pw = getpwnam(user);

	if (!pw)
		return ERR_NOT_FOUND;
	ret->drop = true;
	ret->uid = pw->pw_uid;
	ret->gid = pw->pw_gid;
	snprintf(ret->name, sizeof(ret->name), "%s", user);
	return OK;
}

int privilege_drop(const struct privilege *p)
{
	if (!p->drop)
		return OK;
	if (setgroups(0, NULL) != 0 || setresgid(p->gid, p->gid, p->gid) != 0 ||
	    setresuid(p->uid, p->uid, p->uid) != 0)
		return ERR_SYSTEM;
	return OK;
}

/* 0, or the errno with which a child could not become that user and execute this program. */
static int try_drop(const struct privilege *p)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return errno;
	if (pid == 0) {
		if (privilege_drop(p) != OK)
			_exit(errno & 0xff);
		if (faccessat(AT_FDCWD, "/proc/self/exe", X_OK, AT_EACCESS) != 0)
			_exit(errno & 0xff);
		_exit(0);
	}
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return errno;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

void privilege_find(const char *user, struct privilege *ret, char *note, size_t size)
{
	int err;

	*ret = (struct privilege){ 0 };
	note[0] = '\0';
	if (geteuid() != 0)
		return;
	if (privilege_user(user, ret) != OK) {
		snprintf(note, size,
		         "there is no user \"%s\": roles run as nobody; create it "
		         "(useradd --system %s) or name another with `user:`",
		         user, user);
		if (privilege_user("nobody", ret) != OK) {
			ret->uid = ret->gid = 65534;
			ret->drop = true;
		}
	}
	if (ret->uid == 0) {
		ret->drop = false;
		return;
	}
	err = try_drop(ret);
	if (err == 0)
		return;
	snprintf(note, size, "roles keep the privileges of root: they cannot become \"%s\": %s%s",
	         user, strerror(err),
	         err == EINVAL ? " (that id does not exist in this user namespace)" : "");
	ret->drop = false;
}

void privilege_confine(bool dropped)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (dropped && !SANITIZED)
		prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

unsigned long privilege_raise_nofile(void)
{
	struct rlimit l;

	if (getrlimit(RLIMIT_NOFILE, &l) != 0)
		return 1024;
	if (l.rlim_cur < l.rlim_max) {
		l.rlim_cur = l.rlim_max;
		setrlimit(RLIMIT_NOFILE, &l);
		getrlimit(RLIMIT_NOFILE, &l);
	}
	return l.rlim_cur;
}
