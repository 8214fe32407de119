/* SPDX-License-Identifier: Apache-2.0 */
/* Types of numbers: counts, percentages, durations, sizes, modes, shares. */
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/value.h"
#include "conf/walk.h"

typedef int parse_fn(struct str text, uint64_t *ret, const char **ret_why);
typedef void format_fn(uint64_t v, char out[32]);

static uint64_t number_get(const struct row *row, const void *object)
{
	return row->flags & ROW_WIDE ? *ROW_CAT(uint64_t, row, object)
	                             : *ROW_CAT(uint32_t, row, object);
}

static void number_set(const struct row *row, void *object, uint64_t v)
{
	if (row->flags & ROW_WIDE) {
		*ROW_AT(uint64_t, row, object) = v;
	} else {
		*ROW_AT(uint32_t, row, object) = (uint32_t)v;
	}
}

static void number_read(struct load *l, const struct row *row, const struct node *n, void *object,
                        parse_fn *parse, format_fn *format)
{
	char low[32], high[32], message[128];
	const char *why = "";
	struct str text;
	uint64_t v;

	if (!load_text(l, row, n, &text)) {
		return;
	}
	if (row->zero && str_eq(text, str_from(row->zero))) {
		number_set(row, object, 0);
		return;
	}
	if (row->flags & ROW_UNSET && str_eq(text, str_from(row->def))) {
		number_set(row, object, UINT64_MAX);
		return;
	}
	if (parse(text, &v, &why) != OK) {
		load_refuse(l, row, n, text, why);
		return;
	}
	if ((v < row->min || v > row->max) && !(v == 0 && row->zero)) {
		format(row->min, low);
		format(row->max, high);
		snprintf(message, sizeof(message), "is out of bounds: %s to %s%s%s", low, high,
		         row->zero ? ", or " : "", row->zero ? row->zero : "");
		load_refuse(l, row, n, text, message);
		return;
	}
	number_set(row, object, v);
}

static bool number_zero(const struct row *row, const void *object, struct emit *o)
{
	if (row->flags & ROW_UNSET && number_get(row, object) == UINT64_MAX) {
		return true;
	}
	if (number_get(row, object) != 0) {
		return false;
	}
	if (row->flags & ROW_OPTIONAL) {
		return true;
	}
	if (row->zero) {
		emit_word(o, row->name, row->zero);
	}
	return row->zero != NULL;
}

static void number_walk(const struct row *row, void *object, struct walk *w)
{
	uint64_t v = number_get(row, object);

	walk_check(w, (v >= row->min && v <= row->max) ||
	                  (v == 0 && (row->zero || row->flags & ROW_OPTIONAL)) ||
	                  (v == UINT64_MAX && row->flags & ROW_UNSET));
}

static int count_parse(struct str text, uint64_t *ret, const char **ret_why)
{
	int err = str_to_u64(text, UINT64_MAX / 2, ret);

	if (err == ERR_TOO_LARGE) {
		*ret = UINT64_MAX; /* refused by the bounds */
		return OK;
	}
	*ret_why = "is not a whole number";
	return err;
}

static void count_format(uint64_t v, char out[32])
{
	snprintf(out, 32, "%llu", (unsigned long long)v);
}

static void count_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	number_read(l, row, n, object, count_parse, count_format);
}

static void count_print(const struct row *row, const void *object, struct emit *o)
{
	if (!number_zero(row, object, o)) {
		emit_count(o, row->name, number_get(row, object));
	}
}

static void count_schema(const struct row *row, struct buf *out)
{
	buf_printf(out,
	           "\"anyOf\": [{\"type\": \"integer\", \"minimum\": %llu, \"maximum\": %llu}, ",
	           (unsigned long long)row->min, (unsigned long long)row->max);
	if (row->zero) {
		buf_printf(out, "{\"const\": \"%s\"}, {\"const\": 0}, ", row->zero);
	}
	if (row->flags & ROW_UNSET) {
		buf_printf(out, "{\"const\": \"%s\"}, ", row->def);
	}
	buf_adds(out, "{\"$ref\": \"#/definitions/variable\"}]");
}

const struct row_type type_count = { "a number", count_read, count_print, count_schema,
	                             number_walk };

static void percent_format(uint64_t v, char out[32])
{
	snprintf(out, 32, "%llu%%", (unsigned long long)v);
}

static void percent_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	number_read(l, row, n, object, value_percent, percent_format);
}

static void percent_print(const struct row *row, const void *object, struct emit *o)
{
	char text[32];

	percent_format(number_get(row, object), text);
	emit_word(o, row->name, text);
}

static void percent_schema(const struct row *row, struct buf *out)
{
	buf_printf(out,
	           "\"anyOf\": [{\"type\": \"integer\", \"minimum\": %llu, \"maximum\": %llu}, "
	           "{\"type\": \"string\", \"pattern\": \"^[0-9]{1,3}%%$\"}, "
	           "{\"$ref\": \"#/definitions/variable\"}]",
	           (unsigned long long)row->min, (unsigned long long)row->max);
}

const struct row_type type_percent = { "a percentage", percent_read, percent_print, percent_schema,
	                               number_walk };

static void duration_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	number_read(l, row, n, object, value_duration, clock_format_conf);
}

static void duration_print(const struct row *row, const void *object, struct emit *o)
{
	char text[32];

	if (!number_zero(row, object, o)) {
		clock_format_conf(number_get(row, object), text);
		emit_word(o, row->name, text);
	}
}

static void unit_schema(const struct row *row, const char *definition, struct buf *out)
{
	buf_printf(out, "\"anyOf\": [{\"$ref\": \"#/definitions/%s\"}, ", definition);
	if (row->zero || row->min == 0) {
		buf_adds(out, "{\"const\": 0}, ");
	}
	if (row->zero && strcmp(row->zero, "off") == 0) { /* as YAML 1.1 reads it */
		buf_adds(out, "{\"const\": false}, ");
	}
	if (row->zero || row->flags & ROW_UNSET) {
		buf_printf(out, "{\"const\": \"%s\"}, ", row->zero ? row->zero : row->def);
	}
	buf_adds(out, "{\"$ref\": \"#/definitions/variable\"}]");
}

static void duration_schema(const struct row *row, struct buf *out)
{
	unit_schema(row, "duration", out);
}

const struct row_type type_duration = { "a duration", duration_read, duration_print,
	                                duration_schema, number_walk };

static void size_format(uint64_t v, char out[32])
{
	value_size_format(v, out);
}

static void size_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	number_read(l, row, n, object, value_size, size_format);
}

static void size_print(const struct row *row, const void *object, struct emit *o)
{
	char text[32];

	if (!number_zero(row, object, o)) {
		emit_word(o, row->name, value_size_format(number_get(row, object), text));
	}
}

static void size_schema(const struct row *row, struct buf *out)
{
	unit_schema(row, "size", out);
}

const struct row_type type_size = { "a size", size_read, size_print, size_schema, number_walk };

static void mode_format(uint64_t v, char out[32])
{
	snprintf(out, 32, "0%03o", (unsigned)(v & 0777));
}

static void mode_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	number_read(l, row, n, object, value_mode, mode_format);
}

static void mode_print(const struct row *row, const void *object, struct emit *o)
{
	char text[32];

	mode_format(number_get(row, object), text);
	emit_text(o, row->name, str_from(text));
}

static void mode_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"anyOf\": [{\"type\": \"integer\", \"minimum\": 0, \"maximum\": 777}, "
	              "{\"type\": \"string\", \"pattern\": \"^[0-7]{1,5}$\"}, "
	              "{\"$ref\": \"#/definitions/variable\"}]");
}

const struct row_type type_mode = { "a file mode", mode_read, mode_print, mode_schema,
	                            number_walk };

const struct row_type type_derived_count = { "", NULL, NULL, NULL, number_walk };

/* An int32_t of which -1 means "as the pool says"; row->def is the word for it. */
static void retries_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	struct row number = *row;
	uint32_t v = UINT32_MAX;

	if (n->kind == NODE_TEXT && str_eq(n->text, str_from(row->def))) {
		*ROW_AT(int32_t, row, object) = -1;
		return;
	}
	number.offset = 0;
	number_read(l, &number, n, &v, count_parse, count_format);
	if (v != UINT32_MAX) {
		*ROW_AT(int32_t, row, object) = (int32_t)v;
	}
}

static void retries_schema(const struct row *row, struct buf *out)
{
	buf_printf(out,
	           "\"anyOf\": [{\"type\": \"integer\", \"minimum\": 0, \"maximum\": %llu}, "
	           "{\"const\": \"%s\"}, {\"$ref\": \"#/definitions/variable\"}]",
	           (unsigned long long)row->max, row->def);
}

static void retries_print(const struct row *row, const void *object, struct emit *o)
{
	int32_t v = *ROW_CAT(int32_t, row, object);

	if (v >= 0) {
		emit_count(o, row->name, (uint64_t)v);
	}
}

static void retries_walk(const struct row *row, void *object, struct walk *w)
{
	int32_t v = *ROW_CAT(int32_t, row, object);

	walk_check(w, v >= -1 && v <= (int32_t)row->max);
}

const struct row_type type_retries = { "a number", retries_read, retries_print, retries_schema,
	                               retries_walk };

static void share_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	const char *why = "";
	struct str text;

	if (load_text(l, row, n, &text) &&
	    value_share(text, ROW_AT(double, row, object), &why) != OK) {
		load_refuse(l, row, n, text, why);
	}
}

static void share_print(const struct row *row, const void *object, struct emit *o)
{
	char text[32];

	snprintf(text, sizeof(text), "%.6g", *ROW_CAT(double, row, object));
	if (strchr(text, 'e')) {
		snprintf(text, sizeof(text), "%.15f", *ROW_CAT(double, row, object));
	}
	emit_literal(o, row->name, text);
}

static void share_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"anyOf\": [{\"type\": \"number\", \"minimum\": 0, \"maximum\": 1}, "
	              "{\"type\": \"string\", \"pattern\": \"^[0-9.]+%$\"}, "
	              "{\"$ref\": \"#/definitions/variable\"}]");
}

static void share_walk(const struct row *row, void *object, struct walk *w)
{
	double v = *ROW_CAT(double, row, object);

	walk_check(w, v >= 0 && v <= 1);
}

const struct row_type type_share = { "a share of one", share_read, share_print, share_schema,
	                             share_walk };
