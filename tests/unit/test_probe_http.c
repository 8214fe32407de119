/* SPDX-License-Identifier: Apache-2.0 */
/* The http probe against a real server thread: verdicts, framing, kept connections. */
#include "probe_fixture.h"

#include <sys/resource.h>

#define HELLO "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static void test_ok(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = { { READ }, { SEND, HELLO }, { HANG }, { END } };
	char want[256], host[NET_ADDR_TEXT];

	serve(f, steps);
	expect_ok(f);
	(void)snprintf(want, sizeof(want),
	               "GET /health HTTP/1.1\r\nHost: %s\r\nUser-Agent: holdfast-check\r\n"
	               "Accept: */*\r\n\r\n",
	               net_addr_format(&f->address, host));
	assert_string_equal(f->requests, want);
}

static void test_request_as_configured(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = { { READ }, { SEND, HELLO }, { HANG }, { END } };
	static const struct conf_match_header headers[] = {
		{ STR("X-Probe"), STR("yes") },
		{ STR("user-agent"), STR("mine") },
	};

	f->check.method = STR("POST");
	f->check.http = STR("/ready?full=1");
	f->check.host = STR("shop.test");
	f->check.headers = headers;
	f->check.nheaders = 2;
	serve(f, steps);
	expect_ok(f);
	assert_string_equal(f->requests, "POST /ready?full=1 HTTP/1.1\r\nHost: shop.test\r\n"
	                                 "X-Probe: yes\r\nuser-agent: mine\r\nAccept: */*\r\n"
	                                 "Content-Length: 0\r\n\r\n");
}

static void test_unexpected_status(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },
		{ SEND, "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n" },
		{ HANG },
		{ END },
	};

	serve(f, steps);
	expect_failure(f, FAIL_STATUS, "HTTP 503");
	assert_int_equal(f->probe.s.io.fd, -1); /* a failed server's connection is not kept */
}

static void test_expected_set(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ }, { SEND, "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n" },
		{ READ }, { SEND, HELLO },
		{ HANG }, { END },
	};

	memset(f->check.expect, 0, sizeof(f->check.expect));
	f->check.expect[(503 - 100) / 64] |= 1ULL << (503 - 100) % 64;
	serve(f, steps);
	expect_ok(f);
	expect_failure(f, FAIL_STATUS, "HTTP 200");
}

static void test_kept_connection(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ }, { SEND, HELLO }, { READ }, { SEND, HELLO },
		{ READ }, { SEND, HELLO }, { HANG }, { END },
	};

	serve(f, steps);
	expect_ok(f);
	expect_ok(f);
	expect_ok(f);
	assert_int_equal(f->connections, 1);
	assert_int_equal(f->env.kept, 1);
}

/* A connection serves a few questions; then a new one shows that the server still accepts. */
static void test_new_connection_now_and_then(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },        { SEND, HELLO }, { READ },        { SEND, HELLO }, { READ },
		{ SEND, HELLO }, { READ },        { SEND, HELLO }, { READ },        { SEND, HELLO },
		{ NEXT },        { READ },        { SEND, HELLO }, { HANG },        { END },
	};

	serve(f, steps);
	for (unsigned i = 0; i < 6; i++) {
		expect_ok(f);
	}
	assert_int_equal(f->connections, 2);
}

static void test_kept_max(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ }, { SEND, HELLO }, { NEXT }, { READ }, { SEND, HELLO }, { HANG }, { END },
	};

	f->env.kept_max = 0;
	serve(f, steps);
	expect_ok(f);
	assert_int_equal(f->probe.s.io.fd, -1);
	expect_ok(f);
	assert_int_equal(f->connections, 2);
}

/* The server ends a kept connection while the next question is on its way: asked again. */
static void test_stale_connection(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ }, { SEND, HELLO }, { READ }, { CLOSE }, { NEXT },
		{ READ }, { SEND, HELLO }, { HANG }, { END },
	};

	serve(f, steps);
	expect_ok(f);
	expect_ok(f);
	assert_int_equal(f->connections, 2);
	assert_int_equal(f->verdicts, 2);
}

static void test_stale_connection_reset(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ }, { SEND, HELLO }, { READ }, { RESET }, { NEXT },
		{ READ }, { SEND, HELLO }, { HANG }, { END },
	};

	serve(f, steps);
	expect_ok(f);
	expect_ok(f);
	assert_int_equal(f->connections, 2);
}

static void test_closed_while_idle(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ }, { SEND, HELLO }, { CLOSE }, { NEXT },
		{ READ }, { SEND, HELLO }, { HANG },  { END },
	};

	serve(f, steps);
	expect_ok(f);
	turn_until(f, f->probe.s.io.fd < 0);
	assert_int_equal(f->env.kept, 0);
	expect_ok(f);
	assert_int_equal(f->connections, 2);
}

static void test_connection_close(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },
		{ SEND, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok" },
		{ NEXT },
		{ READ },
		{ SEND, HELLO },
		{ HANG },
		{ END },
	};

	serve(f, steps);
	expect_ok(f);
	turn_until(f, f->probe.s.io.fd < 0);
	expect_ok(f);
	assert_int_equal(f->connections, 2);
}

static void test_bytes_after_the_answer(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },        { SEND, HELLO "HTTP/1.1 500 Oops\r\n\r\n" },
		{ NEXT },        { READ },
		{ SEND, HELLO }, { HANG },
		{ END },
	};

	serve(f, steps);
	expect_ok(f);
	turn_until(f, f->probe.s.io.fd < 0);
	expect_ok(f);
	assert_int_equal(f->connections, 2);
}

static void test_unasked_bytes(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ }, { SEND, HELLO }, { SEND, "HTTP/1.1 408 Late\r\n\r\n" }, { HANG }, { END },
	};

	serve(f, steps);
	expect_ok(f);
	turn_until(f, f->probe.s.io.fd < 0);
	assert_int_equal(f->verdicts, 1);
}

static void test_head_in_pieces(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },
		{ SEND, "HTTP/1." },
		{ SEND, "1 200 O" },
		{ SEND, "K\r\nContent-" },
		{ SEND, "Length: 0\r" },
		{ SEND, "\n\r" },
		{ SEND, "\n" },
		{ READ },
		{ SEND, HELLO },
		{ HANG },
		{ END },
	};

	serve(f, steps);
	expect_ok(f);
	expect_ok(f);
	assert_int_equal(f->connections, 1);
}

static void test_interim_answers(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },
		{ SEND, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n" },
		{ SEND, "Link: </a>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n" },
		{ READ },
		{ SEND, HELLO },
		{ HANG },
		{ END },
	};

	serve(f, steps);
	expect_ok(f);
	expect_ok(f);
	assert_int_equal(f->connections, 1);
}

static void test_body_in_pieces_keeps_connection(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },          { SEND, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" },
		{ SEND, "12345" }, { SEND, "67890" },
		{ READ },          { SEND, HELLO },
		{ HANG },          { END },
	};

	serve(f, steps);
	expect_ok(f);
	turn_until(f, f->env.kept == 1);
	expect_ok(f);
	assert_int_equal(f->connections, 1);
}

static void test_endless_body_is_cut(void **state)
{
	struct fixture *f = *state;
	static char big[100000];
	static const struct step steps[] = {
		{ READ },
		{ SEND, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n" },
		{ SEND, big, sizeof(big) },
		{ HANG },
		{ END },
	};

	memset(big, 'x', sizeof(big));
	serve(f, steps);
	expect_ok(f);
	turn_until(f, f->probe.s.io.fd < 0);
	fixture_join(f);
}

static void test_no_connection(void **state)
{
	struct fixture *f = *state;

	fixture_ready(f);
	close(f->listen);
	f->listen = -1;
	expect_failure(f, FAIL_REFUSED, "connect refused");
}

static void test_closed_without_answer(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = { { READ }, { CLOSE }, { END } };

	serve(f, steps);
	expect_failure(f, FAIL_CLOSED, "closed without an answer");
}

static void test_reset_without_answer(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = { { READ }, { RESET }, { END } };

	serve(f, steps);
	expect_failure(f, FAIL_RESET, "connection reset");
}

static void test_cut_head(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },
		{ SEND, "HTTP/1.1 200 OK\r\nContent-Le" },
		{ CLOSE },
		{ END },
	};

	serve(f, steps);
	expect_failure(f, FAIL_CUT, "response cut short");
}

static void test_hanging_server(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = { { READ }, { HANG }, { END } };

	f->check.timeout = 50 * NS_PER_MS;
	serve(f, steps);
	expect_failure(f, FAIL_TIMEOUT, "answer timed out");
	assert_int_equal(f->probe.s.io.fd, -1);
}

static void test_malformed_answer(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },
		{ SEND, "SSH-2.0-OpenSSH_9.2\r\n\r\n" },
		{ HANG },
		{ END },
	};

	serve(f, steps);
	ask(f);
	assert_int_equal(f->end, PROBE_FAILED);
	assert_int_equal(f->why, FAIL_BAD_RESPONSE);
}

static void test_two_lengths(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },
		{ SEND, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab" },
		{ HANG },
		{ END },
	};

	serve(f, steps);
	expect_failure(f, FAIL_BAD_RESPONSE, "more than one Content-Length field");
}

static void test_huge_head(void **state)
{
	struct fixture *f = *state;
	static char big[40000];
	static const struct step steps[] = {
		{ READ }, { SEND, "HTTP/1.1 200 OK\r\nX: " }, { SEND, big, sizeof(big) }, { HANG },
		{ END },
	};

	memset(big, 'x', sizeof(big));
	serve(f, steps);
	ask(f);
	assert_int_equal(f->end, PROBE_FAILED);
	assert_int_equal(f->why, FAIL_BAD_RESPONSE);
}

static void test_head_method(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ }, { SEND, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" },
		{ READ }, { SEND, "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" },
		{ HANG }, { END },
	};

	f->check.method = STR("HEAD");
	serve(f, steps);
	expect_ok(f);
	expect_ok(f);
	assert_int_equal(f->connections, 1);
}

/* --- text in the body ----------------------------------------------------------------------- */

static void test_match(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ }, { SEND, HELLO }, { READ }, { SEND, HELLO }, { HANG }, { END },
	};

	f->check.match = STR("ell");
	serve(f, steps);
	expect_ok(f);
	expect_ok(f);
	assert_int_equal(f->connections, 1);
}

static void test_no_match(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = { { READ }, { SEND, HELLO }, { HANG }, { END } };

	f->check.match = STR("hellow");
	serve(f, steps);
	expect_failure(f, FAIL_MATCH, "body does not match");
}

static void test_no_body_no_match(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },
		{ SEND, "HTTP/1.1 204 No Content\r\n\r\n" },
		{ HANG },
		{ END },
	};

	f->check.match = STR("x");
	serve(f, steps);
	expect_failure(f, FAIL_MATCH, "body does not match");
}

static void test_match_in_pieces(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },
		{ SEND, "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n" },
		{ SEND, "status: he" },
		{ SEND, "alt" },
		{ SEND, "hy ....." },
		{ HANG },
		{ END },
	};

	f->check.match = STR("healthy");
	serve(f, steps);
	expect_ok(f);
}

static void test_match_across_chunks(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },
		{ SEND, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		        "4\r\nheal\r\n3;x=y\r\nthy\r\n" },
		{ SEND, "0\r\n\r\n" },
		{ READ },
		{ SEND, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
		        "3\r\nhea\r\n0\r\n\r\n" },
		{ HANG },
		{ END },
	};

	f->check.match = STR("healthy");
	serve(f, steps);
	expect_ok(f);
	turn_until(f, f->env.kept == 1);
	expect_failure(f, FAIL_MATCH, "body does not match");
	assert_int_equal(f->connections, 1);
}

static void test_malformed_chunk(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },
		{ SEND, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n" },
		{ HANG },
		{ END },
	};

	f->check.match = STR("x");
	serve(f, steps);
	expect_failure(f, FAIL_BAD_RESPONSE, "malformed chunked coding");
}

static void test_match_until_close(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },
		{ SEND, "HTTP/1.0 200 OK\r\n\r\nall is " },
		{ SEND, "well" },
		{ CLOSE },
		{ NEXT },
		{ READ },
		{ SEND, "HTTP/1.0 200 OK\r\n\r\nno" },
		{ CLOSE },
		{ END },
	};

	f->check.match = STR("is well");
	serve(f, steps);
	expect_ok(f);
	expect_failure(f, FAIL_MATCH, "body does not match");
}

static void test_match_beyond_limit(void **state)
{
	struct fixture *f = *state;
	static char big[70000];
	static const struct step steps[] = {
		{ READ },
		{ SEND, "HTTP/1.1 200 OK\r\nContent-Length: 70005\r\n\r\n" },
		{ SEND, big, sizeof(big) },
		{ SEND, "match" },
		{ HANG },
		{ END },
	};

	memset(big, 'x', sizeof(big));
	f->check.match = STR("match");
	serve(f, steps);
	expect_failure(f, FAIL_MATCH, "no match in the first 64 KiB");
}

static void test_match_cut(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = {
		{ READ },
		{ SEND, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhal" },
		{ CLOSE },
		{ END },
	};

	f->check.match = STR("half");
	serve(f, steps);
	expect_failure(f, FAIL_CUT, "response cut short");
}

/* --- others --------------------------------------------------------------------------------- */

static void test_other_port(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = { { READ }, { SEND, HELLO }, { HANG }, { END } };

	f->check.port = net_addr_port(&f->address);
	assert_int_equal(net_addr_parse(STR("127.0.0.1:1"), &f->address, NULL), OK);
	serve(f, steps);
	expect_ok(f);
}

static void test_unix_socket(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = { { READ }, { SEND, HELLO }, { HANG }, { END } };
	char text[128];

	(void)snprintf(text, sizeof(text), "unix:/tmp/holdfast-test-%d.sock", (int)getpid());
	assert_int_equal(net_addr_parse(str_from(text), &f->address, NULL), OK);
	close(f->listen);
	f->listen = net_listen(&f->address, 8, 0600);
	assert_true(f->listen >= 0);
	assert_int_equal(fcntl(f->listen, F_SETFL, 0), 0);
	f->env.kept_max = 0;
	serve(f, steps);
	expect_ok(f);
	assert_non_null(strstr(f->requests, "\r\nHost: localhost\r\n"));
	unlink(text + 5);
	expect_failure(f, FAIL_CONNECT, "connect failed: No such file or directory");
}

/* Running out of descriptors says nothing about the server. */
static void test_no_descriptors(void **state)
{
	struct fixture *f = *state;
	struct rlimit old, none;

	fixture_ready(f);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	none = old;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	probe_start(&f->probe);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(f->verdicts, 1);
	assert_int_equal(f->end, PROBE_UNDECIDED);
	assert_int_equal(f->why, FAIL_LOCAL);
	assert_memory_equal(f->said, "no local resources", 18);
}

static void test_stop_while_running(void **state)
{
	struct fixture *f = *state;
	static const struct step steps[] = { { READ }, { HANG }, { END } };

	serve(f, steps);
	probe_start(&f->probe);
	turn_until(f, f->nrequests != 0);
	probe_stop(&f->probe);
	fixture_join(f); /* it saw the end of the connection */
	assert_int_equal(f->verdicts, 0);
	assert_int_equal(f->probe.s.io.fd, -1);
}

static void test_same(void **state)
{
	struct fixture *f = *state;
	struct conf_check other = f->check;

	fixture_ready(f);
	assert_true(probe_same(&f->check, &other));
	other.interval = 1;
	other.fall = 9;
	assert_true(probe_same(&f->check, &other));
	other.http = STR("/other");
	assert_false(probe_same(&f->check, &other));
	other = f->check;
	other.expect[0] ^= 1;
	assert_false(probe_same(&f->check, &other));
	other = f->check;
	other.match = STR("x");
	assert_false(probe_same(&f->check, &other));
	other = f->check;
	other.probe = PROBE_TCP;
	assert_false(probe_same(&f->check, &other));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		probe_test(test_ok),
		probe_test(test_request_as_configured),
		probe_test(test_unexpected_status),
		probe_test(test_expected_set),
		probe_test(test_kept_connection),
		probe_test(test_new_connection_now_and_then),
		probe_test(test_kept_max),
		probe_test(test_stale_connection),
		probe_test(test_stale_connection_reset),
		probe_test(test_closed_while_idle),
		probe_test(test_connection_close),
		probe_test(test_bytes_after_the_answer),
		probe_test(test_unasked_bytes),
		probe_test(test_head_in_pieces),
		probe_test(test_interim_answers),
		probe_test(test_body_in_pieces_keeps_connection),
		probe_test(test_endless_body_is_cut),
		probe_test(test_no_connection),
		probe_test(test_closed_without_answer),
		probe_test(test_reset_without_answer),
		probe_test(test_cut_head),
		probe_test(test_hanging_server),
		probe_test(test_malformed_answer),
		probe_test(test_two_lengths),
		probe_test(test_huge_head),
		probe_test(test_head_method),
		probe_test(test_match),
		probe_test(test_no_match),
		probe_test(test_no_body_no_match),
		probe_test(test_match_in_pieces),
		probe_test(test_match_across_chunks),
		probe_test(test_malformed_chunk),
		probe_test(test_match_until_close),
		probe_test(test_match_beyond_limit),
		probe_test(test_match_cut),
		probe_test(test_other_port),
		probe_test(test_unix_socket),
		probe_test(test_no_descriptors),
		probe_test(test_stop_while_running),
		probe_test(test_same),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
