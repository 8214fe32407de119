/* SPDX-License-Identifier: Apache-2.0 */
/* How a whoami answers: heads, bodies, errors; and the parameters of its requests. */
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "lab/whoami_impl.h"

/* --- answers -------------------------------------------------------------------------------- */

static const char *date(struct whoami_thread *t)
{
	uint64_t ms = clock_wall_ms();

	if (ms / 1000 != t->date_s) {
		t->date_s = ms / 1000;
		http_date(ms, t->date);
	}
	return t->date;
}

/* h: NULL where the request was malformed. */
static void build_head(struct whoami_conn *c, const struct http_head *h, unsigned status,
                       const char *type, uint64_t length, const char *extra)
{
	struct buf *b = &c->t->head_out;
	bool old = h && h->minor == 0;

	b->len = 0;
	c->chunked = length == UINT64_MAX && !old && status != 101;
	if (length == UINT64_MAX && !c->chunked && status != 101)
		c->close = true;
	buf_adds(b, "HTTP/1.1 ");
	buf_addu(b, status);
	buf_addc(b, ' ');
	buf_adds(b, http_status_text(status));
	buf_adds(b, "\r\nServer: holdfast-whoami\r\nDate: ");
	buf_adds(b, date(c->t));
	buf_adds(b, "\r\nX-Whoami: ");
	buf_adds(b, c->t->w->name);
	buf_adds(b, "\r\n");
	if (type[0] != '\0') {
		buf_adds(b, "Content-Type: ");
		buf_adds(b, type);
		buf_adds(b, "\r\n");
	}
	if (length != UINT64_MAX && status >= 200 && status != 204) {
		buf_adds(b, "Content-Length: ");
		buf_addu(b, length);
		buf_adds(b, "\r\n");
	}
	if (c->chunked)
		buf_adds(b, "Transfer-Encoding: chunked\r\n");
	if (c->close)
		buf_adds(b, "Connection: close\r\n");
	else if (old)
		buf_adds(b, "Connection: keep-alive\r\n");
	buf_adds(b, extra);
	buf_adds(b, "\r\n");
}

void whoami_head(struct whoami_conn *c, const struct http_head *h, unsigned status,
                 const char *type, uint64_t length, const char *extra)
{
	build_head(c, h, status, type, length, extra);
	whoami_send(c, c->t->head_out.p, c->t->head_out.len);
}

void whoami_run(struct whoami_conn *c, const void *data, size_t len)
{
	char size[24];
	struct iovec iov[3] = { { size, 0 },
		                { (void *)(uintptr_t)data, len },
		                { (void *)(uintptr_t) "\r\n", 2 } };

	if (!c->chunked) {
		whoami_send(c, data, len);
		return;
	}
	iov[0].iov_len = (size_t)snprintf(size, sizeof(size), "%zx\r\n", len);
	if (c->state != WHOAMI_DEAD && stream_send(&c->s, iov, 3) != OK)
		whoami_conn_close(c, true);
}

void whoami_finish(struct whoami_conn *c)
{
	if (c->state == WHOAMI_DEAD)
		return;
	c->state = c->close ? WHOAMI_FLUSH : WHOAMI_HEAD;
}

void whoami_end(struct whoami_conn *c, const char *trailers)
{
	if (c->chunked) {
		whoami_send(c, "0\r\n", 3);
		whoami_send(c, trailers, strlen(trailers));
		whoami_send(c, "\r\n", 2);
	}
	whoami_finish(c);
}

void whoami_send_whole(struct whoami_conn *c, const struct http_head *h, unsigned status,
                       const char *type, struct str body, const char *extra)
{
	bool no_body = status < 200 || status == 204 || status == 304;
	struct iovec iov[2];

	if (no_body)
		body.len = 0;
	build_head(c, h, status, no_body ? "" : type, body.len, extra);
	iov[0] = (struct iovec){ c->t->head_out.p, c->t->head_out.len };
	iov[1] = (struct iovec){ (void *)(uintptr_t)body.s, body.len };
	if (h && h->method == HTTP_HEAD)
		iov[1].iov_len = 0;
	if (c->state != WHOAMI_DEAD && stream_send(&c->s, iov, 2) != OK)
		whoami_conn_close(c, true);
	whoami_finish(c);
}

void whoami_answer_error(struct whoami_conn *c, const struct http_head *h, unsigned status,
                         const char *text)
{
	struct buf *b = &c->t->body_out;

	b->len = 0;
	buf_printf(b, "%u %s: %s\n", status, http_status_text(status), text);
	whoami_send_whole(c, h, status, "text/plain", buf_str(b), "");
}

/* --- parameters ----------------------------------------------------------------------------- */

bool whoami_query(struct str query, const char *name, struct str *ret)
{
	struct str key, want = str_from(name);

	while (query.len > 0) {
		struct str pair = str_split(query, '&', &query), value;

		key = str_split(pair, '=', &value);
		if (str_eq(key, want)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

uint64_t whoami_query_u64(struct str query, const char *name, uint64_t max, uint64_t otherwise)
{
	struct str value;
	uint64_t n;

	if (!whoami_query(query, name, &value) || str_to_u64(value, max, &n) != OK)
		return otherwise;
	return n;
}

bool whoami_duration(struct str s, uint64_t *ret_ns)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = { { "us", NS_PER_US },    { "ms", NS_PER_MS },      { "s", NS_PER_S },
		      { "m", 60 * NS_PER_S }, { "h", 3600 * NS_PER_S }, { "", NS_PER_MS } };
	size_t digits = 0;
	uint64_t n;

	while (digits < s.len && s.s[digits] >= '0' && s.s[digits] <= '9')
		digits++;
	if (digits == 0 || str_to_u64(str_n(s.s, digits), 1000000000, &n) != OK)
		return false;
	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		if (str_eq(str_n(s.s + digits, s.len - digits), str_from(units[i].unit))) {
			*ret_ns = MIN(n * units[i].ns, 24 * 3600 * NS_PER_S);
			return true;
		}
	}
	return false;
}
