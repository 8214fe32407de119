/* SPDX-License-Identifier: Apache-2.0 */
/* Times and durations as text. Pure functions; any role, any thread. */
#include "base/clock.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"

#define OUT_SIZE 32

#define S_PER_M 60ULL
#define S_PER_H 3600ULL
#define S_PER_D 86400ULL

void clock_format_utc(uint64_t wall_ms, char out[32])
{
	const uint64_t last_ms = 253402300799999ULL; /* the end of the year 9999 */
	time_t seconds;
	struct tm tm;
	char date[24];

	wall_ms = MIN(wall_ms, last_ms);
	seconds = (time_t)(wall_ms / 1000);
	gmtime_r(&seconds, &tm);
	strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(out, OUT_SIZE, "%s.%03uZ", date, (unsigned)(wall_ms % 1000));
}

void clock_format_span(uint64_t ns, char out[32])
{
	unsigned long long s = ns / NS_PER_S;

	if (ns > 0 && ns < NS_PER_MS) {
		snprintf(out, OUT_SIZE, "%lluus", MAX(ns / NS_PER_US, 1ULL));
	} else if (ns < NS_PER_S) {
		snprintf(out, OUT_SIZE, "%llums", ns / NS_PER_MS);
	} else if (s < S_PER_M) {
		snprintf(out, OUT_SIZE, "%llu.%us", s, (unsigned)(ns % NS_PER_S / (NS_PER_S / 10)));
	} else if (s < S_PER_H) {
		snprintf(out, OUT_SIZE, "%llum%02us", s / S_PER_M, (unsigned)(s % S_PER_M));
	} else if (s < S_PER_D) {
		snprintf(out, OUT_SIZE, "%lluh%02um", s / S_PER_H,
		         (unsigned)(s % S_PER_H / S_PER_M));
	} else {
		snprintf(out, OUT_SIZE, "%llud%uh", s / S_PER_D, (unsigned)(s % S_PER_D / S_PER_H));
	}
}

void clock_format_conf(uint64_t ns, char out[32])
{
	static const struct {
		unsigned long long ns;
		const char *name;
	} units[] = {
		{ S_PER_D * NS_PER_S, "d" },
		{ S_PER_H * NS_PER_S, "h" },
		{ S_PER_M * NS_PER_S, "m" },
		{ NS_PER_S, "s" },
		{ NS_PER_MS, "ms" },
		{ NS_PER_US, "us" },
		{ 1, "ns" },
	};

	if (ns == 0) {
		strcpy(out, "0s");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (ns % units[i].ns == 0) {
			snprintf(out, OUT_SIZE, "%llu%s", ns / units[i].ns, units[i].name);
			return;
		}
	}
}
