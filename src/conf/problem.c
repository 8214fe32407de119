/* SPDX-License-Identifier: Apache-2.0 */
/* Problems of a configuration: collecting, sorting, printing with the source line and a caret. */
#include "conf/problem.h"

#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/check.h"

#define SHOWN_COLUMNS 120 /* of a source line */

void problem_add(struct problem_list *l, enum severity severity, struct place at, const char *fmt,
                 ...)
{
	uint32_t *count = severity == SEVERITY_ERROR ? &l->errors : &l->warnings;
	struct buf text = BUF_INIT;
	va_list ap;

	if (++*count > PROBLEM_MAX_KEPT) {
		return;
	}
	if (l->n == l->cap) {
		uint32_t cap = l->cap ? l->cap * 2 : 32;
		struct problem *v = realloc(l->v, cap * sizeof(*v));

		if (!v) {
			return;
		}
		l->v = v;
		l->cap = cap;
	}
	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	l->v[l->n] = (struct problem){ .at = at,
		                       .severity = severity,
		                       .order = l->n,
		                       .text = arena_str(&l->arena, buf_str(&text)).s };
	buf_free(&text);
	if (l->v[l->n].text) {
		l->n++;
	}
}

static int compare(const void *pa, const void *pb)
{
	const struct problem *a = pa, *b = pb;

	if (a->at.file != b->at.file) {
		return a->at.file < b->at.file ? -1 : 1;
	}
	if (a->at.line != b->at.line) {
		return a->at.line < b->at.line ? -1 : 1;
	}
	if (a->at.column != b->at.column) {
		return a->at.column < b->at.column ? -1 : 1;
	}
	return a->order < b->order ? -1 : a->order > b->order;
}

/* Where a sorted run of problems has got to in its file, so that all lines cost one pass. */
struct cursor {
	uint32_t file;
	uint32_t line;
	struct str rest;
};

static struct str source_line(const struct problem_list *l, struct cursor *c, struct place at)
{
	struct str line;
	size_t n;

	if (c->file != at.file || c->line > at.line) {
		*c = (struct cursor){ at.file, 1, l->files[at.file].text };
	}
	for (;; c->line++) {
		for (n = 0; n < c->rest.len && c->rest.s[n] != '\n' && c->rest.s[n] != '\r';) {
			n++;
		}
		line = str_n(c->rest.s, n);
		if (c->line == at.line || n == c->rest.len) {
			return c->line == at.line ? line : STR_NONE;
		}
		n +=
		    c->rest.s[n] == '\r' && n + 1 < c->rest.len && c->rest.s[n + 1] == '\n' ? 2 : 1;
		c->rest = str_n(c->rest.s + n, c->rest.len - n);
	}
}

/* Bytes of the UTF-8 character at that place; 0 where there is none. */
static size_t char_len(struct str s, size_t at)
{
	unsigned char lead = (unsigned char)s.s[at];
	size_t want = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;

	for (size_t n = 1; n < want; n++) {
		if (at + n >= s.len || ((unsigned char)s.s[at + n] & 0xc0) != 0x80) {
			return 0;
		}
	}
	return lead < 0xf5 ? want : 0;
}

/* A window of the line around the column, control bytes made harmless. */
static void print_line(struct buf *out, struct str line, struct place at, bool colour)
{
	uint32_t from = at.column > SHOWN_COLUMNS - 20 ? at.column - SHOWN_COLUMNS / 2 : 1;
	uint32_t column = 1, width = MAX(at.width, 1);
	size_t i, n;

	buf_printf(out, "%5u | %s", at.line, from > 1 ? "…" : "");
	for (i = 0; i < line.len && column < from + SHOWN_COLUMNS; i += MAX(n, 1), column++) {
		n = char_len(line, i);
		if (column < from) {
			continue;
		}
		if (n == 0 || (unsigned char)line.s[i] < 0x20 || line.s[i] == 0x7f ||
		    (n == 2 && (unsigned char)line.s[i] == 0xc2 &&
		     (unsigned char)line.s[i + 1] < 0xa0)) {
			buf_addc(out, line.s[i] == '\t' ? ' ' : '?');
		} else {
			buf_add(out, line.s + i, n);
		}
	}
	buf_printf(out, "%s\n      | %s", i < line.len ? "…" : "", from > 1 ? " " : "");
	for (column = from; column < at.column; column++) {
		buf_addc(out, ' ');
	}
	width = MIN(width, SHOWN_COLUMNS - (at.column - from));
	buf_adds(out, colour ? "\033[1;32m^" : "^");
	while (--width > 0) {
		buf_addc(out, '~');
	}
	buf_adds(out, colour ? "\033[0m\n" : "\n");
}

static void print_one(const struct problem_list *l, const struct problem *p, struct cursor *c,
                      bool colour, struct buf *out)
{
	bool error = p->severity == SEVERITY_ERROR;
	struct str line;

	buf_adds(out, colour ? "\033[1m" : "");
	buf_adds(out, p->at.file < l->nfiles ? l->files[p->at.file].path : "(no file)");
	if (p->at.line) {
		buf_printf(out, ":%u:%u", p->at.line, MAX(p->at.column, 1));
	}
	buf_printf(out, ": %s%s:%s ", colour ? (error ? "\033[31m" : "\033[35m") : "",
	           error ? "error" : "warning", colour ? "\033[0m" : "");
	buf_printf(out, "%s\n", p->text);
	if (p->at.line && p->at.file < l->nfiles) {
		line = source_line(l, c, p->at);
		if (line.s) {
			print_line(out, line, p->at, colour);
		}
	}
}

void problem_print(struct problem_list *l, bool colour, struct buf *out)
{
	struct cursor cursor = { UINT32_MAX, 1, STR_NONE };
	uint32_t shown[2] = { 0, 0 };

	if (l->n) {
		qsort(l->v, l->n, sizeof(*l->v), compare);
	}
	for (uint32_t i = 0; i < l->n; i++) {
		if (shown[l->v[i].severity] < PROBLEM_MAX_SHOWN) {
			shown[l->v[i].severity]++;
			print_one(l, &l->v[i], &cursor, colour, out);
		}
	}
	if (l->errors > shown[SEVERITY_ERROR]) {
		buf_printf(out, "and %u more errors\n", l->errors - shown[SEVERITY_ERROR]);
	}
	if (l->warnings > shown[SEVERITY_WARNING]) {
		buf_printf(out, "and %u more warnings\n", l->warnings - shown[SEVERITY_WARNING]);
	}
}

void problem_free(struct problem_list *l)
{
	free(l->v);
	arena_free(&l->arena);
}

void guess_init(struct guess *g, struct str word)
{
	*g = (struct guess){ word, STR_NONE, UINT_MAX };
}

/* Whether two neighbours changed places, which fingers do most. */
static bool is_swapped(struct str a, struct str b)
{
	size_t i = 0;

	while (i < a.len && a.len == b.len && a.s[i] == b.s[i]) {
		i++;
	}
	return a.len == b.len && i + 1 < a.len && a.s[i] == b.s[i + 1] && a.s[i + 1] == b.s[i] &&
	       memcmp(a.s + i + 2, b.s + i + 2, a.len - i - 2) == 0;
}

void guess_try(struct guess *g, struct str candidate)
{
	unsigned d = is_swapped(g->word, candidate) ? 1 : str_distance(g->word, candidate);

	if (d < g->distance) {
		g->distance = d;
		g->best = candidate;
	}
}

const char *guess_text(const struct guess *g, char out[128])
{
	struct buf b = BUF_INIT;

	out[0] = '\0';
	if (g->best.s && g->distance <= MAX(1, MIN(g->word.len, g->best.len) / 3) &&
	    g->best.len < 80) {
		buf_printf(&b, "; did you mean \"%.*s\"?", STR_ARG(g->best));
		memcpy(out, buf_cstr(&b), MIN(b.len + 1, 127));
		out[127] = '\0';
		buf_free(&b);
	}
	return out;
}
