/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of labs. The keeper and the commands. */
#include "lab/dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "lab/plan.h"

#define MAX_LABS 64

/* Where labs are unless told otherwise. */
static int base(char out[LAB_DIR])
{
	const char *run = getenv("XDG_RUNTIME_DIR");
	int n;

	if (geteuid() == 0)
		n = snprintf(out, LAB_DIR, "/run/holdfast-lab");
	else if (run && run[0] == '/' && access(run, W_OK) == 0)
		n = snprintf(out, LAB_DIR, "%s/holdfast-lab", run);
	else
		n = snprintf(out, LAB_DIR, "/tmp/holdfast-lab-%u", (unsigned)geteuid());
	return n < LAB_DIR ? OK : ERR_TOO_LARGE;
}

static bool good_name(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	                          "0123456789_.-");

	return len > 0 && len < LAB_NAME && name[len] == '\0' && name[0] != '.';
}

int lab_dir_path(const char *name, const char *dir, char out[LAB_DIR], char *why, size_t why_size)
{
	char above[512] = "";
	int n;

	if (!dir && !good_name(name)) {
		snprintf(why, why_size,
		         "\"%s\" cannot be the name of a lab: letters, digits, \"_\", \".\" and "
		         "\"-\"; give another with --name",
		         name);
		return ERR_INVALID;
	}
	if (dir && dir[0] != '/' && !getcwd(above, sizeof(above)))
		return ERR_TOO_LARGE;
	if (!dir && base(above) != OK)
		return ERR_TOO_LARGE;
	n = snprintf(out, LAB_DIR, "%s%s%s", above, above[0] ? "/" : "", dir ? dir : name);
	if (n > 0 && n < LAB_DIR - 10) {
		while (n > 1 && out[n - 1] == '/')
			out[--n] = '\0';
		return OK;
	}
	snprintf(why, why_size,
	         "the path of the lab's folder is too long for the sockets in it: give a shorter "
	         "one with --state");
	return ERR_TOO_LARGE;
}

static void path_in(const char *dir, const char *name, char *out, size_t size)
{
	snprintf(out, size, "%s/%s", dir, name);
}

/* Whether nobody but us and root may put another in its place. */
static bool is_ours(const char *path)
{
	struct stat st;

	if (lstat(path, &st) != 0)
		return false;
	errno = S_ISDIR(st.st_mode) ? EPERM : ENOTDIR;
	return S_ISDIR(st.st_mode) && (geteuid() == 0 || st.st_uid == geteuid() || st.st_uid == 0);
}

/* The folders above it too. It and the one above must be ours: /tmp is everybody's. */
static int make_dirs(const char *dir)
{
	char path[LAB_DIR + 1], *last;
	mode_t mode = geteuid() == 0 ? 0755 : 0700;

	snprintf(path, sizeof(path), "%s", dir);
	for (char *p = path + 1;; p++) {
		char c = *p;

		if (c != '/' && c != '\0')
			continue;
		*p = '\0';
		if (mkdir(path, mode) != 0 && errno != EEXIST)
			return ERR_SYSTEM;
		*p = c;
		if (c == '\0')
			break;
	}
	if (!is_ours(path))
		return ERR_SYSTEM;
	last = strrchr(path, '/');
	*last = '\0';
	return path[0] == '\0' || is_ours(path) ? OK : ERR_SYSTEM;
}

static bool empty(const char *dir)
{
	DIR *d = opendir(dir);
	bool ret = true;

	for (const struct dirent *e; d && (e = readdir(d)) != NULL;)
		ret = ret && (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0);
	if (d)
		closedir(d);
	return ret;
}

/* --- the lock ------------------------------------------------------------------------------- */

/* Locks of the open file (fcntl(2), F_OFD_…): they are the keeper's as well, who inherits it. */
static struct flock whole(void)
{
	return (struct flock){ .l_type = F_WRLCK, .l_whence = SEEK_SET };
}

static int open_lock(const char *dir, int flags)
{
	char path[LAB_DIR + 8];

	path_in(dir, "lock", path, sizeof(path));
	return open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
}

bool lab_dir_alive(const char *dir)
{
	struct flock l = whole();
	int fd = open_lock(dir, O_RDONLY);
	bool alive;

	if (fd < 0)
		return false;
	alive = fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK;
	close(fd);
	return alive;
}

bool lab_dir_is_lab(const char *dir)
{
	char path[LAB_DIR + 8];

	path_in(dir, "lock", path, sizeof(path));
	return access(path, F_OK) == 0;
}

/* True when the lock is ours and its file is still the folder's: who ended removed it. */
static bool lock_taken(const char *dir, int fd)
{
	struct flock l = whole();
	struct stat mine, now;
	char path[LAB_DIR + 8];

	path_in(dir, "lock", path, sizeof(path));
	return fcntl(fd, F_OFD_SETLK, &l) == 0 && fstat(fd, &mine) == 0 && stat(path, &now) == 0 &&
	       mine.st_ino == now.st_ino;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st;
	(void)flag;
	(void)ftw;
	remove(path);
	return 0;
}

static void remove_contents(const char *dir)
{
	static const char *const names[] = { "lab.sock", "log", "hosts", "nodes", "servers" };
	char path[LAB_DIR + 16];

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		path_in(dir, names[i], path, sizeof(path));
		nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
	}
}

void lab_dir_remove(const char *dir)
{
	char path[LAB_DIR + 8];

	remove_contents(dir);
	path_in(dir, "lock", path, sizeof(path));
	unlink(path);
	rmdir(dir);
}

int lab_dir_take(const char *dir, int *ret_lock, char *why, size_t why_size)
{
	if (make_dirs(dir) != OK) {
		snprintf(why, why_size, "cannot make the folder %s: %s", dir, strerror(errno));
		return ERR_SYSTEM;
	}
	if (!lab_dir_is_lab(dir) && !empty(dir)) {
		snprintf(why, why_size,
		         "%s is not empty and no lab's: give an empty or a new folder", dir);
		return ERR_EXISTS;
	}
	*ret_lock = open_lock(dir, O_RDWR | O_CREAT);
	if (*ret_lock < 0) {
		snprintf(why, why_size, "cannot make %s/lock: %s", dir, strerror(errno));
		return ERR_SYSTEM;
	}
	if (!lock_taken(dir, *ret_lock)) {
		close(*ret_lock);
		snprintf(why, why_size, "a lab runs already in %s", dir);
		return ERR_EXISTS;
	}
	remove_contents(dir);
	return OK;
}

/* --- finding -------------------------------------------------------------------------------- */

void lab_each(void (*fn)(void *arg, const char *name, const char *dir), void *arg)
{
	char above[LAB_DIR], dir[LAB_DIR];
	DIR *d;

	if (base(above) != OK || (d = opendir(above)) == NULL)
		return;
	for (const struct dirent *e; (e = readdir(d)) != NULL;) {
		int n = good_name(e->d_name) ? snprintf(dir, sizeof(dir), "%s/%s", above, e->d_name)
		                             : -1;

		if (n > 0 && n < (int)sizeof(dir) && lab_dir_alive(dir))
			fn(arg, e->d_name, dir);
	}
	closedir(d);
}

struct found {
	struct buf names;
	unsigned n;
	char dir[LAB_DIR];
};

static void found_one(void *arg, const char *name, const char *dir)
{
	struct found *f = arg;

	if (f->n++ < MAX_LABS)
		buf_printf(&f->names, "%s%s", f->names.len ? ", " : "", name);
	snprintf(f->dir, sizeof(f->dir), "%s", dir);
}

int lab_find(const char *name, const char *dir, char *out, size_t size, char *why, size_t why_size)
{
	struct found f = { 0 };
	char path[LAB_DIR] = "";
	int err = OK;

	if (name || dir) {
		err = lab_dir_path(name, dir, path, why, why_size);
		if (err == OK && !lab_dir_alive(path)) {
			snprintf(why, why_size,
			         "no lab runs in %s; start one: holdfast lab up -c FILE", path);
			err = ERR_NOT_FOUND;
		}
		snprintf(out, size, "%s", path); /* of a dead one as well: its leftovers */
		return err;
	}
	lab_each(found_one, &f);
	if (f.n == 0)
		snprintf(why, why_size, "no lab runs; start one: holdfast lab up -c FILE");
	else if (f.n > 1)
		snprintf(why, why_size, "%u labs run: say which (--name, of a drill --lab): %s",
		         f.n, buf_cstr(&f.names));
	buf_free(&f.names);
	snprintf(out, size, "%s", f.n == 1 ? f.dir : "");
	return f.n == 1 ? OK : ERR_NOT_FOUND;
}
