/* SPDX-License-Identifier: Apache-2.0 */
/* The http and grpc probes over HTTP/2, against servers that follow a script of frames. */
#include "base/check.h"
#include "probe_fixture.h"

#define SAY(literal) SEND, literal, sizeof(literal) - 1

/* Frames of stream 1; lengths are written out. */
#define SETTINGS           "\0\0\0\4\0\0\0\0\0"
#define HEADERS(len, flag) "\0\0" len "\1" flag "\0\0\0\1"
#define DATA(len, flag)    "\0\0" len "\0" flag "\0\0\0\1"
#define GOAWAY(len, last)  "\0\0" len "\7\0\0\0\0\0\0\0\0" last "\0\0\0"
#define RESET_BY(error)    "\0\0\4\3\0\0\0\0\1\0\0\0" error
#define PING               "\0\0\10\6\0\0\0\0\0abcdefgh"
#define OPEN               "\4" /* END_HEADERS */
#define END_               "\5" /* and END_STREAM */

/* Fields, as HPACK has them. */
#define OK_200   "\x88"
#define OOPS_500 "\x8e"

#define WELL HEADERS("\1", END_) OK_200

#define HTTP  .probe = PROBE_HTTP, .http = STR("/health"), .method = STR("GET")
#define MATCH HTTP, .match = STR("needle")
#define HEAD_ .probe = PROBE_HTTP, .http = STR("/health"), .method = STR("HEAD")
#define GRPC  .probe = PROBE_GRPC

struct h2_case {
	const char *name;
	struct conf_check check;
	struct step steps[8];
	enum fail_why why; /* FAIL_NONE: well */
	const char *said;
};

static const struct h2_case cases[] = {
	{ "well", { HTTP }, { { HEAR }, { SAY(SETTINGS WELL) }, { HANG } }, 0, "none" },
	{ "well_before_the_end",
	  { HTTP },
	  { { HEAR }, { SAY(SETTINGS HEADERS("\1", OPEN) OK_200) }, { HANG } },
	  0,
	  "none" },
	{ "well_in_pieces",
	  { HTTP },
	  { { HEAR },
	    { SAY("\0\0\0\4") },
	    { SAY("\0\0\0\0\0\0\0") },
	    { SAY("\1\1\5\0\0\0") },
	    { SAY("\1") },
	    { SAY(OK_200) },
	    { HANG } },
	  0,
	  "none" },
	{ "well_after_an_interim_one",
	  { HTTP },
	  { { HEAR }, { SAY(SETTINGS HEADERS("\5", OPEN) "\x08\3\61\60\63" WELL) }, { HANG } },
	  0,
	  "none" },
	{ "well_in_a_continuation",
	  { HTTP },
	  { { HEAR },
	    { SAY(SETTINGS HEADERS("\1", "\1") OK_200) },
	    { SAY("\0\0\5\11\4\0\0\0\1"
	          "\0\1a\1b") },
	    { HANG } },
	  0,
	  "none" },
	{ "status",
	  { HTTP },
	  { { HEAR }, { SAY(SETTINGS HEADERS("\1", OPEN) OOPS_500) }, { HANG } },
	  FAIL_STATUS,
	  "HTTP 500" },
	{ "status_with_match",
	  { MATCH },
	  { { HEAR }, { SAY(SETTINGS HEADERS("\1", OPEN) OOPS_500) }, { HANG } },
	  FAIL_STATUS,
	  "HTTP 500" },
	{ "match",
	  { MATCH },
	  { { HEAR },
	    { SAY(SETTINGS HEADERS("\1", OPEN) OK_200 DATA("\10", "\0") "a needle") },
	    { HANG } },
	  0,
	  "none" },
	{ "match_in_pieces",
	  { MATCH },
	  { { HEAR },
	    { SAY(SETTINGS HEADERS("\1", OPEN) OK_200 DATA("\7", "\0") "hay nee") },
	    { SAY(DATA("\3", "\1") "dle") },
	    { HANG } },
	  0,
	  "none" },
	{ "no_match",
	  { MATCH },
	  { { HEAR },
	    { SAY(SETTINGS HEADERS("\1", OPEN) OK_200 DATA("\3", "\1") "hay") },
	    { HANG } },
	  FAIL_MATCH,
	  "body does not match" },
	{ "no_body_no_match",
	  { MATCH },
	  { { HEAR }, { SAY(SETTINGS WELL) }, { HANG } },
	  FAIL_MATCH,
	  "body does not match" },
	{ "trailers",
	  { MATCH },
	  { { HEAR },
	    { SAY(SETTINGS HEADERS("\1", OPEN) OK_200 DATA("\3", "\0") "hay") },
	    { SAY(HEADERS("\5", END_) "\0\1a\1b") },
	    { HANG } },
	  FAIL_MATCH,
	  "body does not match" },
	{ "head_method",
	  { HEAD_ },
	  { { HEAR }, { SAY(SETTINGS HEADERS("\6", END_) OK_200 "\x0f\x0d\2\71\71") }, { HANG } },
	  0,
	  "none" },
	/* what is no HTTP/2 */
	{ "http1",
	  { HTTP },
	  { { HEAR }, { SAY("HTTP/1.1 400 Bad Request\r\nX: y\r\n\r\n") }, { CLOSE } },
	  FAIL_BAD_RESPONSE,
	  "not HTTP/2: it answers HTTP/1.1 400 Bad Request" },
	{ "other",
	  { HTTP },
	  { { SAY("220 mx.test ESMTP\r\n") }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "not HTTP/2: it does not begin with SETTINGS" },
	{ "no_preface",
	  { HTTP },
	  { { HEAR }, { SAY(WELL) }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "not HTTP/2: it does not begin with SETTINGS" },
	{ "acknowledged_first",
	  { HTTP },
	  { { HEAR }, { SAY("\0\0\0\4\1\0\0\0\0") }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "not HTTP/2: it does not begin with SETTINGS" },
	{ "closed", { HTTP }, { { HEAR }, { CLOSE } }, FAIL_CLOSED, "closed without an answer" },
	{ "cut_within_the_preface",
	  { HTTP },
	  { { HEAR }, { SAY("\0\0\0\4") }, { CLOSE } },
	  FAIL_CLOSED,
	  "closed without an answer" },
	{ "cut_within_the_body",
	  { MATCH },
	  { { HEAR }, { SAY(SETTINGS HEADERS("\1", OPEN) OK_200) }, { HEAR }, { CLOSE } },
	  FAIL_CUT,
	  "response cut short" },
	/* what ends it */
	{ "goaway",
	  { HTTP },
	  { { HEAR }, { SAY(SETTINGS GOAWAY("\14", "\0") "\13calm") }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "GOAWAY: ENHANCE_YOUR_CALM: calm" },
	{ "goaway_and_closed",
	  { HTTP },
	  { { HEAR }, { SAY(SETTINGS GOAWAY("\10", "\1") "\2") }, { CLOSE } },
	  FAIL_BAD_RESPONSE,
	  "GOAWAY: INTERNAL_ERROR" },
	{ "goaway_with_the_answer",
	  { HTTP },
	  { { HEAR }, { SAY(SETTINGS GOAWAY("\10", "\1") "\0" WELL) }, { CLOSE } },
	  0,
	  "none" },
	{ "reset",
	  { HTTP },
	  { { HEAR }, { SAY(SETTINGS RESET_BY("\2")) }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "stream reset: INTERNAL_ERROR" },
	{ "reset_within_the_body",
	  { MATCH },
	  { { HEAR }, { SAY(SETTINGS HEADERS("\1", OPEN) OK_200 RESET_BY("\0")) }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "stream reset: NO_ERROR" },
	/* what is not as it should be */
	{ "uppercase",
	  { HTTP },
	  { { HEAR }, { SAY(SETTINGS HEADERS("\6", END_) OK_200 "\0\1X\1y") }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "not HTTP/2 as it should be: Invalid HTTP header field was received" },
	{ "connection_field",
	  { HTTP },
	  { { HEAR },
	    { SAY(SETTINGS HEADERS("\24", END_) OK_200 "\0\12connection\5close") },
	    { HANG } },
	  FAIL_BAD_RESPONSE,
	  "not HTTP/2 as it should be: Invalid HTTP header field was received" },
	{ "no_status",
	  { HTTP },
	  { { HEAR }, { SAY(SETTINGS HEADERS("\5", END_) "\0\1a\1b") }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "not HTTP/2 as it should be: Violation in HTTP messaging rule" },
	{ "interim_end",
	  { HTTP },
	  { { HEAR }, { SAY(SETTINGS HEADERS("\5", END_) "\x08\3\61\60\63") }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "not HTTP/2 as it should be: Violation in HTTP messaging rule" },
	{ "length_belied",
	  { MATCH },
	  { { HEAR },
	    { SAY(SETTINGS HEADERS("\5", OPEN) OK_200 "\x0f\x0d\1\71" DATA("\2", "\1") "hi") },
	    { HANG } },
	  FAIL_BAD_RESPONSE,
	  "not HTTP/2 as it should be: PROTOCOL_ERROR" },
	{ "control_byte",
	  { HTTP },
	  { { HEAR }, { SAY(SETTINGS HEADERS("\6", END_) OK_200 "\0\1a\1\1") }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "field value with a control byte" },
	{ "compression",
	  { HTTP },
	  { { HEAR }, { SAY(SETTINGS HEADERS("\1", END_) "\x80") }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "not HTTP/2 as it should be: COMPRESSION_ERROR" },
	{ "frame_size",
	  { HTTP },
	  { { HEAR }, { SAY("\0\0\5\4\0\0\0\0\0abcde") }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "not HTTP/2 as it should be: FRAME_SIZE_ERROR" },
	{ "push",
	  { HTTP },
	  { { HEAR }, { SAY(SETTINGS "\0\0\5\5\4\0\0\0\1\0\0\0\2\x88") }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "a push, which was not allowed" },
	/* gRPC by the same part */
	{ "grpc",
	  { GRPC },
	  { { HEAR },
	    { SAY(SETTINGS HEADERS("\1", OPEN) OK_200 DATA("\7", "\0") "\0\0\0\0\2\x8\1") },
	    { SAY(HEADERS("\17", END_) "\0\13grpc-status\1\60") },
	    { HANG } },
	  0,
	  "none" },
	{ "grpc_cut_by_reset",
	  { GRPC },
	  { { HEAR }, { SAY(SETTINGS HEADERS("\1", OPEN) OK_200 RESET_BY("\10")) }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "stream reset: CANCEL" },
	{ "grpc_http",
	  { GRPC },
	  { { HEAR }, { SAY(SETTINGS HEADERS("\1", END_) OOPS_500) }, { HANG } },
	  FAIL_STATUS,
	  "HTTP 500" },
	{ "grpc_no_status",
	  { GRPC },
	  { { HEAR }, { SAY(SETTINGS WELL) }, { HANG } },
	  FAIL_BAD_RESPONSE,
	  "no grpc-status" },
};

static void prepare(struct fixture *f, const struct conf_check *check)
{
	struct conf_check first = f->check;

	f->check = *check;
	f->check.timeout = 30 * NS_PER_S;
	memcpy(f->check.expect, first.expect, sizeof(first.expect));
	f->text.http2 = true;
}

static void test_case(void **state)
{
	const struct h2_case *c = *state;
	struct fixture *f;
	void *s;

	fixture_setup(&s);
	f = s;
	prepare(f, &c->check);
	serve(f, c->steps);
	ask(f);
	assert_string_equal(f->said, c->said);
	assert_int_equal(f->why, c->why);
	assert_int_equal(f->end, c->why == FAIL_NONE ? PROBE_OK : PROBE_FAILED);
	assert_int_equal(f->probe.s.io.fd, -1);
	assert_null(f->probe.h2);
	fixture_join(f);
	fixture_teardown(&s);
}

/* Frames again and again: `head` once, then `many` up to size bytes. */
static char *repeated(const char *head, size_t nhead, const char *many, size_t nmany, size_t size)
{
	char *out = malloc(size);
	size_t n = nhead;

	assert_non_null(out);
	memcpy(out, head, nhead);
	for (; n + nmany <= size; n += nmany) {
		memcpy(out + n, many, nmany);
	}
	memset(out + n, 0, size - n); /* at most the beginning of a frame */
	return out;
}

static void test_endless(const char *head, size_t nhead, const char *many, size_t nmany,
                         const struct conf_check *check, enum fail_why why, const char *words)
{
	const size_t size = 400000;
	char *bytes = repeated(head, nhead, many, nmany, size);
	const struct step steps[] = { { HEAR }, { SEND, bytes, size }, { HANG }, { END } };
	struct fixture *f;
	void *s;

	fixture_setup(&s);
	f = s;
	prepare(f, check);
	serve(f, steps);
	expect_failure(f, why, words);
	fixture_join(f);
	fixture_teardown(&s);
	free(bytes);
}

#define LITERAL(s) s, sizeof(s) - 1

static void test_endless_frames(void **state)
{
	static const struct conf_check http = { HTTP };

	(void)state;
	test_endless(LITERAL(SETTINGS), LITERAL(PING), &http, FAIL_BAD_RESPONSE,
	             "answer too large");
	/* of a type that nobody knows */
	test_endless(LITERAL(SETTINGS), LITERAL("\0\0\1\x20\0\0\0\0\0x"), &http, FAIL_BAD_RESPONSE,
	             "answer too large");
	/* interim answers, each of few bytes */
	test_endless(LITERAL(SETTINGS), LITERAL(HEADERS("\5", OPEN) "\x08\3\61\60\63"), &http,
	             FAIL_BAD_RESPONSE, "header fields too large");
}

/* A field of 4,000 bytes, named again by one byte each (RFC 7541, 7.3). */
static void test_endless_fields(void **state)
{
	static const struct conf_check http = { HTTP };
	char head[5000] = SETTINGS HEADERS("\0", OPEN);
	size_t n = 18;

	(void)state;
	head[n++] = OK_200[0];
	head[n++] = 0x40;
	head[n++] = 1;
	head[n++] = 'a';
	head[n++] = 0x7f; /* 4000 in seven bits and more */
	head[n++] = (char)((4000 - 127) % 128 + 128);
	head[n++] = (4000 - 127) / 128;
	memset(head + n, 'x', 4000);
	n += 4000;
	memset(head + n, 0xbe, 500);
	n += 500;
	head[9 + 1] = (char)((n - 18) / 256);
	head[9 + 2] = (char)((n - 18) % 256);
	test_endless(head, n, LITERAL(PING), &http, FAIL_BAD_RESPONSE, "header fields too large");
}

static void test_endless_body(void **state)
{
	static const struct conf_check match = { MATCH };
	char data[9 + 1000] = "\0\3\xe8\0\0\0\0\0\1";

	(void)state;
	memset(data + 9, 'x', 1000);
	test_endless(LITERAL(SETTINGS HEADERS("\1", OPEN) OK_200), data, sizeof(data), &match,
	             FAIL_MATCH, "no match in the first 64 KiB");
}

static void test_message_too_large(void **state)
{
	static const struct conf_check grpc = { GRPC };
	char data[9 + 1000] = "\0\3\xe8\0\0\0\0\0\1";

	(void)state;
	test_endless(LITERAL(SETTINGS HEADERS("\1", OPEN) OK_200), data, sizeof(data), &grpc,
	             FAIL_BAD_RESPONSE, "message too large");
}

static void test_times_out(void **state)
{
	static const struct conf_check match = { MATCH };
	struct fixture *f = *state;
	const struct step steps[] = {
		{ HEAR }, { SAY(SETTINGS HEADERS("\1", OPEN) OK_200) }, { HANG }, { END }
	};

	prepare(f, &match);
	f->check.timeout = 50 * NS_PER_MS;
	serve(f, steps);
	expect_failure(f, FAIL_TIMEOUT, "answer timed out");
	assert_null(f->probe.h2);
}

static void test_stop_while_running(void **state)
{
	static const struct conf_check match = { MATCH };
	struct fixture *f = *state;
	const struct step steps[] = { { HEAR },
		                      { SAY(SETTINGS HEADERS("\1", OPEN)
		                                OK_200 DATA("\3", "\0") "hay") },
		                      { HANG },
		                      { END } };

	prepare(f, &match);
	serve(f, steps);
	probe_start(&f->probe);
	turn_until(f, f->nrequests != 0);
	probe_stop(&f->probe);
	fixture_join(f);
	assert_int_equal(f->verdicts, 0);
	assert_null(f->probe.h2);
}

/* What HTTP/2 cannot ask says nothing about the server. */
static void test_impossible_request(void **state)
{
	static const struct conf_match_header upgrade[] = { { STR("Connection"), STR("upgrade") },
		                                            { STR("Upgrade"), STR("x") } };
	const struct conf_check check = { HTTP, .headers = upgrade, .nheaders = 2 };
	struct fixture *f = *state;
	const struct step steps[] = { { HANG }, { END } };

	prepare(f, &check);
	serve(f, steps);
	ask(f);
	assert_int_equal(f->end, PROBE_UNDECIDED);
	assert_string_equal(f->said, "not run: its request: Upgrade is for HTTP/1.1");
}

int main(void)
{
	struct CMUnitTest tests[ARRAY_LEN(cases) + 16] = { 0 };
	const struct CMUnitTest others[] = {
		cmocka_unit_test(test_endless_frames),
		cmocka_unit_test(test_endless_fields),
		cmocka_unit_test(test_endless_body),
		cmocka_unit_test(test_message_too_large),
		probe_test(test_times_out),
		probe_test(test_stop_while_running),
		probe_test(test_impossible_request),
	};
	size_t n = 0;

	for (; n < ARRAY_LEN(cases); n++) {
		tests[n] = (struct CMUnitTest){ .name = cases[n].name,
			                        .test_func = test_case,
			                        .initial_state = (void *)(uintptr_t)&cases[n] };
	}
	memcpy(tests + n, others, sizeof(others));
	return _cmocka_run_group_tests("probe_http2", tests, n + ARRAY_LEN(others), NULL, NULL);
}
