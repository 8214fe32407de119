/* SPDX-License-Identifier: Apache-2.0 */
/* ClientHellos: names, records, what is none. Made by hand from RFC 8446, and one by OpenSSL. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include <openssl/ssl.h>

#include "base/check.h"
#include "proxy/hello.h"

struct bytes {
	uint8_t v[20000];
	size_t n;
};

static void put(struct bytes *b, const void *p, size_t n)
{
	assert_true(b->n + n <= sizeof(b->v));
	memcpy(b->v + b->n, p, n);
	b->n += n;
}

static void put_n(struct bytes *b, unsigned bytes, size_t v)
{
	while (bytes-- > 0) {
		uint8_t c = (uint8_t)(v >> 8 * bytes);

		put(b, &c, 1);
	}
}

static void put_extension(struct bytes *b, unsigned type, const void *p, size_t n)
{
	put_n(b, 2, type);
	put_n(b, 2, n);
	put(b, p, n);
}

static void put_name(struct bytes *b, struct str name)
{
	struct bytes x = { .n = 0 };

	put_n(&x, 2, name.len + 3);
	put_n(&x, 1, 0);
	put_n(&x, 2, name.len);
	put(&x, name.s, name.len);
	put_extension(b, 0, x.v, x.n);
}

/* The message with these extensions; NULL: without the field. */
static struct bytes message(const struct bytes *extensions)
{
	struct bytes b = { .n = 0 }, m = { .n = 0 };
	static const uint8_t zeroes[64];

	put_n(&b, 2, 0x0303);
	put(&b, zeroes, 32);
	put_n(&b, 1, 32);
	put(&b, zeroes, 32);
	put_n(&b, 2, 4);
	put_n(&b, 4, 0x0a0a1301); /* a reserved suite first (RFC 8701) */
	put_n(&b, 2, 0x0100);
	if (extensions != NULL) {
		put_n(&b, 2, extensions->n);
		put(&b, extensions->v, extensions->n);
	}
	put_n(&m, 1, 1);
	put_n(&m, 3, b.n);
	put(&m, b.v, b.n);
	return m;
}

/* In records of at most `size` bytes. */
static struct bytes records(const struct bytes *m, size_t size)
{
	struct bytes r = { .n = 0 };
	size_t at;

	for (at = 0; at < m->n; at += size) {
		size_t n = MIN(size, m->n - at);

		put_n(&r, 1, 22);
		put_n(&r, 2, 0x0301);
		put_n(&r, 2, n);
		put(&r, m->v + at, n);
	}
	return r;
}

static enum hello read_part(const struct bytes *b, size_t n, char out[HELLO_NAME], struct str *name,
                            const char **why)
{
	uint8_t *copy = malloc(n + 1);
	enum hello h;

	memcpy(copy, b->v, n);
	h = hello_read(copy, n, out, name, why);
	free(copy);
	return h;
}

static void expect(const struct bytes *b, enum hello what, const char *text)
{
	char out[HELLO_NAME];
	struct str name;
	const char *why;
	size_t i;

	assert_int_equal(read_part(b, b->n, out, &name, &why), what);
	if (what == HELLO_NAMED)
		assert_true(str_eq(name, str_from(text)));
	else if (text != NULL)
		assert_non_null(strstr(why, text));
	for (i = 0; i < MIN(b->n, (size_t)2000); i++) {
		enum hello h = read_part(b, i, out, &name, &why);

		assert_true(h == HELLO_MORE || h == what);
	}
}

static void expect_extensions(const struct bytes *x, enum hello what, const char *text)
{
	static const size_t sizes[] = { 16384, 1, 7, 100 };
	struct bytes m = message(x), r;
	size_t i;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		r = records(&m, sizes[i]);
		expect(&r, what, text);
	}
}

static void names(void **state)
{
	struct bytes x = { .n = 0 };

	(void)state;
	put_extension(&x, 0x3a3a, "", 0); /* reserved (RFC 8701) */
	put_extension(&x, 43, "\2\3\4", 3);
	put_name(&x, STR("Db.Shop.TEST."));
	put_extension(&x, 0xcaca, "\0", 1);
	expect_extensions(&x, HELLO_NAMED, "db.shop.test");
}

static void nameless(void **state)
{
	struct bytes x = { .n = 0 };

	(void)state;
	expect_extensions(NULL, HELLO_NAMELESS, NULL);
	expect_extensions(&x, HELLO_NAMELESS, NULL);
	put_extension(&x, 43, "\2\3\4", 3);
	expect_extensions(&x, HELLO_NAMELESS, NULL);
}

static void bad_names(void **state)
{
	static const char long_name[] =
	    "0123456789012345678901234567890123456789012345678901234567890123";
	struct bytes x = { .n = 0 };
	char many[300];

	(void)state;
	put_name(&x, STR("a b"));
	expect_extensions(&x, HELLO_BAD, "is none");
	x.n = 0;
	put_name(&x, str_n("a\0b", 3));
	expect_extensions(&x, HELLO_BAD, "is none");
	x.n = 0;
	put_name(&x, STR(""));
	expect_extensions(&x, HELLO_BAD, "empty or too long");
	memset(many, 'a', sizeof(many));
	x.n = 0;
	put_name(&x, str_n(many, 256));
	expect_extensions(&x, HELLO_BAD, "empty or too long");
	x.n = 0;
	put_name(&x, str_from(long_name));
	expect_extensions(&x, HELLO_NAMED, long_name);
	x.n = 0;
	put_extension(&x, 0, "\0\4\0\0\5x", 6); /* a name that ends behind its list */
	expect_extensions(&x, HELLO_BAD, "contradict");
	x.n = 0;
	put_extension(&x, 0, "\0\4\0\0\1xyz", 8); /* bytes behind the list */
	expect_extensions(&x, HELLO_BAD, "contradict");
	x.n = 0;
	put_extension(&x, 0, "\0\7\1\0\1y\0\0\1x", 11);
	expect_extensions(&x, HELLO_BAD, "contradict");
	x.n = 0;
	put_extension(&x, 0, "\0\10\1\0\1y\0\0\1x", 10); /* a name of another type first */
	expect_extensions(&x, HELLO_NAMED, "x");
}

static void lengths(void **state)
{
	struct bytes x = { .n = 0 }, m, r;

	(void)state;
	put_extension(&x, 43, "\2\3\4", 3);
	x.v[3] = 9; /* longer than what holds it */
	expect_extensions(&x, HELLO_BAD, "contradict");
	m = message(NULL);
	m.v[38] = 33; /* a session id of 33 bytes */
	r = records(&m, 16384);
	expect(&r, HELLO_BAD, "contradict");
	m = message(NULL);
	m.v[1] = 1; /* 64 KiB */
	r = records(&m, 16384);
	expect(&r, HELLO_BAD, "16 KiB");
	m.v[0] = 2; /* a ServerHello */
	r = records(&m, 16384);
	expect(&r, HELLO_BAD, "no ClientHello");
}

static void others(void **state)
{
	struct bytes b = { .n = 0 }, m = message(NULL), r;

	(void)state;
	put(&b, "GET / HTTP/1.1\r\n", 16);
	expect(&b, HELLO_OTHER, "no TLS");
	b.n = 0;
	put(&b, "\x16\2\0", 3);
	expect(&b, HELLO_OTHER, "no known version");
	b.n = 0;
	put(&b, "\x80\x2e\1\3\1", 5); /* as SSL 2 said hello */
	expect(&b, HELLO_OTHER, "no TLS");
	b.n = 0;
	put(&b, "\x16\3\1\0\0", 5);
	expect(&b, HELLO_BAD, "empty or too large");
	r = records(&m, 10);
	r.v[15] = 21; /* an alert between the parts */
	expect(&r, HELLO_BAD, "another record");
}

static void too_large(void **state)
{
	static uint8_t zeroes[17000];
	struct bytes x = { .n = 0 }, m, r;

	(void)state;
	put_extension(&x, 21, zeroes, 16300);
	put_name(&x, STR("late.test"));
	m = message(&x);
	r = records(&m, 8000);
	expect(&r, HELLO_BAD, "16 KiB");
	x.n = 0;
	put_extension(&x, 21, zeroes, 16000);
	put_name(&x, STR("late.test"));
	m = message(&x);
	r = records(&m, 8000);
	expect(&r, HELLO_NAMED, "late.test");
}

static void of_openssl(void **state)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	BIO *out = BIO_new(BIO_s_mem()), *in = BIO_new(BIO_s_mem());
	SSL *ssl = SSL_new(ctx);
	struct bytes b = { .n = 0 };

	(void)state;
	SSL_set_bio(ssl, in, out);
	SSL_set_tlsext_host_name(ssl, "www.shop.test");
	SSL_connect(ssl);
	b.n = (size_t)BIO_read(out, b.v, sizeof(b.v));
	expect(&b, HELLO_NAMED, "www.shop.test");
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names),      cmocka_unit_test(nameless),
		cmocka_unit_test(bad_names),  cmocka_unit_test(lengths),
		cmocka_unit_test(others),     cmocka_unit_test(too_large),
		cmocka_unit_test(of_openssl),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
