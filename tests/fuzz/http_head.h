/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fuzz targets for requests and responses share: a head in pieces gets the same answer as
 * at once, and what was parsed holds together.
 */
#ifndef FUZZ_HTTP_HEAD_H
#define FUZZ_HTTP_HEAD_H

#include <stdlib.h>

#include "base/check.h"
#include "http/scan.h"

typedef int parse_fn(struct http_head *h, const char *data, size_t len,
                     const struct http_limits *limits, size_t *scanned);

static inline void inside(struct str s, const char *data, int size)
{
	CHECK(s.len == 0 || (s.s >= data && s.s + s.len <= data + size));
}

static inline void check_head(const struct http_head *h, const char *data, int size,
                              const struct http_limits *limits)
{
	const char *p = h->first_line.s + h->first_line.len;

	CHECK(h->size == (size_t)size && h->size <= limits->max_head);
	CHECK(h->nfields <= limits->max_fields && h->minor <= 1);
	CHECK(h->first_line.s == data || h->first_line.s == data + 2);
	inside(h->target, data, size);
	inside(h->query, data, size);
	inside(h->host, data, size);
	for (unsigned i = 0; i < h->nfields; i++) {
		const struct http_field *f = &h->fields[i];

		CHECK(f->line.s == p && f->name.s == p);
		CHECK(http_is_token(f->name) && http_is_value(f->value));
		CHECK(f->value.len == 0 ||
		      (!http_blank(f->value.s[0]) && !http_blank(f->value.s[f->value.len - 1])));
		CHECK(f->id < HTTP_FIELD_IDS && f->id == http_field_id_of(f->name));
		CHECK(http_has(h, f->id));
		p += f->line.len;
		CHECK(p[-2] == '\r' && p[-1] == '\n');
	}
	CHECK(p + 2 == data + size);
	if (h->body == HTTP_BODY_LENGTH)
		CHECK(h->length > 0 && http_has(h, HTTP_FIELD_CONTENT_LENGTH));
	if (h->body == HTTP_BODY_CHUNKED)
		CHECK(h->minor == 1 && !http_has(h, HTTP_FIELD_CONTENT_LENGTH));
}

/* Arrives in pieces that the input's own bytes choose, each time in fresh memory of that size. */
static inline int parse_pieces(parse_fn *parse, const char *data, size_t len,
                               const struct http_limits *limits, size_t step)
{
	static struct http_head h;
	size_t scanned = 0, at = 0;
	int n = 0;

	do {
		char *copy;

		at += step ? step : 1 + (at < len ? (uint8_t)data[at] % 13U : 0U);
		if (at > len)
			at = len;
		copy = malloc(at + 1);
		CHECK(copy != NULL);
		memcpy(copy, data, at);
		n = parse(&h, copy, at, limits, &scanned);
		if (n > 0)
			check_head(&h, copy, n, limits);
		free(copy);
	} while (n == 0 && at < len);
	return n;
}

static inline int fuzz_head(parse_fn *parse, bool response, const uint8_t *bytes, size_t len)
{
	static const struct http_limits limits = { 512, 2048, 20 };
	const char *data = (const char *)bytes;
	static struct http_head h;
	size_t scanned = 0;
	int whole, scan;

	if (len > 4096)
		return 0;
	whole = parse(&h, data, len, &limits, &scanned);
	CHECK(whole > -(int)HTTP_FAULTS && whole <= (int)len);
	if (whole > 0)
		check_head(&h, data, whole, &limits);
	scanned = 0;
	scan = http_scan_head(response, data, len, &limits, &scanned);
	if (whole >= 0)
		CHECK(scan == whole);
	if (scan <= 0)
		CHECK(scan == whole);
	else /* both ways through the bytes agree: only the meaning may be refused now */
		CHECK(whole != -(int)HTTP_FAULT_BAD_LINE);
	CHECK(parse_pieces(parse, data, len, &limits, 0) == whole);
	CHECK(parse_pieces(parse, data, len, &limits, 1 + len / 3) == whole);
	if (len < 256)
		CHECK(parse_pieces(parse, data, len, &limits, 1) == whole);
	return 0;
}

#endif
