/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report: one page without anything from elsewhere, for people who need not be engineers. A
 * headline for each drill, what it means, its numbers, and its course in time (report_chart.c).
 * Pure.
 */
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "drill/report.h"

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1c2128;--dim:#5b6470;--line:#d5dae0;"
    "--card:#f6f8fa;--good:#1a7f4b;--bad:#c62f2f;--warn:#9a6700;--a:#3564b8;--b:#b0622b;"
    "--c:#7a4fb0;--d:#2b8a8a}\n"
    "@media(prefers-color-scheme:dark){:root{--bg:#12161b;--fg:#e3e7ec;--dim:#98a2ad;"
    "--line:#343c46;--card:#1a2027;--good:#4cc38a;--bad:#ff6b6b;--warn:#e3b341;--a:#79a6f2;"
    "--b:#e59f6c;--c:#b792ec;--d:#5fc4c4}}\n"
    "*{box-sizing:border-box}body{margin:0 auto;max-width:1040px;padding:2rem 1.2rem;"
    "background:var(--bg);color:var(--fg);font:16px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.7rem;margin:0 0 .2rem}h2{font-size:1.2rem;margin:0}p{margin:.5rem 0}\n"
    ".dim{color:var(--dim)}.scroll{overflow-x:auto}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}\n"
    "th,td{text-align:left;padding:.35rem .7rem .35rem 0;border-bottom:1px solid var(--line);"
    "white-space:nowrap}th{color:var(--dim);font-weight:500;font-size:.85rem}\n"
    "td.n,th.n{text-align:right}a{color:inherit}\n"
    "section{background:var(--card);border:1px solid var(--line);border-radius:8px;"
    "padding:1.1rem 1.3rem;margin:1.4rem 0}\n"
    ".v{font-weight:600}.met{color:var(--good)}.missed,.broken{color:var(--bad)}"
    ".skipped{color:var(--warn)}\n"
    ".head{font-size:1.05rem}svg{display:block;width:100%;height:auto;margin-top:.8rem}\n"
    "svg text{fill:var(--dim);font:11px system-ui,sans-serif}svg .t{fill:var(--fg)}\n"
    "dl{display:flex;flex-wrap:wrap;gap:.3rem 1.6rem;margin:.8rem 0 0}dt{color:var(--dim);"
    "font-size:.8rem}dd{margin:0;font-variant-numeric:tabular-nums}\n";

static const char *const verdict_class[DRILL_VERDICTS] = { "met", "missed", "skipped", "broken" };

static const char *span(uint64_t ns, char out[32])
{
	if (ns == UINT64_MAX)
		snprintf(out, 32, "never");
	else if (ns > 0 && ns < 100 * NS_PER_MS)
		snprintf(out, 32, "%.1fms", (double)ns / NS_PER_MS);
	else
		clock_format_span(ns, out);
	return out;
}

static const char *intact(const struct drill_measure *m)
{
	if (!m->watched_streams)
		return "not watched";
	if (m->download_intact && m->websocket_intact)
		return "intact";
	if (!m->download_intact && !m->websocket_intact)
		return "both cut";
	return m->download_intact ? "WebSocket cut" : "download cut";
}

/* --- the table ------------------------------------------------------------------------------ */

static void cell(struct buf *out, const char *text)
{
	buf_adds(out, "<td class=n>");
	buf_html(out, str_from(text));
	buf_adds(out, "</td>");
}

static void row(const struct drill_result *r, size_t i, struct buf *out)
{
	const struct drill_measure *m = &r->measure;
	char text[64], s[32];

	buf_printf(out, "<tr><td><a href=\"#d%zu\">", i);
	buf_html(out, str_from(r->scenario->name));
	buf_adds(out, "</a></td>");
	if (r->verdict <= DRILL_VERDICT_MISSED) {
		cell(out, span(m->gap_ns, s));
		snprintf(text, sizeof(text), "%llu of %llu", (unsigned long long)m->failed,
		         (unsigned long long)m->requests);
		cell(out, text);
		cell(out, span(m->recovery_ns, s));
		cell(out, span(m->split_ns, s));
		cell(out, intact(m));
	} else {
		buf_adds(out, "<td></td><td></td><td></td><td></td><td></td>");
	}
	buf_printf(out, "<td class=\"v %s\">%s</td></tr>\n", verdict_class[r->verdict],
	           drill_verdict_text[r->verdict]);
}

static void table(const struct drill_result *r, size_t n, struct buf *out)
{
	buf_adds(out,
	         "<div class=scroll><table><thead><tr><th>drill</th><th class=n>longest gap</th>"
	         "<th class=n>failed requests</th><th class=n>well again after</th>"
	         "<th class=n>two held the address</th><th class=n>open streams</th>"
	         "<th>verdict</th></tr></thead><tbody>\n");
	for (size_t i = 0; i < n; i++)
		row(&r[i], i, out);
	buf_adds(out, "</tbody></table></div>\n");
}

/* --- one drill ------------------------------------------------------------------------------ */

static void number(struct buf *out, const char *what, const char *text)
{
	buf_printf(out, "<div><dt>%s</dt><dd>", what);
	buf_html(out, str_from(text));
	buf_adds(out, "</dd></div>");
}

static void numbers(const struct drill_result *r, struct buf *out)
{
	const struct drill_measure *m = &r->measure;
	char s[32], limit[32], text[96];

	buf_adds(out, "<dl>");
	span(m->gap_ns, s);
	if (r->limits.outage == DRILL_NO_LIMIT)
		snprintf(text, sizeof(text), "%s", s);
	else
		snprintf(text, sizeof(text), "%s (limit %s)", s, span(r->limits.outage, limit));
	number(out, "longest gap", text);
	if (r->limits.failed == DRILL_NO_LIMIT)
		snprintf(text, sizeof(text), "%llu", (unsigned long long)m->failed);
	else
		snprintf(text, sizeof(text), "%llu (limit %llu)", (unsigned long long)m->failed,
		         (unsigned long long)r->limits.failed);
	number(out, "failed requests", text);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)m->refused);
	number(out, "refused connections", text);
	number(out, "half answered within", span(m->p50_ns, s));
	number(out, "99 of 100 within", span(m->p99_ns, s));
	number(out, "slowest answer", span(m->max_ns, s));
	number(out, "longest gap before the fault", span(m->quiet_gap_ns, s));
	number(out, "download and WebSocket", intact(m));
	buf_adds(out, "</dl>\n");
}

static void section(const struct drill_report *about, const struct drill_result *r, size_t i,
                    struct buf *out)
{
	struct buf words = BUF_INIT;

	buf_printf(out, "<section id=\"d%zu\"><h2>", i);
	buf_html(out, str_from(r->scenario->name));
	buf_printf(out, " <span class=\"v %s\">%s</span></h2>\n<p class=dim>",
	           verdict_class[r->verdict], drill_verdict_text[r->verdict]);
	buf_html(out, str_from(r->scenario->what));
	buf_adds(out, "</p>\n<p class=head><strong>");
	drill_result_words(r, &words);
	buf_html(out, buf_str(&words));
	buf_adds(out, "</strong></p>\n<p>");
	buf_html(out, str_from(r->scenario->means));
	buf_adds(out, "</p>\n");
	if (r->verdict <= DRILL_VERDICT_MISSED) {
		drill_report_chart(about, r, out);
		numbers(r, out);
	}
	buf_adds(out, "</section>\n");
	buf_free(&words);
}

static void headline(const struct drill_report *about, const struct drill_result *r, size_t n,
                     struct buf *out)
{
	unsigned count[DRILL_VERDICTS] = { 0 };
	char when[32];

	for (size_t i = 0; i < n; i++)
		count[r[i].verdict]++;
	clock_format_utc(about->wall_ms, when);
	buf_adds(out, "<h1>Drills of ");
	buf_html(out, str_from(about->cluster[0] ? about->cluster : "the cluster"));
	buf_printf(out, "</h1>\n<p class=dim>%s, %s; asked: ", when,
	           about->lab ? "in a lab on one machine" : "in production");
	buf_html(out, str_from(about->target));
	buf_printf(out, ", a new visitor every %.3g ms</p>\n<p class=head>",
	           (double)about->every_ns / NS_PER_MS);
	if (count[DRILL_VERDICT_MISSED] + count[DRILL_VERDICT_BROKEN] == 0)
		buf_printf(out, "<strong class=met>All %u drills kept their limits.</strong>",
		           count[DRILL_VERDICT_MET]);
	else
		buf_printf(out,
		           "<strong class=missed>%u of %u drills did not keep their limits."
		           "</strong>",
		           count[DRILL_VERDICT_MISSED] + count[DRILL_VERDICT_BROKEN],
		           (unsigned)n - count[DRILL_VERDICT_SKIPPED]);
	if (count[DRILL_VERDICT_SKIPPED] > 0)
		buf_printf(out, " %u could not be run here.", count[DRILL_VERDICT_SKIPPED]);
	buf_adds(out, "</p>\n");
}

void drill_report_html(const struct drill_report *about, const struct drill_result *r, size_t n,
                       struct buf *out)
{
	buf_adds(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
	              "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
	              "<title>Drills of ");
	buf_html(out, str_from(about->cluster));
	buf_adds(out, "</title>\n<style>");
	buf_adds(out, style);
	buf_adds(out, "</style></head><body>\n");
	headline(about, r, n, out);
	table(r, n, out);
	for (size_t i = 0; i < n; i++)
		section(about, &r[i], i, out);
	buf_adds(out,
	         "<p class=dim>Each drill breaks something while a client asks at a fixed rate, "
	         "whatever becomes of its questions. The longest gap is the longest time in which "
	         "no new visitor was answered; a request failed when its answer was an error, was "
	         "cut off, or did not come in time.</p>\n</body></html>\n");
}
