/* SPDX-License-Identifier: Apache-2.0 */
/* TLS towards servers; see tls_back.h. Proxy role, one worker thread each. */
#include "proxy/tls_back.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#define SAY_EVERY (10 * NS_PER_S) /* one line of log a server and thread in so long */
#define NAME_LEN  256

/* The host of an address as configured, where that is a name; empty: an IP address or a socket. */
static struct str configured_name(struct str address)
{
	struct str host = http_host_name(address);
	char text[NAME_LEN];
	struct in6_addr ip;

	if (str_starts(address, STR("unix:")) || host.len == 0 || host.len >= sizeof(text) ||
	    host.s[0] == '[')
		return STR_NONE;
	memcpy(text, host.s, host.len);
	text[host.len] = '\0';
	return inet_pton(AF_INET, text, &ip) == 1 ? STR_NONE : host;
}

/* Whom the server has to be as configured, or by its name there; empty: neither tells. */
static struct str known_name(const struct exchange *x)
{
	const struct snapshot *snap = x->view->snap;
	const struct conf_server *conf =
	    x->server->slot < snap->slots ? snap->by_slot[x->server->slot] : NULL;
	struct str name = x->pool->conf->tls.server_name;

	return name.len == 0 && conf != NULL ? configured_name(conf->address_text) : name;
}

struct str tls_back_host(const struct exchange *x)
{
	if (x->pool->tls == NULL || known_name(x).len > 0)
		return STR_NONE;
	return http_host_name(x->host);
}

/* The same, else the host that was asked for, else the server's address. */
static void server_name(const struct exchange *x, char out[NAME_LEN])
{
	struct str name = known_name(x);

	if (name.len == 0)
		name = tls_back_host(x);
	if (name.len > 1 && name.s[0] == '[') { /* an IPv6 address in a Host field */
		name.s++;
		name.len -= 2;
	}
	if (name.len > 1 && name.s[name.len - 1] == '.') /* RFC 6066, 3: without it */
		name.len--;
	if (name.len > 0 && name.len < NAME_LEN) {
		memcpy(out, name.s, name.len);
		out[name.len] = '\0';
	} else if (x->server->address.sa.sa_family != AF_UNIX) {
		char text[NET_ADDR_TEXT];

		net_addr_host(&x->server->address, text);
		snprintf(out, NAME_LEN, "%s", text);
	} else {
		out[0] = '\0';
	}
}

void tls_back_failed(struct server *server, const char *why)
{
	const char *name =
	    board_slot_name(server->thread->proxy->role->board, BOARD_SERVER, server->slot);
	const uint64_t now = server->thread->loop->now;

	snprintf(server->tls_why, sizeof(server->tls_why), "TLS handshake failed: %s", why);
	if (server->tls_said != 0 && now - server->tls_said < SAY_EVERY)
		return;
	server->tls_said = now;
	log_warning("server_tls", name, "%s", server->tls_why);
}

int tls_back_start(struct exchange *x, struct stream *s)
{
	char name[NAME_LEN];
	int err;

	server_name(x, name);
	/* A session stands for the name that was verified when it began. */
	err = tls_connect(s, x->pool->tls, name,
	                  tls_back_host(x).len == 0 ? &x->server->session : NULL);
	if (err == ERR_INVALID)
		tls_back_failed(x->server, "there is no name to verify: set server_name");
	else if (err != OK)
		tls_back_failed(x->server, "out of memory");
	return err;
}

int tls_back_handshake(struct server *server, struct stream *s)
{
	int err = stream_flush(s);

	if (err == OK)
		err = tls_handshake(s);
	if (err != OK && err != ERR_AGAIN)
		/* An alert (RFC 7301, 3.2): only HTTP/2 is asked for by ALPN. */
		tls_back_failed(server, strstr(tls_why(s), "no application protocol") != NULL
		                            ? TLS_BACK_NO_HTTP2
		                            : tls_why(s));
	return err;
}
