/* SPDX-License-Identifier: Apache-2.0 */
/* Where a node keeps what it keeps. */
#ifndef CORE_PATHS_H
#define CORE_PATHS_H

#include <stddef.h>

#define PATHS_DIR 512

struct paths {
	char run[PATHS_DIR];  /* control socket, lock, the roles' sockets: gone after a boot */
	char keep[PATHS_DIR]; /* orders: kept */
};

/* --state DIR: both are DIR, made absolute. NULL: /run/holdfast and /var/lib/holdfast as root, else
 * the XDG folders. ERR_TOO_LARGE where a path is too long. */
int paths_find(const char *state_dir, struct paths *ret);
/* Makes the folders (0755; the roles' sockets 0700). OK or ERR_SYSTEM with why. */
int paths_make(const struct paths *p, char *why, size_t why_size);
/* "DIR/NAME" into out; the name is cut to nothing where it does not fit. Returns out. */
char *paths_join(const char *dir, const char *name, char *out, size_t size);

#endif
