/* SPDX-License-Identifier: Apache-2.0 */
/* The node's JSON as pages for people: pure functions, so that tests can hold them. */
#ifndef CLI_VIEWS_H
#define CLI_VIEWS_H

#include <jansson.h>

#include "base/buf.h"

/* width: columns of the terminal, 0: unlimited. */
void status_render(const json_t *status, bool colour, unsigned width, struct buf *out);

/*
 * What happened between two answers of /api/v1/stats, as JSON: requests per second, error share
 * and latency quantiles of each object. A new reference, NULL when out of memory. Objects that are
 * not in both count from zero; so do counters that went back.
 */
json_t *top_compute(const json_t *before, const json_t *after);
/* rows: lines of the screen, 0: unlimited. */
void top_render(const json_t *rates, bool colour, unsigned width, unsigned rows, struct buf *out);

/* One line without a newline. */
void event_render(const json_t *event, bool colour, struct buf *out);

void explain_render(const json_t *explanation, bool colour, struct buf *out);

/* Text of a member, "" where there is none; number of a member, 0 where there is none. */
const char *view_text(const json_t *object, const char *key);
uint64_t view_number(const json_t *object, const char *key);
/* Milliseconds since 1970 of a member as "2026-11-21T09:30:00.123Z"; 0 where there is none. */
uint64_t view_time(const json_t *object, const char *key);

#endif
