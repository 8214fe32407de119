/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/2 heads as HTTP/1.1 text and back (RFC 9113, 8). A list of fields becomes a request, a
 * response or lines of trailers, which then go through the strict HTTP/1.1 parser like any other:
 * what HTTP/2 forbids is refused here, what HTTP/1.1 forbids there, and nothing reaches a server
 * that has not passed both. Pure: the caller gives the memory; no allocation.
 */
#ifndef HTTP_H2_TEXT_H
#define HTTP_H2_TEXT_H

#include <nghttp2/nghttp2.h>

#include "http/http.h"
#include "http/websocket.h"

/*
 * Why a head was refused. A row: name, status to answer a request with (0: it is malformed, a
 * stream error of type PROTOCOL_ERROR, RFC 9113, 8.1.1), sentence for logs.
 */
#define H2_FAULT_ROWS(X) \
	X(NONE, 0, "none") \
	X(EMPTY_NAME, 0, "empty field name") \
	X(BAD_NAME, 0, "field name with a byte that may not be in one") \
	X(UPPERCASE, 0, "field name with an uppercase letter") \
	X(BAD_VALUE, 0, "field value with a control byte") \
	X(BLANK_EDGE, 0, "field value that begins or ends with a blank") \
	X(LATE_PSEUDO, 0, "pseudo-header field behind a regular one") \
	X(TWICE_PSEUDO, 0, "pseudo-header field that is there twice") \
	X(UNKNOWN_PSEUDO, 0, "unknown pseudo-header field") \
	X(PSEUDO_IN_TRAILERS, 0, "pseudo-header field in trailers") \
	X(NO_METHOD, 0, "no :method") \
	X(BAD_METHOD, 0, "malformed :method") \
	X(NO_SCHEME, 0, "no :scheme") \
	X(BAD_SCHEME, 0, "malformed :scheme") \
	X(NO_PATH, 0, "no :path, or an empty one") \
	X(BAD_PATH, 0, "malformed :path") \
	X(NO_AUTHORITY, 0, "neither :authority nor Host, or an empty one") \
	X(BAD_AUTHORITY, 0, "malformed :authority or Host, or more than one Host") \
	X(OTHER_HOST, 0, "Host that differs from :authority") \
	X(CONNECT_FIELDS, 0, "CONNECT with :scheme or :path, or without :authority") \
	X(PROTOCOL_METHOD, 0, ":protocol without the method CONNECT") \
	X(PROTOCOL_OFF, 0, ":protocol, which was not offered") \
	X(NO_STATUS, 0, "no :status") \
	X(BAD_STATUS, 0, "malformed :status, or 101") \
	X(CONNECTION, 0, "field that is about the connection") \
	X(BAD_TE, 0, "TE that is not \"trailers\"") \
	X(BAD_LENGTH, 0, "malformed or repeated Content-Length, or one that the end belies") \
	X(INTERIM_END, 0, "interim response that ends the stream") \
	X(OTHER_SCHEME, 400, "scheme that is neither http nor https") \
	X(OTHER_PROTOCOL, 501, ":protocol that is not \"websocket\"") \
	X(TOO_LARGE, 431, "header fields too large") \
	X(TOO_MANY, 431, "too many header fields")

enum h2_fault {
#define H2_ENUM(name, status, text) H2_FAULT_##name,
	H2_FAULT_ROWS(H2_ENUM)
#undef H2_ENUM
	    H2_FAULTS
};
unsigned h2_fault_status(enum h2_fault f);
const char *h2_fault_text(enum h2_fault f);

enum h2_text_kind { H2_TEXT_REQUEST, H2_TEXT_RESPONSE, H2_TEXT_TRAILERS };

enum h2_pseudo { H2_METHOD, H2_SCHEME, H2_AUTHORITY, H2_PATH, H2_PROTOCOL, H2_STATUS, H2_PSEUDOS };

/* Memory that a text of at most max bytes needs in the making. */
#define H2_TEXT_ROOM(max) (2 * (size_t)(max) + 256)

/* A text in the making. */
struct h2_text {
	char *out;      /* the text grows from here */
	size_t size;    /* bytes there, H2_TEXT_ROOM */
	size_t len;     /* of the text */
	size_t kept;    /* bytes of pseudo-header fields, kept at the end of `out` */
	uint32_t limit; /* bytes of the text */
	uint32_t max_fields;
	uint32_t fields;
	uint32_t cookie;    /* where the line of cookies ends, before its CRLF; 0: none yet */
	uint8_t kind;       /* enum h2_text_kind */
	uint8_t fault;      /* enum h2_fault: the first one; the rest is not looked at then */
	uint8_t missing;    /* enum h2_fault: what the first line lacks; names go on being judged */
	uint8_t seen;       /* bit n: pseudo-header field n */
	bool begun;         /* the first line is written: no more pseudo-header fields */
	bool host;          /* a Host line is written */
	bool hosted;        /* a Host field came */
	bool sized;         /* there is a Content-Length */
	bool extended;      /* CONNECT with :protocol (RFC 8441), or the answer that grants it */
	bool connect;       /* CONNECT without */
	uint64_t length;    /* of the Content-Length */
	unsigned status;    /* of a response */
	const char *key;    /* WEBSOCKET_KEY_LEN bytes for extended CONNECT; NULL: not offered */
	const char *accept; /* WEBSOCKET_ACCEPT_LEN bytes for the answer to one; NULL: none */
	struct str pseudo[H2_PSEUDOS]; /* at the end of `out` */
};

/* Begins a text in out[0 … size). limits: max_head and max_fields are of use; size must be
 * H2_TEXT_ROOM(max_head) at least. */
void h2_text_begin(struct h2_text *t, enum h2_text_kind kind, char *out, size_t size,
                   const struct http_limits *limits);
/* For requests: extended CONNECT is offered, and becomes an Upgrade with this key, which must live
 * as long as t is being written. */
void h2_text_websocket(struct h2_text *t, const char key[WEBSOCKET_KEY_LEN]);
/* For responses: to an extended CONNECT, whose Upgrade had the key that this accepts; a successful
 * one becomes a 101 (t->extended, and t->status as it came). As above. */
void h2_text_accept(struct h2_text *t, const char accept[WEBSOCKET_ACCEPT_LEN]);
/* The next field, in the order in which they came. Returns t->fault. */
enum h2_fault h2_text_field(struct h2_text *t, struct str name, struct str value);
/* All are there; end: so is the whole message (END_STREAM). H2_FAULT_NONE: the text is out[0 …
 * len): a head, or the lines of trailers. A request with a body of unknown length says that it is
 * chunked. */
enum h2_fault h2_text_end(struct h2_text *t, bool end);
/* Bytes that h2_text_move needs; moves a text in the making to other memory. */
static inline size_t h2_text_used(const struct h2_text *t)
{
	return t->len + t->kept;
}
void h2_text_move(struct h2_text *t, char *out, size_t size);

/*
 * The reverse: a parsed head as fields for nghttp2_submit_request and _response, which copy them
 * and put names in lower case. Fields of the connection are left out, Host becomes :authority. nva
 * has room for H2_TEXT_NV. Returns their number. status: memory for its digits.
 */
#define H2_TEXT_NV (HTTP_MAX_FIELDS + 8)
size_t h2_text_response_nv(const struct http_head *h, char status[4], nghttp2_nv *nva);
size_t h2_text_request_nv(const struct http_head *h, struct str scheme, nghttp2_nv *nva);
/* Trailers, "name: value\r\n" lines, without those that may not be there; at most max. */
size_t h2_text_trailers_nv(struct str lines, nghttp2_nv *nva, size_t max);

#endif
