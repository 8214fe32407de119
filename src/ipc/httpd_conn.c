/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of the HTTP server. It is always in one state: reading a request, waiting for its
 * answer, or writing it; the next request is looked at when the last byte of the answer before it
 * is written, so a pipelining client is held back by its own reading. On the loop's thread.
 */
#include "ipc/httpd_conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"

#define CONN_MAGIC  0x48545043U
#define TURN_STEPS  16 /* requests or reads of one connection in one turn */
#define READ_STEP   16384
#define LINGER_TIME (2 * NS_PER_S)

static void conn_run(struct httpd_conn *c);

/* --- life of a connection ------------------------------------------------------------------- */

static void conn_release(struct loop_task *t)
{
	struct httpd_conn *c = CONTAINER_OF(t, struct httpd_conn, again);

	CHECK_MAGIC(c, CONN_MAGIC);
	if (c->state != CONN_CLOSED) {
		conn_run(c);
		return;
	}
	buf_free(&c->in);
	buf_free(&c->body);
	buf_free(&c->out_head);
	c->magic = 0;
	free(c);
}

static void drop_body(struct httpd_conn *c)
{
	c->h->unsent -= c->out_body.len;
	buf_free(&c->out_body);
}

void httpd_conn_close(struct httpd_conn *c)
{
	struct httpd_listener *from = c->from;

	if (c->state == CONN_CLOSED)
		return;
	c->state = CONN_CLOSED;
	c->id = 0;
	drop_body(c);
	loop_remove(c->h->loop, &c->io);
	close(c->io.fd);
	c->io.fd = -1;
	loop_timer_stop(c->h->loop, &c->timer);
	TAILQ_REMOVE(&from->conns, c, link);
	from->nconns--;
	c->h->nconns--;
	httpd_listener_put(from);
	loop_defer(c->h->loop, &c->again);
}

/* Moves the connection to the young end of its listener's list. */
static void conn_touch(struct httpd_conn *c)
{
	TAILQ_REMOVE(&c->from->conns, c, link);
	TAILQ_INSERT_TAIL(&c->from->conns, c, link);
}

bool httpd_conn_idle(const struct httpd_conn *c)
{
	return c->state == CONN_READ && c->in.len == 0;
}

/* --- writing -------------------------------------------------------------------------------- */

static void put_head(struct httpd_conn *c, const struct httpd_answer *a)
{
	struct buf *b = &c->out_head;
	char date[32];

	http_date(clock_wall_ms(), date);
	buf_printf(b, "HTTP/1.1 %u %s\r\nDate: %s\r\n", a->status, http_status_text(a->status),
	           date);
	if (a->type != NULL)
		buf_printf(b, "Content-Type: %s\r\n", a->type);
	buf_printf(b,
	           "Content-Length: %zu\r\nCache-Control: no-store\r\n"
	           "X-Content-Type-Options: nosniff\r\n",
	           a->body.len);
	if (a->extra != NULL)
		buf_adds(b, a->extra);
	if (c->close)
		buf_adds(b, "Connection: close\r\n");
	else if (c->http10)
		buf_adds(b, "Connection: keep-alive\r\n");
	buf_adds(b, "\r\n");
}

/* Lays the answer out for writing. */
void httpd_conn_answer(struct httpd_conn *c, struct httpd_answer *a)
{
	if (a->body.failed) {
		buf_free(&a->body);
		*a = (struct httpd_answer){ .status = 500, .type = "text/plain", .close = true };
		buf_adds(&a->body, "out of memory\n");
	}
	c->close = c->close || a->close || c->h->draining;
	put_head(c, a);
	if (c->head_only)
		buf_free(&a->body);
	c->out_body = a->body;
	c->h->unsent += c->out_body.len;
	a->body = BUF_INIT;
	c->sent = 0;
	c->id = 0;
	c->state = CONN_WRITE;
	loop_timer_set(c->h->loop, &c->timer, c->h->limits.write_time);
	if (c->out_head.failed)
		httpd_conn_close(c);
}

/* A request that is refused before the handler sees it; the connection ends. */
static void conn_refuse(struct httpd_conn *c, unsigned status, const char *why)
{
	struct httpd_answer a = { .status = status, .type = "application/json", .close = true };

	buf_adds(&a.body, "{\"error\": ");
	buf_json(&a.body, str_from(why));
	buf_adds(&a.body, "}\n");
	httpd_conn_answer(c, &a);
}

static void conn_linger(struct httpd_conn *c)
{
	/* Closing with unread bytes would reset the connection and may take the answer with it. */
	shutdown(c->io.fd, SHUT_WR);
	c->state = CONN_LINGER;
	loop_timer_set(c->h->loop, &c->timer, LINGER_TIME);
}

/* The answer is out: what was read of the next request moves to the front. */
static void conn_next(struct httpd_conn *c)
{
	buf_free(&c->out_head);
	drop_body(c);
	buf_free(&c->body);
	c->sent = 0;
	if (c->close) {
		if (c->eof)
			httpd_conn_close(c);
		else
			conn_linger(c);
		return;
	}
	memmove(c->in.p, c->in.p + c->body_at, c->in.len - c->body_at);
	c->in.len -= c->body_at;
	c->scanned = c->head_size = c->body_at = 0;
	c->continued = false;
	c->state = CONN_READ;
	if (c->in.len == 0) {
		buf_free(&c->in);
		loop_timer_set(c->h->loop, &c->timer, c->h->limits.idle_time);
	} else {
		loop_timer_set(c->h->loop, &c->timer, c->h->limits.request_time);
	}
}

/* Whether it can go on at once. */
static bool conn_write(struct httpd_conn *c)
{
	size_t total = c->out_head.len + c->out_body.len;

	while (c->sent < total) {
		size_t in_head = MIN(c->sent, c->out_head.len);
		size_t in_body = c->sent - in_head;
		struct iovec iov[2] = {
			{ c->out_head.p + in_head, c->out_head.len - in_head },
			{ c->out_body.len > 0 ? c->out_body.p + in_body : NULL,
			  c->out_body.len - in_body },
		};
		struct msghdr m = { .msg_iov = iov, .msg_iovlen = c->out_body.len > 0 ? 2 : 1 };
		ssize_t n = sendmsg(c->io.fd, &m, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN)
				httpd_conn_close(c);
			return false;
		}
		c->sent += (size_t)n;
		loop_timer_set(c->h->loop, &c->timer, c->h->limits.write_time);
	}
	conn_next(c);
	return true;
}

/* --- reading -------------------------------------------------------------------------------- */

/* Reads once. Whether there are new bytes or the end. */
static bool conn_read(struct httpd_conn *c)
{
	char bytes[READ_STEP];
	ssize_t n;

	if (!c->readable || c->eof)
		return false;
	do
		n = recv(c->io.fd, bytes, sizeof(bytes), 0);
	while (n < 0 && errno == EINTR);
	if (n < 0) {
		c->readable = false;
		if (errno != EAGAIN)
			httpd_conn_close(c);
		return false;
	}
	if (n == 0) {
		c->eof = true;
		return true;
	}
	if (c->state == CONN_LINGER)
		return true;
	if (c->in.len == 0)
		loop_timer_set(c->h->loop, &c->timer, c->h->limits.request_time);
	buf_add(&c->in, bytes, (size_t)n);
	if (c->in.failed) {
		httpd_conn_close(c);
		return false;
	}
	return true;
}

/* Takes the head at the front of `in` apart. Whether it is whole; refuses a bad one. */
static bool conn_head(struct httpd_conn *c)
{
	struct http_head *head = &c->h->head;
	struct http_limits limits = { c->h->limits.max_head, c->h->limits.max_head,
		                      HTTP_MAX_FIELDS / 2 };
	int rc = http_parse_request(head, c->in.p, c->in.len, &limits, &c->scanned);

	if (rc < 0) {
		c->head_only = false;
		conn_refuse(c, http_fault_status((enum http_fault) - rc),
		            http_fault_text((enum http_fault) - rc));
		return false;
	}
	if (rc == 0)
		return false;
	c->head_size = c->body_at = head->size;
	c->body_kind = head->body;
	c->body_length = head->body == HTTP_BODY_LENGTH ? head->length : 0;
	c->head_only = head->method == HTTP_HEAD;
	c->http10 = head->minor == 0;
	c->close = head->close;
	http_chunked_init(&c->chunked);
	if (c->body_length > c->h->limits.max_body) {
		conn_refuse(c, 413, "the request's body is too large");
		return false;
	}
	return true;
}

/* Decodes what is there of a chunked body. Whether it is whole. */
static bool conn_chunks(struct httpd_conn *c)
{
	while (!c->chunked.done && c->body_at < c->in.len) {
		struct str data = STR_NONE;
		ssize_t n = http_chunked_scan(&c->chunked, c->in.p + c->body_at,
		                              c->in.len - c->body_at, &data);

		if (n < 0) {
			conn_refuse(c, 400, http_fault_text((enum http_fault) - n));
			return false;
		}
		c->body_at += (size_t)n;
		buf_addstr(&c->body, data);
		if (c->body.failed) {
			httpd_conn_close(c);
			return false;
		}
		/* The framing is limited as well: one byte a chunk costs the sender five. */
		if (c->body.len > c->h->limits.max_body ||
		    c->body_at - c->head_size > 8 * (size_t)c->h->limits.max_body + 4096) {
			conn_refuse(c, 413, "the request's body is too large");
			return false;
		}
	}
	return c->chunked.done;
}

/* Whether the body is whole. */
static bool conn_body(struct httpd_conn *c)
{
	if (c->body_kind == HTTP_BODY_CHUNKED)
		return conn_chunks(c);
	if (c->in.len - c->head_size < c->body_length)
		return false;
	c->body_at = c->head_size + (size_t)c->body_length;
	return true;
}

/* A client that waits for 100 Continue gets it once. A few bytes into an empty socket buffer: if
 * they do not fit, the client has to do without (RFC 9110, 10.1.1 tells it not to wait for ever).
 */
static void conn_continue(struct httpd_conn *c)
{
	static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (c->continued || !c->h->head.expect_continue || c->http10)
		return;
	c->continued = true;
	if (send(c->io.fd, text, sizeof(text) - 1, MSG_NOSIGNAL) != (ssize_t)sizeof(text) - 1)
		httpd_conn_close(c);
}

static void conn_dispatch(struct httpd_conn *c)
{
	struct httpd *h = c->h;
	struct http_limits limits = { h->limits.max_head, h->limits.max_head, HTTP_MAX_FIELDS / 2 };
	struct httpd_request r = { .head = &h->head,
		                   .client = &c->client,
		                   .local = c->from->local };
	size_t scanned = 0;

	/* Once more: the bytes may have moved, and another connection's head been parsed since. */
	CHECK(http_parse_request(&h->head, c->in.p, c->in.len, &limits, &scanned) > 0);
	r.body = c->body_kind == HTTP_BODY_CHUNKED
	             ? buf_str(&c->body)
	             : str_n(c->in.p + c->head_size, (size_t)c->body_length);
	r.id = c->id = ++h->last_id;
	c->state = CONN_WAIT;
	loop_timer_stop(h->loop, &c->timer);
	conn_touch(c);
	h->handler(h, &r, h->arg);
}

/* Looks at what has been read. Whether there was enough to go on. */
static bool conn_parse(struct httpd_conn *c)
{
	bool fresh = c->head_size == 0;

	if (c->in.len == 0)
		return false;
	if (fresh && !conn_head(c))
		return c->state != CONN_READ;
	if (conn_body(c)) {
		conn_dispatch(c);
		return true;
	}
	if (c->state == CONN_READ && fresh)
		conn_continue(c);
	return c->state != CONN_READ;
}

/* Does what can be done without waiting. */
static void conn_run(struct httpd_conn *c)
{
	unsigned steps = 0;

	CHECK_MAGIC(c, CONN_MAGIC);
	for (;;) {
		if (steps >= TURN_STEPS) {
			loop_defer(c->h->loop, &c->again);
			return;
		}
		switch (c->state) {
		case CONN_WRITE:
			if (!conn_write(c))
				return;
			steps++;
			break;
		case CONN_READ:
			if (conn_parse(c))
				break;
			if (c->state == CONN_READ && c->eof) {
				httpd_conn_close(c);
				return;
			}
			if (c->state != CONN_READ || !conn_read(c))
				return;
			break;
		case CONN_LINGER:
			if (!conn_read(c))
				return;
			if (c->eof)
				httpd_conn_close(c);
			steps++;
			break;
		case CONN_WAIT:
		case CONN_CLOSED:
			return;
		}
	}
}

static void on_conn_io(struct loop_io *io, uint32_t events)
{
	struct httpd_conn *c = CONTAINER_OF(io, struct httpd_conn, io);

	CHECK_MAGIC(c, CONN_MAGIC);
	if ((events & LOOP_HUP) != 0) {
		httpd_conn_close(c);
		return;
	}
	if ((events & (LOOP_IN | LOOP_RDHUP)) != 0)
		c->readable = true;
	conn_run(c);
}

static void on_conn_timer(struct loop_timer *t)
{
	struct httpd_conn *c = CONTAINER_OF(t, struct httpd_conn, timer);

	CHECK_MAGIC(c, CONN_MAGIC);
	if (c->state == CONN_READ && c->in.len > 0) {
		c->head_only = false;
		conn_refuse(c, 408, "the request did not arrive in time");
		conn_run(c);
	} else {
		httpd_conn_close(c);
	}
}

void httpd_conn_new(struct httpd_listener *l, int fd, const struct net_addr *client, bool refused)
{
	struct httpd_conn *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		return;
	}
	*c = (struct httpd_conn){
		.magic = CONN_MAGIC,
		.state = CONN_READ,
		.io = { .fd = fd, .fn = on_conn_io },
		.timer.fn = on_conn_timer,
		.again.fn = conn_release,
		.h = l->h,
		.from = l,
		.client = *client,
	};
	if (loop_add(l->h->loop, &c->io, LOOP_IN | LOOP_OUT | LOOP_RDHUP) != OK) {
		close(fd);
		free(c);
		return;
	}
	TAILQ_INSERT_TAIL(&l->conns, c, link);
	l->nconns++;
	l->h->nconns++;
	loop_timer_set(l->h->loop, &c->timer, l->h->limits.request_time);
	if (refused) {
		conn_refuse(c, 503, "too many connections");
		conn_run(c);
	}
}
