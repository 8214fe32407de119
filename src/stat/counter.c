/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The counters of one object: requests by method and status, latencies, sums. A block has one
 * writer, a thread of a proxy; readers in any process may look at any time.
 */
#include <math.h>

#include "base/check.h"
#include "base/clock.h"
#include "stat/board.h"

const uint32_t stat_bucket_us[STAT_BUCKETS] = { 1000,    2000,    3000,    5000,    10000,
	                                        20000,   50000,   100000,  200000,  500000,
	                                        1000000, 2000000, 5000000, 10000000 };

const char *const stat_method_name[STAT_METHODS] = { "GET",    "HEAD",  "POST",    "PUT",
	                                             "DELETE", "PATCH", "OPTIONS", "other" };

#define KEY_SHIFT  48
#define COUNT_MASK ((1ULL << KEY_SHIFT) - 1)

/* The last entries are kept for the classes of what finds no entry of its own: some for a method
 * and class, at last one for each class of any method (1xx … 5xx and the rest). */
#define KEPT_ALL   6
#define KEPT_CLASS 10

static uint64_t make_key(enum stat_method method, unsigned status)
{
	return (uint64_t)method << 12 | status;
}

/* Status codes from 600 on share one class: no more than KEPT_ALL of them. */
static unsigned class_of(unsigned status)
{
	return status < 600 ? status / 100 * 100 + 99 : 999;
}

static unsigned used_entries(const uint64_t codes[STAT_CODES])
{
	unsigned n = 0;

	for (unsigned i = 0; i < STAT_CODES; i++) {
		n += stat_get(&codes[i]) != 0;
	}
	return n;
}

/* Counts n under the key; false when it has no entry and fewer than `kept` would stay free. */
static bool count(uint64_t codes[STAT_CODES], uint64_t key, uint64_t n, unsigned kept)
{
	unsigned i = (unsigned)hash_mix(key) % STAT_CODES;

	for (unsigned tries = 0; tries < STAT_CODES; tries++, i = (i + 1) % STAT_CODES) {
		uint64_t entry = stat_get(&codes[i]);

		if (entry >> KEY_SHIFT == key) {
			stat_add(&codes[i], n);
			return true;
		}
		if (entry == 0) {
			if (used_entries(codes) + kept >= STAT_CODES) {
				return false;
			}
			__atomic_store_n(&codes[i], key << KEY_SHIFT | n, __ATOMIC_RELAXED);
			return true;
		}
	}
	return false;
}

static void count_code(uint64_t codes[STAT_CODES], enum stat_method method, unsigned status,
                       uint64_t n)
{
	unsigned class = class_of(status);

	if (!count(codes, make_key(method, status), n, KEPT_CLASS) &&
	    !count(codes, make_key(method, class), n, KEPT_ALL)) {
		count(codes, make_key(STAT_OTHER, class), n, 0);
	}
}

unsigned stat_bucket(uint64_t us)
{
	unsigned i = 0;

	while (i < STAT_BUCKETS && us > stat_bucket_us[i]) {
		i++;
	}
	return i;
}

void stat_request(struct stat_block *b, enum stat_method method, unsigned status, uint64_t ns)
{
	uint64_t us = ns / NS_PER_US;

	count_code(b->codes, method, status >= 100 && status <= 999 ? status : 999, 1);
	/* Rounded up: what took longer than a bound does not count as within it. */
	stat_add(&b->latency[stat_bucket((ns + NS_PER_US - 1) / NS_PER_US)], 1);
	stat_add(&b->latency_sum_us, us);
}

void stat_sum(struct stat_block *sum, const struct stat_block *b)
{
	for (unsigned i = 0; i < STAT_CODES; i++) {
		uint64_t entry = stat_get(&b->codes[i]);
		uint64_t key = entry >> KEY_SHIFT;

		if (entry != 0) {
			count_code(sum->codes, (enum stat_method)(key >> 12),
			           (unsigned)(key & 0xfff), entry & COUNT_MASK);
		}
	}
	for (unsigned i = 0; i <= STAT_BUCKETS; i++) {
		sum->latency[i] += stat_get(&b->latency[i]);
	}
	sum->latency_sum_us += stat_get(&b->latency_sum_us);
	for (unsigned i = 0; i < STAT_COUNTERS; i++) {
		sum->c[i] += stat_get(&b->c[i]);
	}
}

double stat_quantile(const uint64_t latency[STAT_BUCKETS + 1], double q)
{
	uint64_t total = 0, below = 0;
	double rank, low, share;

	for (unsigned i = 0; i <= STAT_BUCKETS; i++) {
		total += latency[i];
	}
	if (total == 0) {
		return 0;
	}
	rank = fmin(fmax(q, 0), 1) * (double)total;
	for (unsigned i = 0; i < STAT_BUCKETS; i++) {
		if (latency[i] > 0 && (double)(below + latency[i]) >= rank) {
			low = i > 0 ? stat_bucket_us[i - 1] : 0;
			share = (rank - (double)below) / (double)latency[i];
			return low + ((double)stat_bucket_us[i] - low) * fmax(share, 0);
		}
		below += latency[i];
	}
	return stat_bucket_us[STAT_BUCKETS - 1]; /* beyond the last bound nothing is known */
}
