/* SPDX-License-Identifier: Apache-2.0 */
/* Hashes: values of SipHash-1-3 computed by another implementation; spread of the quick one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/str.h"

static void test_siphash_vectors(void **state)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} cases[] = {
		{ 1, 0x44bc103b1f8540edULL },  { 7, 0xb1cd85cc334196faULL },
		{ 8, 0x884ccc87cb0e5fb0ULL },  { 9, 0x027ed508fe95acb3ULL },
		{ 15, 0x75e46d4257851550ULL }, { 16, 0xe05d12a0a4b2d063ULL },
		{ 63, 0x6bafe9f92616651bULL },
	};
	const uint8_t key[16] = { 0 };
	uint8_t data[63];

	(void)state;
	for (unsigned i = 0; i < sizeof(data); i++) {
		data[i] = (uint8_t)(i + 1);
	}
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_true(hash_keyed(key, data, cases[i].len) == cases[i].hash);
	}
}

static void test_siphash_key(void **state)
{
	uint8_t key[16];

	(void)state;
	for (unsigned i = 0; i < 16; i++) {
		key[i] = (uint8_t)i;
	}
	/* First of the reference's vectors, key 00 … 0f and no data. */
	assert_true(hash_keyed(key, "", 0) == 0xabac0158050fc4dcULL);
	for (unsigned i = 0; i < 16; i++) {
		uint64_t before = hash_keyed(key, "name", 4);

		key[i] ^= 0x80;
		assert_true(hash_keyed(key, "name", 4) != before);
	}
}

static void test_bytes_stable(void **state)
{
	uint64_t a = hash_bytes(1, "web/web1", 8);

	(void)state;
	assert_true(a == hash_bytes(1, "web/web1", 8));
	assert_true(a != hash_bytes(2, "web/web1", 8));
	assert_true(a != hash_bytes(1, "web/web2", 8));
	assert_true(hash_bytes(1, "a", 1) != hash_bytes(1, "a\0", 2));
	assert_true(hash_bytes(1, "", 0) != hash_bytes(1, "\0", 1));
	assert_true(hash_bytes(0, "\0\0\0\0\0\0\0\0", 8) != hash_bytes(0, "\0\0\0\0\0\0\0", 7));
}

/* 64,000 similar names over 1,024 places: about 62 each, none far from it. */
static void test_bytes_spread(void **state)
{
	static unsigned low[1024], high[1024];
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 64000; i++) {
		size_t n = 12;
		uint64_t h;

		memcpy(name, "pool/srv", 8);
		memcpy(name + 8, &i, 4);
		h = hash_bytes(7, name, n);
		low[h % 1024]++;
		high[h >> 54]++;
	}
	for (unsigned i = 0; i < 1024; i++) {
		assert_in_range(low[i], 20, 130);
		assert_in_range(high[i], 20, 130);
	}
}

static void test_mix(void **state)
{
	unsigned flipped = 0;

	(void)state;
	for (unsigned bit = 0; bit < 64; bit++) {
		flipped +=
		    (unsigned)__builtin_popcountll(hash_mix(12345) ^ hash_mix(12345 ^ 1ULL << bit));
	}
	assert_in_range(flipped / 64, 26, 38); /* half of the bits */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_siphash_vectors),
		cmocka_unit_test(test_siphash_key),
		cmocka_unit_test(test_bytes_stable),
		cmocka_unit_test(test_bytes_spread),
		cmocka_unit_test(test_mix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
