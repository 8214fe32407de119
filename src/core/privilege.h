/* SPDX-License-Identifier: Apache-2.0 */
/* Who roles run as, and what they give up. */
#ifndef CORE_PRIVILEGE_H
#define CORE_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct privilege {
	bool drop; /* false: the process stays who it is */
	uid_t uid;
	gid_t gid;
	char name[64];
};

/*
 * Who roles are to run as: not root: as now; root: the user, or nobody where there is no such user.
 * Tries it in a child, because namespaces may forbid it. Sentences for the user, "" for none, go to
 * note.
 */
void privilege_find(const char *user, struct privilege *ret, char *note, size_t size);
/* Looks a user up for an exec check. OK or ERR_NOT_FOUND. */
int privilege_user(const char *user, struct privilege *ret);
/* Becomes that user for good. OK or ERR_SYSTEM (errno). Between fork and exec. */
int privilege_drop(const struct privilege *p);
/* No new privileges by exec and, where root was given up, no traces by others of that user: first
 * thing in a role. */
void privilege_confine(bool dropped);
/* Raises the limit of descriptors to the hard limit; returns it. */
unsigned long privilege_raise_nofile(void);

#endif
