/* SPDX-License-Identifier: Apache-2.0 */
/* Table-driven tests with cmocka: each row of a table is one test with a name of its own. */
#ifndef TESTS_ROWS_H
#define TESTS_ROWS_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define ROWS_MAX 512

struct rows {
	struct CMUnitTest tests[ROWS_MAX];
	size_t n;
};

static inline void rows_add(struct rows *r, const char *name, CMUnitTestFunction fn,
                            const void *row)
{
	if (r->n == ROWS_MAX)
		abort();
	r->tests[r->n++] = (struct CMUnitTest){ .name = name,
		                                .test_func = fn,
		                                .initial_state = (void *)(uintptr_t)row };
}

#define ROWS_ADD_TABLE(r, table, fn) \
	do { \
		for (size_t row_i = 0; row_i < sizeof(table) / sizeof((table)[0]); row_i++) \
			rows_add(r, (table)[row_i].name, fn, &(table)[row_i]); \
	} while (0)

static inline int rows_run(struct rows *r, const char *group)
{
	return _cmocka_run_group_tests(group, r->tests, r->n, NULL, NULL);
}

#endif
