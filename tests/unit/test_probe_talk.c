/* SPDX-License-Identifier: Apache-2.0 */
/* Probes that speak other protocols than HTTP, against servers that follow a script. */
#include "base/check.h"
#include "check/ping.h"
#include "net/ping.h"
#include "probe_fixture.h"

#define SAY(literal) SEND, literal, sizeof(literal) - 1

struct talk_case {
	const char *name;
	struct conf_check check;
	struct step steps[8];
	enum fail_why why; /* FAIL_NONE: well */
	const char *said;
	const char *heard; /* part of what the server heard; NULL: any */
	size_t heard_len;
};

#define HEARD(literal) literal, sizeof(literal) - 1

#define MY_GREETING \
	"\111\0\0\0\12" \
	"5.5.5\0" \
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
	"mysql_native_password\0"
#define MY_DENIED            "\21\0\0\2\377\25\4#28000no entry"
#define PG_OK                "R\0\0\0\10\0\0\0\0S\0\0\0\10a\0b\0Z\0\0\0\5I"
#define PG_MD5               "R\0\0\0\14\0\0\0\5salt"
#define PG_ERROR(code, text) "SFATAL\0C" code "\0M" text "\0"

#define MD5_OF_U_P_SALT "c827f95590aef08f2d04ac5e8d94d9c3"

#define REDIS    .probe = PROBE_REDIS
#define POSTGRES .probe = PROBE_POSTGRES
#define MYSQL    .probe = PROBE_MYSQL
#define TCP      .probe = PROBE_TCP
#define SMTP     .probe = PROBE_SMTP

static const struct talk_case cases[] = {
	{ "tcp_any",
	  { TCP, .send = STR("hi") },
	  { { HEAR }, { SAY("x") }, { HANG } },
	  0,
	  "none",
	  HEARD("hi") },
	{ "tcp_match_in_pieces",
	  { TCP, .match = STR("needle") },
	  { { SAY("hay nee") }, { SAY("dle") }, { HANG } },
	  0,
	  "none" },
	{ "tcp_other",
	  { TCP, .match = STR("needle") },
	  { { SAY("hay") }, { CLOSE } },
	  FAIL_MATCH,
	  "answer does not match" },
	{ "tcp_silent",
	  { TCP, .match = STR("needle") },
	  { { CLOSE } },
	  FAIL_CLOSED,
	  "closed without an answer" },
	{ "tcp_reset",
	  { TCP, .send = STR("x") },
	  { { HEAR }, { RESET } },
	  FAIL_RESET,
	  "connection reset" },
	{ "redis",
	  { REDIS },
	  { { HEAR }, { SAY("+PONG\r\n") }, { HEAR }, { CLOSE } },
	  0,
	  "none",
	  HEARD("*1\r\n$4\r\nPING\r\n") },
	{ "redis_bytewise",
	  { REDIS },
	  { { HEAR }, { SAY("+P") }, { SAY("ONG\r") }, { SAY("\n") }, { HANG } },
	  0,
	  "none" },
	{ "redis_auth",
	  { REDIS, .password = STR("pw"), .login = STR("me") },
	  { { HEAR }, { SAY("+OK\r\n+PONG\r\n") }, { HEAR }, { CLOSE } },
	  0,
	  "none",
	  HEARD("*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$2\r\npw\r\n*1\r\n$4\r\nPING\r\n") },
	{ "redis_loading",
	  { REDIS },
	  { { HEAR }, { SAY("-LOADING Redis is loading the dataset in memory\r\n") }, { HANG } },
	  FAIL_STATUS,
	  "LOADING Redis is loading the dataset in memory" },
	{ "redis_sentinel",
	  { REDIS, .role = CHECK_ROLE_PRIMARY },
	  { { HEAR }, { SAY("+PONG\r\n*2\r\n$8\r\nsentinel\r\n*0\r\n") }, { HANG } },
	  FAIL_STATUS,
	  "its role is sentinel" },
	{ "redis_other",
	  { REDIS },
	  { { HEAR }, { SAY("HTTP/1.1 400\r\n") }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "not an answer of Redis" },
	{ "redis_cut",
	  { REDIS },
	  { { HEAR }, { SAY("+PO") }, { CLOSE } },
	  FAIL_CUT,
	  "response cut short" },
	{ "smtp",
	  { SMTP },
	  { { SAY("220 a\r\n") }, { HEAR }, { SAY("250-a\r\n250 b\r\n") }, { HEAR }, { CLOSE } },
	  0,
	  "none",
	  HEARD("EHLO [127.0.0.1]\r\n") },
	{ "smtp_both_at_once", { SMTP }, { { SAY("220 a\r\n250 b\r\n") }, { HANG } }, 0, "none" },
	{ "smtp_busy", { SMTP }, { { SAY("421 full\r\n") }, { HANG } }, FAIL_STATUS, "421 full" },
	{ "postgres_asks",
	  { POSTGRES },
	  { { HEAR }, { SAY(PG_MD5) }, { HANG } },
	  0,
	  "none",
	  HEARD("\0\3\0\0user\0holdfast\0database\0postgres\0application_name\0holdfast\0\0") },
	{ "postgres_starting",
	  { POSTGRES },
	  { { HEAR },
	    { SAY("E\0\0\0\67" PG_ERROR("57P03", "the database system is starting up") "\0") },
	    { CLOSE } },
	  FAIL_STATUS,
	  "the database system is starting up" },
	{ "postgres_no_entry",
	  { POSTGRES },
	  { { HEAR }, { SAY("E\0\0\0\44" PG_ERROR("28000", "no pg_hba entry") "\0") }, { CLOSE } },
	  0,
	  "none" },
	{ "postgres_no_entry_role",
	  { POSTGRES, .role = CHECK_ROLE_PRIMARY },
	  { { HEAR }, { SAY("E\0\0\0\44" PG_ERROR("28000", "no pg_hba entry") "\0") }, { CLOSE } },
	  FAIL_STATUS,
	  "no pg_hba entry" },
	{ "postgres_replica",
	  { POSTGRES, .role = CHECK_ROLE_REPLICA },
	  { { HEAR }, { SAY(PG_OK) }, { HEAR }, { SAY("D\0\0\0\13\0\1\0\0\0\1t") }, { HANG } },
	  0,
	  "none",
	  HEARD("SELECT pg_is_in_recovery()\0") },
	{ "postgres_primary",
	  { POSTGRES, .role = CHECK_ROLE_REPLICA },
	  { { HEAR }, { SAY(PG_OK) }, { HEAR }, { SAY("D\0\0\0\13\0\1\0\0\0\1f") }, { HANG } },
	  FAIL_STATUS,
	  "is a primary, not a replica" },
	{ "postgres_md5",
	  { POSTGRES, .login = STR("u"), .password = STR("p") },
	  { { HEAR }, { SAY(PG_MD5) }, { HEAR }, { SAY(PG_OK) }, { HEAR }, { CLOSE } },
	  0,
	  "none",
	  HEARD("p\0\0\0\50md5" MD5_OF_U_P_SALT "\0X\0\0\0\4") },
	{ "postgres_plain",
	  { POSTGRES, .password = STR("p") },
	  { { HEAR }, { SAY("R\0\0\0\10\0\0\0\3") }, { HANG } },
	  FAIL_STATUS,
	  "wants the password in clear text: not without TLS" },
	{ "postgres_other",
	  { POSTGRES },
	  { { HEAR }, { SAY("HTTP/1.1 400\r\n\r\n") }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "not an answer of PostgreSQL" },
	{ "postgres_unasked_data",
	  { POSTGRES },
	  { { HEAR }, { SAY("D\0\0\0\13\0\1\0\0\0\1t") }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "not the answer to the query" },
	{ "mysql_denied",
	  { MYSQL },
	  { { SAY(MY_GREETING) }, { HEAR }, { SAY(MY_DENIED) }, { HANG } },
	  0,
	  "none",
	  HEARD("holdfast\0\0mysql_native_password\0") },
	{ "mysql_denied_login",
	  { MYSQL, .login = STR("u") },
	  { { SAY(MY_GREETING) }, { HEAR }, { SAY(MY_DENIED) }, { HANG } },
	  FAIL_STATUS,
	  "error 1045: no entry" },
	{ "mysql_blocked",
	  { MYSQL },
	  { { SAY("\14\0\0\0\377\151\4blocked x") }, { CLOSE } },
	  FAIL_STATUS,
	  "error 1129: blocked x" },
	{ "mysql_let_in",
	  { MYSQL, .login = STR("u"), .password = STR("p") },
	  { { SAY(MY_GREETING) },
	    { HEAR },
	    { SAY("\7\0\0\2\0\0\0\2\0\0\0") },
	    { HEAR },
	    { CLOSE } },
	  0,
	  "none",
	  HEARD("\1\0\0\0\1") },
	{ "mysql_switch",
	  { MYSQL },
	  { { SAY(MY_GREETING) },
	    { HEAR },
	    { SAY("\5\0\0\2\376abc\0") },
	    { HEAR },
	    { SAY("\21\0\0\4\377\25\4#28000no entry") },
	    { HANG } },
	  0,
	  "none",
	  HEARD("\0\0\0\3") },
	{ "mysql_other",
	  { MYSQL },
	  { { SAY("220 mx.test ESMTP\r\n") }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "not an answer of MySQL" },
};

static void test_case(void **state)
{
	const struct talk_case *c = *state;
	void *s;
	struct fixture *f;

	fixture_setup(&s);
	f = s;
	f->check = c->check;
	f->check.timeout = 30 * NS_PER_S;
	serve(f, c->steps);
	ask(f);
	assert_string_equal(f->said, c->said);
	assert_int_equal(f->why, c->why);
	assert_int_equal(f->end, c->why == FAIL_NONE ? PROBE_OK : PROBE_FAILED);
	/* Farewells arrive, and nothing stays open. */
	turn_until(f, f->probe.s.io.fd < 0 || c->steps[0].act == HANG ||
	                  (c->heard != NULL &&
	                   memmem(f->requests, f->nrequests, c->heard, c->heard_len) != NULL));
	probe_stop(&f->probe);
	fixture_join(f);
	if (c->heard != NULL) {
		assert_non_null(memmem(f->requests, f->nrequests, c->heard, c->heard_len));
	}
	fixture_teardown(&s);
}

/* Answers without end are cut off. */
static void test_too_large(void **state)
{
	struct fixture *f = *state;
	static char many[300000];
	const struct step steps[] = { { HEAR }, { SEND, many, sizeof(many) }, { HANG }, { END } };

	memset(many, 'x', sizeof(many));
	f->check.probe = PROBE_TCP;
	f->check.send = STR("x");
	f->check.match = STR("needle");
	serve(f, steps);
	expect_failure(f, FAIL_MATCH, "no match in the first 64 KiB");
}

static void test_times_out(void **state)
{
	struct fixture *f = *state;
	const struct step steps[] = { { HANG }, { END } };

	f->check.probe = PROBE_REDIS;
	f->check.timeout = 50 * NS_PER_MS;
	serve(f, steps);
	expect_failure(f, FAIL_TIMEOUT, "answer timed out");
	assert_int_equal(f->probe.s.io.fd, -1);
}

/* A server that does not end after the farewell is left after a second; the next question does not
 * wait for it. */
static void test_next_question(void **state)
{
	struct fixture *f = *state;
	const struct step steps[] = { { HEAR }, { SAY("+PONG\r\n") }, { HANG }, { NEXT },
		                      { HEAR }, { SAY("+PONG\r\n") }, { HANG }, { END } };

	f->check.probe = PROBE_REDIS;
	serve(f, steps);
	expect_ok(f);
	assert_true(f->probe.s.io.fd >= 0);
	expect_ok(f);
	assert_int_equal(f->connections, 2);
	turn_until(f, f->probe.s.io.fd < 0);
}

static void test_tls_unusable(void **state)
{
	struct fixture *f = *state;

	f->check.probe = PROBE_REDIS;
	fixture_ready(f);
	probe_ask_tls(&f->probe, true, NULL, STR("a.test:1"));
	ask(f);
	assert_int_equal(f->end, PROBE_UNDECIDED);
	assert_int_equal(f->connections, 0);
}

/* A server in clear text, asked over TLS, and one that says nothing. */
static void test_tls_refused(void **state)
{
	struct fixture *f = *state;
	const struct step steps[] = { { HEAR }, { SAY("HTTP/1.1 400\r\n\r\n") },
		                      { HANG }, { NEXT },
		                      { HANG }, { END } };
	const struct tls_client_options o = { .verify = false, .min_version = 0x0303 };
	char why[200] = "";
	struct tls_client *tls = tls_client_new(&o, why, sizeof(why));

	assert_non_null(tls);
	f->check.probe = PROBE_TLS;
	serve(f, steps);
	probe_ask_tls(&f->probe, true, tls, STR("a.test:1"));
	ask(f);
	assert_int_equal(f->end, PROBE_FAILED);
	assert_int_equal(f->why, FAIL_TLS);
	assert_non_null(strstr(f->said, "TLS handshake failed: "));
	f->check.timeout = 50 * NS_PER_MS;
	expect_failure(f, FAIL_TLS_TIMEOUT, "TLS handshake timed out");
	probe_stop(&f->probe);
	tls_client_free(tls);
}

/* --- datagrams ------------------------------------------------------------------------------ */

static void *answer_dns_twice(void *arg)
{
	struct fixture *f = arg;
	char got[512];
	struct net_addr from = { .len = sizeof(from.un) };
	ssize_t n = recvfrom(f->listen, got, sizeof(got), 0, &from.sa, &from.len);

	if (n > 12) {
		got[2] = (char)0x81;
		got[7] = 1;
		got[0] ^= 1; /* not ours: it goes on waiting */
		sendto(f->listen, got, (size_t)n, 0, &from.sa, from.len);
		got[0] ^= 1;
		got[3] = (char)f->connections; /* rcode */
		sendto(f->listen, got, (size_t)n, 0, &from.sa, from.len);
	}
	return NULL;
}

static void ask_dns(struct fixture *f, unsigned rcode)
{
	f->connections = rcode;
	assert_int_equal(pthread_create(&f->thread, NULL, answer_dns_twice, f), 0);
	ask(f);
	pthread_join(f->thread, NULL);
}

static void test_dns(void **state)
{
	struct fixture *f = *state;

	close(f->listen);
	f->address.in.sin_port = 0;
	f->listen = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(f->listen, &f->address.sa, f->address.len), 0);
	net_local_addr(f->listen, &f->address);
	f->check.probe = PROBE_DNS;
	f->check.dns = STR("www.test");
	f->check.dns_type = STR("A");
	fixture_ready(f);
	ask_dns(f, 0);
	assert_int_equal(f->end, PROBE_OK);
	ask_dns(f, 5);
	assert_string_equal(f->said, "REFUSED (5)");
	close(f->listen);
	f->listen = -1;
	expect_failure(f, FAIL_REFUSED, "connect refused");
}

static void test_ping_without_socket(void **state)
{
	struct fixture *f = *state;

	f->check.probe = PROBE_PING;
	fixture_ready(f);
	ask(f);
	assert_int_equal(f->end, PROBE_UNDECIDED);
	assert_non_null(strstr(f->said, "CAP_NET_RAW"));
}

static void test_ping(void **state)
{
	struct fixture *f = *state;
	int fd = net_ping_open(AF_INET);

	if (fd < 0) {
		skip();
	}
	f->check.probe = PROBE_PING;
	assert_int_equal(ping_use(&f->env, fd, -1), OK);
	close(fd);
	fixture_ready(f);
	expect_ok(f);
	expect_ok(f);
	f->check.timeout = 50 * NS_PER_MS;
	assert_int_equal(net_addr_parse(STR("127.0.0.1:1"), &f->address, NULL), OK);
	fixture_ready(f);
	probe_start(&f->probe);
	probe_stop(&f->probe); /* its answer finds nobody */
	turn_until(f, true);
}

/* Ours, of a connection that is nobody else's, before anything else. */
static void test_announced(void **state)
{
	static const char local[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
	struct fixture *f = *state;
	const struct step steps[] = { { HEAR, .len = 30 },
		                      { SAY("+PONG\r\n") },
		                      { HANG },
		                      { NEXT },
		                      { HEAR },
		                      { HANG },
		                      { NEXT },
		                      { HEAR },
		                      { HANG },
		                      { END } };
	char said[128];

	f->check.probe = PROBE_REDIS;
	serve(f, steps);
	probe_ask_proxy(&f->probe, SEND_PROXY_V2);
	expect_ok(f);
	assert_memory_equal(f->requests, local, 16);
	assert_memory_equal(f->requests + 16, "*1\r\n$4\r\nPING\r\n", 14);

	/* A connection alone ends in order, so that no reset overtakes the header. */
	f->check.probe = PROBE_TCP;
	f->nrequests = 0;
	fixture_ready(f);
	expect_ok(f);
	turn_until(f, f->nrequests == 16);
	assert_memory_equal(f->requests, local, 16);
	turn_until(f, f->probe.s.io.fd < 0);

	f->nrequests = 0;
	probe_ask_proxy(&f->probe, SEND_PROXY_V1);
	expect_ok(f);
	turn_until(f, f->nrequests != 0);
	(void)snprintf(said, sizeof(said), " %u\r\n", net_addr_port(&f->address));
	assert_memory_equal(f->requests, "PROXY TCP4 127.0.0.1 127.0.0.1 ", 31);
	f->requests[f->nrequests] = '\0';
	assert_non_null(strstr(f->requests, said));
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_LEN(cases) + 16] = { 0 };
	const struct CMUnitTest others[] = {
		probe_test(test_too_large),           probe_test(test_times_out),
		probe_test(test_next_question),       probe_test(test_tls_unusable),
		probe_test(test_tls_refused),         probe_test(test_dns),
		probe_test(test_ping_without_socket), probe_test(test_ping),
		probe_test(test_announced),
	};
	size_t n = 0;

	for (; n < ARRAY_LEN(cases); n++) {
		tests[n] = (struct CMUnitTest){ .name = cases[n].name,
			                        .test_func = test_case,
			                        .initial_state = (void *)(uintptr_t)&cases[n] };
	}
	memcpy(tests + n, others, sizeof(others));
	return _cmocka_run_group_tests("probe_talk", tests, n + ARRAY_LEN(others), NULL, NULL);
}
