/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `holdfast explain URL`: makes the request that the URL stands for, parses it as the proxy would,
 * and tells listener, route and pool with the reasons. Control role, main thread.
 */
#include "proxy/explain.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "proxy/route.h"

#define MAX_WHY (256 * 1024) /* bytes of reasons */

struct parts {                /* of a URL */
	struct str authority; /* may be empty */
	struct str target;    /* from '/' */
	uint16_t port;        /* 0: not told */
};

static int error(struct buf *out, const char *why)
{
	buf_adds(out, "{\"error\":");
	buf_json(out, str_from(why));
	buf_addc(out, '}');
	return ERR_INVALID;
}

static const char *split_port(struct parts *p)
{
	struct str name = http_host_name(p->authority);
	struct str port = str_n(p->authority.s + name.len, p->authority.len - name.len);
	uint64_t n;

	if (name.len == 0)
		return "the URL names no host";
	if (port.len == 0)
		return NULL;
	if (port.s[0] != ':' || str_to_u64(str_n(port.s + 1, port.len - 1), 65535, &n) != OK ||
	    n == 0)
		return "the URL's port is no number from 1 to 65535";
	p->port = (uint16_t)n;
	return NULL;
}

/* "http://shop.test:80/a?b", "shop.test/a", "/a"; NULL or what is wrong. */
static const char *split_url(struct str url, struct parts *p)
{
	const char *scheme_end = memmem(url.s, url.len, "://", 3);
	const char *slash = memchr(url.s, '/', url.len);
	const char *end;

	*p = (struct parts){ .target = STR("/") };
	if (url.len == 0)
		return "the URL is empty";
	if (scheme_end != NULL && (slash == NULL || scheme_end < slash)) {
		struct str scheme = str_n(url.s, (size_t)(scheme_end - url.s));

		if (str_eq_nocase(scheme, STR("http")))
			p->port = 80;
		else if (str_eq_nocase(scheme, STR("https")))
			p->port = 443;
		else
			return "the URL's scheme is neither http nor https";
		url = str_n(scheme_end + 3, url.len - scheme.len - 3);
	}
	end = memchr(url.s, '#', url.len);
	if (end != NULL)
		url.len = (size_t)(end - url.s);
	for (end = url.s; end < url.s + url.len && *end != '/' && *end != '?'; end++)
		;
	p->authority = str_n(url.s, (size_t)(end - url.s));
	if (end < url.s + url.len)
		p->target = str_n(end, (size_t)(url.s + url.len - end));
	/* Only a path may stand without a host. */
	if (p->authority.len == 0 && p->port == 0 && p->target.s[0] == '/')
		return NULL;
	return split_port(p);
}

static bool has_header(const struct explain_query *q, struct str name)
{
	for (uint32_t i = 0; i < q->nheaders; i++) {
		if (str_eq_nocase(q->headers[i].name, name))
			return true;
	}
	return false;
}

static void write_request(const struct explain_query *q, const struct parts *p, struct buf *out)
{
	bool host = has_header(q, STR("host"));

	buf_addstr(out, q->method.len > 0 ? q->method : STR("GET"));
	buf_adds(out, p->target.s[0] == '?' ? " /" : " ");
	buf_addstr(out, p->target);
	buf_printf(out, " HTTP/1.%u\r\n", host || p->authority.len > 0);
	if (!host && p->authority.len > 0)
		buf_printf(out, "Host: %.*s\r\n", STR_ARG(p->authority));
	for (uint32_t i = 0; i < q->nheaders; i++)
		buf_printf(out, "%.*s: %.*s\r\n", STR_ARG(q->headers[i].name),
		           STR_ARG(q->headers[i].value));
	buf_adds(out, "\r\n");
}

/* --- the listener --- */

static bool listens_on(const struct conf_listener *l, uint16_t port)
{
	for (uint32_t i = 0; i < l->nbind; i++) {
		if (net_addr_port(&l->bind[i]) == port)
			return true;
	}
	return false;
}

/* The first listener: of HTTP, where there is one. */
static const struct conf_listener *first_listener(const struct conf *c)
{
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		if (c->listeners[i].protocol == PROTOCOL_HTTP)
			return &c->listeners[i];
	}
	return c->nlisteners > 0 ? &c->listeners[0] : NULL;
}

/* The listener that a request comes in by; NULL: there is none of that name. A port may be one of
 * UDP as well as of another protocol: the other is meant. */
static const struct conf_listener *find_listener(const struct conf *c, struct str name,
                                                 uint16_t port, struct buf *why)
{
	const struct conf_listener *datagrams = NULL;

	for (uint32_t i = 0; i < c->nlisteners; i++) {
		const struct conf_listener *l = &c->listeners[i];

		if (name.len > 0 && str_eq(l->name, name)) {
			buf_adds(why, "as asked for");
			return l;
		}
		if (name.len > 0 || port == 0 || !listens_on(l, port))
			continue;
		if (l->protocol != PROTOCOL_UDP) {
			buf_printf(why, "listens on port %u", port);
			return l;
		}
		datagrams = l;
	}
	if (name.len > 0 || c->nlisteners == 0)
		return NULL;
	if (datagrams != NULL)
		buf_printf(why, "listens on port %u", port);
	else if (port != 0)
		buf_printf(why, "no listener on port %u: this is the first one", port);
	else
		buf_adds(why, "the first one");
	return datagrams != NULL ? datagrams : first_listener(c);
}

static void say_listener(const struct conf_listener *l, struct str why, struct buf *out)
{
	buf_adds(out, "\"listener\":{\"name\":");
	buf_json(out, l->name);
	if (l->nbind > 0) {
		buf_adds(out, ",\"address\":");
		buf_json(out, l->bind_text[0]);
	}
	buf_adds(out, ",\"why\":");
	buf_json(out, why);
	buf_addc(out, '}');
}

/* --- the route --- */

/* lines: the first is the winner's where there is one; each "name: why". */
static void say_route(const struct conf_route *r, struct str lines, struct buf *out)
{
	bool first = true;

	buf_adds(out, ",\"route\":{");
	if (r != NULL) {
		struct str line = str_split(lines, '\n', &lines);

		buf_adds(out, "\"name\":");
		buf_json(out, r->name);
		if (r->file.len > 0) {
			buf_adds(out, ",\"file\":");
			buf_json(out, r->file);
			buf_printf(out, ",\"line\":%u", r->line);
		}
		buf_adds(out, ",\"why\":");
		buf_json(out, str_n(line.s + MIN(line.len, r->name.len + 2),
		                    line.len - MIN(line.len, r->name.len + 2)));
		buf_addc(out, ',');
	}
	buf_adds(out, "\"candidates\":[");
	while (lines.s != NULL && lines.len > 0) {
		if (!first)
			buf_addc(out, ',');
		first = false;
		buf_json(out, str_split(lines, '\n', &lines));
	}
	buf_adds(out, "]}");
}

static void say_answer(struct buf *out, const char *answer)
{
	buf_adds(out, ",\"answer\":");
	buf_json(out, str_from(answer));
}

static int find_route(const struct conf *c, const struct route_query *q,
                      const struct conf_route **ret, struct buf *out)
{
	struct buf why = { .max = MAX_WHY };
	struct route_table *t = route_table_new(c);

	if (t == NULL)
		return ERR_NOMEM;
	*ret = route_explain(t, q, &why);
	say_route(*ret, buf_str(&why), out);
	route_table_free(t);
	buf_free(&why);
	return OK;
}

/* --- all of it --- */

/* "192.0.2.1", "2001:db8::1", either with a port, "unix:/path". */
static bool parse_client(struct str text, struct net_addr *ret)
{
	char with_port[NET_ADDR_TEXT];
	bool bare_v6;

	if (text.len == 0)
		text = STR("127.0.0.1");
	if (net_addr_parse(text, ret, NULL) == OK)
		return true;
	bare_v6 = text.s[0] != '[' && memchr(text.s, ':', text.len) != NULL;
	snprintf(with_port, sizeof(with_port), bare_v6 ? "[%.*s]:1024" : "%.*s:1024",
	         STR_ARG(text));
	return net_addr_parse(str_from(with_port), ret, NULL) == OK;
}

static int explain_request(const struct conf *c, struct board *b, const struct route_query *q,
                           struct buf *out)
{
	const struct conf_route *r;
	char answer[256];
	int err;

	if (str_eq(q->head->method_text, STR("CONNECT"))) {
		say_answer(out, "501: CONNECT is not supported");
		return OK;
	}
	err = find_route(c, q, &r, out);
	if (err != OK)
		return err;
	if (r == NULL) {
		snprintf(answer, sizeof(answer), "404: no route for host %.*s and path %.*s",
		         (int)MIN(q->head->host.len, 100), q->head->host.len ? q->head->host.s : "",
		         (int)MIN(q->head->path.len, 100), q->head->path.s);
		say_answer(out, answer);
		return OK;
	}
	return explain_pool(&c->pools[r->pool], b, q->head, q->client, out);
}

/* What a listener without requests does with a connection or datagram. */
static int explain_raw(const struct conf *c, struct board *b, const struct conf_listener *l,
                       const struct http_head *h, const struct net_addr *client, struct buf *out)
{
	struct str name = http_host_name(h->host);
	char lower[256];
	uint32_t pool;
	size_t i;

	name.len = MIN(name.len, sizeof(lower));
	for (i = 0; i < name.len; i++)
		lower[i] =
		    (char)(name.s[i] >= 'A' && name.s[i] <= 'Z' ? name.s[i] + 32 : name.s[i]);
	pool = conf_sni_pool(l, str_n(lower, name.len));
	if (pool != CONF_NO_POOL)
		return explain_pool(&c->pools[pool], b, h, client, out);
	say_answer(out, "closed: no pool is configured for that name in the ClientHello");
	return OK;
}

static void say_raw(const struct conf_listener *l, struct buf *why)
{
	if (l->protocol == PROTOCOL_HTTP)
		return;
	buf_printf(why, "; it speaks %s: no route is asked, the pool is its own%s",
	           l->protocol == PROTOCOL_UDP ? "udp" : "tcp",
	           l->nsni > 0 ? ", by the name in the ClientHello" : "");
}

int proxy_explain(const struct conf *c, struct board *b, const struct explain_query *q,
                  struct buf *json_out)
{
	struct buf request = BUF_INIT, why = BUF_INIT;
	struct http_head *h = malloc(sizeof(*h));
	const struct conf_listener *l;
	struct http_limits limits;
	struct net_addr client;
	struct parts parts;
	size_t scanned = 0;
	const char *wrong = split_url(q->url, &parts);
	int n, err = ERR_NOMEM;

	if (h == NULL)
		goto end;
	l = find_listener(c, q->listener, parts.port, &why);
	if (wrong == NULL && l == NULL)
		wrong = c->nlisteners == 0 ? "there is no listener" : "no listener has that name";
	if (wrong == NULL && !parse_client(q->client, &client))
		wrong = "the client is no address";
	if (wrong != NULL) {
		err = error(json_out, wrong);
		goto end;
	}
	write_request(q, &parts, &request);
	limits = (struct http_limits){ l->max_line, l->max_header_size, l->max_headers };
	n = http_parse_request(h, request.p, request.len, &limits, &scanned);
	if (n < 0) {
		err = error(json_out, http_fault_text((enum http_fault) - n));
		goto end;
	}
	/* Whole requests only: a line break within a part would end it early. */
	if (n == 0 || (size_t)n != request.len) {
		err = error(json_out, "the URL, method or headers do not make one request");
		goto end;
	}
	buf_addc(json_out, '{');
	say_raw(l, &why);
	say_listener(l, buf_str(&why), json_out);
	if (l->protocol != PROTOCOL_HTTP)
		err = explain_raw(c, b, l, h, &client, json_out);
	else
		err =
		    explain_request(c, b,
		                    &(struct route_query){ .listener = (uint32_t)(l - c->listeners),
		                                           .head = h,
		                                           .client = &client },
		                    json_out);
	buf_addc(json_out, '}');
	if (json_out->failed)
		err = ERR_NOMEM;
end:
	buf_free(&request);
	buf_free(&why);
	free(h);
	return err;
}
