/* SPDX-License-Identifier: Apache-2.0 */
/* Who roles run as, and what they give up. */
#ifndef CORE_PRIVILEGE_H
#define CORE_PRIVILEGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct privilege {
	bool drop;  /* false: the process stays who it is */
	bool limit; /* root that cannot become another, but gives its capabilities up */
	uid_t uid;
	gid_t gid;
	char name[64];
};

/* What privilege_find has to tell. */
enum privilege_note {
	PRIVILEGE_FINE,
	PRIVILEGE_NOTE,    /* as it has to be here: root of a user namespace without other ids */
	PRIVILEGE_WARNING, /* not as it should be */
};

/*
 * Who roles are to run as: not root: as now; root: the user, or nobody where there is no such user.
 * Tries it in a child, because namespaces may forbid it. Sentences for the user, "" for none, go to
 * note.
 */
enum privilege_note privilege_find(const char *user, struct privilege *ret, char *note,
                                   size_t size);
/* Looks a user up for an exec check. OK or ERR_NOT_FOUND. */
int privilege_user(const char *user, struct privilege *ret);
/* Becomes that user for good. OK or ERR_SYSTEM (errno). Between fork and exec. */
int privilege_drop(const struct privilege *p);
/* The same, but the capabilities (bits as in capabilities(7)) are kept over the change of user and
 * the exec that follows: those of them that this process has. */
int privilege_drop_but(const struct privilege *p, uint64_t capabilities);
/* Runs before all ordinary processes from now on; processes that it makes do not. OK or ERR_SYSTEM
 * (not permitted). Survives an exec. */
int privilege_realtime(void);
bool privilege_is_realtime(void);
/* No new privileges by exec, no capabilities but these (root keeps its own but with `limit`) and,
 * where root was given up, no traces by others of that user: first thing in a role. */
void privilege_confine(bool dropped, bool limit, uint64_t capabilities);
/* Which of these capabilities this process lacks. */
uint64_t privilege_missing(uint64_t capabilities);
/* Their names, "cap_net_admin, cap_net_raw". Returns out. */
char *privilege_names(uint64_t capabilities, char *out, size_t size);
/* Raises the limit of descriptors to the hard limit; returns it. */
unsigned long privilege_raise_nofile(void);

#endif
