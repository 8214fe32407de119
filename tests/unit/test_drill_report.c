/* SPDX-License-Identifier: Apache-2.0 */
/* Limits, verdicts, words, JSON and the page of drills. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "cli/command.h"
#include "drill/impl.h"

const struct cli_command *const cli_commands[] = { NULL };

#define MS NS_PER_MS

static const struct drill_scenario planned = {
	.name = "planned",
	.what = "a & b <script>",
	.means = "It means \"nothing\".",
	.limits = { .outage = 100 * MS,
	            .failed = 0,
	            .recovery = DRILL_NO_LIMIT,
	            .split_brain = 50 * MS },
	.outage_adverts = 4,
	.none_refused = true,
	.keeps_streams = true,
};

static struct drill_result well(void)
{
	struct drill_result r = {
		.scenario = &planned,
		.limits = planned.limits,
		.window = { 1000 * MS, 2000 * MS, 3000 * MS, 3500 * MS, 5000 * MS, 0 },
		.measure = { .requests = 100,
		             .gap_ns = 20 * MS,
		             .recovery_ns = 500 * MS,
		             .watched_streams = true,
		             .download_intact = true,
		             .websocket_intact = true },
	};

	snprintf(r.active, sizeof(r.active), "lb1");
	return r;
}

static void expect(struct drill_result r, enum drill_verdict verdict, const char *why)
{
	drill_judge(&r);
	if (r.verdict != verdict || !strstr(r.why, why) || (!*why && *r.why))
		fail_msg("%s: \"%s\", wanted \"%s\"", drill_verdict_text[r.verdict], r.why, why);
}

static void test_verdicts(void **state)
{
	struct drill_result r = well();

	(void)state;
	expect(r, DRILL_VERDICT_MET, "");
	r.measure.gap_ns = 100 * MS; /* the limit itself is kept */
	expect(r, DRILL_VERDICT_MET, "");
	r.measure.gap_ns = 101 * MS;
	expect(r, DRILL_VERDICT_MISSED, "outage: 101ms, limit 100ms");
	r.measure.failed = 1;
	expect(r, DRILL_VERDICT_MISSED, "; failed: 1, limit 0");
	r = well();
	r.measure.recovery_ns = UINT64_MAX; /* no limit set */
	expect(r, DRILL_VERDICT_MET, "");
	r.limits.recovery = NS_PER_S;
	expect(r, DRILL_VERDICT_MISSED, "recovery: never, limit 1.0s");
	r = well();
	r.measure.refused = 2;
	expect(r, DRILL_VERDICT_MISSED, "refused: 2");
	r = well();
	r.measure.download_intact = false;
	expect(r, DRILL_VERDICT_MISSED, "the download broke");
	r.measure.watched_streams = false;
	expect(r, DRILL_VERDICT_MET, "");
	r = well();
	r.measure.split_ns = 60 * MS;
	expect(r, DRILL_VERDICT_MISSED, "split_brain: 60ms");
	r.measure.requests = 0; /* a drill that asked nothing shows nothing */
	expect(r, DRILL_VERDICT_MISSED, "sent nothing");
}

static void test_a_split_on_purpose_counts_after_it(void **state)
{
	struct drill_scenario s = planned;
	struct drill_result r = well();

	(void)state;
	s.splits = true;
	r.scenario = &s;
	r.measure.split_ns = 3000 * MS;
	expect(r, DRILL_VERDICT_MET, "");
	r.measure.split_after_ns = 51 * MS;
	expect(r, DRILL_VERDICT_MISSED, "split_brain: 51ms");
}

static void test_limits(void **state)
{
	const struct conf_vip vip = { .advertise = 40 * MS };
	const struct conf_slo_limits drills[] = {
		{ .name = STR("other"), .outage = 1, .failed = 1, .recovery = 1, .split_brain = 1 },
		{ .name = STR("planned"),
		  .outage = DRILL_NO_LIMIT,
		  .failed = 7,
		  .recovery = DRILL_NO_LIMIT,
		  .split_brain = DRILL_NO_LIMIT },
	};
	struct conf c = { .slo = { STR_NONE, DRILL_NO_LIMIT, DRILL_NO_LIMIT, DRILL_NO_LIMIT,
		                   DRILL_NO_LIMIT } };
	struct conf_slo_limits l;

	(void)state;
	drill_limits(&c, &planned, &l);
	assert_int_equal(l.outage, 100 * MS);
	c.vips = &vip;
	c.nvips = 1;
	drill_limits(&c, &planned, &l);
	assert_int_equal(l.outage, 260 * MS);
	assert_int_equal(l.failed, 0);
	assert_true(l.recovery == DRILL_NO_LIMIT);
	c.slo.recovery = 5;
	c.slo.failed = 3;
	c.slo_drills = drills;
	c.nslo_drills = 2;
	drill_limits(&c, &planned, &l);
	assert_int_equal(l.recovery, 5); /* the file's for all */
	assert_int_equal(l.failed, 7);   /* the file's for this one stands above */
	assert_int_equal(l.outage, 260 * MS);
}

static void test_words(void **state)
{
	struct drill_result r = well();
	struct buf b = BUF_INIT;

	(void)state;
	drill_judge(&r);
	drill_result_words(&r, &b);
	assert_string_equal(buf_cstr(&b), "Nobody noticed: all 100 requests were answered. All was "
	                                  "well again 500ms after the fault was taken back.");
	b.len = 0;
	r.measure.gap_ns = 140 * MS;
	r.measure.failed = 5;
	r.measure.recovery_ns = UINT64_MAX;
	drill_judge(&r);
	drill_result_words(&r, &b);
	assert_non_null(strstr(buf_cstr(&b), "For 140ms nobody who came was answered; 5 of 100"));
	assert_non_null(strstr(buf_cstr(&b), "not well again by the end"));
	assert_non_null(strstr(buf_cstr(&b), "Not as it should be: outage: 140ms, limit 100ms"));
	buf_free(&b);
}

static void test_json(void **state)
{
	struct drill_result r = well();
	json_t *j;

	(void)state;
	drill_judge(&r);
	j = drill_result_json(&r);
	assert_string_equal(json_string_value(json_object_get(j, "verdict")), "met");
	assert_true(json_is_true(json_object_get(j, "download_intact")));
	assert_true(json_real_value(json_object_get(j, "gap_ms")) == 20.0);
	assert_true(json_is_null(json_object_get(json_object_get(j, "limits"), "recovery_ms")));
	json_decref(j);
	r.verdict = DRILL_VERDICT_SKIPPED;
	j = drill_result_json(&r);
	assert_null(json_object_get(j, "requests"));
	json_decref(j);
}

/* --- the page ------------------------------------------------------------------------------- */

/* Whether every element that is opened is closed, in order. */
static void balanced(const char *p)
{
	static const char *const alone[] = { "meta", "line", "rect", "circle", "!DOCTYPE" };
	char open[64][16];
	unsigned depth = 0;

	while ((p = strchr(p, '<')) != NULL) {
		bool end = p[1] == '/', single = false;
		const char *close = strchr(p, '>');
		char name[16] = "";

		assert_non_null(close);
		sscanf(p + 1 + end, "%15[A-Za-z0-9!]", name);
		for (size_t i = 0; i < ARRAY_LEN(alone); i++)
			single |= strcmp(name, alone[i]) == 0;
		if (end) {
			assert_true(depth > 0);
			assert_string_equal(open[--depth], name);
		} else if (!single) {
			assert_true(depth < ARRAY_LEN(open));
			memcpy(open[depth++], name, sizeof(name));
		}
		p = close;
	}
	assert_int_equal(depth, 0);
}

static void test_page(void **state)
{
	const char *nodes[] = { "lb1", "<lb2>" }, *vips[] = { "web" };
	const struct drill_report about = { .cluster = "sh<op>&co",
		                            .target = "http://10.0.0.1:80/",
		                            .lab = true,
		                            .nodes = nodes,
		                            .nnodes = 2,
		                            .vips = vips,
		                            .nvips = 1,
		                            .every_ns = 5 * MS };
	struct drill_sample samples[100];
	struct drill_event events[] = { { 900 * MS, 0, 0, true },
		                        { 2100 * MS, 0, 0, false },
		                        { 2150 * MS, 1, 0, true } };
	struct drill_result r[2] = { well(), well() };
	struct buf b = BUF_INIT;
	const char *page;

	(void)state;
	for (uint64_t i = 0; i < 100; i++)
		samples[i] = (struct drill_sample){ .due_ns = (1000 + i * 40) * MS,
			                            .end_ns = (1003 + i * 40) * MS,
			                            .status = i == 30 ? 502 : 200 };
	r[0].samples = samples;
	r[0].nsamples = 100;
	r[0].events = events;
	r[0].nevents = 3;
	drill_judge(&r[0]);
	r[1].verdict = DRILL_VERDICT_SKIPPED;
	snprintf(r[1].why, sizeof(r[1].why), "no \"<node>\"");
	drill_report_html(&about, r, 2, &b);
	page = buf_cstr(&b);
	balanced(page);
	assert_non_null(strstr(page, "sh&lt;op&gt;&amp;co"));
	assert_non_null(strstr(page, "&lt;lb2&gt;"));
	assert_non_null(strstr(page, "a &amp; b &lt;script&gt;"));
	assert_null(strstr(page, "<script"));
	assert_non_null(strstr(page, "All 1 drills kept their limits"));
	assert_non_null(strstr(page, "1 could not be run here"));
	assert_non_null(strstr(page, "var(--bad)\"/>")); /* the failed request is drawn */
	/* Self-contained: no address is loaded. */
	assert_null(strstr(page, "src="));
	assert_null(strstr(page, "url("));
	assert_null(strstr(page, "@import"));
	assert_null(strstr(page, "href=\"http"));
	assert_non_null(strstr(page, "prefers-color-scheme:dark"));
	buf_free(&b);
}

static void test_page_of_nothing(void **state)
{
	const struct drill_report about = { .cluster = "", .target = "" };
	struct drill_result r = well();
	struct buf b = BUF_INIT;

	(void)state;
	r.window = (struct drill_window){ 0 }; /* no time passed: no chart */
	drill_report_html(&about, &r, 1, &b);
	balanced(buf_cstr(&b));
	assert_null(strstr(buf_cstr(&b), "<svg"));
	buf_free(&b);
}

static void test_scenarios(void **state)
{
	const char *what, *where;
	unsigned count = 0;

	(void)state;
	for (; drill_scenarios[count]; count++) {
		const struct drill_scenario *s = drill_scenarios[count];

		assert_non_null(s->inject);
		assert_true(strlen(s->what) > 10 && strlen(s->means) > 20);
		assert_false(s->harmless && s->lab_only);
		for (unsigned i = 0; i < count; i++)
			assert_string_not_equal(drill_scenarios[i]->name, s->name);
		assert_string_equal(drill_scenario_name(count, &what, &where), s->name);
	}
	assert_int_equal(count, 16);
	assert_null(drill_scenario_name(count, &what, &where));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_a_split_on_purpose_counts_after_it),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_page),
		cmocka_unit_test(test_page_of_nothing),
		cmocka_unit_test(test_scenarios),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
