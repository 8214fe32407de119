/* SPDX-License-Identifier: Apache-2.0 */
/* The chunked coding: what it carries, what is refused, in pieces of every size. */
#include "rows.h"

#include "base/check.h"
#include "http/http.h"

struct row {
	const char *name;
	struct str data;
	const char *body; /* what it carries; NULL: refused */
	enum http_fault fault;
	size_t rest; /* bytes after the message */
};

#define D(text) \
	{ \
		text, sizeof(text) - 1 \
	}
#define GOOD(name, text, body) \
	{ \
		name, D(text), body \
	}
#define BAD(name, text, fault) \
	{ \
		name, D(text), NULL, HTTP_FAULT_##fault \
	}
#define A64  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A256 A64 A64 A64 A64
#define A1K  A256 A256 A256 A256

static const struct row table[] = {
	GOOD("empty", "0\r\n\r\n", ""),
	GOOD("one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello"),
	GOOD("two chunks", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "hello world"),
	GOOD("hex in both cases", "a\r\n0123456789\r\nB\r\n0123456789A\r\n0\r\n\r\n",
	     "01234567890123456789A"),
	GOOD("leading zeros", "0005\r\nhello\r\n000\r\n\r\n", "hello"),
	GOOD("data that looks like framing", "a\r\n0\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n",
	     "0\r\n\r\n0\r\n\r\n"),
	GOOD("extension", "5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n", "hello"),
	GOOD("blanks before an extension", "5 \t;a\r\nhello\r\n0\r\n\r\n", "hello"),
	GOOD("extension of 200 bytes", "5;" A64 A64 A64 "aaaaaa\r\nhello\r\n0\r\n\r\n", "hello"),
	GOOD("trailer", "5\r\nhello\r\n0\r\nX-Sum: 1\r\n\r\n", "hello"),
	GOOD("two trailers", "0\r\nA: 1\r\nB:\r\n\r\n", ""),
	GOOD("high byte in a trailer", "0\r\nA: \xc3\xa9\r\n\r\n", ""),
	{ "next message follows", D("1\r\nx\r\n0\r\n\r\nGET /"), "x", 0, 5 },
	{ "CRLF follows", D("0\r\n\r\n\r\n"), "", 0, 2 },

	BAD("bare LF after the size", "5\nhello\r\n0\r\n\r\n", BAD_CHUNK),
	BAD("bare CR after the size", "5\rhello\r\n0\r\n\r\n", BAD_CHUNK),
	BAD("bare LF after the data", "5\r\nhello\n0\r\n\r\n", BAD_CHUNK),
	BAD("bare CR after the data", "5\r\nhello\r0\r\n\r\n", BAD_CHUNK),
	BAD("data longer than its size", "4\r\nhello\r\n0\r\n\r\n", BAD_CHUNK),
	BAD("data shorter than its size", "6\r\nhello\r\n0\r\n\r\n", BAD_CHUNK),
	BAD("no size", "\r\nhello\r\n", BAD_CHUNK),
	BAD("extension without a size", ";a\r\n", BAD_CHUNK),
	BAD("size with 0x", "0x5\r\nhello\r\n", BAD_CHUNK),
	BAD("size with plus", "+5\r\nhello\r\n", BAD_CHUNK),
	BAD("size with minus", "-5\r\nhello\r\n", BAD_CHUNK),
	BAD("size with a blank first", " 5\r\nhello\r\n", BAD_CHUNK),
	BAD("size with a blank after", "5 \r\nhello\r\n", BAD_CHUNK),
	BAD("size with a letter", "5g\r\nhello\r\n", BAD_CHUNK),
	BAD("size with an underscore", "1_0\r\n", BAD_CHUNK),
	BAD("size of 64 bits", "ffffffffffffffff\r\n", BAD_CHUNK),
	BAD("size above 64 bits", "10000000000000005\r\nhello\r\n", BAD_CHUNK),
	BAD("size line too long", "5;" A256 "\r\nhello\r\n", BAD_CHUNK),
	BAD("too many zeros", "0" A64, BAD_CHUNK),
	BAD("NUL in an extension", "5;\0\r\nhello\r\n", BAD_CHUNK),
	BAD("bare LF in an extension", "5;a\nhello\r\n", BAD_CHUNK),
	BAD("CR in an extension", "5;a\rb\r\nhello\r\n", BAD_CHUNK),
	BAD("stray bytes after the data", "5\r\nhelloXX\r\n0\r\n\r\n", BAD_CHUNK),
	BAD("bare LF for the end", "0\r\n\n", BAD_TRAILER),
	BAD("bare CR for the end", "0\r\n\rX", BAD_TRAILER),
	BAD("folded trailer", "0\r\nA: 1\r\n 2\r\n\r\n", BAD_TRAILER),
	BAD("trailer with a blank before the colon", "0\r\nA : 1\r\n\r\n", BAD_TRAILER),
	BAD("trailer without a name", "0\r\n: 1\r\n\r\n", BAD_TRAILER),
	BAD("trailer without a colon", "0\r\nA\r\n\r\n", BAD_TRAILER),
	BAD("trailer with a control byte", "0\r\nA: \001\r\n\r\n", BAD_TRAILER),
	BAD("trailer with a bare LF", "0\r\nA: 1\n\r\n", BAD_TRAILER),
	BAD("next request as a trailer", "0\r\nGET / HTTP/1.1\r\n\r\n", BAD_TRAILER),
	BAD("trailers too large", "0\r\nA: " A1K A1K A1K A1K A1K A1K A1K A1K "\r\n\r\n",
	    BAD_TRAILER),
};

/* With piece sizes; returns bytes consumed or the fault; body gets what it carries. */
static ssize_t run(const struct row *r, size_t piece, bool payload, char *body, size_t *body_len)
{
	struct http_chunked c;
	size_t pos = 0;

	http_chunked_init(&c);
	*body_len = 0;
	while (pos < r->data.len && !c.done) {
		size_t len = r->data.len - pos < piece ? r->data.len - pos : piece;
		struct str data;
		ssize_t n = http_chunked_scan(&c, r->data.s + pos, len, payload ? &data : NULL);

		if (n < 0)
			return n;
		assert_true((size_t)n <= len);
		assert_true(n > 0);
		if (!payload && !c.done)
			assert_int_equal(n, len);
		if (payload && data.len > 0) {
			assert_true(data.s >= r->data.s + pos);
			assert_true(data.s + data.len <= r->data.s + pos + (size_t)n);
			memcpy(body + *body_len, data.s, data.len);
			*body_len += data.len;
		}
		pos += (size_t)n;
	}
	assert_int_equal(c.done, r->body != NULL);
	return (ssize_t)pos;
}

static void test_row(void **state)
{
	const struct row *r = *state;
	static char body[16384];
	size_t len;

	for (size_t piece = 1; piece <= r->data.len; piece += piece < 32 ? 1 : piece) {
		ssize_t want = r->body ? (ssize_t)(r->data.len - r->rest) : -(ssize_t)r->fault;

		assert_int_equal(run(r, piece, false, body, &len), want);
		assert_int_equal(run(r, piece, true, body, &len), want);
		if (r->body) {
			assert_int_equal(len, strlen(r->body));
			assert_memory_equal(body, r->body, len);
		}
	}
}

static void test_done_takes_nothing(void **state)
{
	struct http_chunked c;

	(void)state;
	http_chunked_init(&c);
	assert_int_equal(http_chunked_scan(&c, "0\r\n\r\n", 5, NULL), 5);
	assert_true(c.done);
	assert_int_equal(http_chunked_scan(&c, "0\r\n\r\n", 5, NULL), 0);
}

static void test_huge_chunk(void **state)
{
	struct http_chunked c;

	(void)state;
	http_chunked_init(&c);
	assert_int_equal(http_chunked_scan(&c, "fffffffffffffff\r\nab", 19, NULL), 19);
	assert_int_equal(c.left, 0xfffffffffffffffULL - 2);
	assert_false(c.done);
}

static void test_pack(void **state)
{
	static const size_t sizes[] = { 0, 1, 15, 16, 255, 256, 4095, 4096, 65535, 65536 };
	char *data = test_malloc(65536), *out = test_malloc(65536 + HTTP_CHUNK_ROOM);

	(void)state;
	memset(data, 'x', 65536);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct str packed = http_chunk_pack(out, str_n(data, sizes[i]), true);
		struct http_chunked c;

		http_chunked_init(&c);
		assert_int_equal(http_chunked_scan(&c, packed.s, packed.len, NULL), packed.len);
		assert_true(c.done);
	}
	assert_int_equal(http_chunk_pack(out, STR_NONE, false).len, 0);
	assert_memory_equal(http_chunk_pack(out, str_n(data, 26), false).s, "1a\r\nxxxx", 8);
	test_free(data);
	test_free(out);
}

static void test_unpack_trailers(void **state)
{
	static const char data[] = "3\r\nabc\r\n0\r\nA: 1\r\nb-c:\r\nD: x y \r\n\r\nrest";
	static const char want[] = "A: 1\r\nb-c:\r\nD: x y \r\n";

	(void)state;
	for (size_t step = 1; step < sizeof(data); step++) {
		char body[16] = "", lines[64] = "";
		struct http_chunked c;
		size_t pos = 0;

		http_chunked_init(&c);
		while (!c.done) {
			struct str payload, trailers;
			ssize_t n =
			    http_chunked_unpack(&c, data + pos, MIN(step, sizeof(data) - 1 - pos),
			                        &payload, &trailers);

			assert_true(n > 0);
			strncat(body, payload.s ? payload.s : "", payload.len);
			strncat(lines, trailers.s ? trailers.s : "", trailers.len);
			pos += (size_t)n;
		}
		assert_string_equal(body, "abc");
		assert_string_equal(lines, want);
		assert_string_equal(data + pos, "rest");
	}
}

static void test_unpack_refuses(void **state)
{
	static const char *const bad[] = { "0\r\n: 1\r\n\r\n", "0\r\nA b: 1\r\n\r\n",
		                           "0\r\nA\r\n\r\n",   "0\r\nA: \x01\r\n\r\n",
		                           "0\r\nA: 1\n\r\n",  "0\r\n\rx" };
	struct str payload, trailers;
	struct http_chunked c;
	char *many = test_malloc(3 + HTTP_MAX_TRAILERS + 1);
	ssize_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		http_chunked_init(&c);
		n = http_chunked_unpack(&c, bad[i], strlen(bad[i]), &payload, &trailers);
		assert_int_equal(n, -HTTP_FAULT_BAD_TRAILER);
	}
	memcpy(many, "0\r\na:", 5);
	memset(many + 5, 'x', HTTP_MAX_TRAILERS - 1);
	http_chunked_init(&c);
	n = http_chunked_unpack(&c, many, 3 + HTTP_MAX_TRAILERS + 1, &payload, &trailers);
	assert_int_equal(n, -HTTP_FAULT_BAD_TRAILER);
	test_free(many);
}

int main(void)
{
	static struct rows rows;

	ROWS_ADD_TABLE(&rows, table, test_row);
	rows_add(&rows, "done takes nothing", test_done_takes_nothing, NULL);
	rows_add(&rows, "huge chunk", test_huge_chunk, NULL);
	rows_add(&rows, "trailers are unpacked", test_unpack_trailers, NULL);
	rows_add(&rows, "trailers that may not be", test_unpack_refuses, NULL);
	rows_add(&rows, "what is packed reads back", test_pack, NULL);
	return rows_run(&rows, "http_chunked");
}
