/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer for output off the hot path: answers, logs, generated documents. After a
 * failed allocation it stays as it is and `failed` is set, so one check at the end suffices.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>

#include "base/str.h"

struct buf {
	char *p;
	size_t len;
	size_t cap;
	size_t max; /* 0: unlimited; growing beyond sets failed */
	bool failed;
};

#define BUF_INIT ((struct buf){ 0 })

void buf_add(struct buf *b, const void *data, size_t len);
void buf_adds(struct buf *b, const char *text);
void buf_addstr(struct buf *b, struct str s);
void buf_addc(struct buf *b, char c);
/* Decimal digits; far quicker than buf_printf. */
void buf_addu(struct buf *b, uint64_t n);
void buf_printf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* A JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void buf_json(struct buf *b, struct str s);
/* The bytes with <, >, &, " and ' as entities. */
void buf_html(struct buf *b, struct str s);
/* Terminates with NUL (not counted in len) and returns the text; "" where it failed. */
const char *buf_cstr(struct buf *b);
struct str buf_str(const struct buf *b);
/* Hands the bytes over (NUL-terminated, free() them); NULL where it failed. Leaves b empty. */
char *buf_take(struct buf *b);
void buf_free(struct buf *b);
/* Appends a whole file of at most max bytes: OK, ERR_SYSTEM (errno), ERR_TOO_LARGE. */
int buf_read_file(struct buf *b, const char *path, size_t max);
/* Replaces a file: temporary file beside it, fsync, rename. OK or ERR_SYSTEM (errno). */
int buf_write_file(const struct buf *b, const char *path, unsigned mode);

#endif
