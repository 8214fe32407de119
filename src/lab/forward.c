/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The nodes' APIs on the machine's loopback: what connects there is connected to the API inside the
 * node's namespace, and bytes go both ways. The listening sockets were opened outside by `lab up`.
 * The keeper.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "lab/keeper.h"
#include "net/sock.h"
#include "net/stream.h"

#define MAX_FORWARDS 256 /* connections of a lab at once */
#define READ_SIZE    16384

struct forward {
	struct keeper *keeper;
	struct stream ends[2];
	struct loop_task free_task;
	bool closed;
};

static void forward_free(struct loop_task *t)
{
	free(CONTAINER_OF(t, struct forward, free_task));
}

static void forward_close(struct forward *f, bool reset)
{
	if (f->closed)
		return;
	f->closed = true;
	f->keeper->forwards--;
	stream_close(&f->ends[0], reset);
	stream_close(&f->ends[1], reset);
	f->free_task.fn = forward_free;
	loop_defer(f->keeper->loop, &f->free_task);
}

/* False: it is over. */
static bool pump(struct stream *from, struct stream *to)
{
	static char bytes[READ_SIZE];

	if (stream_flush(to) != OK)
		return false;
	while (flow_empty(&to->out) && !from->eof) {
		ssize_t n = stream_recv(from, bytes, sizeof(bytes));
		struct iovec iov = { bytes, n > 0 ? (size_t)n : 0 };

		if (n == ERR_AGAIN)
			break;
		if (n == ERR_CLOSED)
			from->eof = true;
		else if (n < 0 || stream_send(to, &iov, 1) != OK)
			return false;
	}
	if (from->eof && flow_empty(&to->out) && !to->ended)
		stream_shutdown(to);
	return true;
}

static void forward_run(struct forward *f)
{
	if (!pump(&f->ends[0], &f->ends[1]) || !pump(&f->ends[1], &f->ends[0]))
		forward_close(f, true);
	else if (f->ends[0].ended && f->ends[1].ended)
		forward_close(f, false);
}

static void on_client(struct loop_io *io, uint32_t events)
{
	struct forward *f =
	    CONTAINER_OF(CONTAINER_OF(io, struct stream, io), struct forward, ends[0]);

	stream_events(&f->ends[0], events);
	if (!f->closed)
		forward_run(f);
}

static void on_node(struct loop_io *io, uint32_t events)
{
	struct forward *f =
	    CONTAINER_OF(CONTAINER_OF(io, struct stream, io), struct forward, ends[1]);

	stream_events(&f->ends[1], events);
	if (f->ends[1].broken)
		forward_close(f, true);
	else if (!f->closed)
		forward_run(f);
}

static void forward_new(struct host *h, int client)
{
	struct keeper *k = h->keeper;
	struct forward *f = calloc(1, sizeof(*f));
	bool done = false;
	int node =
	    f && k->forwards < MAX_FORWARDS ? lab_program_connect(h, &k->plan.control, &done) : -1;

	if (node < 0) {
		free(f);
		net_close_reset(client);
		return;
	}
	k->forwards++;
	f->keeper = k;
	stream_init(&f->ends[0], client, on_client);
	stream_init(&f->ends[1], node, on_node);
	if (loop_add(k->loop, &f->ends[0].io, STREAM_EVENTS) != OK ||
	    loop_add(k->loop, &f->ends[1].io, STREAM_EVENTS) != OK)
		forward_close(f, true);
}

static void on_accept(struct loop_io *io, uint32_t events)
{
	struct host *h = CONTAINER_OF(io, struct host, api);
	struct net_addr peer;
	int fd;

	(void)events;
	while ((fd = net_accept(io->fd, &peer)) >= 0)
		forward_new(h, fd);
}

int lab_forward_open(struct host *h)
{
	if (h->api.fd < 0)
		return OK;
	h->api.fn = on_accept;
	return loop_add_level(h->keeper->loop, &h->api, LOOP_IN, false);
}
