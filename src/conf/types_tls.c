/* SPDX-License-Identifier: Apache-2.0 */
/* Types of what TLS has: lists of maps, paths of files, versions, the redirect to https. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/value.h"
#include "conf/walk.h"

/* --- a list of maps without names ------------------------------------------------------------- */

static void items_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	const struct rows *rows = row->sub;
	const void *template = load_template(l, rows);
	uint32_t count, used = 0;
	char *v;

	if (n->kind != NODE_LIST && n->kind != NODE_MAP) {
		load_wrong_type(l, row, n);
		return;
	}
	count = n->kind == NODE_LIST ? n->n : 1;
	if (count == 0) {
		problem_error(l->problems, n->at, "\"%s\" is an empty list", row->name);
		return;
	}
	if (count > row->max) {
		problem_error(l->problems, n->key_at, "more than %llu entries in \"%s\"",
		              (unsigned long long)row->max, row->name);
		return;
	}
	v = load_alloc(l, count, rows->size);
	if (!template || !v) {
		return;
	}
	for (const struct node *i = load_item_first(n); i; i = load_item_next(n, i)) {
		memcpy(v + used * rows->size, template, rows->size);
		load_object(l, row, i, v + used * rows->size);
		used++;
	}
	*ROW_AT(const void *, row, object) = v;
	*ROW_WITH(uint32_t, row, object) = used;
}

static void items_print(const struct row *row, const void *object, struct emit *o)
{
	const char *v = *ROW_CAT(char *, row, object);
	uint32_t n = *ROW_CWITH(uint32_t, row, object);

	if (n == 0) {
		return;
	}
	emit_list_open(o, row->name);
	for (uint32_t i = 0; i < n; i++) {
		bool bare = emit_item_open(o);

		print_rows(row->sub, v + i * row->sub->size, o);
		emit_item_close(o, bare);
	}
	emit_list_close(o);
}

static void items_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"type\": \"array\", \"minItems\": 1, \"items\": {");
	schema_object_or_brief(row->sub, out);
	buf_adds(out, "}");
}

static void items_walk(const struct row *row, void *object, struct walk *w)
{
	(void)walk_items(w, row, object);
}

const struct row_type type_items = { "a list of maps", items_read, items_print, items_schema,
	                             items_walk };

/* --- the path of a file that is read later ---------------------------------------------------- */

/* Beside the file that names it, as an absolute path: whoever reads it may be elsewhere. */
static struct str beside(struct load *l, const struct node *n, struct str path)
{
	const char *base = l->problems->files[n->at.file].path;
	const char *slash = strrchr(base, '/');
	char *folder, *real;
	struct str full;

	folder = slash ? arena_printf(l->arena, "%.*s/", (int)(slash - base), base)
	               : arena_printf(l->arena, ".");
	real = folder ? realpath(folder, NULL) : NULL;
	if (!real) {
		return path;
	}
	full =
	    str_from(arena_printf(l->arena, "%s/%s", strcmp(real, "/") == 0 ? "" : real, path.s));
	free(real);
	return full.s ? full : path;
}

static void path_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	struct str text;

	if (!load_text(l, row, n, &text)) {
		return;
	}
	if (text.len == 0 || strlen(text.s) != text.len || text.len > 4000) {
		problem_error(l->problems, n->at, "\"%s\": this is not a path", row->name);
		return;
	}
	if (text.s[0] != '/' && !l->offline) {
		text = beside(l, n, text);
	}
	*ROW_AT(struct str, row, object) = text;
}

static void path_print(const struct row *row, const void *object, struct emit *o)
{
	type_text.print(row, object, o);
}

static void path_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"type\": \"string\"");
}

static void path_walk(const struct row *row, void *object, struct walk *w)
{
	walk_str(w, ROW_AT(struct str, row, object));
}

const struct row_type type_path = { "a path", path_read, path_print, path_schema, path_walk };

/* --- versions of TLS -------------------------------------------------------------------------- */

static void version_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	type_choice.read(l, row, n, object);
}

/* As the file has it: not in quotes, though it looks like a number. */
static void version_print(const struct row *row, const void *object, struct emit *o)
{
	emit_literal(o, row->name, row->choices[*ROW_CAT(uint32_t, row, object)]);
}

static void version_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"anyOf\": [{\"enum\": [1.2, 1.3, \"1.2\", \"1.3\"]}, {\"$ref\": "
	              "\"#/definitions/variable\"}]");
}

static void version_walk(const struct row *row, void *object, struct walk *w)
{
	type_choice.walk(row, object, w);
}

const struct row_type type_tls_version = { "a version", version_read, version_print, version_schema,
	                                   version_walk };

/* --- `internal: true` of a certificate -------------------------------------------------------- */

static void internal_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	const char *why = "";
	struct str text;
	bool on;

	if (load_text(l, row, n, &text) && (value_bool(text, &on, &why) != OK || !on)) {
		load_refuse(l, row, n, text, "is not \"true\"");
	}
}

static void internal_print(const struct row *row, const void *object, struct emit *o)
{
	if (((const struct conf_cert *)object)->kind == CERT_INTERNAL) {
		emit_literal(o, row->name, "true");
	}
}

static void internal_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"const\": true");
}

const struct row_type type_internal = { "true", internal_read, internal_print, internal_schema,
	                                NULL };

/* --- redirect_https: true, or the port that clients are sent to ------------------------------- */

static void redirect_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	struct conf_listener *c = object;
	const char *why = "";
	struct str text;
	uint64_t port;

	if (!load_text(l, row, n, &text)) {
		return;
	}
	if (str_to_u64(text, 65535, &port) == OK && port > 0) {
		c->redirect_https = true;
		c->redirect_port = (uint32_t)port;
	} else if (value_bool(text, &c->redirect_https, &why) == OK) {
		c->redirect_port = 443;
	} else {
		load_refuse(l, row, n, text, "is neither true, false nor a port");
	}
}

static void redirect_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_listener *c = object;

	if (!c->redirect_https || c->redirect_port == 443) {
		emit_literal(o, row->name, c->redirect_https ? "true" : "false");
	} else {
		emit_count(o, row->name, c->redirect_port);
	}
}

static void redirect_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"anyOf\": [{\"type\": \"boolean\"}, {\"type\": \"integer\", \"minimum\": "
	              "1, \"maximum\": 65535}, {\"$ref\": \"#/definitions/variable\"}]");
}

static void redirect_walk(const struct row *row, void *object, struct walk *w)
{
	const struct conf_listener *c = object;

	walk_check(w, *(const uint8_t *)&c->redirect_https <= 1 && c->redirect_port > 0 &&
	                  c->redirect_port <= 65535);
}

const struct row_type type_redirect = { "true, false or a port", redirect_read, redirect_print,
	                                redirect_schema, redirect_walk };
