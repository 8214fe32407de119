/* SPDX-License-Identifier: Apache-2.0 */
/* What a drill asks: the address, host and path that the file's routes take, or a URL's. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "drill/target.h"

static bool may_get(const struct conf_route *r)
{
	for (uint32_t i = 0; i < r->methods.n; i++) {
		if (str_eq(r->methods.v[i], STR("GET")))
			return true;
	}
	return r->methods.n == 0;
}

/* A route that anybody may take by a mere GET; best one for all paths. */
static const struct conf_route *choose_route(const struct conf *c)
{
	const struct conf_route *best = NULL;

	for (uint32_t i = 0; i < c->nroutes; i++) {
		const struct conf_route *r = &c->routes[i];

		if (r->nheaders > 0 || r->nclients > 0 || !may_get(r) ||
		    c->pools[r->pool].nservers == 0)
			continue;
		if (!best || (str_eq(r->path, STR("/")) && !str_eq(best->path, STR("/"))))
			best = r;
	}
	return best;
}

static bool takes_listener(const struct conf_route *r, const struct conf_listener *l)
{
	if (l->protocol != PROTOCOL_HTTP)
		return false; /* no request comes from there */
	for (uint32_t i = 0; i < r->listeners.n; i++) {
		if (str_eq(r->listeners.v[i], l->name))
			return true;
	}
	return r->listeners.n == 0;
}

static bool is_any(const struct net_addr *a, int family)
{
	static const struct in6_addr any6 = IN6ADDR_ANY_INIT;

	if (a->wildcard)
		return true;
	if (a->sa.sa_family != family)
		return false;
	if (family == AF_INET)
		return a->in.sin_addr.s_addr == htonl(INADDR_ANY);
	return memcmp(&a->in6.sin6_addr, &any6, sizeof(any6)) == 0;
}

/* The port at which the address is served; *ret_tls: by TLS. */
static uint16_t choose_port(const struct conf *c, const struct conf_route *r,
                            const struct net_addr *ip, bool *ret_tls)
{
	char text[NET_ADDR_TEXT], want[NET_ADDR_TEXT];

	net_addr_host(ip, want);
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		const struct conf_listener *l = &c->listeners[i];

		if (l->protocol != PROTOCOL_HTTP || l->redirect_https || !takes_listener(r, l))
			continue;
		*ret_tls = l->tls.on;
		for (uint32_t k = 0; k < l->nbind; k++) {
			const struct net_addr *b = &l->bind[k];

			if (b->sa.sa_family == AF_UNIX)
				continue;
			if (is_any(b, ip->sa.sa_family) ||
			    strcmp(net_addr_host(b, text), want) == 0)
				return net_addr_port(b);
		}
	}
	return 0;
}

static const struct net_addr *vip_address(const struct conf_vip *v)
{
	for (uint32_t i = 0; i < v->naddresses; i++) {
		if (!v->addresses[i].derived)
			return &v->addresses[i].ip;
	}
	return &v->addresses[0].ip;
}

int drill_target_vip(struct drill *d)
{
	const struct conf *c = d->conf;

	d->vip = 0;
	for (uint32_t i = 0; d->o->vip && i < c->nvips; i++) {
		if (str_eq(c->vips[i].name, str_from(d->o->vip))) {
			d->vip = i;
			return OK;
		}
	}
	if (d->o->vip)
		return drill_fail(d, ERR_NOT_FOUND, "the file has no virtual IP \"%s\"", d->o->vip);
	return OK; /* 0 == nvips where there is none */
}

int drill_target_of_file(struct drill *d)
{
	const struct conf *c = d->conf;
	const struct conf_route *r = choose_route(c);
	char text[NET_ADDR_TEXT];
	uint16_t port;
	int err = drill_target_vip(d);

	if (err != OK)
		return err;
	if (!r)
		return drill_fail(
		    d, ERR_UNSUPPORTED,
		    "no route of the file is open to a plain GET with a server behind it");
	if (c->nvips == 0 && c->nnodes == 0)
		return drill_fail(d, ERR_UNSUPPORTED, "the file has neither virtual IPs nor nodes");
	d->pool = r->pool;
	d->client.to = c->nvips > 0 ? *vip_address(&c->vips[d->vip]) : c->nodes[0].ip;
	port = choose_port(c, r, &d->client.to, &d->client.tls);
	net_addr_host(&d->client.to, text);
	if (port == 0)
		return drill_fail(d, ERR_UNSUPPORTED, "no listener serves %s for route %.*s", text,
		                  STR_ARG(r->name));
	d->client.to.in.sin_port = htons(port); /* at the same place in IPv6 */
	if (r->hosts.n == 0)
		snprintf(d->host, sizeof(d->host), "%s", net_addr_format(&d->client.to, text));
	else if (str_starts(r->hosts.v[0], STR("*.")))
		snprintf(d->host, sizeof(d->host), "a%.*s", (int)r->hosts.v[0].len - 1,
		         r->hosts.v[0].s + 1);
	else
		snprintf(d->host, sizeof(d->host), "%.*s", STR_ARG(r->hosts.v[0]));
	snprintf(d->path, sizeof(d->path), "%.*s", STR_ARG(r->path));
	/* The streams are whoami's, at paths of their own. */
	if (!str_eq(r->path, STR("/")))
		d->client.download_ns = 0;
	return OK;
}

/* "http://host:port/path", https:// */
int drill_target_of_url(struct drill *d)
{
	struct str rest = str_from(d->o->url), at, path;
	const char *why = NULL;
	char text[300];
	int err;

	d->client.tls = str_starts(rest, STR("https://"));
	if (!d->client.tls && !str_starts(rest, STR("http://")))
		return drill_fail(d, ERR_INVALID, "%s: is no http:// or https://HOST[:PORT]/PATH",
		                  d->o->url);
	rest = str_n(rest.s + 7 + d->client.tls, rest.len - 7 - d->client.tls);
	at = str_split(rest, '/', &path);
	snprintf(d->host, sizeof(d->host), "%.*s", STR_ARG(at));
	snprintf(d->path, sizeof(d->path), "/%.*s", STR_ARG(path));
	snprintf(text, sizeof(text), "%s%s", d->host,
	         strrchr(d->host, ':') > strrchr(d->host, ']') ? ""
	         : d->client.tls                               ? ":443"
	                                                       : ":80");
	err = net_addr_parse(str_from(text), &d->client.to, &why);
	if (err == ERR_NOT_FOUND)
		err = net_resolve(str_from(text), &d->client.to, &why);
	d->client.download_ns = 0;
	return err == OK ? OK : drill_fail(d, err, "%s: %s", d->o->url, why ? why : err_text(err));
}
