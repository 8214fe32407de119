/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over a configuration: one visit of every block that lies outside its struct, driven by
 * the schema rows, in the same order each time. It measures, packs, or relocates an image; so a
 * pointer of a foreign image is right exactly when it is the next position of the walk, and blocks
 * can neither overlap nor lie outside.
 */
#ifndef CONF_WALK_H
#define CONF_WALK_H

#include "conf/schema.h"

enum walk_mode { WALK_MEASURE, WALK_PACK, WALK_MAP };

struct walk {
	enum walk_mode mode;
	char *base;
	size_t pos;
	size_t size;
	bool bad;
};

/* Where the next block begins. */
static inline size_t walk_align(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

/*
 * Visits a block that *pointer points at: returns where it lies for the walk to go on in it. NULL
 * when the image is broken or the block is empty.
 */
void *walk_block(struct walk *w, const void *pointer, size_t count, size_t size);
void walk_str(struct walk *w, struct str *s);
void walk_list(struct walk *w, struct conf_list *l);
/* Marks a mapped image as broken unless `well`. */
void walk_check(struct walk *w, bool well);
/* Whether the walk is over a foreign image, so that values need checking. */
bool walk_foreign(const struct walk *w);
/* Goes over the members of an object. */
void walk_rows(struct walk *w, const struct rows *rows, void *object);
/* Goes over an array of row->sub. Its items lie there, row->with of the object has their number;
 * NULL: it is empty or broken. */
char *walk_items(struct walk *w, const struct row *row, void *object);

#endif
