/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connected socket on an edge-triggered loop: what the kernel said of it, and the bytes that it
 * would not take yet. Reading stops where the sink has bytes waiting, so that memory stays bounded
 * by one read on each side.
 */
#ifndef NET_STREAM_H
#define NET_STREAM_H

#include <sys/uio.h>

#include "base/str.h"
#include "net/loop.h"

#define STREAM_EVENTS (LOOP_IN | LOOP_OUT | LOOP_RDHUP)
#define STREAM_TURN   16 /* reads of one socket in a row; then others have their turn */

/* Bytes that wait; holds no memory while empty. */
struct flow {
	char *p;
	uint32_t off; /* of the first byte that waits */
	uint32_t len; /* bytes that wait */
	uint32_t cap;
};

static inline bool flow_empty(const struct flow *f)
{
	return f->len == 0;
}
static inline struct str flow_str(const struct flow *f)
{
	return (struct str){ f->len > 0 ? f->p + f->off : NULL, f->len };
}
/* OK or ERR_NOMEM. */
int flow_add(struct flow *f, const void *data, size_t len);
/* The first n bytes are done with; frees the memory with the last. */
void flow_drop(struct flow *f, size_t n);
void flow_free(struct flow *f);

struct stream;

/*
 * What stands between a stream and its socket: TLS. `out` holds what goes to the socket, ciphertext
 * then; `readable` stays true while the layer has anything left to give. Functions as those of the
 * stream with the same name; close frees the layer, having said farewell unless `reset`.
 */
struct stream_layer {
	ssize_t (*recv)(struct stream *s, void *p, size_t size);
	int (*send)(struct stream *s, const struct iovec *iov, int n);
	bool (*quiet)(struct stream *s);
	void (*shutdown)(struct stream *s);
	void (*close)(struct stream *s, bool reset);
};

struct stream {
	struct loop_io io;
	bool readable;  /* the kernel may have bytes for us */
	bool writable;  /* the kernel may take bytes */
	bool hup;       /* the other side has ended its direction: read on until the end */
	bool eof;       /* and we have read to there */
	bool ended;     /* we have ended our direction */
	bool broken;    /* reset or another error: nothing works any more */
	uint16_t error; /* errno that a send has told of: recv(2) would show an orderly end then */
	struct flow out;
	const struct stream_layer *layer; /* NULL: clear text */
	void *layer_data;
};

/* Takes over fd in its initial state; the caller registers it, for STREAM_EVENTS. */
void stream_init(struct stream *s, int fd, loop_io_fn *fn);
/* Notes what epoll reported. */
static inline void stream_events(struct stream *s, uint32_t events)
{
	if (events & (LOOP_IN | LOOP_RDHUP | LOOP_HUP))
		s->readable = true;
	if (events & LOOP_OUT)
		s->writable = true;
	if (events & (LOOP_RDHUP | EPOLLHUP))
		s->hup = true;
	if (events & EPOLLERR) /* EPOLLHUP alone: both directions ended in order */
		s->broken = true;
}
/* Bytes read; ERR_AGAIN; ERR_CLOSED at the end; ERR_SYSTEM with errno. */
ssize_t stream_recv(struct stream *s, void *p, size_t size);
/* Whether it is open and has nothing to read at this moment, whatever events are on their way. */
bool stream_quiet(struct stream *s);
/* Sends, keeping what the kernel does not take now. OK, ERR_SYSTEM with errno, ERR_NOMEM. */
int stream_send(struct stream *s, const struct iovec *iov, int n);
/* Sends what waits. OK (also when some still waits), ERR_SYSTEM with errno. */
int stream_flush(struct stream *s);
/* For layers: the same on the socket itself. */
ssize_t stream_recv_raw(struct stream *s, void *p, size_t size);
int stream_send_raw(struct stream *s, const struct iovec *iov, int n);
/* Ends our direction: the other side reads to the end. */
void stream_shutdown(struct stream *s);
/* Closes the socket, which unregisters it, and frees what waits. The object must live to the end of
 * the loop's turn (loop_defer). With reset: at once, by RST. */
void stream_close(struct stream *s, bool reset);

#endif
