/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From samples to measures: what users would have seen. Pure; the drill's process.
 *
 * What counts as time without service is seen by new connections alone: a kept one that hangs in a
 * dead node says nothing about whether somebody who comes now is served.
 */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "drill/drill.h"

#define MAX_HELD 64 /* nodes and addresses that are told apart */

const char *const drill_error_text[DRILL_ERRORS] = {
#define DRILL_ERROR_TEXT(name, text) text,
	DRILL_ERROR_ROWS(DRILL_ERROR_TEXT)
#undef DRILL_ERROR_TEXT
};

bool drill_sample_good(const struct drill_sample *s, const struct drill_window *w)
{
	return s->error == DRILL_OK &&
	       (s->status < 500 || (w->expected_status != 0 && s->status == w->expected_status));
}

static bool is_request(const struct drill_sample *s)
{
	return s->kind == DRILL_NEW || s->kind == DRILL_KEPT;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* --- requests ------------------------------------------------------------------------------- */

static void count(const struct drill_sample *s, size_t n, const struct drill_window *w,
                  struct drill_measure *m)
{
	for (size_t i = 0; i < n; i++) {
		bool good = drill_sample_good(&s[i], w);

		if (!is_request(&s[i]))
			continue;
		/* One that was sent before the fault and failed after it is the fault's. */
		if (s[i].end_ns < w->fault_ns) {
			m->failed_before += !good;
			continue;
		}
		m->requests++;
		m->failed += !good;
		m->failed_after += !good && w->mend_ns != 0 && s[i].due_ns >= w->mend_ns;
		m->refused += s[i].error == DRILL_REFUSED;
		m->repeated += s[i].repeated;
	}
}

static void latencies(const struct drill_sample *s, size_t n, const struct drill_window *w,
                      struct drill_measure *m)
{
	uint64_t *v = malloc((n + 1) * sizeof(*v));
	size_t k = 0;

	if (!v)
		return;
	for (size_t i = 0; i < n; i++) {
		if (is_request(&s[i]) && s[i].end_ns >= w->fault_ns && drill_sample_good(&s[i], w))
			v[k++] = s[i].end_ns - s[i].due_ns;
	}
	qsort(v, k, sizeof(*v), by_number);
	if (k > 0) {
		m->p50_ns = v[(k - 1) / 2];
		m->p99_ns = v[(k - 1) * 99 / 100];
		m->max_ns = v[k - 1];
	}
	free(v);
}

/* The longest time between good answers from `from` to `to`, its ends included. */
static uint64_t longest_gap(const uint64_t *ends, size_t n, uint64_t from, uint64_t to,
                            uint64_t *ret_at)
{
	uint64_t last = from, gap = 0;

	*ret_at = from;
	for (size_t i = 0; i <= n; i++) {
		uint64_t end = i < n ? MIN(ends[i], to) : to;

		if (end > last && end - last > gap) {
			gap = end - last;
			*ret_at = last;
		}
		last = MAX(last, end);
	}
	return gap;
}

static void gaps(const struct drill_sample *s, size_t n, const struct drill_window *w,
                 struct drill_measure *m)
{
	uint64_t *v = malloc((n + 1) * sizeof(*v));
	uint64_t at;
	size_t k = 0;

	if (!v)
		return;
	for (size_t i = 0; i < n; i++) {
		if (s[i].kind == DRILL_NEW && drill_sample_good(&s[i], w))
			v[k++] = s[i].end_ns;
	}
	qsort(v, k, sizeof(*v), by_number);
	m->gap_ns = longest_gap(v, k, w->fault_ns, w->end_ns, &m->gap_at_ns);
	/* From the first answer on: what starts is not yet quiet. */
	if (k > 0 && v[0] < w->fault_ns)
		m->quiet_gap_ns = longest_gap(v, k, v[0], w->fault_ns, &at);
	free(v);
}

/* Until the first good answer to a request that was sent after the last one that failed. */
static void outage(const struct drill_sample *s, size_t n, const struct drill_window *w,
                   struct drill_measure *m)
{
	uint64_t last = 0, end = UINT64_MAX;

	if (m->failed == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (is_request(&s[i]) && s[i].end_ns >= w->fault_ns && !drill_sample_good(&s[i], w))
			last = MAX(last, s[i].due_ns);
	}
	for (size_t i = 0; i < n; i++) {
		if (s[i].kind == DRILL_NEW && s[i].due_ns > last && drill_sample_good(&s[i], w))
			end = MIN(end, s[i].end_ns);
	}
	if (end == UINT64_MAX)
		end = w->end_ns; /* it never ended */
	end = MAX(end, m->gap_at_ns + m->gap_ns);
	m->outage_ns = end > w->fault_ns ? end - w->fault_ns : 0;
}

/* --- streams -------------------------------------------------------------------------------- */

static void streams(const struct drill_sample *s, size_t n, struct drill_measure *m)
{
	bool download_broke = false, websocket_broke = false;

	for (size_t i = 0; i < n; i++) {
		if (s[i].kind == DRILL_DOWNLOAD) {
			m->watched_streams = true;
			download_broke |= s[i].error != DRILL_OK;
		} else if (s[i].kind == DRILL_WEBSOCKET) {
			m->watched_streams = true;
			websocket_broke |= s[i].error != DRILL_OK;
			m->echoes += s[i].error == DRILL_OK && !s[i].running;
		}
	}
	m->download_intact = m->watched_streams && !download_broke;
	m->websocket_intact = m->watched_streams && !websocket_broke && m->echoes > 0;
}

/* --- who holds an address ------------------------------------------------------------------- */

static unsigned holders(const uint64_t held[MAX_HELD])
{
	unsigned most = 0;

	for (unsigned i = 0; i < MAX_HELD; i++)
		most = MAX(most, (unsigned)__builtin_popcountll(held[i]));
	return most;
}

/* How long after `from` and before `to` two nodes held one address. */
static uint64_t split(const struct drill_event *e, size_t n, uint64_t from, uint64_t to)
{
	uint64_t held[MAX_HELD] = { 0 }, last = from, sum = 0;

	for (size_t i = 0; i <= n; i++) {
		uint64_t at = i < n ? MIN(e[i].at_ns, to) : to;

		if (at > last && holders(held) > 1)
			sum += at - last;
		last = MAX(last, at);
		if (i == n || e[i].vip >= MAX_HELD || e[i].node >= MAX_HELD)
			continue;
		if (e[i].held)
			held[e[i].vip] |= 1ULL << e[i].node;
		else
			held[e[i].vip] &= ~(1ULL << e[i].node);
	}
	return sum;
}

/* -------------------------------------------------------------------------------------------- */

void drill_measure(const struct drill_sample *s, size_t n, const struct drill_event *e, size_t ne,
                   const struct drill_window *w, struct drill_measure *ret)
{
	uint64_t from = w->mend_ns > w->fault_ns ? w->mend_ns : w->fault_ns;

	*ret = (struct drill_measure){ 0 };
	count(s, n, w, ret);
	latencies(s, n, w, ret);
	gaps(s, n, w, ret);
	outage(s, n, w, ret);
	streams(s, n, ret);
	ret->split_ns = split(e, ne, w->fault_ns, w->end_ns);
	ret->split_after_ns = split(e, ne, from, w->end_ns);
	ret->recovery_ns = UINT64_MAX;
	if (w->well_ns != 0)
		ret->recovery_ns = w->well_ns > from ? w->well_ns - from : 0;
}
