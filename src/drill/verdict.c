/* SPDX-License-Identifier: Apache-2.0 */
/* Limits, verdicts, and results as JSON and as words. Pure. */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "drill/impl.h"

const char *const drill_verdict_text[DRILL_VERDICTS] = {
#define DRILL_VERDICT_TEXT(name, text) text,
	DRILL_VERDICT_ROWS(DRILL_VERDICT_TEXT)
#undef DRILL_VERDICT_TEXT
};

/* The measures that have a limit in the file: one row each. */
static const struct {
	const char *name;
	size_t offset; /* in struct conf_slo_limits */
	bool count;    /* a number, else nanoseconds */
} rows[] = {
	{ "outage", offsetof(struct conf_slo_limits, outage), false },
	{ "failed", offsetof(struct conf_slo_limits, failed), true },
	{ "recovery", offsetof(struct conf_slo_limits, recovery), false },
	{ "split_brain", offsetof(struct conf_slo_limits, split_brain), false },
};

static uint64_t limit_at(const struct conf_slo_limits *l, size_t row)
{
	return *(const uint64_t *)(const void *)((const char *)l + rows[row].offset);
}

static void limit_set(struct conf_slo_limits *l, size_t row, uint64_t v)
{
	*(uint64_t *)(void *)((char *)l + rows[row].offset) = v;
}

/* The longest that any pool's checks need to find a server dead. */
static uint64_t detection(const struct conf *c)
{
	uint64_t most = 0;

	for (uint32_t i = 0; i < c->npools; i++) {
		const struct conf_check *k = &c->pools[i].check;

		most =
		    MAX(most, k->fall * (k->interval + k->interval * k->jitter / 100 + k->timeout));
	}
	return most;
}

void drill_limits(const struct conf *conf, const struct drill_scenario *s,
                  struct conf_slo_limits *ret)
{
	const struct conf_slo_limits *own = NULL;
	uint64_t advertise = 0;

	for (uint32_t i = 0; i < conf->nslo_drills; i++) {
		if (str_eq(conf->slo_drills[i].name, str_from(s->name)))
			own = &conf->slo_drills[i];
	}
	for (uint32_t i = 0; i < conf->nvips; i++)
		advertise = MAX(advertise, conf->vips[i].advertise);
	*ret = s->limits;
	ret->name = str_from(s->name);
	if (ret->outage != DRILL_NO_LIMIT)
		ret->outage +=
		    s->outage_adverts * advertise + (s->outage_checks ? detection(conf) : 0);
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t v = own ? limit_at(own, i) : DRILL_NO_LIMIT;

		if (v == DRILL_NO_LIMIT)
			v = limit_at(&conf->slo, i);
		if (v != DRILL_NO_LIMIT)
			limit_set(ret, i, v);
	}
}

/* --- judging -------------------------------------------------------------------------------- */

static uint64_t measured(const struct drill_result *r, size_t row)
{
	const struct drill_measure *m = &r->measure;

	switch (row) {
	case 0:
		return m->gap_ns;
	case 1:
		return m->failed;
	case 2:
		return m->recovery_ns;
	default:
		return r->scenario->splits ? m->split_after_ns : m->split_ns;
	}
}

static void miss(struct drill_result *r, const char *text)
{
	size_t len = strlen(r->why);

	r->verdict = DRILL_VERDICT_MISSED;
	snprintf(r->why + len, sizeof(r->why) - len, "%s%s", len > 0 ? "; " : "", text);
}

static void miss_limit(struct drill_result *r, size_t row, uint64_t value, uint64_t limit)
{
	char text[160], a[32], b[32];

	if (rows[row].count) {
		snprintf(text, sizeof(text), "%s: %llu, limit %llu", rows[row].name,
		         (unsigned long long)value, (unsigned long long)limit);
	} else {
		clock_format_span(value, a);
		clock_format_span(limit, b);
		snprintf(text, sizeof(text), "%s: %s, limit %s", rows[row].name,
		         value == UINT64_MAX ? "never" : a, b);
	}
	miss(r, text);
}

void drill_judge(struct drill_result *r)
{
	const struct drill_measure *m = &r->measure;
	char text[96];

	r->verdict = DRILL_VERDICT_MET;
	r->why[0] = '\0';
	if (m->requests == 0)
		miss(r, "the client sent nothing");
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t value = measured(r, i), limit = limit_at(&r->limits, i);

		if (limit != DRILL_NO_LIMIT && value > limit)
			miss_limit(r, i, value, limit);
	}
	if (r->scenario->none_refused && m->refused > 0) {
		snprintf(text, sizeof(text), "refused: %llu connections, limit 0",
		         (unsigned long long)m->refused);
		miss(r, text);
	}
	if (!r->scenario->keeps_streams || !m->watched_streams)
		return;
	if (!m->download_intact)
		miss(r, "the download broke");
	if (!m->websocket_intact)
		miss(r, "the WebSocket broke");
}

/* --- JSON ----------------------------------------------------------------------------------- */

static json_t *ms(uint64_t ns)
{
	uint64_t us = ns / NS_PER_US;

	return ns == UINT64_MAX ? json_null() : json_real((double)us / 1000);
}

static json_t *limits_json(const struct conf_slo_limits *l)
{
	json_t *j = json_object();

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint64_t v = limit_at(l, i);
		char key[32];

		snprintf(key, sizeof(key), "%s%s", rows[i].name, rows[i].count ? "" : "_ms");
		json_object_set_new(j, key,
		                    v == DRILL_NO_LIMIT ? json_null()
		                    : rows[i].count     ? json_integer((json_int_t)v)
		                                        : ms(v));
	}
	return j;
}

static void measure_json(const struct drill_measure *m, json_t *j)
{
	const struct {
		const char *key;
		uint64_t n;
	} counts[] = { { "requests", m->requests },
		       { "failed", m->failed },
		       { "refused", m->refused },
		       { "repeated", m->repeated },
		       { "failed_before", m->failed_before },
		       { "failed_after", m->failed_after } },
	  times[] = { { "gap_ms", m->gap_ns },
		      { "quiet_gap_ms", m->quiet_gap_ns },
		      { "outage_ms", m->outage_ns },
		      { "recovery_ms", m->recovery_ns },
		      { "split_brain_ms", m->split_ns },
		      { "split_brain_after_ms", m->split_after_ns },
		      { "p50_ms", m->p50_ns },
		      { "p99_ms", m->p99_ns },
		      { "max_ms", m->max_ns } };

	for (size_t i = 0; i < ARRAY_LEN(counts); i++)
		json_object_set_new(j, counts[i].key, json_integer((json_int_t)counts[i].n));
	for (size_t i = 0; i < ARRAY_LEN(times); i++)
		json_object_set_new(j, times[i].key, ms(times[i].n));
	json_object_set_new(j, "download_intact",
	                    m->watched_streams ? json_boolean(m->download_intact) : json_null());
	json_object_set_new(j, "websocket_intact",
	                    m->watched_streams ? json_boolean(m->websocket_intact) : json_null());
}

/* How many good answers came from which server, where they say so. */
static json_t *servers_json(const struct drill_result *r)
{
	json_t *j = json_object();
	json_int_t n[256] = { 0 };

	for (size_t i = 0; i < r->nsamples; i++) {
		const struct drill_sample *s = &r->samples[i];

		if (s->kind <= DRILL_KEPT && s->who < 256 && drill_sample_good(s, &r->window))
			n[s->who]++;
	}
	for (unsigned i = 1; i < r->nnames; i++) {
		if (n[i] > 0)
			json_object_set_new(j, r->names[i], json_integer(n[i]));
	}
	return j;
}

json_t *drill_result_json(const struct drill_result *r)
{
	json_t *j = json_pack("{s:s, s:s, s:s}", "scenario", r->scenario->name, "verdict",
	                      drill_verdict_text[r->verdict], "why", r->why);

	if (r->verdict > DRILL_VERDICT_MISSED)
		return j;
	measure_json(&r->measure, j);
	/* When the longest gap began, counted from the fault. */
	json_object_set_new(j, "gap_at_ms",
	                    ms(r->measure.gap_at_ns > r->window.fault_ns
	                           ? r->measure.gap_at_ns - r->window.fault_ns
	                           : 0));
	json_object_set_new(j, "active", json_string(r->active));
	json_object_set_new(j, "active_after", json_string(r->active_after));
	json_object_set_new(j, "answered_by", servers_json(r));
	json_object_set_new(j, "limits", limits_json(&r->limits));
	return j;
}

/* --- words ---------------------------------------------------------------------------------- */

/* A gap below this is what any busy machine shows by itself. */
static bool is_felt(const struct drill_measure *m)
{
	return m->gap_ns > 50 * NS_PER_MS && m->gap_ns > 2 * m->quiet_gap_ns;
}

void drill_result_words(const struct drill_result *r, struct buf *out)
{
	const struct drill_measure *m = &r->measure;
	char span[32];

	if (r->verdict > DRILL_VERDICT_MISSED) {
		buf_printf(out, "%s: %s.", drill_verdict_text[r->verdict], r->why);
		return;
	}
	clock_format_span(m->gap_ns, span);
	if (!is_felt(m) && m->failed == 0)
		buf_printf(out, "Nobody noticed: all %llu requests were answered.",
		           (unsigned long long)m->requests);
	else if (is_felt(m) && m->failed == 0)
		buf_printf(out,
		           "New visitors waited for up to %s; all %llu requests were answered.",
		           span, (unsigned long long)m->requests);
	else if (is_felt(m))
		buf_printf(out,
		           "For %s nobody who came was answered; %llu of %llu requests failed.",
		           span, (unsigned long long)m->failed, (unsigned long long)m->requests);
	else
		buf_printf(out,
		           "New visitors were served all the time; %llu of %llu requests failed.",
		           (unsigned long long)m->failed, (unsigned long long)m->requests);
	if (m->recovery_ns == UINT64_MAX) {
		buf_adds(out, " It was not well again by the end.");
	} else {
		clock_format_span(m->recovery_ns, span);
		buf_printf(out, " All was well again %s after %s.", span,
		           r->window.mend_ns ? "the fault was taken back" : "it");
	}
	if (r->verdict == DRILL_VERDICT_MISSED)
		buf_printf(out, " Not as it should be: %s.", r->why);
}
