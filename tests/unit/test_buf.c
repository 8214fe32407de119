/* SPDX-License-Identifier: Apache-2.0 */
/* The byte buffer: growth and its limit, escapes, whole files. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/err.h"

static void expect_text(struct buf *b, const char *text)
{
	assert_false(b->failed);
	assert_string_equal(buf_cstr(b), text);
	assert_int_equal(b->len, strlen(text));
	buf_free(b);
}

static void test_empty(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	assert_int_equal(buf_str(&b).len, 0);
	buf_add(&b, NULL, 0);
	buf_addstr(&b, STR_NONE);
	expect_text(&b, "");
	buf_free(&b);
}

static void test_add(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_adds(&b, "one ");
	buf_addstr(&b, STR("two"));
	buf_addc(&b, ' ');
	buf_printf(&b, "%d", 3);
	buf_add(&b, "!?", 1);
	expect_text(&b, "one two 3!");
}

static void test_numbers(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_addu(&b, 0);
	buf_addc(&b, ' ');
	buf_addu(&b, 1000);
	buf_addc(&b, ' ');
	buf_addu(&b, UINT64_MAX);
	expect_text(&b, "0 1000 18446744073709551615");
}

static void test_grows(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	for (unsigned i = 0; i < 100000; i++) {
		buf_addc(&b, (char)('a' + i % 26));
	}
	assert_false(b.failed);
	assert_int_equal(b.len, 100000);
	for (unsigned i = 0; i < 100000; i++) {
		assert_int_equal(b.p[i], 'a' + i % 26);
	}
	buf_free(&b);
}

static void test_printf_longer_than_room(void **state)
{
	struct buf b = BUF_INIT;
	char wide[3000];

	(void)state;
	memset(wide, 'w', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	buf_adds(&b, "x");
	buf_printf(&b, "[%s]", wide);
	assert_int_equal(b.len, sizeof(wide) + 2);
	assert_memory_equal(b.p, "x[ww", 4);
	assert_memory_equal(b.p + b.len - 3, "ww]", 3);
	buf_free(&b);
}

static void test_printf_fits_exactly(void **state)
{
	(void)state;
	for (int n = 250; n < 262; n++) { /* around the first size */
		struct buf b = BUF_INIT;

		buf_printf(&b, "%*d", n, 1);
		buf_printf(&b, "%s", "z");
		assert_int_equal(b.len, n + 1);
		assert_int_equal(buf_cstr(&b)[n], 'z');
		buf_free(&b);
	}
}

static void test_max(void **state)
{
	struct buf b = { .max = 10 };

	(void)state;
	buf_adds(&b, "12345");
	buf_adds(&b, "67890");
	assert_false(b.failed);
	assert_string_equal(buf_cstr(&b), "1234567890");
	buf_addc(&b, 'x');
	assert_true(b.failed);
	assert_int_equal(b.len, 10);
	assert_string_equal(buf_cstr(&b), "");
	assert_null(buf_take(&b));
	assert_int_equal(b.max, 10);
	assert_false(b.failed);
	buf_printf(&b, "%s", "12345678901");
	assert_true(b.failed);
	buf_free(&b);
}

static void test_failed_stays(void **state)
{
	struct buf b = { .max = 4 };

	(void)state;
	buf_adds(&b, "abcde");
	assert_true(b.failed);
	buf_adds(&b, "a"); /* would fit, but a hole must not go unnoticed */
	buf_printf(&b, "%d", 1);
	assert_int_equal(b.len, 0);
	buf_free(&b);
}

static void test_take(void **state)
{
	struct buf b = BUF_INIT;
	char *p;

	(void)state;
	buf_adds(&b, "mine");
	p = buf_take(&b);
	assert_string_equal(p, "mine");
	free(p);
	assert_null(b.p);
	p = buf_take(&b);
	assert_string_equal(p, "");
	free(p);
}

static void test_json(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_json(&b, STR("a\"b\\c\n\t\r\b\f\x01\x7f/é€😀"));
	expect_text(&b, "\"a\\\"b\\\\c\\n\\t\\r\\b\\f\\u0001\\u007f/é€😀\"");
	buf_json(&b, STR_NONE);
	expect_text(&b, "\"\"");
	buf_json(&b, str_n("a\0b", 3));
	expect_text(&b, "\"a\\u0000b\"");
}

static void test_json_invalid_utf8(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "\xff", "\xef\xbf\xbd" },
		{ "a\x80z", "a\xef\xbf\xbdz" },
		{ "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* overlong */
		{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }, /* surrogate */
		{ "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },                 /* cut short */
		{ "\xc3", "\xef\xbf\xbd" },
		{ "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
		{ "\xc3(", "\xef\xbf\xbd(" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf b = BUF_INIT;
		char want[64];

		buf_json(&b, str_from(cases[i].in));
		snprintf(want, sizeof(want), "\"%s\"", cases[i].out);
		expect_text(&b, want);
	}
}

static void test_html(void **state)
{
	struct buf b = BUF_INIT;

	(void)state;
	buf_html(&b, STR("<a href=\"x\">'&'</a>"));
	expect_text(&b, "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
	buf_html(&b, STR_NONE);
	expect_text(&b, "");
	buf_html(&b, STR("plain"));
	expect_text(&b, "plain");
}

static char *folder(char out[64])
{
	strcpy(out, "/tmp/test_buf.XXXXXX");
	assert_non_null(mkdtemp(out));
	return out;
}

static void test_file(void **state)
{
	struct buf b = BUF_INIT, back = BUF_INIT;
	char dir[64], path[128];
	struct stat st;

	(void)state;
	snprintf(path, sizeof(path), "%s/file", folder(dir));
	for (unsigned i = 0; i < 50000; i++) {
		buf_addc(&b, (char)i);
	}
	assert_int_equal(buf_write_file(&b, path, 0640), OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	buf_adds(&back, "before");
	assert_int_equal(buf_read_file(&back, path, 50000), OK);
	assert_int_equal(back.len, 50006);
	assert_memory_equal(back.p + 6, b.p, 50000);
	buf_free(&back);
	assert_int_equal(buf_read_file(&back, path, 49999), ERR_TOO_LARGE);
	buf_free(&back);
	back.max = 100;
	assert_int_equal(buf_read_file(&back, path, 50000), ERR_TOO_LARGE);
	buf_free(&back);
	buf_free(&b);
	/* Replaces, also by nothing, and leaves nothing beside it. */
	assert_int_equal(buf_write_file(&b, path, 0600), OK);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 0);
	unlink(path);
	assert_int_equal(rmdir(dir), 0);
}

static void test_file_errors(void **state)
{
	struct buf b = BUF_INIT;
	char dir[64];

	(void)state;
	folder(dir);
	assert_int_equal(buf_read_file(&b, "/does/not/exist", 10), ERR_SYSTEM);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(buf_write_file(&b, "/does/not/exist", 0600), ERR_SYSTEM);
	assert_int_equal(errno, ENOENT);
	/* The last step fails: the target is a folder; the temporary file goes away. */
	assert_int_equal(buf_write_file(&b, dir, 0600), ERR_SYSTEM);
	assert_int_equal(rmdir(dir), 0);
	b.failed = true;
	assert_int_equal(buf_write_file(&b, "/tmp/never", 0600), ERR_SYSTEM);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_grows),
		cmocka_unit_test(test_printf_longer_than_room),
		cmocka_unit_test(test_printf_fits_exactly),
		cmocka_unit_test(test_max),
		cmocka_unit_test(test_failed_stays),
		cmocka_unit_test(test_take),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_invalid_utf8),
		cmocka_unit_test(test_html),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_file_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
