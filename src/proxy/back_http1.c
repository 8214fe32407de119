/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's side of an exchange on an HTTP/1.1 connection, which is the exchange's alone for so
 * long. Proxy role, one worker thread each.
 */
#include <errno.h>

#include "base/check.h"
#include "base/err.h"
#include "net/proxy_header.h"
#include "net/sock.h"
#include "proxy/exchange.h"
#include "proxy/opening.h"
#include "proxy/tls_back.h"

/* Whether the server is told of the client by a PROXY header: the connection is that client's then.
 */
static bool is_announced(const struct exchange *x)
{
	return x->pool->conf->send_proxy != SEND_PROXY_OFF;
}

/* The PROXY header, before anything else and before TLS. OK or ERR_SYSTEM with errno. */
static int announce(struct exchange *x)
{
	const unsigned version = x->pool->conf->send_proxy == SEND_PROXY_V1 ? 1 : 2;
	struct net_addr source, destination;
	char out[PROXY_HEADER_OUT];
	struct iovec iov = { .iov_base = out };

	if (!is_announced(x))
		return OK;
	client_peer(x->client, &source);
	opening_destination(x->client, &destination);
	iov.iov_len = proxy_header_write(version, &source, &destination, out);
	return stream_send_raw(&x->up->s, &iov, 1);
}

static int begin_tls(struct exchange *x)
{
	const struct str host = tls_back_host(x);

	if (host.len > 0 && (x->up->host = strndup(host.s, host.len)) == NULL)
		return ERR_NOMEM;
	return tls_back_start(x, &x->up->s);
}

/* A unix socket is there at once; TLS takes its time. */
static int secure(struct exchange *x, enum fail_why *why)
{
	struct upstream *u = x->up;
	int err = begin_tls(x);

	if (err == OK)
		err = tls_back_handshake(x->server, &u->s);
	u->connecting = err != OK;
	*why = FAIL_TLS;
	return err;
}

static int http1_open(struct exchange *x, enum fail_why *why)
{
	if (!x->fresh && !is_announced(x) && (x->up = upstream_reuse(x->server, x)) != NULL) {
		stat_add(&x->server->stat->c[STAT_REUSES], 1);
		x->reused = true;
		return OK;
	}
	x->up = upstream_connect(x->server, x, why);
	if (x->up == NULL)
		return ERR_SYSTEM;
	if (x->up->connecting)
		return ERR_AGAIN;
	if (announce(x) != OK) {
		*why = fail_errno(errno);
		return ERR_SYSTEM;
	}
	return x->pool->tls != NULL ? secure(x, why) : OK;
}

static int http1_send(struct exchange *x, struct str body, bool end)
{
	const struct iovec iov[2] = { { x->head, x->head_len }, { (char *)body.s, body.len } };

	return stream_send(&x->up->s, iov, body.len > 0 ? 2 : 1);
}

static int http1_data(struct exchange *x, struct str data, bool end)
{
	const struct iovec iov = { (char *)data.s, data.len };

	return data.len > 0 ? stream_send(&x->up->s, &iov, 1) : OK;
}

static bool http1_room(const struct exchange *x)
{
	return flow_empty(&x->up->s.out);
}

static void http1_pump(struct exchange *x)
{
	struct thread *t = x->thread;
	struct upstream *u;
	unsigned reads = 0;
	size_t room;

	while ((x->state == X_SENT || x->state == X_RESPONSE) && (u = x->up) != NULL &&
	       u->s.readable && (room = x->front->room(x)) > 0) {
		size_t had = x->state == X_SENT ? x->rin.len : 0;
		ssize_t n;

		if (reads++ == STREAM_TURN) {
			loop_rearm(t->loop, &u->s.io, STREAM_EVENTS);
			break;
		}
		if (had > 0)
			memcpy(t->in, flow_str(&x->rin).s, had);
		n = stream_recv(&u->s, t->in + had, MIN(room, (size_t)THREAD_SCRATCH));
		if (n == ERR_AGAIN)
			break;
		if (n < 0) {
			response_end(x, n);
			return;
		}
		if (x->state == X_SENT) {
			x->got = true;
			flow_free(&x->rin);
			response_heads(x, str_n(t->in, had + (size_t)n), false);
		} else {
			response_body(x, str_n(t->in, (size_t)n), false);
		}
	}
}

static void http1_release(struct exchange *x, bool keep)
{
	struct upstream *u = x->up;

	if (u == NULL)
		return;
	x->up = NULL;
	if (keep && !is_announced(x))
		upstream_keep(u, x->pool->conf->idle_connections, EXCHANGE_TIMEOUT(x, keep_alive));
	else
		upstream_close(u, !x->request_done);
}

/* --- tunnels -------------------------------------------------------------------------------- */

static ssize_t http1_read(struct exchange *x, void *p, size_t size)
{
	const ssize_t n = stream_recv(&x->up->s, p, size);

	return n == ERR_CLOSED ? 0 : n;
}

static bool http1_readable(const struct exchange *x)
{
	return x->up->s.readable;
}

static void http1_rearm(struct exchange *x)
{
	loop_rearm(x->thread->loop, &x->up->s.io, STREAM_EVENTS);
}

static void http1_shut(struct exchange *x)
{
	if (!x->up->s.ended)
		stream_shutdown(&x->up->s);
}

static bool http1_over(const struct exchange *x)
{
	return x->up->s.ended;
}

/* --- events --------------------------------------------------------------------------------- */

/* Goes on with TLS, where there is any. */
static void secured(struct exchange *x)
{
	struct upstream *u = x->up;
	int err = u->s.layer != NULL ? tls_back_handshake(x->server, &u->s) : OK;

	if (err == ERR_AGAIN)
		return;
	if (err != OK) {
		attempt_failed(x, FAIL_TLS);
		return;
	}
	u->connecting = false;
	attempt_ready(x);
}

static void connected(struct exchange *x)
{
	struct upstream *u = x->up;
	int err;

	if (!u->s.writable && !u->s.broken)
		return;
	err = net_connect_error(u->s.io.fd);
	if (err != 0) {
		attempt_failed(x, fail_errno(err));
		return;
	}
	stat_add(&x->server->stat->c[STAT_CONNECTIONS], 1);
	if (announce(x) != OK)
		attempt_failed(x, fail_errno(errno));
	else if (x->pool->tls != NULL && begin_tls(x) != OK)
		attempt_failed(x, FAIL_TLS);
	else
		secured(x);
}

void back_http1_event(struct upstream *u)
{
	struct exchange *x = u->x;

	CHECK_MAGIC(x, EXCHANGE_MAGIC);
	if (u->connecting) {
		if (u->s.layer != NULL)
			secured(x);
		else
			connected(x);
		return;
	}
	if (u->s.writable && !flow_empty(&u->s.out) && stream_flush(&u->s) != OK)
		x->upload_dead = true;
	if (x->state == X_TUNNEL)
		tunnel_pump(x);
	else if (request_pump(x))
		response_pump(x);
}

const struct back_ops back_http1 = {
	.framed = true,
	.open = http1_open,
	.send = http1_send,
	.data = http1_data,
	.room = http1_room,
	.pump = http1_pump,
	.release = http1_release,
	.read = http1_read,
	.readable = http1_readable,
	.rearm = http1_rearm,
	.shut = http1_shut,
	.over = http1_over,
};
