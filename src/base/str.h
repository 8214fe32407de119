/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A string by reference: bytes that lie elsewhere and their number, not terminated by NUL and
 * owned by whoever owns the bytes. The value type of the parsers and of the configuration.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *s;
	size_t len;
};

#define STR(literal) ((struct str){ (literal), sizeof(literal) - 1 })
#define STR_NONE     ((struct str){ NULL, 0 })
/* For printf: "%.*s", STR_ARG(x) */
#define STR_ARG(x) (int)(x).len, (x).s ? (x).s : ""

static inline struct str str_from(const char *s)
{
	return (struct str){ s, s ? strlen(s) : 0 };
}

static inline struct str str_n(const char *s, size_t len)
{
	return (struct str){ s, len };
}

static inline bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.s, b.s, a.len) == 0);
}

/* ASCII letters compare without case. */
bool str_eq_nocase(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
/* As memcmp orders them, a shorter one before what it begins; < 0, 0, > 0. */
int str_compare(struct str a, struct str b);
bool str_ends(struct str s, struct str suffix);

/* Without blanks and tabs at both ends. */
struct str str_trim(struct str s);

/* Splits off what stands before the first `sep`: *rest gets what follows it, or STR_NONE. */
struct str str_split(struct str s, char sep, struct str *rest);

/* Digits only, no sign, no blanks; OK, ERR_INVALID, or ERR_TOO_LARGE above `max`. */
int str_to_u64(struct str s, uint64_t max, uint64_t *ret);

/* Edit distance of two short names for "did you mean"; UINT_MAX where longer than 64 bytes. */
unsigned str_distance(struct str a, struct str b);

/* 64-bit keyed hash (SipHash-1-3) of bytes a stranger may choose. key: 16 random bytes. */
uint64_t hash_keyed(const uint8_t key[16], const void *data, size_t len);

/* Fast 64-bit hash of bytes for tables that strangers do not fill; stable between runs. */
uint64_t hash_bytes(uint64_t seed, const void *data, size_t len);

static inline uint64_t hash_mix(uint64_t x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ (x >> 33);
}

#endif
