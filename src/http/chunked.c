/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The chunked coding (RFC 9112, 7.1), strict: sizes in hex digits only, CRLF only, extensions and
 * trailers of bounded length. A state machine that stops and goes on anywhere.
 */
#include "base/check.h"
#include "http/scan.h"

#define MAX_SIZE_LINE 256 /* bytes of a size with its extensions */

enum {
	SIZE_START,
	SIZE,
	BLANK, /* after the size: only an extension may follow */
	EXTENSION,
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	TRAILER_START,
	TRAILER_NAME,
	TRAILER_VALUE,
	TRAILER_LF,
	END_LF,
};

void http_chunked_init(struct http_chunked *c)
{
	*c = (struct http_chunked){ .state = SIZE_START };
}

static bool add_digit(struct http_chunked *c, char digit)
{
	unsigned n = http_lower[(uint8_t)digit];

	if (c->left >> 58) /* more than any file; keeps sums of sizes far from overflow */
		return false;
	c->left = c->left << 4 | (n <= '9' ? n - '0' : n - 'a' + 10);
	c->state = SIZE;
	return true;
}

/* One byte of the size line; false when it may not stand there. */
static bool step_size(struct http_chunked *c, char b)
{
	if (++c->line > MAX_SIZE_LINE)
		return false;
	switch (c->state) {
	case SIZE_START:
		c->left = 0;
		return http_is(b, HTTP_C_HEX) && add_digit(c, b);
	case SIZE:
		if (http_is(b, HTTP_C_HEX))
			return add_digit(c, b);
		/* fall through */
	case BLANK:
		if (b == ';')
			c->state = EXTENSION;
		else if (http_blank(b))
			c->state = BLANK;
		else if (b == '\r' && c->state == SIZE)
			c->state = SIZE_LF;
		else
			return false;
		return true;
	case EXTENSION:
		if (b == '\r')
			c->state = SIZE_LF;
		else if (!http_is(b, HTTP_C_VALUE))
			return false;
		return true;
	default: /* SIZE_LF */
		if (b != '\n')
			return false;
		c->line = 0;
		c->state = c->left > 0 ? DATA : TRAILER_START;
		return true;
	}
}

static bool step_trailer(struct http_chunked *c, char b)
{
	if (++c->line > HTTP_MAX_TRAILERS)
		return false;
	switch (c->state) {
	case TRAILER_START:
		if (b == '\r')
			c->state = END_LF;
		else if (http_is(b, HTTP_C_TOKEN))
			c->state = TRAILER_NAME;
		else
			return false;
		return true;
	case TRAILER_NAME:
		if (b == ':')
			c->state = TRAILER_VALUE;
		else if (!http_is(b, HTTP_C_TOKEN))
			return false;
		return true;
	case TRAILER_VALUE:
		if (b == '\r')
			c->state = TRAILER_LF;
		else if (!http_is(b, HTTP_C_VALUE))
			return false;
		return true;
	case TRAILER_LF:
		c->state = TRAILER_START;
		return b == '\n';
	default: /* END_LF */
		c->done = true;
		return b == '\n';
	}
}

/* The lines of trailers at the start of data; the empty line that ends them is not one. Bytes gone
 * through, or -1 when one may not stand there. */
static ssize_t scan_lines(struct http_chunked *c, const char *data, size_t len, struct str *lines)
{
	size_t pos = 0, end = 0;

	while (pos < len && !c->done) {
		const bool last =
		    c->state == END_LF || (c->state == TRAILER_START && data[pos] == '\r');

		if (!step_trailer(c, data[pos++]))
			return -1;
		if (!last)
			end = pos;
	}
	*lines = str_n(data, end);
	return (ssize_t)pos;
}

static ssize_t scan(struct http_chunked *c, const char *data, size_t len, struct str *payload,
                    struct str *trailers)
{
	size_t pos = 0, run;
	ssize_t n;

	while (pos < len && !c->done) {
		switch (c->state) {
		case DATA:
			run = MIN(c->left, len - pos);
			c->left -= run;
			if (c->left == 0)
				c->state = DATA_CR;
			pos += run;
			if (!payload)
				continue;
			*payload = str_n(data + pos - run, run);
			return (ssize_t)pos;
		case DATA_CR:
			if (data[pos++] != '\r')
				return -(int)HTTP_FAULT_BAD_CHUNK;
			c->state = DATA_LF;
			break;
		case DATA_LF:
			if (data[pos++] != '\n')
				return -(int)HTTP_FAULT_BAD_CHUNK;
			c->state = SIZE_START;
			break;
		default:
			if (c->state < DATA) {
				if (!step_size(c, data[pos++]))
					return -(int)HTTP_FAULT_BAD_CHUNK;
			} else if (trailers) {
				n = scan_lines(c, data + pos, len - pos, trailers);
				return n < 0 ? -(int)HTTP_FAULT_BAD_TRAILER : (ssize_t)pos + n;
			} else if (!step_trailer(c, data[pos++])) {
				return -(int)HTTP_FAULT_BAD_TRAILER;
			}
		}
	}
	return (ssize_t)pos;
}

ssize_t http_chunked_scan(struct http_chunked *c, const char *data, size_t len, struct str *payload)
{
	if (payload)
		*payload = STR_NONE;
	return scan(c, data, len, payload, NULL);
}

ssize_t http_chunked_unpack(struct http_chunked *c, const char *data, size_t len,
                            struct str *payload, struct str *trailers)
{
	*payload = *trailers = STR_NONE;
	return scan(c, data, len, payload, trailers);
}

struct str http_chunk_pack(char *out, struct str data, bool last)
{
	static const char hex[] = "0123456789abcdef";
	char *p = out;

	if (data.len > 0) {
		unsigned shift = 60;

		while (data.len >> shift == 0)
			shift -= 4;
		for (;; shift -= 4) {
			*p++ = hex[data.len >> shift & 15];
			if (shift == 0)
				break;
		}
		p = mempcpy(p, "\r\n", 2);
		p = mempcpy(p, data.s, data.len);
		p = mempcpy(p, "\r\n", 2);
	}
	if (last)
		p = mempcpy(p, "0\r\n\r\n", 5);
	return str_n(out, (size_t)(p - out));
}
