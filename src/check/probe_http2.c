/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The http probe of servers that speak HTTP/2: the same request, judged in the same way, on a
 * connection for each question. What traffic would refuse of a head is refused here: it becomes
 * HTTP/1.1 text and goes through the strict parser. Main thread of the role check.
 */
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "check/h2.h"
#include "http/h2_text.h"

#define HEAD_MAX 16384

static const struct http_limits limits = {
	.max_line = HEAD_MAX,
	.max_head = HEAD_MAX,
	.max_fields = HTTP_MAX_FIELDS,
};

/* One thread, one head at a time: it is looked at and done with. */
static struct http_head head;

struct http2 {
	struct h2 h2;
	unsigned status; /* of the answer; 0: its head is not whole */
	bool found;
	struct h2_text text;
	char *room;               /* of the text, while a head is coming */
	struct probe_store *body; /* what came of it, where it has to be looked at */
};

static struct http2 *of(struct probe *p)
{
	return CONTAINER_OF(p->h2, struct http2, h2);
}

/* --- the answer ----------------------------------------------------------------------------- */

static void http2_begin(struct probe *p)
{
	struct http2 *a = of(p);

	if (a->status != 0) { /* trailers */
		return;
	}
	if (a->room == NULL) {
		a->room = malloc(H2_TEXT_ROOM(HEAD_MAX));
	}
	if (a->room == NULL) {
		a->h2.no_memory = true;
		return;
	}
	h2_text_begin(&a->text, H2_TEXT_RESPONSE, a->room, H2_TEXT_ROOM(HEAD_MAX), &limits);
}

static void http2_field(struct probe *p, struct str name, struct str value)
{
	struct http2 *a = of(p);

	if (a->status == 0) {
		h2_text_field(&a->text, name, value); /* what is wrong with it is told at the end */
	}
}

/* The head's text by the strict parser; false: it is none. */
static bool read_head(struct probe *p)
{
	struct http2 *a = of(p);
	size_t scanned = 0;
	int n = http_parse_response(&head, a->text.out, a->text.len, &limits, &scanned,
	                            http_method_of(p->check->method));

	if (n <= 0) {
		a->h2.fault = http_fault_text(n < 0 ? (enum http_fault) - n : HTTP_FAULT_BAD_LINE);
	}
	return n > 0;
}

static void http2_head(struct probe *p, bool end)
{
	struct http2 *a = of(p);
	enum h2_fault fault;

	if (a->status != 0) {
		return;
	}
	fault = h2_text_end(&a->text, end);
	if (fault != H2_FAULT_NONE) {
		a->h2.fault = h2_fault_text(fault);
		return;
	}
	if (!read_head(p) || head.status < 200) { /* an interim answer, RFC 9110 15.2 */
		return;
	}
	a->status = head.status;
	free(a->room);
	a->room = NULL;
	a->h2.enough = p->check->match.len == 0 || !conf_expects(p->check, a->status);
}

static void http2_data(struct probe *p, struct str data)
{
	struct http2 *a = of(p);

	if (a->status == 0) {
		return;
	}
	if (a->body == NULL) {
		a->body = probe_store_new(p->env);
	}
	if (a->body == NULL) {
		a->h2.no_memory = true;
		return;
	}
	a->found = probe_store_find(a->body, data, p->check->match);
	a->h2.enough = a->found || a->body->len == PROBE_STORE;
}

static void http2_judge(struct probe *p)
{
	const struct http2 *a = of(p);

	if (!conf_expects(p->check, a->status)) {
		probe_ill(p, FAIL_STATUS, "HTTP %u", a->status);
	} else if (p->check->match.len == 0 || a->found) {
		probe_well(p);
	} else if (a->body != NULL && a->body->len == PROBE_STORE) {
		probe_ill(p, FAIL_MATCH, "no match in the first 64 KiB");
	} else {
		probe_ill(p, FAIL_MATCH, "%s", fail_text(FAIL_MATCH));
	}
}

static void http2_free(struct probe *p)
{
	struct http2 *a = of(p);

	free(a->room);
	probe_store_free(p->env, a->body);
}

static const struct h2_kind kind = {
	.begin = http2_begin,
	.field = http2_field,
	.head = http2_head,
	.data = http2_data,
	.judge = http2_judge,
	.free = http2_free,
};

/* --- the request ---------------------------------------------------------------------------- */

/* The text that HTTP/1.1 would send, parsed into `head`; b holds it. NULL, or why there is none. */
static const char *read_request(struct probe *p, struct buf *b)
{
	const struct http_limits any = { UINT32_MAX, UINT32_MAX, HTTP_MAX_FIELDS };
	struct str host = p->check->host.len != 0 ? p->check->host : str_from(p->host);
	size_t scanned = 0;
	int n;

	buf_printf(b, "%.*s%.*s%.*s", STR_ARG(p->text->head), STR_ARG(host),
	           STR_ARG(p->text->tail));
	if (b->failed) {
		return "out of memory";
	}
	n = http_parse_request(&head, b->p, b->len, &any, &scanned);
	if (n <= 0) {
		return http_fault_text(n < 0 ? (enum http_fault) - n : HTTP_FAULT_BAD_LINE);
	}
	return head.upgrade ? "Upgrade is for HTTP/1.1" : NULL;
}

static void http2_opened(struct probe *p)
{
	static nghttp2_nv fields[H2_TEXT_NV];
	struct buf b = BUF_INIT;
	const char *why = read_request(p, &b);

	if (why == NULL) {
		size_t n =
		    h2_text_request_nv(&head, p->tls != NULL ? STR("https") : STR("http"), fields);
		struct http2 *a = calloc(1, sizeof(*a));

		h2_ask(p, a != NULL ? &a->h2 : NULL, &kind, fields, n, NULL);
	} else {
		p->ops->stop(p);
		probe_verdict(p, PROBE_UNDECIDED, FAIL_LOCAL, "not run: its request: %s", why);
	}
	buf_free(&b);
}

const struct probe_ops probe_http2 = {
	.name = "http",
	.start = probe_talk_start,
	.io = probe_talk_io,
	.opened = http2_opened,
	.take = h2_take,
	.ended = h2_ended,
	.stop = h2_stop,
	.timed_out = probe_link_timed_out,
};
