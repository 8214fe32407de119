/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 fields as HTTP/1.1 text; see h2_text.h. Each field is judged and written when it comes:
 * the values of pseudo-header fields wait at the end of the memory until the first regular field,
 * because the first line and Host are made of them. Called from every thread; no state of its own.
 */
#include "http/h2_text.h"

#include "base/check.h"
#include "http/scan.h"

static const struct {
	unsigned status;
	const char *text;
} faults[H2_FAULTS] = {
#define H2_ROW(name, status, text) [H2_FAULT_##name] = { status, text },
	H2_FAULT_ROWS(H2_ROW)
#undef H2_ROW
};

unsigned h2_fault_status(enum h2_fault f)
{
	return f < H2_FAULTS ? faults[f].status : 0;
}

const char *h2_fault_text(enum h2_fault f)
{
	return f < H2_FAULTS ? faults[f].text : "unknown fault";
}

void h2_text_begin(struct h2_text *t, enum h2_text_kind kind, char *out, size_t size,
                   const struct http_limits *limits)
{
	CHECK(size >= H2_TEXT_ROOM(limits->max_head));
	*t = (struct h2_text){ .out = out,
		               .size = size,
		               .limit = limits->max_head,
		               .max_fields = MIN(limits->max_fields, HTTP_MAX_FIELDS),
		               .kind = (uint8_t)kind,
		               .begun = kind == H2_TEXT_TRAILERS };
}

void h2_text_websocket(struct h2_text *t, const char key[WEBSOCKET_KEY_LEN])
{
	t->key = key;
}

void h2_text_accept(struct h2_text *t, const char accept[WEBSOCKET_ACCEPT_LEN])
{
	t->accept = accept;
}

void h2_text_move(struct h2_text *t, char *out, size_t size)
{
	const ptrdiff_t by = (out + size) - (t->out + t->size);
	int i;

	CHECK(size >= h2_text_used(t));
	memcpy(out, t->out, t->len);
	if (t->kept > 0)
		memcpy(out + size - t->kept, t->out + t->size - t->kept, t->kept);
	for (i = 0; i < H2_PSEUDOS; i++)
		if (t->pseudo[i].s != NULL)
			t->pseudo[i].s += by;
	t->out = out;
	t->size = size;
}

/* --- writing -------------------------------------------------------------------------------- */

static inline bool has_room(const struct h2_text *t, size_t n)
{
	return n <= t->limit && t->len + n <= t->limit;
}

static inline void add(struct h2_text *t, const char *s, size_t len)
{
	if (len > 0)
		memcpy(t->out + t->len, s, len);
	t->len += len;
}

static enum h2_fault add_text(struct h2_text *t, struct str s)
{
	if (!has_room(t, s.len))
		return H2_FAULT_TOO_LARGE;
	add(t, s.s, s.len);
	return H2_FAULT_NONE;
}

static enum h2_fault add_line(struct h2_text *t, struct str name, struct str value)
{
	if (value.len > t->limit || !has_room(t, name.len + value.len + 4))
		return H2_FAULT_TOO_LARGE;
	add(t, name.s, name.len);
	add(t, ": ", 2);
	add(t, value.s, value.len);
	add(t, "\r\n", 2);
	return H2_FAULT_NONE;
}

/* RFC 9113, 8.2.3: crumbs of cookies become one line before they leave HTTP/2. */
static enum h2_fault add_cookie(struct h2_text *t, struct str name, struct str value)
{
	enum h2_fault fault;
	size_t behind;

	if (value.len == 0)
		return H2_FAULT_NONE;
	if (t->cookie == 0) {
		fault = add_line(t, name, value);
		t->cookie = (uint32_t)t->len - 2;
		return fault;
	}
	if (value.len > t->limit || !has_room(t, value.len + 2))
		return H2_FAULT_TOO_LARGE;
	behind = t->len - t->cookie;
	memmove(t->out + t->cookie + 2 + value.len, t->out + t->cookie, behind);
	memcpy(t->out + t->cookie, "; ", 2);
	memcpy(t->out + t->cookie + 2, value.s, value.len);
	t->cookie += 2 + (uint32_t)value.len;
	t->len += 2 + value.len;
	return H2_FAULT_NONE;
}

/* --- the first line ------------------------------------------------------------------------- */

static inline bool is_there(const struct h2_text *t, enum h2_pseudo p)
{
	return (t->seen >> p & 1) != 0;
}

/* RFC 3986, 3.1 */
static bool is_scheme(struct str s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		const uint8_t c = http_lower[(uint8_t)s.s[i]];

		if (c < 'a' || c > 'z')
			if (i == 0 ||
			    !(http_is((char)c, HTTP_C_DIGIT) || c == '+' || c == '-' || c == '.'))
				return false;
	}
	return s.len > 0;
}

/* RFC 9113, 8.3.1: what :path is for http and https; never empty. */
static bool is_path(struct str path, bool options)
{
	if (path.s[0] != '/' && !(options && str_eq(path, STR("*"))))
		return false;
	return http_scan_target(path.s, path.s + path.len) == path.s + path.len;
}

static enum h2_fault judge_scheme(const struct h2_text *t)
{
	const struct str scheme = t->pseudo[H2_SCHEME];

	if (!is_there(t, H2_SCHEME))
		return H2_FAULT_NO_SCHEME;
	if (!is_scheme(scheme))
		return H2_FAULT_BAD_SCHEME;
	return http_same(scheme, STR("http")) || http_same(scheme, STR("https"))
	           ? H2_FAULT_NONE
	           : H2_FAULT_OTHER_SCHEME;
}

/* RFC 9113, 8.5; RFC 8441, 4. */
static enum h2_fault judge_connect(struct h2_text *t)
{
	if (!is_there(t, H2_PROTOCOL)) {
		t->connect = true;
		return is_there(t, H2_SCHEME) || is_there(t, H2_PATH) || !is_there(t, H2_AUTHORITY)
		           ? H2_FAULT_CONNECT_FIELDS
		           : H2_FAULT_NONE;
	}
	if (t->key == NULL)
		return H2_FAULT_PROTOCOL_OFF;
	t->extended = true;
	return H2_FAULT_NONE;
}

/* What the pseudo-header fields of a request must be, together. */
static enum h2_fault judge_request(struct h2_text *t)
{
	const struct str method = t->pseudo[H2_METHOD], path = t->pseudo[H2_PATH];
	const struct str authority = t->pseudo[H2_AUTHORITY];
	enum h2_fault fault = H2_FAULT_NONE;

	if (!is_there(t, H2_METHOD))
		return H2_FAULT_NO_METHOD;
	if (!http_is_token(method))
		return H2_FAULT_BAD_METHOD;
	if (str_eq(method, STR("CONNECT")))
		fault = judge_connect(t);
	else if (is_there(t, H2_PROTOCOL))
		return H2_FAULT_PROTOCOL_METHOD;
	if (fault == H2_FAULT_NONE && is_there(t, H2_AUTHORITY)) {
		if (authority.len == 0)
			return H2_FAULT_NO_AUTHORITY;
		if (!http_host_valid(authority)) /* knows no user information either */
			return H2_FAULT_BAD_AUTHORITY;
	}
	if (fault != H2_FAULT_NONE || t->connect)
		return fault;
	if (path.len == 0)
		return H2_FAULT_NO_PATH;
	if (!is_path(path, str_eq(method, STR("OPTIONS"))))
		return H2_FAULT_BAD_PATH;
	fault = judge_scheme(t);
	if (fault == H2_FAULT_NONE && t->extended &&
	    !http_same(t->pseudo[H2_PROTOCOL], STR("websocket")))
		fault = H2_FAULT_OTHER_PROTOCOL;
	return fault;
}

static enum h2_fault begin_request(struct h2_text *t)
{
	const struct str authority = t->pseudo[H2_AUTHORITY];
	enum h2_fault fault = judge_request(t);
	struct str method, target;

	if (fault != H2_FAULT_NONE)
		return fault;
	method = t->extended ? STR("GET") : t->pseudo[H2_METHOD];
	target = t->connect ? authority : t->pseudo[H2_PATH];
	if (!has_room(t, method.len + target.len + STR(" HTTP/1.1\r\n").len + 1))
		return H2_FAULT_TOO_LARGE;
	add(t, method.s, method.len);
	add(t, " ", 1);
	add(t, target.s, target.len);
	add(t, " HTTP/1.1\r\n", STR(" HTTP/1.1\r\n").len);
	t->host = is_there(t, H2_AUTHORITY);
	return t->host ? add_line(t, STR("host"), authority) : H2_FAULT_NONE;
}

/* RFC 8441, 5: what HTTP/1.1 says where HTTP/2 says 200. */
static enum h2_fault begin_upgraded(struct h2_text *t)
{
	enum h2_fault fault = add_text(t, STR("HTTP/1.1 101 Switching Protocols\r\n"
	                                      "connection: upgrade\r\nupgrade: websocket\r\n"));

	t->extended = true;
	return fault != H2_FAULT_NONE ? fault
	                              : add_line(t, STR("sec-websocket-accept"),
	                                         str_n(t->accept, WEBSOCKET_ACCEPT_LEN));
}

static enum h2_fault begin_response(struct h2_text *t)
{
	const struct str status = t->pseudo[H2_STATUS];
	struct str text;
	size_t i;

	if (!is_there(t, H2_STATUS))
		return H2_FAULT_NO_STATUS;
	if (status.len != 3 || status.s[0] == '0')
		return H2_FAULT_BAD_STATUS;
	for (i = 0; i < 3; i++) {
		if (!http_is(status.s[i], HTTP_C_DIGIT))
			return H2_FAULT_BAD_STATUS;
		t->status = t->status * 10 + (unsigned)(status.s[i] - '0');
	}
	if (t->status == 101) /* RFC 9113, 8.6: there is no such thing here */
		return H2_FAULT_BAD_STATUS;
	if (t->accept != NULL && t->status / 100 == 2)
		return begin_upgraded(t);
	text = str_from(http_status_text(t->status));
	if (!has_room(t, text.len + 15))
		return H2_FAULT_TOO_LARGE;
	add(t, "HTTP/1.1 ", 9);
	add(t, status.s, 3);
	add(t, " ", 1);
	add(t, text.s, text.len);
	add(t, "\r\n", 2);
	return H2_FAULT_NONE;
}

/* The first line, now that no pseudo-header field may follow. What is missing is told at the end
 * only: one that comes late after all is the better reason. */
static void begin(struct h2_text *t)
{
	t->begun = true;
	t->missing = (uint8_t)(t->kind == H2_TEXT_REQUEST ? begin_request(t) : begin_response(t));
}

/* --- fields --------------------------------------------------------------------------------- */

static const struct {
	struct str name;
	uint8_t kind; /* enum h2_text_kind */
} pseudos[H2_PSEUDOS] = {
	[H2_METHOD] = { STR(":method"), H2_TEXT_REQUEST },
	[H2_SCHEME] = { STR(":scheme"), H2_TEXT_REQUEST },
	[H2_AUTHORITY] = { STR(":authority"), H2_TEXT_REQUEST },
	[H2_PATH] = { STR(":path"), H2_TEXT_REQUEST },
	[H2_PROTOCOL] = { STR(":protocol"), H2_TEXT_REQUEST },
	[H2_STATUS] = { STR(":status"), H2_TEXT_RESPONSE },
};

/* RFC 9113, 8.3: those that are defined, once, before all others, never in trailers. */
static enum h2_fault take_pseudo(struct h2_text *t, struct str name, struct str value)
{
	char *at;
	int i = 0;

	if (t->kind == H2_TEXT_TRAILERS)
		return H2_FAULT_PSEUDO_IN_TRAILERS;
	while (i < H2_PSEUDOS && (pseudos[i].kind != t->kind || !str_eq(pseudos[i].name, name)))
		i++;
	if (i == H2_PSEUDOS)
		return H2_FAULT_UNKNOWN_PSEUDO;
	if (t->begun)
		return H2_FAULT_LATE_PSEUDO;
	if (is_there(t, (enum h2_pseudo)i))
		return H2_FAULT_TWICE_PSEUDO;
	if (value.len > t->limit || t->kept + value.len > t->limit)
		return H2_FAULT_TOO_LARGE;
	t->seen |= (uint8_t)(1U << i);
	t->kept += value.len;
	at = t->out + t->size - t->kept;
	if (value.len > 0)
		memcpy(at, value.s, value.len);
	t->pseudo[i] = str_n(at, value.len);
	return H2_FAULT_NONE;
}

static enum h2_fault judge_name(struct str name)
{
	const char *p = http_scan_class(name.s, name.s + name.len, HTTP_C_LOWER);

	if (likely(p == name.s + name.len))
		return H2_FAULT_NONE;
	return *p >= 'A' && *p <= 'Z' ? H2_FAULT_UPPERCASE : H2_FAULT_BAD_NAME;
}

/* RFC 9113, 8.2.1, and RFC 9110, 5.5: no control bytes at all. */
static enum h2_fault judge_value(struct str value)
{
	if (value.len == 0)
		return H2_FAULT_NONE;
	if (unlikely(http_blank(value.s[0]) || http_blank(value.s[value.len - 1])))
		return H2_FAULT_BLANK_EDGE;
	return likely(http_scan_value(value.s, value.s + value.len) == value.s + value.len)
	           ? H2_FAULT_NONE
	           : H2_FAULT_BAD_VALUE;
}

static enum h2_fault take_length(struct h2_text *t, struct str name, struct str value)
{
	size_t i;

	if (t->kind == H2_TEXT_TRAILERS)
		return H2_FAULT_NONE; /* about framing: left out (RFC 9110, 6.5.1) */
	if (t->kind == H2_TEXT_RESPONSE && t->extended)
		return H2_FAULT_NONE; /* a tunnel has none: ignored (RFC 9110, 9.3.6) */
	if (t->sized || t->extended || value.len == 0 || value.len > 18)
		return H2_FAULT_BAD_LENGTH;
	for (i = 0; i < value.len; i++) {
		if (!http_is(value.s[i], HTTP_C_DIGIT))
			return H2_FAULT_BAD_LENGTH;
		t->length = t->length * 10 + (uint64_t)(value.s[i] - '0');
	}
	t->sized = true;
	return add_line(t, name, value);
}

/* RFC 9113, 8.3.1: Host and :authority are compared as the scheme has them: without its own port.
 */
static struct str without_port(const struct h2_text *t, struct str host)
{
	const bool https = http_same(t->pseudo[H2_SCHEME], STR("https"));
	const struct str port = https ? STR(":443") : STR(":80");

	if (str_ends(host, port))
		return str_n(host.s, host.len - port.len);
	return host;
}

static enum h2_fault take_host(struct h2_text *t, struct str name, struct str value)
{
	if (t->kind == H2_TEXT_TRAILERS)
		return H2_FAULT_NONE; /* about routing: left out */
	if (t->kind == H2_TEXT_RESPONSE)
		return add_line(t, name, value);
	if (value.len == 0)
		return H2_FAULT_NO_AUTHORITY;
	if (t->hosted || !http_host_valid(value)) /* RFC 9112, 3.2: at most one */
		return H2_FAULT_BAD_AUTHORITY;
	t->hosted = true;
	if (is_there(t, H2_AUTHORITY)) /* RFC 9113, 8.3.1 */
		return http_same(without_port(t, value), without_port(t, t->pseudo[H2_AUTHORITY]))
		           ? H2_FAULT_NONE
		           : H2_FAULT_OTHER_HOST;
	t->host = true;
	return add_line(t, name, value);
}

/* RFC 9113, 8.2.2 */
static enum h2_fault take_te(struct h2_text *t, struct str name, struct str value)
{
	if (t->kind != H2_TEXT_REQUEST)
		return H2_FAULT_CONNECTION;
	return http_same(value, STR("trailers")) ? add_line(t, name, value) : H2_FAULT_BAD_TE;
}

static enum h2_fault take_regular(struct h2_text *t, struct str name, struct str value)
{
#define IS(text) (memcmp(name.s, text, sizeof(text) - 1) == 0)
	switch (name.len) {
	case 2:
		if (IS("te"))
			return take_te(t, name, value);
		break;
	case 4:
		if (IS("host"))
			return take_host(t, name, value);
		break;
	case 6:
		if (IS("cookie") && t->kind == H2_TEXT_REQUEST)
			return add_cookie(t, name, value);
		break;
	case 7:
		if (IS("upgrade"))
			return H2_FAULT_CONNECTION;
		if (IS("trailer") && t->kind == H2_TEXT_TRAILERS)
			return H2_FAULT_NONE;
		break;
	case 10:
		if (IS("connection") || IS("keep-alive"))
			return H2_FAULT_CONNECTION;
		break;
	case 14:
		if (IS("content-length"))
			return take_length(t, name, value);
		break;
	case 16:
		if (IS("proxy-connection"))
			return H2_FAULT_CONNECTION;
		break;
	case 17:
		if (IS("transfer-encoding"))
			return H2_FAULT_CONNECTION;
		if (IS("sec-websocket-key") && t->extended) /* RFC 8441, 5: not used */
			return H2_FAULT_NONE;
		break;
	case 20:
		if (IS("sec-websocket-accept") && t->extended) /* nor this */
			return H2_FAULT_NONE;
		break;
	default:
		break;
	}
#undef IS
	return add_line(t, name, value);
}

enum h2_fault h2_text_field(struct h2_text *t, struct str name, struct str value)
{
	enum h2_fault fault;

	if (unlikely(t->fault != H2_FAULT_NONE))
		return (enum h2_fault)t->fault;
	if (unlikely(name.len == 0)) {
		fault = H2_FAULT_EMPTY_NAME;
	} else if (unlikely(t->fields++ == t->max_fields + H2_PSEUDOS)) {
		fault = H2_FAULT_TOO_MANY;
	} else if (name.s[0] == ':') {
		fault = judge_value(value);
		if (fault == H2_FAULT_NONE)
			fault = take_pseudo(t, name, value);
	} else {
		fault = judge_name(name);
		if (fault == H2_FAULT_NONE)
			fault = judge_value(value);
		if (!t->begun)
			begin(t);
		if (fault == H2_FAULT_NONE)
			fault = take_regular(t, name, value);
	}
	t->fault = (uint8_t)fault;
	return fault;
}

/* --- the end -------------------------------------------------------------------------------- */

static enum h2_fault end_request(struct h2_text *t, bool end)
{
	enum h2_fault fault = H2_FAULT_NONE;

	if (!t->host)
		return H2_FAULT_NO_AUTHORITY;
	if (end && t->length > 0) /* RFC 9113, 8.1.1 */
		return H2_FAULT_BAD_LENGTH;
	if (t->extended) {
		fault = add_text(t, STR("connection: upgrade\r\nupgrade: websocket\r\n"));
		if (fault == H2_FAULT_NONE)
			fault =
			    add_line(t, STR("sec-websocket-key"), str_n(t->key, WEBSOCKET_KEY_LEN));
	} else if (!end && !t->sized && !t->connect) {
		fault = add_text(t, STR("transfer-encoding: chunked\r\n"));
	}
	return fault;
}

enum h2_fault h2_text_end(struct h2_text *t, bool end)
{
	enum h2_fault fault = (enum h2_fault)t->fault;

	if (fault == H2_FAULT_NONE && !t->begun)
		begin(t);
	if (fault == H2_FAULT_NONE)
		fault = (enum h2_fault)t->missing;
	if (fault == H2_FAULT_NONE && t->kind == H2_TEXT_REQUEST)
		fault = end_request(t, end);
	if (fault == H2_FAULT_NONE && t->kind == H2_TEXT_RESPONSE && end && t->status < 200)
		fault = H2_FAULT_INTERIM_END; /* RFC 9113, 8.1 */
	if (fault == H2_FAULT_NONE && t->kind != H2_TEXT_TRAILERS)
		fault = add_text(t, STR("\r\n"));
	t->fault = (uint8_t)fault;
	return fault;
}
