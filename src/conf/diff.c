/* SPDX-License-Identifier: Apache-2.0 */
/* What changes between two configurations, option by option, and what each change touches. */
#include "base/check.h"
#include "conf/schema.h"

struct diff {
	struct buf *out;
	bool json;
	unsigned n;
	struct buf path; /* of what is compared now */
};

static void report(struct diff *d, const char *change, struct str from, struct str to,
                   enum redo redo)
{
	d->n++;
	if (d->json) {
		buf_adds(d->out, d->n > 1 ? ",\n  {\"path\": " : "\n  {\"path\": ");
		buf_json(d->out, buf_str(&d->path));
		buf_printf(d->out, ", \"change\": \"%s\"", change);
		if (from.s) {
			buf_adds(d->out, ", \"from\": ");
			buf_json(d->out, from);
		}
		if (to.s) {
			buf_adds(d->out, ", \"to\": ");
			buf_json(d->out, to);
		}
		buf_printf(d->out, ", \"touches\": \"%s\"}", redo_text(redo));
		return;
	}
	buf_addstr(d->out, buf_str(&d->path));
	if (from.s && to.s) {
		buf_printf(d->out, ": %.*s -> %.*s", STR_ARG(from), STR_ARG(to));
	} else {
		buf_printf(d->out, ": %s", change);
	}
	buf_printf(d->out, " (%s)\n", redo_text(redo));
}

/* Goes down to a member; returns what to give to leave(). */
static size_t enter(struct diff *d, struct str name)
{
	size_t before = d->path.len;

	buf_printf(&d->path, "%s%.*s", before ? "." : "", STR_ARG(name));
	return before;
}

static void leave(struct diff *d, size_t before)
{
	d->path.len = before;
}

static void print_value(const struct row *row, const void *object, bool exact, struct buf *out)
{
	struct emit e = { .b = out, .bare = true, .exact = exact };

	out->len = 0;
	row->type->print(row, object, &e);
}

static void diff_value(struct diff *d, const struct row *row, const void *a, const void *b)
{
	struct buf x = BUF_INIT, y = BUF_INIT;
	bool same;

	print_value(row, a, true, &x);
	print_value(row, b, true, &y);
	same = str_eq(buf_str(&x), buf_str(&y));
	if (!same) {
		print_value(row, a, false, &x);
		print_value(row, b, false, &y);
		if (str_eq(buf_str(&x), buf_str(&y))) { /* a secret, the contents of a file */
			report(d, "changed", STR_NONE, STR_NONE, row->redo);
		} else if (x.len == 0) {
			report(d, "set", STR("(not set)"), buf_str(&y), row->redo);
		} else if (y.len == 0) {
			report(d, "unset", buf_str(&x), STR("(not set)"), row->redo);
		} else {
			report(d, "changed", buf_str(&x), buf_str(&y), row->redo);
		}
	}
	buf_free(&x);
	buf_free(&y);
}

static void diff_rows(struct diff *d, const struct rows *rows, const void *a, const void *b);

/* Whether a group of that object is written in a short form, as `false` or not at all. */
static bool is_brief(const struct row *row, const void *object)
{
	struct buf b = BUF_INIT;
	struct emit e = { .b = &b, .bare = true };
	bool brief = row->sub->brief_print &&
	             row->sub->brief_print(str_from(row->name), ROW_CAT(char, row, object), &e);

	buf_free(&b);
	return brief;
}

static void diff_group(struct diff *d, const struct row *row, const void *a, const void *b)
{
	bool brief_a = is_brief(row, a), brief_b = is_brief(row, b);

	if (!brief_a && !brief_b) {
		diff_rows(d, row->sub, ROW_CAT(char, row, a), ROW_CAT(char, row, b));
	} else if (brief_a != brief_b) {
		/* its first row tells what the group as a whole touches */
		struct row whole = *row;
		const struct row *first = row->sub->v;

		while (first->flags & ROW_HIDDEN) {
			first++;
		}
		whole.redo = MAX(row->redo, first->redo);
		diff_value(d, &whole, a, b);
	}
}

/* Two sorted arrays of named things, side by side. */
static void diff_map(struct diff *d, const struct row *row, const void *a, const void *b)
{
	const char *x = *ROW_CAT(char *, row, a), *y = *ROW_CAT(char *, row, b);
	uint32_t nx = *ROW_CWITH(uint32_t, row, a), ny = *ROW_CWITH(uint32_t, row, b);
	size_t size = row->sub->size, before;

	while (nx || ny) {
		int order = nx == 0   ? 1
		            : ny == 0 ? -1
		                      : str_compare(*(const struct str *)x, *(const struct str *)y);

		before = enter(d, *(const struct str *)(order <= 0 ? x : y));
		if (order < 0) {
			report(d, "removed", STR_NONE, STR_NONE, row->redo);
		} else if (order > 0) {
			report(d, "added", STR_NONE, STR_NONE, row->redo);
		} else {
			diff_rows(d, row->sub, x, y);
		}
		leave(d, before);
		if (order <= 0) {
			x += size;
			nx--;
		}
		if (order >= 0) {
			y += size;
			ny--;
		}
	}
}

static void diff_rows(struct diff *d, const struct rows *rows, const void *a, const void *b)
{
	for (const struct row *r = rows->v; r->name; r++) {
		size_t before;

		if (r->flags & ROW_INLINE) {
			diff_rows(d, r->sub, ROW_CAT(char, r, a), ROW_CAT(char, r, b));
			continue;
		}
		before = enter(d, str_from(r->name));
		if (r->type == &type_map) {
			diff_map(d, r, a, b);
		} else if (r->type == &type_group) {
			diff_group(d, r, a, b);
		} else if (r->type->print) {
			diff_value(d, r, a, b);
		}
		leave(d, before);
	}
}

unsigned conf_diff(const struct conf *a, const struct conf *b, bool json, struct buf *out)
{
	struct diff d = { .out = out, .json = json };

	buf_adds(out, json ? "[" : "");
	diff_rows(&d, &schema_root, a, b);
	buf_adds(out, json ? (d.n ? "\n]\n" : "]\n") : "");
	buf_free(&d.path);
	return d.n;
}
