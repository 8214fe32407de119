/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log sinks of a process. A sink is set on the main thread and then used by every thread: it is
 * immutable, and one write or datagram is one line. A replaced sink is kept, because another thread
 * may just be using it; they are few.
 */
#include "core/logsink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"

enum target { TARGET_TEXT, TARGET_COLOUR, TARGET_JSON, TARGET_JOURNALD, TARGET_SYSLOG };

struct logsink {
	enum target target;
	int fd; /* stderr or a datagram socket */
};

static struct logsink *current; /* of the process; replaced on the main thread only */

static const int syslog_priority[] = { 3, 4, 5, 6, 7 }; /* by enum log_level, RFC 5424 6.2.1 */

void logsink_text(const struct log_line *line, bool colour, struct buf *out)
{
	static const char *const colours[] = { "\033[1;31m", "\033[33m", "\033[1m", "", "\033[2m" };
	char when[32];

	clock_format_utc(line->wall_ms, when);
	buf_printf(out, "%s %s%-7s%s %s %s", when, colour ? colours[line->level] : "",
	           log_level_name(line->level), colour ? "\033[0m" : "", line->area, line->event);
	if (line->object)
		buf_printf(out, " %s", line->object);
	buf_printf(out, ": %s\n", line->text);
}

static void json_field(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, ",\"%s\":", name);
	buf_json(out, str_from(value));
}

void logsink_json(const struct log_line *line, struct buf *out)
{
	char when[32];

	clock_format_utc(line->wall_ms, when);
	buf_printf(out, "{\"time\":\"%s\"", when);
	json_field(out, "level", log_level_name(line->level));
	json_field(out, "area", line->area);
	json_field(out, "event", line->event);
	if (line->object)
		json_field(out, "object", line->object);
	json_field(out, "text", line->text);
	buf_adds(out, "}\n");
}

/* A field of the native protocol; text with a line break needs the form with a length. */
static void journal_field(struct buf *out, const char *name, const char *value)
{
	uint64_t len = strlen(value);

	if (!strchr(value, '\n')) {
		buf_printf(out, "%s=%s\n", name, value);
		return;
	}
	buf_printf(out, "%s\n", name);
	for (unsigned i = 0; i < 8; i++)
		buf_addc(out, (char)(len >> (8 * i) & 0xff));
	buf_adds(out, value);
	buf_addc(out, '\n');
}

void logsink_journal(const struct log_line *line, struct buf *out)
{
	struct buf message = BUF_INIT;

	if (line->object)
		buf_printf(&message, "%s: ", line->object);
	buf_adds(&message, line->text);
	journal_field(out, "MESSAGE", buf_cstr(&message));
	buf_free(&message);
	buf_printf(out, "PRIORITY=%d\nSYSLOG_IDENTIFIER=holdfast\n", syslog_priority[line->level]);
	journal_field(out, "HOLDFAST_AREA", line->area);
	journal_field(out, "HOLDFAST_EVENT", line->event);
	if (line->object)
		journal_field(out, "HOLDFAST_OBJECT", line->object);
}

void logsink_syslog(const struct log_line *line, int pid, struct buf *out)
{
	/* Facility 3: daemon. The local socket takes the time itself. */
	buf_printf(out, "<%d>holdfast[%d]: %s %s", 3 * 8 + syslog_priority[line->level], pid,
	           line->area, line->event);
	if (line->object)
		buf_printf(out, " %s", line->object);
	buf_printf(out, ": %s", line->text);
}

static void write_all(int fd, const struct buf *b)
{
	size_t done = 0;
	ssize_t n;

	while (done < b->len) {
		n = write(fd, b->p + done, b->len - done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return; /* nobody can be told */
		done += (size_t)n;
	}
}

static void sink(const struct log_line *line, void *arg)
{
	const struct logsink *s = arg;
	struct buf b = BUF_INIT;

	switch (s->target) {
	case TARGET_TEXT:
	case TARGET_COLOUR:
		logsink_text(line, s->target == TARGET_COLOUR, &b);
		break;
	case TARGET_JSON:
		logsink_json(line, &b);
		break;
	case TARGET_JOURNALD:
		logsink_journal(line, &b);
		break;
	case TARGET_SYSLOG:
		logsink_syslog(line, (int)getpid(), &b);
		break;
	}
	if (b.failed) {
		buf_free(&b);
		return;
	}
	if (s->fd == STDERR_FILENO) {
		write_all(s->fd, &b);
	} else if (send(s->fd, b.p, b.len, MSG_NOSIGNAL | MSG_DONTWAIT) < 0) {
		/* The daemon is away or full: the line must not be lost in silence. */
		b.len = 0;
		logsink_text(line, false, &b);
		write_all(STDERR_FILENO, &b);
	}
	buf_free(&b);
}

static void use(enum target target, int fd)
{
	struct logsink *s = malloc(sizeof(*s));

	if (!s)
		return; /* the present one stays */
	s->target = target;
	s->fd = fd;
	current = s;
	log_set_sink(sink, s);
}

static enum target for_stderr(struct str format)
{
	const char *no_colour = getenv("NO_COLOR");
	bool colour = isatty(STDERR_FILENO) && (!no_colour || !*no_colour);

	if (str_eq(format, STR("json")))
		return TARGET_JSON;
	if (str_eq(format, STR("text")) || isatty(STDERR_FILENO))
		return colour ? TARGET_COLOUR : TARGET_TEXT;
	return TARGET_JSON;
}

void logsink_default(void)
{
	use(for_stderr(STR("auto")), STDERR_FILENO);
}

static int connect_datagram(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0)
		return fd;
	close(fd);
	return -1;
}

void logsink_apply(const struct conf *c)
{
	enum target target = for_stderr(c->log.format);
	const char *path = NULL;
	int fd = STDERR_FILENO;

	log_set_level((enum log_level)c->log.level);
	if (str_eq(c->log.to, STR("journald"))) {
		target = TARGET_JOURNALD;
		path = "/run/systemd/journal/socket";
	} else if (str_eq(c->log.to, STR("syslog"))) {
		target = TARGET_SYSLOG;
		path = "/dev/log";
	}
	if (current && current->target == target)
		return;
	if (path)
		fd = connect_datagram(path);
	if (fd < 0) {
		log_warning("log_target", path, "cannot log there: %s; logging to stderr",
		            strerror(errno));
		target = for_stderr(c->log.format);
		fd = STDERR_FILENO;
	}
	use(target, fd);
}
