/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error codes of the library folders. Each is one row of ERR_ROWS: its name, its value and the
 * words a user reads. Library folders return them and neither log nor exit.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#define ERR_ROWS(X) \
	X(OK, 0, "success") \
	X(ERR_NOMEM, -1, "out of memory") \
	X(ERR_SYSTEM, -2, "system call failed") \
	X(ERR_INVALID, -3, "invalid argument or value") \
	X(ERR_TOO_LARGE, -4, "too large") \
	X(ERR_NOT_FOUND, -5, "not found") \
	X(ERR_EXISTS, -6, "already exists") \
	X(ERR_TIMEOUT, -7, "timed out") \
	X(ERR_CLOSED, -8, "closed by the other side") \
	X(ERR_AGAIN, -9, "would block") \
	X(ERR_DENIED, -10, "not permitted") \
	X(ERR_SYNTAX, -11, "syntax error") \
	X(ERR_UNEXPECTED, -12, "not expected in this state") \
	X(ERR_UNSUPPORTED, -13, "not supported") \
	X(ERR_FULL, -14, "no room left") \
	X(ERR_REFUSED, -15, "refused")

enum err {
#define ERR_ENUM(name, value, text) name = (value),
	ERR_ROWS(ERR_ENUM)
#undef ERR_ENUM
};

/* The text of an error code; "unknown error" for one that has no row. Never NULL. */
const char *err_text(int err);

#endif
