/* SPDX-License-Identifier: Apache-2.0 */
/* Names, dates, lists, tokens, hosts. */
#include "rows.h"

#include "http/http.h"

static void test_field_ids(void **state)
{
	static const char *const names[] = {
#define ROW(id, name) [HTTP_FIELD_##id] = name,
		HTTP_FIELD_ROWS(ROW)
#undef ROW
	};

	(void)state;
	for (unsigned id = 1; id < HTTP_FIELD_IDS; id++) {
		char other[64];
		size_t len = strlen(names[id]);

		assert_int_equal(http_field_id_of(str_from(names[id])), id);
		for (size_t i = 0; i < len; i++)
			other[i] = names[id][i] == '-' ? '-' : (char)(names[id][i] - 32);
		assert_int_equal(http_field_id_of(str_n(other, len)), id);
		/* one byte off, at every place */
		for (size_t i = 0; i < len; i++) {
			char was = other[i];

			other[i] = was == '-' ? 'M' : '-';
			assert_int_equal(http_field_id_of(str_n(other, len)), HTTP_FIELD_OTHER);
			other[i] = was == '-' ? '\r' : '0';
			assert_int_equal(http_field_id_of(str_n(other, len)), HTTP_FIELD_OTHER);
			other[i] = was;
		}
		assert_int_equal(http_field_id_of(str_n(other, len - 1)), HTTP_FIELD_OTHER);
	}
	assert_int_equal(http_field_id_of(STR_NONE), HTTP_FIELD_OTHER);
}

static void test_methods(void **state)
{
	(void)state;
	for (unsigned m = 0; m < HTTP_OTHER; m++)
		assert_int_equal(http_method_of(str_from(http_method_name(m))), m);
	assert_int_equal(http_method_of(STR("get")), HTTP_OTHER);
	assert_int_equal(http_method_of(STR("GETS")), HTTP_OTHER);
	assert_int_equal(http_method_of(STR("CONNECT")), HTTP_OTHER);
	assert_string_equal(http_method_name(HTTP_OTHER), "OTHER");
	assert_string_equal(http_method_name((enum http_method)99), "OTHER");
}

static void test_status_texts(void **state)
{
	(void)state;
	assert_string_equal(http_status_text(200), "OK");
	assert_string_equal(http_status_text(504), "Gateway Timeout");
	assert_string_equal(http_status_text(999), "");
	assert_string_equal(http_status_text(0), "");
}

static void test_faults(void **state)
{
	(void)state;
	for (unsigned f = 1; f < HTTP_FAULTS; f++) {
		assert_true(http_fault_status(f) >= 400 && http_fault_status(f) <= 505);
		assert_true(strlen(http_fault_text(f)) > 5);
	}
	assert_int_equal(http_fault_status(HTTP_FAULT_LINE_TOO_LONG), 414);
	assert_int_equal(http_fault_status(HTTP_FAULT_HEAD_TOO_LARGE), 431);
	assert_int_equal(http_fault_status(HTTP_FAULT_BAD_VERSION), 505);
	assert_int_equal(http_fault_status(HTTP_FAULT_BODY_TOO_LARGE), 413);
}

struct date {
	const char *name;
	uint64_t seconds;
};

static const struct date dates[] = {
	{ "Thu, 01 Jan 1970 00:00:00 GMT", 0 },
	{ "Thu, 01 Jan 1970 23:59:59 GMT", 86399 },
	{ "Sun, 06 Nov 1994 08:49:37 GMT", 784111777 },
	{ "Tue, 29 Feb 2000 12:34:56 GMT", 951827696 },
	{ "Wed, 01 Mar 2000 00:00:00 GMT", 951868800 },
	{ "Sat, 21 Nov 2026 12:00:00 GMT", 1795262400 },
	{ "Thu, 31 Dec 2099 23:59:59 GMT", 4102444799 },
	{ "Mon, 01 Mar 2100 00:00:00 GMT", 4107542400 },
};

static void test_date(void **state)
{
	const struct date *d = *state;
	char out[32];

	http_date(d->seconds * 1000 + 999, out);
	assert_string_equal(out, d->name);
}

struct list {
	const char *name, *value, *token;
	bool has;
};

static const struct list lists[] = {
	{ "list: alone", "close", "close", true },
	{ "list: without case", "Close", "cLOSE", true },
	{ "list: last", "a, b ,\tclose", "close", true },
	{ "list: first", "close,b", "close", true },
	{ "list: empty members", ",, ,close,,", "close", true },
	{ "list: part of a word", "closed, xclose", "close", false },
	{ "list: two words", "close x", "close", false },
	{ "list: empty", "", "close", false },
	{ "list: commas only", ",,,", "close", false },
};

static void test_list(void **state)
{
	const struct list *l = *state;

	assert_int_equal(http_list_has(str_from(l->value), str_from(l->token)), l->has);
}

static void test_tokens(void **state)
{
	(void)state;
	assert_true(http_is_token(STR("X-Request-Id")));
	assert_true(http_is_token(STR("!#$%&'*+-.^_`|~")));
	assert_false(http_is_token(STR("")));
	assert_false(http_is_token(STR_NONE));
	for (const char *p = "\"(),/:;<=>?@[\\]{} \t\r\n\177\x80"; *p; p++)
		assert_false(http_is_token(str_n(p, 1)));
	assert_false(http_is_token(STR("a\0b")));
}

static void test_values(void **state)
{
	(void)state;
	assert_true(http_is_value(STR("")));
	assert_true(http_is_value(STR_NONE));
	assert_true(http_is_value(STR("a value, \twith \"all\" \xc3\xa9 ~ of it and more")));
	for (unsigned c = 0; c < 256; c++) {
		char long_value[40], byte = (char)c;
		bool good = c == '\t' || (c >= ' ' && c != 0x7f);

		assert_int_equal(http_is_value(str_n(&byte, 1)), good);
		for (size_t at = 0; at < sizeof(long_value); at++) {
			memset(long_value, 'x', sizeof(long_value));
			long_value[at] = byte;
			assert_int_equal(http_is_value(str_n(long_value, sizeof(long_value))),
			                 good);
		}
	}
}

static void test_host_names(void **state)
{
	(void)state;
	assert_true(str_eq(http_host_name(STR("a.b")), STR("a.b")));
	assert_true(str_eq(http_host_name(STR("a.b:80")), STR("a.b")));
	assert_true(str_eq(http_host_name(STR("a.b:")), STR("a.b")));
	assert_true(str_eq(http_host_name(STR("[::1]:80")), STR("[::1]")));
	assert_true(str_eq(http_host_name(STR("[::1]")), STR("[::1]")));
	assert_int_equal(http_host_name(STR_NONE).len, 0);
}

int main(void)
{
	static struct rows rows;

	rows_add(&rows, "field ids", test_field_ids, NULL);
	rows_add(&rows, "methods", test_methods, NULL);
	rows_add(&rows, "status texts", test_status_texts, NULL);
	rows_add(&rows, "faults", test_faults, NULL);
	ROWS_ADD_TABLE(&rows, dates, test_date);
	ROWS_ADD_TABLE(&rows, lists, test_list);
	rows_add(&rows, "tokens", test_tokens, NULL);
	rows_add(&rows, "values", test_values, NULL);
	rows_add(&rows, "host names", test_host_names, NULL);
	return rows_run(&rows, "http_text");
}
