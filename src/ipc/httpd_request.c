/* SPDX-License-Identifier: Apache-2.0 */
/* How the HTTP server takes a request in: reads it, takes it apart, hands it to the handler. */
#include <errno.h>
#include <sys/socket.h>

#include "base/check.h"
#include "ipc/httpd_conn.h"

#define READ_STEP 16384

bool httpd_conn_read(struct httpd_conn *c)
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
		httpd_conn_refuse(c, http_fault_status((enum http_fault) - rc),
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
		httpd_conn_refuse(c, 413, "the request's body is too large");
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
			httpd_conn_refuse(c, 400, http_fault_text((enum http_fault) - n));
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
			httpd_conn_refuse(c, 413, "the request's body is too large");
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

/* Moves the connection to the young end of its listener's list. */
static void conn_touch(struct httpd_conn *c)
{
	TAILQ_REMOVE(&c->from->conns, c, link);
	TAILQ_INSERT_TAIL(&c->from->conns, c, link);
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

bool httpd_conn_parse(struct httpd_conn *c)
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
