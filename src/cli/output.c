/* SPDX-License-Identifier: Apache-2.0 */
/* Tables, colours and numbers for people. */
#include "cli/output.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "base/check.h"
#include "base/clock.h"

static const char *const escapes[] = {
	[OUT_PLAIN] = "",         [OUT_DIM] = "\033[2m",     [OUT_BOLD] = "\033[1m",
	[OUT_GREEN] = "\033[32m", [OUT_YELLOW] = "\033[33m", [OUT_RED] = "\033[31m",
};

/* --- tables --------------------------------------------------------------------------------- */

void out_table_init(struct out_table *t, const char *const *heads)
{
	*t = (struct out_table){ .heads = heads };
	while (heads[t->columns] != NULL)
		t->columns++;
	CHECK(t->columns > 0 && t->columns <= OUT_COLUMNS);
}

void out_cell(struct out_table *t, enum out_colour colour, const char *fmt, ...)
{
	va_list ap;
	char *text = NULL;

	if (t->n == t->cap) {
		size_t cap = t->cap != 0 ? t->cap * 2 : 64;
		struct out_cell *cells = realloc(t->cells, cap * sizeof(*cells));

		if (cells == NULL) {
			t->failed = true;
			return;
		}
		t->cells = cells;
		t->cap = cap;
	}
	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	if (text == NULL) {
		t->failed = true;
		return;
	}
	for (char *p = text; *p != '\0'; p++) {
		if ((unsigned char)*p < ' ' || *p == 0x7f)
			*p = '?';
	}
	t->cells[t->n++] = (struct out_cell){ text, colour };
}

/* Characters, not bytes, of UTF-8 text. */
static unsigned characters(const char *s)
{
	unsigned n = 0;

	for (; *s != '\0'; s++) {
		if ((*s & 0xc0) != 0x80)
			n++;
	}
	return n;
}

static void widths(const struct out_table *t, unsigned width[OUT_COLUMNS])
{
	for (unsigned c = 0; c < t->columns; c++) {
		const char *head = t->heads[c] + (t->heads[c][0] == '>');

		width[c] = 0;
		for (size_t i = c; i < t->n; i += t->columns)
			width[c] = MAX(width[c], characters(t->cells[i].text));
		if (width[c] > 0)
			width[c] = MAX(width[c], characters(head));
	}
}

/* Appends at most max characters of text. Returns how many. */
static unsigned add_cut(struct buf *out, const char *text, unsigned max)
{
	unsigned n = 0;

	for (; *text != '\0'; text++) {
		if ((*text & 0xc0) != 0x80 && ++n > max)
			return max;
		buf_addc(out, *text);
	}
	return n;
}

static void add_spaces(struct buf *out, unsigned n)
{
	while (n-- > 0)
		buf_addc(out, ' ');
}

struct line {
	struct buf *out;
	unsigned at;      /* characters so far */
	unsigned max;     /* of the line */
	unsigned pending; /* blanks before the next text, not written at the line's end */
	bool colour;
};

static void line_cell(struct line *l, const char *text, bool right, unsigned width,
                      enum out_colour c)
{
	unsigned n = characters(text);
	unsigned pad = width > n ? width - n : 0;
	bool paint = l->colour && c != OUT_PLAIN && n > 0;

	if (right)
		l->pending += pad;
	if (n > 0 && l->at + l->pending < l->max) {
		add_spaces(l->out, l->pending);
		l->at += l->pending;
		l->pending = 0;
		if (paint)
			buf_adds(l->out, escapes[c]);
		l->at += add_cut(l->out, text, l->max - l->at);
		if (paint)
			buf_adds(l->out, "\033[0m");
	}
	l->pending += (right ? 0 : pad) + 2;
}

void out_table_write(struct out_table *t, bool colour, unsigned width, struct buf *out)
{
	unsigned w[OUT_COLUMNS];
	struct line l = { out, 0, width != 0 ? width : ~0U, 2, colour };

	CHECK(t->columns > 0);
	widths(t, w);
	for (unsigned c = 0; c < t->columns && t->n > 0; c++) {
		bool right = t->heads[c][0] == '>';

		if (w[c] > 0)
			line_cell(&l, t->heads[c] + right, right, w[c], OUT_DIM);
	}
	for (size_t i = 0; i < t->n; i++) {
		unsigned c = (unsigned)(i % t->columns);

		if (c == 0) {
			buf_addc(out, '\n');
			l.at = 0;
			l.pending = 2;
		}
		if (w[c] > 0)
			line_cell(&l, t->cells[i].text, t->heads[c][0] == '>', w[c],
			          t->cells[i].colour);
	}
	if (t->n > 0)
		buf_addc(out, '\n');
	for (size_t i = 0; i < t->n; i++)
		free(t->cells[i].text);
	free(t->cells);
	if (t->failed)
		out->failed = true;
	*t = (struct out_table){ 0 };
}

/* --- words ---------------------------------------------------------------------------------- */

void out_text(struct buf *out, bool colour, enum out_colour c, const char *text)
{
	if (colour && c != OUT_PLAIN)
		buf_printf(out, "%s%s\033[0m", escapes[c], text);
	else
		buf_adds(out, text);
}

const char *out_number(double n, char out[16])
{
	static const char units[] = "kMGTP";
	int unit = -1;

	while (n >= 999.5 && unit < 4) {
		n /= 1000;
		unit++;
	}
	if (unit < 0)
		snprintf(out, 16, n < 9.95 && n > 0 && n != (int)n ? "%.1f" : "%.0f", n);
	else
		snprintf(out, 16, n < 99.95 ? "%.1f%c" : "%.0f%c", n, units[unit]);
	return out;
}

const char *out_latency(double us, char out[16])
{
	if (us <= 0)
		snprintf(out, 16, "-");
	else if (us < 1000)
		snprintf(out, 16, "%.0fus", us);
	else if (us < 100e3)
		snprintf(out, 16, "%.1fms", us / 1e3);
	else if (us < 1e6)
		snprintf(out, 16, "%.0fms", us / 1e3);
	else
		snprintf(out, 16, "%.2fs", us / 1e6);
	return out;
}

const char *out_ago(uint64_t then_ms, uint64_t now_ms, char out[32])
{
	if (then_ms == 0)
		out[0] = '\0';
	else
		clock_format_span(now_ms > then_ms ? (now_ms - then_ms) * NS_PER_MS : 0, out);
	return out;
}

unsigned out_terminal(int fd, unsigned *rows)
{
	struct winsize ws;

	if (ioctl(fd, TIOCGWINSZ, &ws) != 0 || ws.ws_col == 0)
		return 0;
	if (rows != NULL)
		*rows = ws.ws_row;
	return ws.ws_col;
}
