/* SPDX-License-Identifier: Apache-2.0 */
/* How the HTTP server writes an answer, and what comes after it: the next request, or the end. */
#include <errno.h>
#include <sys/socket.h>

#include "base/check.h"
#include "base/clock.h"
#include "ipc/httpd_conn.h"

#define LINGER_TIME (2 * NS_PER_S)

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

void httpd_conn_refuse(struct httpd_conn *c, unsigned status, const char *why)
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
	httpd_conn_drop_body(c);
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

bool httpd_conn_write(struct httpd_conn *c)
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
