/* SPDX-License-Identifier: Apache-2.0 */
/* What listeners of TCP and UDP need and what does not suit them, and their pools. */
#include "base/check.h"
#include "conf/load.h"

static const char *const protocol_names[] = { "http", "tcp", "udp" };

static const char *name_of(const struct conf_listener *c)
{
	return protocol_names[c->protocol];
}

/* An error where a key stands that a protocol cannot have. */
static void refuse_key(struct load *l, const struct node *n, const char *key, const char *why)
{
	const struct node *child = node_get(n, key);

	if (child) {
		problem_error(l->problems, child->key_at, "\"%s\": %s", key, why);
	}
}

/* --- pools ------------------------------------------------------------------------------------ */

static void verify_target(struct load *l, const struct conf_listener *c, uint32_t pool,
                          struct place at)
{
	const struct conf_pool *p;

	if (pool == CONF_NO_POOL) {
		return;
	}
	p = &l->conf->pools[pool];
	if (p->balance == BALANCE_HEADER_HASH) {
		problem_error(l->problems, at,
		              "pool \"%.*s\" balances by header_hash: what comes by %s has no "
		              "header; source_hash keeps a client on one server",
		              STR_ARG(p->name), name_of(c));
	}
	if (c->protocol != PROTOCOL_UDP) {
		return;
	}
	if (p->send_proxy != SEND_PROXY_OFF) {
		problem_error(l->problems, at,
		              "pool \"%.*s\" has \"send_proxy\": datagrams carry no PROXY header",
		              STR_ARG(p->name));
	}
	if (p->tls.on) {
		problem_error(l->problems, at,
		              "pool \"%.*s\" has \"tls\": datagrams are passed on in clear text",
		              STR_ARG(p->name));
	}
	for (uint32_t i = 0; i < p->nservers; i++) {
		if (p->servers[i].address.sa.sa_family == AF_UNIX) {
			problem_error(l->problems, at,
			              "server \"%.*s\" of pool \"%.*s\" is a unix socket, which "
			              "takes no datagrams",
			              STR_ARG(p->servers[i].name), STR_ARG(p->name));
			return;
		}
	}
}

static void verify_sni(struct load *l, struct conf_listener *c, const struct node *n)
{
	const struct node *map = node_get(n, "sni"), *child;

	for (uint32_t i = 0; map && i < c->nsni; i++) {
		struct conf_sni_route *s = (struct conf_sni_route *)&c->sni[i];
		struct place at = map->key_at;

		for (child = map->first; child; child = child->next) {
			if (str_eq_nocase(child->key, s->name)) {
				at = child->at;
			}
		}
		s->pool = verify_pool_name(l, s->to, at);
		verify_target(l, c, s->pool, at);
	}
}

/* --- listeners -------------------------------------------------------------------------------- */

static void verify_datagrams(struct load *l, const struct conf_listener *c, const struct node *n)
{
	refuse_key(l, n, "sni", "datagrams are not routed by name");
	if (c->tls.on) {
		refuse_key(l, n, "tls", "a udp listener passes datagrams on as they are");
	}
	refuse_key(l, n, "accept_proxy", "datagrams carry no PROXY header");
	for (uint32_t i = 0; i < c->nbind; i++) {
		if (c->bind[i].sa.sa_family == AF_UNIX) {
			problem_error(l->problems, node_get(n, "bind")->at,
			              "\"%.*s\": a udp listener needs an IP address",
			              STR_ARG(c->bind_text[i]));
		}
	}
}

static void verify_listener(struct load *l, struct conf_listener *c, const struct node *n)
{
	const struct node *to = node_get(n, "to"), *sni = node_get(n, "sni");

	c->pool = CONF_NO_POOL;
	if (c->protocol == PROTOCOL_HTTP) {
		refuse_key(l, n, "to",
		           "an http listener finds its pools by routes; \"protocol: tcp\" passes "
		           "connections on as they are");
		refuse_key(l, n, "sni", "it is for \"protocol: tcp\"; routes go by \"host\"");
		for (uint32_t i = 0; i < c->nsni; i++) { /* refused; the image is not made */
			((struct conf_sni_route *)c->sni)[i].pool = CONF_NO_POOL;
		}
		return;
	}
	if (c->to.len) {
		c->pool = verify_pool_name(l, c->to, to->at);
		verify_target(l, c, c->pool, to->at);
	} else if (!to && (!sni || c->protocol == PROTOCOL_UDP)) {
		problem_error(l->problems, n->key_at,
		              "%s listener \"%.*s\" has no \"to\": the pool that gets its %s",
		              name_of(c), STR_ARG(c->name),
		              c->protocol == PROTOCOL_UDP ? "datagrams" : "connections");
	}
	if (c->protocol == PROTOCOL_UDP) {
		verify_datagrams(l, c, n);
	} else {
		verify_sni(l, c, n);
	}
}

/* Routes go by requests, which only HTTP listeners have. */
static void verify_route_listeners(struct load *l, const struct conf_route *r, const struct node *n)
{
	for (uint32_t i = 0; i < r->listeners.n; i++) {
		for (uint32_t k = 0; k < l->conf->nlisteners; k++) {
			const struct conf_listener *c = &l->conf->listeners[k];

			if (c->protocol != PROTOCOL_HTTP && str_eq(c->name, r->listeners.v[i])) {
				problem_error(l->problems, node_get(n, "listener")->at,
				              "listener \"%.*s\" speaks %s: no request of a route "
				              "comes from there, its pool is its \"to\"",
				              STR_ARG(c->name), name_of(c));
			}
		}
	}
}

/* An HTTP/2 connection to a server carries the streams of many clients. */
static void verify_shared(struct load *l, const struct conf_pool *p, const struct node *n)
{
	const struct node *send = node_get(n, "send_proxy");

	if (send && p->send_proxy != SEND_PROXY_OFF && p->protocol == POOL_H2) {
		problem_error(l->problems, send->key_at,
		              "\"send_proxy\" does not suit \"protocol: h2\": a connection of "
		              "HTTP/2 is shared by clients, and its header could name one of them");
	}
}

void verify_tcp(struct load *l)
{
	const struct conf *c = l->conf;

	for (uint32_t i = 0; i < c->nlisteners; i++) {
		verify_listener(l, (struct conf_listener *)&c->listeners[i], l->listeners[i]);
	}
	for (uint32_t i = 0; i < c->npools; i++) {
		verify_shared(l, &c->pools[i], l->pools[i]);
	}
	for (uint32_t i = 0; i < c->nroutes; i++) {
		verify_route_listeners(l, &c->routes[i], l->routes[i]);
	}
}

/* --- warnings --------------------------------------------------------------------------------- */

static void warn_keys(struct load *l, const struct conf_listener *c, const struct node *n,
                      const char *const *keys)
{
	for (; *keys; keys++) {
		const struct node *child = node_get(n, *keys);

		if (child) {
			problem_warning(l->problems, child->key_at,
			                "\"%s\" has no effect: listener \"%.*s\" speaks %s", *keys,
			                STR_ARG(c->name), name_of(c));
		}
	}
}

static void warn_listener(struct load *l, const struct conf_listener *c, const struct node *n)
{
	static const char *const http_only[] = { "max_line",    "max_header_size",
		                                 "max_headers", "max_body",
		                                 "error_pages", "http2",
		                                 "redirect",    NULL };
	static const char *const http_times[] = { "request_header", "request_body", "response",
		                                  "keep_alive", NULL };
	static const char *const connection_times[] = { "connect", "tunnel", "half_close",
		                                        "handshake", NULL };
	static const char *const session_time[] = { "session", NULL };
	static const char *const udp_without[] = { "mode", "access_log", NULL };
	const struct node *timeouts = node_get(n, "timeouts");

	if (c->protocol != PROTOCOL_HTTP) {
		warn_keys(l, c, n, http_only);
		warn_keys(l, c, timeouts, http_times);
	}
	if (c->protocol == PROTOCOL_UDP) {
		warn_keys(l, c, n, udp_without);
		warn_keys(l, c, timeouts, connection_times);
	} else {
		warn_keys(l, c, timeouts, session_time);
	}
}

void verify_tcp_warnings(struct load *l, bool *used)
{
	const struct conf *c = l->conf;

	for (uint32_t i = 0; i < c->nlisteners; i++) {
		const struct conf_listener *o = &c->listeners[i];

		if (o->pool != CONF_NO_POOL) {
			used[o->pool] = true;
		}
		for (uint32_t k = 0; k < o->nsni; k++) {
			used[o->sni[k].pool] = true;
		}
		warn_listener(l, o, l->listeners[i]);
	}
}
