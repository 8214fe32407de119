/* SPDX-License-Identifier: Apache-2.0 */
/* The pages of a whoami: who answered and what was asked, and the paths that tests steer it by. */
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "lab/whoami_impl.h"

/* --- the page ------------------------------------------------------------------------------- */

static bool wants_json(const struct http_head *h)
{
	const struct http_field *f = http_field(h, HTTP_FIELD_ACCEPT);

	return f && memmem(f->value.s, f->value.len, "application/json", 16) != NULL;
}

static void page_text(struct whoami_conn *c, const struct http_head *h, const char *peer,
                      struct buf *b)
{
	buf_adds(b, "name: ");
	buf_adds(b, c->t->w->name);
	buf_adds(b, "\nclient: ");
	buf_adds(b, peer);
	buf_adds(b, "\ncount: ");
	buf_addu(b, c->t->w->counts.requests);
	buf_adds(b, "\n\n");
	buf_addstr(b, h->first_line);
	for (unsigned i = 0; i < h->nfields; i++)
		buf_addstr(b, h->fields[i].line);
}

static void page_json(struct whoami_conn *c, const struct http_head *h, const char *peer,
                      struct buf *b)
{
	buf_adds(b, "{\"name\":");
	buf_json(b, str_from(c->t->w->name));
	buf_adds(b, ",\"client\":");
	buf_json(b, str_from(peer));
	buf_printf(b, ",\"count\":%lu,\"version\":\"1.%u\",\"method\":", c->t->w->counts.requests,
	           h->minor);
	buf_json(b, h->method_text);
	buf_adds(b, ",\"target\":");
	buf_json(b, h->target);
	buf_adds(b, ",\"path\":");
	buf_json(b, h->path);
	buf_adds(b, ",\"host\":");
	buf_json(b, h->host);
	buf_adds(b, ",\"headers\":[");
	for (unsigned i = 0; i < h->nfields; i++) {
		buf_adds(b, i ? ",[" : "[");
		buf_json(b, h->fields[i].name);
		buf_addc(b, ',');
		buf_json(b, h->fields[i].value);
		buf_addc(b, ']');
	}
	buf_adds(b, "]}\n");
}

static void page_whoami(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	struct buf *b = &c->t->body_out;
	char peer[NET_ADDR_TEXT];
	bool json = wants_json(h);

	(void)rest;
	b->len = 0;
	net_addr_format(&c->peer, peer);
	if (json)
		page_json(c, h, peer, b);
	else
		page_text(c, h, peer, b);
	if (b->len < c->t->w->settings.size && !json)
		buf_add(b, c->t->w->block, c->t->w->settings.size - b->len);
	whoami_send_whole(c, h, 200, json ? "application/json" : "text/plain", buf_str(b), "");
}

/* --- pages for tests ------------------------------------------------------------------------ */

static void page_health(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	unsigned status = c->t->w->settings.health_status;

	(void)rest;
	whoami_send_whole(c, h, status, "text/plain",
	                  status == 200 ? STR("healthy\n") : STR("unwell\n"), "");
}

static void page_counts(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	struct buf *b = &c->t->body_out;

	(void)rest;
	b->len = 0;
	whoami_counts_json(c->t->w, whoami_query_u64(h->query, "ids", 1, 1) != 0, b);
	whoami_send_whole(c, h, 200, "application/json", buf_str(b), "");
}

static void settings_json(const struct whoami_settings *s, struct buf *b)
{
	b->len = 0;
	buf_printf(b,
	           "{\"latency_us\":%lu,\"jitter\":%s,\"error_percent\":%u,\"error_status\":%u,"
	           "\"hang_percent\":%u,\"size\":%u,\"close\":%s,\"health_status\":%u,"
	           "\"health_delay_us\":%lu}\n",
	           (unsigned long)(s->latency_ns / NS_PER_US), s->jitter ? "true" : "false",
	           s->error_percent, s->error_status, s->hang_percent, s->size,
	           s->close ? "true" : "false", s->health_status,
	           (unsigned long)(s->health_delay_ns / NS_PER_US));
}

static bool query_duration(struct str query, const char *name, atomic_uint_least64_t *ret)
{
	struct str value;
	uint64_t ns;

	if (!whoami_query(query, name, &value))
		return true;
	if (!whoami_duration(value, &ns))
		return false;
	*ret = ns;
	return true;
}

static bool change(struct whoami *w, struct str what, struct str q)
{
	struct whoami_settings *s = &w->settings;

	if (str_eq(what, STR("health"))) {
		s->health_status =
		    (unsigned)MAX(200, whoami_query_u64(q, "status", 599, s->health_status));
		return query_duration(q, "delay", &s->health_delay_ns);
	}
	if (str_eq(what, STR("latency"))) {
		s->jitter = whoami_query_u64(q, "jitter", 1, s->jitter) != 0;
		return query_duration(q, "value", &s->latency_ns);
	}
	if (str_eq(what, STR("error"))) {
		s->error_percent = (unsigned)whoami_query_u64(q, "percent", 100, s->error_percent);
		s->error_status =
		    (unsigned)MAX(200, whoami_query_u64(q, "status", 599, s->error_status));
		return true;
	}
	if (str_eq(what, STR("hang"))) {
		s->hang_percent = (unsigned)whoami_query_u64(q, "percent", 100, s->hang_percent);
		return true;
	}
	if (str_eq(what, STR("size"))) {
		s->size = (unsigned)whoami_query_u64(q, "bytes", WHOAMI_MAX_SIZE, s->size);
		return true;
	}
	if (str_eq(what, STR("close"))) {
		s->close = whoami_query_u64(q, "value", 1, 1) != 0;
		return true;
	}
	if (str_eq(what, STR("reset"))) {
		whoami_counts_reset(&w->counts);
		return true;
	}
	return false;
}

static void page_admin(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	struct buf *b = &c->t->body_out;

	if (h->method != HTTP_GET && h->method != HTTP_HEAD && !change(c->t->w, rest, h->query)) {
		whoami_answer_error(c, h, 400,
		                    "health?status=N&delay=D, latency?value=D&jitter=0|1, "
		                    "error?percent=N&status=N, hang?percent=N, size?bytes=N, "
		                    "close?value=0|1, reset");
		return;
	}
	settings_json(&c->t->w->settings, b);
	whoami_send_whole(c, h, 200, "application/json", buf_str(b), "");
}

static void page_status(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	struct buf *b = &c->t->body_out;
	uint64_t status;

	if (str_to_u64(rest, 999, &status) != OK || status < 200) {
		whoami_answer_error(c, h, 400, "/status/200 to /status/999");
		return;
	}
	b->len = 0;
	buf_printf(b, "%lu %s\n", status, http_status_text((unsigned)status));
	whoami_send_whole(c, h, (unsigned)status, "text/plain", buf_str(b),
	                  status / 100 == 3 && status != 304 ? "Location: /\r\n" : "");
}

/* The body back as it comes, framed as it came. */
static void page_echo(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	const struct http_field *f = http_field(h, HTTP_FIELD_CONTENT_TYPE);
	char type[128] = "application/octet-stream";

	(void)rest;
	if (f && f->value.len < sizeof(type))
		snprintf(type, sizeof(type), "%.*s", STR_ARG(f->value));
	if (h->body == HTTP_BODY_NONE) {
		whoami_send_whole(c, h, 200, type, STR_NONE, "");
		return;
	}
	if (h->expect_continue)
		whoami_send(c, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	whoami_head(c, h, 200, type, h->body == HTTP_BODY_LENGTH ? h->length : UINT64_MAX, "");
	if (c->state != WHOAMI_DEAD)
		c->state = WHOAMI_ECHO;
}

/* Answers before the body is there: and closes, or with ?keep=1 reads it to its end. */
static void page_early(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	unsigned status = (unsigned)MAX(200, whoami_query_u64(h->query, "status", 599, 413));
	bool more = h->body != HTTP_BODY_NONE;

	(void)rest;
	if (whoami_query_u64(h->query, "keep", 1, 0) == 0)
		c->close = true;
	whoami_send_whole(c, h, status, "text/plain", STR("early\n"), "");
	if (more && !c->close && c->state != WHOAMI_DEAD) {
		c->answered = true;
		c->state = WHOAMI_BODY;
	}
}

static void page_early_hints(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	static const char hints[] = "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n";

	(void)rest;
	if (h->minor > 0)
		whoami_send(c, hints, sizeof(hints) - 1);
	whoami_send_whole(c, h, 200, "text/plain", STR("after the hints\n"), "");
}

static void page_trailers(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	(void)rest;
	whoami_head(c, h, 200, "text/plain", UINT64_MAX, "Trailer: X-Sum\r\n");
	if (h->method == HTTP_HEAD) {
		whoami_finish(c);
		return;
	}
	whoami_run(c, "with trailers\n", 14);
	whoami_end(c, "X-Sum: 14\r\n");
}

static void page_hang(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	(void)h;
	(void)rest;
	c->state = WHOAMI_HANG;
	loop_timer_stop(c->t->loop, &c->timer);
}

/* Without an answer; with ?reset=1 by RST. */
static void page_close(struct whoami_conn *c, const struct http_head *h, struct str rest)
{
	(void)rest;
	whoami_conn_close(c, whoami_query_u64(h->query, "reset", 1, 0) != 0);
}

/* --- all pages ------------------------------------------------------------------------------ */

static const struct whoami_page pages[] = {
	{ "/health", true, false, page_health },
	{ "/counts", true, false, page_counts },
	{ "/admin/", true, false, page_admin },
	{ "/echo", false, true, page_echo },
	{ "/early", false, true, page_early },
	{ "/early-hints", false, false, page_early_hints },
	{ "/bytes/", false, false, whoami_bytes },
	{ "/chunked/", false, false, whoami_chunked },
	{ "/slow/", false, false, whoami_slow },
	{ "/truncate/", false, false, whoami_truncate },
	{ "/sse", false, false, whoami_sse },
	{ "/status/", false, false, page_status },
	{ "/upgrade", false, true, whoami_upgrade },
	{ "/trailers", false, false, page_trailers },
	{ "/hang", false, false, page_hang },
	{ "/close", false, true, page_close },
};

const struct whoami_page *whoami_page_find(struct str path)
{
	if (path.len < 4) /* "/" mostly */
		return NULL;
	for (size_t i = 0; i < ARRAY_LEN(pages); i++) {
		struct str p = str_from(pages[i].path);

		if (p.s[p.len - 1] == '/' ? str_starts(path, p) : str_eq(path, p))
			return &pages[i];
	}
	return NULL;
}

void whoami_answer(struct whoami_conn *c, const struct http_head *h)
{
	const struct whoami_settings *s = &c->t->w->settings;
	const struct whoami_page *p = c->page;

	if ((!p || !p->control) && s->error_percent > 0 && random_below(100) < s->error_percent) {
		if (p && p->at_once && h->body != HTTP_BODY_NONE)
			c->close = true; /* the body has not been read */
		whoami_answer_error(c, h, s->error_status, "as it was told to");
		return;
	}
	if (!p) {
		page_whoami(c, h, STR_NONE);
		return;
	}
	p->fn(c, h, str_n(h->path.s + strlen(p->path), h->path.len - strlen(p->path)));
}
