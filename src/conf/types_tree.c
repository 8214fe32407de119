/* SPDX-License-Identifier: Apache-2.0 */
/* Groups of rows and maps of named things: reading, printing and walking them. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/value.h"
#include "conf/walk.h"

/* --- reading ---------------------------------------------------------------------------------- */

/* The row of a key; *ret_top is that of the inline group it is in, else the same. */
static const struct row *row_find_in(const struct rows *rows, struct str name,
                                     const struct row **ret_top, uint32_t *ret_inset)
{
	const struct row *inner;

	for (const struct row *r = rows->v; r->name; r++) {
		*ret_top = r;
		*ret_inset = 0;
		if (r->flags & ROW_INLINE) {
			inner = row_find_in(r->sub, name, &(const struct row *){ NULL }, ret_inset);
			*ret_inset += r->offset;
			*ret_top = r;
			if (inner) {
				return inner;
			}
		} else if (!(r->flags & ROW_HIDDEN) && str_eq(str_from(r->name), name)) {
			return r;
		}
	}
	return NULL;
}

static const struct row *row_find(const struct rows *rows, struct str name)
{
	return row_find_in(rows, name, &(const struct row *){ NULL }, &(uint32_t){ 0 });
}

/* "pool "web"" for a named thing, ""check"" for a group, "the file" for the root. */
static void where_text(const struct load *l, const struct rows *rows, const struct node *n,
                       char out[128])
{
	if (rows == &schema_root) {
		snprintf(out, 128, "the file");
	} else if (rows->size && rows->v[0].flags & ROW_HIDDEN) {
		snprintf(out, 128, "%s \"%.*s\"", rows->what, (int)MIN(n->key.len, 60), n->key.s);
	} else {
		snprintf(out, 128, "\"%.*s\"", (int)MIN(n->key.len, 60), n->key.s);
	}
}

/* Names that other programs give to the same thing. */
static const struct {
	const char *theirs, *ours;
} synonyms[] = {
	{ "upstreams", "pools" },
	{ "upstream", "pools" },
	{ "backends", "pools" },
	{ "backend", "to" },
	{ "frontends", "listeners" },
	{ "frontend", "listeners" },
	{ "listen", "bind" },
	{ "vhosts", "routes" },
	{ "rules", "routes" },
	{ "hosts", "host" },
	{ "domain", "host" },
	{ "methods", "method" },
	{ "headers", "header" },
	{ "clients", "client" },
	{ "pool", "to" },
	{ "health", "check" },
	{ "healthcheck", "check" },
	{ "health_check", "check" },
	{ "algorithm", "balance" },
	{ "lb", "balance" },
	{ "policy", "balance" },
	{ "workers", "threads" },
	{ "maxconn", "max_connections" },
	{ "port", "bind" },
	{ "address", "bind" },
	{ "admin", "control" },
	{ "timeout", "timeouts" },
	{ "members", "servers" },
	{ "targets", "servers" },
	{ "prefix", "path" },
};

static void guess_keys(struct guess *g, const struct rows *rows)
{
	for (const struct row *r = rows->v; r->name; r++) {
		if (r->flags & ROW_INLINE) {
			guess_keys(g, r->sub);
		} else if (!(r->flags & ROW_HIDDEN)) {
			guess_try(g, str_from(r->name));
		}
	}
}

static void unknown_key(struct load *l, const struct rows *rows, const struct node *n,
                        const struct node *child)
{
	char hint[128], where[128];
	struct guess g;

	guess_init(&g, child->key);
	guess_keys(&g, rows);
	guess_text(&g, hint);
	for (size_t i = 0; !hint[0] && i < ARRAY_LEN(synonyms); i++) {
		if (str_eq(child->key, str_from(synonyms[i].theirs)) &&
		    row_find(rows, str_from(synonyms[i].ours))) {
			snprintf(hint, sizeof(hint), "; did you mean \"%s\"?", synonyms[i].ours);
		}
	}
	for (const struct row *r = rows->v; !hint[0] && r->name; r++) {
		if (r->type == &type_group && row_find(r->sub, child->key)) {
			snprintf(hint, sizeof(hint), "; it belongs under \"%s\"", r->name);
		}
	}
	where_text(l, rows, n, where);
	problem_error(l->problems, child->key_at, "unknown key \"%.*s\" in %s%s",
	              (int)MIN(child->key.len, 80), child->key.s, where, hint);
}

void load_rows(struct load *l, const struct rows *rows, const struct node *n, void *object)
{
	uint64_t seen = 0;
	char where[128];

	for (const struct node *i = n->first; i; i = i->next) {
		const struct row *top, *r;
		uint32_t inset;

		r = row_find_in(rows, i->key, &top, &inset);
		if (!r) {
			unknown_key(l, rows, n, i);
			continue;
		}
		seen |= 1ULL << (top - rows->v);
		if (i->kind != NODE_BAD) {
			r->type->read(l, r, i, (char *)object + inset);
		}
	}
	for (const struct row *r = rows->v; r->name; r++) {
		if (r->flags & ROW_INLINE && r->sub->finish) {
			r->sub->finish(l, n, ROW_AT(char, r, object));
		}
		if (r->flags & ROW_REQUIRED && !(seen >> (r - rows->v) & 1)) {
			where_text(l, rows, n, where);
			problem_error(l->problems, n->key.s ? n->key_at : n->at, "%s has no \"%s\"",
			              where, r->name);
		}
	}
	if (rows->finish) {
		rows->finish(l, n, object);
	}
}

void load_object(struct load *l, const struct row *row, const struct node *n, void *object)
{
	if (n->kind == NODE_MAP) {
		load_rows(l, row->sub, n, object);
	} else if (n->kind == NODE_NULL && !row->sub->brief_read) {
		struct node empty = *n;

		empty.kind = NODE_MAP;
		load_rows(l, row->sub, &empty, object);
	} else if (!row->sub->brief_read || !row->sub->brief_read(l, row->sub, n, object)) {
		load_wrong_type(l, row, n);
	}
}

void load_defaults(struct load *l, const struct rows *rows, void *object)
{
	for (const struct row *r = rows->v; r->name; r++) {
		if (r->type == &type_group) {
			load_defaults(l, r->sub, ROW_AT(char, r, object));
		} else if (r->def) {
			struct node n = { .kind = NODE_TEXT, .text = str_from(r->def) };

			r->type->read(l, r, &n, object);
		}
	}
}

static void group_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	load_object(l, row, n, ROW_AT(char, row, object));
}

static int compare_nodes(const void *pa, const void *pb)
{
	const struct node *a = *(const struct node *const *)pa,
	                  *b = *(const struct node *const *)pb;

	return str_compare(a->key, b->key);
}

const void *load_template(struct load *l, const struct rows *rows)
{
	for (uint32_t i = 0; i < l->ntemplates; i++) {
		if (l->templates[i].rows == rows) {
			return l->templates[i].object;
		}
	}
	CHECK(l->ntemplates < ARRAY_LEN(l->templates));
	l->templates[l->ntemplates].object = load_alloc(l, 1, rows->size);
	l->templates[l->ntemplates].rows = rows;
	if (l->templates[l->ntemplates].object) {
		load_defaults(l, rows, l->templates[l->ntemplates].object);
		l->ntemplates++;
		return l->templates[l->ntemplates - 1].object;
	}
	return NULL;
}

static uint32_t usable_nodes(struct load *l, const struct row *row, const struct node *n,
                             struct node **nodes)
{
	uint32_t used = 0;

	for (struct node *i = n->first; i; i = i->next) {
		const char *why =
		    row->sub->is_name ? row->sub->is_name(i->key) : value_is_name(i->key);

		if (why) {
			problem_error(l->problems, i->key_at, "the %s name \"%.*s\" %s",
			              row->sub->what, (int)MIN(i->key.len, 80), i->key.s, why);
		} else if (i->kind != NODE_BAD) {
			nodes[used++] = i;
		}
	}
	qsort(nodes, used, sizeof(struct node *), compare_nodes);
	return used;
}

/* For the checks of the whole, which must tell places. */
static void keep_nodes(struct load *l, const struct rows *rows, struct node **nodes)
{
	const struct {
		const struct rows *rows;
		struct node ***kept;
	} kinds[] = {
		{ &schema_listener, &l->listeners }, { &schema_route, &l->routes },
		{ &schema_pool, &l->pools },         { &schema_node, &l->nodes },
		{ &schema_named_check, &l->checks }, { &schema_vip, &l->vips },
		{ &schema_issuer, &l->issuers },
	};

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (rows == kinds[i].rows) {
			*kinds[i].kept = nodes;
		}
	}
}

static void map_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	const struct rows *rows = row->sub;
	const void *template = load_template(l, rows);
	struct node **nodes;
	uint32_t used = 0;
	char *v;

	if (n->kind != NODE_MAP && n->kind != NODE_NULL) {
		load_wrong_type(l, row, n);
		return;
	}
	if (n->n > row->max) {
		problem_error(l->problems, n->key_at, "more than %llu entries in \"%s\"",
		              (unsigned long long)row->max, row->name);
		return;
	}
	nodes = load_alloc(l, n->n, sizeof(struct node *));
	v = load_alloc(l, n->n, rows->size);
	if (!template || !nodes || !v) {
		return;
	}
	used = usable_nodes(l, row, n, nodes);
	for (uint32_t i = 0; i < used; i++) {
		char *element = v + i * rows->size;
		uint32_t errors = l->problems->errors;

		memcpy(element, template, rows->size);
		*(struct str *)element = nodes[i]->key;
		load_object(l, row, nodes[i], element);
		nodes[i]->faulty = l->problems->errors > errors;
	}
	*ROW_AT(const void *, row, object) = v;
	*ROW_WITH(uint32_t, row, object) = used;
	keep_nodes(l, rows, nodes);
}

/* --- printing --------------------------------------------------------------------------------- */

void print_rows(const struct rows *rows, const void *object, struct emit *o)
{
	for (const struct row *r = rows->v; r->name; r++) {
		if (r->type->print && (!rows->has || rows->has(r, object))) {
			r->type->print(r, object, o);
		}
	}
}

static void print_object(const struct row *row, struct str key, const void *object, struct emit *o)
{
	size_t before = o->b->len;
	bool some = o->some;

	if (row->sub->brief_print && row->sub->brief_print(key, object, o)) {
		return;
	}
	emit_open_named(o, key);
	print_rows(row->sub, object, o);
	if (!o->some && row->flags & ROW_OPTIONAL) {
		o->depth--;
		o->some = some;
		o->b->len = before;
		return;
	}
	emit_close(o);
}

static void group_print(const struct row *row, const void *object, struct emit *o)
{
	if (row->flags & ROW_INLINE) {
		print_rows(row->sub, ROW_CAT(char, row, object), o);
		return;
	}
	print_object(row, str_from(row->name), ROW_CAT(char, row, object), o);
}

static void map_print(const struct row *row, const void *object, struct emit *o)
{
	const char *v = *ROW_CAT(char *, row, object);
	uint32_t n = *ROW_CWITH(uint32_t, row, object);

	if (n == 0 && row->flags & ROW_OPTIONAL) {
		return;
	}
	emit_open(o, row->name);
	for (uint32_t i = 0; i < n; i++, v += row->sub->size) {
		print_object(row, *(const struct str *)v, v, o);
	}
	emit_close(o);
}

/* --- the image -------------------------------------------------------------------------------- */

static void group_walk(const struct row *row, void *object, struct walk *w)
{
	walk_rows(w, row->sub, ROW_AT(char, row, object));
}

static void map_walk(const struct row *row, void *object, struct walk *w)
{
	const char *v = walk_items(w, row, object);
	uint32_t n = *ROW_CWITH(uint32_t, row, object);
	size_t size = row->sub->size;

	/* Look-ups rely on the order. */
	for (uint32_t i = 1; v && walk_foreign(w) && i < n; i++) {
		struct node a = { .key = *(const struct str *)(v + (i - 1) * size) };
		struct node b = { .key = *(const struct str *)(v + i * size) };
		const struct node *pa = &a, *pb = &b;

		walk_check(w, a.key.s && b.key.s && compare_nodes(&pa, &pb) < 0);
	}
}

static void no_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"type\": \"object\"");
}

const struct row_type type_group = { "a map", group_read, group_print, no_schema, group_walk };
const struct row_type type_map = { "a map of named things", map_read, map_print, no_schema,
	                           map_walk };

bool schema_brief_first(struct load *l, const struct rows *rows, const struct node *n, void *object)
{
	if (n->kind != NODE_TEXT)
		return false;
	rows->v[0].type->read(l, &rows->v[0], n, object);
	return true;
}
