/* SPDX-License-Identifier: Apache-2.0 */
/* What servers answer to probes, read from bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"
#include "check/answer.h"
#include "check/scram.h"

#define SCRAM_PROOF  "qvT2SWdEH5Q06albL+hjSYuUhCG7VndFyzIb7CK4n9k="
#define SCRAM_SERVER "3HO6Qt1M4MKJrmlKaoOqLAI0/0TV0HZe7J9H3MBtSOg="
#define N(literal)   str_n((literal), sizeof(literal) - 1)

static void eq(struct str s, const char *want)
{
	assert_int_equal(s.len, strlen(want));
	assert_memory_equal(s.s, want, s.len);
}

static void test_words(void **state)
{
	char out[ANSWER_WORDS];
	char many[200];

	assert_string_equal(answer_words(STR(" a\x01\xc3\xa4 b "), out), "a??? b");
	memset(many, 'x', sizeof(many));
	assert_int_equal(strlen(answer_words(str_n(many, sizeof(many)), out)), ANSWER_WORDS - 1);
	assert_string_equal(answer_words(STR_NONE, out), "");
}

static void test_redis(void **state)
{
	struct answer_redis r;
	char many[5000];

	assert_int_equal(answer_redis(STR("+PONG\r\n+x"), &r), 7);
	assert_int_equal(r.kind, '+');
	eq(r.text, "PONG");
	assert_int_equal(answer_redis(STR("+PON"), &r), 0);
	assert_int_equal(answer_redis(STR("-LOADING a b\r\n"), &r), 14);
	assert_int_equal(r.kind, '-');
	eq(r.text, "LOADING a b");
	assert_int_equal(answer_redis(STR("*3\r\n$6\r\nmaster\r\n:1\r\n"), &r), 16);
	assert_int_equal(r.kind, '*');
	eq(r.text, "master");
	assert_int_equal(answer_redis(STR("*3\r\n$6\r\nmas"), &r), 0);
	assert_int_equal(answer_redis(STR("*3\r\n"), &r), 0);
	assert_int_equal(answer_redis(STR("*0\r\n"), &r), 4);
	assert_int_equal(answer_redis(STR("$-1\r\n"), &r), 5);
	assert_int_equal(answer_redis(STR("*1\r\n*1\r\n"), &r), ANSWER_BAD);
	assert_int_equal(answer_redis(STR("*-1\r\n"), &r), ANSWER_BAD);
	assert_int_equal(answer_redis(STR("$99999999\r\n"), &r), ANSWER_BAD);
	assert_int_equal(answer_redis(STR("HTTP/1.1 400\r\n"), &r), ANSWER_BAD);
	assert_int_equal(answer_redis(STR("\r\n"), &r), ANSWER_BAD);
	memset(many, '+', sizeof(many));
	assert_int_equal(answer_redis(str_n(many, sizeof(many)), &r), ANSWER_BAD);
}

static void test_smtp(void **state)
{
	struct answer_smtp a;

	assert_int_equal(answer_smtp(STR("220 mx ESMTP\r\n"), &a), 14);
	assert_int_equal(a.code, 220);
	eq(a.text, "mx ESMTP");
	assert_int_equal(answer_smtp(STR("250-a\r\n250-STARTTLS\r\n"), &a), 0);
	assert_int_equal(answer_smtp(STR("250-a\r\n250-starttls\r\n250 X\r\nmore"), &a), 28);
	assert_true(a.starttls);
	eq(a.text, "a");
	assert_int_equal(answer_smtp(STR("250\n"), &a), 4);
	assert_false(a.starttls);
	assert_int_equal(answer_smtp(STR("250-a\r\n251 b\r\n"), &a), ANSWER_BAD);
	assert_int_equal(answer_smtp(STR("25 a\r\n"), &a), ANSWER_BAD);
	assert_int_equal(answer_smtp(STR("150 a\r\n"), &a), ANSWER_BAD);
	assert_int_equal(answer_smtp(STR("250_a\r\n"), &a), ANSWER_BAD);
	assert_int_equal(answer_smtp(STR("\r\n"), &a), ANSWER_BAD);
}

static void test_postgres(void **state)
{
	struct answer_postgres a;
	uint32_t method = 7;
	struct str s;

	assert_int_equal(answer_postgres(N("R\0\0\0\10\0\0\0\5x"), &a), 9);
	assert_int_equal(a.type, 'R');
	assert_true(answer_postgres_auth(a.body, &method, &s));
	assert_int_equal(method, 5);
	assert_int_equal(s.len, 0);
	assert_false(answer_postgres_auth(N("\0\0\0"), &method, &s));
	assert_int_equal(answer_postgres(N("R\0\0\0\10\0\0\0"), &a), 0);
	assert_int_equal(answer_postgres(N("R\0\0"), &a), 0);
	assert_int_equal(answer_postgres(N("R\0\0\0\3\0\0\0"), &a), ANSWER_BAD);
	assert_int_equal(answer_postgres(N("HTTP/1.1 400"), &a), ANSWER_BAD);
	s = N("SFATAL\0C57P03\0Mthe database system is starting up\0");
	eq(answer_postgres_field(s, 'C'), "57P03");
	eq(answer_postgres_field(s, 'M'), "the database system is starting up");
	eq(answer_postgres_field(s, 'D'), "");
	eq(answer_postgres_field(N("Mno end"), 'M'), "");
	assert_true(
	    answer_postgres_sasl(N("SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0"), STR("SCRAM-SHA-256")));
	assert_false(answer_postgres_sasl(N("SCRAM-SHA-256-PLUS\0"), STR("SCRAM-SHA-256")));
	assert_true(answer_postgres_value(N("\0\1\0\0\0\1t"), &s));
	eq(s, "t");
	assert_false(answer_postgres_value(N("\0\1\377\377\377\377"), &s));
	assert_false(answer_postgres_value(N("\0\1\0\0\0\2t"), &s));
	assert_false(answer_postgres_value(N("\0\0\0\0\0\1t"), &s));
}

#define GREETING \
	"\12" \
	"8.0.1\0" \
	"\1\0\0\0" \
	"abcdefgh" \
	"\0" \
	"\377\367" \
	"\10" \
	"\2\0" \
	"\377\201" \
	"\25" \
	"\0\0\0\0\0\0\0\0\0\0" \
	"ijklmnopqrst\0" \
	"caching_sha2_password\0"

static void test_mysql(void **state)
{
	static const char greeting[] = GREETING;
	struct answer_mysql_greeting g;
	struct answer_mysql_error e;
	struct answer_mysql a;
	struct str plugin;
	uint8_t nonce[20];

	assert_int_equal(answer_mysql(N("\1\0\0\2\0x"), &a), 5);
	assert_int_equal(a.sequence, 2);
	assert_int_equal(answer_mysql(N("\2\0\0\2x"), &a), 0);
	assert_int_equal(answer_mysql(N("\0\0\0\2x"), &a), ANSWER_BAD);
	assert_int_equal(answer_mysql(N("HTTP/1.1"), &a), ANSWER_BAD);
	assert_true(answer_mysql_greeting(str_n(greeting, sizeof(greeting) - 1), &g));
	eq(g.version, "8.0.1");
	eq(g.plugin, "caching_sha2_password");
	assert_memory_equal(g.nonce, "abcdefghijklmnopqrst", 20);
	assert_int_equal(g.capabilities, 0x81fff7ff);
	for (size_t n = 1; n < 50; n++) {
		assert_false(answer_mysql_greeting(str_n(greeting, n), &g));
	}
	assert_true(answer_mysql_error(N("\377\151\4Host 'x' is blocked"), &e));
	assert_int_equal(e.number, 1129);
	eq(e.text, "Host 'x' is blocked");
	assert_true(answer_mysql_error(N("\377\25\4#28000Access denied"), &e));
	assert_int_equal(e.number, 1045);
	eq(e.state, "28000");
	eq(e.text, "Access denied");
	assert_false(answer_mysql_error(N("\377\25"), &e));
	assert_true(answer_mysql_switch(N("\376mysql_native_password\0abc"), &plugin, nonce));
	eq(plugin, "mysql_native_password");
	assert_memory_equal(nonce, "abc\0", 4);
	assert_false(answer_mysql_switch(N("\376no end"), &plugin, nonce));
}

static void test_dns(void **state)
{
	uint8_t q[ANSWER_DNS_MAX];
	char got[ANSWER_DNS_MAX];
	char name[260];
	struct answer_dns a;
	size_t n = answer_dns_ask(0x1234, STR("www.Shop.test."), answer_dns_type(STR("AAAA")), q);

	assert_int_equal(n, 12 + 15 + 4);
	assert_memory_equal(q, "\x12\x34\1\0\0\1\0\0\0\0\0\0\3www\4Shop\4test\0\0\x1c\0\1", n);
	memcpy(got, q, n);
	got[2] = (char)0x81;
	got[7] = 2;
	assert_true(answer_dns(str_n(got, n), q, n, &a));
	assert_int_equal(a.rcode, 0);
	assert_int_equal(a.answers, 2);
	assert_false(a.truncated);
	got[17] = 's'; /* names compare without case */
	got[2] = (char)0x83;
	got[3] = 2;
	assert_true(answer_dns(str_n(got, n), q, n, &a));
	assert_true(a.truncated);
	assert_string_equal(answer_dns_rcode(a.rcode), "SERVFAIL");
	got[17] = 'X';
	assert_false(answer_dns(str_n(got, n), q, n, &a));
	got[17] = 'S';
	got[1] ^= 1; /* not our id */
	assert_false(answer_dns(str_n(got, n), q, n, &a));
	got[1] ^= 1;
	got[2] = 1; /* a question */
	assert_false(answer_dns(str_n(got, n), q, n, &a));
	got[2] = (char)0x81;
	assert_false(answer_dns(str_n(got, n - 1), q, n, &a));
	assert_false(answer_dns(str_n(got, 11), q, n, &a));
	got[5] = 0; /* no question in an error: as some do */
	assert_true(answer_dns(str_n(got, 12), q, n, &a));
	got[3] = 0;
	assert_false(answer_dns(str_n(got, 12), q, n, &a));
	assert_int_equal(answer_dns_ask(1, STR("."), 6, q), 12 + 1 + 4);
	memset(name, 'a', sizeof(name));
	assert_int_equal(answer_dns_ask(1, str_n(name, 64), 6, q), 0);
	for (size_t i = 63; i < sizeof(name); i += 64) {
		name[i] = '.';
	}
	assert_int_equal(answer_dns_ask(1, str_n(name, 253), 1, q), 12 + 255 + 4);
	assert_int_equal(answer_dns_ask(1, str_n(name, 254), 1, q), 0);
	assert_int_equal(answer_dns_ask(1, STR("a..b"), 1, q), 0);
	assert_int_equal(answer_dns_type(STR("AXFR")), 0);
}

static void test_grpc(void **state)
{
	uint8_t ask[ANSWER_GRPC_MAX];
	char out[ANSWER_WORDS], name[256];
	uint64_t status = 9;

	assert_int_equal(answer_grpc_ask(STR(""), ask), 5);
	assert_memory_equal(ask, "\0\0\0\0\0", 5);
	assert_int_equal(answer_grpc_ask(STR("a.B"), ask), 10);
	assert_memory_equal(ask, "\0\0\0\0\5\12\3a.B", 10);
	memset(name, 'x', sizeof(name));
	assert_int_equal(answer_grpc_ask(str_n(name, 256), ask), 5 + 3 + 256);
	assert_memory_equal(ask, "\0\0\0\1\3\12\200\2xx", 10);
	assert_int_equal(answer_grpc_health(N("\0\0\0\0\2\10\1"), &status), 7);
	assert_int_equal(status, 1);
	assert_int_equal(answer_grpc_health(N("\0\0\0\0\0"), &status), 5);
	assert_int_equal(status, 0);
	/* fields that we do not know, before and behind */
	assert_int_equal(answer_grpc_health(N("\0\0\0\0\7\22\1x\10\2\30\5"), &status), 12);
	assert_int_equal(status, 2);
	assert_int_equal(answer_grpc_health(N("\0\0\0\0\2\10"), &status), 0);
	assert_int_equal(answer_grpc_health(N("\0\0\0"), &status), 0);
	assert_int_equal(answer_grpc_health(N("\1\0\0\0\2\10\1"), &status), ANSWER_BAD);
	assert_int_equal(answer_grpc_health(N("\0\377\0\0\2\10\1"), &status), ANSWER_BAD);
	assert_int_equal(answer_grpc_health(N("\0\0\0\0\1\10"), &status), ANSWER_BAD);
	assert_int_equal(answer_grpc_health(N("\0\0\0\0\2\22\5"), &status), ANSWER_BAD);
	assert_int_equal(answer_grpc_health(N("\0\0\0\0\1\0"), &status), ANSWER_BAD);
	assert_string_equal(answer_grpc_message(STR("a%20b%zz%4"), out), "a b%zz%4");
}

/* The example of RFC 7677 section 3, but for the user's name, which PostgreSQL sends elsewhere: the
 * numbers were computed once more with Python's hashlib. */
static void test_scram(void **state)
{
	static const struct str challenge = {
		"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
		"s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
		sizeof("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
		       "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096") -
		    1
	};
	struct buf b = BUF_INIT;
	struct scram s;

	assert_int_equal(scram_first(&s, "rOprNGfwEbeRWgbNEkqO", &b), OK);
	assert_string_equal(buf_cstr(&b), "n,,n=,r=rOprNGfwEbeRWgbNEkqO");
	b.len = 0;
	assert_int_equal(scram_final(&s, challenge, STR("pencil"), &b), OK);
	assert_string_equal(buf_cstr(&b), "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)"
	                                  "hNlF$k0,p=" SCRAM_PROOF);
	assert_true(scram_proved(&s, STR("v=" SCRAM_SERVER)));
	assert_false(scram_proved(&s, STR("v=AAAATRiDHBeoYZ2qEnUe5PBbbxvp6Wl5BX0hqXhz3Cw=")));
	assert_false(scram_proved(&s, STR("e=other-error")));
	b.len = 0;
	assert_int_equal(scram_final(&s, STR("r=other,s=W22Z,i=4096"), STR("x"), &b), ERR_SYNTAX);
	assert_int_equal(scram_final(&s, STR("r=rOprNGfwEbeRWgbNEkqO,s=W22Z,i=1"), STR("x"), &b),
	                 ERR_SYNTAX); /* the server has to add to it */
	assert_int_equal(scram_final(&s, STR("r=rOprNGfwEbeRWgbNEkqOa,s=W22Z,i=4000000"), STR("x"),
	                             &b),
	                 ERR_TOO_LARGE);
	assert_int_equal(scram_final(&s, STR("r=rOprNGfwEbeRWgbNEkqOa,s=W!aZ,i=1"), STR("x"), &b),
	                 ERR_SYNTAX);
	assert_int_equal(scram_final(&s, STR(""), STR("x"), &b), ERR_SYNTAX);
	assert_int_equal(b.len, 0);
	buf_free(&b);
	assert_int_equal(scram_first(&s, NULL, &b), OK);
	assert_int_equal(strlen(s.nonce), SCRAM_NONCE);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words), cmocka_unit_test(test_redis),
		cmocka_unit_test(test_smtp),  cmocka_unit_test(test_postgres),
		cmocka_unit_test(test_mysql), cmocka_unit_test(test_dns),
		cmocka_unit_test(test_grpc),  cmocka_unit_test(test_scram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
