/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 heads as HTTP/2 fields; see h2_text.h. The fields point into the head: nghttp2 copies
 * them when they are submitted. Called from every thread; no state of its own.
 */
#include "base/check.h"
#include "http/h2_text.h"
#include "http/scan.h"

static inline void put(nghttp2_nv *nv, struct str name, struct str value)
{
	*nv = (nghttp2_nv){ .name = (uint8_t *)name.s,
		            .namelen = name.len,
		            .value = (uint8_t *)value.s,
		            .valuelen = value.len,
		            .flags = NGHTTP2_NV_FLAG_NONE };
}

size_t h2_text_response_nv(const struct http_head *h, char status[4], nghttp2_nv *nva)
{
	/* RFC 9110, 8.6: no word about a length where there never is a body */
	const bool bodiless = h->status < 200 || h->status == 204;
	size_t n = 0;
	unsigned i;

	status[0] = (char)('0' + h->status / 100 % 10);
	status[1] = (char)('0' + h->status / 10 % 10);
	status[2] = (char)('0' + h->status % 10);
	put(&nva[n++], STR(":status"), str_n(status, 3));
	for (i = 0; i < h->nfields; i++) {
		const struct http_field *f = &h->fields[i];

		/* RFC 9113, 8.2.2; Trailer is about the message. */
		if (f->hop && f->id != HTTP_FIELD_TRAILER && f->id != HTTP_FIELD_PROXY_AUTHENTICATE)
			continue;
		if (unlikely(bodiless) && f->id == HTTP_FIELD_CONTENT_LENGTH)
			continue;
		put(&nva[n++], f->name, f->value);
	}
	return n;
}

size_t h2_text_request_nv(const struct http_head *h, struct str scheme, nghttp2_nv *nva)
{
	const bool upgrade = h->upgrade;
	size_t n = 0;
	unsigned i;

	put(&nva[n++], STR(":method"), upgrade ? STR("CONNECT") : h->method_text);
	put(&nva[n++], STR(":scheme"), scheme);
	if (h->host.len > 0) /* RFC 9113, 8.3.1: never empty */
		put(&nva[n++], STR(":authority"), h->host);
	put(&nva[n++], STR(":path"), h->target);
	if (upgrade) /* RFC 8441, 5 */
		put(&nva[n++], STR(":protocol"), STR("websocket"));
	for (i = 0; i < h->nfields; i++) {
		const struct http_field *f = &h->fields[i];

		if (f->id == HTTP_FIELD_HOST || (f->hop && f->id != HTTP_FIELD_TRAILER))
			continue;
		if (upgrade && http_same(f->name, STR("sec-websocket-key")))
			continue;
		put(&nva[n++], f->name, f->value);
	}
	/* Trailers of the response are passed on: gRPC servers insist on being told. */
	if (!upgrade)
		put(&nva[n++], STR("te"), STR("trailers"));
	return n;
}

/* Of the connection, of framing or of routing: not in trailers (RFC 9110, 6.5.1). */
static bool is_trailer(struct str name)
{
	switch (http_field_id_of(name)) {
	case HTTP_FIELD_OTHER:
		return http_is_token(name);
	case HTTP_FIELD_CONNECTION:
	case HTTP_FIELD_KEEP_ALIVE:
	case HTTP_FIELD_PROXY_CONNECTION:
	case HTTP_FIELD_TE:
	case HTTP_FIELD_TRAILER:
	case HTTP_FIELD_TRANSFER_ENCODING:
	case HTTP_FIELD_UPGRADE:
	case HTTP_FIELD_CONTENT_LENGTH:
	case HTTP_FIELD_HOST:
		return false;
	default:
		return true;
	}
}

size_t h2_text_trailers_nv(struct str lines, nghttp2_nv *nva, size_t max)
{
	size_t n = 0;

	while (lines.len > 0 && n < max) {
		struct str rest, line = str_split(lines, '\n', &rest);
		struct str value, name = str_split(line, ':', &value);

		lines = rest;
		if (value.s == NULL || !is_trailer(name))
			continue;
		if (value.len > 0 && value.s[value.len - 1] == '\r')
			value.len--;
		value = str_trim(value);
		if (http_is_value(value))
			put(&nva[n++], name, value);
	}
	return n;
}
