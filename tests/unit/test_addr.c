/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses and networks: what is taken, what is refused and why, how they print. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/err.h"
#include "net/addr.h"

static struct net_addr parse(const char *text)
{
	struct net_addr a;

	assert_int_equal(net_addr_parse(str_from(text), &a, NULL), OK);
	return a;
}

static struct net_cidr cidr(const char *text)
{
	struct net_cidr n;

	assert_int_equal(net_cidr_parse(str_from(text), &n), OK);
	return n;
}

static bool has(const char *net, const char *address)
{
	struct net_cidr n = cidr(net);
	struct net_addr a = parse(address);

	return net_cidr_has(&n, &a);
}

static void test_round_trip(void **state)
{
	static const char *const texts[] = {
		"1.2.3.4:80", "0.0.0.0:65535",    "[::1]:80",        "[::]:443",
		"*:80",       "unix:/run/x.sock", "[2001:db8::1]:1", "[fe80::1%lo]:80",
	};
	char out[NET_ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct net_addr a = parse(texts[i]);

		assert_string_equal(net_addr_format(&a, out), texts[i]);
	}
}

static void test_families(void **state)
{
	struct net_addr a = parse("127.0.0.1:8080");

	(void)state;
	assert_int_equal(a.sa.sa_family, AF_INET);
	assert_int_equal(a.len, sizeof(struct sockaddr_in));
	assert_int_equal(net_addr_port(&a), 8080);
	a = parse("[::1]:81");
	assert_int_equal(a.sa.sa_family, AF_INET6);
	assert_int_equal(a.len, sizeof(struct sockaddr_in6));
	assert_int_equal(net_addr_port(&a), 81);
	assert_false(a.wildcard);
	a = parse("*:82");
	assert_true(a.wildcard);
	assert_int_equal(net_addr_port(&a), 82);
	a = parse("unix:/tmp/x");
	assert_int_equal(a.sa.sa_family, AF_UNIX);
	assert_int_equal(net_addr_port(&a), 0);
}

static void test_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} cases[] = {
		{ "", "port is missing" },
		{ "1.2.3.4", "port is missing" },
		{ ":80", "before the port is missing" },
		{ "1.2.3.4:", "from 1 to 65535" },
		{ "1.2.3.4:0", "from 1 to 65535" },
		{ "1.2.3.4:65536", "from 1 to 65535" },
		{ "1.2.3.4:8o", "from 1 to 65535" },
		{ "1.2.3.4:-1", "from 1 to 65535" },
		{ "1.2.3:80", "neither" },
		{ "1.2.3.256:80", "neither" },
		{ "a b:80", "neither" },
		{ "-web:80", "neither" },
		{ "::1:80", "brackets" },
		{ "[::1:80", "closing ]" },
		{ "[::1]", "port must follow" },
		{ "[::1]80", "port must follow" },
		{ "[]:80", "before the port is missing" },
		{ "[1.2.3.4]:80", "not an IPv6" },
		{ "[*]:80", "not an IPv6" },
		{ "[fe80::1%nosuchif0]:80", "no such interface" },
		{ "unix:", "must begin with /" },
		{ "unix:relative", "must begin with /" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *why = "";
		struct net_addr a;

		assert_int_equal(net_addr_parse(str_from(cases[i].text), &a, &why), ERR_INVALID);
		assert_non_null(strstr(why, cases[i].why));
	}
}

static void test_nul_bytes(void **state)
{
	struct net_addr a;
	struct net_cidr n;

	(void)state;
	assert_int_equal(net_addr_parse(str_n("1.2.3.4\0x:80", 12), &a, NULL), ERR_INVALID);
	assert_int_equal(net_addr_parse(str_n("[::1\0]:80", 9), &a, NULL), ERR_INVALID);
	assert_int_equal(net_addr_parse(str_n("unix:/a\0b", 9), &a, NULL), ERR_INVALID);
	assert_int_equal(net_cidr_parse(str_n("10.0.0.0\0", 9), &n), ERR_INVALID);
}

static void test_unix_length(void **state)
{
	char text[120] = "unix:/";
	struct net_addr a;

	(void)state;
	memset(text + 6, 'x', 106);
	assert_int_equal(net_addr_parse(str_n(text, 5 + 107), &a, NULL), OK);
	text[112] = 'x';
	assert_int_equal(net_addr_parse(str_n(text, 5 + 108), &a, NULL), ERR_INVALID);
}

static void test_names(void **state)
{
	struct net_addr a;
	char longer[300];

	(void)state;
	assert_int_equal(net_addr_parse(STR("web-1.example.org:80"), &a, NULL), ERR_NOT_FOUND);
	assert_int_equal(net_addr_parse(STR("localhost:80"), &a, NULL), ERR_NOT_FOUND);
	memset(longer, 'a', 254);
	memcpy(longer + 254, ":80", 3);
	assert_int_equal(net_addr_parse(str_n(longer, 257), &a, NULL), ERR_INVALID);
	assert_int_equal(net_addr_parse(str_n(longer + 1, 256), &a, NULL), ERR_NOT_FOUND);
}

static void test_resolve(void **state)
{
	const char *why = NULL;
	struct net_addr a;

	(void)state;
	assert_int_equal(net_resolve(STR("127.0.0.2:80"), &a, &why), OK);
	assert_int_equal(net_resolve(STR("localhost:8080"), &a, &why), OK);
	assert_int_equal(net_addr_port(&a), 8080);
	assert_true(a.sa.sa_family == AF_INET || a.sa.sa_family == AF_INET6);
	assert_int_equal(net_resolve(STR("localhost:x"), &a, &why), ERR_INVALID);
	assert_non_null(why);
}

static void test_host(void **state)
{
	static const struct {
		const char *text, *host;
	} cases[] = {
		{ "1.2.3.4:80", "1.2.3.4" },
		{ "[::1]:80", "::1" },
		{ "*:80", "*" },
		{ "unix:/x", "unix" },
		{ "[::ffff:10.0.0.1]:80", "10.0.0.1" },
	};
	char out[NET_ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_addr a = parse(cases[i].text);

		assert_string_equal(net_addr_host(&a, out), cases[i].host);
	}
}

static void test_format_odd(void **state)
{
	struct net_addr a = parse("[::ffff:10.0.0.1]:80");
	char out[NET_ADDR_TEXT];

	(void)state;
	assert_string_equal(net_addr_format(&a, out), "10.0.0.1:80");
	memset(&a, 0xff, sizeof(a));
	a.wildcard = false;
	a.un.sun_family = AF_UNIX;
	a.len = sizeof(sa_family_t); /* an unnamed peer: the rest is undefined */
	assert_string_equal(net_addr_format(&a, out), "unix:");
	a.sa.sa_family = AF_UNSPEC;
	assert_string_equal(net_addr_format(&a, out), "unknown");
	assert_string_equal(net_addr_host(&a, out), "unknown");
}

static void test_eq(void **state)
{
	static const char *const texts[] = { "1.2.3.4:80", "1.2.3.4:81", "1.2.3.5:80", "[::1]:80",
		                             "[::1]:81",   "[::2]:80",   "[::]:80",    "*:80",
		                             "unix:/a",    "unix:/ab" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		for (size_t j = 0; j < ARRAY_LEN(texts); j++) {
			struct net_addr a = parse(texts[i]), b = parse(texts[j]);

			assert_int_equal(net_addr_eq(&a, &b), i == j);
		}
	}
}

static void test_cidr_format(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "10.0.0.0/8", "10.0.0.0/8" },
		{ "10.1.2.3/8", "10.0.0.0/8" }, /* what lies behind the mask does not count */
		{ "192.0.2.1", "192.0.2.1" },
		{ "192.0.2.1/32", "192.0.2.1" },
		{ "0.0.0.0/0", "0.0.0.0/0" },
		{ "fd00::/8", "fd00::/8" },
		{ "fdff:1::/8", "fd00::/8" },
		{ "::1", "::1" },
		{ "::/0", "::/0" },
		{ "::ffff:10.0.0.0/104", "10.0.0.0/8" },
		{ "unix", "unix" },
	};
	char out[NET_ADDR_TEXT];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net_cidr n = cidr(cases[i].in);

		assert_string_equal(net_cidr_format(&n, out), cases[i].out);
	}
}

static void test_cidr_refused(void **state)
{
	static const char *const texts[] = {
		"",       "/8",          "10.0.0.0/33", "10.0.0.0/",    "10.0.0/8",
		"::/129", "10.0.0.0/-1", "example.org", "10.0.0.0/8/8", "*"
	};
	struct net_cidr n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		assert_int_equal(net_cidr_parse(str_from(texts[i]), &n), ERR_INVALID);
	}
}

static void test_cidr_has(void **state)
{
	(void)state;
	assert_true(has("10.0.0.0/8", "10.255.0.1:80"));
	assert_false(has("10.0.0.0/8", "11.0.0.1:80"));
	assert_true(has("192.0.2.128/25", "192.0.2.200:1"));
	assert_false(has("192.0.2.128/25", "192.0.2.127:1"));
	assert_true(has("192.0.2.1", "192.0.2.1:1"));
	assert_false(has("192.0.2.1", "192.0.2.2:1"));
	assert_true(has("0.0.0.0/0", "203.0.113.9:1"));
	assert_true(has("fd00::/8", "[fd12::1]:1"));
	assert_false(has("fd00::/8", "[fe80::1]:1"));
	assert_true(has("2001:db8::/33", "[2001:db8:7fff::1]:1"));
	assert_false(has("2001:db8::/33", "[2001:db8:8000::1]:1"));
}

static void test_cidr_mapped(void **state)
{
	(void)state;
	/* A client of a dual-stack socket. */
	assert_true(has("10.0.0.0/8", "[::ffff:10.1.2.3]:80"));
	assert_false(has("10.0.0.0/8", "[::ffff:11.1.2.3]:80"));
	assert_false(has("10.0.0.0/8", "[::10.1.2.3]:80"));
	assert_true(has("::ffff:10.0.0.0/104", "10.1.2.3:80"));
	/* All of IPv4 and all of IPv6 are two things. */
	assert_false(has("0.0.0.0/0", "[2001:db8::1]:80"));
	assert_false(has("::/0", "10.1.2.3:80"));
	assert_false(has("::/0", "[::ffff:10.1.2.3]:80"));
	assert_true(has("::/0", "[2001:db8::1]:80"));
	assert_true(has("::1", "[::1]:80"));
}

static void test_cidr_unix(void **state)
{
	(void)state;
	assert_true(has("unix", "unix:/x"));
	assert_false(has("unix", "127.0.0.1:80"));
	assert_false(has("unix", "[::1]:80"));
	assert_false(has("0.0.0.0/0", "unix:/x"));
	assert_false(has("::/0", "unix:/x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),  cmocka_unit_test(test_families),
		cmocka_unit_test(test_refused),     cmocka_unit_test(test_nul_bytes),
		cmocka_unit_test(test_unix_length), cmocka_unit_test(test_names),
		cmocka_unit_test(test_resolve),     cmocka_unit_test(test_host),
		cmocka_unit_test(test_format_odd),  cmocka_unit_test(test_eq),
		cmocka_unit_test(test_cidr_format), cmocka_unit_test(test_cidr_refused),
		cmocka_unit_test(test_cidr_has),    cmocka_unit_test(test_cidr_mapped),
		cmocka_unit_test(test_cidr_unix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
