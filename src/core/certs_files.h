/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading what may be anything: files of certificates, as root, out of folders that others write.
 * The helper that makes the store, and the loader.
 */
#ifndef CORE_CERTS_FILES_H
#define CORE_CERTS_FILES_H

#include "base/arena.h"

#define CERTS_FILES_MAX_NAMES 40000 /* entries of one folder that are looked at */

/*
 * The contents of a regular file of at most max bytes, in the arena. Symbolic links are followed.
 * Nothing but regular files is opened, so that pipes and devices do no harm. OK, ERR_NOT_FOUND,
 * ERR_TOO_LARGE, ERR_DENIED, ERR_SYSTEM, ERR_INVALID (no regular file), ERR_NOMEM; why tells
 * people.
 */
int certs_file_read(struct arena *a, const char *path, size_t max, struct str *ret, char *why,
                    size_t why_size);
/* The same for a path below a folder that a role may write: no link of any kind is followed. */
int certs_file_read_below(struct arena *a, const char *folder, const char *path, size_t max,
                          struct str *ret, char *why, size_t why_size);

/*
 * A number that tells whether a file is still what it was: of its place, size and times; links are
 * followed. 0: it is not there, or has changed so lately that the next change might leave the same
 * times. now_ms: Unix time.
 */
uint64_t certs_file_stamp(const char *path, uint64_t now_ms);

struct certs_names {
	char **v; /* sorted; malloc'd */
	unsigned n;
	bool more; /* than CERTS_FILES_MAX_NAMES */
};

/* The entries of a folder that do not begin with a dot. OK or an error with why. */
int certs_names_read(const char *folder, struct certs_names *ret, char *why, size_t why_size);
bool certs_names_has(const struct certs_names *l, const char *name);
void certs_names_free(struct certs_names *l);

#endif
