/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection of the HTTP server. It is always in one state: reading a request, waiting for its
 * answer, or writing it; the next request is looked at when the last byte of the answer before it
 * is written, so a pipelining client is held back by its own reading. On the loop's thread.
 */
#include "ipc/httpd_conn.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"

#define CONN_MAGIC 0x48545043U
#define TURN_STEPS 16 /* requests or reads of one connection in one turn */

static void conn_run(struct httpd_conn *c);

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

void httpd_conn_drop_body(struct httpd_conn *c)
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
	httpd_conn_drop_body(c);
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

bool httpd_conn_idle(const struct httpd_conn *c)
{
	return c->state == CONN_READ && c->in.len == 0;
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
			if (!httpd_conn_write(c))
				return;
			steps++;
			break;
		case CONN_READ:
			if (httpd_conn_parse(c))
				break;
			if (c->state == CONN_READ && c->eof) {
				httpd_conn_close(c);
				return;
			}
			if (c->state != CONN_READ || !httpd_conn_read(c))
				return;
			break;
		case CONN_LINGER:
			if (!httpd_conn_read(c))
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
		httpd_conn_refuse(c, 408, "the request did not arrive in time");
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
		httpd_conn_refuse(c, 503, "too many connections");
		conn_run(c);
	}
}
