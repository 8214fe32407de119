/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error answers: content negotiation (RFC 9110, 12.5.1) between text, HTML and JSON, or the user's
 * own page, and the whole response around it. Full reasons only to trusted networks, a request id
 * to everyone. Proxy role, any thread; off the hot path.
 */
#include "proxy/error_page.h"

#include "base/check.h"
#include "base/clock.h"

#define MAX_RANGES 32   /* media ranges of an Accept field that are looked at */
#define MAX_VALUE  1024 /* bytes of a field that we write */

/* In the order of our preference among equals. */
enum form { FORM_TEXT, FORM_HTML, FORM_JSON, FORMS };

static const struct {
	struct str type, subtype;
	const char *content_type;
} forms[FORMS] = {
	[FORM_TEXT] = { STR("text"), STR("plain"), "text/plain; charset=utf-8" },
	[FORM_HTML] = { STR("text"), STR("html"), "text/html; charset=utf-8" },
	[FORM_JSON] = { STR("application"), STR("json"), "application/json" },
};

/* A qvalue in thousandths; malformed ones count as 1. */
static unsigned qvalue(struct str s)
{
	unsigned q = 0, unit = 100;

	if (s.len == 0 || s.s[0] < '0' || s.s[0] > '1')
		return 1000;
	if (s.s[0] == '1')
		return 1000;
	for (size_t i = 2; i < s.len && unit > 0; i++, unit /= 10) {
		if (s.s[i] < '0' || s.s[i] > '9')
			return q;
		q += (unsigned)(s.s[i] - '0') * unit;
	}
	return q;
}

/* How closely a media range names a form: 0 not at all, 1 for all, 2 its type, 3 itself. */
static unsigned closeness(struct str range, enum form f)
{
	struct str subtype, type = str_split(range, '/', &subtype);

	type = str_trim(type);
	subtype = str_trim(subtype);
	if (str_eq(type, STR("*")) && str_eq(subtype, STR("*")))
		return 1;
	if (!str_eq_nocase(type, forms[f].type))
		return 0;
	if (str_eq(subtype, STR("*")))
		return 2;
	return str_eq_nocase(subtype, forms[f].subtype) ? 3 : 0;
}

static unsigned range_q(struct str params)
{
	while (params.s != NULL) {
		struct str p = str_trim(str_split(params, ';', &params));

		if (p.len >= 2 && (p.s[0] == 'q' || p.s[0] == 'Q') && p.s[1] == '=')
			return qvalue(str_n(p.s + 2, p.len - 2));
	}
	return 1000;
}

static enum form negotiate(struct str accept)
{
	unsigned q[FORMS] = { 0 }, close[FORMS] = { 0 };
	enum form best = FORM_TEXT;

	for (unsigned n = 0; accept.s != NULL && n < MAX_RANGES; n++) {
		struct str params, item = str_split(accept, ',', &accept);
		struct str range = str_split(item, ';', &params);

		for (enum form f = 0; f < FORMS; f++) {
			unsigned c = closeness(range, f);

			if (c > close[f]) {
				close[f] = c;
				q[f] = range_q(params);
			}
		}
	}
	for (enum form f = 0; f < FORMS; f++) {
		if (q[f] > q[best])
			best = f;
	}
	return best;
}

static const char *status_words(unsigned status)
{
	const char *text = http_status_text(status);

	return text[0] != '\0' ? text : "Error";
}

static void body_text(const struct error_page *e, struct str reason, struct buf *b)
{
	buf_printf(b, "%u %s\n", e->status, status_words(e->status));
	if (reason.len > 0) {
		buf_addstr(b, reason);
		buf_addc(b, '\n');
	}
	if (e->request_id.len > 0)
		buf_printf(b, "request id: %.*s\n", STR_ARG(e->request_id));
}

static void body_html(const struct error_page *e, struct str reason, struct buf *b)
{
	const char *words = status_words(e->status);

	buf_printf(b,
	           "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
	           "<title>%u %s</title></head>\n<body>\n<h1>%u %s</h1>\n",
	           e->status, words, e->status, words);
	if (reason.len > 0) {
		buf_adds(b, "<p>");
		buf_html(b, reason);
		buf_adds(b, "</p>\n");
	}
	if (e->request_id.len > 0) {
		buf_adds(b, "<p>Request id: <code>");
		buf_html(b, e->request_id);
		buf_adds(b, "</code></p>\n");
	}
	buf_adds(b, "</body>\n</html>\n");
}

static void body_json(const struct error_page *e, struct str reason, struct buf *b)
{
	buf_printf(b, "{\"status\":%u,\"error\":", e->status);
	buf_json(b, str_from(status_words(e->status)));
	if (reason.len > 0) {
		buf_adds(b, ",\"reason\":");
		buf_json(b, reason);
	}
	if (e->request_id.len > 0) {
		buf_adds(b, ",\"request_id\":");
		buf_json(b, e->request_id);
	}
	buf_adds(b, "}\n");
}

/* A field of ours; bytes that may not stand in one become '?'. */
static void field(struct buf *b, const char *name, struct str value)
{
	buf_printf(b, "%s: ", name);
	for (size_t i = 0; i < MIN(value.len, MAX_VALUE); i++) {
		unsigned char c = (unsigned char)value.s[i];

		buf_addc(b, c < 0x20 || c >= 0x7f ? '?' : (char)c);
	}
	buf_adds(b, "\r\n");
}

static void head(const struct error_page *e, struct str type, size_t length, struct buf *out)
{
	char date[32];

	http_date(e->wall_ms, date);
	buf_printf(out, "HTTP/1.1 %u %s\r\nDate: %s\r\n", e->status, status_words(e->status), date);
	field(out, "Content-Type", type);
	buf_printf(out, "Content-Length: %zu\r\nCache-Control: no-store\r\n", length);
	if (e->own == NULL)
		buf_adds(out, "Vary: Accept\r\n");
	if (e->retry_after > 0)
		buf_printf(out, "Retry-After: %u\r\n", e->retry_after);
	if (e->request_id.len > 0)
		field(out, "X-Request-Id", e->request_id);
	if (e->trusted && e->reason.len > 0)
		field(out, "Holdfast-Reason", e->reason);
	if (e->fields != NULL)
		buf_adds(out, e->fields);
	if (e->close)
		buf_adds(out, "Connection: close\r\n");
	else if (e->http10)
		buf_adds(out, "Connection: keep-alive\r\n");
	buf_adds(out, "\r\n");
}

void error_page_write(const struct error_page *e, struct buf *out)
{
	static void (*const write_body[FORMS])(const struct error_page *, struct str,
	                                       struct buf *) = {
		[FORM_TEXT] = body_text,
		[FORM_HTML] = body_html,
		[FORM_JSON] = body_json,
	};
	struct buf made = BUF_INIT;
	struct str body, type;

	if (e->own != NULL) {
		body = e->own->body;
		type = e->own->type.len > 0 ? e->own->type : STR("application/octet-stream");
	} else {
		enum form f = negotiate(e->accept);

		write_body[f](e, e->trusted ? e->reason : STR_NONE, &made);
		if (made.failed)
			buf_free(&made);
		body = buf_str(&made);
		type = str_from(forms[f].content_type);
	}
	head(e, type, body.len, out);
	if (!e->head)
		buf_addstr(out, body);
	buf_free(&made);
}

static const struct conf_error_page *find(unsigned status, const struct conf_error_page *pages,
                                          uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (pages[i].status == status)
			return &pages[i];
	}
	return NULL;
}

const struct conf_error_page *error_page_find(unsigned status, const struct conf *c,
                                              const struct conf_listener *l,
                                              const struct conf_route *r)
{
	const struct conf_error_page *page = NULL;

	if (r != NULL) {
		page = find(status, r->pages, r->npages);
		if (page == NULL && r->pool < c->npools)
			page = find(status, c->pools[r->pool].pages, c->pools[r->pool].npages);
	}
	if (page == NULL && l != NULL)
		page = find(status, l->pages, l->npages);
	return page != NULL ? page : find(status, c->pages, c->npages);
}
