/* SPDX-License-Identifier: Apache-2.0 */
/* The growing byte buffer and its escapes. One owner, one thread each. */
#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#define BUF_FIRST 256

/* Makes room for n more bytes and the NUL of buf_cstr. */
static bool buf_room(struct buf *b, size_t n)
{
	size_t want, cap;
	char *p;

	if (b->failed) {
		return false;
	}
	if (b->cap > b->len && n < b->cap - b->len && (b->max == 0 || b->len + n <= b->max)) {
		return true;
	}
	if (__builtin_add_overflow(b->len, n, &want) || want >= SIZE_MAX / 2 ||
	    (b->max != 0 && want > b->max)) {
		b->failed = true;
		return false;
	}
	cap = b->cap < BUF_FIRST ? BUF_FIRST : b->cap;
	while (cap <= want) {
		cap *= 2;
	}
	p = realloc(b->p, cap);
	if (p == NULL) {
		b->failed = true;
		return false;
	}
	b->p = p;
	b->cap = cap;
	return true;
}

void buf_add(struct buf *b, const void *data, size_t len)
{
	if (len > 0 && buf_room(b, len)) {
		memcpy(b->p + b->len, data, len);
		b->len += len;
	}
}

void buf_adds(struct buf *b, const char *text)
{
	buf_add(b, text, strlen(text));
}

void buf_addstr(struct buf *b, struct str s)
{
	buf_add(b, s.s, s.len);
}

void buf_addc(struct buf *b, char c)
{
	buf_add(b, &c, 1);
}

void buf_addu(struct buf *b, uint64_t n)
{
	char text[24], *p = text + sizeof(text);

	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n != 0);
	buf_add(b, p, (size_t)(text + sizeof(text) - p));
}

void buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(b, fmt, ap);
	va_end(ap);
}

void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	if (b->failed) {
		return;
	}
	va_copy(again, ap);
	n = vsnprintf(b->cap > b->len ? b->p + b->len : NULL, b->cap - b->len, fmt, ap);
	if (n < 0) {
		b->failed = true;
	} else if ((size_t)n < b->cap - b->len && (b->max == 0 || b->len + (size_t)n <= b->max)) {
		b->len += (size_t)n;
	} else if (buf_room(b, (size_t)n)) {
		vsnprintf(b->p + b->len, b->cap - b->len, fmt, again);
		b->len += (size_t)n;
	}
	va_end(again);
}

/* Length of the UTF-8 character at p (RFC 3629, section 4); 0 where there is none. */
static size_t utf8_length(const unsigned char *p, size_t left)
{
	size_t n;
	unsigned char low = 0x80, high = 0xbf;

	if (p[0] < 0x80) {
		return 1;
	} else if (p[0] >= 0xc2 && p[0] <= 0xdf) {
		n = 2;
	} else if (p[0] >= 0xe0 && p[0] <= 0xef) {
		n = 3;
		low = p[0] == 0xe0 ? 0xa0 : 0x80;
		high = p[0] == 0xed ? 0x9f : 0xbf; /* no surrogates */
	} else if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		n = 4;
		low = p[0] == 0xf0 ? 0x90 : 0x80;
		high = p[0] == 0xf4 ? 0x8f : 0xbf;
	} else {
		return 0;
	}
	if (left < n || p[1] < low || p[1] > high) {
		return 0;
	}
	for (size_t i = 2; i < n; i++) {
		if (p[i] < 0x80 || p[i] > 0xbf) {
			return 0;
		}
	}
	return n;
}

/* RFC 8259, section 7. */
static void json_char(struct buf *b, unsigned char c)
{
	static const char escapes[] = "\bb\ff\nn\rr\tt\"\"\\\\";

	for (const char *e = escapes; *e != '\0'; e += 2) {
		if ((unsigned char)e[0] == c) {
			buf_addc(b, '\\');
			buf_addc(b, e[1]);
			return;
		}
	}
	buf_printf(b, "\\u%04x", c);
}

void buf_json(struct buf *b, struct str s)
{
	const unsigned char *p = (const unsigned char *)s.s;
	size_t start = 0, i = 0;

	buf_addc(b, '"');
	while (i < s.len) {
		size_t n = utf8_length(p + i, s.len - i);

		if (n > 0 && p[i] >= 0x20 && p[i] != '"' && p[i] != '\\' && p[i] != 0x7f) {
			i += n;
			continue;
		}
		buf_add(b, p + start, i - start);
		if (n == 0) {
			buf_adds(b, "\xef\xbf\xbd");
		} else {
			json_char(b, p[i]);
		}
		start = ++i;
	}
	if (i > start) {
		buf_add(b, p + start, i - start);
	}
	buf_addc(b, '"');
}

static const char *html_entity(char c)
{
	switch (c) {
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '&':
		return "&amp;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	default:
		return NULL;
	}
}

void buf_html(struct buf *b, struct str s)
{
	size_t start = 0;

	for (size_t i = 0; i < s.len; i++) {
		const char *entity = html_entity(s.s[i]);

		if (entity != NULL) {
			buf_add(b, s.s + start, i - start);
			buf_adds(b, entity);
			start = i + 1;
		}
	}
	if (s.len > start) {
		buf_add(b, s.s + start, s.len - start);
	}
}

const char *buf_cstr(struct buf *b)
{
	if (!buf_room(b, 0)) {
		return "";
	}
	b->p[b->len] = '\0';
	return b->p;
}

struct str buf_str(const struct buf *b)
{
	return str_n(b->p, b->len);
}

char *buf_take(struct buf *b)
{
	char *p = NULL;

	if (buf_room(b, 0)) {
		b->p[b->len] = '\0';
		p = b->p;
		b->p = NULL;
	}
	buf_free(b);
	return p;
}

void buf_free(struct buf *b)
{
	size_t max = b->max;

	free(b->p);
	*b = BUF_INIT;
	b->max = max;
}
