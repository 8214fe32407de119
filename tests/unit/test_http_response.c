/* SPDX-License-Identifier: Apache-2.0 */
/* Responses: framing by RFC 9112, 6.3, and what is refused, at once and in pieces. */
#include "rows.h"

#include "http/http.h"

static const struct http_limits limits = { .max_line = 128, .max_head = 512, .max_fields = 8 };
static struct http_head head;

struct row {
	const char *name;
	struct str data;
	enum http_method request;
	enum http_fault fault;
	unsigned status;
	enum http_body body;
	uint64_t length;
	bool close, upgrade;
	const char *reason;
};

#define D(text) \
	{ \
		text, sizeof(text) - 1 \
	}
#define BAD(name, text, fault) \
	{ \
		name, D(text), HTTP_GET, HTTP_FAULT_##fault \
	}
#define LINE(name, line, fault)   BAD(name, line "\r\n\r\n", fault)
#define FIELD(name, field, fault) BAD(name, "HTTP/1.1 200 OK\r\n" field "\r\n\r\n", fault)
#define A64                       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

static const struct row rows_table[] = {
	{ "length", D("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), HTTP_GET, 0, 200,
	  HTTP_BODY_LENGTH, 5 },
	{ "length 0", D("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), HTTP_GET, 0, 200,
	  HTTP_BODY_NONE, 0 },
	{ "chunked", D("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP_GET, 0, 200,
	  HTTP_BODY_CHUNKED },
	{ "until close", D("HTTP/1.1 200 OK\r\n\r\n"), HTTP_GET, 0, 200, HTTP_BODY_UNTIL_CLOSE,
	  .close = true },
	{ "until close in spite of keep-alive",
	  D("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n"), HTTP_GET, 0, 200,
	  HTTP_BODY_UNTIL_CLOSE, .close = true },
	{ "HEAD with length", D("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), HTTP_HEAD, 0, 200,
	  HTTP_BODY_NONE, 5 },
	{ "HEAD with chunked", D("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
	  HTTP_HEAD, 0, 200, HTTP_BODY_NONE },
	{ "HEAD without either", D("HTTP/1.1 200 OK\r\n\r\n"), HTTP_HEAD, 0, 200, HTTP_BODY_NONE },
	{ "100", D("HTTP/1.1 100 Continue\r\n\r\n"), HTTP_POST, 0, 100, HTTP_BODY_NONE },
	{ "103", D("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), HTTP_GET, 0, 103,
	  HTTP_BODY_NONE },
	{ "101", D("HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n"),
	  HTTP_GET, 0, 101, HTTP_BODY_NONE, .upgrade = true },
	{ "204", D("HTTP/1.1 204 No Content\r\n\r\n"), HTTP_GET, 0, 204, HTTP_BODY_NONE },
	{ "204 with length 0", D("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), HTTP_GET,
	  0, 204, HTTP_BODY_NONE },
	{ "204 with a length", D("HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n"), HTTP_GET,
	  0, 204, HTTP_BODY_NONE, 3, .close = true },
	{ "204 with chunked", D("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n"), HTTP_GET,
	  0, 204, HTTP_BODY_NONE, .close = true },
	{ "304 with a length", D("HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
	  HTTP_GET, 0, 304, HTTP_BODY_NONE, 9 },
	{ "1.0", D("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n"), HTTP_GET, 0, 200,
	  HTTP_BODY_LENGTH, 5, .close = true },
	{ "1.0 with keep-alive",
	  D("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n"), HTTP_GET, 0,
	  200, HTTP_BODY_LENGTH, 5 },
	{ "close", D("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"), HTTP_GET,
	  0, 200, HTTP_BODY_LENGTH, 5, .close = true },
	{ "no reason", D("HTTP/1.1 200 \r\nContent-Length: 5\r\n\r\n"), HTTP_GET, 0, 200,
	  HTTP_BODY_LENGTH, 5, .reason = "" },
	{ "no reason and no blank", D("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\n"), HTTP_GET, 0,
	  200, HTTP_BODY_LENGTH, 5, .reason = "" },
	{ "reason of many words",
	  D("HTTP/1.1 404 Kann nicht gefunden werden\r\n"
	    "Content-Length: 5\r\n\r\n"),
	  HTTP_GET, 0, 404, HTTP_BODY_LENGTH, 5, .reason = "Kann nicht gefunden werden" },
	{ "high bytes in the reason", D("HTTP/1.1 404 \xc3\xa9\r\nContent-Length: 5\r\n\r\n"),
	  HTTP_GET, 0, 404, HTTP_BODY_LENGTH, 5, .reason = "\xc3\xa9" },
	{ "status 999", D("HTTP/1.1 999 Odd\r\nContent-Length: 5\r\n\r\n"), HTTP_GET, 0, 999,
	  HTTP_BODY_LENGTH, 5 },
	{ "no Host is needed", D("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\n"), HTTP_GET,
	  0, 200, HTTP_BODY_LENGTH, 5 },

	FIELD("length and chunked", "Content-Length: 3\r\nTransfer-Encoding: chunked",
	      BOTH_LENGTHS),
	FIELD("differing lengths", "Content-Length: 3\r\nContent-Length: 4", TWO_LENGTHS),
	FIELD("repeated length", "Content-Length: 3\r\nContent-Length: 3", TWO_LENGTHS),
	FIELD("length list", "Content-Length: 3, 3", BAD_LENGTH),
	FIELD("empty length", "Content-Length:", BAD_LENGTH),
	FIELD("length with plus", "Content-Length: +3", BAD_LENGTH),
	FIELD("length above 63 bits", "Content-Length: 9999999999999999999", BAD_LENGTH),
	FIELD("gzip coding", "Transfer-Encoding: gzip", BAD_CODING),
	FIELD("gzip, chunked", "Transfer-Encoding: gzip, chunked", BAD_CODING),
	FIELD("two codings", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
	      BAD_CODING),
	FIELD("folding", "X: 1\r\n 2", FOLDING),
	FIELD("blank before the colon", "Content-Length : 5", BAD_NAME),
	FIELD("empty name", ": 5", BAD_NAME),
	FIELD("NUL in a value", "X: \0", CONTROL_BYTE),
	FIELD("control byte in a value", "X: \001", CONTROL_BYTE),
	FIELD("bare LF", "X: 1\nContent-Length: 5", BARE_LF),
	FIELD("bare CR", "X: 1\rContent-Length: 5", BARE_LF),
	FIELD("8 fields and one",
	      "1:\r\n2:\r\n3:\r\n4:\r\n5:\r\n6:\r\n7:\r\n8:\r\n9:", TOO_MANY_FIELDS),
	FIELD("head too large", "X: " A64 A64 A64 A64 A64 A64 A64 A64, HEAD_TOO_LARGE),
	BAD("chunked in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
	    CODING_IN_10),
	BAD("bare LF after the status line", "HTTP/1.1 200 OK\nX: y\r\n\r\n", BARE_LF),
	BAD("empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n", BAD_LINE),
	BAD("HTTP/0.9", "<html>hello", BAD_LINE),
	BAD("another protocol", "SSH-2.0-OpenSSH", BAD_LINE),
	BAD("TLS alert", "\x15\x03\x03", BAD_LINE),
	LINE("lower case", "http/1.1 200 OK", BAD_LINE),
	LINE("HTTP/2.0", "HTTP/2.0 200 OK", BAD_VERSION),
	LINE("HTTP/1.2", "HTTP/1.2 200 OK", BAD_VERSION),
	LINE("no blank after the version", "HTTP/1.1200 OK", BAD_LINE),
	LINE("two blanks after the version", "HTTP/1.1  200 OK", BAD_STATUS),
	LINE("status of two digits", "HTTP/1.1 20 OK", BAD_STATUS),
	LINE("status of four digits", "HTTP/1.1 2000 OK", BAD_STATUS),
	LINE("status below 100", "HTTP/1.1 099 OK", BAD_STATUS),
	LINE("status with a letter", "HTTP/1.1 2x0 OK", BAD_STATUS),
	LINE("negative status", "HTTP/1.1 -20 OK", BAD_STATUS),
	LINE("no status", "HTTP/1.1 ", BAD_STATUS),
	LINE("control byte in the reason", "HTTP/1.1 200 O\001K", CONTROL_BYTE),
	LINE("CR in the reason", "HTTP/1.1 200 O\rK", BARE_LF),
	LINE("status line too long", "HTTP/1.1 200 " A64 A64, LINE_TOO_LONG),
};

static void test_row(void **state)
{
	const struct row *r = *state;
	int want = r->fault ? -(int)r->fault : (int)r->data.len, n = 0;
	size_t scanned = 0;

	memset(&head, 0xa5, sizeof(head));
	n = http_parse_response(&head, r->data.s, r->data.len, &limits, &scanned, r->request);
	assert_int_equal(n, want);
	for (size_t at = 0; at <= r->data.len; at++) {
		scanned = 0;
		n = http_parse_response(&head, r->data.s, at, &limits, &scanned, r->request);
		if (n == 0)
			n = http_parse_response(&head, r->data.s, r->data.len, &limits, &scanned,
			                        r->request);
		assert_int_equal(n, want);
	}
	if (r->fault)
		return;
	assert_int_equal(head.status, r->status);
	assert_int_equal(head.body, r->body);
	assert_int_equal(head.length, r->length);
	assert_int_equal(head.close, r->close);
	assert_int_equal(head.upgrade, r->upgrade);
	if (r->reason)
		assert_true(str_eq(head.reason, str_from(r->reason)));
}

int main(void)
{
	static struct rows rows;

	ROWS_ADD_TABLE(&rows, rows_table, test_row);
	return rows_run(&rows, "http_response");
}
