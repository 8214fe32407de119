/* SPDX-License-Identifier: Apache-2.0 */
/* libyaml's events into our own tree, within limits. */
#include "conf/tree.h"

#include <stdlib.h>
#include <yaml.h>

#include "base/check.h"
#include "base/clock.h"

struct frame {
	struct node *node;
	struct str key; /* of the value to come; .s NULL: a key is next */
	struct place key_at;
};

struct reader {
	struct tree *t;
	yaml_parser_t parser;
	uint32_t file;
	bool stop;
	unsigned depth;
	struct frame stack[TREE_MAX_DEPTH];
	struct node *root;
};

static struct place place_of(const struct reader *r, yaml_mark_t start, yaml_mark_t end)
{
	struct place p = { (uint32_t)start.line + 1, (uint32_t)start.column + 1, 1, r->file };

	if (end.line == start.line && end.column > start.column) {
		p.width = (uint32_t)(end.column - start.column);
	}
	return p;
}

void node_append(struct node *parent, struct node *child)
{
	child->next = NULL;
	if (parent->last) {
		parent->last->next = child;
	} else {
		parent->first = child;
	}
	parent->last = child;
	parent->n++;
}

struct node *node_get(const struct node *n, const char *key)
{
	struct str k = str_from(key);

	if (!n || n->kind != NODE_MAP) {
		return NULL;
	}
	for (struct node *c = n->first; c; c = c->next) {
		if (str_eq(c->key, k)) {
			return c;
		}
	}
	return NULL;
}

const char *node_what(const struct node *n)
{
	static const char *const what[] = { "nothing", "a single value", "a list", "a map",
		                            "something unreadable" };

	return what[n->kind];
}

static void fail(struct reader *r, struct place at, const char *text)
{
	problem_error(r->t->problems, at, "%s", text);
	r->stop = true;
}

static struct node *new_node(struct reader *r, enum node_kind kind, struct place at)
{
	struct node *n;

	if (++r->t->nodes > TREE_MAX_NODES) {
		fail(r, at, "the configuration is too large: more than 400000 values");
		return NULL;
	}
	n = arena_alloc(r->t->arena, sizeof(*n));
	if (!n) {
		fail(r, at, "out of memory");
		return NULL;
	}
	n->kind = kind;
	n->at = at;
	return n;
}

/* Hangs a complete or just opened value into what is open. */
static void attach(struct reader *r, struct node *n)
{
	struct frame *f;

	if (r->depth == 0) {
		r->root = n;
		return;
	}
	f = &r->stack[r->depth - 1];
	if (f->node->kind == NODE_MAP) {
		n->key = f->key;
		n->key_at = f->key_at;
		f->key = STR_NONE;
	}
	if (f->node->kind != NODE_MAP || n->key.len) { /* pairs without a usable key are dropped */
		node_append(f->node, n);
	}
}

static bool key_is_next(const struct reader *r)
{
	return r->depth > 0 && r->stack[r->depth - 1].node->kind == NODE_MAP &&
	       !r->stack[r->depth - 1].key.s;
}

static void refuse_extras(struct reader *r, const yaml_char_t *anchor, const yaml_char_t *tag,
                          struct place at)
{
	if (anchor) {
		problem_error(
		    r->t->problems, at,
		    "anchors are not supported: write the value where it is used, or quote "
		    "text that starts with &");
	}
	if (tag) {
		problem_error(r->t->problems, at,
		              "tags are not supported: quote text that starts with !");
	}
}

static void on_key(struct reader *r, const yaml_event_t *e, struct place at)
{
	struct frame *f = &r->stack[r->depth - 1];

	f->key = arena_str(r->t->arena,
	                   str_n((const char *)e->data.scalar.value, e->data.scalar.length));
	f->key_at = at;
	if (!f->key.s) {
		fail(r, at, "out of memory");
	} else if (f->key.len == 0) {
		problem_error(r->t->problems, at, "a key is empty");
	} else if (memchr(f->key.s, 0, f->key.len)) {
		problem_error(r->t->problems, at, "a key holds a NUL byte");
		f->key.len = 0;
	}
}

static void on_scalar(struct reader *r, const yaml_event_t *e)
{
	struct place at = place_of(r, e->start_mark, e->end_mark);
	const char *value = (const char *)e->data.scalar.value;
	size_t len = e->data.scalar.length;
	struct node *n;

	refuse_extras(r, e->data.scalar.anchor, e->data.scalar.tag, at);
	if (key_is_next(r)) {
		on_key(r, e, at);
		return;
	}
	n = new_node(r, NODE_TEXT, at);
	if (!n) {
		return;
	}
	n->plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	if (n->plain && (len == 0 || strcmp(value, "~") == 0 || strcmp(value, "null") == 0)) {
		n->kind = NODE_NULL;
		if (len == 0 && r->depth > 0 && r->stack[r->depth - 1].key.s) {
			n->at = r->stack[r->depth - 1].key_at;
		}
	} else if (memchr(value, 0, len)) {
		n->kind = NODE_BAD;
		problem_error(r->t->problems, at, "a value holds a NUL byte");
	}
	n->text = arena_str(r->t->arena, str_n(value, len));
	if (!n->text.s) {
		fail(r, at, "out of memory");
		return;
	}
	attach(r, n);
}

static void on_open(struct reader *r, const yaml_event_t *e)
{
	bool map = e->type == YAML_MAPPING_START_EVENT;
	struct place at = place_of(r, e->start_mark, e->end_mark);
	struct node *n;

	if (map) {
		refuse_extras(r, e->data.mapping_start.anchor, e->data.mapping_start.tag, at);
	} else {
		refuse_extras(r, e->data.sequence_start.anchor, e->data.sequence_start.tag, at);
	}
	if (key_is_next(r)) {
		fail(r, at, "a key must be a single word, not a list or a map");
		return;
	}
	if (r->depth == TREE_MAX_DEPTH) {
		fail(r, at, "nested too deep: more than 32 levels");
		return;
	}
	n = new_node(r, map ? NODE_MAP : NODE_LIST, at);
	if (n) {
		attach(r, n);
		r->stack[r->depth++] = (struct frame){ .node = n };
	}
}

static void on_alias(struct reader *r, const yaml_event_t *e)
{
	struct place at = place_of(r, e->start_mark, e->end_mark);
	struct node *n;

	problem_error(r->t->problems, at,
	              "aliases are not supported: write the value out, or quote text that starts "
	              "with * (\"*.shop.test\")");
	if (key_is_next(r)) {
		r->stack[r->depth - 1].key = STR("");
		return;
	}
	n = new_node(r, NODE_BAD, at);
	if (n) {
		attach(r, n);
	}
}

/* The entry of a table of nodes where that key is or belongs. */
static struct node **slot_of(struct node **table, uint64_t mask, uint64_t seed, struct str key)
{
	uint64_t i = hash_bytes(seed, key.s, key.len) & mask;

	while (table[i] && !str_eq(table[i]->key, key)) {
		i = (i + 1) & mask;
	}
	return &table[i];
}

/* Reports the duplicate keys of a finished map and takes them out: the first one counts. */
static void check_duplicates(struct reader *r, struct node *map)
{
	uint64_t seed = random_u64(), size = 16;
	struct node **table, **slot, *small[16] = { NULL }, *all = map->first, *next;

	while (size < map->n * 2ULL) {
		size *= 2;
	}
	table = size == ARRAY_LEN(small) ? small : calloc(size, sizeof(struct node *));
	if (!table) {
		fail(r, map->at, "out of memory");
		return;
	}
	map->first = map->last = NULL;
	map->n = 0;
	for (struct node *n = all; n; n = next) {
		next = n->next;
		slot = slot_of(table, size - 1, seed, n->key);
		if (*slot) {
			problem_error(r->t->problems, n->key_at,
			              "duplicate key \"%.*s\": it stands in line %u already",
			              (int)MIN(n->key.len, 80), n->key.s, (*slot)->key_at.line);
		} else {
			*slot = n;
			node_append(map, n);
		}
	}
	if (table != small) {
		free(table);
	}
}

static void on_close(struct reader *r)
{
	struct node *n = r->stack[--r->depth].node;

	if (n->kind == NODE_MAP) {
		check_duplicates(r, n);
	}
}

/* libyaml's words, and what they mean for somebody who writes a configuration. */
static const struct {
	const char *problem;
	const char *context; /* NULL: any */
	const char *text;
} translations[] = {
	{ "did not find expected alphabetic or numeric character", "while scanning an alias",
	  "text that starts with * needs quotes, like \"*:80\"" },
	{ "did not find expected alphabetic or numeric character", "while scanning an anchor",
	  "text that starts with & needs quotes" },
	{ "mapping values are not allowed in this context", NULL,
	  "a \": \" is not expected here; is the indentation wrong, or does a value need quotes?" },
	{ "could not find expected ':'", NULL, "a key without \":\" after it" },
	{ "did not find expected node content", NULL, "a value was expected here" },
	{ "did not find expected key", NULL, "a key was expected here; is the indentation wrong?" },
	{ "did not find expected '-' indicator", NULL,
	  "a list item (\"- \") was expected here; is the indentation wrong?" },
	{ "did not find expected ',' or '}'", NULL, "\",\" or \"}\" was expected here" },
	{ "did not find expected ',' or ']'", NULL, "\",\" or \"]\" was expected here" },
	{ "found unexpected end of stream", NULL, "the file ends within quotes" },
	{ "control characters are not allowed", NULL,
	  "a control character: this does not look like a text file" },
	{ "invalid leading UTF-8 octet", NULL, "this is not UTF-8 text" },
	{ "invalid trailing UTF-8 octet", NULL, "this is not UTF-8 text" },
	{ "incomplete UTF-8 octet sequence", NULL, "this is not UTF-8 text" },
};

static struct place place_of_offset(const struct reader *r, size_t offset)
{
	struct str text = r->t->problems->files[r->file].text;
	struct place p = { 1, 1, 1, r->file };

	for (size_t i = 0; i < offset && i < text.len; i++) {
		if (text.s[i] == '\n') {
			p.line++;
			p.column = 1;
		} else if (((unsigned char)text.s[i] & 0xc0) != 0x80) {
			p.column++;
		}
	}
	return p;
}

static char char_at(const struct reader *r, yaml_mark_t mark)
{
	struct str text = r->t->problems->files[r->file].text;

	for (size_t i = 0, chars = 0; i < text.len; i++) {
		if (((unsigned char)text.s[i] & 0xc0) != 0x80 && chars++ == mark.index) {
			return text.s[i];
		}
	}
	return '\0';
}

static void syntax_error(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;
	const char *problem = p->problem ? p->problem : "syntax error", *context = p->context;
	struct place at = place_of(r, p->problem_mark, p->problem_mark);

	r->stop = true;
	if (p->error == YAML_MEMORY_ERROR) {
		problem = "out of memory";
	} else if (p->error == YAML_READER_ERROR) {
		at = place_of_offset(r, p->problem_offset);
	}
	if (strcmp(problem, "found character that cannot start any token") == 0) {
		problem = char_at(r, p->problem_mark) == '\t'
		              ? "a tab cannot indent; use spaces"
		              : "this character cannot start a value; put the text in quotes";
	}
	for (size_t i = 0; i < ARRAY_LEN(translations); i++) {
		if (strcmp(problem, translations[i].problem) == 0 &&
		    (!translations[i].context ||
		     (context && strcmp(context, translations[i].context) == 0))) {
			problem = translations[i].text;
			break;
		}
	}
	problem_error(r->t->problems, at, "%s", problem);
}

static void on_event(struct reader *r, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (r->root) {
			fail(r, place_of(r, e->start_mark, e->end_mark),
			     "a second document (---) is not supported: one file, one document");
		}
		break;
	case YAML_SCALAR_EVENT:
		on_scalar(r, e);
		break;
	case YAML_SEQUENCE_START_EVENT:
	case YAML_MAPPING_START_EVENT:
		on_open(r, e);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		on_close(r);
		break;
	case YAML_ALIAS_EVENT:
		on_alias(r, e);
		break;
	default:
		break;
	}
}

struct node *tree_read(struct tree *t, uint32_t file)
{
	struct str text = t->problems->files[file].text;
	struct reader r = { .t = t, .file = file };
	yaml_event_t e;
	bool end = false;

	if (!yaml_parser_initialize(&r.parser)) {
		problem_error(t->problems, ((struct place){ .file = file }), "out of memory");
		return NULL;
	}
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.s ? text.s : ""),
	                             text.len);
	while (!end && !r.stop) {
		if (!yaml_parser_parse(&r.parser, &e)) {
			syntax_error(&r);
			break;
		}
		end = e.type == YAML_STREAM_END_EVENT;
		on_event(&r, &e);
		yaml_event_delete(&e);
	}
	yaml_parser_delete(&r.parser);
	return r.stop || (r.root && r.root->kind == NODE_NULL) ? NULL : r.root;
}
