/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arenas (freed as a whole) and slabs (objects of one size, reused). One owner, one thread each.
 * Under the address sanitizer a freed slab object is poisoned, so that its later use is reported.
 */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAVE_ASAN 1
#endif
#elif defined(__SANITIZE_ADDRESS__)
#define HAVE_ASAN 1
#endif
#ifdef HAVE_ASAN
#include <sanitizer/asan_interface.h>
#define POISON(p, n)   ASAN_POISON_MEMORY_REGION(p, n)
#define UNPOISON(p, n) ASAN_UNPOISON_MEMORY_REGION(p, n)
#else
#define POISON(p, n)   ((void)0)
#define UNPOISON(p, n) ((void)0)
#endif

#define ALIGN       16
#define BLOCK_FIRST 4096
#define BLOCK_LAST  65536

struct arena_block {
	struct arena_block *older;
	char bytes[] __attribute__((aligned(ALIGN)));
};

static size_t align_up(size_t n)
{
	return (n + ALIGN - 1) & ~(size_t)(ALIGN - 1);
}

/* A zeroed block with room for `size` bytes; NULL when out of memory or above max. */
static struct arena_block *block_new(struct arena *a, size_t size)
{
	size_t total = sizeof(struct arena_block) + size;
	struct arena_block *block;

	if (a->max != 0 && (a->total >= a->max || total > a->max - a->total)) {
		return NULL;
	}
	block = calloc(1, total);
	if (block != NULL) {
		a->total += total;
		block->older = a->blocks;
		a->blocks = block;
	}
	return block;
}

void *arena_alloc(struct arena *a, size_t size)
{
	struct arena_block *block;
	size_t room;
	void *p;

	if (size > SIZE_MAX / 2) {
		return NULL;
	}
	size = size == 0 ? ALIGN : align_up(size);
	if (size > a->left) {
		room = MIN(MAX(a->total, (size_t)BLOCK_FIRST), (size_t)BLOCK_LAST) -
		       sizeof(struct arena_block);
		block = size <= room / 4 ? block_new(a, room) : NULL;
		if (block == NULL) { /* large, or max is near: a block of its own */
			block = block_new(a, size);
			return block != NULL ? block->bytes : NULL;
		}
		a->next = block->bytes;
		a->left = room;
	}
	p = a->next;
	a->next += size;
	a->left -= size;
	return p;
}

struct str arena_str(struct arena *a, struct str s)
{
	char *p = s.len < SIZE_MAX ? arena_alloc(a, s.len + 1) : NULL;

	if (p == NULL) {
		return STR_NONE;
	}
	if (s.len > 0) {
		memcpy(p, s.s, s.len);
	}
	return str_n(p, s.len);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;
	char *p;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	p = n >= 0 ? arena_alloc(a, (size_t)n + 1) : NULL;
	if (p != NULL) {
		va_start(ap, fmt);
		vsnprintf(p, (size_t)n + 1, fmt, ap);
		va_end(ap);
	}
	return p;
}

void arena_free(struct arena *a)
{
	size_t max = a->max;

	while (a->blocks != NULL) {
		struct arena_block *block = a->blocks;

		a->blocks = block->older;
		free(block);
	}
	*a = ARENA_INIT;
	a->max = max;
}

struct slab_block {
	struct slab_block *older;
	char bytes[] __attribute__((aligned(ALIGN)));
};

void slab_init(struct slab *s, size_t object_size)
{
	CHECK(object_size > 0 && object_size < SIZE_MAX / 2);
	*s = (struct slab){ .size = align_up(object_size) };
}

/* Doubles with what there is, from one page's worth to 256 KiB at a time. */
static bool slab_grow(struct slab *s)
{
	size_t bytes = MIN(MAX(s->capacity * s->size, (size_t)BLOCK_FIRST), (size_t)BLOCK_LAST * 4);
	size_t n = MAX(bytes / s->size, (size_t)1);
	struct slab_block *block = malloc(sizeof(*block) + n * s->size);

	if (block == NULL) {
		return false;
	}
	block->older = s->blocks;
	s->blocks = block;
	s->capacity += n;
	for (size_t i = n; i-- > 0;) {
		void *object = block->bytes + i * s->size;

		*(void **)object = s->free;
		s->free = object;
		POISON(object, s->size);
	}
	return true;
}

void *slab_alloc(struct slab *s)
{
	void *object;

	if (unlikely(s->free == NULL) && !slab_grow(s)) {
		return NULL;
	}
	object = s->free;
	UNPOISON(object, s->size);
	s->free = *(void **)object;
	s->live++;
	return object;
}

void slab_put(struct slab *s, void *object)
{
	CHECK(s->live > 0);
	s->live--;
	*(void **)object = s->free;
	s->free = object;
	POISON(object, s->size);
}

void slab_destroy(struct slab *s)
{
	size_t size = s->size;

	while (s->blocks != NULL) {
		struct slab_block *block = s->blocks;

		s->blocks = block->older;
		free(block);
	}
	*s = (struct slab){ .size = size };
}
