/* SPDX-License-Identifier: Apache-2.0 */
/* Reading what may be anything; see certs_files.h. */
#include "core/certs_files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/str.h"

#define SETTLED_MS 3000 /* more than any file system rounds its times by, and a clock its steps */

static int errno_err(int e)
{
	return e == ENOENT || e == ENOTDIR ? ERR_NOT_FOUND
	       : e == EACCES || e == EPERM ? ERR_DENIED
	                                   : ERR_SYSTEM;
}

static int read_all(struct arena *a, int fd, size_t max, struct str *ret, char *why,
                    size_t why_size)
{
	char *p = NULL;
	size_t len = 0;
	struct stat st;
	ssize_t n = 1;

	if (fstat(fd, &st) != 0 || (uint64_t)st.st_size > max || !(p = malloc(max + 1))) {
		snprintf(why, why_size, "%s", p ? strerror(errno) : "it cannot be read");
		free(p);
		return ERR_SYSTEM;
	}
	while (len <= max && n > 0) {
		n = read(fd, p + len, max + 1 - len);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			len += (size_t)n;
	}
	if (n < 0)
		snprintf(why, why_size, "%s", strerror(errno));
	else if (len > max)
		snprintf(why, why_size, "it is larger than %zu KiB", max / 1024);
	else
		*ret = arena_str(a, str_n(p, len));
	free(p);
	return n < 0 ? ERR_SYSTEM : len > max ? ERR_TOO_LARGE : ret->s ? OK : ERR_NOMEM;
}

/* path_fd only names the file: opening a pipe or a device may have effects of its own. */
static int read_named(struct arena *a, int path_fd, size_t max, bool alone, struct str *ret,
                      char *why, size_t why_size)
{
	char proc[64];
	struct stat st;
	int fd, err;

	if (fstat(path_fd, &st) != 0) {
		snprintf(why, why_size, "%s", strerror(errno));
		return ERR_SYSTEM;
	}
	if (!S_ISREG(st.st_mode) || (alone && st.st_nlink != 1)) {
		snprintf(why, why_size, "it is not a regular file");
		return ERR_INVALID;
	}
	if ((uint64_t)st.st_size > max) {
		snprintf(why, why_size, "it is larger than %zu KiB", max / 1024);
		return ERR_TOO_LARGE;
	}
	snprintf(proc, sizeof(proc), "/proc/self/fd/%d", path_fd);
	fd = open(proc, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0) {
		snprintf(why, why_size, "%s", strerror(errno));
		return errno_err(errno);
	}
	err = read_all(a, fd, max, ret, why, why_size);
	close(fd);
	return err;
}

int certs_file_read(struct arena *a, const char *path, size_t max, struct str *ret, char *why,
                    size_t why_size)
{
	int fd = open(path, O_PATH | O_CLOEXEC), err;

	*ret = STR_NONE;
	if (fd < 0) {
		snprintf(why, why_size, "%s", strerror(errno));
		return errno_err(errno);
	}
	err = read_named(a, fd, max, false, ret, why, why_size);
	close(fd);
	return err;
}

int certs_file_read_below(struct arena *a, const char *folder, const char *path, size_t max,
                          struct str *ret, char *why, size_t why_size)
{
	struct open_how how = { .flags = O_PATH | O_CLOEXEC,
		                .resolve =
		                    RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
	int dir = open(folder, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), fd = -1, err;

	*ret = STR_NONE;
	if (dir >= 0)
		fd = (int)syscall(SYS_openat2, dir, path, &how, sizeof(how));
	if (fd < 0) {
		err = errno_err(errno);
		snprintf(why, why_size, "%s", strerror(errno));
	} else {
		err = read_named(a, fd, max, true, ret, why, why_size);
		close(fd);
	}
	if (dir >= 0)
		close(dir);
	return err;
}

uint64_t certs_file_stamp(const char *path, uint64_t now_ms)
{
	static const uint8_t key[16]; /* nobody gains by two files with one number */
	struct stat st;
	uint64_t v[7], hash;

	/* Whatever else is set by hand, the time of the last change is the kernel's. */
	if (stat(path, &st) != 0 || (uint64_t)st.st_ctim.tv_sec * 1000 + SETTLED_MS > now_ms)
		return 0;
	v[0] = st.st_dev;
	v[1] = st.st_ino;
	v[2] = (uint64_t)st.st_size;
	v[3] = (uint64_t)st.st_mtim.tv_sec;
	v[4] = (uint64_t)st.st_mtim.tv_nsec;
	v[5] = (uint64_t)st.st_ctim.tv_sec;
	v[6] = (uint64_t)st.st_ctim.tv_nsec;
	hash = hash_keyed(key, v, sizeof(v));
	return hash != 0 ? hash : 1;
}

/* --- folders -------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool add(struct certs_names *l, unsigned *cap, const char *name)
{
	char **v;

	if (l->n == *cap) {
		v = realloc(l->v, (*cap * 2 + 64) * sizeof(*v));
		if (!v)
			return false;
		l->v = v;
		*cap = *cap * 2 + 64;
	}
	l->v[l->n] = strdup(name);
	return l->v[l->n] && ++l->n;
}

int certs_names_read(const char *folder, struct certs_names *ret, char *why, size_t why_size)
{
	const struct dirent *e;
	unsigned cap = 0;
	int err = OK;
	DIR *d;

	*ret = (struct certs_names){ 0 };
	d = opendir(folder);
	if (!d) {
		snprintf(why, why_size, "%s", strerror(errno));
		return errno_err(errno);
	}
	errno = 0;
	while (err == OK && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		if (ret->n == CERTS_FILES_MAX_NAMES) {
			ret->more = true;
			break;
		}
		err = add(ret, &cap, e->d_name) ? OK : ERR_NOMEM;
		errno = 0;
	}
	if (err == OK && !ret->more && errno != 0) {
		err = ERR_SYSTEM;
		snprintf(why, why_size, "%s", strerror(errno));
	}
	closedir(d);
	if (err != OK)
		certs_names_free(ret);
	else if (ret->n > 0)
		qsort(ret->v, ret->n, sizeof(*ret->v), compare);
	return err;
}

bool certs_names_has(const struct certs_names *l, const char *name)
{
	return l->n > 0 && bsearch(&name, l->v, l->n, sizeof(*l->v), compare) != NULL;
}

void certs_names_free(struct certs_names *l)
{
	for (unsigned i = 0; i < l->n; i++)
		free(l->v[i]);
	free(l->v);
	*l = (struct certs_names){ 0 };
}
