/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of a node. Parent and command line. */
#include "core/paths.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "core/node.h"

static int put(char out[PATHS_DIR], const char *a, const char *b)
{
	int n = snprintf(out, PATHS_DIR, "%s%s", a, b);

	return n < 0 || n >= PATHS_DIR ? ERR_TOO_LARGE : OK;
}

static int absolute(const char *dir, char out[PATHS_DIR])
{
	char cwd[PATHS_DIR];
	int n;

	if (dir[0] == '/')
		return put(out, dir, "");
	if (!getcwd(cwd, sizeof(cwd)))
		return ERR_TOO_LARGE;
	n = snprintf(out, PATHS_DIR, "%s/%s", cwd, dir);
	return n < 0 || n >= PATHS_DIR ? ERR_TOO_LARGE : OK;
}

static const char *env_dir(const char *name)
{
	const char *v = getenv(name);

	return v && v[0] == '/' ? v : NULL; /* XDG: relative paths are to be ignored */
}

int paths_find(const char *state_dir, struct paths *ret)
{
	const char *v;
	char fallback[64];
	int err;

	if (state_dir) {
		err = absolute(state_dir, ret->run);
		return err == OK ? put(ret->keep, ret->run, "") : err;
	}
	if (geteuid() == 0) {
		put(ret->run, "/run/holdfast", "");
		return put(ret->keep, "/var/lib/holdfast", "");
	}
	v = env_dir("XDG_RUNTIME_DIR");
	snprintf(fallback, sizeof(fallback), "/tmp/holdfast-%u", (unsigned)geteuid());
	err = v ? put(ret->run, v, "/holdfast") : put(ret->run, fallback, "");
	if (err != OK)
		return err;
	v = env_dir("XDG_STATE_HOME");
	if (v)
		return put(ret->keep, v, "/holdfast");
	v = env_dir("HOME");
	return v ? put(ret->keep, v, "/.local/state/holdfast") : put(ret->keep, ret->run, "");
}

static int make_dirs(const char *dir, mode_t mode)
{
	char path[PATHS_DIR + 16];
	struct stat st;

	snprintf(path, sizeof(path), "%s", dir);
	for (char *p = path + 1; *p; p++) {
		if (*p != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0755) != 0 && errno != EEXIST)
			return ERR_SYSTEM;
		*p = '/';
	}
	if (mkdir(path, mode) == 0)
		return OK;
	if (errno != EEXIST || stat(path, &st) != 0)
		return ERR_SYSTEM;
	if (!S_ISDIR(st.st_mode)) {
		errno = ENOTDIR;
		return ERR_SYSTEM;
	}
	if (st.st_uid != geteuid() && geteuid() != 0) {
		errno = EPERM; /* somebody else's folder, as in /tmp */
		return ERR_SYSTEM;
	}
	return OK;
}

int paths_make(const struct paths *p, char *why, size_t why_size)
{
	mode_t mode = geteuid() == 0 ? 0755 : 0700;
	char roles[PATHS_DIR + 8];

	snprintf(roles, sizeof(roles), "%s/roles", p->run);
	const struct {
		const char *dir;
		mode_t mode;
	} dirs[] = { { p->run, mode }, { p->keep, mode }, { roles, 0700 } };

	for (unsigned i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if (make_dirs(dirs[i].dir, dirs[i].mode) != OK) {
			snprintf(why, why_size, "cannot make the folder %s: %s", dirs[i].dir,
			         strerror(errno));
			return ERR_SYSTEM;
		}
	}
	return OK;
}

char *paths_join(const char *dir, const char *name, char *out, size_t size)
{
	int n = snprintf(out, size, "%s/%s", dir, name);

	if (n < 0 || (size_t)n >= size)
		out[0] = '\0';
	return out;
}

const char *node_control_socket(const char *state_dir, char *out, unsigned size)
{
	struct paths p;

	if (paths_find(state_dir, &p) != OK) {
		out[0] = '\0';
		return out;
	}
	return paths_join(p.run, "control.sock", out, size);
}
