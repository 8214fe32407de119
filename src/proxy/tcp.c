/* SPDX-License-Identifier: Apache-2.0 */
/* TCP connections; see tcp.h. Proxy role, one worker thread each. */
#include "proxy/tcp.h"

#include "base/check.h"
#include "base/err.h"
#include "proxy/exchange.h"
#include "proxy/opening.h"

void tcp_start(struct client *c, struct str host)
{
	struct exchange *x;
	struct net_addr peer;
	uint32_t pool = conf_sni_pool(c->listener->conf, host);

	if (pool == CONF_NO_POOL) {
		opening_refuse(c, "client_hello",
		               host.len > 0
		                   ? "no pool is configured for the name in its ClientHello"
		                   : "it does not begin with a ClientHello that names a host");
		return;
	}
	x = exchange_new(c, true);
	if (x == NULL) {
		client_close(c, true);
		return;
	}
	x->front = &front_tcp;
	x->method_text = STR("TCP");
	x->method = HTTP_OTHER;
	x->client_close = true; /* nothing follows it on the connection */
	x->request_done = true;
	x->fresh = true;
	client_busy(c);
	x->pool = view_pool(x->view, pool);
	if (x->pool == NULL) {
		exchange_fail(x, 500, "out of memory");
		return;
	}
	x->back = &back_http1;
	client_peer(c, &peer);
	x->hash = balance_key(x->pool->conf, NULL, &peer);
	stat_add(&x->pool->stat->c[STAT_ACTIVE], 1);
	retry_budget_request(&x->pool->shared->budget, c->thread->loop->now);
	attempt_start(x);
}

void tcp_connected(struct exchange *x)
{
	x->sent = true;
	x->status = 200; /* as it is counted: a server was there */
	x->head_at = x->thread->loop->now;
	tunnel_start(x, STR_NONE);
}

/* --- the client's side ---------------------------------------------------------------------- */

static void tcp_page(struct exchange *x, struct str text)
{
	/* There is no language in which to tell the client: it sees a reset. */
}

static bool tcp_flushed(const struct exchange *x)
{
	return flow_empty(&x->client->s.out);
}

static size_t tcp_room(const struct exchange *x)
{
	return tcp_flushed(x) ? THREAD_SCRATCH : 0;
}

static bool tcp_gone(const struct exchange *x)
{
	return x->client->s.broken;
}

static void tcp_cut(struct exchange *x)
{
	flow_free(&x->client->s.out);
	x->client->s.broken = true; /* client_done() resets */
	x->request_done = false;    /* and so does the server's side */
}

static void tcp_end(struct exchange *x, bool keep)
{
	struct client *c = x->client;

	if (x->status != 200)
		c->s.broken = true;
	c->last = true;
	client_done(c, false);
}

const struct front_ops front_tcp = {
	.name = "TCP",
	.page = tcp_page,
	.room = tcp_room,
	.flushed = tcp_flushed,
	.gone = tcp_gone,
	.cut = tcp_cut,
	.end = tcp_end,
};
