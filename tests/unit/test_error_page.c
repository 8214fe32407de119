/* SPDX-License-Identifier: Apache-2.0 */
/* Error answers: negotiation, who sees reasons, own pages; each answer is parsed again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/check.h"
#include "proxy/error_page.h"

static struct buf out;
static struct http_head head;
static struct str body;

static const struct error_page plain = {
	.status = 503,
	.reason = { "no healthy server in pool web (3 down: connect refused)", 55 },
	.request_id = { "0123abcd", 8 },
	.wall_ms = 1795262400000, /* 2026-11-21 12:00:00 UTC */
};

static const char *text(struct str s)
{
	static char copy[8192];

	snprintf(copy, sizeof(copy), "%.*s", STR_ARG(s));
	return copy;
}

static const char *value(const char *name)
{
	const struct http_field *f = http_field_named(&head, str_from(name));

	return f != NULL ? text(f->value) : NULL;
}

/* Writes an answer and reads it as a client would. */
static void answer(const struct error_page *e)
{
	struct http_limits limits = { 8192, 32768, 100 };
	size_t scanned = 0;

	buf_free(&out);
	error_page_write(e, &out);
	assert_false(out.failed);
	assert_true(http_parse_response(&head, out.p, out.len, &limits, &scanned,
	                                e->head ? HTTP_HEAD : HTTP_GET) > 0);
	body = str_n(out.p + head.size, out.len - head.size);
	if (!e->head) {
		assert_int_equal(head.body, body.len > 0 ? HTTP_BODY_LENGTH : HTTP_BODY_NONE);
		assert_int_equal(head.length, body.len);
	}
}

static const char *type_for(const char *accept)
{
	struct error_page e = plain;

	e.accept = str_from(accept);
	answer(&e);
	return value("content-type");
}

static void text_golden(void **state)
{
	answer(&plain);
	buf_addc(&out, '\0');
	assert_string_equal(out.p, "HTTP/1.1 503 Service Unavailable\r\n"
	                           "Date: Sat, 21 Nov 2026 12:00:00 GMT\r\n"
	                           "Content-Type: text/plain; charset=utf-8\r\n"
	                           "Content-Length: 45\r\n"
	                           "Cache-Control: no-store\r\n"
	                           "Vary: Accept\r\n"
	                           "X-Request-Id: 0123abcd\r\n"
	                           "\r\n"
	                           "503 Service Unavailable\n"
	                           "request id: 0123abcd\n");
}

static void reason_only_to_trusted(void **state)
{
	static const char *const accepts[] = { "", "text/html", "application/json" };

	for (unsigned i = 0; i < ARRAY_LEN(accepts); i++) {
		struct error_page e = plain;

		e.accept = str_from(accepts[i]);
		answer(&e);
		assert_null(value("holdfast-reason"));
		assert_null(strstr(text(buf_str(&out)), "refused"));
		assert_string_equal(value("x-request-id"), "0123abcd");
		e.trusted = true;
		answer(&e);
		assert_string_equal(value("holdfast-reason"), text(plain.reason));
		assert_non_null(strstr(text(body), "3 down: connect refused"));
		assert_non_null(strstr(text(body), "0123abcd"));
	}
}

static void negotiation(void **state)
{
	static const struct {
		const char *accept, *type;
	} rows[] = {
		{ "", "text/plain; charset=utf-8" },
		{ "*/*", "text/plain; charset=utf-8" },
		{ "text/html", "text/html; charset=utf-8" },
		{ "TEXT/HTML", "text/html; charset=utf-8" },
		{ "application/json", "application/json" },
		{ "application/*", "application/json" },
		{ "text/*", "text/plain; charset=utf-8" },
		{ "application/json, */*;q=0.1", "application/json" },
		{ "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
		  "text/html; charset=utf-8" },
		{ "text/html;q=0.5, application/json;q=0.6", "application/json" },
		{ "text/html;q=0.05, application/json;q=0.06", "application/json" },
		{ "text/html;q=0.5, application/json;q=0.500", "text/html; charset=utf-8" },
		{ "text/*;q=0.3, text/html;q=0.7, */*;q=0.5", "text/html; charset=utf-8" },
		{ "text/plain;q=0, */*;q=0.2", "text/html; charset=utf-8" },
		{ "text/html ; level=1 ; q=0.4 , application/json ; q=0.9", "application/json" },
		{ "image/png", "text/plain; charset=utf-8" },
		{ "garbage", "text/plain; charset=utf-8" },
		{ ",,;;q=,/,", "text/plain; charset=utf-8" },
		{ "application/json;q=x", "application/json" },
		{ "application/json;q=1.0, text/html", "text/html; charset=utf-8" },
	};

	for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
		assert_string_equal(type_for(rows[i].accept), rows[i].type);
}

static void many_ranges_are_bounded(void **state)
{
	struct buf accept = BUF_INIT;
	struct error_page e = plain;

	for (unsigned i = 0; i < 20000; i++)
		buf_adds(&accept, "image/png,");
	buf_adds(&accept, "application/json");
	e.accept = buf_str(&accept);
	answer(&e);
	assert_string_equal(value("content-type"), "text/plain; charset=utf-8");
	buf_free(&accept);
}

static void html_is_escaped(void **state)
{
	struct error_page e = plain;

	e.trusted = true;
	e.accept = STR("text/html");
	e.reason = STR("no route for <script>alert(\"1\")</script>");
	e.request_id = STR("<b>&");
	answer(&e);
	assert_null(strstr(text(body), "<script>"));
	assert_null(strstr(text(body), "<b>"));
	assert_non_null(strstr(text(body), "&lt;script&gt;"));
}

static void json_is_escaped(void **state)
{
	struct error_page e = plain;

	e.trusted = true;
	e.accept = STR("application/json");
	e.reason = STR("a \"quoted\"\n\\ thing");
	answer(&e);
	assert_string_equal(text(body), "{\"status\":503,\"error\":\"Service Unavailable\","
	                                "\"reason\":\"a \\\"quoted\\\"\\n\\\\ thing\","
	                                "\"request_id\":\"0123abcd\"}\n");
}

static void fields_cannot_be_injected(void **state)
{
	struct error_page e = plain;

	e.trusted = true;
	e.reason = STR("x\r\nSet-Cookie: a=b\r\n\r\n\xff\x01");
	e.request_id = STR("y\r\nX-Evil: 1");
	answer(&e);
	assert_null(value("set-cookie"));
	assert_null(value("x-evil"));
	assert_string_equal(value("holdfast-reason"), "x??Set-Cookie: a=b??????");
	assert_string_equal(value("x-request-id"), "y??X-Evil: 1");
}

static void long_reason_is_cut_in_the_field(void **state)
{
	static char long_reason[20000];
	struct error_page e = plain;

	memset(long_reason, 'r', sizeof(long_reason));
	e.trusted = true;
	e.reason = str_n(long_reason, sizeof(long_reason));
	answer(&e);
	assert_int_equal(strlen(value("holdfast-reason")), 1024);
}

static void head_has_no_body(void **state)
{
	struct error_page e = plain;

	e.head = true;
	answer(&e);
	assert_int_equal(body.len, 0);
	assert_string_equal(value("content-length"), "45");
}

static void connection_fields(void **state)
{
	struct error_page e = plain;

	answer(&e);
	assert_null(value("connection"));
	e.http10 = true;
	answer(&e);
	assert_string_equal(value("connection"), "keep-alive");
	e.close = true;
	answer(&e);
	assert_string_equal(value("connection"), "close");
	assert_true(head.close);
}

static void retry_after(void **state)
{
	struct error_page e = plain;

	answer(&e);
	assert_null(value("retry-after"));
	e.retry_after = 5;
	answer(&e);
	assert_string_equal(value("retry-after"), "5");
}

static void unknown_status(void **state)
{
	struct error_page e = plain;

	e.status = 499;
	e.request_id = STR_NONE;
	answer(&e);
	assert_int_equal(head.status, 499);
	assert_null(value("x-request-id"));
	assert_string_equal(text(body), "499 Error\n");
}

static void own_page(void **state)
{
	static const struct conf_error_page own = {
		.status = 503,
		.body = { "<h1>Back soon</h1>", 18 },
		.type = { "text/html", 9 },
	};
	struct error_page e = plain;

	e.own = &own;
	e.accept = STR("application/json");
	e.trusted = true;
	answer(&e);
	assert_int_equal(head.status, 503);
	assert_string_equal(value("content-type"), "text/html");
	assert_string_equal(text(body), "<h1>Back soon</h1>");
	assert_null(value("vary"));
	/* The page tells strangers nothing, the fields tell the trusted as ever. */
	assert_non_null(value("holdfast-reason"));
	assert_non_null(value("x-request-id"));
	e.head = true;
	answer(&e);
	assert_int_equal(body.len, 0);
	assert_string_equal(value("content-length"), "18");
}

static void own_page_empty(void **state)
{
	static const struct conf_error_page own = { .status = 503 };
	struct error_page e = plain;

	e.own = &own;
	answer(&e);
	assert_int_equal(body.len, 0);
	assert_string_equal(value("content-type"), "application/octet-stream");
}

static void most_specific_page(void **state)
{
	static const struct conf_error_page of_all[] = {
		{ .status = 502 }, { .status = 503 }, { .status = 504 }, { .status = 404 }
	};
	static const struct conf_error_page of_listener[] = { { .status = 502 },
		                                              { .status = 503 },
		                                              { .status = 504 } };
	static const struct conf_error_page of_pool[] = { { .status = 502 }, { .status = 503 } };
	static const struct conf_error_page of_route[] = { { .status = 502 } };
	static const struct conf_pool pool = { .pages = of_pool, .npages = 2 };
	static const struct conf_route route = { .pages = of_route, .npages = 1 };
	static const struct conf_listener listener = { .pages = of_listener, .npages = 3 };
	static const struct conf c = { .pages = of_all, .npages = 4, .pools = &pool, .npools = 1 };

	assert_ptr_equal(error_page_find(502, &c, &listener, &route), &of_route[0]);
	assert_ptr_equal(error_page_find(503, &c, &listener, &route), &of_pool[1]);
	assert_ptr_equal(error_page_find(504, &c, &listener, &route), &of_listener[2]);
	assert_ptr_equal(error_page_find(404, &c, &listener, &route), &of_all[3]);
	assert_null(error_page_find(413, &c, &listener, &route));
	assert_ptr_equal(error_page_find(503, &c, &listener, NULL), &of_listener[1]);
	assert_ptr_equal(error_page_find(503, &c, NULL, NULL), &of_all[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_golden),
		cmocka_unit_test(reason_only_to_trusted),
		cmocka_unit_test(negotiation),
		cmocka_unit_test(many_ranges_are_bounded),
		cmocka_unit_test(html_is_escaped),
		cmocka_unit_test(json_is_escaped),
		cmocka_unit_test(fields_cannot_be_injected),
		cmocka_unit_test(long_reason_is_cut_in_the_field),
		cmocka_unit_test(head_has_no_body),
		cmocka_unit_test(connection_fields),
		cmocka_unit_test(retry_after),
		cmocka_unit_test(unknown_status),
		cmocka_unit_test(own_page),
		cmocka_unit_test(own_page_empty),
		cmocka_unit_test(most_specific_page),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	buf_free(&out);
	return failed;
}
