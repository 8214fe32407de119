/* SPDX-License-Identifier: Apache-2.0 */
/* Strings by reference: comparing, splitting, numbers. Pure functions; any role, any thread. */
#include "base/str.h"

#include <limits.h>

#include "base/check.h"
#include "base/err.h"

#define DISTANCE_MAX 64

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool str_eq_nocase(struct str a, struct str b)
{
	if (a.len != b.len) {
		return false;
	}
	for (size_t i = 0; i < a.len; i++) {
		if (lower(a.s[i]) != lower(b.s[i])) {
			return false;
		}
	}
	return true;
}

int str_compare(struct str a, struct str b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int order = n ? memcmp(a.s, b.s, n) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool str_starts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.s, prefix.s, prefix.len) == 0);
}

bool str_ends(struct str s, struct str suffix)
{
	return s.len >= suffix.len &&
	       (suffix.len == 0 || memcmp(s.s + s.len - suffix.len, suffix.s, suffix.len) == 0);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
	while (s.len > 0 && is_blank(s.s[0])) {
		s.s++;
		s.len--;
	}
	while (s.len > 0 && is_blank(s.s[s.len - 1])) {
		s.len--;
	}
	return s;
}

struct str str_split(struct str s, char sep, struct str *rest)
{
	const char *at = s.len > 0 ? memchr(s.s, sep, s.len) : NULL;
	size_t n;

	if (at == NULL) {
		*rest = STR_NONE;
		return s;
	}
	n = (size_t)(at - s.s);
	*rest = str_n(at + 1, s.len - n - 1);
	return str_n(s.s, n);
}

int str_to_u64(struct str s, uint64_t max, uint64_t *ret)
{
	uint64_t v = 0;
	bool over = false;

	if (s.len == 0) {
		return ERR_INVALID;
	}
	for (size_t i = 0; i < s.len; i++) {
		unsigned digit = (unsigned)(unsigned char)s.s[i] - '0';

		if (digit > 9) {
			return ERR_INVALID;
		}
		/* Go on to the end: "99x" is invalid even where 99 is too large. */
		over = over || __builtin_mul_overflow(v, 10, &v) ||
		       __builtin_add_overflow(v, digit, &v);
	}
	if (over || v > max) {
		return ERR_TOO_LARGE;
	}
	*ret = v;
	return OK;
}

/* Levenshtein's distance, one row of the matrix at a time. */
unsigned str_distance(struct str a, struct str b)
{
	unsigned row[DISTANCE_MAX + 1];

	if (a.len > DISTANCE_MAX || b.len > DISTANCE_MAX) {
		return UINT_MAX;
	}
	for (size_t j = 0; j <= b.len; j++) {
		row[j] = (unsigned)j;
	}
	for (size_t i = 1; i <= a.len; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b.len; j++) {
			unsigned above = row[j];
			unsigned best = diagonal + (a.s[i - 1] != b.s[j - 1]);

			best = MIN(best, above + 1);
			best = MIN(best, row[j - 1] + 1);
			diagonal = above;
			row[j] = best;
		}
	}
	return row[b.len];
}
