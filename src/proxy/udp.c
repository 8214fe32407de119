/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets of UDP listeners; see udp.h. Proxy role, one worker thread each. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "net/sock.h"
#include "proxy/udp_impl.h"

#define UDP_TURN 16 /* batches of one socket in a row; then others have their turn */

/* --- addresses ------------------------------------------------------------------------------ */

/* Where the datagram was sent to, from the ancillary data. */
static void note_to(struct msghdr *m, struct udp_key *key)
{
	struct cmsghdr *c;

	for (c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo p;

			memcpy(&p, CMSG_DATA(c), sizeof(p));
			/* the local address: of a broadcast, the one that it reached */
			memcpy(key->to, &p.ipi_spec_dst, sizeof(p.ipi_spec_dst));
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo p;

			memcpy(&p, CMSG_DATA(c), sizeof(p));
			if (!IN6_IS_ADDR_MULTICAST(&p.ipi6_addr))
				memcpy(key->to, &p.ipi6_addr, sizeof(p.ipi6_addr));
			if (IN6_IS_ADDR_LINKLOCAL(&p.ipi6_addr))
				key->scope = p.ipi6_ifindex;
		}
	}
}

static void note_key(struct udp_batch *b, unsigned i, struct udp_key *key)
{
	memset(key, 0, sizeof(*key));
	key->family = b->name[i].sa.sa_family;
	if (key->family == AF_INET) {
		memcpy(key->client, &b->name[i].in.sin_addr, 4);
		key->port = b->name[i].in.sin_port;
	} else {
		memcpy(key->client, &b->name[i].in6.sin6_addr, 16);
		key->port = b->name[i].in6.sin6_port;
		key->scope = b->name[i].in6.sin6_scope_id; /* of a link-local one */
	}
	note_to(&b->m[i].msg_hdr, key);
}

void udp_key_client(const struct udp_key *key, struct net_addr *ret)
{
	*ret = (struct net_addr){ .len = sizeof(ret->in) };
	ret->sa.sa_family = key->family;
	ret->in.sin_port = key->port; /* at the same place in IPv6 */
	if (key->family == AF_INET) {
		memcpy(&ret->in.sin_addr, key->client, 4);
		return;
	}
	ret->len = sizeof(ret->in6);
	memcpy(&ret->in6.sin6_addr, key->client, 16);
	ret->in6.sin6_scope_id = key->scope;
}

static void put_to(const struct udp_key *key, struct msghdr *m)
{
	struct cmsghdr *c;
	struct in_pktinfo p4 = { 0 };
	struct in6_pktinfo p6 = { .ipi6_ifindex = key->scope };

	memset(m->msg_control, 0, sizeof(((struct udp_batch *)NULL)->control[0].room));
	m->msg_controllen =
	    key->family == AF_INET ? CMSG_SPACE(sizeof(p4)) : CMSG_SPACE(sizeof(p6));
	c = CMSG_FIRSTHDR(m);
	if (key->family == AF_INET) {
		memcpy(&p4.ipi_spec_dst, key->to, sizeof(p4.ipi_spec_dst));
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(p4));
		memcpy(CMSG_DATA(c), &p4, sizeof(p4));
	} else {
		memcpy(&p6.ipi6_addr, key->to, sizeof(p6.ipi6_addr));
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(p6));
		memcpy(CMSG_DATA(c), &p6, sizeof(p6));
	}
}

static socklen_t put_name(const struct udp_key *key, struct udp_batch *b, unsigned i)
{
	memset(&b->name[i], 0, sizeof(b->name[i]));
	b->name[i].sa.sa_family = key->family;
	if (key->family == AF_INET) {
		memcpy(&b->name[i].in.sin_addr, key->client, 4);
		b->name[i].in.sin_port = key->port;
		return sizeof(b->name[i].in);
	}
	memcpy(&b->name[i].in6.sin6_addr, key->client, 16);
	b->name[i].in6.sin6_port = key->port;
	b->name[i].in6.sin6_scope_id = key->scope;
	return sizeof(b->name[i].in6);
}

/* --- from and to clients -------------------------------------------------------------------- */

void udp_answer(struct udp_session *s, unsigned n)
{
	struct udp_listener *l = s->l;
	struct udp_batch *b = l->thread->udp;
	unsigned i, sent = 0;

	for (i = 0; i < n; i++) {
		struct msghdr *m = &b->m[i].msg_hdr;

		b->iov[i] = (struct iovec){ b->data[i], b->m[i].msg_len };
		*m = (struct msghdr){ .msg_name = &b->name[i],
			              .msg_iov = &b->iov[i],
			              .msg_iovlen = 1,
			              .msg_control = &b->control[i] };
		m->msg_namelen = put_name(&s->key, b, i);
		put_to(&s->key, m);
	}
	while (sent < n) {
		int r = sendmmsg(l->io.fd, b->m + sent, n - sent, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (r > 0) {
			sent += (unsigned)r;
		} else if (errno != EINTR) { /* that one is lost; the next may pass */
			stat_add(&l->wire->c[WIRE_UDP_DROPPED], 1);
			sent++;
		}
	}
}

static int receive(struct udp_listener *l, struct udp_batch *b)
{
	unsigned i;

	for (i = 0; i < UDP_BATCH; i++) {
		b->iov[i] = (struct iovec){ b->data[i], UDP_SIZE };
		b->m[i].msg_hdr = (struct msghdr){ .msg_name = &b->name[i],
			                           .msg_namelen = sizeof(b->name[i]),
			                           .msg_iov = &b->iov[i],
			                           .msg_iovlen = 1,
			                           .msg_control = &b->control[i],
			                           .msg_controllen = sizeof(b->control[i].room) };
	}
	return recvmmsg(l->io.fd, b->m, UDP_BATCH, MSG_DONTWAIT, NULL);
}

/* Passes on a batch; datagrams of one session that lie together go with one call. */
static void pass(struct udp_listener *l, struct udp_batch *b, unsigned n)
{
	struct udp_session *s = NULL, *next;
	unsigned i, from = 0;

	for (i = 0; i < n; i++) {
		struct udp_key key;

		note_key(b, i, &key);
		b->iov[i].iov_len = b->m[i].msg_len;
		next = s != NULL && s->magic == UDP_MAGIC && memcmp(&s->key, &key, sizeof(key)) == 0
		           ? s
		           : NULL;
		if (next != NULL)
			continue;
		if (s != NULL && s->magic == UDP_MAGIC)
			udp_session_send(s, b->iov + from, i - from);
		from = i;
		s = udp_session_get(l, &key);
		if (s == NULL)
			stat_add(&l->wire->c[WIRE_UDP_DROPPED], 1);
	}
	if (s != NULL && s->magic == UDP_MAGIC)
		udp_session_send(s, b->iov + from, n - from);
}

static void on_datagrams(struct loop_io *io, uint32_t events)
{
	struct udp_listener *l = CONTAINER_OF(io, struct udp_listener, io);
	unsigned turns;

	for (turns = 0; turns < UDP_TURN; turns++) { /* level triggered: the rest comes again */
		int n = receive(l, l->thread->udp);

		if (n <= 0)
			return;
		pass(l, l->thread->udp, (unsigned)n);
		if (n < UDP_BATCH)
			return;
	}
}

/* --- listeners ------------------------------------------------------------------------------ */

static void end_sessions(struct udp_listener *l)
{
	struct udp_session *s;

	while ((s = TAILQ_FIRST(&l->sessions)) != NULL)
		udp_session_end(s);
}

static void stop_reading(struct udp_listener *l)
{
	if (!l->removed)
		loop_remove(l->thread->loop, &l->io);
	l->removed = true;
}

static void listener_free(struct udp_listener *l)
{
	end_sessions(l);
	stop_reading(l);
	if (l->io.fd >= 0)
		close(l->io.fd);
	TAILQ_REMOVE(&l->thread->udp_listeners, l, link);
	if (l->view != NULL)
		view_drop(l->view);
	free(l->buckets);
	free(l);
}

static bool is_own(const struct thread *t, const struct view *v, const struct listen_socket *s)
{
	const struct conf_listener *c = &v->snap->conf->listeners[s->listener];

	return c->protocol == PROTOCOL_UDP && s->fd >= 0 &&
	       (c->slot + s->sub) % v->snap->threads == t->index;
}

static bool is_of(const struct udp_listener *l, const struct view *v, const struct listen_socket *s)
{
	return !l->removed && l->inode == s->inode &&
	       l->conf->slot == v->snap->conf->listeners[s->listener].slot;
}

static void listener_set(struct udp_listener *l, struct view *v, const struct listen_socket *s)
{
	struct view *old = l->view;

	view_use(v);
	l->view = v;
	l->conf = &v->snap->conf->listeners[s->listener];
	if (old != NULL)
		view_drop(old);
}

static bool listener_make(struct thread *t, struct view *v, const struct listen_socket *s)
{
	struct role *r = t->proxy->role;
	struct udp_listener *l = calloc(1, sizeof(*l));

	if (l == NULL)
		return false;
	*l = (struct udp_listener){ .thread = t, .inode = s->inode, .nbuckets = UDP_BUCKETS };
	TAILQ_INIT(&l->sessions);
	TAILQ_INSERT_TAIL(&t->udp_listeners, l, link);
	listener_set(l, v, s);
	l->stat = thread_block(t, BOARD_LISTENER, l->conf->slot);
	l->wire = board_wire(r->board, r->instance, t->index, l->conf->slot);
	l->connections = &board_node(r->board)->listener_connections[r->instance][l->conf->slot];
	l->io = (struct loop_io){ .fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 3), .fn = on_datagrams };
	l->buckets = calloc(l->nbuckets, sizeof(struct udp_session *));
	if (t->udp == NULL)
		t->udp = malloc(sizeof(*t->udp));
	if (l->io.fd < 0 || l->buckets == NULL || t->udp == NULL ||
	    loop_add_level(t->loop, &l->io, LOOP_IN, false) != OK) {
		l->removed = true; /* never was on the loop */
		listener_free(l);
		return false;
	}
	return true;
}

static void add_listeners(struct thread *t, struct view *v)
{
	struct udp_listener *l;
	unsigned i;

	for (i = 0; i < v->snap->nsockets; i++) {
		const struct listen_socket *s = &v->snap->sockets[i];

		if (!is_own(t, v, s))
			continue;
		TAILQ_FOREACH (l, &t->udp_listeners, link)
			if (is_of(l, v, s))
				break;
		if (l != NULL)
			listener_set(l, v, s);
		else if (!listener_make(t, v, s))
			log_error("listener_lost", v->snap->conf->listeners[s->listener].name.s,
			          "out of memory or descriptors");
	}
}

void udp_update(struct thread *t, struct view *v)
{
	struct udp_listener *l, *next;
	unsigned i;

	for (l = TAILQ_FIRST(&t->udp_listeners); l != NULL; l = next) {
		bool named = false;

		next = TAILQ_NEXT(l, link);
		for (i = 0; i < v->snap->nsockets; i++)
			named |=
			    is_own(t, v, &v->snap->sockets[i]) && is_of(l, v, &v->snap->sockets[i]);
		if (!named)
			listener_free(l); /* its port must be free for others at once */
	}
	add_listeners(t, v);
}

void udp_close(struct thread *t)
{
	struct udp_listener *l;
	struct udp_session *s;

	TAILQ_FOREACH (l, &t->udp_listeners, link) {
		stop_reading(l);
		TAILQ_FOREACH (s, &l->sessions, link)
			udp_session_arm(s); /* a shorter time now */
	}
}

void udp_sweep(struct thread *t)
{
	struct udp_listener *l;
	struct udp_session *s, *next;

	TAILQ_FOREACH (l, &t->udp_listeners, link) {
		for (s = TAILQ_FIRST(&l->sessions); s != NULL; s = next) {
			union server_word w = board_server_word(s->server->board);

			next = TAILQ_NEXT(s, link);
			if (s->server->retired || w.order == ORDER_DISABLE ||
			    (w.state == SERVER_DOWN && !w.ejected))
				udp_session_end(s); /* its client's next datagram begins another */
		}
	}
}
