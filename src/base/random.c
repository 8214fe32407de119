/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random numbers: a generator of its own for each thread (xoshiro256**, Blackman and Vigna, 2018),
 * and bytes from the kernel for what must not be guessed.
 */
#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/random.h>

#include "base/check.h"

struct generator {
	uint64_t s[4];
	bool seeded;
};

static __thread struct generator mine;

static inline uint64_t rotl(uint64_t x, unsigned n)
{
	return x << n | x >> (64 - n);
}

uint64_t random_u64(void)
{
	uint64_t *s = mine.s;
	uint64_t result, t;

	if (unlikely(!mine.seeded)) {
		random_secret(s, sizeof(mine.s));
		s[0] |= 1; /* the state must not be all zero */
		mine.seeded = true;
	}
	result = rotl(s[1] * 5, 7) * 9;
	t = s[1] << 17;
	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotl(s[3], 45);
	return result;
}

/* The high half of a product, without the part that would be uneven (Lemire, 2019). */
uint64_t random_below(uint64_t bound)
{
	unsigned __int128 product;
	uint64_t uneven;

	CHECK(bound > 0);
	product = (unsigned __int128)random_u64() * bound;
	if ((uint64_t)product < bound) {
		uneven = -bound % bound;
		while ((uint64_t)product < uneven) {
			product = (unsigned __int128)random_u64() * bound;
		}
	}
	return (uint64_t)(product >> 64);
}

void random_secret(void *out, size_t len)
{
	unsigned char *p = out;

	while (len > 0) {
		ssize_t n = getrandom(p, len, 0);

		if (n < 0) {
			CHECK(errno == EINTR); /* nothing else can happen to a valid buffer */
			continue;
		}
		p += n;
		len -= (size_t)n;
	}
}
