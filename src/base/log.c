/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Formatting and handing out log lines. The receivers are process-wide and set while the process
 * starts, before its threads; the level may change at any time. Any thread may write.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

#define TEXT_MAX   1600
#define OBJECT_MAX 256

static struct {
	log_sink *sink;
	void *sink_arg;
	log_sink *journal;
	void *journal_arg;
	const char *area;
	_Atomic int level;
} receivers = { .sink = log_sink_stderr, .area = "holdfast", .level = LOG_LEVEL_INFO };

void log_set_sink(log_sink *sink, void *arg)
{
	receivers.sink = sink != NULL ? sink : log_sink_stderr;
	receivers.sink_arg = arg;
}

void log_set_journal(log_sink *journal, void *arg)
{
	receivers.journal = journal;
	receivers.journal_arg = arg;
}

void log_set_level(enum log_level level)
{
	atomic_store_explicit(&receivers.level, (int)level, memory_order_relaxed);
}

void log_set_area(const char *area)
{
	receivers.area = area;
}

bool log_enabled(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&receivers.level, memory_order_relaxed);
}

const char *log_level_name(enum log_level level)
{
	static const char *const names[] = { "error", "warning", "notice", "info", "debug" };

	return (unsigned)level < ARRAY_LEN(names) ? names[level] : "unknown";
}

/*
 * Copies text that may hold what a stranger sent: a control byte becomes \n, \t or \xNN, so that
 * nobody can forge a line or steer a terminal. What does not fit ends in "...".
 */
static void escape(char *out, size_t size, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (const unsigned char *p = (const unsigned char *)text; *p != '\0'; p++) {
		if (n + 8 > size) { /* the longest escape, "..." and NUL */
			memcpy(out + n, "...", 3);
			n += 3;
			break;
		}
		if (*p >= 0x20 && *p != 0x7f) {
			out[n++] = (char)*p;
			continue;
		}
		out[n++] = '\\';
		if (*p == '\n' || *p == '\t') {
			out[n++] = *p == '\n' ? 'n' : 't';
		} else {
			out[n++] = 'x';
			out[n++] = hex[*p >> 4];
			out[n++] = hex[*p & 15];
		}
	}
	out[n] = '\0';
}

void log_write(enum log_level level, const char *event, const char *object, const char *fmt, ...)
{
	bool to_sink = log_enabled(level);
	bool to_journal = receivers.journal != NULL && level <= LOG_LEVEL_NOTICE;
	char raw[TEXT_MAX], text[TEXT_MAX], about[OBJECT_MAX];
	struct log_line line = { .level = level, .area = receivers.area, .event = event };
	int saved = errno;
	va_list ap;

	if (!to_sink && !to_journal) {
		return;
	}
	va_start(ap, fmt);
	if (vsnprintf(raw, sizeof(raw), fmt, ap) < 0) {
		raw[0] = '\0';
	}
	va_end(ap);
	escape(text, sizeof(text), raw);
	line.text = text;
	if (object != NULL) {
		escape(about, sizeof(about), object);
		line.object = about;
	}
	line.wall_ms = clock_wall_ms();
	if (to_sink) {
		receivers.sink(&line, receivers.sink_arg);
	}
	if (to_journal) {
		receivers.journal(&line, receivers.journal_arg);
	}
	errno = saved;
}

size_t log_format(const struct log_line *line, char *out, size_t size)
{
	char when[32];
	int n;

	clock_format_utc(line->wall_ms, when);
	n = snprintf(out, size, "%s %s %s %s%s%s: %s\n", when, log_level_name(line->level),
	             line->area, line->event, line->object != NULL ? " " : "",
	             line->object != NULL ? line->object : "", line->text);
	if (n < 0) {
		return 0;
	}
	if ((size_t)n >= size) {
		n = (int)size - 1;
		out[n - 1] = '\n';
	}
	return (size_t)n;
}

void log_sink_stderr(const struct log_line *line, void *arg)
{
	char out[LOG_LINE_MAX];
	size_t len = log_format(line, out, sizeof(out));
	ssize_t n;

	(void)arg;
	do { /* one write for one line: lines of several threads and processes do not mix */
		n = write(STDERR_FILENO, out, len);
	} while (n < 0 && errno == EINTR);
}
