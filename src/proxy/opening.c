/* SPDX-License-Identifier: Apache-2.0 */
/* The opening of a connection; see opening.h. Proxy role, one worker thread each. */
#include "proxy/opening.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "net/proxy_header.h"
#include "net/sock.h"
#include "proxy/hello.h"
#include "proxy/listener.h"
#include "proxy/tcp.h"

#define SAY_EVERY NS_PER_S /* one line of log a listener and thread in so long */

/* Bytes that are there and those that one read adds, in thread->in. ERR_AGAIN: nothing new. */
static ssize_t more(struct client *c, struct str *ret)
{
	struct thread *t = c->thread;
	struct str had = flow_str(&c->in);
	ssize_t n;

	*ret = had;
	if (had.len > 0)
		memcpy(t->in, had.s, had.len);
	n = stream_recv(&c->s, t->in + had.len, THREAD_SCRATCH);
	if (n > 0)
		*ret = str_n(t->in, had.len + (size_t)n);
	return n;
}

/* What of it belongs to the next stage; false when the connection had to end. */
static bool keep(struct client *c, struct str data)
{
	flow_free(&c->in);
	if (data.len == 0 || flow_add(&c->in, data.s, data.len) == OK)
		return true;
	client_close(c, true);
	return false;
}

void opening_refuse(struct client *c, const char *event, const char *why)
{
	struct listener *l = c->listener;
	char from[NET_ADDR_TEXT], also[64] = "";
	struct net_addr peer;

	if (c->thread->loop->now - l->said_at >= SAY_EVERY) {
		client_peer(c, &peer);
		if (l->unsaid > 0)
			snprintf(also, sizeof(also), "; %u more like it before", l->unsaid);
		log_info(event, l->conf->name.s, "connection from %s refused: %s%s",
		         net_addr_format(&peer, from), why, also);
		l->said_at = c->thread->loop->now;
		l->unsaid = 0;
	} else {
		l->unsaid++;
	}
	stat_add(&l->stat->c[STAT_BAD_REQUESTS], 1);
	client_close(c, true);
}

/* --- PROXY ---------------------------------------------------------------------------------- */

static void refuse_header(struct client *c, const char *why)
{
	stat_add(&c->listener->wire->c[WIRE_PROXY_REFUSED], 1);
	opening_refuse(c, "proxy_header", why);
}

static void hello_start(struct client *c);

static void header_read(struct client *c)
{
	struct proxy_header h;
	struct str data;
	const char *why;
	ssize_t n;

	do {
		n = more(c, &data);
		if (n == ERR_AGAIN)
			return;
		if (n < 0) { /* monitors open and close: nothing to say about it */
			client_close(c, false);
			return;
		}
		n = proxy_header_read(data.s, data.len, &h, &why);
		if (n < 0) {
			refuse_header(c, why);
			return;
		}
		if (!keep(c, str_n(data.s + n, data.len - (size_t)n)))
			return;
		if (n == 0 && !c->s.readable)
			return;
	} while (n == 0);
	stat_add(&c->listener->wire->c[WIRE_PROXY_HEADERS], 1);
	if (!h.local) {
		c->proxied = malloc(sizeof(*c->proxied));
		if (c->proxied == NULL) {
			client_close(c, true);
			return;
		}
		c->proxied->destination = h.destination;
		client_set_peer(c, &h.source);
	}
	hello_start(c);
}

static bool expects_header(const struct client *c)
{
	const struct conf_listener *l = c->listener->conf;
	struct net_addr peer;
	uint32_t i;

	if (l->naccept_proxy == 0)
		return false;
	client_peer(c, &peer);
	for (i = 0; i < l->naccept_proxy; i++)
		if (net_cidr_has(&l->accept_proxy[i], &peer))
			return true;
	return false;
}

void opening_destination(const struct client *c, struct net_addr *ret)
{
	if (c->proxied != NULL)
		*ret = c->proxied->destination;
	else
		net_local_addr(c->s.io.fd, ret);
}

/* --- the ClientHello ------------------------------------------------------------------------ */

static void hello_decide(struct client *c, struct str data)
{
	char room[HELLO_NAME];
	struct str name;
	const char *why;

	switch (hello_read(data.s, data.len, room, &name, &why)) {
	case HELLO_MORE:
		break;
	case HELLO_BAD:
		opening_refuse(c, "client_hello", why);
		break;
	case HELLO_OTHER:
	case HELLO_NAMELESS:
	case HELLO_NAMED:
		tcp_start(c, name);
		break;
	}
}

static void hello_read_on(struct client *c)
{
	while (c->magic == CLIENT_MAGIC && c->state == CLIENT_OPENING && c->s.readable) {
		struct str data;
		ssize_t n = more(c, &data);

		if (n == ERR_AGAIN)
			return;
		if (n < 0) {
			client_close(c, false);
			return;
		}
		if (!keep(c, data))
			return;
		hello_decide(c, flow_str(&c->in));
	}
}

/* Only a TCP listener that does not end TLS itself looks at it. */
static void hello_start(struct client *c)
{
	const struct conf_listener *l = c->listener->conf;

	if (l->protocol != PROTOCOL_TCP || l->nsni == 0 || l->tls.on) {
		client_begin(c);
		return;
	}
	c->opening_header = false;
	if (!flow_empty(&c->in))
		hello_decide(c, flow_str(&c->in));
	hello_read_on(c);
}

/* --- events --------------------------------------------------------------------------------- */

void opening_start(struct client *c)
{
	const struct conf_listener *l = c->listener->conf;

	c->opening_header = expects_header(c);
	if (c->opening_header || (l->protocol == PROTOCOL_TCP && l->nsni > 0 && !l->tls.on))
		client_opening(c);
	else
		client_begin(c);
}

void opening_event(struct client *c)
{
	if (c->s.broken)
		client_close(c, false);
	else if (c->opening_header)
		header_read(c);
	else
		hello_read_on(c);
}

void opening_timeout(struct client *c)
{
	if (c->opening_header)
		refuse_header(c, "no whole PROXY header came in time");
	else
		opening_refuse(c, "client_hello", "no whole ClientHello came in time");
}
