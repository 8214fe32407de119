/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP/1.1 codec: strict parsing by RFC 9110 and RFC 9112 in one pass over the bytes as they
 * lie, without allocation. Used by proxy, check, control and whoami alike.
 */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include <sys/types.h>

#include "base/str.h"

/* Fields that some part of the program looks for: id, name in lower case. */
#define HTTP_FIELD_ROWS(X) \
	X(CONNECTION, "connection") \
	X(KEEP_ALIVE, "keep-alive") \
	X(PROXY_CONNECTION, "proxy-connection") \
	X(PROXY_AUTHENTICATE, "proxy-authenticate") \
	X(PROXY_AUTHORIZATION, "proxy-authorization") \
	X(TE, "te") \
	X(TRAILER, "trailer") \
	X(TRANSFER_ENCODING, "transfer-encoding") \
	X(UPGRADE, "upgrade") \
	X(CONTENT_LENGTH, "content-length") \
	X(HOST, "host") \
	X(EXPECT, "expect") \
	X(DATE, "date") \
	X(SERVER, "server") \
	X(ACCEPT, "accept") \
	X(AUTHORIZATION, "authorization") \
	X(COOKIE, "cookie") \
	X(USER_AGENT, "user-agent") \
	X(REFERER, "referer") \
	X(CONTENT_TYPE, "content-type") \
	X(LOCATION, "location") \
	X(RETRY_AFTER, "retry-after") \
	X(FORWARDED, "forwarded") \
	X(X_FORWARDED_FOR, "x-forwarded-for") \
	X(X_FORWARDED_PROTO, "x-forwarded-proto") \
	X(X_FORWARDED_HOST, "x-forwarded-host") \
	X(X_FORWARDED_PORT, "x-forwarded-port") \
	X(X_REQUEST_ID, "x-request-id") \
	X(HOLDFAST_REASON, "holdfast-reason")

enum http_field_id {
	HTTP_FIELD_OTHER,
#define HTTP_ENUM(id, name) HTTP_FIELD_##id,
	HTTP_FIELD_ROWS(HTTP_ENUM)
#undef HTTP_ENUM
	    HTTP_FIELD_IDS
};

enum http_method {
	HTTP_GET,
	HTTP_HEAD,
	HTTP_POST,
	HTTP_PUT,
	HTTP_DELETE,
	HTTP_PATCH,
	HTTP_OPTIONS,
	HTTP_OTHER, /* any other token; CONNECT and TRACE too (see head.method_text) */
	HTTP_METHODS
};

enum http_body {
	HTTP_BODY_NONE,
	HTTP_BODY_LENGTH,
	HTTP_BODY_CHUNKED,
	HTTP_BODY_UNTIL_CLOSE, /* responses only */
};

struct http_field {
	struct str name;
	struct str value; /* trimmed */
	struct str line;  /* the whole line with its CRLF, for forwarding as it lies */
	uint8_t id;       /* enum http_field_id */
	bool hop;         /* hop-by-hop: by its name or because Connection names it */
};

#define HTTP_MAX_FIELDS 256

struct http_limits {
	uint32_t max_line;   /* request line or status line, bytes; above: 414 */
	uint32_t max_head;   /* the whole head, bytes; above: 431 */
	uint32_t max_fields; /* at most HTTP_MAX_FIELDS; above: 431 */
};

/* A parsed head; its strings point into the bytes that were parsed. */
struct http_head {
	/* requests */
	enum http_method method;
	struct str method_text;
	struct str target; /* as sent */
	struct str
	    host; /* from the target or Host, port included, as sent; empty for 1.0 without */
	struct str path;  /* from '/', without query; "*" for OPTIONS *; authority for CONNECT */
	struct str query; /* after '?', may be empty */
	/* responses */
	unsigned status;
	struct str reason;
	/* both */
	unsigned minor; /* HTTP/1.minor */
	enum http_body body;
	uint64_t length;       /* of HTTP_BODY_LENGTH */
	size_t size;           /* bytes of the head with its empty line */
	struct str first_line; /* with its CRLF */
	uint64_t seen;         /* bit n: a field with id n is there */
	bool close;            /* the connection ends after this message */
	bool upgrade;          /* Connection names upgrade and Upgrade is there */
	bool expect_continue;
	unsigned nfields;
	struct http_field fields[HTTP_MAX_FIELDS];
};

static inline bool http_has(const struct http_head *h, enum http_field_id id)
{
	return (h->seen >> id & 1) != 0;
}
/* The first field with that id; NULL when there is none. */
const struct http_field *http_field(const struct http_head *h, enum http_field_id id);
/* The first field with that name, without case; NULL when there is none. */
const struct http_field *http_field_named(const struct http_head *h, struct str name);

/*
 * Why a message was refused. A row: name, status to answer a bad request with (a bad response is
 * always 502), sentence for logs and trusted clients.
 */
#define HTTP_FAULT_ROWS(X) \
	X(NONE, 0, "none") \
	X(BAD_LINE, 400, "malformed request or status line") \
	X(BAD_METHOD, 400, "malformed method") \
	X(BAD_TARGET, 400, "malformed request target") \
	X(BAD_VERSION, 505, "HTTP version not supported") \
	X(BARE_LF, 400, "line ends with a bare LF or CR") \
	X(CONTROL_BYTE, 400, "control byte in a header field") \
	X(BAD_NAME, 400, "malformed header name, or space before the colon") \
	X(FOLDING, 400, "obsolete line folding") \
	X(BAD_LENGTH, 400, "malformed Content-Length") \
	X(TWO_LENGTHS, 400, "more than one Content-Length field") \
	X(BOTH_LENGTHS, 400, "Content-Length with Transfer-Encoding") \
	X(BAD_CODING, 400, "Transfer-Encoding is not exactly \"chunked\"") \
	X(CODING_IN_10, 400, "Transfer-Encoding in HTTP/1.0") \
	X(NO_HOST, 400, "no Host field") \
	X(TWO_HOSTS, 400, "more than one Host field") \
	X(BAD_HOST, 400, "malformed Host field") \
	X(LINE_TOO_LONG, 414, "request line too long") \
	X(HEAD_TOO_LARGE, 431, "header fields too large") \
	X(TOO_MANY_FIELDS, 431, "too many header fields") \
	X(BAD_CHUNK, 400, "malformed chunked coding") \
	X(BAD_TRAILER, 400, "malformed or too large trailer") \
	X(BAD_STATUS, 502, "malformed status code") \
	X(BODY_TOO_LARGE, 413, "body too large")

enum http_fault {
#define HTTP_ENUM(name, status, text) HTTP_FAULT_##name,
	HTTP_FAULT_ROWS(HTTP_ENUM)
#undef HTTP_ENUM
	    HTTP_FAULTS
};
unsigned http_fault_status(enum http_fault f);
const char *http_fault_text(enum http_fault f);

/*
 * Parses the head at the start of data[0 … len). Returns the bytes of the head (h->size), 0 when
 * more are needed, or -(enum http_fault). *scanned starts at 0 for a new message and lets the next
 * call with more bytes of the same message skip what was seen: total work stays linear. Bad bytes
 * are refused as soon as they are there, before the head is whole. One empty line (CRLF) before a
 * request line is skipped (RFC 9112, 2.2) and counted in size.
 */
int http_parse_request(struct http_head *h, const char *data, size_t len,
                       const struct http_limits *limits, size_t *scanned);
/* request: the method asked with decides the framing of the response (HEAD, CONNECT). */
int http_parse_response(struct http_head *h, const char *data, size_t len,
                        const struct http_limits *limits, size_t *scanned,
                        enum http_method request);

/* The chunked coding, strict: CRLF only, hex sizes, extensions of bounded length. */
struct http_chunked {
	uint64_t left; /* data bytes left in the present chunk */
	uint8_t state;
	bool done;     /* the last CRLF of the message was consumed */
	uint32_t line; /* bytes of the present size line or of all trailers */
};
void http_chunked_init(struct http_chunked *c);
/*
 * Consumes bytes that belong to the message. Returns how many (all of them unless done), or
 * -(enum http_fault). With payload, it stops after one run of data and points *payload to it
 * (empty when this step held framing only); with NULL it goes through all bytes at once, for
 * forwarding them as they lie.
 */
ssize_t http_chunked_scan(struct http_chunked *c, const char *data, size_t len,
                          struct str *payload);

/*
 * As http_chunked_scan with payload, for who unpacks: it stops after a run of trailers as well and
 * points *trailers to it. The runs together are "name: value\r\n" lines, of at most
 * HTTP_MAX_TRAILERS bytes, whose names are tokens; which of them may be trailers is not judged.
 */
#define HTTP_MAX_TRAILERS 8192
ssize_t http_chunked_unpack(struct http_chunked *c, const char *data, size_t len,
                            struct str *payload, struct str *trailers);

/* Writes data as one chunk to out, which holds HTTP_CHUNK_ROOM bytes more than that; with `last`
 * the end of the body, without trailers, behind it. Data may be empty. */
#define HTTP_CHUNK_ROOM 32
struct str http_chunk_pack(char *out, struct str data, bool last);

/* "OK" for 200 …; "" for an unknown code. */
const char *http_status_text(unsigned status);
const char *http_method_name(enum http_method m); /* "GET" …; "OTHER" */
enum http_method http_method_of(struct str text);
enum http_field_id http_field_id_of(struct str name);
/* "Sat, 21 Nov 2026 12:00:00 GMT", 29 bytes and NUL. */
void http_date(uint64_t wall_ms, char out[32]);
/* Whether a comma-separated field value has the token, without case. */
bool http_list_has(struct str value, struct str token);
/* A valid token / field value (no control bytes), for configuration checks. */
bool http_is_token(struct str s);
bool http_is_value(struct str s);
/* The host without its port and, for IPv6, with brackets. */
struct str http_host_name(struct str host);

#endif
