/* SPDX-License-Identifier: Apache-2.0 */
/* Connections of probes: made, over TLS where asked for, and closed. Main thread of the role check.
 */
#include "check/probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/err.h"
#include "net/proxy_header.h"
#include "net/sock.h"

/* Descriptors, memory or local ports that ran out are no fault of the server. */
static bool is_local(int err)
{
	return err == EMFILE || err == ENFILE || err == ENOBUFS || err == ENOMEM ||
	       err == EADDRNOTAVAIL;
}

static void connect_failed(struct probe *p, int err)
{
	enum fail_why why = fail_errno(err);

	p->ops->stop(p);
	if (is_local(err)) {
		probe_verdict(p, PROBE_UNDECIDED, FAIL_LOCAL, "%s: %s", fail_text(FAIL_LOCAL),
		              strerror(err));
		return;
	}
	probe_verdict(p, PROBE_FAILED, why, why == FAIL_CONNECT ? "%s: %s" : NULL, fail_text(why),
	              strerror(err));
}

bool probe_connect(struct probe *p)
{
	bool done = false;
	int fd = net_connect(&p->address, &done);

	p->reused = false;
	p->uses = 0;
	if (fd < 0) {
		connect_failed(p, errno);
		return false;
	}
	stream_init(&p->s, fd, p->s.io.fn);
	p->link = LINK_CONNECTING;
	return true;
}

bool probe_connected_now(const struct probe *p)
{
	struct net_addr peer = { .len = sizeof(peer.un) };

	return getpeername(p->s.io.fd, &peer.sa, &peer.len) == 0;
}

bool probe_watch(struct probe *p)
{
	if (loop_add(p->env->loop, &p->s.io, STREAM_EVENTS) != OK) {
		connect_failed(p, ENOMEM);
		return false;
	}
	return true;
}

/* Connecting to a free local port of the ephemeral range can end in a connection with oneself. */
static bool is_self(int fd, const struct net_addr *peer)
{
	struct net_addr local;

	if (peer->sa.sa_family == AF_UNIX) {
		return false;
	}
	net_local_addr(fd, &local);
	return net_addr_eq(&local, peer);
}

bool probe_connected(struct probe *p)
{
	int err = net_connect_error(p->s.io.fd);

	if (err == 0 && is_self(p->s.io.fd, &p->address)) {
		err = ECONNREFUSED;
	}
	if (err != 0) {
		connect_failed(p, err);
		return false;
	}
	p->link = LINK_OPEN;
	return true;
}

void probe_close(struct probe *p)
{
	p->link = LINK_NONE;
	if (p->s.io.fd >= 0) {
		stream_close(&p->s, true); /* the only copy: this unregisters it as well */
	}
}

/* --- TLS ------------------------------------------------------------------------------------ */

static bool tls_failed(struct probe *p, const char *why)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "%s", why);
	p->ops->stop(p);
	probe_verdict(p, PROBE_FAILED, FAIL_TLS, "%s: %s", fail_text(FAIL_TLS), text);
	return false;
}

static bool shake(struct probe *p)
{
	int err = tls_handshake(&p->s);

	if (err == ERR_AGAIN) {
		return false;
	}
	if (err != OK) {
		return tls_failed(p, tls_why(&p->s));
	}
	p->link = LINK_OPEN;
	return true;
}

/* Whom the certificate has to name: the configured name, the host's name out of the server's
 * address, the Host field of an http check, or the address itself. */
static const char *name_of(const struct probe *p, char out[256])
{
	struct str name = p->tls_name, host = p->check->host;
	char address[NET_ADDR_TEXT];
	struct net_addr a;
	size_t n = 0;

	if (net_addr_parse(name, &a, NULL) == OK) {
		name = host.len > 0 ? host : str_from(net_addr_host(&p->address, address));
	}
	if (net_ip_parse(name, &a) != OK) {
		while (n < name.len && name.s[n] != ':') {
			n++;
		}
		name.len = n;
	}
	(void)snprintf(out, 256, "%.*s", STR_ARG(name));
	return out;
}

bool probe_begin_tls(struct probe *p)
{
	char name[256];

	CHECK(p->link == LINK_OPEN && p->tls != NULL);
	p->link = LINK_HANDSHAKE;
	if (tls_connect(&p->s, p->tls, name_of(p, name), &p->session) != OK) {
		p->ops->stop(p);
		probe_verdict(p, PROBE_UNDECIDED, FAIL_LOCAL, NULL);
		return false;
	}
	/* The first words are ours; nothing can be done with yet. */
	return shake(p) || p->running;
}

/* The PROXY header, before anything else: this connection is our own, nobody's request. */
static void announce(struct probe *p)
{
	struct net_addr source = { 0 }, destination = { 0 };
	char out[PROXY_HEADER_OUT];
	struct iovec iov = { .iov_base = out };

	if (p->send_proxy == SEND_PROXY_OFF) {
		return;
	}
	/* "LOCAL: ... when the proxy sends health-checks to the server" (2.2) has no addresses;
	 * version 1 has no such word: both ends are as they are. */
	if (p->send_proxy == SEND_PROXY_V1) {
		net_local_addr(p->s.io.fd, &source);
		destination = p->address;
	}
	iov.iov_len =
	    proxy_header_write(p->send_proxy == SEND_PROXY_V1 ? 1 : 2, &source, &destination, out);
	if (stream_send_raw(&p->s, &iov, 1) != OK) {
		p->s.readable = true; /* reading tells why */
	}
}

bool probe_open(struct probe *p, uint32_t events, bool *ret_new)
{
	bool open = p->link == LINK_OPEN;

	if (p->link == LINK_CONNECTING) {
		if (!probe_connected(p)) {
			return false;
		}
		announce(p);
		if (p->tls != NULL && !p->ops->tls_later && !probe_begin_tls(p)) {
			return false;
		}
	}
	stream_events(&p->s, events);
	if (p->link == LINK_HANDSHAKE && !shake(p)) {
		return false;
	}
	if (ret_new != NULL) {
		*ret_new = !open;
	}
	return true;
}

enum fail_why probe_link_timed_out(const struct probe *p)
{
	return p->link == LINK_CONNECTING  ? FAIL_CONNECT_TIMEOUT
	       : p->link == LINK_HANDSHAKE ? FAIL_TLS_TIMEOUT
	                                   : FAIL_TIMEOUT;
}

/* --- buffers -------------------------------------------------------------------------------- */

struct probe_store *probe_store_new(struct probe_env *env)
{
	struct probe_store *s = env->stores;

	if (s != NULL) {
		env->stores = s->next;
	} else {
		s = malloc(sizeof(*s));
	}
	if (s != NULL) {
		s->len = 0;
	}
	return s;
}

void probe_store_free(struct probe_env *env, struct probe_store *store)
{
	if (store != NULL) {
		store->next = env->stores;
		env->stores = store;
	}
}

bool probe_store_find(struct probe_store *store, struct str more, struct str text)
{
	size_t from = store->len >= text.len ? store->len - text.len + 1 : 0;
	size_t n = MIN(more.len, sizeof(store->data) - store->len);

	if (n != 0) {
		memcpy(store->data + store->len, more.s, n);
		store->len += n;
	}
	return memmem(store->data + from, store->len - from, text.s, text.len) != NULL;
}

struct probe_store *probe_store_get(struct probe *p)
{
	if (p->store == NULL) {
		p->store = probe_store_new(p->env);
	}
	return p->store;
}

void probe_store_put(struct probe *p)
{
	probe_store_free(p->env, p->store);
	p->store = NULL;
}
