/* SPDX-License-Identifier: Apache-2.0 */
/* OpenSSL's memory: pieces that grow keep what they hold, and a thread leaves none behind. */
#include "rows.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "tls/memory.h"

#define MANY 200

static const size_t sizes[] = { 1, 15, 16, 17, 1023, 1024, 1025, 4160, 4161, 17408, 17409, 65536 };

static void test_growing(void **state)
{
	uint8_t *p = NULL;
	unsigned i;
	size_t k;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		p = OPENSSL_realloc(p, sizes[i]);
		assert_non_null(p);
		for (k = 0; i > 0 && k < sizes[i - 1]; k++)
			assert_int_equal(p[k], (uint8_t)(i - 1 + k));
		for (k = 0; k < sizes[i]; k++)
			p[k] = (uint8_t)(i + k);
	}
	OPENSSL_free(p);
	assert_null(OPENSSL_malloc(0));
}

static void *use(void *arg)
{
	void *v[MANY];
	unsigned i, k;

	for (i = 0; i < ARRAY_LEN(sizes); i++) {
		for (k = 0; k < MANY; k++) {
			v[k] = OPENSSL_malloc(sizes[i]);
			memset(v[k], 1, sizes[i]);
		}
		for (k = 0; k < MANY; k++)
			OPENSSL_free(v[k]);
	}
	return NULL;
}

static void test_threads_end(void **state)
{
	size_t first = 0, last;
	pthread_t thread;
	unsigned i;

	for (i = 0; i < 12; i++) {
		assert_int_equal(pthread_create(&thread, NULL, use, NULL), 0);
		assert_int_equal(pthread_join(thread, NULL), 0);
		last = mallinfo2().uordblks;
		if (i == 1) /* what the C library itself keeps of the first ones */
			first = last;
	}
	assert_true(last < first + 65536);
}

int main(void)
{
	static struct rows r;

	tls_memory_init();
	rows_add(&r, "a piece that grows keeps what it holds", test_growing, NULL);
	rows_add(&r, "a thread that ends leaves nothing behind", test_threads_end, NULL);
	return rows_run(&r, "memory of OpenSSL");
}
