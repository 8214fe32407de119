/* SPDX-License-Identifier: Apache-2.0 */
/* The conditions of one route, and the reasons why a request does not meet them. Pure; any thread
 * of the proxy, and control for explain. */
#include "proxy/route_match.h"

#include "base/check.h"

unsigned route_conditions(const struct conf_route *r)
{
	return r->nheaders + (r->methods.n > 0) + (r->nclients > 0) + (r->listeners.n > 0);
}

static bool on_listener(const struct conf *c, const struct conf_route *r, uint32_t listener)
{
	for (uint32_t i = 0; i < r->listeners.n; i++) {
		if (listener < c->nlisteners &&
		    str_eq(r->listeners.v[i], c->listeners[listener].name))
			return true;
	}
	return r->listeners.n == 0;
}

static bool has_method(const struct conf_route *r, struct str method)
{
	for (uint32_t i = 0; i < r->methods.n; i++) {
		if (str_eq(r->methods.v[i], method))
			return true;
	}
	return r->methods.n == 0;
}

static bool has_header(const struct http_head *h, const struct conf_match_header *want)
{
	for (unsigned i = 0; i < h->nfields; i++) {
		const struct http_field *f = &h->fields[i];

		if (str_eq_nocase(f->name, want->name) &&
		    (want->value.len == 0 || str_eq(f->value, want->value)))
			return true;
	}
	return false;
}

static bool from_client(const struct conf_route *r, const struct net_addr *client)
{
	for (uint32_t i = 0; i < r->nclients; i++) {
		if (client != NULL && net_cidr_has(&r->clients[i], client))
			return true;
	}
	return r->nclients == 0;
}

static void say_list(struct buf *why, const char *before, const struct conf_list *l)
{
	buf_adds(why, before);
	for (uint32_t i = 0; i < l->n; i++)
		buf_printf(why, "%s%.*s", i > 0 ? ", " : "", STR_ARG(l->v[i]));
}

static void say_clients(struct buf *why, const struct conf_route *r)
{
	char text[NET_ADDR_TEXT];

	buf_adds(why, "the client is not in ");
	for (uint32_t i = 0; i < r->nclients; i++)
		buf_printf(why, "%s%s", i > 0 ? ", " : "", net_cidr_format(&r->clients[i], text));
}

bool route_takes(const struct conf *c, const struct conf_route *r, const struct route_query *q,
                 struct buf *why)
{
	if (!on_listener(c, r, q->listener)) {
		if (why != NULL)
			say_list(why, "only on listener ", &r->listeners);
		return false;
	}
	if (!has_method(r, q->head->method_text)) {
		if (why != NULL)
			say_list(why, "only for method ", &r->methods);
		return false;
	}
	for (uint32_t i = 0; i < r->nheaders; i++) {
		const struct conf_match_header *h = &r->headers[i];

		if (has_header(q->head, h))
			continue;
		if (why != NULL && h->value.len > 0)
			buf_printf(why, "header %.*s is not \"%.*s\"", STR_ARG(h->name),
			           STR_ARG(h->value));
		else if (why != NULL)
			buf_printf(why, "there is no header %.*s", STR_ARG(h->name));
		return false;
	}
	if (!from_client(r, q->client)) {
		if (why != NULL)
			say_clients(why, r);
		return false;
	}
	return true;
}

uint32_t route_host_rank(const struct conf_route *r, struct str host)
{
	uint32_t best = r->hosts.n == 0 ? 1 : 0;

	for (uint32_t i = 0; i < r->hosts.n; i++) {
		struct str pattern = r->hosts.v[i];

		if (route_host_is_any(pattern)) {
			best = MAX(best, 1);
		} else if (route_host_is_wildcard(pattern)) {
			struct str suffix = str_n(pattern.s + 1, pattern.len - 1);

			if (host.len > suffix.len && str_ends(host, suffix))
				best = MAX(best, (uint32_t)suffix.len + 1);
		} else if (str_eq_nocase(pattern, host)) {
			return UINT32_MAX;
		}
	}
	return best;
}
