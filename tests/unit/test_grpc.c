/* SPDX-License-Identifier: Apache-2.0 */
/* Which requests are gRPC's, and what its clients are told: by the tables of the gRPC protocol. */
#include "rows.h"

#include "base/check.h"
#include "http/http.h"
#include "proxy/grpc.h"

static void test_types(void **state)
{
	static const char *const yes[] = { "application/grpc", "application/grpc+proto",
		                           "Application/GRPC;charset=x", "application/grpc ; a=b" };
	static const char *const no[] = { "",
		                          "application/grp",
		                          "application/grpc-web",
		                          "application/grpc-web+proto",
		                          "application/json",
		                          "application/grpcs" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(yes); i++)
		assert_true(grpc_is_type(str_from(yes[i])));
	for (size_t i = 0; i < ARRAY_LEN(no); i++)
		assert_false(grpc_is_type(str_from(no[i])));
}

static void test_statuses(void **state)
{
	(void)state;
	assert_int_equal(grpc_status_http(503), 14);
	assert_int_equal(grpc_status_http(502), 14);
	assert_int_equal(grpc_status_http(504), 4);
	assert_int_equal(grpc_status_http(408), 4);
	assert_int_equal(grpc_status_http(404), 12);
	assert_int_equal(grpc_status_http(413), 8);
	assert_int_equal(grpc_status_http(403), 7);
	assert_int_equal(grpc_status_http(401), 16);
	assert_int_equal(grpc_status_http(400), 13);
	assert_int_equal(grpc_status_http(418), 2);
	assert_int_equal(grpc_status_reset(8), 1);
	assert_int_equal(grpc_status_reset(11), 8);
	assert_int_equal(grpc_status_reset(7), 14);
	assert_int_equal(grpc_status_reset(12), 7);
	assert_int_equal(grpc_status_reset(2), 13);
}

static void expect(struct str message, const char *want)
{
	struct buf b = BUF_INIT;

	grpc_lines(GRPC_UNAVAILABLE, message, &b);
	assert_string_equal(buf_cstr(&b), want);
	buf_free(&b);
}

static void test_lines(void **state)
{
	char many[2000];
	struct buf b = BUF_INIT;

	(void)state;
	expect(STR("no server"), "grpc-status: 14\r\ngrpc-message: no server\r\n");
	expect(STR(""), "grpc-status: 14\r\ngrpc-message: \r\n");
	expect(STR("a\r\nb: c"), "grpc-status: 14\r\ngrpc-message: a%0D%0Ab: c\r\n");
	expect(STR("100 % \xc3\xa4 "), "grpc-status: 14\r\ngrpc-message: 100 %25 %C3%A4%20\r\n");
	memset(many, 'x', sizeof(many));
	grpc_lines(GRPC_OK, str_n(many, sizeof(many)), &b);
	assert_int_equal(b.len, strlen("grpc-status: 0\r\ngrpc-message: \r\n") + 1024);
	buf_free(&b);
}

static void test_page(void **state)
{
	static const struct http_limits limits = { 8192, 8192, 100 };
	static struct http_head h;
	struct buf b = BUF_INIT;
	size_t scanned = 0;

	(void)state;
	grpc_page(GRPC_UNAVAILABLE, STR("down"), STR("abc"), &b);
	assert_int_equal(http_parse_response(&h, b.p, b.len, &limits, &scanned, HTTP_POST), b.len);
	assert_int_equal(h.status, 200);
	assert_true(str_eq(http_field_named(&h, STR("grpc-status"))->value, STR("14")));
	assert_true(str_eq(http_field_named(&h, STR("grpc-message"))->value, STR("down")));
	assert_true(str_eq(http_field_named(&h, STR("x-request-id"))->value, STR("abc")));
	buf_free(&b);
}

int main(void)
{
	static struct rows rows;

	rows_add(&rows, "types", test_types, NULL);
	rows_add(&rows, "statuses", test_statuses, NULL);
	rows_add(&rows, "lines", test_lines, NULL);
	rows_add(&rows, "page", test_page, NULL);
	return rows_run(&rows, "grpc");
}
