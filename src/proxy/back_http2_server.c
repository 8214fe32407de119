/* SPDX-License-Identifier: Apache-2.0 */
/* Servers that are ordered out, found dead or no longer needed: what becomes of their HTTP/2
 * connections and of the exchanges on them; see back_http2.h and servers_sweep(). */
#include "base/check.h"
#include "proxy/back_http2.h"

/* Streams leave a connection's list only when nghttp2 or the connection ends, neither of which what
 * is done here does: a walk is safe. */
static void each_exchange(struct up_conn *c, void (*fn)(struct exchange *x))
{
	struct up_stream *st, *next;

	for (st = TAILQ_FIRST(&c->streams); st != NULL; st = next) {
		next = TAILQ_NEXT(st, link);
		if (st->x != NULL)
			fn(st->x);
	}
}

static void cut(struct exchange *x)
{
	if (x->state == X_SENT || x->state == X_CONNECTING)
		attempt_failed(x, FAIL_CLOSED);
	else
		exchange_cut(x, "the server was disabled");
}

static void each_waiting(struct server *s, void (*fn)(struct exchange *x))
{
	unsigned n = s->nwaiting; /* who comes to wait meanwhile is not meant */
	struct up_stream *st;

	while (n-- > 0 && (st = TAILQ_FIRST(&s->waiting)) != NULL) {
		/* To the end, for who stays. */
		TAILQ_REMOVE(&s->waiting, st, link);
		TAILQ_INSERT_TAIL(&s->waiting, st, link);
		fn(st->x);
	}
}

void up_server_cut(struct server *s)
{
	struct up_conn *c, *next;

	/* No way back to these connections for those who may try again. */
	TAILQ_FOREACH (c, &s->conns, link)
		c->going = true;
	for (c = TAILQ_FIRST(&s->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		each_exchange(c, cut);
		up_conn_pend(c);
	}
	while (s->nwaiting > 0)
		each_waiting(s, cut);
}

void up_server_move(struct server *s)
{
	struct up_conn *c, *next;

	for (c = TAILQ_FIRST(&s->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		each_exchange(c, attempt_move);
	}
	each_waiting(s, attempt_move);
}

void up_server_close_idle(struct server *s)
{
	struct up_conn *c, *next;

	for (c = TAILQ_FIRST(&s->conns); c != NULL; c = next) {
		next = TAILQ_NEXT(c, link);
		c->going = c->going || c->state == UP_OPEN;
		if (c->state == UP_OPEN && c->nstreams == 0)
			up_conn_part(c);
	}
}

unsigned up_server_evict(struct server *s, unsigned n)
{
	struct up_conn *c, *next;
	unsigned closed = 0;

	for (c = TAILQ_FIRST(&s->conns); c != NULL && closed < n; c = next) {
		next = TAILQ_NEXT(c, link);
		if (c->state != UP_OPEN || c->nstreams > 0)
			continue;
		up_conn_part(c);
		closed++;
	}
	return closed;
}
