/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of the drill's client, each on a new connection or one after the other on a kept one. A
 * kept connection that turns out to be closed before any byte of an answer came is opened again and
 * its request repeated, once, as every client does (RFC 9112, 9.3.1); that is counted.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "drill/client.h"
#include "net/sock.h"

static const struct http_limits limits = { 16384, 65536, HTTP_MAX_FIELDS };

static void take_next(struct drill_conn *k);

struct drill_conn *drill_client_conn_new(struct drill_client *c, bool kept)
{
	struct drill_conn *k = calloc(1, sizeof(*k));

	if (k) {
		k->c = c;
		k->kept = kept;
		k->s.io.fd = -1;
	}
	return k;
}

/* Whether a request is on it. */
static bool is_open(const struct drill_conn *k)
{
	return k->state == CLIENT_CONNECTING || k->state == CLIENT_GREETING ||
	       k->state == CLIENT_ASKED;
}

bool drill_client_busy(const struct drill_conn *k)
{
	return is_open(k) || k->nwaiting > 0;
}

/* --- the end of a request ------------------------------------------------------------------- */

static void free_conn(struct loop_task *t)
{
	free(CONTAINER_OF(t, struct drill_conn, free));
}

static void close_conn(struct drill_conn *k, bool reset)
{
	stream_close(&k->s, reset);
	if (k->kept) {
		k->state = CLIENT_CLOSED;
		return;
	}
	k->state = CLIENT_DEAD;
	TAILQ_REMOVE(&k->c->conns, k, link);
	k->free.fn = free_conn;
	loop_defer(k->c->loop, &k->free);
}

static void note(struct drill_conn *k, enum drill_error error)
{
	const struct drill_sample s = {
		.due_ns = k->due,
		.end_ns = clock_mono(),
		.status = error == DRILL_OK ? k->status : 0,
		.kind = k->kept ? DRILL_KEPT : DRILL_NEW,
		.error = (uint8_t)error,
		.who = error == DRILL_OK ? k->who : 0,
		.repeated = k->repeated,
	};

	drill_client_record(k->c, &s);
}

static void fail(struct drill_conn *k, enum drill_error error)
{
	note(k, error);
	close_conn(k, true);
	if (k->kept && !k->taking)
		take_next(k);
}

/* --- the answer ----------------------------------------------------------------------------- */

static void answered(struct drill_conn *k)
{
	k->uses++;
	note(k, DRILL_OK);
	if (!k->kept || k->close) {
		close_conn(k, false);
	} else {
		k->state = CLIENT_IDLE;
		k->len = 0;
	}
	if (k->kept)
		take_next(k);
}

/* Bytes of the body; whether it is complete. Negative: malformed. */
static int body(struct drill_conn *k, const char *data, size_t len)
{
	ssize_t n;

	switch (k->body) {
	case HTTP_BODY_NONE:
		return len == 0 ? 1 : -1;
	case HTTP_BODY_LENGTH:
		if (len > k->left)
			return -1;
		k->left -= len;
		return k->left == 0;
	case HTTP_BODY_CHUNKED:
		n = http_chunked_scan(&k->chunks, data, len, NULL);
		if (n < 0 || (size_t)n < len)
			return -1;
		return k->chunks.done;
	default:
		return 0; /* until the end */
	}
}

/* The head, when it is whole. Bytes of it; 0: more are needed; negative: malformed. */
static int head(struct drill_conn *k)
{
	struct http_head *h = &k->c->head;
	const struct http_field *f;
	int n = http_parse_response(h, k->in, k->len, &limits, &k->scanned, HTTP_GET);

	if (n <= 0)
		return n;
	if (h->status < 200) { /* an interim answer */
		memmove(k->in, k->in + n, k->len - (size_t)n);
		k->len -= (size_t)n;
		k->scanned = 0;
		return k->len > 0 ? head(k) : 0;
	}
	k->head_done = true;
	k->status = (uint16_t)h->status;
	k->body = h->body;
	k->left = h->length;
	k->close = h->close;
	http_chunked_init(&k->chunks);
	f = http_field_named(h, STR("x-whoami"));
	k->who = f ? drill_client_name(k->c, f->value) : 0;
	return n;
}

/* k->in holds k->len bytes that are new, or all of a head that is not whole. */
static void take(struct drill_conn *k)
{
	size_t skip = 0;
	int done;

	if (!k->head_done) {
		int n = head(k);

		if (n < 0 || (n == 0 && k->len == sizeof(k->in))) {
			fail(k, DRILL_BAD);
			return;
		}
		if (n == 0)
			return;
		skip = (size_t)n;
	}
	done = body(k, k->in + skip, k->len - skip);
	k->len = 0;
	if (done < 0)
		fail(k, DRILL_BAD);
	else if (done > 0)
		answered(k);
}

/* --- the connection ------------------------------------------------------------------------- */

static void connect_conn(struct drill_conn *k);

static void send_request(struct drill_conn *k)
{
	struct buf *b = &k->c->request;
	const struct iovec iov = { b->p, b->len };

	k->state = CLIENT_ASKED;
	k->head_done = false;
	k->len = k->scanned = 0;
	/* A failure is seen again by reading, with its reason. */
	if (stream_send(&k->s, &iov, 1) != OK)
		k->s.readable = true;
}

/* The connection has ended, in order or not. */
static void ended(struct drill_conn *k, enum drill_error why)
{
	if (k->state == CLIENT_IDLE) {
		close_conn(k, false); /* opened again for the next request */
		return;
	}
	if (k->state == CLIENT_ASKED && k->head_done && k->body == HTTP_BODY_UNTIL_CLOSE &&
	    why == DRILL_OK) {
		k->close = true;
		answered(k);
		return;
	}
	if (k->state == CLIENT_ASKED && k->kept && k->uses > 0 && !k->repeated && !k->head_done &&
	    k->len == 0) {
		close_conn(k, true);
		k->repeated = true;
		connect_conn(k);
		return;
	}
	fail(k, why == DRILL_OK ? DRILL_RESET : why);
}

static void receive(struct drill_conn *k)
{
	while ((k->state == CLIENT_ASKED || k->state == CLIENT_IDLE) && k->s.readable) {
		ssize_t n = stream_recv(&k->s, k->in + k->len, sizeof(k->in) - k->len);

		if (n == ERR_AGAIN)
			return;
		if (n < 0) {
			ended(k, n == ERR_CLOSED ? DRILL_OK : drill_client_error(errno));
			return;
		}
		if (k->state == CLIENT_IDLE) { /* an answer that nobody asked for */
			close_conn(k, true);
			return;
		}
		k->len += (size_t)n;
		take(k);
	}
}

static void greet(struct drill_conn *k)
{
	int err;

	k->state = CLIENT_GREETING;
	err = drill_client_greet(k->c, &k->s);
	if (err == OK)
		send_request(k);
	else if (err != ERR_AGAIN)
		fail(k, err == ERR_SYSTEM   ? drill_client_error(errno)
		        : err == ERR_CLOSED ? DRILL_RESET
		                            : DRILL_BAD);
}

static void on_io(struct loop_io *io, uint32_t events)
{
	struct drill_conn *k = CONTAINER_OF(io, struct drill_conn, s.io);

	stream_events(&k->s, events);
	if (k->state == CLIENT_CONNECTING && (events & (LOOP_OUT | LOOP_HUP))) {
		int err = net_connect_error(io->fd);

		if (err != 0) {
			fail(k, drill_client_error(err));
			return;
		}
		greet(k);
	} else if (k->state == CLIENT_GREETING) {
		greet(k);
	}
	if (k->state == CLIENT_ASKED && stream_flush(&k->s) != OK)
		k->s.readable = true;
	receive(k);
}

static void connect_conn(struct drill_conn *k)
{
	struct drill_client *c = k->c;
	bool done = false;
	int fd = net_connect(&c->o.to, &done);

	k->uses = 0;
	if (fd < 0) {
		fail(k, drill_client_error(errno));
		return;
	}
	stream_init(&k->s, fd, on_io);
	k->state = CLIENT_CONNECTING;
	if (loop_add(c->loop, &k->s.io, STREAM_EVENTS) != OK) {
		fail(k, DRILL_BAD);
		return;
	}
	if (done)
		greet(k);
}

/* The request that has waited longest for the kept connection; those that have waited too long have
 * failed. */
static void take_next(struct drill_conn *k)
{
	uint64_t now = clock_mono();

	k->taking = true; /* a failure comes back here */
	while (k->nwaiting > 0 && !is_open(k)) {
		k->due = k->waiting[k->first];
		k->first = (k->first + 1) % CLIENT_WAITING;
		k->nwaiting--;
		k->repeated = false;
		if (now >= k->due + k->c->o.limit_ns)
			note(k, DRILL_TIMEOUT);
		else if (k->state == CLIENT_IDLE)
			send_request(k);
		else
			connect_conn(k);
	}
	k->taking = false;
}

void drill_client_ask(struct drill_client *c, struct drill_conn *kept, uint64_t due)
{
	struct drill_conn *k = kept;

	if (!k) {
		k = drill_client_conn_new(c, false);
		if (!k)
			return; /* out of memory */
		k->due = due;
		TAILQ_INSERT_TAIL(&c->conns, k, link);
		connect_conn(k);
		return;
	}
	if (k->nwaiting == CLIENT_WAITING)
		return; /* they expire long before, unless told to wait for minutes */
	k->waiting[(k->first + k->nwaiting++) % CLIENT_WAITING] = due;
	take_next(k);
}

void drill_client_expire(struct drill_client *c, uint64_t now)
{
	struct drill_conn *k;

	while ((k = TAILQ_FIRST(&c->conns)) != NULL && now >= k->due + c->o.limit_ns)
		fail(k, DRILL_TIMEOUT);
	for (unsigned i = 0; i < c->o.kept; i++) {
		k = c->kept[i];
		if (is_open(k) && now >= k->due + c->o.limit_ns)
			fail(k, DRILL_TIMEOUT);
	}
}
