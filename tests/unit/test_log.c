/* SPDX-License-Identifier: Apache-2.0 */
/* Log lines: level, receivers, escapes, cutting; and the end of a process by CHECK. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/log.h"

struct capture {
	unsigned lines;
	struct log_line last;
	char area[64], event[64], object[300], text[2000];
};

static void keep(const struct log_line *line, void *arg)
{
	struct capture *c = arg;

	c->lines++;
	c->last = *line;
	snprintf(c->area, sizeof(c->area), "%s", line->area);
	snprintf(c->event, sizeof(c->event), "%s", line->event);
	snprintf(c->object, sizeof(c->object), "%s", line->object != NULL ? line->object : "-");
	snprintf(c->text, sizeof(c->text), "%s", line->text);
}

static int reset(void **state)
{
	(void)state;
	log_set_sink(NULL, NULL);
	log_set_journal(NULL, NULL);
	log_set_level(LOG_LEVEL_INFO);
	log_set_area("holdfast");
	return 0;
}

static void test_line(void **state)
{
	struct capture c = { 0 };

	(void)state;
	log_set_sink(keep, &c);
	log_set_area("proxy");
	log_warning("server_down", "web/web1", "connect refused, %d of %d", 3, 3);
	assert_int_equal(c.lines, 1);
	assert_int_equal(c.last.level, LOG_LEVEL_WARNING);
	assert_true(c.last.wall_ms > 1600000000000ULL);
	assert_string_equal(c.area, "proxy");
	assert_string_equal(c.event, "server_down");
	assert_string_equal(c.object, "web/web1");
	assert_string_equal(c.text, "connect refused, 3 of 3");
	log_info("started", NULL, "x");
	assert_string_equal(c.object, "-");
}

static void test_level(void **state)
{
	struct capture c = { 0 };

	(void)state;
	log_set_sink(keep, &c);
	log_debug("x", NULL, "hidden");
	assert_int_equal(c.lines, 0);
	log_set_level(LOG_LEVEL_DEBUG);
	assert_true(log_enabled(LOG_LEVEL_DEBUG));
	log_debug("x", NULL, "shown");
	assert_int_equal(c.lines, 1);
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("x", NULL, "hidden");
	assert_int_equal(c.lines, 1);
	log_error("x", NULL, "shown");
	assert_int_equal(c.lines, 2);
}

static void test_journal(void **state)
{
	struct capture sink = { 0 }, journal = { 0 };

	(void)state;
	log_set_sink(keep, &sink);
	log_set_journal(keep, &journal);
	log_set_level(LOG_LEVEL_ERROR); /* what people see is no matter of what is remembered */
	log_notice("state", NULL, "up");
	log_info("chat", NULL, "less");
	log_error("bad", NULL, "more");
	assert_int_equal(sink.lines, 1);
	assert_int_equal(journal.lines, 2);
}

static void test_escapes(void **state)
{
	struct capture c = { 0 };

	(void)state;
	log_set_sink(keep, &c);
	log_info("x", "a\nb", "%s", "line\nforged\r\x1b[31m\ttab\x7f é");
	assert_string_equal(c.object, "a\\nb");
	assert_string_equal(c.text, "line\\nforged\\x0d\\x1b[31m\\ttab\\x7f é");
}

static void test_cut(void **state)
{
	struct capture c = { 0 };
	char wide[5000], out[LOG_LINE_MAX];
	size_t n;

	(void)state;
	memset(wide, '\x01', sizeof(wide) - 1);
	wide[sizeof(wide) - 1] = '\0';
	log_set_sink(keep, &c);
	log_info("x", wide, "%s", wide);
	n = strlen(c.text);
	assert_true(n > 1500 && n < 1700);
	assert_string_equal(c.text + n - 3, "...");
	assert_true(strlen(c.object) < 256);
	c.last.area = c.area;
	c.last.event = c.event;
	c.last.object = c.object;
	c.last.text = c.text;
	n = log_format(&c.last, out, sizeof(out));
	assert_true(n < sizeof(out));
	assert_int_equal(out[n - 1], '\n');
	n = log_format(&c.last, out, 20);
	assert_int_equal(n, 19);
	assert_int_equal(out[18], '\n');
}

static void test_format(void **state)
{
	struct log_line line = { .wall_ms = 0,
		                 .level = LOG_LEVEL_NOTICE,
		                 .area = "check",
		                 .event = "server_up",
		                 .object = "web/a",
		                 .text = "2 of 2" };
	char out[200];
	size_t n;

	(void)state;
	n = log_format(&line, out, sizeof(out));
	assert_int_equal(n, strlen(out));
	assert_string_equal(out, "1970-01-01T00:00:00.000Z notice check server_up web/a: 2 of 2\n");
	line.object = NULL;
	log_format(&line, out, sizeof(out));
	assert_string_equal(out, "1970-01-01T00:00:00.000Z notice check server_up: 2 of 2\n");
}

static void test_errno(void **state)
{
	struct capture c = { 0 };

	(void)state;
	log_set_sink(keep, &c);
	errno = ENOENT;
	log_info("x", NULL, "open: %m");
	assert_int_equal(errno, ENOENT);
	assert_string_equal(c.text, "open: No such file or directory");
}

static void test_level_names(void **state)
{
	(void)state;
	assert_string_equal(log_level_name(LOG_LEVEL_ERROR), "error");
	assert_string_equal(log_level_name(LOG_LEVEL_DEBUG), "debug");
	assert_string_equal(log_level_name((enum log_level)99), "unknown");
}

/* Runs fn in a child and collects its stderr. Returns the wait status. */
static int in_child(void (*fn)(void), char *out, size_t size)
{
	int fds[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe(fds), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		const struct rlimit none = { 0, 0 };

		setrlimit(RLIMIT_CORE, &none);
		signal(SIGABRT, SIG_DFL);
		dup2(fds[1], STDERR_FILENO);
		fn();
		_exit(0);
	}
	close(fds[1]);
	while (len + 1 < size && (n = read(fds[0], out + len, size - 1 - len)) > 0) {
		len += (size_t)n;
	}
	out[len] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void write_one(void)
{
	log_notice("hello", "me", "said %d", 1);
}

static void test_stderr(void **state)
{
	char out[4096];

	(void)state;
	assert_int_equal(in_child(write_one, out, sizeof(out)), 0);
	assert_non_null(strstr(out, "Z notice holdfast hello me: said 1\n"));
}

static void break_it(void)
{
	volatile int one = 1;

	CHECK(one == 2);
}

static void test_check(void **state)
{
	char out[8192];
	int status = in_child(break_it, out, sizeof(out));

	(void)state;
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
	assert_non_null(strstr(out, "test_log.c:"));
	assert_non_null(strstr(out, "one == 2"));
}

static _Atomic unsigned counted;

static void count_line(const struct log_line *line, void *arg)
{
	(void)arg;
	if (strcmp(line->text, "from a thread") == 0) {
		atomic_fetch_add(&counted, 1);
	}
}

static void *write_many(void *arg)
{
	for (unsigned i = 0; i < 1000; i++) {
		log_info("x", NULL, "from %s", "a thread");
	}
	return arg;
}

static void test_threads(void **state)
{
	pthread_t threads[4];

	(void)state;
	log_set_sink(count_line, NULL);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, write_many, NULL), 0);
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(atomic_load(&counted), 4000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_line, reset),
		cmocka_unit_test_setup(test_level, reset),
		cmocka_unit_test_setup(test_journal, reset),
		cmocka_unit_test_setup(test_escapes, reset),
		cmocka_unit_test_setup(test_cut, reset),
		cmocka_unit_test_setup(test_format, reset),
		cmocka_unit_test_setup(test_errno, reset),
		cmocka_unit_test_setup(test_level_names, reset),
		cmocka_unit_test_setup(test_stderr, reset),
		cmocka_unit_test_setup(test_check, reset),
		cmocka_unit_test_setup(test_threads, reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
