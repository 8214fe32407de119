/* SPDX-License-Identifier: Apache-2.0 */
/* The balancing algorithms: exact and statistical distributions with fixed seeds, consistent
 * hashing's movement, and the weights that the states give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/balance.h"
#include "stat/board.h"

#define MAX_SERVERS 10000

static struct conf_server servers[MAX_SERVERS];
static char names[MAX_SERVERS][24];
static struct conf_pool pool;
static uint16_t weights[MAX_SERVERS];
static uint64_t words[MAX_SERVERS];
static uint32_t loads[MAX_SERVERS];
static bool skips[MAX_SERVERS];
static unsigned counts[MAX_SERVERS];
static unsigned skip_calls;

static void pool_of(enum conf_balance algorithm, unsigned n)
{
	memset(&pool, 0, sizeof(pool));
	memset(servers, 0, sizeof(servers));
	memset(loads, 0, sizeof(loads));
	memset(skips, 0, sizeof(skips));
	memset(counts, 0, sizeof(counts));
	for (unsigned i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "server%u", i);
		servers[i].name = str_from(names[i]);
		servers[i].weight = 1;
		weights[i] = 100;
		words[i] = (union server_word){ .state = SERVER_UP, .ramp = 100 }.word;
	}
	pool.balance = algorithm;
	pool.servers = servers;
	pool.nservers = n;
}

static struct balance *make(uint64_t seed)
{
	struct balance *b = balance_new(&pool, seed);

	assert_non_null(b);
	balance_update(b, weights);
	return b;
}

static bool is_skipped(void *arg, unsigned server)
{
	assert_in_range(server, 0, pool.nservers - 1);
	skip_calls++;
	return skips[server];
}

static uint32_t load(void *arg, unsigned server)
{
	assert_in_range(server, 0, pool.nservers - 1);
	return loads[server];
}

static int pick_hash(struct balance *b, uint64_t hash)
{
	return balance_pick(b, &(struct balance_pick){
	                           .hash = hash, .skip = is_skipped, .load = load });
}

static int pick(struct balance *b)
{
	return pick_hash(b, 0);
}

static void pick_many(struct balance *b, unsigned n)
{
	memset(counts, 0, sizeof(counts));
	for (unsigned i = 0; i < n; i++) {
		int s = pick(b);

		assert_in_range(s, 0, pool.nservers - 1);
		counts[s]++;
	}
}

/* Keys as a proxy makes them: hashes. */
static uint64_t key(uint64_t i)
{
	return hash_mix(i + 1) | 1;
}

/* --- round robin --- */

static void rr_smooth_order(void **state)
{
	static const char want[] = "0102010";
	struct balance *b;

	pool_of(BALANCE_ROUND_ROBIN, 3);
	weights[0] = 400;
	weights[1] = 200;
	weights[2] = 100;
	b = make(0);
	/* The heaviest never waits for more than one other, whatever the beginning of ties. */
	for (unsigned round = 0; round < 5; round++) {
		char got[8] = "";

		for (unsigned i = 0; i < 7; i++) {
			int s = pick(b);

			got[i] = (char)('0' + s);
			counts[s]++;
		}
		assert_null(strstr(got, "11"));
		assert_null(strstr(got, "22"));
		assert_int_equal(strlen(got), strlen(want));
	}
	assert_int_equal(counts[0], 20);
	assert_int_equal(counts[1], 10);
	assert_int_equal(counts[2], 5);
	balance_free(b);
}

static void rr_exact(unsigned n, unsigned kinds)
{
	unsigned sum = 0;
	struct balance *b;

	pool_of(BALANCE_ROUND_ROBIN, n);
	for (unsigned i = 0; i < n; i++) {
		weights[i] = (uint16_t)(1 + i % kinds);
		sum += weights[i];
	}
	b = make(42);
	for (unsigned round = 0; round < 20; round++) {
		pick_many(b, sum);
		for (unsigned i = 0; i < n; i++)
			assert_int_equal(counts[i], weights[i]);
	}
	balance_free(b);
}

static void rr_exact_small(void **state)
{
	for (unsigned n = 1; n <= 64; n++)
		rr_exact(n, 5);
}

static void rr_exact_large(void **state)
{
	rr_exact(65, 1);
	rr_exact(65, 7);
	rr_exact(100, 13);
	rr_exact(1000, 3);
	rr_exact(5000, 11);
}

static void rr_even_spacing_large(void **state)
{
	unsigned last = 0;
	struct balance *b;

	/* One server of 99 in 198 units: every second pick, give or take one. */
	pool_of(BALANCE_ROUND_ROBIN, 100);
	for (unsigned i = 0; i < 100; i++)
		weights[i] = 1;
	weights[7] = 99;
	b = make(1);
	for (unsigned i = 0; i < 2000; i++) {
		if (pick(b) == 7) {
			assert_true(i - last <= 101);
			last = i;
			counts[7]++;
		}
	}
	assert_in_range(counts[7], 990, 1010);
	balance_free(b);
}

static void rr_zero_weight_takes_nothing(void **state)
{
	static const unsigned sizes[] = { 3, 64, 65, 300 };

	for (unsigned k = 0; k < ARRAY_LEN(sizes); k++) {
		struct balance *b;

		pool_of(BALANCE_ROUND_ROBIN, sizes[k]);
		weights[1] = 0;
		b = make(3);
		pick_many(b, 10 * (sizes[k] - 1));
		assert_int_equal(counts[1], 0);
		assert_int_equal(counts[0], 10);
		assert_int_equal(counts[2], 10);
		balance_free(b);
	}
}

static void rr_no_burst_after_return(void **state)
{
	static const unsigned sizes[] = { 4, 100 };

	for (unsigned k = 0; k < ARRAY_LEN(sizes); k++) {
		unsigned n = sizes[k];
		struct balance *b;

		/* Down for long, or full for long: it comes back to its share, not to a flood. */
		pool_of(BALANCE_ROUND_ROBIN, n);
		b = make(5);
		pick_many(b, 100 * n);
		weights[0] = 0;
		balance_update(b, weights);
		pick_many(b, 1000 * n);
		assert_int_equal(counts[0], 0);
		weights[0] = 100;
		balance_update(b, weights);
		pick_many(b, 10 * n);
		assert_in_range(counts[0], 8, 12);
		skips[0] = true;
		pick_many(b, 1000 * n);
		assert_int_equal(counts[0], 0);
		skips[0] = false;
		pick_many(b, 10 * n);
		assert_in_range(counts[0], 8, 12);
		balance_free(b);
	}
}

static void rr_flapping_does_not_starve(void **state)
{
	static const unsigned sizes[] = { 5, 80 };

	for (unsigned k = 0; k < ARRAY_LEN(sizes); k++) {
		unsigned n = sizes[k], total[80] = { 0 };
		struct balance *b;

		pool_of(BALANCE_ROUND_ROBIN, n);
		b = make(6);
		for (unsigned i = 0; i < 400; i++) {
			weights[0] = i % 2 == 0 ? 0 : 100;
			balance_update(b, weights);
			pick_many(b, 10 * n + i % 7);
			for (unsigned s = 0; s < n; s++)
				total[s] += counts[s];
		}
		/* Half of the time: about 2000; the others about 4000 and their part of the rest.
		 */
		assert_in_range(total[0], 1700, 2300);
		for (unsigned s = 1; s < n; s++)
			assert_in_range(total[s], 3800, 5000);
		balance_free(b);
	}
}

static void rr_ramp_shares(void **state)
{
	static const unsigned sizes[] = { 4, 100 };

	for (unsigned k = 0; k < ARRAY_LEN(sizes); k++) {
		unsigned n = sizes[k], got = 0, want = 0;
		struct balance *b;

		pool_of(BALANCE_ROUND_ROBIN, n);
		b = make(8);
		/* A slow start in steps of five percent, each with few picks. */
		for (unsigned ramp = 5; ramp <= 100; ramp += 5) {
			weights[2] = (uint16_t)ramp;
			balance_update(b, weights);
			pick_many(b, 4 * n);
			got += counts[2];
			want += 4 * n * ramp / ((n - 1) * 100 + ramp);
		}
		assert_in_range(got, want * 6 / 10, want * 15 / 10);
		balance_free(b);
	}
}

static void rr_threads_start_apart(void **state)
{
	static const unsigned sizes[] = { 16, 100 };

	for (unsigned k = 0; k < ARRAY_LEN(sizes); k++) {
		unsigned first[100] = { 0 }, different = 0;

		pool_of(BALANCE_ROUND_ROBIN, sizes[k]);
		for (uint64_t seed = 1; seed <= 64; seed++) {
			struct balance *b = make(seed);

			first[pick(b)]++;
			balance_free(b);
		}
		for (unsigned i = 0; i < 100; i++)
			different += first[i] > 0;
		assert_true(different >= 10);
	}
}

static void rr_most_skipped_large(void **state)
{
	struct balance *b;

	pool_of(BALANCE_ROUND_ROBIN, 1000);
	for (unsigned i = 0; i < 1000; i++)
		skips[i] = i != 137 && i != 821;
	b = make(11);
	pick_many(b, 2000);
	assert_int_equal(counts[137] + counts[821], 2000);
	assert_in_range(counts[137], 300, 1700);
	/* Nothing of the heap was lost over it. */
	memset(skips, 0, sizeof(skips));
	pick_many(b, 3000);
	for (unsigned i = 0; i < 1000; i++)
		assert_in_range(counts[i], 1, 5);
	balance_free(b);
}

static void rr_is_cheap_with_many(void **state)
{
	struct balance *b;
	uint64_t start;

	pool_of(BALANCE_ROUND_ROBIN, 10000);
	b = make(1);
	start = clock_mono();
	for (unsigned i = 0; i < 100000; i++)
		assert_true(pick(b) >= 0);
	/* About 0.1 s; a linear pick would take ten and more. */
	assert_true(clock_mono() - start < 5 * NS_PER_S);
	balance_free(b);
}

/* --- least connections --- */

static void lc_takes_the_least(void **state)
{
	struct balance *b;

	pool_of(BALANCE_LEAST_CONN, 5);
	b = make(1);
	for (unsigned i = 0; i < 5; i++)
		loads[i] = 10;
	loads[3] = 9;
	pick_many(b, 50);
	assert_int_equal(counts[3], 50);
	balance_free(b);
}

static void lc_by_weight(void **state)
{
	struct balance *b;

	pool_of(BALANCE_LEAST_CONN, 3);
	weights[0] = 100;
	weights[1] = 300;
	weights[2] = 600;
	b = make(2);
	for (unsigned i = 0; i < 1000; i++) {
		int s = pick(b);

		loads[s]++;
	}
	assert_in_range(loads[0], 99, 101);
	assert_in_range(loads[1], 299, 301);
	assert_in_range(loads[2], 599, 601);
	balance_free(b);
}

static void lc_ties_at_random_by_weight(void **state)
{
	struct balance *b;

	pool_of(BALANCE_LEAST_CONN, 4);
	weights[3] = 300;
	b = make(3);
	pick_many(b, 60000);
	assert_in_range(counts[0], 9500, 10500);
	assert_in_range(counts[1], 9500, 10500);
	assert_in_range(counts[2], 9500, 10500);
	assert_in_range(counts[3], 29400, 30600);
	balance_free(b);
}

static void lc_skips_and_zero_weights(void **state)
{
	struct balance *b;

	pool_of(BALANCE_LEAST_CONN, 3);
	weights[0] = 0;
	loads[1] = 0;
	loads[2] = 50;
	b = make(4);
	assert_int_equal(pick(b), 1);
	skips[1] = true;
	assert_int_equal(pick(b), 2);
	skips[2] = true;
	assert_int_equal(pick(b), -1);
	balance_free(b);
}

static void lc_large_pool(void **state)
{
	unsigned most = 0, least = 1000;
	struct balance *b;

	pool_of(BALANCE_LEAST_CONN, 2000);
	b = make(5);
	for (unsigned i = 0; i < 20000; i++)
		loads[pick(b)]++;
	for (unsigned i = 0; i < 2000; i++) {
		most = MAX(most, loads[i]);
		least = MIN(least, loads[i]);
	}
	assert_in_range(most, 10, 12);
	assert_in_range(least, 8, 10);
	balance_free(b);
}

/* --- random two --- */

static void r2_spreads_by_weight(void **state)
{
	unsigned sum = 0;
	struct balance *b;

	pool_of(BALANCE_RANDOM_TWO, 10);
	for (unsigned i = 0; i < 10; i++) {
		weights[i] = (uint16_t)(100 * (i + 1));
		sum += i + 1;
	}
	b = make(1);
	pick_many(b, 550000);
	/* Expected 10000 x (i + 1); five standard deviations. */
	for (unsigned i = 0; i < 10; i++)
		assert_in_range(counts[i], 10000 * (i + 1) - 1600, 10000 * (i + 1) + 1600);
	assert_int_equal(sum, 55);
	balance_free(b);
}

static void r2_chi_square(void **state)
{
	double chi = 0;
	struct balance *b;

	pool_of(BALANCE_RANDOM_TWO, 100);
	b = make(2);
	pick_many(b, 100000);
	for (unsigned i = 0; i < 100; i++)
		chi += ((double)counts[i] - 1000) * ((double)counts[i] - 1000) / 1000;
	/* 99 degrees of freedom: the 0.01 % and 99.99 % quantiles are 54 and 161. */
	assert_true(chi > 54 && chi < 161);
	balance_free(b);
}

static void r2_prefers_the_less_loaded(void **state)
{
	struct balance *b;

	pool_of(BALANCE_RANDOM_TWO, 2);
	loads[0] = 5;
	b = make(3);
	pick_many(b, 1000);
	assert_int_equal(counts[1], 1000);
	balance_free(b);
}

static void r2_balances_load(void **state)
{
	unsigned most = 0;
	struct balance *b;

	pool_of(BALANCE_RANDOM_TWO, 1000);
	b = make(4);
	for (unsigned i = 0; i < 100000; i++)
		loads[pick(b)]++;
	for (unsigned i = 0; i < 1000; i++)
		most = MAX(most, loads[i]);
	/* Two choices: the fullest is about log log n above the mean of 100. */
	assert_in_range(most, 100, 106);
	balance_free(b);
}

static void r2_extreme_weights(void **state)
{
	struct balance *b;

	pool_of(BALANCE_RANDOM_TWO, 3);
	weights[0] = 25600;
	weights[1] = 1;
	weights[2] = 0;
	b = make(5);
	pick_many(b, 10000);
	assert_int_equal(counts[2], 0);
	assert_in_range(counts[0], 9980, 10000);
	skips[0] = true;
	assert_int_equal(pick(b), 1);
	balance_free(b);
}

static void r2_most_skipped(void **state)
{
	struct balance *b;

	pool_of(BALANCE_RANDOM_TWO, 500);
	for (unsigned i = 0; i < 500; i++)
		skips[i] = i != 99;
	b = make(6);
	for (unsigned i = 0; i < 100; i++)
		assert_int_equal(pick(b), 99);
	balance_free(b);
}

/* --- the hashes --- */

static void hash_is_stable(void **state)
{
	struct balance *a, *b;

	pool_of(BALANCE_SOURCE_HASH, 20);
	a = make(1);
	b = make(999);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(pick_hash(a, key(i)), pick_hash(b, key(i)));
	balance_free(a);
	balance_free(b);
}

static void hash_known_by_name_not_place(void **state)
{
	struct conf_server first;
	int before[1000];
	struct balance *b;

	pool_of(BALANCE_HEADER_HASH, 20);
	b = make(1);
	for (uint64_t i = 0; i < 1000; i++)
		before[i] = pick_hash(b, key(i));
	balance_free(b);
	/* The same servers, the first at the end. */
	first = servers[0];
	memmove(&servers[0], &servers[1], 19 * sizeof(servers[0]));
	servers[19] = first;
	b = make(1);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(pick_hash(b, key(i)), (before[i] + 19) % 20);
	balance_free(b);
}

static void hash_shares(unsigned n, unsigned keys, unsigned percent)
{
	struct balance *b;

	pool_of(BALANCE_HEADER_HASH, n);
	b = make(1);
	for (uint64_t i = 0; i < keys; i++)
		counts[pick_hash(b, key(i))]++;
	for (unsigned i = 0; i < n; i++)
		assert_in_range(counts[i], keys / n * (100 - percent) / 100,
		                keys / n * (100 + percent) / 100);
	balance_free(b);
}

static void hash_even_shares(void **state)
{
	hash_shares(2, 100000, 3);
	hash_shares(3, 100000, 3);
	hash_shares(10, 100000, 6);
	hash_shares(100, 400000, 10);
	hash_shares(1000, 1000000, 20);
}

static void hash_weighted_shares(void **state)
{
	struct balance *b;

	pool_of(BALANCE_SOURCE_HASH, 3);
	weights[1] = 200;
	weights[2] = 300;
	b = make(1);
	for (uint64_t i = 0; i < 60000; i++)
		counts[pick_hash(b, key(i))]++;
	assert_in_range(counts[0], 9600, 10400);
	assert_in_range(counts[1], 19500, 20500);
	assert_in_range(counts[2], 29500, 30500);
	balance_free(b);
}

/* Share of the keys, in 1/10000, that go elsewhere when the last server of n is taken away. */
static unsigned movement(unsigned n, bool by_weight)
{
	enum { KEYS = 100000 };
	static int before[KEYS];
	unsigned moved = 0;
	struct balance *b;

	pool_of(BALANCE_SOURCE_HASH, n);
	b = make(1);
	for (uint64_t i = 0; i < KEYS; i++)
		before[i] = pick_hash(b, key(i));
	if (by_weight) {
		weights[n - 1] = 0;
		balance_update(b, weights);
	} else {
		balance_free(b);
		pool.nservers--;
		b = make(1);
	}
	for (uint64_t i = 0; i < KEYS; i++) {
		int s = pick_hash(b, key(i));

		assert_int_not_equal(s, n - 1);
		moved += s != before[i];
	}
	balance_free(b);
	return moved / (KEYS / 10000);
}

static void hash_moves_little(void **state)
{
	for (unsigned by_weight = 0; by_weight < 2; by_weight++) {
		assert_in_range(movement(2, by_weight), 4800, 5200);
		assert_in_range(movement(3, by_weight), 3200, 3500);
		assert_in_range(movement(10, by_weight), 900, 1300);
		assert_in_range(movement(50, by_weight), 150, 420);
		assert_in_range(movement(100, by_weight), 70, 220);
		assert_in_range(movement(1000, by_weight), 5, 25);
	}
}

static void hash_returns_home(void **state)
{
	int before[1000];
	struct balance *b;

	pool_of(BALANCE_SOURCE_HASH, 30);
	b = make(1);
	for (uint64_t i = 0; i < 1000; i++)
		before[i] = pick_hash(b, key(i));
	weights[4] = 0;
	balance_update(b, weights);
	weights[4] = 100;
	balance_update(b, weights);
	for (uint64_t i = 0; i < 1000; i++)
		assert_int_equal(pick_hash(b, key(i)), before[i]);
	balance_free(b);
}

static void hash_skip_is_consistent(void **state)
{
	struct balance *b;

	pool_of(BALANCE_SOURCE_HASH, 300);
	b = make(1);
	for (uint64_t i = 0; i < 200; i++) {
		int first = pick_hash(b, key(i)), second;

		skips[first] = true;
		second = pick_hash(b, key(i));
		assert_int_not_equal(first, second);
		assert_int_equal(second, pick_hash(b, key(i)));
		skips[first] = false;
		assert_int_equal(first, pick_hash(b, key(i)));
	}
	balance_free(b);
}

static void hash_without_key_spreads(void **state)
{
	struct balance *b;

	pool_of(BALANCE_HEADER_HASH, 4);
	b = make(1);
	pick_many(b, 40000);
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(counts[i], 9500, 10500);
	balance_free(b);
}

static void hash_poor_keys_spread(void **state)
{
	struct balance *b;

	pool_of(BALANCE_SOURCE_HASH, 4);
	b = make(1);
	for (uint64_t i = 1; i <= 40000; i++)
		counts[pick_hash(b, i)]++;
	for (unsigned i = 0; i < 4; i++)
		assert_in_range(counts[i], 9500, 10500);
	balance_free(b);
}

/* --- all of them --- */

static void nobody_eligible(void **state)
{
	for (enum conf_balance a = BALANCE_ROUND_ROBIN; a <= BALANCE_HEADER_HASH; a++) {
		static const unsigned sizes[] = { 0, 1, 3, 64, 65, 500, 2000 };

		for (unsigned k = 0; k < ARRAY_LEN(sizes); k++) {
			struct balance *b;

			pool_of(a, sizes[k]);
			b = balance_new(&pool, 1);
			assert_non_null(b);
			assert_int_equal(pick(b), -1);
			balance_update(b, weights);
			memset(skips, true, sizeof(skips));
			skip_calls = 0;
			for (unsigned i = 0; i < 20; i++)
				assert_int_equal(pick_hash(b, i), -1);
			/* The work is bounded. */
			assert_true(skip_calls <= 20 * (2 * sizes[k] + 16));
			memset(skips, false, sizeof(skips));
			if (sizes[k] > 0)
				assert_true(pick(b) >= 0);
			memset(weights, 0, sizeof(weights));
			balance_update(b, weights);
			assert_int_equal(pick_hash(b, 1), -1);
			balance_free(b);
		}
	}
}

static void only_eligible_are_picked(void **state)
{
	for (enum conf_balance a = BALANCE_ROUND_ROBIN; a <= BALANCE_HEADER_HASH; a++) {
		uint64_t x = 7;
		struct balance *b;

		pool_of(a, a % 2 == 0 ? 40 : 200);
		b = make(9);
		for (unsigned turn = 0; turn < 300; turn++) {
			for (unsigned i = 0; i < pool.nservers; i++) {
				x = hash_mix(x + 0x9e3779b97f4a7c15ULL);
				weights[i] = x % 3 == 0 ? 0 : (uint16_t)(1 + x / 3 % 25600);
				skips[i] = x >> 62 == 0;
				loads[i] = (uint32_t)(x >> 50 & 15);
			}
			balance_update(b, weights);
			for (unsigned i = 0; i < 20; i++) {
				int s = pick_hash(b, key(i));

				assert_true(s >= 0);
				assert_true(weights[s] > 0 && !skips[s]);
			}
		}
		balance_free(b);
	}
}

static void without_callbacks(void **state)
{
	for (enum conf_balance a = BALANCE_ROUND_ROBIN; a <= BALANCE_HEADER_HASH; a++) {
		struct balance *b;

		pool_of(a, 70);
		b = make(9);
		assert_int_equal(balance_table[a]->id, a);
		for (unsigned i = 0; i < 100; i++)
			assert_true(balance_pick(b, &(struct balance_pick){ .hash = i }) >= 0);
		balance_free(b);
	}
}

static void memory_is_bounded(void **state)
{
	for (enum conf_balance a = BALANCE_ROUND_ROBIN; a <= BALANCE_HEADER_HASH; a++)
		assert_true(balance_table[a]->size(10000) < 512 * 1024);
}

/* --- weights from states --- */

static void set(unsigned i, enum server_state s, enum server_order o)
{
	words[i] = (union server_word){ .state = s, .order = o, .ramp = 100 }.word;
}

static void weights_of_up_servers(void **state)
{
	bool panic = true;

	pool_of(BALANCE_ROUND_ROBIN, 4);
	servers[1].weight = 256;
	set(2, SERVER_DOWN, ORDER_READY);
	set(3, SERVER_UNPROVED, ORDER_READY);
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 2);
	assert_false(panic);
	assert_int_equal(weights[0], 100);
	assert_int_equal(weights[1], 25600);
	assert_int_equal(weights[2], 0);
	assert_int_equal(weights[3], 0);
}

static void weights_ramp(void **state)
{
	bool panic;

	pool_of(BALANCE_ROUND_ROBIN, 3);
	servers[0].weight = 3;
	words[0] = (union server_word){ .state = SERVER_UP, .ramp = 25 }.word;
	words[1] = (union server_word){ .state = SERVER_UP, .ramp = 1 }.word;
	words[2] = (union server_word){ .state = SERVER_UP, .ramp = 0 }.word;
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 3);
	assert_int_equal(weights[0], 75);
	assert_int_equal(weights[1], 1);
	assert_int_equal(weights[2], 100);
}

static void weights_orders(void **state)
{
	bool panic;

	pool_of(BALANCE_ROUND_ROBIN, 3);
	set(0, SERVER_UP, ORDER_DRAIN);
	set(1, SERVER_UP, ORDER_DISABLE);
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 1);
	assert_int_equal(weights[0], 0);
	assert_int_equal(weights[1], 0);
	assert_int_equal(weights[2], 100);
}

static void weights_ejected(void **state)
{
	bool panic;

	pool_of(BALANCE_ROUND_ROBIN, 2);
	words[0] = (union server_word){ .state = SERVER_UP, .ejected = 1, .ramp = 100 }.word;
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 1);
	assert_int_equal(weights[0], 0);
}

static void weights_backups(void **state)
{
	bool panic;

	pool_of(BALANCE_ROUND_ROBIN, 4);
	pool.panic_threshold = 30;
	servers[2].backup = servers[3].backup = true;
	/* Primaries up: backups rest. */
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 2);
	assert_int_equal(weights[2] + weights[3], 0);
	/* One primary left: still no backup. */
	set(0, SERVER_DOWN, ORDER_READY);
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 1);
	assert_int_equal(weights[1], 100);
	/* No primary: the backups, without panic. */
	set(1, SERVER_UP, ORDER_DRAIN);
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 2);
	assert_false(panic);
	assert_int_equal(weights[0] + weights[1], 0);
	set(2, SERVER_DOWN, ORDER_READY);
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 1);
	assert_int_equal(weights[3], 100);
	set(3, SERVER_DOWN, ORDER_READY);
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 0);
}

static void weights_panic(void **state)
{
	bool panic;

	pool_of(BALANCE_ROUND_ROBIN, 10);
	pool.panic_threshold = 30;
	for (unsigned i = 3; i < 10; i++)
		set(i, SERVER_DOWN, ORDER_READY);
	/* 3 of 10 is not below 30 percent. */
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 3);
	assert_false(panic);
	set(2, SERVER_DOWN, ORDER_READY);
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 10);
	assert_true(panic);
	/* But never those ordered out or not yet proved. */
	set(9, SERVER_DOWN, ORDER_DISABLE);
	set(8, SERVER_UNPROVED, ORDER_READY);
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 8);
	assert_true(panic);
	assert_int_equal(weights[9] + weights[8], 0);
	/* Off. */
	pool.panic_threshold = 0;
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 2);
	assert_false(panic);
}

static void weights_nobody_up(void **state)
{
	bool panic = true;

	pool_of(BALANCE_ROUND_ROBIN, 3);
	pool.panic_threshold = 50;
	for (unsigned i = 0; i < 3; i++)
		set(i, SERVER_DOWN, ORDER_READY);
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 0);
	assert_false(panic);
}

static void weights_unproved_do_not_panic(void **state)
{
	bool panic;

	/* A reload that brings many new servers is no emergency. */
	pool_of(BALANCE_ROUND_ROBIN, 12);
	pool.panic_threshold = 50;
	for (unsigned i = 2; i < 12; i++)
		set(i, SERVER_UNPROVED, ORDER_READY);
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 2);
	assert_false(panic);
}

static void weights_zero_configured(void **state)
{
	bool panic;

	pool_of(BALANCE_ROUND_ROBIN, 2);
	servers[0].weight = 0;
	assert_int_equal(balance_weights(&pool, words, weights, &panic), 1);
	assert_int_equal(weights[0], 0);
}

/* --- what is hashed --- */

static uint64_t key_from(const char *address)
{
	static struct http_head h;
	struct net_addr a;

	assert_int_equal(net_addr_parse(str_from(address), &a, NULL), OK);
	return balance_key(&pool, &h, &a);
}

static void key_of_the_source(void **state)
{
	pool_of(BALANCE_SOURCE_HASH, 2);
	assert_int_not_equal(key_from("10.0.0.1:80"), 0);
	assert_int_equal(key_from("10.0.0.1:80"), key_from("10.0.0.1:81"));
	assert_int_equal(key_from("10.0.0.1:80"), key_from("[::ffff:10.0.0.1]:80"));
	assert_int_not_equal(key_from("10.0.0.1:80"), key_from("10.0.0.2:80"));
	assert_int_not_equal(key_from("[fd00::1]:80"), key_from("[fd00::2]:80"));
	assert_int_equal(key_from("unix:/run/x"), 0);
	pool.balance = BALANCE_ROUND_ROBIN;
	assert_int_equal(key_from("10.0.0.1:80"), 0);
}

static void key_of_the_header(void **state)
{
	static struct http_head h;
	struct net_addr a = { 0 };
	uint64_t joe;

	pool_of(BALANCE_HEADER_HASH, 2);
	pool.hash_header = STR("X-User");
	assert_int_equal(balance_key(&pool, &h, &a), 0);
	h.nfields = 1;
	h.fields[0] = (struct http_field){ .name = STR("x-user"), .value = STR("joe") };
	joe = balance_key(&pool, &h, &a);
	assert_int_not_equal(joe, 0);
	h.fields[0].value = STR("jim");
	assert_int_not_equal(balance_key(&pool, &h, &a), joe);
	h.fields[0].value = STR("");
	assert_int_not_equal(balance_key(&pool, &h, &a), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rr_smooth_order),
		cmocka_unit_test(rr_exact_small),
		cmocka_unit_test(rr_exact_large),
		cmocka_unit_test(rr_even_spacing_large),
		cmocka_unit_test(rr_zero_weight_takes_nothing),
		cmocka_unit_test(rr_no_burst_after_return),
		cmocka_unit_test(rr_flapping_does_not_starve),
		cmocka_unit_test(rr_ramp_shares),
		cmocka_unit_test(rr_threads_start_apart),
		cmocka_unit_test(rr_most_skipped_large),
		cmocka_unit_test(rr_is_cheap_with_many),
		cmocka_unit_test(lc_takes_the_least),
		cmocka_unit_test(lc_by_weight),
		cmocka_unit_test(lc_ties_at_random_by_weight),
		cmocka_unit_test(lc_skips_and_zero_weights),
		cmocka_unit_test(lc_large_pool),
		cmocka_unit_test(r2_spreads_by_weight),
		cmocka_unit_test(r2_chi_square),
		cmocka_unit_test(r2_prefers_the_less_loaded),
		cmocka_unit_test(r2_balances_load),
		cmocka_unit_test(r2_extreme_weights),
		cmocka_unit_test(r2_most_skipped),
		cmocka_unit_test(hash_is_stable),
		cmocka_unit_test(hash_known_by_name_not_place),
		cmocka_unit_test(hash_even_shares),
		cmocka_unit_test(hash_weighted_shares),
		cmocka_unit_test(hash_moves_little),
		cmocka_unit_test(hash_returns_home),
		cmocka_unit_test(hash_skip_is_consistent),
		cmocka_unit_test(hash_without_key_spreads),
		cmocka_unit_test(hash_poor_keys_spread),
		cmocka_unit_test(nobody_eligible),
		cmocka_unit_test(only_eligible_are_picked),
		cmocka_unit_test(without_callbacks),
		cmocka_unit_test(memory_is_bounded),
		cmocka_unit_test(key_of_the_source),
		cmocka_unit_test(key_of_the_header),
		cmocka_unit_test(weights_of_up_servers),
		cmocka_unit_test(weights_ramp),
		cmocka_unit_test(weights_orders),
		cmocka_unit_test(weights_ejected),
		cmocka_unit_test(weights_backups),
		cmocka_unit_test(weights_panic),
		cmocka_unit_test(weights_nobody_up),
		cmocka_unit_test(weights_unproved_do_not_panic),
		cmocka_unit_test(weights_zero_configured),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
