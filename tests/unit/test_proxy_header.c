/* SPDX-License-Identifier: Apache-2.0 */
/* PROXY headers: what is taken, byte for byte, and what is refused with which reason. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/err.h"
#include "net/proxy_header.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"
#define A4  "\xc0\0\2\1\xc6\x33\x64\7\xdc\4\1\xbb" /* 192.0.2.1:56324 to 198.51.100.7:443 */

static ssize_t read_text(struct str s, struct proxy_header *h, const char **why)
{
	/* A block of its own, so that reading behind it is noticed. */
	char *copy = malloc(s.len + 1);
	ssize_t n;

	memcpy(copy, s.s, s.len);
	n = proxy_header_read(copy, s.len, h, why);
	free(copy);
	return n;
}

static void takes(struct str s, size_t whole, const char *source, const char *destination)
{
	char text[NET_ADDR_TEXT];
	struct proxy_header h;
	const char *why;
	size_t i;

	for (i = 0; i < whole; i++)
		assert_int_equal(read_text(str_n(s.s, i), &h, &why), 0);
	for (i = whole; i <= s.len; i++)
		assert_int_equal(read_text(str_n(s.s, i), &h, &why), whole);
	assert_int_equal(h.local, source == NULL);
	if (source != NULL) {
		assert_string_equal(net_addr_format(&h.source, text), source);
		assert_string_equal(net_addr_format(&h.destination, text), destination);
	}
}

static void refuses(struct str s, const char *part)
{
	struct proxy_header h;
	const char *why = NULL;

	assert_int_equal(read_text(s, &h, &why), ERR_SYNTAX);
	assert_non_null(strstr(why, part));
}

static void v1(void **state)
{
	(void)state;
	takes(STR("PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\nGET"), 45, "192.0.2.1:56324",
	      "198.51.100.7:443");
	takes(STR("PROXY TCP6 2001:db8::1 ::1 0 65535\r\n\r\n"), 36, "[2001:db8::1]:0",
	      "[::1]:65535");
	takes(STR("PROXY UNKNOWN\r\nPROXY"), 15, NULL, NULL);
	takes(STR("PROXY UNKNOWN whatever 1 2 3\r\n"), 30, NULL, NULL);
}

static void v1_longest(void **state)
{
	static const char line[] = "PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff "
	                           "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n";

	(void)state;
	takes(STR(line), 107, NULL, NULL);
	refuses(STR("PROXY UNKNOWN ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff  "
	            "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n"),
	        "too long");
}

static void v1_bad(void **state)
{
	(void)state;
	refuses(STR("GET / HTTP/1.1\r\n"), "does not begin with");
	refuses(STR("PROXX"), "does not begin with");
	refuses(STR("proxy TCP4"), "does not begin with");
	refuses(STR("PROXY TCP4 192.0.2.1 198.51.100.7 1 2\n"), "CRLF");
	refuses(STR("PROXY UDP4 192.0.2.1 198.51.100.7 1 2\r\n"), "neither TCP4");
	refuses(STR("PROXY TCP4 192.0.2.1 198.51.100.7 1\r\n"), "ports");
	refuses(STR("PROXY TCP4 192.0.2.1 198.51.100.7 1 2 3\r\n"), "ports");
	refuses(STR("PROXY TCP4 192.0.2.1 198.51.100.7 01 2\r\n"), "ports");
	refuses(STR("PROXY TCP4 192.0.2.1 198.51.100.7 1 65536\r\n"), "ports");
	refuses(STR("PROXY TCP4 192.0.2.1 198.51.100.7 1 +2\r\n"), "ports");
	refuses(STR("PROXY TCP4  192.0.2.1 198.51.100.7 1 2\r\n"), "ports");
	refuses(STR("PROXY TCP4 ::1 198.51.100.7 1 2\r\n"), "family");
	refuses(STR("PROXY TCP6 ::1 198.51.100.7 1 2\r\n"), "family");
	refuses(STR("PROXY TCP4 192.0.2.256 198.51.100.7 1 2\r\n"), "family");
}

static void v2(void **state)
{
	(void)state;
	takes(STR(SIG "\x21\x11\0\x0c" A4 "GET"), 28, "192.0.2.1:56324", "198.51.100.7:443");
	takes(STR(SIG "\x21\x21\0\x24"
	              "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1"
	              "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\5\1\xbb"),
	      52, "[2001:db8::1]:5", "[::1]:443");
	takes(STR(SIG "\x20\0\0\0zz"), 16, NULL, NULL);
	takes(STR(SIG "\x20\x11\0\x0c" A4), 28, NULL, NULL);
	takes(STR(SIG "\x21\0\0\3\4\0\0"), 19, NULL, NULL);
	/* appended values are passed over */
	takes(STR(SIG "\x21\x11\0\x1b" A4 "\2\0\x09shop.testx\0\0"
	              "rest"),
	      16 + 12 + 12 + 3, "192.0.2.1:56324", "198.51.100.7:443");
}

static void v2_unix(void **state)
{
	char data[16 + 216] = SIG "\x21\x31\0\xd8/run/app.sock";
	struct proxy_header h;
	const char *why;
	char text[NET_ADDR_TEXT];

	(void)state;
	memset(data + 16 + 108, 'x', 108); /* a path that nothing ends */
	assert_int_equal(read_text(str_n(data, sizeof(data)), &h, &why), sizeof(data));
	assert_string_equal(net_addr_format(&h.source, text), "unix:/run/app.sock");
	assert_int_equal(strlen(h.destination.un.sun_path), 107);
}

static void v2_bad(void **state)
{
	(void)state;
	refuses(STR(SIG "\x11\x11\0\x0c" A4), "neither 1 nor 2");
	refuses(STR(SIG "\x22\x11\0\x0c" A4), "neither LOCAL nor PROXY");
	refuses(STR(SIG "\x21\x12\0\x0c" A4), "no connection");
	refuses(STR(SIG "\x21\x41\0\x0c" A4), "no connection");
	refuses(STR(SIG "\x21\x21\0\x0c" A4), "too short");
	refuses(STR(SIG "\x21\x11\x10\x01"), "4 KiB");
	refuses(STR(SIG "\x21\x11\0\x0e" A4 "\4\0"), "cut off");
	refuses(STR(SIG "\x21\x11\0\x10" A4 "\4\0\2x"), "cut off");
	refuses(STR(SIG "\x21\x11\0\x11" A4 "\3\0\2xx"), "four bytes");
	refuses(STR(SIG "\x21\x11\0\x13" A4 "\3\0\4xxxx"), "checksum is wrong");
}

static void v2_checksum(void **state)
{
	char data[] = SIG "\x21\x11\0\x16" A4 "\3\0\4\0\0\0\0\4\0\0";
	uint32_t crc;

	(void)state;
	/* RFC 3720, B.4: 32 bytes of zeroes */
	assert_int_equal(
	    proxy_header_crc32c("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"
	                        "\0\0\0\0",
	                        32, 32),
	    0x8a9136aa);
	crc = htonl(proxy_header_crc32c(data, 38, 31));
	memcpy(data + 31, &crc, 4);
	takes(str_n(data, 38), 38, "192.0.2.1:56324", "198.51.100.7:443");
	data[16] ^= 1;
	refuses(str_n(data, 38), "checksum is wrong");
}

static void written(void **state)
{
	static const char *const pairs[][3] = {
		{ "192.0.2.1:56324", "198.51.100.7:443",
		  "PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n" },
		{ "[2001:db8::1]:1", "[2001:db8::2]:2",
		  "PROXY TCP6 2001:db8::1 2001:db8::2 1 2\r\n" },
		{ "[::ffff:192.0.2.1]:1", "192.0.2.9:2", "PROXY TCP4 192.0.2.1 192.0.2.9 1 2\r\n" },
		{ "192.0.2.1:1", "[2001:db8::2]:2",
		  "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::2 1 2\r\n" },
		{ "[2001:db8::2]:1", "[::ffff:192.0.2.1]:2",
		  "PROXY TCP6 2001:db8::2 ::ffff:192.0.2.1 1 2\r\n" },
		{ "[fe80::1%lo]:1", "[fe80::2%lo]:2", "PROXY TCP6 fe80::1 fe80::2 1 2\r\n" },
		{ "unix:/x", "unix:/y", "PROXY UNKNOWN\r\n" },
	};
	char out[PROXY_HEADER_OUT], text[NET_ADDR_TEXT];
	struct net_addr s, d;
	struct proxy_header h;
	const char *why;
	size_t i, n;

	(void)state;
	for (i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		assert_int_equal(net_addr_parse(str_from(pairs[i][0]), &s, NULL), OK);
		assert_int_equal(net_addr_parse(str_from(pairs[i][1]), &d, NULL), OK);
		n = proxy_header_write(1, &s, &d, out);
		assert_int_equal(n, strlen(pairs[i][2]));
		assert_memory_equal(out, pairs[i][2], n);
		n = proxy_header_write(2, &s, &d, out);
		assert_int_equal(proxy_header_read(out, n, &h, &why), n);
		assert_int_equal(h.local, i == 6);
		if (i < 2)
			assert_string_equal(net_addr_format(&h.source, text), pairs[i][0]);
	}
	n = proxy_header_write(2, &s, &d, out);
	assert_memory_equal(out, SIG "\x20\0\0\0", n);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(v1),          cmocka_unit_test(v1_longest),
		cmocka_unit_test(v1_bad),      cmocka_unit_test(v2),
		cmocka_unit_test(v2_unix),     cmocka_unit_test(v2_bad),
		cmocka_unit_test(v2_checksum), cmocka_unit_test(written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
