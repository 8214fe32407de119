/* SPDX-License-Identifier: Apache-2.0 */
/* The ClientHello; see hello.h. Sections are those of RFC 8446 where no other is named. */
#include "proxy/hello.h"

#include "base/check.h"

#define RECORD_HEADER  5
#define RECORD_MAX     16384 /* of plaintext (5.1) */
#define HANDSHAKE      22
#define CLIENT_HELLO   1
#define EXTENSION_SNI  0
#define NAME_TYPE_HOST 0
#define RANDOM_SIZE    32
#define SESSION_ID_MAX 32

/* Bytes of the handshake that lie in one or several records, read in order. */
struct reader {
	const uint8_t *p;
	size_t len;
	size_t at;      /* of the next byte, or of a record's header */
	size_t record;  /* bytes left of the present record */
	enum hello end; /* why there is no next byte: HELLO_MORE, or what it is instead */
	const char *why;
};

static bool stop(struct reader *r, enum hello end, const char *why)
{
	r->end = end;
	r->why = why;
	return false;
}

/* Goes to the next record. */
static bool next_record(struct reader *r)
{
	const uint8_t *h = r->p + r->at;
	size_t n, have = r->len - r->at;

	if (have > 0 && h[0] != HANDSHAKE)
		return stop(r, r->at == 0 ? HELLO_OTHER : HELLO_BAD,
		            r->at == 0 ? "what came is no TLS"
		                       : "another record lies within the ClientHello");
	if (have > 1 && h[1] != 3)
		return stop(r, r->at == 0 ? HELLO_OTHER : HELLO_BAD,
		            "a record is of no known version of TLS");
	if (have < RECORD_HEADER)
		return stop(r, HELLO_MORE, NULL);
	n = (size_t)h[3] << 8 | h[4];
	/* "Implementations MUST NOT send zero-length fragments of Handshake types" (5.1) */
	if (n == 0 || n > RECORD_MAX)
		return stop(r, HELLO_BAD, "a record of the ClientHello is empty or too large");
	r->at += RECORD_HEADER;
	r->record = n;
	return true;
}

static bool byte(struct reader *r, uint8_t *ret)
{
	if (r->record == 0 && !next_record(r))
		return false;
	if (r->at == r->len)
		return stop(r, HELLO_MORE, NULL);
	*ret = r->p[r->at++];
	r->record--;
	return true;
}

static bool number(struct reader *r, unsigned bytes, size_t *ret)
{
	uint8_t b;

	*ret = 0;
	while (bytes-- > 0) {
		if (!byte(r, &b))
			return false;
		*ret = *ret << 8 | b;
	}
	return true;
}

static bool skip(struct reader *r, size_t n)
{
	while (n > 0) {
		size_t step;

		if (r->record == 0 && !next_record(r))
			return false;
		step = MIN(n, MIN(r->record, r->len - r->at));
		if (step == 0)
			return stop(r, HELLO_MORE, NULL);
		r->at += step;
		r->record -= step;
		n -= step;
	}
	return true;
}

static bool bad(struct reader *r)
{
	return stop(r, HELLO_BAD, "the lengths within the ClientHello contradict each other");
}

/* A vector's length, of that many bytes, which must fit what is left of what holds it. */
static bool vector(struct reader *r, unsigned bytes, size_t *left, size_t *ret)
{
	if (*left < bytes)
		return bad(r);
	if (!number(r, bytes, ret))
		return false;
	*left -= bytes;
	if (*ret > *left)
		return bad(r);
	*left -= *ret;
	return true;
}

static bool is_host_byte(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_';
}

/* ServerNameList (RFC 6066, 3): names of other types are passed over. */
static bool read_names(struct reader *r, size_t left, char *out, struct str *ret)
{
	size_t list, type, n, i;
	uint8_t c;

	if (!vector(r, 2, &left, &list))
		return false;
	if (left > 0 || list == 0)
		return bad(r);
	while (list > 0) {
		if (!number(r, 1, &type))
			return false;
		list--;
		if (!vector(r, 2, &list, &n))
			return false;
		if (type != NAME_TYPE_HOST || ret->len > 0) {
			if (!skip(r, n))
				return false;
			continue;
		}
		if (n == 0 || n >= HELLO_NAME)
			return stop(r, HELLO_BAD,
			            "the host name in the ClientHello is empty or too long");
		for (i = 0; i < n; i++) {
			if (!byte(r, &c))
				return false;
			c = c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
			if (!is_host_byte(c))
				return stop(r, HELLO_BAD,
				            "the host name in the ClientHello is none");
			out[i] = (char)c;
		}
		*ret = str_n(out, n > 1 && out[n - 1] == '.' ? n - 1 : n);
	}
	return true;
}

/* The body of the handshake message (4.1.2). */
static bool read_body(struct reader *r, size_t left, char *out, struct str *ret)
{
	size_t n, type;

	if (left < 2 + RANDOM_SIZE)
		return bad(r);
	if (!skip(r, 2 + RANDOM_SIZE))
		return false;
	left -= 2 + RANDOM_SIZE;
	if (!vector(r, 1, &left, &n))
		return false;
	if (n > SESSION_ID_MAX)
		return bad(r);
	if (!skip(r, n) || !vector(r, 2, &left, &n) || !skip(r, n) || /* cipher suites */
	    !vector(r, 1, &left, &n) || !skip(r, n))                  /* compression methods */
		return false;
	if (left == 0) /* "extensions ... might not be present" before TLS 1.3 */
		return true;
	if (!vector(r, 2, &left, &n))
		return false;
	if (left > 0)
		return bad(r);
	/* Unknown extensions, reserved ones (RFC 8701) among them, are passed over. */
	for (left = n; left > 0;) {
		bool fits;

		if (left < 4)
			return bad(r);
		if (!number(r, 2, &type))
			return false;
		left -= 2;
		if (!vector(r, 2, &left, &n))
			return false;
		fits = type == EXTENSION_SNI && ret->len == 0 ? read_names(r, n, out, ret)
		                                              : skip(r, n);
		if (!fits)
			return false;
	}
	return true;
}

enum hello hello_read(const void *data, size_t len, char out[HELLO_NAME], struct str *ret_name,
                      const char **ret_why)
{
	struct reader r = { .p = data, .len = MIN(len, (size_t)HELLO_MAX) };
	size_t type, size;
	struct str name = STR_NONE;
	bool whole;

	*ret_name = STR_NONE;
	*ret_why = NULL;
	/* What begins like TLS and carries another message is broken, and what is longer than is
	 * looked at is too large. */
	whole = number(&r, 1, &type);
	if (whole && type != CLIENT_HELLO)
		whole = stop(&r, HELLO_BAD, "the first message is no ClientHello");
	whole = whole && number(&r, 3, &size);
	if (whole && size > HELLO_MAX)
		whole = stop(&r, HELLO_BAD, "the ClientHello is larger than 16 KiB");
	whole = whole && read_body(&r, size, out, &name);
	if (whole) {
		*ret_name = name;
		return name.len > 0 ? HELLO_NAMED : HELLO_NAMELESS;
	}
	if (r.end == HELLO_MORE && len >= HELLO_MAX) {
		*ret_why = "the ClientHello is larger than 16 KiB";
		return HELLO_BAD;
	}
	*ret_why = r.why;
	return r.end;
}
