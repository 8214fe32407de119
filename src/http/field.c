/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Header fields: splitting the lines of a head into names and values in one pass, knowing the names
 * the program looks for, and what the fields of both kinds of messages mean for the connection and
 * for the length of the body. The hot path of every role that speaks HTTP; no state of its own.
 */
#include "base/check.h"
#include "http/scan.h"

/* At most so many names in Connection: each costs a walk through the fields. */
#define MAX_CONNECTION_OPTIONS 64

static const struct str names[HTTP_FIELD_IDS] = {
#define ROW(id, name) [HTTP_FIELD_##id] = { name, sizeof(name) - 1 },
	HTTP_FIELD_ROWS(ROW)
#undef ROW
};

/* Length and first letter decide between all names but two. */
static enum http_field_id candidate(const char *s, size_t len)
{
#define KEY(len, first) ((len) << 8 | (first))
	switch (KEY(len, (uint8_t)s[0] | 0x20U)) {
	case KEY(2, 't'):
		return HTTP_FIELD_TE;
	case KEY(4, 'h'):
		return HTTP_FIELD_HOST;
	case KEY(4, 'd'):
		return HTTP_FIELD_DATE;
	case KEY(6, 'e'):
		return HTTP_FIELD_EXPECT;
	case KEY(6, 's'):
		return HTTP_FIELD_SERVER;
	case KEY(6, 'a'):
		return HTTP_FIELD_ACCEPT;
	case KEY(6, 'c'):
		return HTTP_FIELD_COOKIE;
	case KEY(7, 't'):
		return HTTP_FIELD_TRAILER;
	case KEY(7, 'u'):
		return HTTP_FIELD_UPGRADE;
	case KEY(7, 'r'):
		return HTTP_FIELD_REFERER;
	case KEY(8, 'l'):
		return HTTP_FIELD_LOCATION;
	case KEY(9, 'f'):
		return HTTP_FIELD_FORWARDED;
	case KEY(10, 'c'):
		return HTTP_FIELD_CONNECTION;
	case KEY(10, 'k'):
		return HTTP_FIELD_KEEP_ALIVE;
	case KEY(10, 'u'):
		return HTTP_FIELD_USER_AGENT;
	case KEY(11, 'r'):
		return HTTP_FIELD_RETRY_AFTER;
	case KEY(12, 'c'):
		return HTTP_FIELD_CONTENT_TYPE;
	case KEY(12, 'x'):
		return HTTP_FIELD_X_REQUEST_ID;
	case KEY(13, 'a'):
		return HTTP_FIELD_AUTHORIZATION;
	case KEY(14, 'c'):
		return HTTP_FIELD_CONTENT_LENGTH;
	case KEY(15, 'x'):
		return HTTP_FIELD_X_FORWARDED_FOR;
	case KEY(15, 'h'):
		return HTTP_FIELD_HOLDFAST_REASON;
	case KEY(16, 'p'):
		return HTTP_FIELD_PROXY_CONNECTION;
	case KEY(16, 'x'):
		return (s[12] | 0x20) == 'h' ? HTTP_FIELD_X_FORWARDED_HOST
		                             : HTTP_FIELD_X_FORWARDED_PORT;
	case KEY(17, 't'):
		return HTTP_FIELD_TRANSFER_ENCODING;
	case KEY(17, 'x'):
		return HTTP_FIELD_X_FORWARDED_PROTO;
	case KEY(18, 'p'):
		return HTTP_FIELD_PROXY_AUTHENTICATE;
	case KEY(19, 'p'):
		return HTTP_FIELD_PROXY_AUTHORIZATION;
	default:
		return HTTP_FIELD_OTHER;
	}
#undef KEY
}

/* A word of eight bytes with the letters in lower case; other token bytes may change. */
static inline uint64_t fold8(const char *s)
{
	uint64_t w;

	memcpy(&w, s, 8);
	return w | 0x2020202020202020ULL;
}

/*
 * s is a token, known is in lower case: letters and '-' only. Setting bit 5 maps no other token
 * byte to those.
 */
static bool same_token(const char *s, const char *known, size_t len)
{
	size_t i = 0;

	if (len < 8) {
		for (; i < len; i++) {
			if ((s[i] | 0x20) != known[i])
				return false;
		}
		return true;
	}
	for (; i + 8 <= len; i += 8) {
		if (fold8(s + i) != fold8(known + i))
			return false;
	}
	return fold8(s + len - 8) == fold8(known + len - 8);
}

static inline enum http_field_id id_of_token(const char *s, size_t len)
{
	enum http_field_id id = candidate(s, len);

	if (id != HTTP_FIELD_OTHER && !same_token(s, names[id].s, len))
		id = HTTP_FIELD_OTHER;
	return id;
}

enum http_field_id http_field_id_of(struct str name)
{
	if (!http_is_token(name))
		return HTTP_FIELD_OTHER;
	return id_of_token(name.s, name.len);
}

const char *http_parse_fields(struct http_head *h, const char *p, const char *end,
                              unsigned max_fields)
{
	for (;;) {
		const char *line = p, *from, *to;
		struct http_field *f;

		if (unlikely(end - p < 2))
			return NULL;
		if (*p == '\r')
			return p[1] == '\n' ? p + 2 : NULL;
		p = http_scan_class(p, end, HTTP_C_TOKEN);
		if (unlikely(p == end || *p != ':' || p == line || h->nfields == max_fields))
			return NULL;
		f = &h->fields[h->nfields++];
		f->name = str_n(line, (size_t)(p - line));
		p++;
		while (p < end && http_blank(*p))
			p++;
		from = p;
		p = http_scan_value(p, end);
		if (unlikely(end - p < 2 || p[0] != '\r' || p[1] != '\n'))
			return NULL;
		to = p;
		while (to > from && http_blank(to[-1]))
			to--;
		f->value = str_n(from, (size_t)(to - from));
		p += 2;
		f->line = str_n(line, (size_t)(p - line));
		f->id = (uint8_t)id_of_token(f->name.s, f->name.len);
		f->hop = f->id != HTTP_FIELD_OTHER && f->id <= HTTP_FIELD_UPGRADE;
		h->seen |= (uint64_t)1 << f->id;
	}
}

const struct http_field *http_field(const struct http_head *h, enum http_field_id id)
{
	if (!http_has(h, id))
		return NULL;
	for (unsigned i = 0; i < h->nfields; i++) {
		if (h->fields[i].id == id)
			return &h->fields[i];
	}
	return NULL;
}

const struct http_field *http_field_named(const struct http_head *h, struct str name)
{
	for (unsigned i = 0; i < h->nfields; i++) {
		if (http_same(h->fields[i].name, name))
			return &h->fields[i];
	}
	return NULL;
}

/* Takes the next member of a comma-separated list off *rest; false at its end. */
static bool next_member(struct str *rest, struct str *ret)
{
	while (rest->len > 0) {
		const char *end = rest->s + rest->len, *p = memchr(rest->s, ',', rest->len);
		const char *from = rest->s, *to = p ? p : end;

		*rest = p ? str_n(p + 1, (size_t)(end - p - 1)) : STR_NONE;
		while (from < to && http_blank(*from))
			from++;
		while (to > from && http_blank(to[-1]))
			to--;
		if (to > from) {
			*ret = str_n(from, (size_t)(to - from));
			return true;
		}
	}
	return false;
}

bool http_list_has(struct str value, struct str token)
{
	struct str member;

	while (next_member(&value, &member)) {
		if (http_same(member, token))
			return true;
	}
	return false;
}

/* Fields that Connection names belong to this hop; never those that the message hangs on. */
static void mark_hop(struct http_head *h, struct str name)
{
	for (unsigned i = 0; i < h->nfields; i++) {
		struct http_field *f = &h->fields[i];

		if (f->name.len == name.len && f->id != HTTP_FIELD_HOST &&
		    f->id != HTTP_FIELD_CONTENT_LENGTH && http_same(f->name, name))
			f->hop = true;
	}
}

/* RFC 9110, 7.6.1; RFC 9112, 9.3 */
enum http_fault http_finish_connection(struct http_head *h)
{
	bool close = false, keep = false, upgrade = false;
	unsigned options = 0;

	h->close = h->minor == 0;
	if (!http_has(h, HTTP_FIELD_CONNECTION))
		return HTTP_FAULT_NONE;
	for (unsigned i = 0; i < h->nfields; i++) {
		struct str rest = h->fields[i].value, option;

		if (h->fields[i].id != HTTP_FIELD_CONNECTION)
			continue;
		while (next_member(&rest, &option)) {
			if (http_same(option, STR("close")))
				close = true;
			else if (http_same(option, STR("keep-alive")))
				keep = true;
			else if (http_same(option, STR("upgrade")))
				upgrade = true;
			else if (++options > MAX_CONNECTION_OPTIONS)
				return HTTP_FAULT_TOO_MANY_FIELDS;
			else
				mark_hop(h, option);
		}
	}
	h->close = close || (h->minor == 0 && !keep);
	h->upgrade = upgrade && h->minor > 0 && http_has(h, HTTP_FIELD_UPGRADE);
	return HTTP_FAULT_NONE;
}

static bool parse_length(struct str s, uint64_t *ret)
{
	uint64_t n = 0;

	if (s.len == 0 || s.len > 19)
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!http_is(s.s[i], HTTP_C_DIGIT))
			return false;
		n = n * 10 + (uint64_t)(s.s[i] - '0');
	}
	*ret = n;
	return n <= INT64_MAX;
}

/* RFC 9112, 6.1 to 6.3: what leaves room for two readings is refused. */
enum http_fault http_finish_length(struct http_head *h, bool *chunked, bool *sized)
{
	*chunked = *sized = false;
	if (likely(!http_has(h, HTTP_FIELD_CONTENT_LENGTH) &&
	           !http_has(h, HTTP_FIELD_TRANSFER_ENCODING)))
		return HTTP_FAULT_NONE;
	for (unsigned i = 0; i < h->nfields; i++) {
		const struct http_field *f = &h->fields[i];

		if (f->id == HTTP_FIELD_CONTENT_LENGTH) {
			if (!parse_length(f->value, &h->length))
				return HTTP_FAULT_BAD_LENGTH;
			if (*sized)
				return HTTP_FAULT_TWO_LENGTHS;
			*sized = true;
		} else if (f->id == HTTP_FIELD_TRANSFER_ENCODING) {
			if (*chunked || !http_same(f->value, STR("chunked")))
				return HTTP_FAULT_BAD_CODING;
			*chunked = true;
		}
	}
	if (*chunked && *sized)
		return HTTP_FAULT_BOTH_LENGTHS;
	if (*chunked && h->minor == 0)
		return HTTP_FAULT_CODING_IN_10;
	return HTTP_FAULT_NONE;
}
