/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One log line for one event, with its reason. The layer that knows the object logs, once.
 *
 * A line has a level, an area (the role or part: "proxy", "check"), an event name that programs may
 * match ("server_down"), the object it is about ("web/web1", may be NULL) and a sentence for
 * people that says why. Sinks (stderr as text or JSON lines, journald, syslog) and the event ring
 * are set up by core. Never on the hot path.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_NOTICE,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG
};

struct log_line {
	uint64_t wall_ms;
	enum log_level level;
	const char *area;
	const char *event;
	const char *object; /* may be NULL */
	const char *text;
};

/* Lines at or above the level go to the sink; thread-safe once set. */
typedef void log_sink(const struct log_line *line, void *arg);

/* NULL: log_sink_stderr. */
void log_set_sink(log_sink *sink, void *arg);
/* A second receiver that gets every line of level NOTICE and above (the event ring). */
void log_set_journal(log_sink *journal, void *arg);
void log_set_level(enum log_level level);
void log_set_area(const char *area); /* static string: the role's name */
bool log_enabled(enum log_level level);
const char *log_level_name(enum log_level level); /* "error", … */

#define LOG_LINE_MAX 2200 /* bytes of the longest line of text, its newline and NUL included */

/* The line as text, "TIME LEVEL AREA EVENT OBJECT: TEXT\n", cut to size. Returns its length. */
size_t log_format(const struct log_line *line, char *out, size_t size);
/* The sink until another is set: that text to stderr, one write a line. arg is not used. */
void log_sink_stderr(const struct log_line *line, void *arg);

/* Formats and hands out one line. Control bytes in the object and the text are escaped, what is
 * longer than about 1,600 bytes is cut. Keeps errno, so that "%m" and later code see it. */
void log_write(enum log_level level, const char *event, const char *object, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...)  log_write(LOG_LEVEL_NOTICE, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) \
	do { \
		if (log_enabled(LOG_LEVEL_DEBUG)) \
			log_write(LOG_LEVEL_DEBUG, __VA_ARGS__); \
	} while (0)

#endif
