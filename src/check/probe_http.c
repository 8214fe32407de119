/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The http probe: a request and its answer by RFC 9112, judged by status and, where configured, by
 * text in the first 64 KiB of the body. The connection is kept for the next questions where the
 * server allows it, but every few questions a new one proves that the server still accepts. An
 * answer that comes whole, as nearly all do, is judged where it was received; only one that comes
 * in pieces takes a buffer.
 */
#include "check/probe.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "net/sock.h"

#define HEAD_MAX  16384
#define DRAIN_MAX 65536 /* of a body nobody looks at, to keep its connection */
#define USES_MAX  5     /* questions on one connection */

enum { ASK_IDLE, ASK_CONNECTING, ASK_HEAD, ASK_BODY, ASK_DRAIN };

static const struct http_limits http_limits = {
	.max_line = 4096,
	.max_head = HEAD_MAX,
	.max_fields = HTTP_MAX_FIELDS,
};

/* One thread, one answer at a time: what is received and its parsed head. */
static char received[PROBE_STORE];
static struct http_head head;

static void http_start(struct probe *p);

static bool is_keeping(const struct probe *p)
{
	return p->s.io.fd >= 0 && p->phase == ASK_IDLE;
}

static void http_close(struct probe *p)
{
	if (is_keeping(p)) {
		p->env->kept--;
	}
	probe_close(p);
	probe_store_put(p);
	p->phase = ASK_IDLE;
}

/* The answer is complete: keeps its connection or closes it. */
static void finish(struct probe *p)
{
	if (p->close || p->uses >= USES_MAX || p->env->kept >= p->env->kept_max) {
		http_close(p);
		return;
	}
	probe_store_put(p);
	p->phase = ASK_IDLE;
	p->env->kept++;
}

static void fail(struct probe *p, enum fail_why why, const char *text)
{
	http_close(p);
	probe_verdict(p, PROBE_FAILED, why, text != NULL ? "%s" : NULL, text);
}

/* A connection that broke. One kept from before may have been closed meanwhile: asked again. */
static void broken(struct probe *p, enum fail_why why)
{
	bool again = p->reused && p->phase <= ASK_HEAD && p->store == NULL;

	http_close(p);
	if (!p->running) {
		return;
	}
	if (again) {
		http_start(p);
		return;
	}
	probe_verdict(p, PROBE_FAILED, why, NULL);
}

static void send_request(struct probe *p)
{
	struct str host = p->check->host.len != 0 ? p->check->host : str_from(p->host);
	const struct str parts[3] = { p->text->head, host, p->text->tail };
	struct iovec iov[3];

	for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
		iov[i].iov_base = (char *)(uintptr_t)parts[i].s;
		iov[i].iov_len = parts[i].len;
	}
	p->phase = ASK_HEAD;
	if (stream_send(&p->s, iov, ARRAY_LEN(iov)) != OK) {
		broken(p, fail_errno(errno));
	}
}

static void http_start(struct probe *p)
{
	p->scanned = 0;
	p->close = false;
	if (!is_keeping(p)) {
		http_close(p); /* it may still be at the body of its last answer */
		p->phase = ASK_CONNECTING;
		if (probe_connect(p) && probe_watch(p)) {
			p->uses = 1;
		}
		return;
	}
	p->env->kept--;
	p->reused = true;
	p->uses++;
	send_request(p);
}

static void judge_match(struct probe *p, bool found, bool whole)
{
	if (found) {
		p->phase = ASK_DRAIN;
		p->drained = 0;
		probe_verdict(p, PROBE_OK, FAIL_NONE, NULL);
	} else if (whole) {
		fail(p, FAIL_MATCH, NULL);
	} else if (p->store->len == PROBE_STORE) {
		fail(p, FAIL_MATCH, "no match in the first 64 KiB");
	}
}

/* Looks for the text in one more run of the body. whole: nothing follows it. */
static void look(struct probe *p, struct str run, bool whole)
{
	struct str match = p->check->match;
	struct probe_store *s = p->store;

	if (s == NULL && (whole || memmem(run.s, run.len, match.s, match.len) != NULL)) {
		bool found = run.len != 0 && memmem(run.s, run.len, match.s, match.len) != NULL;

		judge_match(p, found, whole);
		return;
	}
	s = probe_store_get(p);
	if (s == NULL) {
		http_close(p);
		probe_verdict(p, PROBE_UNDECIDED, FAIL_LOCAL, NULL);
		return;
	}
	judge_match(p, probe_store_find(s, run, match), whole);
}

/* Hands on what the framing says is data; the verdict may fall within. */
static void body_run(struct probe *p, struct str run, bool whole)
{
	if (p->phase == ASK_BODY && (run.len != 0 || whole)) {
		look(p, run, whole);
	}
}

static void on_chunked(struct probe *p, const char *data, size_t len)
{
	while (len > 0 && !p->chunked.done && p->s.io.fd >= 0) {
		struct str run = STR_NONE;
		ssize_t n = http_chunked_scan(&p->chunked, data, len, &run);

		if (n < 0) {
			if (p->running) {
				fail(p, FAIL_BAD_RESPONSE, http_fault_text((enum http_fault) - n));
			} else {
				http_close(p);
			}
			return;
		}
		data += n;
		len -= (size_t)n;
		body_run(p, run, false);
	}
	if (p->s.io.fd < 0 || !p->chunked.done) {
		return;
	}
	p->close = p->close || len != 0;
	body_run(p, STR_NONE, true);
	if (p->s.io.fd >= 0) {
		finish(p);
	}
}

static void on_length(struct probe *p, const char *data, size_t len)
{
	size_t n = len < p->left ? len : (size_t)p->left;

	p->left -= n;
	p->close = p->close || len > n;
	body_run(p, str_n(data, n), p->left == 0);
	if (p->left == 0 && p->s.io.fd >= 0) {
		finish(p);
	}
}

static void on_body(struct probe *p, const char *data, size_t len)
{
	if (p->phase == ASK_DRAIN) {
		p->drained += len;
		if (p->drained > DRAIN_MAX || p->body == HTTP_BODY_UNTIL_CLOSE) {
			http_close(p);
			return;
		}
	}
	switch (p->body) {
	case HTTP_BODY_CHUNKED:
		on_chunked(p, data, len);
		break;
	case HTTP_BODY_UNTIL_CLOSE:
		body_run(p, str_n(data, len), false);
		break;
	default:
		on_length(p, data, len);
		break;
	}
}

/* The head is there: the status decides, or the body has to. */
static void on_answer(struct probe *p, const char *rest, size_t len)
{
	p->body = (uint8_t)head.body;
	p->left = head.body == HTTP_BODY_LENGTH ? head.length : 0;
	p->close = head.close || head.status == 101;
	probe_store_put(p);
	http_chunked_init(&p->chunked);
	if (!conf_expects(p->check, head.status)) {
		http_close(p);
		probe_verdict(p, PROBE_FAILED, FAIL_STATUS, "HTTP %u", head.status);
		return;
	}
	p->phase = ASK_BODY;
	if (p->check->match.len == 0) {
		p->phase = ASK_DRAIN;
		p->drained = 0;
		probe_verdict(p, PROBE_OK, FAIL_NONE, NULL);
	}
	on_body(p, rest, len);
}

/* Bytes of the head: parsed where they lie when it is whole, else gathered. */
static void on_head(struct probe *p, const char *data, size_t len)
{
	static char whole[HEAD_MAX + PROBE_STORE];
	enum http_method method = http_method_of(p->check->method);
	size_t have = p->store != NULL ? p->store->len : 0;
	int n;

	if (have != 0) {
		memcpy(whole, p->store->data, have);
		memcpy(whole + have, data, len);
		data = whole;
		len += have;
	}
	for (;;) {
		n = http_parse_response(&head, data, len, &http_limits, &p->scanned, method);
		if (n <= 0 || head.status >= 200 || head.status == 101) {
			break;
		}
		data += n; /* an interim answer, RFC 9110 15.2 */
		len -= (size_t)n;
		p->scanned = 0;
	}
	if (n < 0) {
		fail(p, FAIL_BAD_RESPONSE, http_fault_text((enum http_fault) - n));
	} else if (n > 0) {
		on_answer(p, data + n, len - (size_t)n);
	} else if (len > HEAD_MAX) {
		fail(p, FAIL_BAD_RESPONSE, http_fault_text(HTTP_FAULT_HEAD_TOO_LARGE));
	} else if (probe_store_get(p) == NULL) {
		http_close(p);
		probe_verdict(p, PROBE_UNDECIDED, FAIL_LOCAL, NULL);
	} else {
		memmove(p->store->data, data, len);
		p->store->len = len;
	}
}

static void on_data(struct probe *p, const char *data, size_t len)
{
	if (!flow_empty(&p->s.out)) {
		p->uses = USES_MAX; /* answered before it had the whole question */
	}
	if (p->phase == ASK_HEAD) {
		on_head(p, data, len);
	} else if (p->phase == ASK_BODY || p->phase == ASK_DRAIN) {
		on_body(p, data, len);
	} else {
		http_close(p); /* bytes nobody asked for, on a kept connection */
	}
}

static void on_eof(struct probe *p)
{
	if (p->phase == ASK_BODY && p->body == HTTP_BODY_UNTIL_CLOSE) {
		p->close = true;
		body_run(p, STR_NONE, true);
		http_close(p);
		return;
	}
	broken(p, p->phase == ASK_BODY || p->store != NULL ? FAIL_CUT : FAIL_CLOSED);
}

static void receive(struct probe *p)
{
	while (p->s.io.fd >= 0 && p->s.readable) {
		ssize_t n = stream_recv(&p->s, received, sizeof(received));

		if (n > 0) {
			on_data(p, received, (size_t)n);
		} else if (n == ERR_AGAIN) {
			return;
		} else if (n == ERR_CLOSED) {
			on_eof(p);
		} else {
			broken(p, fail_errno(errno));
		}
	}
}

static void http_io(struct probe *p, uint32_t events)
{
	bool opened = false;

	if (!probe_open(p, events, &opened)) {
		return;
	}
	if (opened) {
		send_request(p);
	} else if (!flow_empty(&p->s.out) && stream_flush(&p->s) != OK) {
		broken(p, fail_errno(errno));
	}
	receive(p);
}

const struct probe_ops probe_http = {
	.name = "http",
	.start = http_start,
	.io = http_io,
	.stop = http_close,
	.timed_out = probe_link_timed_out,
};

int probe_http_text(const struct conf_check *check, struct arena *arena, struct probe_text *ret)
{
	struct buf b = BUF_INIT;
	bool agent = false;
	bool accept = false;

	buf_printf(&b, "%.*s %.*s HTTP/1.1\r\nHost: ", STR_ARG(check->method),
	           STR_ARG(check->http));
	ret->head = arena_str(arena, buf_str(&b));
	b.len = 0;
	buf_adds(&b, "\r\n");
	for (uint32_t i = 0; i < check->nheaders; i++) {
		const struct conf_match_header *h = &check->headers[i];

		agent = agent || str_eq_nocase(h->name, STR("user-agent"));
		accept = accept || str_eq_nocase(h->name, STR("accept"));
		buf_printf(&b, "%.*s: %.*s\r\n", STR_ARG(h->name), STR_ARG(h->value));
	}
	buf_adds(&b, agent ? "" : "User-Agent: holdfast-check\r\n");
	buf_adds(&b, accept ? "" : "Accept: */*\r\n");
	switch (http_method_of(check->method)) {
	case HTTP_POST:
	case HTTP_PUT:
	case HTTP_PATCH: /* RFC 9110 8.6: a method that expects content says that there is none */
		buf_adds(&b, "Content-Length: 0\r\n");
		break;
	default:
		break;
	}
	buf_adds(&b, "\r\n");
	ret->tail = arena_str(arena, buf_str(&b));
	buf_free(&b);
	return ret->head.s != NULL && ret->tail.s != NULL && !b.failed ? OK : ERR_NOMEM;
}
