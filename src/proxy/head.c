/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Building heads: what goes to the server and what goes to the client, from what came. Fields are
 * copied as they lie; hop-by-hop fields go (RFC 9110, 7.6.1), forwarding fields are set.
 */
#include <arpa/inet.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "proxy/exchange.h"
#include "proxy/identity.h"

#define REQUEST_ID_LEN 32

struct out {
	char *p;
	char *end;
	bool full;
};

static inline struct str put(struct out *o, const char *s, size_t len)
{
	char *at = o->p;

	if (unlikely((size_t)(o->end - o->p) < len)) {
		o->full = true;
		return STR_NONE;
	}
	if (len > 0)
		memcpy(at, s, len);
	o->p += len;
	return (struct str){ at, len };
}

#define PUT(o, literal) put((o), (literal), sizeof(literal) - 1)

static inline struct str put_str(struct out *o, struct str s)
{
	return put(o, s.s, s.len);
}

static struct str put_number(struct out *o, unsigned n)
{
	char text[12];
	char *p = text + sizeof(text);

	do {
		*--p = (char)('0' + n % 10);
		n /= 10;
	} while (n > 0);
	return put(o, p, (size_t)(text + sizeof(text) - p));
}

static void put_client(struct out *o, const struct client *c)
{
	struct net_addr a;
	char text[NET_ADDR_TEXT];

	if (c->peer.sa.sa_family == AF_INET) {
		const uint8_t *b = (const uint8_t *)&c->peer.in4.sin_addr;
		int i;

		for (i = 0; i < 4; i++) {
			if (i > 0)
				PUT(o, ".");
			put_number(o, b[i]);
		}
		return;
	}
	client_peer(c, &a);
	net_addr_host(&a, text);
	put(o, text, strlen(text));
}

static struct str put_id(struct out *o)
{
	static const char hex[] = "0123456789abcdef";
	uint64_t r[2] = { random_u64(), random_u64() };
	char text[REQUEST_ID_LEN];
	int i;

	for (i = 0; i < REQUEST_ID_LEN; i++)
		text[i] = hex[r[i / 16] >> (i % 16 * 4) & 15];
	return put(o, text, sizeof(text));
}

void head_id(struct exchange *x)
{
	struct out o = { .p = x->head_space, .end = x->head_space + sizeof(x->head_space) };

	x->id = put_id(&o);
}

/* Where a copied line's value lies in the copy. */
static struct str moved(struct str line, const struct http_field *f)
{
	return line.s == NULL ? STR_NONE
	                      : (struct str){ line.s + (f->value.s - f->line.s), f->value.len };
}

/* Fields that tell of a client's certificate are ours to set; of others only those who are trusted
 * may tell, and only where nothing was asked of them. */
static inline bool is_identity(const struct exchange *x, const struct http_field *f)
{
	return (f->name.s[0] | 0x20) == 'x' && identity_is_field(f->name) &&
	       (!x->trusted || x->client->identity != NULL);
}

/* Copies the fields that go on; remembers those that logs and answers need. */
static void request_fields(struct exchange *x, const struct http_head *h, struct out *o)
{
	unsigned i;

	for (i = 0; i < h->nfields; i++) {
		const struct http_field *f = &h->fields[i];
		struct str line;

		switch (f->id) {
		case HTTP_FIELD_HOST:
			x->host = moved(put_str(o, f->line), f);
			continue;
		case HTTP_FIELD_FORWARDED:
		case HTTP_FIELD_X_FORWARDED_PROTO:
		case HTTP_FIELD_X_FORWARDED_HOST:
		case HTTP_FIELD_X_FORWARDED_PORT:
			if (x->trusted)
				put_str(o, f->line);
			continue;
		case HTTP_FIELD_X_FORWARDED_FOR:
			continue;
		case HTTP_FIELD_X_REQUEST_ID:
			if (x->trusted && x->id.s == NULL && f->value.len > 0 &&
			    f->value.len <= 128)
				x->id = moved(put_str(o, f->line), f);
			continue;
		case HTTP_FIELD_EXPECT:
			if (x->expect)
				put_str(o, f->line);
			continue;
		case HTTP_FIELD_TRAILER:
			if (x->body == HTTP_BODY_CHUNKED)
				put_str(o, f->line);
			continue;
		case HTTP_FIELD_OTHER:
			if (unlikely(is_identity(x, f)))
				continue;
			break;
		default:
			break;
		}
		if (f->hop)
			continue;
		line = put_str(o, f->line);
		if (f->id == HTTP_FIELD_ACCEPT)
			x->accept = moved(line, f);
		else if (f->id == HTTP_FIELD_USER_AGENT)
			x->agent = moved(line, f);
		else if (f->id == HTTP_FIELD_REFERER)
			x->referer = moved(line, f);
	}
}

static void request_forwarded(struct exchange *x, const struct http_head *h, struct out *o)
{
	const bool keep = x->trusted;
	unsigned i;

	PUT(o, "X-Forwarded-For: ");
	if (keep && http_has(h, HTTP_FIELD_X_FORWARDED_FOR)) {
		for (i = 0; i < h->nfields; i++) {
			const struct http_field *f = &h->fields[i];

			if (f->id != HTTP_FIELD_X_FORWARDED_FOR || f->value.len == 0)
				continue;
			put_str(o, f->value);
			PUT(o, ", ");
		}
	}
	put_client(o, x->client);
	PUT(o, "\r\n");
	if (!keep || !http_has(h, HTTP_FIELD_X_FORWARDED_PROTO))
		put_str(o, x->client->s.layer != NULL ? STR("X-Forwarded-Proto: https\r\n")
		                                      : STR("X-Forwarded-Proto: http\r\n"));
	if (h->host.len > 0 && (!keep || !http_has(h, HTTP_FIELD_X_FORWARDED_HOST))) {
		PUT(o, "X-Forwarded-Host: ");
		put_str(o, h->host);
		PUT(o, "\r\n");
	}
	if (x->listener->port != 0 && (!keep || !http_has(h, HTTP_FIELD_X_FORWARDED_PORT))) {
		PUT(o, "X-Forwarded-Port: ");
		put_number(o, x->listener->port);
		PUT(o, "\r\n");
	}
	if (x->client->identity != NULL)
		put_str(o, str_from(x->client->identity));
	if (x->id.s == NULL) {
		PUT(o, "X-Request-Id: ");
		x->id = put_id(o);
		PUT(o, "\r\n");
	}
}

size_t head_request(struct exchange *x, const struct http_head *h, char *out, size_t size)
{
	struct out o = { .p = out, .end = out + size };

	x->id = STR_NONE;
	x->method_text = put_str(&o, h->method_text);
	PUT(&o, " ");
	if (h->target.len > 0 && h->target.s[0] != '/' && h->path.len > 0) {
		/* The absolute form goes on as the origin form (RFC 9112, 3.2.1). */
		x->target = put_str(&o, h->path);
		if (h->query.len > 0) {
			PUT(&o, "?");
			put_str(&o, h->query);
			x->target.len += 1 + h->query.len;
		}
	} else {
		x->target = put_str(&o, h->target);
	}
	PUT(&o, " HTTP/1.1\r\n");
	request_fields(x, h, &o);
	if (!http_has(h, HTTP_FIELD_HOST)) {
		PUT(&o, "Host: ");
		x->host = put_str(&o, h->host);
		PUT(&o, "\r\n");
	}
	request_forwarded(x, h, &o);
	if (x->body == HTTP_BODY_CHUNKED)
		PUT(&o, "Transfer-Encoding: chunked\r\n");
	if (x->upgrade) {
		PUT(&o, "Connection: upgrade\r\nUpgrade: ");
		put_str(&o, http_field(h, HTTP_FIELD_UPGRADE)->value);
		PUT(&o, "\r\n");
	}
	PUT(&o, "\r\n");
	return o.full ? 0 : (size_t)(o.p - out);
}

/* The listener's word counts instead of the server's: clients take the first one only. */
static bool is_hsts(const struct http_field *f)
{
	return f->id == HTTP_FIELD_OTHER &&
	       str_eq_nocase(f->name, STR("strict-transport-security"));
}

size_t head_response(struct exchange *x, const struct http_head *h, char *out, size_t size)
{
	struct out o = { .p = out, .end = out + size };
	/* RFC 9110, 8.6 and RFC 9112, 6.1: no word about a body where there never is one */
	const bool bodiless = h->status < 200 || h->status == 204;
	unsigned i;

	if (h->minor == 1) {
		put_str(&o, h->first_line);
	} else {
		PUT(&o, "HTTP/1.1 ");
		put_number(&o, h->status);
		PUT(&o, " ");
		put_str(&o, h->reason);
		PUT(&o, "\r\n");
	}
	for (i = 0; i < h->nfields; i++) {
		const struct http_field *f = &h->fields[i];

		/* What another node further back told us, because it trusts us. */
		if (unlikely(f->id == HTTP_FIELD_HOLDFAST_REASON) && !x->trusted)
			continue;
		if (unlikely(bodiless) && f->id == HTTP_FIELD_CONTENT_LENGTH)
			continue;
		if (unlikely(x->listener->hsts != NULL) && is_hsts(f))
			continue;
		if (!f->hop ||
		    (f->id == HTTP_FIELD_TRAILER && h->body == HTTP_BODY_CHUNKED && !x->dechunk) ||
		    f->id == HTTP_FIELD_PROXY_AUTHENTICATE)
			put_str(&o, f->line);
	}
	if (x->listener->hsts != NULL)
		put_str(&o, str_from(x->listener->hsts));
	if (h->status == 101) {
		const struct http_field *u = http_field(h, HTTP_FIELD_UPGRADE);

		PUT(&o, "Connection: upgrade\r\n");
		if (u != NULL)
			put_str(&o, u->line);
	} else if (h->status >= 200) {
		if ((http_has(h, HTTP_FIELD_TRANSFER_ENCODING) || x->enchunk) && x->minor == 1 &&
		    !bodiless)
			PUT(&o, "Transfer-Encoding: chunked\r\n");
		if (x->response_close)
			PUT(&o, "Connection: close\r\n");
		else if (x->minor == 0)
			PUT(&o, "Connection: keep-alive\r\n");
	}
	PUT(&o, "\r\n");
	return o.full ? 0 : (size_t)(o.p - out);
}
