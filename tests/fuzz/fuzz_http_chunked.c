/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a chunked body: forwarding and unwrapping agree, whatever the pieces; what was
 * accepted decodes to the same with a plain second reader.
 */
#include <stdlib.h>

#include "base/check.h"
#include "http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_INPUT 4096

/* The trailers of what was unwrapped last. */
static char lines[MAX_INPUT];
static size_t nlines;

static ssize_t run(const char *data, size_t len, size_t step, bool unwrap, char *out, size_t *olen,
                   bool *done)
{
	struct http_chunked c;
	size_t pos = 0;

	http_chunked_init(&c);
	*olen = nlines = 0;
	*done = false;
	while (pos < len && !c.done) {
		size_t want = MIN(len - pos, step ? step : 1 + (size_t)((uint8_t)data[pos] % 11));
		char *copy = malloc(want);
		struct str run_of, trailers;
		ssize_t n;

		CHECK(copy != NULL);
		memcpy(copy, data + pos, want);
		n = unwrap ? http_chunked_unpack(&c, copy, want, &run_of, &trailers)
		           : http_chunked_scan(&c, copy, want, NULL);
		if (n > 0 && unwrap && trailers.len > 0) {
			CHECK(run_of.len == 0);
			CHECK(trailers.s >= copy && trailers.s + trailers.len <= copy + want);
			memcpy(lines + nlines, trailers.s, trailers.len);
			nlines += trailers.len;
		}
		if (n > 0 && unwrap && run_of.len > 0) {
			CHECK(run_of.s >= copy && run_of.s + run_of.len <= copy + want);
			memcpy(out + *olen, run_of.s, run_of.len);
			*olen += run_of.len;
		}
		free(copy);
		if (n < 0)
			return n;
		CHECK(n > 0 && (size_t)n <= want);
		CHECK(unwrap || c.done || (size_t)n == want);
		pos += (size_t)n;
	}
	*done = c.done;
	return (ssize_t)pos;
}

/* The second reader: for bodies known to be well-formed. */
static size_t plain(const char *data, char *out)
{
	size_t olen = 0;

	for (;;) {
		size_t n = strtoull(data, NULL, 16);

		data = (const char *)rawmemchr(data, '\n') + 1;
		if (n == 0)
			return olen;
		memcpy(out + olen, data, n);
		olen += n;
		data += n + 2;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
	static char first[MAX_INPUT], other[MAX_INPUT], first_lines[MAX_INPUT];
	const char *data = (const char *)bytes;
	size_t len, olen, nfirst;
	ssize_t whole, n;
	bool done, odone;

	if (size > MAX_INPUT)
		return 0;
	whole = run(data, size, size ? size : 1, true, first, &len, &done);
	memcpy(first_lines, lines, nlines);
	nfirst = nlines;
	CHECK(!done || nlines == 0 || (nlines > 3 && memcmp(lines + nlines - 2, "\r\n", 2) == 0));
	for (size_t step = 0; step < 4; step++) {
		n = run(data, size, step, true, other, &olen, &odone);
		CHECK(n == whole && odone == done && olen == len && memcmp(first, other, len) == 0);
		CHECK(!done || (nlines == nfirst && memcmp(lines, first_lines, nfirst) == 0));
		n = run(data, size, step, false, other, &olen, &odone);
		CHECK(n == whole && odone == done);
	}
	if (done) {
		CHECK(plain(data, other) == len);
		CHECK(memcmp(first, other, len) == 0);
	}
	return 0;
}
