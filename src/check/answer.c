/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of line protocols, and what all readers share; see answer.h. Pure functions. */
#include "check/answer.h"

#include "base/check.h"
#include "base/err.h"

#define LINE_MAX_LEN 4096

const char *answer_words(struct str said, char out[ANSWER_WORDS])
{
	size_t n = 0;

	said = str_trim(said);
	while (n < said.len && n < ANSWER_WORDS - 1) {
		unsigned char c = (unsigned char)said.s[n];

		out[n++] = (char)(c < ' ' || c >= 127 ? '?' : c);
	}
	out[n] = '\0';
	return out;
}

/* A line with its end: its length, and *ret without it. */
static ssize_t line(struct str got, struct str *ret)
{
	const char *end = memchr(got.s, '\n', MIN(got.len, (size_t)LINE_MAX_LEN));
	size_t n;

	if (end == NULL) {
		return got.len >= LINE_MAX_LEN ? ANSWER_BAD : 0;
	}
	n = (size_t)(end - got.s);
	*ret = str_n(got.s, n > 0 && got.s[n - 1] == '\r' ? n - 1 : n);
	return (ssize_t)n + 1;
}

/* --- Redis ---------------------------------------------------------------------------------- */

/* A bulk string, whose length stands in its first line. */
static ssize_t bulk(struct str got, struct str first, ssize_t used, struct str *ret)
{
	uint64_t len;

	if (str_eq(first, STR("$-1"))) {
		*ret = STR("");
		return used;
	}
	if (str_to_u64(str_n(first.s + 1, first.len - 1), LINE_MAX_LEN, &len) != OK) {
		return ANSWER_BAD;
	}
	if (got.len < (size_t)used + len + 2) {
		return 0;
	}
	*ret = str_n(got.s + used, len);
	return used + (ssize_t)len + 2;
}

ssize_t answer_redis(struct str got, struct answer_redis *ret)
{
	struct str first = STR_NONE;
	struct answer_redis inner;
	ssize_t n = line(got, &first);
	uint64_t count;
	ssize_t m;

	if (n <= 0) {
		return n;
	}
	*ret = (struct answer_redis){ .kind = first.len > 0 ? first.s[0] : '\0' };
	switch (ret->kind) {
	case '+':
	case '-':
	case ':':
		ret->text = str_n(first.s + 1, first.len - 1);
		return n;
	case '$':
		return bulk(got, first, n, &ret->text);
	case '*':
		if (str_to_u64(str_n(first.s + 1, first.len - 1), 1000000, &count) != OK) {
			return ANSWER_BAD;
		}
		if (count == 0) {
			return n;
		}
		got = str_n(got.s + n, got.len - (size_t)n);
		if (got.len == 0) {
			return 0;
		}
		if (got.s[0] == '*') { /* no answer of ours begins so */
			return ANSWER_BAD;
		}
		m = answer_redis(got, &inner);
		ret->text = inner.text;
		return m <= 0 ? m : n + m;
	default:
		return ANSWER_BAD;
	}
}

/* --- SMTP ----------------------------------------------------------------------------------- */

static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : -1;
}

ssize_t answer_smtp(struct str got, struct answer_smtp *ret)
{
	size_t used = 0;

	*ret = (struct answer_smtp){ 0 };
	for (;;) {
		struct str l = STR_NONE;
		ssize_t n = line(str_n(got.s + used, got.len - used), &l);
		unsigned code;
		bool last;

		if (n <= 0) {
			return n;
		}
		/* RFC 5321 section 4.2.1: three digits, and a hyphen where another line follows. */
		if (l.len < 3 || digit(l.s[0]) < 2 || digit(l.s[0]) > 5 || digit(l.s[1]) < 0 ||
		    digit(l.s[2]) < 0 || (l.len > 3 && l.s[3] != ' ' && l.s[3] != '-')) {
			return ANSWER_BAD;
		}
		code = (unsigned)(digit(l.s[0]) * 100 + digit(l.s[1]) * 10 + digit(l.s[2]));
		if (ret->code != 0 && ret->code != code) {
			return ANSWER_BAD;
		}
		last = l.len == 3 || l.s[3] == ' ';
		l = l.len > 4 ? str_n(l.s + 4, l.len - 4) : STR("");
		if (ret->code == 0) {
			ret->text = l;
		}
		ret->code = code;
		ret->starttls = ret->starttls || str_eq_nocase(str_trim(l), STR("STARTTLS"));
		used += (size_t)n;
		if (last) {
			return (ssize_t)used;
		}
		if (used == got.len) {
			return 0;
		}
	}
}
