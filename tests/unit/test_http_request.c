/* SPDX-License-Identifier: Apache-2.0 */
/* Requests: what is understood, what is refused and why, at once and in pieces. */
#include "rows.h"

#include "http/http.h"

#define H "Host: a\r\n"

static const struct http_limits limits = { .max_line = 256, .max_head = 1024, .max_fields = 16 };
static struct http_head head;

static int parse(const char *data, size_t len)
{
	size_t scanned = 0;

	memset(&head, 0xa5, sizeof(head)); /* what is not set by the parser shows */
	return http_parse_request(&head, data, len, &limits, &scanned);
}

/* In two pieces, with a memory of its own for the first, so that reading beyond it shows. */
static int parse_split(const char *data, size_t len, size_t at)
{
	size_t scanned = 0;
	char *part = malloc(at + 1);
	int n;

	memcpy(part, data, at);
	n = http_parse_request(&head, part, at, &limits, &scanned);
	free(part);
	return n != 0 ? n : http_parse_request(&head, data, len, &limits, &scanned);
}

/* The same answer whatever the pieces: two at every place, and byte by byte. */
static void same_in_pieces(const char *data, size_t len, int want)
{
	size_t scanned = 0;
	int n = 0;

	for (size_t at = 0; at <= len; at++)
		assert_int_equal(parse_split(data, len, at), want);
	for (size_t i = 1; i <= len && n == 0; i++)
		n = http_parse_request(&head, data, i, &limits, &scanned);
	assert_int_equal(n, want);
}

/* --- what is refused --------------------------------------------------------------------------*/

struct refused {
	const char *name;
	struct str data;
	enum http_fault fault;
};

#define BAD(name, text, fault) \
	{ \
		name, { text, sizeof(text) - 1 }, HTTP_FAULT_##fault \
	}
#define FIELD(name, field, fault)   BAD(name, "POST / HTTP/1.1\r\n" H field "\r\n\r\n", fault)
#define TARGET(name, target, fault) BAD(name, "GET " target " HTTP/1.1\r\n" H "\r\n", fault)
#define HOST(name, host)            BAD(name, "GET / HTTP/1.1\r\nHost: " host "\r\n\r\n", BAD_HOST)
#define A64                         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct refused refused[] = {
	/* framing */
	FIELD("length and chunked", "Content-Length: 3\r\nTransfer-Encoding: chunked",
	      BOTH_LENGTHS),
	FIELD("chunked and length", "Transfer-Encoding: chunked\r\nContent-Length: 3",
	      BOTH_LENGTHS),
	FIELD("chunked and length 0", "Transfer-Encoding: chunked\r\nContent-Length: 0",
	      BOTH_LENGTHS),
	FIELD("differing lengths", "Content-Length: 3\r\nContent-Length: 4", TWO_LENGTHS),
	FIELD("repeated length", "Content-Length: 3\r\nContent-Length: 3", TWO_LENGTHS),
	FIELD("length list", "Content-Length: 5, 5", BAD_LENGTH),
	FIELD("differing length list", "Content-Length: 5,6", BAD_LENGTH),
	FIELD("empty length", "Content-Length:", BAD_LENGTH),
	FIELD("blank length", "Content-Length: \t ", BAD_LENGTH),
	FIELD("length with plus", "Content-Length: +5", BAD_LENGTH),
	FIELD("length with minus", "Content-Length: -5", BAD_LENGTH),
	FIELD("length with 0x", "Content-Length: 0x5", BAD_LENGTH),
	FIELD("length with a blank inside", "Content-Length: 1 2", BAD_LENGTH),
	FIELD("length with text", "Content-Length: 5b", BAD_LENGTH),
	FIELD("length with a dot", "Content-Length: 5.0", BAD_LENGTH),
	FIELD("length with exponent", "Content-Length: 1e3", BAD_LENGTH),
	FIELD("length with quotes", "Content-Length: \"5\"", BAD_LENGTH),
	FIELD("length above 63 bits", "Content-Length: 9223372036854775808", BAD_LENGTH),
	FIELD("length above 64 bits", "Content-Length: 18446744073709551617", BAD_LENGTH),
	FIELD("length of many zeros", "Content-Length: 00000000000000000000005", BAD_LENGTH),
	FIELD("good and bad length", "Content-Length: 5\r\nContent-Length: x", BAD_LENGTH),
	FIELD("gzip, chunked", "Transfer-Encoding: gzip, chunked", BAD_CODING),
	FIELD("chunked, gzip", "Transfer-Encoding: chunked, gzip", BAD_CODING),
	FIELD("chunked, chunked", "Transfer-Encoding: chunked, chunked", BAD_CODING),
	FIELD("identity", "Transfer-Encoding: identity", BAD_CODING),
	FIELD("empty coding", "Transfer-Encoding:", BAD_CODING),
	FIELD("xchunked", "Transfer-Encoding: xchunked", BAD_CODING),
	FIELD("chunked with parameter", "Transfer-Encoding: chunked;q=1", BAD_CODING),
	FIELD("chunked with comma", "Transfer-Encoding: chunked,", BAD_CODING),
	FIELD("quoted chunked", "Transfer-Encoding: \"chunked\"", BAD_CODING),
	FIELD("chunked with vertical tab", "Transfer-Encoding: \vchunked", CONTROL_BYTE),
	FIELD("two codings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
	      BAD_CODING),
	FIELD("coding hidden in a second field",
	      "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked", BAD_CODING),
	BAD("chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
	    CODING_IN_10),
	/* lines and bytes */
	BAD("bare LF after the request line", "GET / HTTP/1.1\n" H "\r\n", BARE_LF),
	BAD("bare LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", BARE_LF),
	BAD("bare LF as the empty line", "GET / HTTP/1.1\r\n" H "\n", BARE_LF),
	BAD("bare LF first", "\nGET / HTTP/1.1\r\n" H "\r\n", BARE_LF),
	BAD("bare LF in a name", "GET / HTTP/1.1\r\n" H "X\nY: 1\r\n\r\n", BARE_LF),
	BAD("bare LF in the target", "GET /\nX HTTP/1.1\r\n" H "\r\n", BARE_LF),
	BAD("bare CR in a value", "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n", BARE_LF),
	BAD("bare CR after the request line", "GET / HTTP/1.1\r" H "\r\n", BARE_LF),
	BAD("CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", BARE_LF),
	BAD("bare CR as the empty line", "GET / HTTP/1.1\r\n" H "\rX", BARE_LF),
	BAD("NUL in a value", "GET / HTTP/1.1\r\n" H "X: a\0b\r\n\r\n", CONTROL_BYTE),
	BAD("ESC in a value", "GET / HTTP/1.1\r\n" H "X: a\033b\r\n\r\n", CONTROL_BYTE),
	BAD("DEL in a value", "GET / HTTP/1.1\r\n" H "X: a\177b\r\n\r\n", CONTROL_BYTE),
	BAD("NUL far in a long value", "GET / HTTP/1.1\r\n" H "X: " A64 "\0b\r\n\r\n",
	    CONTROL_BYTE),
	BAD("form feed in a value", "GET / HTTP/1.1\r\n" H "X: \fb\r\n\r\n", CONTROL_BYTE),
	BAD("NUL in a name", "GET / HTTP/1.1\r\n" H "X\0: a\r\n\r\n", BAD_NAME),
	BAD("empty name", "GET / HTTP/1.1\r\n" H ": x\r\n\r\n", BAD_NAME),
	BAD("empty name hides a field", "GET / HTTP/1.1\r\n:\r\n" H "\r\n", BAD_NAME),
	BAD("blank before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", BAD_NAME),
	BAD("tab before the colon", "GET / HTTP/1.1\r\n" H "Content-Length\t: 3\r\n\r\n", BAD_NAME),
	BAD("blank in a name", "GET / HTTP/1.1\r\n" H "X Y: 3\r\n\r\n", BAD_NAME),
	BAD("line without a colon", "GET / HTTP/1.1\r\n" H "nothing\r\n\r\n", BAD_NAME),
	BAD("bracket in a name", "GET / HTTP/1.1\r\n" H "X[1]: 3\r\n\r\n", BAD_NAME),
	BAD("high byte in a name", "GET / HTTP/1.1\r\n" H "X\xc3\xa9: 3\r\n\r\n", BAD_NAME),
	BAD("folded with a blank", "GET / HTTP/1.1\r\n" H "X: 1\r\n 2\r\n\r\n", FOLDING),
	BAD("folded with a tab", "GET / HTTP/1.1\r\n" H "X: 1\r\n\t2\r\n\r\n", FOLDING),
	BAD("blank before the first field", "GET / HTTP/1.1\r\n " H "\r\n", FOLDING),
	BAD("folded coding", "GET / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n chunked\r\n\r\n",
	    FOLDING),
	/* the request line */
	BAD("empty method", " / HTTP/1.1\r\n" H "\r\n", BAD_METHOD),
	BAD("method with a bracket", "G(T / HTTP/1.1\r\n" H "\r\n", BAD_METHOD),
	BAD("method with a tab", "GET\t/ HTTP/1.1\r\n" H "\r\n", BAD_METHOD),
	BAD("NUL as the method", "\0\0\0\0", BAD_METHOD),
	BAD("TLS ClientHello", "\x16\x03\x01\x02\x00\x01", BAD_METHOD),
	BAD("two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", BAD_METHOD),
	BAD("two blanks before the target", "GET  / HTTP/1.1\r\n" H "\r\n", BAD_TARGET),
	BAD("no target", "GET HTTP/1.1\r\n" H "\r\n", BAD_LINE),
	BAD("blank in the target", "GET /a b HTTP/1.1\r\n" H "\r\n", BAD_LINE),
	BAD("two blanks before the version", "GET /  HTTP/1.1\r\n" H "\r\n", BAD_LINE),
	BAD("blank after the version", "GET / HTTP/1.1 \r\n" H "\r\n", BAD_LINE),
	BAD("HTTP/0.9", "GET /\r\n", BAD_LINE),
	BAD("HTTP/0.9 spelt out", "GET / HTTP/0.9\r\n" H "\r\n", BAD_VERSION),
	BAD("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", BAD_VERSION),
	BAD("HTTP/1.2", "GET / HTTP/1.2\r\n" H "\r\n", BAD_VERSION),
	BAD("HTTP/1.10", "GET / HTTP/1.10\r\n" H "\r\n", BAD_LINE),
	BAD("HTTP/3", "GET / HTTP/3\r\n" H "\r\n", BAD_VERSION),
	BAD("http in lower case", "GET / http/1.1\r\n" H "\r\n", BAD_LINE),
	BAD("other protocol", "GET / RTSP/1.1\r\n" H "\r\n", BAD_LINE),
	/* targets */
	TARGET("fragment", "/a#b", BAD_TARGET),
	TARGET("tab in the target", "/a\tb", BAD_TARGET),
	TARGET("NUL in the target", "/a\0b", BAD_TARGET),
	TARGET("DEL in the target", "/a\177b", BAD_TARGET),
	TARGET("high byte in the target", "/caf\xc3\xa9", BAD_TARGET),
	TARGET("control byte far in a long target", "/" A64 "\001", BAD_TARGET),
	TARGET("path without a slash", "index.html", BAD_TARGET),
	TARGET("asterisk for GET", "*", BAD_TARGET),
	TARGET("authority for GET", "a:80", BAD_TARGET),
	TARGET("other scheme", "ftp://a/", BAD_TARGET),
	TARGET("scheme without authority", "http:///x", BAD_TARGET),
	TARGET("scheme alone", "http://", BAD_TARGET),
	TARGET("authority with user", "http://u@a/", BAD_TARGET),
	TARGET("authority and Host differ", "http://b/", BAD_HOST),
	TARGET("authority's port and Host differ", "http://a:81/", BAD_HOST),
	BAD("OPTIONS with two asterisks", "OPTIONS ** HTTP/1.1\r\n" H "\r\n", BAD_TARGET),
	BAD("CONNECT with a path", "CONNECT / HTTP/1.1\r\n" H "\r\n", BAD_TARGET),
	BAD("CONNECT without a port", "CONNECT a HTTP/1.1\r\n" H "\r\n", BAD_TARGET),
	BAD("CONNECT with an empty port", "CONNECT a: HTTP/1.1\r\n" H "\r\n", BAD_TARGET),
	BAD("CONNECT to bare IPv6", "CONNECT [::1] HTTP/1.1\r\nHost: [::1]\r\n\r\n", BAD_TARGET),
	BAD("CONNECT and Host differ", "CONNECT b:1 HTTP/1.1\r\n" H "\r\n", BAD_HOST),
	/* hosts */
	BAD("no Host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", NO_HOST),
	BAD("no field at all", "GET / HTTP/1.1\r\n\r\n", NO_HOST),
	BAD("no Host with absolute target", "GET http://a/ HTTP/1.1\r\n\r\n", NO_HOST),
	BAD("two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", TWO_HOSTS),
	BAD("two equal Hosts", "GET / HTTP/1.1\r\nHost: a\r\nX: y\r\nhost: a\r\n\r\n", TWO_HOSTS),
	BAD("two Hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", TWO_HOSTS),
	HOST("Host with user", "u@a"),
	HOST("Host with a blank", "a b"),
	HOST("Host with a tab", "a\tb"),
	HOST("Host with a slash", "a/b"),
	HOST("Host with a backslash", "a\\b"),
	HOST("Host list", "a, b"),
	HOST("Host with a query", "a?b"),
	HOST("Host with a fragment", "a#b"),
	HOST("Host with a high byte", "a\xc3\xa9"),
	HOST("Host with a word as port", "a:http"),
	HOST("Host with two ports", "a:80:81"),
	HOST("Host with port 65536", "a:65536"),
	HOST("Host with a huge port", "a:99999999999999999999"),
	HOST("Host of a port only", ":80"),
	HOST("Host with an open bracket", "[::1"),
	HOST("Host with empty brackets", "[]"),
	HOST("Host with text after the bracket", "[::1]x"),
	HOST("Host with a zone", "[fe80::1%eth0]"),
	HOST("Host as IPv6 without brackets", "::1"),
	/* limits */
	BAD("too many names in Connection",
	    "GET / HTTP/1.1\r\n" H "Connection: "
	    "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,"
	    "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a\r\n\r\n",
	    TOO_MANY_FIELDS),
	BAD("request line too long", "GET /" A64 A64 A64 A64 " HTTP/1.1\r\n" H "\r\n",
	    LINE_TOO_LONG),
	BAD("method too long", A64 A64 A64 A64 "A", LINE_TOO_LONG),
	BAD("unfinished line too long", "GET /" A64 A64 A64 A64, LINE_TOO_LONG),
	BAD("17 fields of 16",
	    "GET / HTTP/1.1\r\n" H "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n9:\r\n10:\r\n"
	    "11:\r\n12:\r\n13:\r\n14:\r\n15:\r\n16:\r\n\r\n",
	    TOO_MANY_FIELDS),
	BAD("head too large",
	    "GET / HTTP/1.1\r\n" H
	    "X: " A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 "\r\n\r\n",
	    HEAD_TOO_LARGE),
	BAD("head too large and not whole",
	    "GET / HTTP/1.1\r\n" H
	    "X: " A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64 A64,
	    HEAD_TOO_LARGE),
};

static void test_refused(void **state)
{
	const struct refused *r = *state;
	int n = parse(r->data.s, r->data.len);

	assert_int_equal(n, -(int)r->fault);
	assert_int_not_equal(http_fault_status(r->fault), 0);
	same_in_pieces(r->data.s, r->data.len, n);
}

/* --- what is understood -----------------------------------------------------------------------*/

struct accepted {
	const char *name;
	const char *data;
	enum http_method method;
	const char *host, *path, *query;
	enum http_body body;
	uint64_t length;
	bool close, upgrade, expect;
};

static const struct accepted accepted[] = {
	{ "plain GET", "GET / HTTP/1.1\r\n" H "\r\n", HTTP_GET, "a", "/", "" },
	{ "empty line first", "\r\nGET / HTTP/1.1\r\n" H "\r\n", HTTP_GET, "a", "/", "" },
	{ "query", "GET /p/q?x=1&y=/?z HTTP/1.1\r\n" H "\r\n", HTTP_GET, "a", "/p/q", "x=1&y=/?z" },
	{ "empty query", "GET /p? HTTP/1.1\r\n" H "\r\n", HTTP_GET, "a", "/p", "" },
	{ "long target", "GET /" A64 "?" A64 " HTTP/1.1\r\n" H "\r\n", HTTP_GET, "a", "/" A64,
	  A64 },
	{ "odd bytes in the target", "GET /{a}|[b]^\"<>`\\ HTTP/1.1\r\n" H "\r\n", HTTP_GET, "a",
	  "/{a}|[b]^\"<>`\\", "" },
	{ "two slashes", "GET //b/x HTTP/1.1\r\n" H "\r\n", HTTP_GET, "a", "//b/x", "" },
	{ "HEAD", "HEAD / HTTP/1.1\r\n" H "\r\n", HTTP_HEAD, "a", "/", "" },
	{ "PUT of 5", "PUT / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\n", HTTP_PUT, "a", "/", "",
	  HTTP_BODY_LENGTH, 5 },
	{ "POST of 0", "POST / HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", HTTP_POST, "a", "/", "",
	  HTTP_BODY_NONE, 0 },
	{ "length with zeros", "POST / HTTP/1.1\r\n" H "Content-Length: 0007\r\n\r\n", HTTP_POST,
	  "a", "/", "", HTTP_BODY_LENGTH, 7 },
	{ "greatest length", "POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775807\r\n\r\n",
	  HTTP_POST, "a", "/", "", HTTP_BODY_LENGTH, INT64_MAX },
	{ "blanks round the length", "POST / HTTP/1.1\r\n" H "Content-Length: \t5 \t\r\n\r\n",
	  HTTP_POST, "a", "/", "", HTTP_BODY_LENGTH, 5 },
	{ "chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n", HTTP_POST, "a",
	  "/", "", HTTP_BODY_CHUNKED, 0 },
	{ "Chunked in mixed case", "POST / HTTP/1.1\r\n" H "TRANSFER-encoding:CHUNKED\r\n\r\n",
	  HTTP_POST, "a", "/", "", HTTP_BODY_CHUNKED, 0 },
	{ "POST without a length", "POST / HTTP/1.1\r\n" H "\r\n", HTTP_POST, "a", "/", "" },
	{ "DELETE", "DELETE /x HTTP/1.1\r\n" H "\r\n", HTTP_DELETE, "a", "/x", "" },
	{ "PATCH", "PATCH /x HTTP/1.1\r\n" H "\r\n", HTTP_PATCH, "a", "/x", "" },
	{ "another method", "PROPFIND /x HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, "a", "/x", "" },
	{ "method in lower case", "get / HTTP/1.1\r\n" H "\r\n", HTTP_OTHER, "a", "/", "" },
	{ "OPTIONS *", "OPTIONS * HTTP/1.1\r\n" H "\r\n", HTTP_OPTIONS, "a", "*", "" },
	{ "OPTIONS of a path", "OPTIONS /x HTTP/1.1\r\n" H "\r\n", HTTP_OPTIONS, "a", "/x", "" },
	{ "absolute OPTIONS", "OPTIONS http://a HTTP/1.1\r\n" H "\r\n", HTTP_OPTIONS, "a", "*",
	  "" },
	{ "absolute target", "GET http://a/x?y HTTP/1.1\r\n" H "\r\n", HTTP_GET, "a", "/x", "y" },
	{ "absolute target in capitals", "GET HTTP://A/x HTTP/1.1\r\n" H "\r\n", HTTP_GET, "a",
	  "/x", "" },
	{ "absolute target with https", "GET https://a:444/ HTTP/1.1\r\nHost: a:444\r\n\r\n",
	  HTTP_GET, "a:444", "/", "" },
	{ "absolute target without path", "GET http://a HTTP/1.1\r\n" H "\r\n", HTTP_GET, "a", "/",
	  "" },
	{ "absolute target with query only", "GET http://a?q HTTP/1.1\r\n" H "\r\n", HTTP_GET, "a",
	  "/", "q" },
	{ "absolute target in 1.0 without Host", "GET http://b/ HTTP/1.0\r\n\r\n", HTTP_GET, "b",
	  "/", "", .close = true },
	{ "CONNECT", "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", HTTP_OTHER, "a:443", "a:443",
	  "" },
	{ "Host with a port", "GET / HTTP/1.1\r\nHost: a.example:8080\r\n\r\n", HTTP_GET,
	  "a.example:8080", "/", "" },
	{ "Host with IPv6", "GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n", HTTP_GET,
	  "[2001:db8::1]:80", "/", "" },
	{ "Host with an underscore", "GET / HTTP/1.1\r\nHost: a_b.c-d~e\r\n\r\n", HTTP_GET,
	  "a_b.c-d~e", "/", "" },
	{ "empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", HTTP_GET, "", "/", "" },
	{ "blanks round the Host", "GET / HTTP/1.1\r\nHost: \t a\t \r\n\r\n", HTTP_GET, "a", "/",
	  "" },
	{ "1.0 without Host", "GET / HTTP/1.0\r\n\r\n", HTTP_GET, "", "/", "", .close = true },
	{ "1.0 with keep-alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", HTTP_GET, "",
	  "/", "" },
	{ "1.1 with close", "GET / HTTP/1.1\r\n" H "Connection: x, Close\r\n\r\n", HTTP_GET, "a",
	  "/", "", .close = true },
	{ "close wins over keep-alive",
	  "GET / HTTP/1.1\r\n" H "Connection: keep-alive\r\nConnection: close\r\n\r\n", HTTP_GET,
	  "a", "/", "", .close = true },
	{ "upgrade",
	  "GET / HTTP/1.1\r\n" H "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n",
	  HTTP_GET, "a", "/", "", .upgrade = true },
	{ "Upgrade that Connection does not name",
	  "GET / HTTP/1.1\r\n" H "Upgrade: websocket\r\n\r\n", HTTP_GET, "a", "/", "" },
	{ "upgrade without Upgrade", "GET / HTTP/1.1\r\n" H "Connection: upgrade\r\n\r\n", HTTP_GET,
	  "a", "/", "" },
	{ "upgrade in 1.0",
	  "GET / HTTP/1.0\r\n" H "Connection: upgrade\r\nUpgrade: websocket\r\n\r\n", HTTP_GET, "a",
	  "/", "", .close = true },
	{ "Expect", "PUT / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n",
	  HTTP_PUT, "a", "/", "", HTTP_BODY_LENGTH, 1, .expect = true },
	{ "Expect in 1.0",
	  "PUT / HTTP/1.0\r\n" H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", HTTP_PUT, "a",
	  "/", "", HTTP_BODY_LENGTH, 1, .close = true },
	{ "high bytes and tabs in a value",
	  "GET / HTTP/1.1\r\n" H "X: \xff\x80\tcaf\xc3\xa9\r\n\r\n", HTTP_GET, "a", "/", "" },
	{ "empty value", "GET / HTTP/1.1\r\n" H "X:\r\n\r\n", HTTP_GET, "a", "/", "" },
	{ "every token byte in a name", "GET / HTTP/1.1\r\n" H "!#$%&'*+-.^_`|~09azAZ: 1\r\n\r\n",
	  HTTP_GET, "a", "/", "" },
	{ "16 fields of 16",
	  "GET / HTTP/1.1\r\n" H "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n9:\r\n10:\r\n"
	  "11:\r\n12:\r\n13:\r\n14:\r\n15:\r\n\r\n",
	  HTTP_GET, "a", "/", "" },
};

static void assert_str(struct str got, const char *want)
{
	if (!str_eq(got, str_from(want)))
		fail_msg("got '%.*s', want '%s'", STR_ARG(got), want);
}

static void check_accepted(const struct accepted *a)
{
	assert_int_equal(head.method, a->method);
	assert_str(head.host, a->host);
	assert_str(head.path, a->path);
	assert_str(head.query, a->query);
	assert_int_equal(head.body, a->body);
	assert_int_equal(head.length, a->length);
	assert_int_equal(head.close, a->close);
	assert_int_equal(head.upgrade, a->upgrade);
	assert_int_equal(head.expect_continue, a->expect);
}

static void test_accepted(void **state)
{
	const struct accepted *a = *state;
	size_t len = strlen(a->data);

	assert_int_equal(parse(a->data, len), len);
	check_accepted(a);
	assert_int_equal(head.size, len);
	same_in_pieces(a->data, len, (int)len);
	check_accepted(a);
}

/* --- the rest ---------------------------------------------------------------------------------*/

static void test_lines_cover_the_head(void **state)
{
	static const char data[] = "\r\nGET /x HTTP/1.1\r\nHost: a\r\nX-Y:  z \r\n\r\nnext";
	const char *p = data + 2;

	(void)state;
	assert_int_equal(parse(data, sizeof(data) - 1), sizeof(data) - 1 - 4);
	assert_ptr_equal(head.first_line.s, p);
	p += head.first_line.len;
	for (unsigned i = 0; i < head.nfields; i++) {
		assert_ptr_equal(head.fields[i].line.s, p);
		p += head.fields[i].line.len;
	}
	assert_ptr_equal(p + 2, data + head.size);
	assert_str(head.fields[1].name, "X-Y");
	assert_str(head.fields[1].value, "z");
	assert_str(head.fields[1].line, "X-Y:  z \r\n");
}

static void test_hop_fields(void **state)
{
	static const char data[] = "GET / HTTP/1.1\r\nHost: a\r\nConnection: x-one, Host\r\n"
	                           "X-One: 1\r\nX-Two: 2\r\nTE: trailers\r\nKeep-Alive: 5\r\n"
	                           "Connection: ,content-length,, x-THREE ,\r\nX-Three: 3\r\n"
	                           "Content-Length: 1\r\nProxy-Authorization: x\r\n"
	                           "Proxy-Connection: x\r\nTrailer: x\r\nUpgrade: h2c\r\n\r\n";
	static const bool want[] = { false, true,  true, false, true, true, true,
		                     true,  false, true, true,  true, true };

	(void)state;
	assert_true(parse(data, sizeof(data) - 1) > 0);
	assert_int_equal(head.nfields, sizeof(want) / sizeof(want[0]));
	for (unsigned i = 0; i < head.nfields; i++) {
		if (head.fields[i].hop != want[i])
			fail_msg("field %.*s", STR_ARG(head.fields[i].name));
	}
}

static void test_find_fields(void **state)
{
	static const char data[] = "GET / HTTP/1.1\r\nHost: a\r\nCOOKIE: b\r\nCookie: c\r\n"
	                           "X-Other: d\r\n\r\n";

	(void)state;
	assert_true(parse(data, sizeof(data) - 1) > 0);
	assert_str(http_field(&head, HTTP_FIELD_COOKIE)->value, "b");
	assert_null(http_field(&head, HTTP_FIELD_DATE));
	assert_true(http_has(&head, HTTP_FIELD_HOST));
	assert_false(http_has(&head, HTTP_FIELD_TE));
	assert_str(http_field_named(&head, STR("x-oTHER"))->value, "d");
	assert_null(http_field_named(&head, STR("x-othe")));
}

static void test_pipelined(void **state)
{
	static const char data[] = "GET /1 HTTP/1.1\r\n" H "\r\nGET /2 HTTP/1.1\r\n" H "\r\n";
	int n;

	(void)state;
	n = parse(data, sizeof(data) - 1);
	assert_int_equal(n, 28);
	assert_str(head.path, "/1");
	assert_int_equal(parse(data + n, sizeof(data) - 1 - (size_t)n), 28);
	assert_str(head.path, "/2");
}

/* Byte by byte, the work must not grow with the square of the length. */
static void test_linear_work(void **state)
{
	const struct http_limits wide = { 1 << 20, 1 << 20, 16 };
	size_t len = 1 << 19, scanned = 0;
	char *data = malloc(len);
	int n = 0;

	(void)state;
	memset(data, 'a', len);
	memcpy(data, "GET / HTTP/1.1\r\n" H "X: ", 28);
	memcpy(data + len - 4, "\r\n\r\n", 4);
	for (size_t i = 1; i <= len && n == 0; i++)
		n = http_parse_request(&head, data, i, &wide, &scanned);
	assert_int_equal(n, len); /* quadratic work would take minutes */
	free(data);
}

int main(void)
{
	static struct rows rows;

	ROWS_ADD_TABLE(&rows, refused, test_refused);
	ROWS_ADD_TABLE(&rows, accepted, test_accepted);
	rows_add(&rows, "lines cover the head", test_lines_cover_the_head, NULL);
	rows_add(&rows, "hop-by-hop fields", test_hop_fields, NULL);
	rows_add(&rows, "fields are found", test_find_fields, NULL);
	rows_add(&rows, "pipelined requests", test_pipelined, NULL);
	rows_add(&rows, "work is linear", test_linear_work, NULL);
	return rows_run(&rows, "http_request");
}
