/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Time. Durations and monotonic points are uint64_t nanoseconds; a name that ends in _ms or _us
 * says otherwise. Wall-clock time is for people and for what has to hold over restarts, never for
 * other decisions.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>
#include <time.h>

#define NS_PER_US 1000ULL
#define NS_PER_MS 1000000ULL
#define NS_PER_S  1000000000ULL

static inline uint64_t clock_mono(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * NS_PER_S + (uint64_t)ts.tv_nsec;
}

static inline uint64_t clock_wall_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / NS_PER_MS;
}

/* "2026-11-21T09:30:00.123Z" (24 characters and NUL). */
void clock_format_utc(uint64_t wall_ms, char out[32]);
/* Short for people: "350ms", "2.0s", "4m12s", "3h05m", "2d4h". */
void clock_format_span(uint64_t ns, char out[32]);
/* A duration as the configuration file writes it, without loss: "40ms", "2s", "1500ms", "5m". */
void clock_format_conf(uint64_t ns, char out[32]);

/* A thread's own random numbers (xoshiro256**), seeded from the kernel; not for secrets. */
uint64_t random_u64(void);
/* Even over 0 … bound-1; bound > 0. */
uint64_t random_below(uint64_t bound);
/* Bytes for ids and secrets, from the kernel. */
void random_secret(void *out, size_t len);

#endif
