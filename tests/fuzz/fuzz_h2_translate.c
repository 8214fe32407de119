/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any list of fields as HTTP/2 gives it, turned into HTTP/1.1 text: whatever is accepted is one
 * head by the strict parser, with nothing injected, one Host, and the framing that was said; and it
 * comes back as the same request. The input: a byte of kind and flags, then fields, each a byte for
 * the name (its length, or from 0x80 a name of the list), a byte for the value's length, and both.
 */
#include <stdlib.h>

#include "base/check.h"
#include "http/h2_text.h"
#include "http/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct str names[] = {
	STR(":method"),           STR(":scheme"),    STR(":authority"), STR(":path"),
	STR(":status"),           STR(":protocol"),  STR("host"),       STR("content-length"),
	STR("transfer-encoding"), STR("connection"), STR("cookie"),     STR("te"),
	STR("trailer"),           STR("upgrade"),    STR("keep-alive"), STR("expect"),
	STR("sec-websocket-key"), STR("x"),
};
static const struct http_limits limits = { 1024, 2048, 20 };
static const char key[WEBSOCKET_KEY_LEN + 1] = "AAAAAAAAAAAAAAAAAAAAAA==";

struct list {
	const uint8_t *p, *end;
};

static bool next_field(struct list *l, struct str *name, struct str *value)
{
	size_t n, v;

	if (l->end - l->p < 2)
		return false;
	n = l->p[0];
	v = l->p[1];
	l->p += 2;
	if (n >= 0x80) {
		*name = names[n % ARRAY_LEN(names)];
	} else {
		n = MIN(n, (size_t)(l->end - l->p));
		*name = str_n((const char *)l->p, n);
		l->p += n;
	}
	v = MIN(v, (size_t)(l->end - l->p));
	*value = str_n((const char *)l->p, v);
	l->p += v;
	return true;
}

/* No NUL, no CR or LF but at the ends of lines, no empty line but at the end of a head. */
static void check_lines(struct str text, bool head)
{
	size_t i, line = 0;

	for (i = 0; i < text.len; i++) {
		CHECK(text.s[i] != '\0');
		if (text.s[i] == '\n')
			CHECK(i > 0 && text.s[i - 1] == '\r');
		if (text.s[i] != '\r')
			continue;
		CHECK(i + 1 < text.len && text.s[i + 1] == '\n');
		CHECK(i > line || (head && i + 2 == text.len));
		line = i + 2;
	}
	CHECK(text.len == 0 || line == text.len);
}

static unsigned count_named(const struct http_head *h, enum http_field_id id)
{
	unsigned i, n = 0;

	for (i = 0; i < h->nfields; i++)
		n += h->fields[i].id == id;
	return n;
}

/* The request back as fields and once more as text: the same request. */
static void check_back(const struct http_head *h, bool end)
{
	static nghttp2_nv nva[H2_TEXT_NV];
	static char out[H2_TEXT_ROOM(4096)];
	static struct http_head again;
	const struct http_limits more = { 4096, 4096, HTTP_MAX_FIELDS };
	size_t i, scanned = 0, n;
	struct h2_text t;
	int len;

	n = h2_text_request_nv(h, STR("http"), nva);
	CHECK(n <= H2_TEXT_NV);
	if (h->upgrade || str_eq(h->method_text, STR("CONNECT")))
		return;
	h2_text_begin(&t, H2_TEXT_REQUEST, out, sizeof(out), &more);
	for (i = 0; i < n; i++) {
		char name[256];
		size_t k;

		CHECK(nva[i].namelen <= sizeof(name));
		for (k = 0; k < nva[i].namelen; k++)
			name[k] = (char)http_lower[nva[i].name[k]];
		h2_text_field(&t, str_n(name, nva[i].namelen),
		              str_n((const char *)nva[i].value, nva[i].valuelen));
	}
	CHECK(h2_text_end(&t, end) == H2_FAULT_NONE);
	len = http_parse_request(&again, t.out, t.len, &more, &scanned);
	CHECK(len == (int)t.len);
	CHECK(str_eq(again.method_text, h->method_text) && str_eq(again.target, h->target));
	CHECK(http_same(again.host, h->host) && again.body == h->body && again.length == h->length);
}

static void check_request(const struct h2_text *t, bool end)
{
	static struct http_head h;
	size_t scanned = 0;
	int n = http_parse_request(&h, t->out, t->len, &limits, &scanned);

	CHECK(n != 0); /* a head is whole, or it is refused */
	if (n < 0)
		return;
	CHECK((size_t)n == t->len && h.minor == 1);
	CHECK(count_named(&h, HTTP_FIELD_HOST) == 1 && count_named(&h, HTTP_FIELD_COOKIE) <= 1);
	if ((t->seen >> H2_AUTHORITY & 1) != 0)
		CHECK(http_same(h.host, t->pseudo[H2_AUTHORITY]));
	if (t->extended) {
		CHECK(h.upgrade && h.body == HTTP_BODY_NONE);
	} else {
		CHECK(str_eq(h.method_text, t->pseudo[H2_METHOD]) && !h.upgrade);
		CHECK(t->connect || str_eq(h.target, t->pseudo[H2_PATH]));
		CHECK(count_named(&h, HTTP_FIELD_CONNECTION) == 0);
		/* The server takes exactly the body that comes. */
		if (t->connect)
			CHECK(h.body != HTTP_BODY_CHUNKED);
		else if (t->sized)
			CHECK(h.length == t->length &&
			      (h.body == HTTP_BODY_LENGTH) == (t->length > 0));
		else
			CHECK((h.body == HTTP_BODY_CHUNKED) == !end);
		CHECK(!end || h.body == HTTP_BODY_NONE);
	}
	check_back(&h, end);
}

static void check_response(const struct h2_text *t)
{
	static struct http_head h;
	size_t scanned = 0;
	int n = http_parse_response(&h, t->out, t->len, &limits, &scanned, HTTP_GET);

	CHECK(n != 0);
	if (n < 0)
		return;
	CHECK((size_t)n == t->len && h.status == (t->extended ? 101 : t->status) && h.minor == 1);
	CHECK(count_named(&h, HTTP_FIELD_CONNECTION) == t->extended);
	CHECK(!t->extended || (h.body == HTTP_BODY_NONE && t->status / 100 == 2));
	CHECK(h.body != HTTP_BODY_CHUNKED);
	if (h.body == HTTP_BODY_LENGTH)
		CHECK(t->sized && h.length == t->length);
}

static void check_trailers(const struct h2_text *t)
{
	static nghttp2_nv nva[64];
	size_t i, n = h2_text_trailers_nv(str_n(t->out, t->len), nva, ARRAY_LEN(nva));

	for (i = 0; i < n; i++) {
		struct str name = str_n((const char *)nva[i].name, nva[i].namelen);

		CHECK(http_is_token(name) && name.s[0] != ':');
		CHECK(http_is_value(str_n((const char *)nva[i].value, nva[i].valuelen)));
		CHECK(http_field_id_of(name) != HTTP_FIELD_CONTENT_LENGTH &&
		      http_field_id_of(name) != HTTP_FIELD_TRANSFER_ENCODING);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char room[2][H2_TEXT_ROOM(2048)];
	struct str name, value;
	struct h2_text t;
	struct list l;
	unsigned turn = 0;
	bool end;

	if (size < 1 || size > 8192)
		return 0;
	end = (data[0] & 4) != 0;
	l = (struct list){ data + 1, data + size };
	h2_text_begin(&t, (enum h2_text_kind)((data[0] & 3) % 3), room[0], sizeof(room[0]),
	              &limits);
	if ((data[0] & 8) != 0)
		h2_text_websocket(&t, key);
	if ((data[0] & 8) != 0 && t.kind == H2_TEXT_RESPONSE)
		h2_text_accept(&t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	while (next_field(&l, &name, &value)) {
		/* In a copy of exactly that size, so that a sanitizer sees what is read beyond. */
		char *copy = malloc(name.len + value.len + 1);

		CHECK(copy != NULL);
		memcpy(copy, name.s, name.len);
		if (value.len > 0)
			memcpy(copy + name.len, value.s, value.len);
		h2_text_field(&t, str_n(copy, name.len), str_n(copy + name.len, value.len));
		free(copy);
		if ((data[0] & 16) != 0) /* as when a field block comes in several reads */
			h2_text_move(&t, room[++turn % 2], sizeof(room[0]));
	}
	if (h2_text_end(&t, end) != H2_FAULT_NONE)
		return 0;
	CHECK(t.len <= limits.max_head);
	check_lines(str_n(t.out, t.len), t.kind != H2_TEXT_TRAILERS);
	if (t.kind == H2_TEXT_REQUEST)
		check_request(&t, end);
	else if (t.kind == H2_TEXT_RESPONSE)
		check_response(&t);
	else
		check_trailers(&t);
	return 0;
}
