/* SPDX-License-Identifier: Apache-2.0 */
/* Types of words: choices, switches. */
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/value.h"
#include "conf/walk.h"

static unsigned choices(const struct row *row)
{
	unsigned n = 0;

	while (row->choices[n]) {
		n++;
	}
	return n;
}

/* The place of the chosen word; -1: refused. */
static int choose(struct load *l, const struct row *row, const struct node *n)
{
	char hint[128], message[256];
	struct str text;
	struct guess g;
	size_t used;

	if (!load_text(l, row, n, &text)) {
		return -1;
	}
	guess_init(&g, text);
	for (int i = 0; row->choices[i]; i++) {
		if (str_eq(text, str_from(row->choices[i]))) {
			return i;
		}
		guess_try(&g, str_from(row->choices[i]));
	}
	if (row->later && str_eq(text, str_from(row->later))) {
		load_refuse(l, row, n, text, "is not supported by this version");
		return -1;
	}
	used = (size_t)snprintf(message, sizeof(message), "is not one of ");
	for (unsigned i = 0; row->choices[i]; i++) {
		used += (size_t)snprintf(message + used, sizeof(message) - used, "%s%s",
		                         i ? ", " : "", row->choices[i]);
		CHECK(used < sizeof(message));
	}
	snprintf(message + used, sizeof(message) - used, "%s", guess_text(&g, hint));
	load_refuse(l, row, n, text, message);
	return -1;
}

static void choice_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	int i = choose(l, row, n);

	if (i >= 0) {
		*ROW_AT(uint32_t, row, object) = (uint32_t)i;
	}
}

static void choice_print(const struct row *row, const void *object, struct emit *o)
{
	uint32_t i = *ROW_CAT(uint32_t, row, object);

	CHECK(i < choices(row));
	emit_text(o, row->name, str_from(row->choices[i]));
}

static void choice_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"anyOf\": [{\"enum\": [");
	for (unsigned i = 0; row->choices[i]; i++) {
		buf_printf(out, "%s\"%s\"", i ? ", " : "", row->choices[i]);
	}
	buf_adds(out, "]}, {\"$ref\": \"#/definitions/variable\"}]");
}

static void choice_walk(const struct row *row, void *object, struct walk *w)
{
	walk_check(w, *ROW_CAT(uint32_t, row, object) < choices(row));
}

const struct row_type type_choice = { "a word", choice_read, choice_print, choice_schema,
	                              choice_walk };

static void word_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	int i = choose(l, row, n);

	if (i >= 0) {
		*ROW_AT(struct str, row, object) = str_from(row->choices[i]);
	}
}

static void word_print(const struct row *row, const void *object, struct emit *o)
{
	emit_text(o, row->name, *ROW_CAT(struct str, row, object));
}

static void word_walk(const struct row *row, void *object, struct walk *w)
{
	struct str *s = ROW_AT(struct str, row, object);
	bool known = false;

	walk_str(w, s);
	for (unsigned i = 0; walk_foreign(w) && s->s && row->choices[i]; i++) {
		known = known || str_eq(*s, str_from(row->choices[i]));
	}
	walk_check(w, known || !walk_foreign(w));
}

const struct row_type type_word = { "a word", word_read, word_print, choice_schema, word_walk };

static void bool_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	const char *why = "";
	struct str text;

	if (load_text(l, row, n, &text) &&
	    value_bool(text, ROW_AT(bool, row, object), &why) != OK) {
		load_refuse(l, row, n, text, why);
	}
}

static void bool_print(const struct row *row, const void *object, struct emit *o)
{
	emit_literal(o, row->name, *ROW_CAT(bool, row, object) ? "true" : "false");
}

static void bool_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"anyOf\": [{\"type\": \"boolean\"}, {\"enum\": [\"on\", \"off\", \"yes\", "
	              "\"no\"]}, {\"$ref\": \"#/definitions/variable\"}]");
}

static void bool_walk(const struct row *row, void *object, struct walk *w)
{
	walk_check(w, *ROW_CAT(uint8_t, row, object) <= 1);
}

const struct row_type type_bool = { "true or false", bool_read, bool_print, bool_schema,
	                            bool_walk };
const struct row_type type_derived_bool = { "", NULL, NULL, NULL, bool_walk };

/* A bool that the file says in words: choices[0] is false, choices[1] true. */
static void either_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	int i = choose(l, row, n);

	if (i >= 0) {
		*ROW_AT(bool, row, object) = i == 1;
	}
}

static void either_print(const struct row *row, const void *object, struct emit *o)
{
	emit_text(o, row->name, str_from(row->choices[*ROW_CAT(bool, row, object)]));
}

const struct row_type type_either = { "a word", either_read, either_print, choice_schema,
	                              bool_walk };
