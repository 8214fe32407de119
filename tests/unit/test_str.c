/* SPDX-License-Identifier: Apache-2.0 */
/* Strings by reference: comparison, trimming, splitting, numbers, edit distance. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"
#include "base/str.h"

static void test_eq(void **state)
{
	(void)state;
	assert_true(str_eq(STR("abc"), STR("abc")));
	assert_false(str_eq(STR("abc"), STR("abd")));
	assert_false(str_eq(STR("abc"), STR("ab")));
	assert_true(str_eq(STR_NONE, STR("")));
	assert_true(str_eq(STR_NONE, STR_NONE));
	assert_true(str_eq(str_from(NULL), STR_NONE));
	assert_int_equal(str_from("four").len, 4);
}

static void test_eq_nocase(void **state)
{
	(void)state;
	assert_true(str_eq_nocase(STR("Content-Length"), STR("content-LENGTH")));
	assert_false(str_eq_nocase(STR("a"), STR("b")));
	assert_false(str_eq_nocase(STR("a"), STR("aa")));
	/* The bytes beside the letters differ by the same bit and are not letters. */
	assert_false(str_eq_nocase(STR("@"), STR("`")));
	assert_false(str_eq_nocase(STR("["), STR("{")));
	assert_true(str_eq_nocase(STR_NONE, STR("")));
}

static void test_compare(void **state)
{
	(void)state;
	assert_int_equal(str_compare(STR("ab"), STR("ab")), 0);
	assert_true(str_compare(STR("a"), STR("ab")) < 0);
	assert_true(str_compare(STR("b"), STR("ab")) > 0);
	assert_true(str_compare(STR("\xc3"), STR("z")) > 0); /* bytes, not letters */
	assert_int_equal(str_compare(STR_NONE, STR("")), 0);
	assert_true(str_compare(STR_NONE, STR("a")) < 0);
	assert_true(str_compare(STR("a"), STR_NONE) > 0);
}

static void test_starts_ends(void **state)
{
	(void)state;
	assert_true(str_starts(STR("unix:/x"), STR("unix:")));
	assert_false(str_starts(STR("uni"), STR("unix:")));
	assert_true(str_starts(STR("x"), STR_NONE));
	assert_true(str_starts(STR_NONE, STR("")));
	assert_true(str_ends(STR("a.example.org"), STR(".example.org")));
	assert_false(str_ends(STR("example.org"), STR(".example.org")));
	assert_true(str_ends(STR("x"), STR_NONE));
}

static void test_trim(void **state)
{
	(void)state;
	assert_true(str_eq(str_trim(STR(" \t a b\t ")), STR("a b")));
	assert_true(str_eq(str_trim(STR(" \t ")), STR("")));
	assert_true(str_eq(str_trim(STR_NONE), STR("")));
	assert_true(str_eq(str_trim(STR("\na\n")), STR("\na\n")));
}

static void test_split(void **state)
{
	struct str rest;

	(void)state;
	assert_true(str_eq(str_split(STR("a,b,c"), ',', &rest), STR("a")));
	assert_true(str_eq(rest, STR("b,c")));
	assert_true(str_eq(str_split(STR("a,"), ',', &rest), STR("a")));
	assert_non_null(rest.s); /* an empty rest is not the same as none */
	assert_int_equal(rest.len, 0);
	assert_true(str_eq(str_split(STR("abc"), ',', &rest), STR("abc")));
	assert_null(rest.s);
	assert_true(str_eq(str_split(STR(",b"), ',', &rest), STR("")));
	assert_true(str_eq(rest, STR("b")));
	str_split(STR_NONE, ',', &rest);
	assert_null(rest.s);
}

static void test_split_in_place(void **state)
{
	struct str rest = STR("a b  c");
	unsigned n = 0;

	(void)state;
	while (rest.s != NULL) {
		str_split(rest, ' ', &rest);
		n++;
	}
	assert_int_equal(n, 4);
}

static void test_number(void **state)
{
	uint64_t v = 7;

	(void)state;
	assert_int_equal(str_to_u64(STR("0"), 10, &v), OK);
	assert_int_equal(v, 0);
	assert_int_equal(str_to_u64(STR("007"), 10, &v), OK);
	assert_int_equal(v, 7);
	assert_int_equal(str_to_u64(STR("18446744073709551615"), UINT64_MAX, &v), OK);
	assert_true(v == UINT64_MAX);
}

static void test_number_refused(void **state)
{
	static const char *const invalid[] = { "", "-1", "+1", " 1", "1 ", "0x10", "1e3", "1.0" };
	uint64_t v = 7;

	(void)state;
	for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
		assert_int_equal(str_to_u64(str_from(invalid[i]), UINT64_MAX, &v), ERR_INVALID);
	}
	assert_int_equal(str_to_u64(STR("11"), 10, &v), ERR_TOO_LARGE);
	assert_int_equal(str_to_u64(STR("18446744073709551616"), UINT64_MAX, &v), ERR_TOO_LARGE);
	assert_int_equal(str_to_u64(STR("99999999999999999999999999"), UINT64_MAX, &v),
	                 ERR_TOO_LARGE);
	assert_int_equal(str_to_u64(STR("99999999999999999999999999x"), UINT64_MAX, &v),
	                 ERR_INVALID);
	assert_int_equal(v, 7); /* untouched on errors */
}

static void test_distance(void **state)
{
	char longer[66];

	(void)state;
	assert_int_equal(str_distance(STR("listen"), STR("listen")), 0);
	assert_int_equal(str_distance(STR("lisetn"), STR("listen")), 2);
	assert_int_equal(str_distance(STR("kitten"), STR("sitting")), 3);
	assert_int_equal(str_distance(STR(""), STR("abc")), 3);
	assert_int_equal(str_distance(STR("abc"), STR_NONE), 3);
	memset(longer, 'a', sizeof(longer));
	assert_int_equal(str_distance(str_n(longer, 64), str_n(longer, 63)), 1);
	assert_int_equal(str_distance(str_n(longer, 65), STR("a")), UINT_MAX);
	assert_int_equal(str_distance(STR("a"), str_n(longer, 65)), UINT_MAX);
}

static void test_err_text(void **state)
{
	(void)state;
	assert_string_equal(err_text(OK), "success");
	assert_string_equal(err_text(ERR_FULL), "no room left");
	assert_string_equal(err_text(-999), "unknown error");
	assert_string_equal(err_text(1), "unknown error");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_eq),
		cmocka_unit_test(test_eq_nocase),
		cmocka_unit_test(test_compare),
		cmocka_unit_test(test_starts_ends),
		cmocka_unit_test(test_trim),
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_split_in_place),
		cmocka_unit_test(test_number),
		cmocka_unit_test(test_number_refused),
		cmocka_unit_test(test_distance),
		cmocka_unit_test(test_err_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
