/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines in each format. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/logsink.h"

static const struct log_line line = {
	.wall_ms = 1795253400123,
	.level = LOG_LEVEL_WARNING,
	.area = "check",
	.event = "server_down",
	.object = "web/web1",
	.text = "connect \"refused\" (3 of 3)",
};

static struct buf out;

static int setup(void **state)
{
	(void)state;
	out = BUF_INIT;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_free(&out);
	return 0;
}

static void text_is_for_people(void **state)
{
	(void)state;
	logsink_text(&line, false, &out);
	assert_string_equal(buf_cstr(&out),
	                    "2026-11-21T09:30:00.123Z warning check server_down web/web1: "
	                    "connect \"refused\" (3 of 3)\n");
}

static void colour_only_where_wanted(void **state)
{
	(void)state;
	logsink_text(&line, true, &out);
	assert_non_null(strstr(buf_cstr(&out), "\033[33mwarning\033[0m"));
}

static void no_object_leaves_no_gap(void **state)
{
	struct log_line l = line;

	(void)state;
	l.object = NULL;
	logsink_text(&l, false, &out);
	assert_non_null(strstr(buf_cstr(&out), "server_down: connect"));
	out.len = 0;
	logsink_json(&l, &out);
	assert_null(strstr(buf_cstr(&out), "object"));
	out.len = 0;
	logsink_journal(&l, &out);
	assert_null(strstr(buf_cstr(&out), "HOLDFAST_OBJECT"));
}

static void json_is_one_line_and_quoted(void **state)
{
	(void)state;
	logsink_json(&line, &out);
	assert_string_equal(buf_cstr(&out),
	                    "{\"time\":\"2026-11-21T09:30:00.123Z\",\"level\":\"warning\","
	                    "\"area\":\"check\",\"event\":\"server_down\",\"object\":\"web/web1\","
	                    "\"text\":\"connect \\\"refused\\\" (3 of 3)\"}\n");
}

static void journald_gets_fields(void **state)
{
	(void)state;
	logsink_journal(&line, &out);
	assert_string_equal(buf_cstr(&out), "MESSAGE=web/web1: connect \"refused\" (3 of 3)\n"
	                                    "PRIORITY=4\nSYSLOG_IDENTIFIER=holdfast\n"
	                                    "HOLDFAST_AREA=check\nHOLDFAST_EVENT=server_down\n"
	                                    "HOLDFAST_OBJECT=web/web1\n");
}

static void journald_text_with_line_breaks_has_a_length(void **state)
{
	struct log_line l = line;

	(void)state;
	l.object = NULL;
	l.text = "two\nlines";
	logsink_journal(&l, &out);
	assert_memory_equal(out.p, "MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\nPRIORITY=4\n", 37);
}

static void syslog_has_priority_and_pid(void **state)
{
	(void)state;
	logsink_syslog(&line, 42, &out);
	assert_string_equal(buf_cstr(&out), "<28>holdfast[42]: check server_down web/web1: "
	                                    "connect \"refused\" (3 of 3)");
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(text_is_for_people),          T(colour_only_where_wanted),
		T(no_object_leaves_no_gap),     T(json_is_one_line_and_quoted),
		T(journald_gets_fields),        T(journald_text_with_line_breaks_has_a_length),
		T(syslog_has_priority_and_pid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
