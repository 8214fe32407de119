/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A YAML file as a tree of nodes that know their places. Anchors, aliases, tags, duplicate keys and
 * second documents are errors; depth, number of nodes and size are limited.
 */
#ifndef CONF_TREE_H
#define CONF_TREE_H

#include "conf/problem.h"

#define TREE_MAX_DEPTH 32
#define TREE_MAX_NODES 400000             /* of all files together */
#define TREE_MAX_FILE  (16 * 1024 * 1024) /* bytes of one file */

enum node_kind {
	NODE_NULL, /* nothing was written */
	NODE_TEXT,
	NODE_LIST,
	NODE_MAP,
	NODE_BAD, /* a problem was reported: readers skip it in silence */
};

struct node {
	enum node_kind kind;
	bool plain;     /* text without quotes */
	bool faulty;    /* a problem was reported in it: what follows from it is not */
	uint32_t n;     /* children */
	struct str key; /* in a map; NUL-terminated */
	struct place key_at;
	struct place at; /* of the value */
	struct str text; /* NUL-terminated */
	struct node *first, *last, *next;
};

struct tree {
	struct arena *arena;
	struct problem_list *problems;
	uint32_t nodes; /* made so far */
};

/*
 * Reads files[file] of the problem list. Returns the root; NULL after a syntax error or a limit
 * (reported) and for a file without content (not reported).
 */
struct node *tree_read(struct tree *t, uint32_t file);
/* The child with that key; NULL when there is none or n is no map. */
struct node *node_get(const struct node *n, const char *key);
/* What a node is, for messages: "a list", "a map", "nothing", "text". */
const char *node_what(const struct node *n);
/* Puts a child at the end. */
void node_append(struct node *parent, struct node *child);

#endif
