/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assertions that stay on in production: a hidden bug becomes a precise message, abort() and a
 * restart in milliseconds. For bugs only; input from the network never asserts.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stddef.h>

#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

/* Ends the process with file, line and the violated condition on stderr. */
void check_failed(const char *file, int line, const char *what) __attribute__((noreturn, cold));

#define CHECK(cond) \
	do { \
		if (unlikely(!(cond))) \
			check_failed(__FILE__, __LINE__, #cond); \
	} while (0)

/* Checked objects: the first member of a struct that passes through a callback is its magic. */
#define CHECK_MAGIC(obj, want) CHECK((obj) != NULL && (obj)->magic == (want))

#define ARRAY_LEN(a)                    (sizeof(a) / sizeof((a)[0]))
#define MIN(a, b)                       ((a) < (b) ? (a) : (b))
#define MAX(a, b)                       ((a) > (b) ? (a) : (b))
#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

#endif
