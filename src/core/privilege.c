/* SPDX-License-Identifier: Apache-2.0 */
/* Dropping privileges, but for what a role needs. Parent (find, and drop between fork and exec) and
 * roles (confine). */
#include "core/privilege.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
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

/* --- capabilities --------------------------------------------------------------------------- */

static bool has(cap_t c, cap_value_t v, cap_flag_t set)
{
	cap_flag_value_t is = CAP_CLEAR;

	return cap_get_flag(c, v, set, &is) == 0 && is == CAP_SET;
}

/* This process's sets become: permitted and effective, what it has of these; inheritable the same
 * or none. */
static int keep_only(uint64_t capabilities, bool inheritable)
{
	cap_t old = cap_get_proc();
	cap_t c = cap_init();
	int err = old && c ? OK : ERR_SYSTEM;

	for (cap_value_t v = 0; err == OK && v < cap_max_bits(); v++) {
		if ((capabilities >> v & 1) == 0 || !has(old, v, CAP_PERMITTED))
			continue;
		cap_set_flag(c, CAP_PERMITTED, 1, &v, CAP_SET);
		cap_set_flag(c, CAP_EFFECTIVE, 1, &v, CAP_SET);
		if (inheritable)
			cap_set_flag(c, CAP_INHERITABLE, 1, &v, CAP_SET);
	}
	if (err == OK && cap_set_proc(c) != 0)
		err = ERR_SYSTEM;
	for (cap_value_t v = 0; err == OK && inheritable && v < cap_max_bits(); v++) {
		if (has(c, v, CAP_INHERITABLE) && cap_set_ambient(v, CAP_SET) != 0)
			err = ERR_SYSTEM;
	}
	cap_free(c);
	cap_free(old);
	return err;
}

uint64_t privilege_missing(uint64_t capabilities)
{
	cap_t c = cap_get_proc();

	for (cap_value_t v = 0; c && v < cap_max_bits(); v++) {
		if (has(c, v, CAP_EFFECTIVE))
			capabilities &= ~(UINT64_C(1) << v);
	}
	cap_free(c);
	return capabilities;
}

char *privilege_names(uint64_t capabilities, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (cap_value_t v = 0; v < 64; v++) {
		char *name = (capabilities >> v & 1) != 0 ? cap_to_name(v) : NULL;

		if (name && n < size)
			n += (size_t)snprintf(out + n, size - n, "%s%s", n > 0 ? ", " : "", name);
		cap_free(name);
	}
	return out;
}

/* --- who it is ------------------------------------------------------------------------------ */

int privilege_drop_but(const struct privilege *p, uint64_t capabilities)
{
	int err;

	if (!p->drop)
		return OK;
	if (capabilities != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) != 0)
		return ERR_SYSTEM;
	err = privilege_drop(p);
	if (err == OK && capabilities != 0)
		err = keep_only(capabilities, true);
	return err;
}

int privilege_realtime(void)
{
	const struct sched_param lowest = { .sched_priority = 1 };

	return sched_setscheduler(0, SCHED_RR | SCHED_RESET_ON_FORK, &lowest) == 0 ? OK
	                                                                           : ERR_SYSTEM;
}

bool privilege_is_realtime(void)
{
	int policy = sched_getscheduler(0);

	return policy >= 0 && (policy & ~SCHED_RESET_ON_FORK) == SCHED_RR;
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

/* Whether root is only an ordinary user of the machine here, and that id nobody's. */
static bool is_unmapped(uid_t uid)
{
	FILE *f = fopen("/proc/self/uid_map", "re");
	unsigned inside, outside, count;
	bool found = false;

	if (!f)
		return false;
	while (!found && fscanf(f, "%u %u %u", &inside, &outside, &count) == 3)
		found = uid >= inside && uid - inside < count;
	fclose(f);
	return !found;
}

enum privilege_note privilege_find(const char *user, struct privilege *ret, char *note, size_t size)
{
	enum privilege_note told = PRIVILEGE_FINE;
	int err;

	*ret = (struct privilege){ 0 };
	note[0] = '\0';
	if (geteuid() != 0)
		return told;
	if (privilege_user(user, ret) != OK) {
		told = PRIVILEGE_WARNING;
		snprintf(note, size,
		         "there is no user \"%s\": roles run as nobody; create it "
		         "(useradd --system %s) or name another with `user:`",
		         user, user);
		if (privilege_user("nobody", ret) != OK) {
			ret->uid = ret->gid = 65534;
			ret->drop = true;
			snprintf(ret->name, sizeof(ret->name), "nobody");
		}
	}
	if (ret->uid == 0) {
		ret->drop = false;
		return told;
	}
	err = try_drop(ret);
	if (err == 0)
		return told;
	ret->drop = false;
	ret->limit = is_unmapped(ret->uid);
	if (ret->limit) {
		snprintf(note, size,
		         "roles stay root of this user namespace, which has no user \"%s\": they "
		         "give up its capabilities instead",
		         ret->name);
		return PRIVILEGE_NOTE;
	}
	snprintf(note, size, "roles keep the privileges of root: they cannot become \"%s\": %s",
	         ret->name, strerror(err));
	return PRIVILEGE_WARNING;
}

void privilege_confine(bool dropped, bool limit, uint64_t capabilities)
{
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	if (limit || geteuid() != 0) {
		cap_reset_ambient();
		keep_only(capabilities, false);
	}
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
