/* SPDX-License-Identifier: Apache-2.0 */
/* Making the process of a role: fork, drop privileges, execute the program again. Parent. */
#ifndef CORE_SPAWN_H
#define CORE_SPAWN_H

#include <sys/types.h>

#include "core/paths.h"
#include "core/privilege.h"
#include "core/role.h"

struct spawned {
	pid_t pid;
	int pidfd;
	int fd; /* the parent's end of the pair */
};

/* Paths of a role's socket for adoption and of the file with its pid. */
char *spawn_socket_path(const struct paths *p, const char *role, unsigned instance, char *out,
                        size_t size);
char *spawn_pid_path(const struct paths *p, const char *role, unsigned instance, char *out,
                     size_t size);
/* Removes both. */
void spawn_forget(const struct paths *p, const char *role, unsigned instance);

/* OK, or ERR_SYSTEM with why. */
int spawn_role(const struct role_ops *ops, unsigned instance, const struct paths *p,
               const struct privilege *priv, struct spawned *ret, char *why, size_t why_size);

/* pidfd_open(2): readable when the process has ended; -1 with errno. */
int spawn_pidfd(pid_t pid);

#endif
