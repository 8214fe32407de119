/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Byte classes and fast scanning, private to this folder: what may stand where, sixteen bytes at a
 * time where the machine has SSE2.
 */
#ifndef HTTP_SCAN_H
#define HTTP_SCAN_H

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "http/http.h"

enum {
	HTTP_C_TOKEN = 1,   /* tchar (RFC 9110, 5.6.2) */
	HTTP_C_VALUE = 2,   /* HTAB, SP, VCHAR, obs-text (RFC 9110, 5.5) */
	HTTP_C_TARGET = 4,  /* VCHAR but '#': what a request target may hold */
	HTTP_C_REGNAME = 8, /* reg-name (RFC 3986, 3.2.2) but ',' */
	HTTP_C_HEX = 16,
	HTTP_C_DIGIT = 32,
	HTTP_C_IPV6 = 64,   /* inside the brackets of an IP literal */
	HTTP_C_LOWER = 128, /* tchar but the uppercase letters */
};

extern const uint8_t http_class[256];
extern const uint8_t http_lower[256];

static inline bool http_is(char c, unsigned classes)
{
	return (http_class[(uint8_t)c] & classes) != 0;
}

static inline bool http_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* ASCII letters without case; b may be anything. */
static inline bool http_same(struct str a, struct str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		if (http_lower[(uint8_t)a.s[i]] != http_lower[(uint8_t)b.s[i]])
			return false;
	}
	return true;
}

static inline const char *http_scan_class(const char *p, const char *end, unsigned classes)
{
	while (p < end && http_is(*p, classes))
		p++;
	return p;
}

/* The first byte at or after p that may not be in a field value; end when there is none. */
static inline const char *http_scan_value(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i low = _mm_set1_epi8(0x1f), tab = _mm_set1_epi8('\t'),
	              del = _mm_set1_epi8(0x7f);

	while (end - p >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i bad = _mm_cmpeq_epi8(_mm_min_epu8(v, low), v);
		unsigned mask;

		bad = _mm_andnot_si128(_mm_cmpeq_epi8(v, tab), bad);
		mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(bad, _mm_cmpeq_epi8(v, del)));
		if (mask)
			return p + __builtin_ctz(mask);
		p += 16;
	}
#endif
	return http_scan_class(p, end, HTTP_C_VALUE);
}

/* The first byte at or after p that may not be in a request target; end when there is none. */
static inline const char *http_scan_target(const char *p, const char *end)
{
#ifdef __SSE2__
	const __m128i low = _mm_set1_epi8(0x21), hash = _mm_set1_epi8('#'),
	              del = _mm_set1_epi8(0x7f);

	while (end - p >= 16) {
		__m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
		__m128i bad = _mm_cmplt_epi8(v, low); /* signed: 0x80 and above too */
		unsigned mask;

		bad = _mm_or_si128(bad, _mm_cmpeq_epi8(v, hash));
		mask = (unsigned)_mm_movemask_epi8(_mm_or_si128(bad, _mm_cmpeq_epi8(v, del)));
		if (mask)
			return p + __builtin_ctz(mask);
		p += 16;
	}
#endif
	return http_scan_class(p, end, HTTP_C_TARGET);
}

/*
 * Goes through data byte by byte from where *scanned says, judging every byte; the authority on
 * what is refused. Returns the size of the head when it is whole, 0 when more is needed, or
 * -(enum http_fault).
 */
int http_scan_head(bool response, const char *data, size_t len, const struct http_limits *limits,
                   size_t *scanned);

/*
 * Parses the field lines from p on. Returns the end of the head, or NULL when it is not whole or
 * not well-formed: http_scan_head then says which.
 */
const char *http_parse_fields(struct http_head *h, const char *p, const char *end,
                              unsigned max_fields);

/* What fields mean for both kinds of messages: Connection, framing. HTTP_FAULT_NONE when well. */
enum http_fault http_finish_connection(struct http_head *h);
enum http_fault http_finish_length(struct http_head *h, bool *chunked, bool *sized);

/* host or host:port as Host and an authority have it; may be empty. */
bool http_host_valid(struct str host);

#endif
