/* SPDX-License-Identifier: Apache-2.0 */
/* Keys of WebSockets: which count, and what answers them. */
#include "rows.h"

#include "base/check.h"
#include "http/websocket.h"

#define SAMPLE "dGhlIHNhbXBsZSBub25jZQ=="

struct row {
	const char *name;
	const char *fields;
	const char *key; /* "": none that counts */
};

static const struct row rows[] = {
	{ "sample", "Sec-WebSocket-Key: " SAMPLE "\r\n", SAMPLE },
	{ "name_in_other_case", "sec-websocket-KEY:" SAMPLE " \r\n", SAMPLE },
	{ "all_digits", "Sec-WebSocket-Key: 0123456789abcdefgh+/ZA==\r\n",
	  "0123456789abcdefgh+/ZA==" },
	{ "none", "", "" },
	{ "empty", "Sec-WebSocket-Key:\r\n", "" },
	{ "too_short", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZ==\r\n", "" },
	{ "too_long", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQAA\r\n", "" },
	{ "no_padding", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=a\r\n", "" },
	{ "other_letters", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j_Q==\r\n", "" },
	{ "named_by_connection",
	  "Connection: upgrade, sec-websocket-key\r\nSec-WebSocket-Key: " SAMPLE "\r\n", "" },
	{ "twice", "Sec-WebSocket-Key: " SAMPLE "\r\nSec-WebSocket-Key: " SAMPLE "\r\n", "" },
};

static const struct http_head *head_of(const char *fields)
{
	static const struct http_limits limits = { 8192, 8192, HTTP_MAX_FIELDS };
	static struct http_head h;
	static char text[1024];
	size_t scanned = 0;
	int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", fields);

	assert_int_equal(http_parse_request(&h, text, (size_t)n, &limits, &scanned), n);
	return &h;
}

static void run(void **state)
{
	const struct row *r = *state;
	const struct str key = websocket_key(head_of(r->fields));

	assert_true(str_eq(key, str_from(r->key)));
}

/* RFC 6455, 1.3 */
static void accepted(void **state)
{
	char out[WEBSOCKET_ACCEPT_LEN + 1];

	websocket_accept(SAMPLE, out);
	assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

static void named(void **state)
{
	assert_true(websocket_named(head_of("Upgrade: WebSocket\r\n")));
	assert_true(websocket_named(head_of("Upgrade: x, websocket\r\n")));
	assert_false(websocket_named(head_of("Upgrade: websockets\r\n")));
	assert_false(websocket_named(head_of("")));
}

int main(void)
{
	static struct rows r;

	ROWS_ADD_TABLE(&r, rows, run);
	rows_add(&r, "accepted", accepted, NULL);
	rows_add(&r, "named", named, NULL);
	return rows_run(&r, "websocket");
}
