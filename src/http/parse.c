/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests and responses: first lines, targets, hosts, and what a head as a whole must be. A head
 * that is there at once is parsed in one pass; one that comes in pieces is judged as it comes and
 * parsed when it is whole. Called from every thread; no state of its own.
 */
#include "base/check.h"
#include "http/scan.h"

/* Only what stands before the fields: they are many, and counted. */
static void reset(struct http_head *h)
{
	memset(h, 0, offsetof(struct http_head, fields));
}

bool http_host_valid(struct str host)
{
	const char *p = host.s, *end = host.s + host.len, *from;
	unsigned port = 0;

	if (host.len == 0)
		return true;
	if (*p == '[') {
		from = ++p;
		p = http_scan_class(p, end, HTTP_C_IPV6);
		if (p == from || p == end || *p != ']')
			return false;
		p++;
	} else {
		p = http_scan_class(p, end, HTTP_C_REGNAME);
		if (p == host.s)
			return false;
	}
	if (p == end)
		return true;
	if (*p++ != ':')
		return false;
	for (; p < end; p++) {
		if (!http_is(*p, HTTP_C_DIGIT))
			return false;
		port = port * 10 + (unsigned)(*p - '0');
		if (port > 65535)
			return false;
	}
	return true;
}

static void split_query(struct http_head *h, struct str s)
{
	const char *q = memchr(s.s, '?', s.len);

	h->path = s;
	if (q) {
		h->path.len = (size_t)(q - s.s);
		h->query = str_n(q + 1, s.len - h->path.len - 1);
	}
}

/* RFC 9112, 3.2.2; *ret gets the authority, which may be empty only for other forms. */
static bool split_absolute(struct http_head *h, struct str *ret)
{
	struct str t = h->target, scheme = STR_NONE;
	const char *p, *end = t.s + t.len;

	if (t.len > 7 && http_same(str_n(t.s, 7), STR("http://")))
		scheme = str_n(t.s, 7);
	else if (t.len > 8 && http_same(str_n(t.s, 8), STR("https://")))
		scheme = str_n(t.s, 8);
	if (scheme.len == 0)
		return false;
	p = t.s + scheme.len;
	while (p < end && *p != '/' && *p != '?')
		p++;
	*ret = str_n(t.s + scheme.len, (size_t)(p - t.s) - scheme.len);
	split_query(h, str_n(p, (size_t)(end - p)));
	if (h->path.len == 0)
		h->path = str_eq(h->method_text, STR("OPTIONS")) && h->query.len == 0 ? STR("*")
		                                                                      : STR("/");
	return ret->len > 0 && http_host_valid(*ret);
}

/* The four forms of RFC 9112, 3.2, each only where it belongs. */
static enum http_fault finish_target(struct http_head *h, struct str *authority)
{
	*authority = STR_NONE;
	if (h->method == HTTP_OTHER && str_eq(h->method_text, STR("CONNECT"))) {
		*authority = h->path = h->target;
		/* host:port, and the port must be there */
		if (!http_host_valid(h->target) ||
		    http_host_name(h->target).len + 2 > h->target.len)
			return HTTP_FAULT_BAD_TARGET;
		return HTTP_FAULT_NONE;
	}
	if (likely(h->target.s[0] == '/')) {
		split_query(h, h->target);
		return HTTP_FAULT_NONE;
	}
	if (h->method == HTTP_OPTIONS && str_eq(h->target, STR("*"))) {
		h->path = h->target;
		return HTTP_FAULT_NONE;
	}
	return split_absolute(h, authority) ? HTTP_FAULT_NONE : HTTP_FAULT_BAD_TARGET;
}

/* RFC 9112, 3.2: one valid Host, the same as the target's where that has one. */
static enum http_fault finish_host(struct http_head *h, struct str authority)
{
	const struct http_field *host = NULL;

	if (http_has(h, HTTP_FIELD_HOST)) {
		for (unsigned i = 0; i < h->nfields; i++) {
			if (h->fields[i].id != HTTP_FIELD_HOST)
				continue;
			if (host)
				return HTTP_FAULT_TWO_HOSTS;
			host = &h->fields[i];
		}
	}
	if (!host) {
		h->host = authority;
		return h->minor > 0 ? HTTP_FAULT_NO_HOST : HTTP_FAULT_NONE;
	}
	h->host = host->value;
	if (!http_host_valid(h->host))
		return HTTP_FAULT_BAD_HOST;
	if (authority.len > 0 && !http_same(authority, h->host))
		return HTTP_FAULT_BAD_HOST;
	return HTTP_FAULT_NONE;
}

static enum http_fault finish_request(struct http_head *h)
{
	enum http_fault fault;
	struct str authority;
	bool chunked, sized;

	fault = finish_target(h, &authority);
	if (!fault)
		fault = finish_host(h, authority);
	if (!fault)
		fault = http_finish_connection(h);
	if (!fault)
		fault = http_finish_length(h, &chunked, &sized);
	if (fault)
		return fault;
	if (chunked)
		h->body = HTTP_BODY_CHUNKED;
	else if (sized && h->length > 0)
		h->body = HTTP_BODY_LENGTH;
	if (http_has(h, HTTP_FIELD_EXPECT) && h->minor > 0)
		h->expect_continue =
		    http_same(http_field(h, HTTP_FIELD_EXPECT)->value, STR("100-continue"));
	return HTTP_FAULT_NONE;
}

/* "HTTP/1.0" or "HTTP/1.1" at p, which has eight bytes. */
static bool parse_version(struct http_head *h, const char *p)
{
	if (memcmp(p, "HTTP/1.", 7) != 0 || (p[7] != '0' && p[7] != '1'))
		return false;
	h->minor = (unsigned)(p[7] - '0');
	return true;
}

/* Returns the end of the line; NULL when it is not whole or not well-formed. */
static const char *parse_request_line(struct http_head *h, const char *data, const char *end)
{
	const char *p = data, *from;

	if (unlikely(end - p >= 2 && p[0] == '\r' && p[1] == '\n'))
		p += 2;
	from = p;
	p = http_scan_class(p, end, HTTP_C_TOKEN);
	if (unlikely(p == end || *p != ' ' || p == from))
		return NULL;
	h->first_line.s = from;
	h->method_text = str_n(from, (size_t)(p - from));
	h->method = http_method_of(h->method_text);
	from = ++p;
	p = http_scan_target(p, end);
	if (unlikely(end - p < 11 || *p != ' ' || p == from))
		return NULL;
	h->target = str_n(from, (size_t)(p - from));
	p++;
	if (unlikely(!parse_version(h, p) || p[8] != '\r' || p[9] != '\n'))
		return NULL;
	p += 10;
	h->first_line.len = (size_t)(p - h->first_line.s);
	return p;
}

/* The same for "HTTP/1.1 200 OK". */
static const char *parse_status_line(struct http_head *h, const char *data, const char *end)
{
	const char *p = data;

	if (unlikely(end - p < 14 || !parse_version(h, p) || p[8] != ' '))
		return NULL;
	if (unlikely(p[9] < '1' || p[9] > '9' || !http_is(p[10], HTTP_C_DIGIT) ||
	             !http_is(p[11], HTTP_C_DIGIT)))
		return NULL;
	h->status = (unsigned)((p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0'));
	p += 12;
	if (*p == ' ') {
		h->reason.s = ++p;
		p = http_scan_value(p, end);
		h->reason.len = (size_t)(p - h->reason.s);
	}
	if (unlikely(end - p < 2 || p[0] != '\r' || p[1] != '\n'))
		return NULL;
	p += 2;
	h->first_line = str_n(data, (size_t)(p - data));
	return p;
}

/* One pass; 0, or -1 when the head is not whole, malformed or breaks a limit. */
static int parse_whole(struct http_head *h, bool response, const char *data, size_t len,
                       const struct http_limits *limits)
{
	const char *end = data + len, *p;

	reset(h);
	p = response ? parse_status_line(h, data, end) : parse_request_line(h, data, end);
	if (unlikely(!p || (size_t)(p - data) > limits->max_line))
		return -1;
	p = http_parse_fields(h, p, end, MIN(limits->max_fields, HTTP_MAX_FIELDS));
	if (unlikely(!p || (size_t)(p - data) > limits->max_head))
		return -1;
	h->size = (size_t)(p - data);
	return 0;
}

/* Returns the head's size when it lies parsed in h, 0 when more is needed, or a fault. */
static int parse_head(struct http_head *h, bool response, const char *data, size_t len,
                      const struct http_limits *limits, size_t *scanned)
{
	int size;

	if (*scanned == 0 && parse_whole(h, response, data, len, limits) == 0)
		return (int)h->size;
	size = http_scan_head(response, data, len, limits, scanned);
	if (size <= 0)
		return size;
	/* What the careful way finds well is well for the fast one; were it not, refuse. */
	if (unlikely(parse_whole(h, response, data, (size_t)size, limits) != 0))
		return -(int)HTTP_FAULT_BAD_LINE;
	return size;
}

int http_parse_request(struct http_head *h, const char *data, size_t len,
                       const struct http_limits *limits, size_t *scanned)
{
	int size = parse_head(h, false, data, len, limits, scanned);
	enum http_fault fault;

	if (size <= 0)
		return size;
	fault = finish_request(h);
	return fault ? -(int)fault : size;
}

int http_parse_response(struct http_head *h, const char *data, size_t len,
                        const struct http_limits *limits, size_t *scanned, enum http_method request)
{
	int size = parse_head(h, true, data, len, limits, scanned);
	enum http_fault fault;
	bool chunked, sized;

	if (size <= 0)
		return size;
	fault = http_finish_connection(h);
	if (!fault)
		fault = http_finish_length(h, &chunked, &sized);
	if (fault)
		return -(int)fault;
	/* RFC 9112, 6.3, in its order. */
	if (request == HTTP_HEAD || h->status < 200 || h->status == 204 || h->status == 304) {
		h->body = HTTP_BODY_NONE;
		/* Announced where there can be none: whatever follows, it is not ours. */
		if (h->status < 300 && request != HTTP_HEAD && (chunked || h->length > 0))
			h->close = true;
	} else if (chunked) {
		h->body = HTTP_BODY_CHUNKED;
	} else if (sized) {
		h->body = h->length > 0 ? HTTP_BODY_LENGTH : HTTP_BODY_NONE;
	} else {
		h->body = HTTP_BODY_UNTIL_CLOSE;
		h->close = true;
	}
	return size;
}
