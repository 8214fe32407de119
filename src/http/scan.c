/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The byte classes, and the careful way through a head: a state machine that judges byte by byte
 * and can stop and go on anywhere. The parser runs it when a head is not whole yet (what came is
 * judged once, so the total work stays linear) and when it met something it does not like (to learn
 * what). Called from every thread; no state of its own.
 */
#include "http/scan.h"

#include "base/check.h"

#define HEXLETTER \
	(HTTP_C_TOKEN | HTTP_C_VALUE | HTTP_C_TARGET | HTTP_C_REGNAME | HTTP_C_HEX | HTTP_C_IPV6)
#define LETTER (HTTP_C_TOKEN | HTTP_C_VALUE | HTTP_C_TARGET | HTTP_C_REGNAME)
#define NUMBER (HEXLETTER | HTTP_C_DIGIT | HTTP_C_LOWER)
#define MARK   (LETTER | HTTP_C_LOWER)
#define DELIM  (HTTP_C_VALUE | HTTP_C_TARGET)

const uint8_t http_class[256] = {
	['\t'] = HTTP_C_VALUE,
	[' '] = HTTP_C_VALUE,
	['!'] = MARK,
	['"'] = DELIM,
	['#'] = HTTP_C_TOKEN | HTTP_C_VALUE | HTTP_C_LOWER,
	['$'] = MARK,
	['%'] = MARK,
	['&'] = MARK,
	['\''] = MARK,
	['('] = DELIM | HTTP_C_REGNAME,
	[')'] = DELIM | HTTP_C_REGNAME,
	['*'] = MARK,
	['+'] = MARK,
	[','] = DELIM,
	['-'] = MARK,
	['.'] = MARK | HTTP_C_IPV6,
	['/'] = DELIM,
	['0' ... '9'] = NUMBER,
	[':'] = DELIM | HTTP_C_IPV6,
	[';'] = DELIM | HTTP_C_REGNAME,
	['<'] = DELIM,
	['='] = DELIM | HTTP_C_REGNAME,
	['>'] = DELIM,
	['?'] = DELIM,
	['@'] = DELIM,
	['A' ... 'F'] = HEXLETTER,
	['G' ... 'Z'] = LETTER,
	['['] = DELIM,
	['\\'] = DELIM,
	[']'] = DELIM,
	['^'] = HTTP_C_TOKEN | DELIM | HTTP_C_LOWER,
	['_'] = MARK,
	['`'] = HTTP_C_TOKEN | DELIM | HTTP_C_LOWER,
	['a' ... 'f'] = HEXLETTER | HTTP_C_LOWER,
	['g' ... 'z'] = LETTER | HTTP_C_LOWER,
	['{'] = DELIM,
	['|'] = HTTP_C_TOKEN | DELIM | HTTP_C_LOWER,
	['}'] = DELIM,
	['~'] = MARK,
	[0x80 ... 0xff] = HTTP_C_VALUE,
};

#define SELF4(n)  (n), (n) + 1, (n) + 2, (n) + 3
#define SELF16(n) SELF4(n), SELF4((n) + 4), SELF4((n) + 8), SELF4((n) + 12)

const uint8_t http_lower[256] = {
	SELF16(0),    SELF16(16),   SELF16(32),   SELF16(48),   0x40,         'a',
	'b',          'c',          'd',          'e',          'f',          'g',
	'h',          'i',          'j',          'k',          'l',          'm',
	'n',          'o',          'p',          'q',          'r',          's',
	't',          'u',          'v',          'w',          'x',          'y',
	'z',          SELF4(0x5b),  0x5f,         SELF16(0x60), SELF16(0x70), SELF16(0x80),
	SELF16(0x90), SELF16(0xa0), SELF16(0xb0), SELF16(0xc0), SELF16(0xd0), SELF16(0xe0),
	SELF16(0xf0),
};

/* Where in a head the next byte is. */
enum state {
	START,      /* requests: first byte, an empty line may precede */
	START_LF,   /* the LF of that empty line */
	LINE_START, /* the first byte of the request line after an empty line */
	METHOD,
	TARGET_START,
	TARGET,
	VERSION, /* VERSION + n: n bytes of "HTTP/1.1" are there */
	VERSION_LAST = VERSION + 7,
	REQUEST_CR,
	STATUS_SP,
	STATUS, /* STATUS + n: n digits are there */
	STATUS_LAST = STATUS + 2,
	REASON_SP,
	REASON,
	FIRST_LF, /* the LF of the first line; states up to here are of the first line */
	FIELD_START,
	NAME,
	VALUE,
	VALUE_LF,
	END_LF,
	END,
	BAD = 64, /* BAD + fault */
};

/* *scanned holds all there is to go on with: position, fields so far, state. */
#define SCANNED_POS(v)    ((size_t)((v)&0xffffffff))
#define SCANNED_FIELDS(v) ((unsigned)((v) >> 32 & 0xffff))
#define SCANNED_STATE(v)  ((unsigned)((v) >> 48))
_Static_assert(sizeof(size_t) == 8, "*scanned packs three numbers into 64 bits");

static unsigned bad(enum http_fault f)
{
	return BAD + f;
}

static unsigned step_method(unsigned state, char c)
{
	switch (state) {
	case START:
		if (c == '\r')
			return START_LF;
		/* fall through */
	case LINE_START:
		if (c == '\n')
			return bad(HTTP_FAULT_BARE_LF);
		return http_is(c, HTTP_C_TOKEN) ? METHOD : bad(HTTP_FAULT_BAD_METHOD);
	case START_LF:
		return c == '\n' ? LINE_START : bad(HTTP_FAULT_BARE_LF);
	default: /* METHOD */
		if (http_is(c, HTTP_C_TOKEN))
			return METHOD;
		if (c == ' ')
			return TARGET_START;
		return bad(c == '\n' ? HTTP_FAULT_BARE_LF : HTTP_FAULT_BAD_METHOD);
	}
}

static unsigned step_target(unsigned state, char c)
{
	if (http_is(c, HTTP_C_TARGET))
		return TARGET;
	if (c == ' ' && state == TARGET)
		return VERSION;
	if (c == '\n')
		return bad(HTTP_FAULT_BARE_LF);
	if (c == '\r' && state == TARGET) /* HTTP/0.9 */
		return bad(HTTP_FAULT_BAD_LINE);
	return bad(HTTP_FAULT_BAD_TARGET);
}

static unsigned step_version(bool response, unsigned state, char c)
{
	static const char want[] = "HTTP/1.1";

	if (state == VERSION_LAST) {
		if (c == '0' || c == '1')
			return response ? STATUS_SP : REQUEST_CR;
		return bad(http_is(c, HTTP_C_DIGIT) ? HTTP_FAULT_BAD_VERSION : HTTP_FAULT_BAD_LINE);
	}
	if (c == want[state - VERSION])
		return state + 1;
	if (c == '\n')
		return bad(HTTP_FAULT_BARE_LF);
	if (state == VERSION + 5 && http_is(c, HTTP_C_DIGIT))
		return bad(HTTP_FAULT_BAD_VERSION);
	return bad(HTTP_FAULT_BAD_LINE);
}

static unsigned step_first_end(unsigned state, char c)
{
	switch (state) {
	case REQUEST_CR:
		if (c == '\r')
			return FIRST_LF;
		return bad(c == '\n' ? HTTP_FAULT_BARE_LF : HTTP_FAULT_BAD_LINE);
	case STATUS_SP:
		return c == ' ' ? STATUS : bad(HTTP_FAULT_BAD_LINE);
	case STATUS:
		return c >= '1' && c <= '9' ? STATUS + 1 : bad(HTTP_FAULT_BAD_STATUS);
	case STATUS + 1:
	case STATUS_LAST:
		return http_is(c, HTTP_C_DIGIT) ? state + 1 : bad(HTTP_FAULT_BAD_STATUS);
	case REASON_SP:
		if (c == ' ')
			return REASON;
		if (c == '\r') /* without the blank: many servers do so */
			return FIRST_LF;
		return bad(c == '\n' ? HTTP_FAULT_BARE_LF : HTTP_FAULT_BAD_STATUS);
	case REASON:
		if (http_is(c, HTTP_C_VALUE))
			return REASON;
		if (c == '\r')
			return FIRST_LF;
		return bad(c == '\n' ? HTTP_FAULT_BARE_LF : HTTP_FAULT_CONTROL_BYTE);
	default: /* FIRST_LF */
		return c == '\n' ? FIELD_START : bad(HTTP_FAULT_BARE_LF);
	}
}

static unsigned step_field(unsigned state, char c)
{
	switch (state) {
	case FIELD_START:
		if (c == '\r')
			return END_LF;
		if (http_blank(c)) /* RFC 9112, 5.2; after the first line: 2.2 */
			return bad(HTTP_FAULT_FOLDING);
		if (http_is(c, HTTP_C_TOKEN))
			return NAME;
		return bad(c == '\n' ? HTTP_FAULT_BARE_LF : HTTP_FAULT_BAD_NAME);
	case NAME:
		if (http_is(c, HTTP_C_TOKEN))
			return NAME;
		if (c == ':')
			return VALUE;
		return bad(c == '\n' ? HTTP_FAULT_BARE_LF : HTTP_FAULT_BAD_NAME);
	case VALUE:
		if (http_is(c, HTTP_C_VALUE))
			return VALUE;
		if (c == '\r')
			return VALUE_LF;
		return bad(c == '\n' ? HTTP_FAULT_BARE_LF : HTTP_FAULT_CONTROL_BYTE);
	case VALUE_LF:
		return c == '\n' ? FIELD_START : bad(HTTP_FAULT_BARE_LF);
	default: /* END_LF */
		return c == '\n' ? END : bad(HTTP_FAULT_BARE_LF);
	}
}

static unsigned step(bool response, unsigned state, char c)
{
	if (state >= FIELD_START)
		return step_field(state, c);
	if (state >= REQUEST_CR)
		return step_first_end(state, c);
	if (state >= VERSION)
		return step_version(response, state, c);
	if (state >= TARGET_START)
		return step_target(state, c);
	return step_method(state, c);
}

int http_scan_head(bool response, const char *data, size_t len, const struct http_limits *limits,
                   size_t *scanned)
{
	size_t pos = SCANNED_POS(*scanned);
	unsigned fields = SCANNED_FIELDS(*scanned), state = SCANNED_STATE(*scanned);
	unsigned max_fields = MIN(limits->max_fields, HTTP_MAX_FIELDS);

	if (pos == 0)
		state = response ? VERSION : START;
	for (; pos < len; pos++) {
		if (pos >= limits->max_line && state <= FIRST_LF)
			return -(int)HTTP_FAULT_LINE_TOO_LONG;
		if (pos >= limits->max_head)
			return -(int)HTTP_FAULT_HEAD_TOO_LARGE;
		state = step(response, state, data[pos]);
		if (state >= BAD)
			return -(int)(state - BAD);
		if (state == END)
			return (int)(pos + 1);
		if (state == VALUE_LF && ++fields > max_fields)
			return -(int)HTTP_FAULT_TOO_MANY_FIELDS;
	}
	*scanned = pos | (size_t)fields << 32 | (size_t)state << 48;
	return 0;
}
