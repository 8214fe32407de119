/* SPDX-License-Identifier: Apache-2.0 */
/* Included files: patterns, depth, joining of maps. */
#include "conf/include.h"

#include <glob.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#define MAX_LEVELS 3

static const struct row include_row = { .name = "include", .type = &type_list, .flags = ROW_ONE };

/* Whether a key of the root is a map of named things, which files may share. */
static bool is_shared(struct str key)
{
	for (const struct row *r = schema_root.v; r->name; r++) {
		if (r->type == &type_map && str_eq(str_from(r->name), key)) {
			return true;
		}
	}
	return false;
}

static void twice(struct load *l, const struct node *a, const struct node *b)
{
	problem_error(l->problems, b->key_at, "\"%.*s\" is defined in %s:%u already",
	              (int)MIN(b->key.len, 80), b->key.s, l->problems->files[a->key_at.file].path,
	              a->key_at.line);
}

/* Moves the children of `from` to the end of `to`; names that `to` has are errors. */
static void join(struct load *l, struct node *to, struct node *from)
{
	uint64_t seed = random_u64(), mask = 16;
	struct node **table, *next;

	while (mask < (to->n + (uint64_t)from->n) * 2) {
		mask *= 2;
	}
	table = calloc(mask, sizeof(struct node *));
	if (!table) {
		problem_error(l->problems, from->at, "out of memory");
		return;
	}
	mask--;
	for (struct node *n = to->first; n; n = n->next) {
		uint64_t i = hash_bytes(seed, n->key.s, n->key.len) & mask;

		while (table[i]) {
			i = (i + 1) & mask;
		}
		table[i] = n;
	}
	for (struct node *n = from->first; n; n = next) {
		uint64_t i = hash_bytes(seed, n->key.s, n->key.len) & mask;

		next = n->next;
		while (table[i] && !str_eq(table[i]->key, n->key)) {
			i = (i + 1) & mask;
		}
		if (table[i]) {
			twice(l, table[i], n);
		} else {
			node_append(to, n);
		}
	}
	free(table);
}

static void merge(struct load *l, struct node *root, struct node *file)
{
	struct node *next;

	for (struct node *n = file->first; n; n = next) {
		struct node *have = NULL;

		next = n->next;
		if (str_eq(n->key, STR("include"))) {
			continue;
		}
		for (struct node *i = root->first; i && !have; i = i->next) {
			have = str_eq(i->key, n->key) ? i : NULL;
		}
		if (!have) {
			node_append(root, n);
		} else if (is_shared(n->key) && have->kind == NODE_MAP && n->kind == NODE_MAP) {
			join(l, have, n);
		} else if (is_shared(n->key) && have->kind == NODE_NULL) {
			have->kind = n->kind;
			have->first = n->first;
			have->last = n->last;
			have->n = n->n;
			have->at = n->at;
		} else if (!is_shared(n->key) || n->kind != NODE_NULL) {
			twice(l, have, n);
		}
	}
}

static bool is_known(const struct load *l, const char *path)
{
	char *real = realpath(path, NULL), *other;
	bool same = false;

	for (uint32_t i = 0; real && !same && i < l->problems->nfiles; i++) {
		other = realpath(l->problems->files[i].path, NULL);
		same = other && strcmp(real, other) == 0;
		free(other);
	}
	free(real);
	return same;
}

static void include_from(struct load *l, struct tree *t, struct node *root, struct node *file,
                         unsigned level);

static void include_file(struct load *l, struct tree *t, struct node *root, const struct node *n,
                         const char *path, unsigned level)
{
	struct node *file;

	if (is_known(l, path)) {
		problem_error(l->problems, n->at, "%s is included twice", path);
		return;
	}
	file = load_source(l, t, path, n->at);
	if (file) {
		merge(l, root, file);
		include_from(l, t, root, file, level + 1);
	}
}

static void include_pattern(struct load *l, struct tree *t, struct node *root, const struct node *n,
                            struct str pattern, unsigned level)
{
	const char *base = l->problems->files[n->at.file].path, *slash = strrchr(base, '/');
	const char *full = pattern.s;
	glob_t found;
	int err;

	if (pattern.len == 0) {
		problem_error(l->problems, n->at, "an empty pattern includes nothing");
		return;
	}
	if (pattern.s[0] != '/' && slash) {
		full = arena_printf(l->arena, "%.*s/%s", (int)(slash - base), base, pattern.s);
	}
	if (!full) {
		return;
	}
	err = glob(full, 0, NULL, &found);
	if (err == GLOB_NOMATCH && !strpbrk(pattern.s, "*?[")) {
		problem_error(l->problems, n->at, "there is no file %s", full);
	} else if (err == GLOB_NOMATCH) {
		problem_warning(l->problems, n->at, "no file matches %s", full);
	} else if (err) {
		problem_error(l->problems, n->at, "cannot read %s", full);
	}
	for (size_t i = 0; err == 0 && i < found.gl_pathc; i++) {
		include_file(l, t, root, n, found.gl_pathv[i], level);
	}
	if (err == 0) {
		globfree(&found);
	}
}

static void include_from(struct load *l, struct tree *t, struct node *root, struct node *file,
                         unsigned level)
{
	const struct node *n = node_get(file, "include");
	struct str pattern;

	if (!n || n->kind == NODE_BAD || load_items(l, &include_row, n) == 0) {
		return;
	}
	if (l->offline || level > MAX_LEVELS) {
		problem_error(l->problems, n->key_at,
		              l->offline ? "files are not included here"
		                         : "included files may include others three levels deep");
		return;
	}
	for (const struct node *i = load_item_first(n); i; i = load_item_next(n, i)) {
		if (load_text(l, &include_row, i, &pattern)) {
			include_pattern(l, t, root, i, pattern, level);
		}
	}
}

void include_all(struct load *l, struct tree *t, struct node *root)
{
	include_from(l, t, root, root, 1);
}
