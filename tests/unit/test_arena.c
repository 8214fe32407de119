/* SPDX-License-Identifier: Apache-2.0 */
/* Arenas and slabs: alignment, zeroing, limits, reuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/arena.h"

static void test_arena_aligned_and_zeroed(void **state)
{
	struct arena a = ARENA_INIT;

	(void)state;
	for (size_t size = 0; size < 300; size++) {
		unsigned char *p = arena_alloc(&a, size);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		for (size_t i = 0; i < size; i++) {
			assert_int_equal(p[i], 0);
		}
		memset(p, 0xff, size);
	}
	arena_free(&a);
	assert_null(a.blocks);
	assert_int_equal(a.total, 0);
}

static void test_arena_apart(void **state)
{
	struct arena a = ARENA_INIT;
	unsigned char *p[200];

	(void)state;
	for (unsigned i = 0; i < 200; i++) {
		p[i] = arena_alloc(&a, 100);
		memset(p[i], (int)i, 100);
	}
	for (unsigned i = 0; i < 200; i++) {
		for (unsigned j = 0; j < 100; j++) {
			assert_int_equal(p[i][j], i);
		}
	}
	arena_free(&a);
}

static void test_arena_large_keeps_block(void **state)
{
	struct arena a = ARENA_INIT;
	char *first = arena_alloc(&a, 16), *large = arena_alloc(&a, 1 << 20), *next;

	(void)state;
	assert_non_null(large);
	memset(large, 1, 1 << 20);
	next = arena_alloc(&a, 16);
	assert_ptr_equal(next, first + 16); /* the block begun is used up first */
	assert_true(a.total > 1 << 20);
	arena_free(&a);
}

static void test_arena_max(void **state)
{
	struct arena a = { .max = 10000 };
	unsigned n = 0;

	(void)state;
	while (arena_alloc(&a, 64) != NULL) {
		n++;
	}
	assert_true(n >= 100 && n < 10000 / 64);
	assert_true(a.total <= a.max);
	assert_null(arena_alloc(&a, SIZE_MAX));
	assert_null(arena_alloc(&a, SIZE_MAX - 8));
	arena_free(&a);
	assert_int_equal(a.max, 10000);
	assert_non_null(arena_alloc(&a, 64));
	arena_free(&a);
}

static void test_arena_text(void **state)
{
	struct arena a = ARENA_INIT;
	struct str s = arena_str(&a, str_n("hello world", 5));

	(void)state;
	assert_int_equal(s.len, 5);
	assert_string_equal(s.s, "hello");
	s = arena_str(&a, STR_NONE);
	assert_non_null(s.s);
	assert_string_equal(s.s, "");
	assert_string_equal(arena_printf(&a, "%s/%d", "web", 7), "web/7");
	arena_free(&a);
	a.max = 1;
	assert_null(arena_str(&a, STR("x")).s);
	assert_null(arena_printf(&a, "x"));
	arena_free(&a);
}

static void test_slab_reuses(void **state)
{
	struct slab s;
	void *a, *b;

	(void)state;
	slab_init(&s, 40);
	a = slab_alloc(&s);
	b = slab_alloc(&s);
	assert_non_null(a);
	assert_ptr_not_equal(a, b);
	assert_int_equal((uintptr_t)a % 16, 0);
	assert_int_equal((uintptr_t)b % 16, 0);
	assert_int_equal(s.live, 2);
	slab_put(&s, a);
	assert_ptr_equal(slab_alloc(&s), a);
	slab_put(&s, b);
	slab_put(&s, a);
	assert_int_equal(s.live, 0);
	slab_destroy(&s);
}

static void test_slab_many(void **state)
{
	static uint64_t *objects[10000];
	struct slab s;
	size_t capacity;

	(void)state;
	slab_init(&s, sizeof(uint64_t) * 3);
	for (unsigned i = 0; i < 10000; i++) {
		objects[i] = slab_alloc(&s);
		assert_non_null(objects[i]);
		objects[i][0] = objects[i][1] = objects[i][2] = i;
	}
	for (unsigned i = 0; i < 10000; i++) {
		assert_true(objects[i][0] == i && objects[i][1] == i && objects[i][2] == i);
	}
	assert_int_equal(s.live, 10000);
	capacity = s.capacity;
	assert_true(capacity >= 10000);
	for (unsigned i = 0; i < 10000; i++) {
		slab_put(&s, objects[i]);
	}
	for (unsigned i = 0; i < 10000; i++) {
		assert_non_null(slab_alloc(&s));
	}
	assert_int_equal(s.capacity, capacity);
	slab_destroy(&s);
	assert_int_equal(s.capacity, 0);
}

static void test_slab_small_and_large(void **state)
{
	struct slab s;
	char *p, *q;

	(void)state;
	slab_init(&s, 1);
	p = slab_alloc(&s);
	q = slab_alloc(&s);
	*p = 1;
	*q = 2;
	assert_int_equal(*p, 1);
	slab_destroy(&s);
	slab_init(&s, 1 << 20);
	p = slab_alloc(&s);
	q = slab_alloc(&s);
	memset(p, 1, 1 << 20);
	memset(q, 2, 1 << 20);
	assert_int_equal(p[(1 << 20) - 1], 1);
	slab_put(&s, p);
	slab_put(&s, q);
	slab_destroy(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arena_aligned_and_zeroed),
		cmocka_unit_test(test_arena_apart),
		cmocka_unit_test(test_arena_large_keeps_block),
		cmocka_unit_test(test_arena_max),
		cmocka_unit_test(test_arena_text),
		cmocka_unit_test(test_slab_reuses),
		cmocka_unit_test(test_slab_many),
		cmocka_unit_test(test_slab_small_and_large),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
