/* SPDX-License-Identifier: Apache-2.0 */
/* Values of the configuration file: durations, sizes, numbers, names, variables. */
#include "rows.h"

#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "conf/value.h"

struct number_case {
	const char *name;
	int (*parse)(struct str, uint64_t *, const char **);
	const char *text;
	bool well;
	uint64_t want;
	const char *why; /* part of the reason */
};

static const struct number_case numbers[] = {
	{ "duration_ms", value_duration, "40ms", true, 40 * NS_PER_MS },
	{ "duration_us", value_duration, "250us", true, 250 * NS_PER_US },
	{ "duration_s", value_duration, "2s", true, 2 * NS_PER_S },
	{ "duration_m", value_duration, "5m", true, 300 * NS_PER_S },
	{ "duration_h", value_duration, "1h", true, 3600 * NS_PER_S },
	{ "duration_d", value_duration, "2d", true, 172800 * NS_PER_S },
	{ "duration_fraction", value_duration, "1.5s", true, 1500 * NS_PER_MS },
	{ "duration_small_fraction", value_duration, "0.001s", true, NS_PER_MS },
	{ "duration_compound", value_duration, "1h30m", true, 5400 * NS_PER_S },
	{ "duration_zero", value_duration, "0", true, 0 },
	{ "duration_zero_unit", value_duration, "0s", true, 0 },
	{ "duration_no_unit", value_duration, "30", false, 0, "needs a unit" },
	{ "duration_unknown_unit", value_duration, "30sec", false, 0, "unknown unit" },
	{ "duration_upper_case", value_duration, "30S", false, 0, "unknown unit" },
	{ "duration_negative", value_duration, "-1s", false, 0, "not a duration" },
	{ "duration_empty", value_duration, "", false, 0, "not a duration" },
	{ "duration_blank", value_duration, "1 s", false, 0, "needs a unit" },
	{ "duration_tail", value_duration, "1s!", false, 0, "not a duration" },
	{ "duration_only_unit", value_duration, "ms", false, 0, "not a duration" },
	{ "duration_huge", value_duration, "99999999999999999999d", false, 0, "too long" },
	{ "duration_overflow", value_duration, "4000000000d", false, 0, "too long" },
	{ "duration_sum_overflow", value_duration, "213503d213503d", false, 0, "too long" },
	{ "duration_dot_end", value_duration, "1.s", false, 0, "needs a unit" },
	{ "size_b", value_size, "512B", true, 512 },
	{ "size_kib", value_size, "16KiB", true, 16384 },
	{ "size_mib", value_size, "1MiB", true, 1048576 },
	{ "size_gib", value_size, "2GiB", true, 2147483648ULL },
	{ "size_fraction", value_size, "1.5KiB", true, 1536 },
	{ "size_decimal", value_size, "3KB", true, 3000 },
	{ "size_zero", value_size, "0", true, 0 },
	{ "size_no_unit", value_size, "16", false, 0, "needs a unit" },
	{ "size_k", value_size, "16k", false, 0, "unknown unit" },
	{ "size_two", value_size, "1KiB2B", false, 0, "not a size" },
	{ "size_huge", value_size, "99999999TiB", false, 0, "too large" },
	{ "size_empty", value_size, "", false, 0, "not a size" },
	{ "percent_sign", value_percent, "30%", true, 30 },
	{ "percent_bare", value_percent, "100", true, 100 },
	{ "percent_zero", value_percent, "0%", true, 0 },
	{ "percent_above", value_percent, "101%", false, 0, "between 0% and 100%" },
	{ "percent_negative", value_percent, "-1%", false, 0, "between" },
	{ "percent_sign_alone", value_percent, "%", false, 0, "between" },
	{ "mode_four", value_mode, "0660", true, 0660 },
	{ "mode_three", value_mode, "777", true, 0777 },
	{ "mode_above", value_mode, "1777", false, 0, "octal" },
	{ "mode_nine", value_mode, "0690", false, 0, "octal" },
	{ "mode_empty", value_mode, "", false, 0, "octal" },
	{ "mode_long", value_mode, "000000660", false, 0, "octal" },
};

static void test_number(void **state)
{
	const struct number_case *c = *state;
	const char *why = NULL;
	uint64_t v = 0;
	int err = c->parse(str_from(c->text), &v, &why);

	assert_int_equal(err, c->well ? OK : ERR_INVALID);
	if (c->well) {
		assert_int_equal(v, c->want);
	} else {
		assert_non_null(why);
		assert_non_null(strstr(why, c->why));
	}
}

struct share_case {
	const char *name;
	const char *text;
	bool well;
	int millionths;
};

static const struct share_case shares[] = {
	{ "share_one", "1", true, 1000000 },       { "share_zero", "0", true, 0 },
	{ "share_quarter", "0.25", true, 250000 }, { "share_point", ".5", true, 500000 },
	{ "share_percent", "10%", true, 100000 },  { "share_fine", "0.5%", true, 5000 },
	{ "share_above", "1.01", false, 0 },       { "share_above_percent", "101%", false, 0 },
	{ "share_negative", "-0.1", false, 0 },    { "share_two_points", "0.1.2", false, 0 },
	{ "share_word", "half", false, 0 },        { "share_empty", "", false, 0 },
	{ "share_point_alone", ".", false, 0 },    { "share_exponent", "1e-3", false, 0 },
};

static void test_share(void **state)
{
	const struct share_case *c = *state;
	const char *why = NULL;
	double v = -1;

	assert_int_equal(value_share(str_from(c->text), &v, &why), c->well ? OK : ERR_INVALID);
	if (c->well) {
		assert_int_equal((int)(v * 1e6 + 0.5), c->millionths);
	} else {
		assert_non_null(why);
	}
}

struct check_case {
	const char *name;
	const char *(*check)(struct str);
	const char *text;
	const char *why; /* NULL: well */
};

static const struct check_case checks[] = {
	{ "name_plain", value_is_name, "web", NULL },
	{ "name_signs", value_is_name, "Web-1_a.b", NULL },
	{ "name_digit", value_is_name, "1web", NULL },
	{ "name_empty", value_is_name, "", "empty" },
	{ "name_dash_first", value_is_name, "-web", "letters" },
	{ "name_slash", value_is_name, "a/b", "letters" },
	{ "name_blank", value_is_name, "a b", "letters" },
	{ "name_utf8", value_is_name, "b\xc3\xa4r", "letters" },
	{ "name_59", value_is_name, "12345678901234567890123456789012345678901234567890123456789",
	  NULL },
	{ "name_60", value_is_name, "123456789012345678901234567890123456789012345678901234567890",
	  "longer" },
	{ "path_root", value_is_url_path, "/", NULL },
	{ "path_deep", value_is_url_path, "/a/b%20c", NULL },
	{ "path_no_slash", value_is_url_path, "a", "must start" },
	{ "path_empty", value_is_url_path, "", "must start" },
	{ "path_query", value_is_url_path, "/a?b", "query" },
	{ "path_fragment", value_is_url_path, "/a#b", "fragment" },
	{ "path_blank", value_is_url_path, "/a b", "percent-encoded" },
	{ "path_control", value_is_url_path, "/a\r\nb", "percent-encoded" },
	{ "probe_query", value_is_probe_path, "/health?deep=1", NULL },
	{ "probe_fragment", value_is_probe_path, "/a#b", "fragment" },
	{ "method_get", value_is_method, "GET", NULL },
	{ "method_own", value_is_method, "PROPFIND", NULL },
	{ "method_lower", value_is_method, "get", "lower-case" },
	{ "method_blank", value_is_method, "G T", "not a method" },
	{ "method_empty", value_is_method, "", "not a method" },
	{ "host_name", value_is_host, "shop.test", NULL },
	{ "host_upper", value_is_host, "Shop.Test", NULL },
	{ "host_dot_end", value_is_host, "shop.test.", NULL },
	{ "host_wildcard", value_is_host, "*.shop.test", NULL },
	{ "host_underscore", value_is_host, "a_b.test", NULL },
	{ "host_ip", value_is_host, "10.0.0.1", NULL },
	{ "host_ip6", value_is_host, "[::1]", NULL },
	{ "host_ip6_bad", value_is_host, "[::g]", "IPv6" },
	{ "host_star", value_is_host, "*", "leave \"host\" out" },
	{ "host_star_inside", value_is_host, "a.*.test", "first label" },
	{ "host_star_part", value_is_host, "a*.test", "first label" },
	{ "host_port", value_is_host, "shop.test:80", "port" },
	{ "host_url", value_is_host, "shop.test/x", "path" },
	{ "host_umlaut", value_is_host, "b\xc3\xa4r.test", "xn--" },
	{ "host_empty", value_is_host, "", "empty" },
	{ "host_two_dots", value_is_host, "a..b", "empty label" },
	{ "host_only_wildcard", value_is_host, "*.", "empty" },
	{ "host_blank", value_is_host, "a b", "not a host" },
	{ "field_name", value_is_field_name, "X-Api-Key", NULL },
	{ "field_name_colon", value_is_field_name, "X:", "not a header name" },
	{ "field_value", value_is_field_value, "a b", NULL },
	{ "field_value_lf", value_is_field_value, "a\nb", "control" },
	{ "interface", value_is_interface, "eth0.100", NULL },
	{ "interface_longest", value_is_interface, "abcdefghijklmno", NULL },
	{ "interface_long", value_is_interface, "abcdefghijklmnop", "15 characters" },
	{ "interface_slash", value_is_interface, "eth/0", "no name of an interface" },
	{ "interface_alias", value_is_interface, "eth0:1", "no name of an interface" },
	{ "interface_dots", value_is_interface, "..", "no name of an interface" },
	{ "interface_empty", value_is_interface, "", "no name of an interface" },
	{ "url", value_is_web_url, "https://a.test/hook?x=1", NULL },
	{ "url_http", value_is_web_url, "http://10.0.0.1:8080", NULL },
	{ "url_other", value_is_web_url, "ftp://a.test/", "is not a URL" },
	{ "url_no_host", value_is_web_url, "https:///x", "is not a URL" },
	{ "url_blank", value_is_web_url, "https://a.test/a b", "percent-encoded" },
	{ "log_stderr", value_is_log_path, "stderr", NULL },
	{ "log_file", value_is_log_path, "/var/log/x.log", NULL },
	{ "log_relative", value_is_log_path, "x.log", "absolute" },
};

static void test_check(void **state)
{
	const struct check_case *c = *state;
	const char *why = c->check(str_from(c->text));

	if (c->why) {
		assert_non_null(why);
		assert_non_null(strstr(why, c->why));
	} else {
		assert_null(why);
	}
}

struct expand_case {
	const char *name;
	const char *text;
	const char *want; /* NULL: refused */
	const char *why;
};

static const struct expand_case expansions[] = {
	{ "expand_none", "plain", "plain" },
	{ "expand_dollar", "a$b", "a$b" },
	{ "expand_set", "${CONF_TEST_A}", "alpha" },
	{ "expand_inside", "x${CONF_TEST_A}y", "xalphay" },
	{ "expand_two", "${CONF_TEST_A}${CONF_TEST_A}", "alphaalpha" },
	{ "expand_default_unused", "${CONF_TEST_A:-b}", "alpha" },
	{ "expand_default", "${CONF_TEST_UNSET:-b c}", "b c" },
	{ "expand_default_empty", "${CONF_TEST_UNSET:-}", "" },
	{ "expand_empty_uses_default", "${CONF_TEST_EMPTY:-b}", "b" },
	{ "expand_empty", "${CONF_TEST_EMPTY}", "" },
	{ "expand_escaped", "$${CONF_TEST_A}", "${CONF_TEST_A}" },
	{ "expand_unset", "${CONF_TEST_UNSET}", NULL, "is not set" },
	{ "expand_open", "${CONF_TEST_A", NULL, "without" },
	{ "expand_no_name", "${}", NULL, "names no" },
	{ "expand_bad_name", "${a b}", NULL, "names no" },
	{ "expand_digit_name", "${1}", NULL, "names no" },
};

static void test_expand(void **state)
{
	const struct expand_case *c = *state;
	struct arena arena = ARENA_INIT;
	const char *why = NULL;
	struct str got;

	setenv("CONF_TEST_A", "alpha", 1);
	setenv("CONF_TEST_EMPTY", "", 1);
	unsetenv("CONF_TEST_UNSET");
	assert_int_equal(value_expand(&arena, str_from(c->text), &got, &why),
	                 c->want ? OK : ERR_INVALID);
	if (c->want) {
		assert_true(str_eq(got, str_from(c->want)));
	} else {
		assert_non_null(strstr(why, c->why));
	}
	arena_free(&arena);
}

static void test_bool(void **state)
{
	static const char *const yes[] = { "true", "yes", "on", "True" };
	static const char *const no[] = { "false", "no", "off", "OFF" };
	const char *why = NULL;
	bool v;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		v = false;
		assert_int_equal(value_bool(str_from(yes[i]), &v, &why), OK);
		assert_true(v);
		assert_int_equal(value_bool(str_from(no[i]), &v, &why), OK);
		assert_false(v);
	}
	assert_int_equal(value_bool(STR("1"), &v, &why), ERR_INVALID);
	assert_non_null(why);
}

/* What is printed is read back as the same number. */
static void test_size_format(void **state)
{
	static const uint64_t sizes[] = { 0,    1,       1000,          1023,
		                          1024, 1536,    1048576,       1073741824,
		                          1025, 3 << 20, 1099511627776, 123456789 };
	const char *why;
	char text[32];
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		value_size_format(sizes[i], text);
		assert_int_equal(value_size(str_from(text), &v, &why), OK);
		assert_int_equal(v, sizes[i]);
	}
	assert_string_equal(value_size_format(32768, text), "32KiB");
	assert_string_equal(value_size_format(1000, text), "1000B");
}

int main(void)
{
	static struct rows r;

	ROWS_ADD_TABLE(&r, numbers, test_number);
	ROWS_ADD_TABLE(&r, shares, test_share);
	ROWS_ADD_TABLE(&r, checks, test_check);
	ROWS_ADD_TABLE(&r, expansions, test_expand);
	rows_add(&r, "bool_words", test_bool, NULL);
	rows_add(&r, "size_format_round_trip", test_size_format, NULL);
	return rows_run(&r, "conf_value");
}
