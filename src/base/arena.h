/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory by lifetime: an arena is freed as a whole; a slab hands out objects of one size and keeps
 * the freed ones for the next. Neither is shared between threads.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena_block;

struct arena {
	struct arena_block *blocks;
	char *next;
	size_t left;
	size_t total; /* bytes taken from the system */
	size_t max;   /* 0: unlimited */
};

#define ARENA_INIT ((struct arena){ 0 })

/* Zeroed memory aligned to 16; NULL when out of memory or above max. */
void *arena_alloc(struct arena *a, size_t size);
/* A NUL-terminated copy; .s is NULL on failure. */
struct str arena_str(struct arena *a, struct str s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_free(struct arena *a);

struct slab {
	void *free;
	struct slab_block *blocks;
	size_t size;     /* of one object, bytes */
	size_t live;     /* objects handed out */
	size_t capacity; /* objects made */
};

void slab_init(struct slab *s, size_t object_size);
/* An object whose bytes are undefined; NULL when out of memory. */
void *slab_alloc(struct slab *s);
void slab_put(struct slab *s, void *object);
void slab_destroy(struct slab *s);

#endif
