/* SPDX-License-Identifier: Apache-2.0 */
/* Types of HTTP's things: header maps, sets of statuses, error pages. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/value.h"
#include "conf/walk.h"

#define MAX_HEADERS 64
#define MAX_PAGE    (64 * 1024) /* bytes of an error page */

static void headers_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	struct conf_match_header *v;
	const char *why;
	uint32_t used = 0;

	if (n->kind != NODE_MAP) {
		load_wrong_type(l, row, n);
		return;
	}
	if (n->n > MAX_HEADERS) {
		problem_error(l->problems, n->key_at, "\"%s\" has more than %u entries", row->name,
		              MAX_HEADERS);
		return;
	}
	v = load_alloc(l, n->n, sizeof(*v));
	for (const struct node *i = n->first; v && i; i = i->next) {
		why = value_is_field_name(i->key);
		if (why) {
			problem_error(l->problems, i->key_at, "\"%.*s\" %s", STR_ARG(i->key), why);
			continue;
		}
		v[used].name = i->key;
		v[used].value = STR("");
		if (i->kind != NODE_NULL && !load_text(l, row, i, &v[used].value)) {
			continue;
		}
		why = value_is_field_value(v[used].value);
		if (why) {
			load_refuse(l, row, i, v[used].value, why);
			continue;
		}
		used++;
	}
	*ROW_AT(const struct conf_match_header *, row, object) = v;
	*ROW_WITH(uint32_t, row, object) = used;
}

static void headers_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_match_header *v = *ROW_CAT(struct conf_match_header *, row, object);
	uint32_t n = *ROW_CWITH(uint32_t, row, object);

	if (n == 0) {
		return;
	}
	emit_open(o, row->name);
	for (uint32_t i = 0; i < n; i++) {
		emit_text_named(o, v[i].name, v[i].value);
	}
	emit_close(o);
}

static void headers_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"type\": \"object\", \"maxProperties\": 64, \"additionalProperties\": "
	              "{\"type\": [\"string\", \"number\", \"boolean\", \"null\"]}");
}

static void headers_walk(const struct row *row, void *object, struct walk *w)
{
	uint32_t n = *ROW_CWITH(uint32_t, row, object);
	struct conf_match_header *v = walk_block(w, ROW_AT(void *, row, object), n, sizeof(*v));

	for (uint32_t i = 0; v && i < n; i++) {
		walk_str(w, &v[i].name);
		walk_str(w, &v[i].value);
	}
}

const struct row_type type_headers = { "a map of header names and values", headers_read,
	                               headers_print, headers_schema, headers_walk };

/* --- statuses --------------------------------------------------------------------------------- */

static int statuses_add(struct str text, uint64_t *set)
{
	struct str rest, first = str_trim(str_split(text, '-', &rest));
	uint64_t from, to;

	if (str_to_u64(first, 599, &from) != OK || from < 100) {
		return ERR_INVALID;
	}
	to = from;
	if (rest.s && (str_to_u64(str_trim(rest), 599, &to) != OK || to < from)) {
		return ERR_INVALID;
	}
	for (uint64_t s = from - 100; s <= to - 100; s++) {
		set[s / 64] |= 1ULL << s % 64;
	}
	return OK;
}

static void statuses_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	struct conf_check *c = object;
	uint32_t count = load_items(l, row, n);
	uint64_t set[ARRAY_LEN(c->expect)] = { 0 };
	struct buf text = BUF_INIT;
	bool well = count > 0;

	for (const struct node *i = count ? load_item_first(n) : NULL; i;
	     i = load_item_next(n, i)) {
		struct str item, rest, all;

		if (!load_text(l, row, i, &all)) {
			well = false;
			continue;
		}
		for (rest = all; rest.s;) {
			item = str_trim(str_split(rest, ',', &rest));
			if (statuses_add(item, set) != OK) {
				load_refuse(l, row, i, all,
				            "is not a status or a range of them, like 200 or "
				            "200-399");
				well = false;
				break;
			}
			buf_printf(&text, "%s%.*s", text.len ? "," : "", STR_ARG(item));
		}
	}
	if (well) {
		memcpy(c->expect, set, sizeof(set));
		c->expect_text = arena_str(l->arena, buf_str(&text));
	}
	buf_free(&text);
}

static void statuses_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_check *c = object;
	uint64_t number;

	if (str_to_u64(c->expect_text, 599, &number) == OK) {
		emit_count(o, row->name, number);
	} else {
		emit_text(o, row->name, c->expect_text);
	}
}

static void statuses_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"anyOf\": [{\"$ref\": \"#/definitions/status\"}, {\"type\": \"array\", "
	              "\"minItems\": 1, \"items\": {\"$ref\": \"#/definitions/status\"}}]");
}

static void statuses_walk(const struct row *row, void *object, struct walk *w)
{
	walk_str(w, &((struct conf_check *)object)->expect_text);
}

const struct row_type type_statuses = { "a status, a range or a list of them", statuses_read,
	                                statuses_print, statuses_schema, statuses_walk };

/* --- error pages ------------------------------------------------------------------------------ */

static struct str content_type(struct str path)
{
	static const struct {
		const char *end, *type;
	} types[] = {
		{ ".html", "text/html; charset=utf-8" }, { ".htm", "text/html; charset=utf-8" },
		{ ".json", "application/json" },         { ".txt", "text/plain; charset=utf-8" },
		{ ".xml", "application/xml" },           { ".svg", "image/svg+xml" },
	};

	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (str_ends(path, str_from(types[i].end))) {
			return str_from(types[i].type);
		}
	}
	return STR("text/plain; charset=utf-8");
}

static int compare_pages(const void *a, const void *b)
{
	const struct conf_error_page *x = a, *y = b;

	return x->status < y->status ? -1 : x->status > y->status;
}

static void pages_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	struct conf_error_page *v;
	uint32_t used = 0;
	uint64_t status;

	if (n->kind != NODE_MAP) {
		load_wrong_type(l, row, n);
		return;
	}
	v = load_alloc(l, MIN(n->n, 200), sizeof(*v));
	for (const struct node *i = n->first; v && i && used < 200; i = i->next) {
		if (str_to_u64(i->key, 599, &status) != OK || status < 400) {
			problem_error(l->problems, i->key_at,
			              "\"%.*s\" is not an error status between 400 and 599",
			              STR_ARG(i->key));
			continue;
		}
		if (!load_text(l, row, i, &v[used].path) ||
		    load_file(l, i, v[used].path, MAX_PAGE, &v[used].body) != OK) {
			continue;
		}
		v[used].status = (uint32_t)status;
		v[used].type = content_type(v[used].path);
		used++;
	}
	if (v) {
		qsort(v, used, sizeof(*v), compare_pages);
	}
	*ROW_AT(const struct conf_error_page *, row, object) = v;
	*ROW_WITH(uint32_t, row, object) = used;
}

static void pages_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_error_page *v = *ROW_CAT(struct conf_error_page *, row, object);
	uint32_t n = *ROW_CWITH(uint32_t, row, object);
	char status[16];

	if (n == 0) {
		return;
	}
	emit_open(o, row->name);
	for (uint32_t i = 0; i < n; i++) {
		snprintf(status, sizeof(status), "%u", v[i].status);
		emit_text(o, status, v[i].path);
		if (o->exact) {
			emit_text(o, status, v[i].body);
		}
	}
	emit_close(o);
}

static void pages_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"type\": \"object\", \"patternProperties\": {\"^[45][0-9][0-9]$\": "
	              "{\"type\": \"string\"}}, \"additionalProperties\": false");
}

static void pages_walk(const struct row *row, void *object, struct walk *w)
{
	uint32_t n = *ROW_CWITH(uint32_t, row, object);
	struct conf_error_page *v = walk_block(w, ROW_AT(void *, row, object), n, sizeof(*v));

	for (uint32_t i = 0; v && i < n; i++) {
		walk_check(w, v[i].status >= 400 && v[i].status <= 599);
		walk_str(w, &v[i].path);
		walk_str(w, &v[i].body);
		walk_str(w, &v[i].type);
	}
}

const struct row_type type_pages = { "a map of statuses and files", pages_read, pages_print,
	                             pages_schema, pages_walk };
