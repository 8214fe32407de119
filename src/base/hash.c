/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hashes: SipHash-1-3 (Aumasson and Bernstein, 2012, with one round a word and three at the end)
 * for tables that strangers fill, and a quick multiplying one for our own names. Pure functions.
 */
#include "base/str.h"

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static inline uint64_t load64(const uint8_t *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	v = __builtin_bswap64(v);
#endif
	return v;
}

/* The last len (0 … 7) bytes, little-endian. */
static inline uint64_t load_tail(const uint8_t *p, size_t len)
{
	uint64_t v = 0;

	for (size_t i = 0; i < len; i++) {
		v |= (uint64_t)p[i] << (8 * i);
	}
	return v;
}

static inline void sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotl(s->v1, 13) ^ s->v0;
	s->v0 = rotl(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotl(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotl(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotl(s->v1, 17) ^ s->v2;
	s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t m)
{
	s->v3 ^= m;
	sip_round(s);
	s->v0 ^= m;
}

uint64_t hash_keyed(const uint8_t key[16], const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t k0 = load64(key), k1 = load64(key + 8);
	struct sip s = { k0 ^ 0x736f6d6570736575ULL, k1 ^ 0x646f72616e646f6dULL,
		         k0 ^ 0x6c7967656e657261ULL, k1 ^ 0x7465646279746573ULL };
	size_t left = len;

	for (; left >= 8; left -= 8, p += 8) {
		sip_word(&s, load64(p));
	}
	sip_word(&s, load_tail(p, left) | (uint64_t)len << 56);
	s.v2 ^= 0xff;
	for (int i = 0; i < 3; i++) {
		sip_round(&s);
	}
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/* Both halves of the 128-bit product, folded. */
static inline uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t hash_bytes(uint64_t seed, const void *data, size_t len)
{
	const uint8_t *p = data;
	uint64_t h = hash_mix(seed + 0x9e3779b97f4a7c15ULL);
	size_t left = len;

	for (; left >= 8; left -= 8, p += 8) {
		h = fold(h ^ load64(p), 0xd6e8feb86659fd93ULL) + 0x9e3779b97f4a7c15ULL;
	}
	h = fold(h ^ load_tail(p, left), 0xa0761d6478bd642fULL | 1);
	return hash_mix(h ^ (uint64_t)len);
}
