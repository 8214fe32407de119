/* SPDX-License-Identifier: Apache-2.0 */
/* The words of HTTP: methods, statuses, faults, dates; and what is a valid token, value or host. */
#include "http/http.h"

#include "base/check.h"
#include "http/scan.h"

static const struct {
	unsigned status;
	const char *text;
} faults[HTTP_FAULTS] = {
#define ROW(name, status, text) [HTTP_FAULT_##name] = { status, text },
	HTTP_FAULT_ROWS(ROW)
#undef ROW
};

unsigned http_fault_status(enum http_fault f)
{
	return f < HTTP_FAULTS ? faults[f].status : 400;
}

const char *http_fault_text(enum http_fault f)
{
	return f < HTTP_FAULTS ? faults[f].text : "unknown fault";
}

/* RFC 9110, 15 and the registry. */
#define STATUS_ROWS(X) \
	X(100, "Continue") \
	X(101, "Switching Protocols") \
	X(102, "Processing") \
	X(103, "Early Hints") \
	X(200, "OK") \
	X(201, "Created") \
	X(202, "Accepted") \
	X(203, "Non-Authoritative Information") \
	X(204, "No Content") \
	X(205, "Reset Content") \
	X(206, "Partial Content") \
	X(207, "Multi-Status") \
	X(208, "Already Reported") \
	X(226, "IM Used") \
	X(300, "Multiple Choices") \
	X(301, "Moved Permanently") \
	X(302, "Found") \
	X(303, "See Other") \
	X(304, "Not Modified") \
	X(305, "Use Proxy") \
	X(307, "Temporary Redirect") \
	X(308, "Permanent Redirect") \
	X(400, "Bad Request") \
	X(401, "Unauthorized") \
	X(402, "Payment Required") \
	X(403, "Forbidden") \
	X(404, "Not Found") \
	X(405, "Method Not Allowed") \
	X(406, "Not Acceptable") \
	X(407, "Proxy Authentication Required") \
	X(408, "Request Timeout") \
	X(409, "Conflict") \
	X(410, "Gone") \
	X(411, "Length Required") \
	X(412, "Precondition Failed") \
	X(413, "Content Too Large") \
	X(414, "URI Too Long") \
	X(415, "Unsupported Media Type") \
	X(416, "Range Not Satisfiable") \
	X(417, "Expectation Failed") \
	X(421, "Misdirected Request") \
	X(422, "Unprocessable Content") \
	X(423, "Locked") \
	X(424, "Failed Dependency") \
	X(425, "Too Early") \
	X(426, "Upgrade Required") \
	X(428, "Precondition Required") \
	X(429, "Too Many Requests") \
	X(431, "Request Header Fields Too Large") \
	X(451, "Unavailable For Legal Reasons") \
	X(500, "Internal Server Error") \
	X(501, "Not Implemented") \
	X(502, "Bad Gateway") \
	X(503, "Service Unavailable") \
	X(504, "Gateway Timeout") \
	X(505, "HTTP Version Not Supported") \
	X(506, "Variant Also Negotiates") \
	X(507, "Insufficient Storage") \
	X(508, "Loop Detected") \
	X(511, "Network Authentication Required")

const char *http_status_text(unsigned status)
{
	switch (status) {
#define ROW(status, text) \
	case status: \
		return text;
		STATUS_ROWS(ROW)
#undef ROW
	default:
		return "";
	}
}

static const char *const methods[HTTP_METHODS] = {
	[HTTP_GET] = "GET",         [HTTP_HEAD] = "HEAD",     [HTTP_POST] = "POST",
	[HTTP_PUT] = "PUT",         [HTTP_DELETE] = "DELETE", [HTTP_PATCH] = "PATCH",
	[HTTP_OPTIONS] = "OPTIONS", [HTTP_OTHER] = "OTHER",
};

const char *http_method_name(enum http_method m)
{
	return m < HTTP_METHODS ? methods[m] : "OTHER";
}

/* Methods have case: "get" is another one. */
enum http_method http_method_of(struct str t)
{
	switch (t.len) {
	case 3:
		if (memcmp(t.s, "GET", 3) == 0)
			return HTTP_GET;
		return memcmp(t.s, "PUT", 3) == 0 ? HTTP_PUT : HTTP_OTHER;
	case 4:
		if (memcmp(t.s, "POST", 4) == 0)
			return HTTP_POST;
		return memcmp(t.s, "HEAD", 4) == 0 ? HTTP_HEAD : HTTP_OTHER;
	case 5:
		return memcmp(t.s, "PATCH", 5) == 0 ? HTTP_PATCH : HTTP_OTHER;
	case 6:
		return memcmp(t.s, "DELETE", 6) == 0 ? HTTP_DELETE : HTTP_OTHER;
	case 7:
		return memcmp(t.s, "OPTIONS", 7) == 0 ? HTTP_OPTIONS : HTTP_OTHER;
	default:
		return HTTP_OTHER;
	}
}

static char *put2(char *p, unsigned n)
{
	*p++ = (char)('0' + n / 10 % 10);
	*p++ = (char)('0' + n % 10);
	return p;
}

/* IMF-fixdate (RFC 9110, 5.6.7). The calendar in whole days, years from March on. */
void http_date(uint64_t wall_ms, char out[32])
{
	static const char days[] = "ThuFriSatSunMonTueWed"; /* 1 January 1970 was a Thursday */
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	uint64_t seconds = wall_ms / 1000, day = seconds / 86400, rest = seconds % 86400;
	uint64_t z = day + 719468, era = z / 146097, doe = z % 146097;
	uint64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = (unsigned)(doe - (365 * yoe + yoe / 4 - yoe / 100));
	unsigned mp = (5 * doy + 2) / 153, mday = doy - (153 * mp + 2) / 5 + 1;
	unsigned month = mp < 10 ? mp + 2 : mp - 10; /* 0: January */
	uint64_t year = yoe + era * 400 + (month < 2);
	char *p = out;

	p = mempcpy(p, days + day % 7 * 3, 3);
	p = mempcpy(p, ", ", 2);
	p = put2(p, mday);
	*p++ = ' ';
	p = mempcpy(p, months + month * 3, 3);
	*p++ = ' ';
	p = put2(p, (unsigned)(year / 100));
	p = put2(p, (unsigned)(year % 100));
	*p++ = ' ';
	p = put2(p, (unsigned)(rest / 3600));
	*p++ = ':';
	p = put2(p, (unsigned)(rest / 60 % 60));
	*p++ = ':';
	p = put2(p, (unsigned)(rest % 60));
	memcpy(p, " GMT", 5);
}

bool http_is_token(struct str s)
{
	return s.len > 0 && http_scan_class(s.s, s.s + s.len, HTTP_C_TOKEN) == s.s + s.len;
}

bool http_is_value(struct str s)
{
	return s.len == 0 || http_scan_value(s.s, s.s + s.len) == s.s + s.len;
}

struct str http_host_name(struct str host)
{
	const char *p;

	if (host.len == 0)
		return host;
	p = memchr(host.s, host.s[0] == '[' ? ']' : ':', host.len);
	if (!p)
		return host;
	return str_n(host.s, (size_t)(p - host.s) + (host.s[0] == '['));
}
