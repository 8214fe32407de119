/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A drill's course in time, as SVG: answers and failures, latency, who held the address, and the
 * moments of the fault, of its end, and of all being well again. Pure.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "drill/report.h"

#define WIDTH    1000.0
#define LEFT     90.0
#define RIGHT    10.0
#define TOP      22.0
#define ANSWERS  90.0 /* heights of the lanes */
#define LATENCY  80.0
#define HOLDER   16.0 /* of one node */
#define SPACE    26.0
#define BUCKETS  300
#define LEAST_MS 0.1 /* the latency's axis, logarithmic */
#define MOST_MS  10000.0

struct chart {
	const struct drill_report *about;
	const struct drill_result *r;
	struct buf *out;
	uint64_t from, to;
	double answers_y, latency_y, holder_y, height;
	unsigned good[BUCKETS], bad[BUCKETS];
	uint64_t worst[BUCKETS];
};

static double x_of(const struct chart *c, uint64_t at)
{
	double part =
	    at <= c->from ? 0 : (double)(MIN(at, c->to) - c->from) / (double)(c->to - c->from);

	return LEFT + part * (WIDTH - LEFT - RIGHT);
}

static void label(struct chart *c, double x, double y, const char *anchor, const char *text)
{
	buf_printf(c->out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
	buf_html(c->out, str_from(text));
	buf_adds(c->out, "</text>");
}

static void bar(struct chart *c, double x, double y, double w, double h, const char *fill)
{
	buf_printf(
	    c->out,
	    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"var(--%s)\"/>", x, y,
	    w, h, fill);
}

static void line(struct chart *c, double x1, double y1, double x2, double y2, const char *stroke,
                 const char *dash)
{
	buf_printf(c->out,
	           "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"var(--%s)\"%s/>",
	           x1, y1, x2, y2, stroke, dash);
}

/* --- requests ------------------------------------------------------------------------------- */

static void fill_buckets(struct chart *c)
{
	for (size_t i = 0; i < c->r->nsamples; i++) {
		const struct drill_sample *s = &c->r->samples[i];
		uint64_t at = s->end_ns;
		size_t k;

		if (s->kind > DRILL_KEPT || at < c->from || at > c->to)
			continue;
		k = MIN((size_t)((double)(at - c->from) / (double)(c->to - c->from) * BUCKETS),
		        (size_t)BUCKETS - 1);
		if (!drill_sample_good(s, &c->r->window)) {
			c->bad[k]++;
			continue;
		}
		c->good[k]++;
		if (s->end_ns > s->due_ns)
			c->worst[k] = MAX(c->worst[k], s->end_ns - s->due_ns);
	}
}

static void draw_answers(struct chart *c)
{
	double w = (WIDTH - LEFT - RIGHT) / BUCKETS, base = c->answers_y + ANSWERS;
	unsigned most = 1;

	for (size_t k = 0; k < BUCKETS; k++)
		most = MAX(most, c->good[k] + c->bad[k]);
	label(c, LEFT - 8, c->answers_y + 12, "end", "answered");
	buf_printf(c->out,
	           "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\" "
	           "style=\"fill:var(--bad)\">failed</text>",
	           LEFT - 8, c->answers_y + 28);
	for (size_t k = 0; k < BUCKETS; k++) {
		double good = ANSWERS * c->good[k] / most, bad = ANSWERS * c->bad[k] / most;

		if (c->good[k] > 0)
			bar(c, LEFT + w * (double)k, base - good, w, good, "good");
		if (c->bad[k] > 0)
			bar(c, LEFT + w * (double)k, base - good - bad, w, MAX(bad, 2.0), "bad");
	}
	line(c, LEFT, base, WIDTH - RIGHT, base, "line", "");
}

static double latency_of(double ms)
{
	double part = log10(MIN(MAX(ms, LEAST_MS), MOST_MS) / LEAST_MS) / log10(MOST_MS / LEAST_MS);

	return LATENCY * (1 - part);
}

/* The slowest answer of each moment. */
static void draw_latency(struct chart *c)
{
	static const struct {
		double ms;
		const char *text;
	} marks[] = { { 1, "1 ms" }, { 10, "10 ms" }, { 100, "100 ms" }, { 1000, "1 s" } };
	double w = (WIDTH - LEFT - RIGHT) / BUCKETS;

	for (size_t i = 0; i < ARRAY_LEN(marks); i++) {
		double y = c->latency_y + latency_of(marks[i].ms);

		line(c, LEFT, y, WIDTH - RIGHT, y, "line", " stroke-dasharray=\"2 4\"");
		label(c, LEFT - 8, y + 4, "end", marks[i].text);
	}
	label(c, LEFT, c->latency_y - 6, "start", "slowest answer");
	for (size_t k = 0; k < BUCKETS; k++) {
		if (c->worst[k] == 0)
			continue;
		buf_printf(c->out, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"1.6\" fill=\"var(--a)\"/>",
		           LEFT + w * ((double)k + 0.5),
		           c->latency_y + latency_of((double)c->worst[k] / NS_PER_MS));
	}
}

/* --- holders -------------------------------------------------------------------------------- */

static void draw_hold(struct chart *c, unsigned node, uint64_t from, uint64_t to, double y)
{
	static const char *const colours[] = { "a", "b", "c", "d" };
	double x = x_of(c, from);

	if (to > c->from && from < c->to)
		bar(c, x, y + 3, MAX(x_of(c, to) - x, 1.0), HOLDER - 6,
		    colours[node % ARRAY_LEN(colours)]);
}

/* The first address: who held it when. */
static void draw_holders(struct chart *c)
{
	for (unsigned node = 0; node < c->about->nnodes && c->about->nvips > 0; node++) {
		double y = c->holder_y + HOLDER * node;
		uint64_t since = 0;

		label(c, LEFT - 8, y + 12, "end", c->about->nodes[node]);
		for (size_t i = 0; i < c->r->nevents; i++) {
			const struct drill_event *e = &c->r->events[i];

			if (e->node != node || e->vip != c->r->vip)
				continue;
			if (e->held && since == 0)
				since = MAX(e->at_ns, 1U);
			if (!e->held && since != 0) {
				draw_hold(c, node, since, e->at_ns, y);
				since = 0;
			}
		}
		if (since != 0)
			draw_hold(c, node, since, c->to, y);
	}
	if (c->about->nvips > 0)
		label(c, LEFT, c->holder_y - 5, "start", "who held the address");
}

/* --- moments -------------------------------------------------------------------------------- */

static void moment(struct chart *c, uint64_t at, const char *colour, const char *text, double y)
{
	double x = x_of(c, at);

	if (at == 0)
		return;
	line(c, x, TOP - 6, x, c->height - 18, colour, "");
	buf_printf(c->out, "<text class=t x=\"%.1f\" y=\"%.1f\">", x + 4, y);
	buf_html(c->out, str_from(text));
	buf_adds(c->out, "</text>");
}

static void draw_axis(struct chart *c)
{
	double seconds = (double)(c->to - c->from) / NS_PER_S;
	double step = seconds > 60 ? 10 : seconds > 25 ? 5 : seconds > 8 ? 2 : 1;
	double before = (double)(c->r->window.fault_ns - c->from) / NS_PER_S;

	for (double s = -floor(before / step) * step; s <= seconds - before; s += step) {
		uint64_t at = (uint64_t)((double)c->r->window.fault_ns + s * NS_PER_S);
		char text[32];

		snprintf(text, sizeof(text), "%+g s", s);
		label(c, x_of(c, at), c->height - 4, "middle", s == 0 ? "0" : text);
	}
}

void drill_report_chart(const struct drill_report *about, const struct drill_result *r,
                        struct buf *out)
{
	struct chart *c = calloc(1, sizeof(*c));
	struct buf words = BUF_INIT;

	if (!c || r->window.end_ns <= r->window.begin_ns ||
	    r->window.fault_ns < r->window.begin_ns) {
		free(c);
		return;
	}
	c->about = about;
	c->r = r;
	c->out = out;
	c->from = r->window.begin_ns;
	c->to = r->window.end_ns;
	c->answers_y = TOP + 4;
	c->latency_y = c->answers_y + ANSWERS + SPACE;
	c->holder_y = c->latency_y + LATENCY + SPACE;
	c->height = c->holder_y + (about->nvips > 0 ? HOLDER * about->nnodes : 0) + 24;
	fill_buckets(c);
	buf_printf(out, "<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"", WIDTH,
	           c->height);
	drill_result_words(r, &words);
	buf_html(out, buf_str(&words));
	buf_free(&words);
	buf_adds(out, "\">");
	draw_answers(c);
	draw_latency(c);
	draw_holders(c);
	moment(c, r->window.fault_ns, "bad", "fault", 12);
	moment(c, r->window.mend_ns, "warn", "taken back", 12);
	moment(c, r->window.well_ns, "good", "all well", 22);
	draw_axis(c);
	buf_adds(out, "</svg>\n");
	free(c);
}
