/* SPDX-License-Identifier: Apache-2.0 */
/* The list of connections; see connections.h. */
#include "proxy/connections.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/exchange.h"
#include "proxy/udp_impl.h"

#define LASTS (10 * NS_PER_S) /* requests are listed from this age on */

struct list {
	struct ipc_list q;
	struct ipc_listed n;
	unsigned left;   /* threads that are yet to answer; under the proxy's lock, as all here */
	struct buf rows; /* JSON objects with commas */
};

/* One connection, whatever it is. */
struct row {
	const char *protocol;
	struct str listener;
	const struct server *server; /* NULL: none yet */
	const struct pool *pool;
	struct net_addr client;
	uint64_t age, idle; /* ns */
	uint64_t in, out;
};

/* --- which ---------------------------------------------------------------------------------- */

static const char *server_name(const struct server *s)
{
	return s != NULL ? s->id : "";
}

static bool is_wanted(const struct ipc_list *q, const struct row *r)
{
	if (r->pool == NULL || (q->older_ns != 0 && r->age < q->older_ns))
		return false;
	if (q->end && r->server == NULL)
		return false;
	return (q->pool[0] == '\0' || str_eq(r->pool->conf->name, str_from(q->pool))) &&
	       (q->listener[0] == '\0' || str_eq(r->listener, str_from(q->listener))) &&
	       (q->server[0] == '\0' || strcmp(server_name(r->server), q->server) == 0);
}

static struct row row_of(const struct exchange *x)
{
	struct row r = { .protocol = x->state == X_TUNNEL && !x->raw ? "tunnel" : x->front->name,
		         .listener = x->lconf->name,
		         .server = x->server,
		         .pool = x->pool,
		         .age = x->thread->loop->now - x->started,
		         .idle = exchange_idle(x),
		         .in = x->bytes_in,
		         .out = x->bytes_out };

	client_peer(x->client, &r.client);
	return r;
}

static struct row row_of_session(const struct udp_session *s)
{
	const uint64_t now = s->l->thread->loop->now;
	struct row r = { .protocol = "UDP",
		         .listener = s->l->conf->name,
		         .server = s->server,
		         .pool = s->pool,
		         .age = now - s->started,
		         .idle = now - s->last,
		         .in = s->bytes_in,
		         .out = s->bytes_out };

	udp_key_client(&s->key, &r.client);
	return r;
}

/* Whether it is one that lasts. Those that are to be ended need not be. */
static bool lasts(const struct exchange *x, const struct ipc_list *q)
{
	return x->raw || x->state == X_TUNNEL || q->end != 0 ||
	       x->thread->loop->now - x->started >= LASTS;
}

/* --- rows ----------------------------------------------------------------------------------- */

static void put_text(struct buf *b, const char *key, const char *text)
{
	buf_printf(b, ",\"%s\":", key);
	buf_json(b, str_from(text));
}

static void put_row(struct thread *t, struct buf *b, const struct row *r)
{
	char text[NET_ADDR_TEXT];

	buf_printf(b, "%s{\"protocol\":\"%s\"", b->len > 0 ? "," : "", r->protocol);
	put_text(b, "listener", r->listener.s);
	put_text(b, "client",
	         r->client.sa.sa_family == AF_UNIX ? net_addr_host(&r->client, text)
	                                           : net_addr_format(&r->client, text));
	put_text(b, "server", server_name(r->server));
	buf_printf(b,
	           ",\"since_ms\":%llu,\"age_ms\":%llu,\"idle_ms\":%llu,\"bytes_in\":%llu,"
	           "\"bytes_out\":%llu,\"draining\":%s}",
	           (unsigned long long)(thread_wall_ms(t) - r->age / NS_PER_MS),
	           (unsigned long long)(r->age / NS_PER_MS),
	           (unsigned long long)(r->idle / NS_PER_MS), (unsigned long long)r->in,
	           (unsigned long long)r->out, t->closing ? "true" : "false");
}

struct gathering {
	struct buf rows;
	uint32_t nrows, found;
	uint32_t room; /* rows that may still be added */
	bool failed;   /* to end all that was meant */
};

static void add_row(struct thread *t, struct gathering *g, const struct row *r)
{
	g->found++;
	if (g->nrows < g->room) {
		put_row(t, &g->rows, r);
		g->nrows++;
	}
}

static void list_all(struct thread *t, const struct ipc_list *q, struct gathering *g)
{
	const struct exchange *x;
	const struct udp_listener *l;
	const struct udp_session *s;
	struct row r;

	TAILQ_FOREACH (x, &t->exchanges, link) {
		if (!lasts(x, q))
			continue;
		r = row_of(x);
		if (is_wanted(q, &r))
			add_row(t, g, &r);
	}
	TAILQ_FOREACH (l, &t->udp_listeners, link) {
		TAILQ_FOREACH (s, &l->sessions, link) {
			r = row_of_session(s);
			if (is_wanted(q, &r))
				add_row(t, g, &r);
		}
	}
}

/* --- ending --------------------------------------------------------------------------------- */

/* Before anything ends: who finds nothing open any more can trust the count. */
static void count_ended(const struct server *s)
{
	if (!s->retired)
		atomic_fetch_add_explicit(&s->board->ended, 1, memory_order_release);
}

/* Ending one may end or move others with it, which are kept in memory to the end of the turn: those
 * that are meant are written down first. False: out of memory. */
static bool end_exchanges(struct thread *t, const struct ipc_list *q, uint32_t *ended)
{
	struct exchange *x, **v;
	uint32_t n = 0, i;
	struct row r;

	TAILQ_FOREACH (x, &t->exchanges, link)
		n++;
	v = malloc((n + 1) * sizeof(*v));
	if (v == NULL)
		return false;
	n = 0;
	TAILQ_FOREACH (x, &t->exchanges, link) {
		r = row_of(x);
		if (x->state == X_ENDED || !is_wanted(q, &r))
			continue;
		count_ended(x->server);
		v[n++] = x;
	}
	for (i = 0; i < n; i++) {
		if (v[i]->state == X_ENDED)
			continue;
		r = row_of(v[i]);
		if (is_wanted(q, &r))
			exchange_evict(v[i], "the time in which its server is drained is over");
	}
	free(v);
	*ended += n;
	return true;
}

static uint32_t end_sessions(struct thread *t, const struct ipc_list *q)
{
	struct udp_listener *l;
	struct udp_session *s, *next;
	uint32_t n = 0;

	TAILQ_FOREACH (l, &t->udp_listeners, link) {
		for (s = TAILQ_FIRST(&l->sessions); s != NULL; s = next) {
			struct row r = row_of_session(s);

			next = TAILQ_NEXT(s, link);
			if (is_wanted(q, &r)) {
				count_ended(s->server);
				udp_session_end(s);
				n++;
			}
		}
	}
	return n;
}

/* --- threads -------------------------------------------------------------------------------- */

void connections_fill(struct thread *t, struct list *l)
{
	struct proxy *p = t->proxy;
	struct gathering g = { .rows = BUF_INIT, .room = IPC_LIST_MAX };

	if (l->q.end) {
		g.failed = !end_exchanges(t, &l->q, &g.found);
		g.found += end_sessions(t, &l->q);
	} else {
		list_all(t, &l->q, &g);
	}
	pthread_mutex_lock(&p->lock);
	l->n.found += g.found;
	l->n.silent |= g.failed;
	/* Whole threads: a list that is cut says so in any case. */
	if (!g.rows.failed && g.nrows > 0 && l->n.rows + g.nrows <= IPC_LIST_MAX) {
		if (l->rows.len > 0)
			buf_addc(&l->rows, ',');
		buf_add(&l->rows, g.rows.p, g.rows.len);
		l->n.rows += g.nrows;
	}
	l->left--;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
	buf_free(&g.rows);
}

/* The rows as a memory file; -1: there is none to be had. */
static int file_of(const struct buf *rows)
{
	int fd = memfd_create("holdfast-connections", MFD_CLOEXEC);
	size_t done = 0;

	while (fd >= 0 && done < rows->len) {
		ssize_t n = write(fd, rows->p + done, rows->len - done);

		if (n <= 0) {
			close(fd);
			fd = -1;
		} else {
			done += (size_t)n;
		}
	}
	return fd;
}

static void gather(struct proxy *p, struct list *l)
{
	unsigned i;

	pthread_mutex_lock(&p->lock);
	p->list = l;
	l->left = p->nthreads;
	for (i = 0; i < p->nthreads; i++)
		p->threads[i]->listing = true;
	pthread_mutex_unlock(&p->lock);
	for (i = 0; i < p->nthreads; i++)
		loop_wake(p->threads[i]->loop);
	pthread_mutex_lock(&p->lock);
	while (l->left > 0)
		pthread_cond_wait(&p->changed, &p->lock);
	p->list = NULL;
	pthread_mutex_unlock(&p->lock);
}

void connections_answer(struct proxy *p, const struct ipc_msg *m)
{
	struct list l = { .rows = BUF_INIT };
	int fd;

	if (!ipc_payload(m, &l.q, sizeof(l.q)))
		return;
	l.q.pool[sizeof(l.q.pool) - 1] = l.q.server[sizeof(l.q.server) - 1] = '\0';
	l.q.listener[sizeof(l.q.listener) - 1] = '\0';
	gather(p, &l);
	fd = l.rows.len > 0 ? file_of(&l.rows) : -1;
	if (fd < 0)
		l.n.rows = 0;
	if (p->role->parent >= 0)
		(void)ipc_send(p->role->parent, IPC_LISTED, m->id, &l.n, sizeof(l.n), &fd,
		               fd >= 0 ? 1 : 0);
	if (fd >= 0)
		close(fd);
	buf_free(&l.rows);
}
