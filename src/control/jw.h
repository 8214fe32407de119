/* SPDX-License-Identifier: Apache-2.0 */
/* A writer of JSON into a buffer, for answers too large to build as a tree first. */
#ifndef CONTROL_JW_H
#define CONTROL_JW_H

#include "base/buf.h"

struct jw {
	struct buf *out;
	bool more; /* the next member needs a comma */
};

#define JW(buffer) ((struct jw){ .out = (buffer) })

/* Opens an object ('{') or an array ('['); key NULL: as an array's element or the whole. */
void jw_open(struct jw *w, const char *key, char bracket);
void jw_close(struct jw *w, char bracket);
void jw_str(struct jw *w, const char *key, struct str s);
void jw_text(struct jw *w, const char *key, const char *s);
void jw_u64(struct jw *w, const char *key, uint64_t n);
void jw_bool(struct jw *w, const char *key, bool b);
/* A wall-clock time as a string in UTC; null where it is 0. */
void jw_time(struct jw *w, const char *key, uint64_t wall_ms);

#endif
