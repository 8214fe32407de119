/* SPDX-License-Identifier: Apache-2.0 */
/* Types of texts: single ones, lists, secrets, and members that are not in the file. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/walk.h"

static bool checked_text(struct load *l, const struct row *row, const struct node *n,
                         struct str *ret)
{
	const char *why;
	char *lower;

	if (!load_text(l, row, n, ret)) {
		return false;
	}
	why = row->check ? row->check(*ret) : NULL;
	if (why) {
		load_refuse(l, row, n, *ret, why);
		return false;
	}
	if (row->flags & ROW_LOWER) {
		lower = load_alloc(l, ret->len + 1, 1);
		for (size_t i = 0; lower && i < ret->len; i++) {
			lower[i] = ret->s[i] >= 'A' && ret->s[i] <= 'Z' ? (char)(ret->s[i] | 0x20)
			                                                : ret->s[i];
		}
		ret->s = lower;
		ret->len -= ret->len && lower && lower[ret->len - 1] == '.';
	}
	return ret->s != NULL;
}

static void text_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	struct str text;

	if (checked_text(l, row, n, &text)) {
		*ROW_AT(struct str, row, object) = text;
	}
}

static void text_print(const struct row *row, const void *object, struct emit *o)
{
	struct str text = *ROW_CAT(struct str, row, object);

	if (text.len || !(row->flags & ROW_OPTIONAL)) {
		emit_text(o, row->name, text);
	}
}

static void text_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"type\": [\"string\", \"number\", \"boolean\"]");
}

static void text_walk(const struct row *row, void *object, struct walk *w)
{
	walk_str(w, ROW_AT(struct str, row, object));
}

const struct row_type type_text = { "text", text_read, text_print, text_schema, text_walk };
const struct row_type type_derived = { "", NULL, NULL, NULL, text_walk };

/* --- lists ------------------------------------------------------------------------------------ */

static void list_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	struct conf_list *list = ROW_AT(struct conf_list, row, object);
	uint32_t count = load_items(l, row, n), used = 0;
	struct str *v = count ? load_alloc(l, count, sizeof(*v)) : NULL;

	if (!v) {
		return;
	}
	for (const struct node *i = load_item_first(n); i; i = load_item_next(n, i)) {
		bool again = false;

		if (!checked_text(l, row, i, &v[used])) {
			continue;
		}
		/* program arguments may repeat, and long lists are not worth the search */
		for (uint32_t k = 0; row->flags & ROW_ONE && used < 256 && k < used; k++) {
			again = again || str_eq(v[k], v[used]);
		}
		if (again) {
			load_refuse(l, row, i, v[used], "is there twice");
		} else {
			used++;
		}
	}
	*list = (struct conf_list){ v, used };
}

static void list_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_list *list = ROW_CAT(struct conf_list, row, object);

	if (list->n == 0) {
		return;
	}
	emit_list_open(o, row->name);
	for (uint32_t i = 0; i < list->n; i++) {
		emit_item(o, list->v[i]);
	}
	emit_list_close(o);
}

static void list_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, row->flags & ROW_ONE
	                  ? "\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", "
	                    "\"minItems\": 1, \"items\": {\"type\": \"string\"}}]"
	                  : "\"type\": \"array\", \"minItems\": 1, \"items\": {\"type\": "
	                    "[\"string\", \"number\", \"boolean\"]}");
}

static void list_walk(const struct row *row, void *object, struct walk *w)
{
	walk_list(w, ROW_AT(struct conf_list, row, object));
}

const struct row_type type_list = { "a list", list_read, list_print, list_schema, list_walk };
const struct row_type type_derived_list = { "", NULL, NULL, NULL, list_walk };

/* --- secrets ---------------------------------------------------------------------------------- */

static void secret_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	struct str text, path;

	if (!load_text(l, row, n, &text)) {
		return;
	}
	if (str_starts(text, STR("file:"))) {
		path = str_n(text.s + 5, text.len - 5);
	} else if (str_starts(text, STR("cred:"))) {
		if (!folder || memchr(text.s, '/', text.len)) {
			load_refuse(l, row, n, text,
			            folder ? "names no credential"
			                   : "needs systemd's credentials (LoadCredential=), which "
			                     "are not there");
			return;
		}
		path = str_from(
		    arena_printf(l->arena, "%s/%.*s", folder, (int)text.len - 5, text.s + 5));
	} else {
		path = STR_NONE;
	}
	if (path.s && load_file(l, n, path, 4096, &text) != OK) {
		return;
	}
	if (path.s) {
		while (text.len && strchr("\r\n \t", text.s[text.len - 1])) {
			text.len--;
		}
	}
	if (row->check && row->check(text)) { /* never show what may be a secret */
		problem_error(l->problems, n->at, "\"%s\" %s", row->name, row->check(text));
		return;
	}
	*ROW_AT(struct str, row, object) = arena_str(l->arena, text);
}

static void secret_print(const struct row *row, const void *object, struct emit *o)
{
	struct str text = *ROW_CAT(struct str, row, object);

	if (text.len) {
		emit_text(o, row->name, o->exact ? text : STR("***"));
	}
}

static void secret_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"type\": \"string\"");
}

const struct row_type type_secret = { "a secret", secret_read, secret_print, secret_schema,
	                              text_walk };

/* --- options of a later version --------------------------------------------------------------- */

static void later_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	problem_error(l->problems, n->key_at, "\"%s\" is not supported by this version: %s",
	              row->name, row->later);
}

const struct row_type type_later = { "", later_read, NULL, NULL, NULL };
