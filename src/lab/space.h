/* SPDX-License-Identifier: Apache-2.0 */
/* The namespaces of the lab as a whole. */
#ifndef LAB_SPACE_H
#define LAB_SPACE_H

#include <stddef.h>
#include <sys/types.h>

/*
 * Like fork: the child is the first process of new namespaces (process ids, mounts, network, names,
 * IPC; users as well where that is needed) with root's rights in them. Returns its id, 0 in the
 * child, or ERR_DENIED or ERR_SYSTEM with why, which says what to do. One thread only.
 */
pid_t lab_space_fork(char *why, size_t why_size);
/* In the child: private mounts, a fresh /proc, the lab's /etc/hosts, the host name. OK or
 * ERR_SYSTEM with why. */
int lab_space_settle(const char *name, const char *hosts_file, char *why, size_t why_size);

#endif
