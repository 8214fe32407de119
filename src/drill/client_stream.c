/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The two long streams of the drill's client, both begun before the fault: a slow download from a
 * whoami, whose every byte is checked, and a WebSocket, whose every echo is. Neither is begun again
 * when it breaks: that it broke is what is to be found out.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/err.h"
#include "drill/client.h"
#include "lab/whoami.h"
#include "net/sock.h"

#define RATE       65536 /* bytes a second of the download */
#define ECHO_EVERY (100 * NS_PER_MS)
#define ECHO_SIZE  24
#define ECHO_OPEN  256 /* echoes under way at most */

static const struct http_limits limits = { 16384, 65536, HTTP_MAX_FIELDS };

enum { STREAM_CONNECTING, STREAM_ASKED, STREAM_RUNS, STREAM_OVER };

struct drill_stream { /* one of the two */
	struct drill_client *c;
	struct stream s;
	uint8_t kind, state;
	uint64_t began, heard; /* heard: when the last byte came */
	size_t len, scanned;
	char in[CLIENT_BUFFER];
	char request[512];
	/* download */
	uint64_t pos, total;
	/* WebSocket */
	uint64_t sent_at[ECHO_OPEN];
	uint64_t next;
	uint32_t sent, echoed;
};

struct drill_streams {
	struct drill_stream download, websocket;
	bool stopping;
	char text[LAB_WHOAMI_TEXT]; /* what the download repeats */
};

static void over(struct drill_stream *h, enum drill_error error, uint64_t due, bool running)
{
	const struct drill_sample s = {
		.due_ns = due,
		.end_ns = clock_mono(),
		.status = error == DRILL_OK ? (h->kind == DRILL_DOWNLOAD ? 200 : 101) : 0,
		.kind = h->kind,
		.error = (uint8_t)error,
		.running = running,
	};

	drill_client_record(h->c, &s);
	h->state = STREAM_OVER;
	stream_close(&h->s, error != DRILL_OK);
}

/* --- download ------------------------------------------------------------------------------- */

static void download_take(struct drill_stream *h, const char *data, size_t len)
{
	const char *text = h->c->streams->text;

	for (size_t i = 0; i < len;) {
		size_t at = (h->pos + i) % LAB_WHOAMI_TEXT;
		size_t n = MIN(len - i, LAB_WHOAMI_TEXT - at);

		if (memcmp(data + i, text + at, n) != 0) {
			over(h, DRILL_BAD, h->began, false);
			return;
		}
		i += n;
	}
	h->pos += len;
	if (h->pos == h->total)
		over(h, DRILL_OK, h->began, false);
	else if (h->pos > h->total)
		over(h, DRILL_BAD, h->began, false);
}

/* --- WebSocket ------------------------------------------------------------------------------ */

static void echo_text(uint32_t number, char out[ECHO_SIZE + 1])
{
	snprintf(out, ECHO_SIZE + 1, "holdfast drill %09u", number);
}

/* RFC 6455, 5.2: one masked text frame. */
static void echo_send(struct drill_stream *h, uint64_t now)
{
	char text[ECHO_SIZE + 1];
	uint8_t frame[6 + ECHO_SIZE] = { 0x81, 0x80 | ECHO_SIZE };
	const struct iovec iov = { frame, sizeof(frame) };

	if (h->sent - h->echoed == ECHO_OPEN)
		return;
	echo_text(h->sent, text);
	random_secret(frame + 2, 4);
	for (unsigned i = 0; i < ECHO_SIZE; i++)
		frame[6 + i] = (uint8_t)text[i] ^ frame[2 + i % 4];
	h->sent_at[h->sent++ % ECHO_OPEN] = now;
	if (stream_send(&h->s, &iov, 1) != OK)
		h->s.readable = true; /* the reason is read */
}

static void echo_heard(struct drill_stream *h)
{
	const struct drill_sample s = {
		.due_ns = h->sent_at[h->echoed % ECHO_OPEN],
		.end_ns = clock_mono(),
		.status = 101,
		.kind = DRILL_WEBSOCKET,
	};

	h->echoed++;
	drill_client_record(h->c, &s);
}

/* Whole frames in h->in. */
static void websocket_take(struct drill_stream *h)
{
	size_t at = 0;

	while (h->len - at >= 2 + ECHO_SIZE) {
		char want[2 + ECHO_SIZE + 1] = { (char)0x81, ECHO_SIZE };

		echo_text(h->echoed, want + 2);
		if (h->echoed == h->sent || memcmp(h->in + at, want, 2 + ECHO_SIZE) != 0) {
			over(h, DRILL_BAD, clock_mono(), false);
			return;
		}
		echo_heard(h);
		at += 2 + ECHO_SIZE;
	}
	memmove(h->in, h->in + at, h->len - at);
	h->len -= at;
}

/* --- both ----------------------------------------------------------------------------------- */

static void use(struct drill_stream *h)
{
	if (h->kind == DRILL_WEBSOCKET) {
		websocket_take(h);
	} else {
		size_t len = h->len;

		h->len = 0;
		download_take(h, h->in, len);
	}
}

/* The answer's head; what follows it is moved to the front. */
static void take_head(struct drill_stream *h)
{
	struct http_head *head = &h->c->head;
	int n = http_parse_response(head, h->in, h->len, &limits, &h->scanned, HTTP_GET);
	unsigned want = h->kind == DRILL_DOWNLOAD ? 200 : 101;

	if (n == 0 && h->len < sizeof(h->in))
		return;
	if (n <= 0 || head->status != want ||
	    (h->kind == DRILL_DOWNLOAD &&
	     (head->body != HTTP_BODY_LENGTH || head->length != h->total))) {
		over(h, DRILL_BAD, h->began, false);
		return;
	}
	h->len -= (size_t)n;
	memmove(h->in, h->in + n, h->len);
	h->state = STREAM_RUNS;
	h->next = clock_mono();
	if (h->len > 0)
		use(h);
}

/* Sends the request once the connection stands. */
static void ask(struct drill_stream *h)
{
	struct iovec iov = { h->request, strlen(h->request) };
	int err = h->s.writable || h->s.layer ? net_connect_error(h->s.io.fd) : EINPROGRESS;

	if (err == EINPROGRESS && !h->s.broken)
		return;
	if (err != 0) {
		over(h, drill_client_error(err), h->began, false);
		return;
	}
	err = drill_client_greet(h->c, &h->s);
	if (err == ERR_AGAIN)
		return;
	if (err != OK || stream_send(&h->s, &iov, 1) != OK)
		over(h, DRILL_RESET, h->began, false);
	else
		h->state = STREAM_ASKED;
}

static void on_io(struct loop_io *io, uint32_t events)
{
	struct drill_stream *h = CONTAINER_OF(io, struct drill_stream, s.io);

	stream_events(&h->s, events);
	if (h->state == STREAM_CONNECTING)
		ask(h);
	if (h->state >= STREAM_ASKED && stream_flush(&h->s) != OK)
		h->s.readable = true;
	while ((h->state == STREAM_ASKED || h->state == STREAM_RUNS) && h->s.readable) {
		ssize_t n = stream_recv(&h->s, h->in + h->len, sizeof(h->in) - h->len);

		if (n == ERR_AGAIN)
			return;
		if (n < 0) {
			over(h, n == ERR_CLOSED ? DRILL_RESET : drill_client_error(errno),
			     clock_mono(), false);
			return;
		}
		h->heard = clock_mono();
		h->len += (size_t)n;
		if (h->state == STREAM_ASKED)
			take_head(h);
		else
			use(h);
	}
}

static void half_start(struct drill_client *c, struct drill_stream *h, enum drill_kind kind,
                       struct buf *request)
{
	bool done;
	int fd;

	h->c = c;
	snprintf(h->request, sizeof(h->request), "%s", buf_cstr(request));
	h->kind = (uint8_t)kind;
	h->began = h->heard = clock_mono();
	h->s.io.fd = -1;
	fd = net_connect(&c->o.to, &done);
	if (fd < 0) {
		over(h, drill_client_error(errno), h->began, false);
		return;
	}
	stream_init(&h->s, fd, on_io);
	h->s.writable = false; /* not before it is connected */
	if (loop_add(c->loop, &h->s.io, STREAM_EVENTS) != OK)
		over(h, DRILL_BAD, h->began, false);
}

int drill_streams_start(struct drill_client *c)
{
	struct drill_streams *s = calloc(1, sizeof(*s));
	struct buf b = BUF_INIT;

	if (!s)
		return ERR_NOMEM;
	c->streams = s;
	lab_whoami_text(s->text, sizeof(s->text));
	s->download.total = c->o.download_ns / NS_PER_MS * RATE / 1000;
	buf_printf(&b, "GET /slow/%llu?rate=%u HTTP/1.1\r\nHost: %s\r\n\r\n",
	           (unsigned long long)s->download.total, RATE, c->o.host);
	half_start(c, &s->download, DRILL_DOWNLOAD, &b);
	b.len = 0;
	buf_printf(&b,
	           "GET /upgrade HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\n"
	           "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
	           "Sec-WebSocket-Key: aG9sZGZhc3QgZHJpbGwgMQ==\r\n\r\n",
	           c->o.host);
	half_start(c, &s->websocket, DRILL_WEBSOCKET, &b);
	buf_free(&b);
	return OK;
}

/* Silence is a failure too: of the download from one byte to the next, of an echo since it was
 * sent. */
void drill_streams_tick(struct drill_client *c, uint64_t now)
{
	struct drill_streams *s = c->streams;
	struct drill_stream *w;

	if (!s)
		return;
	if (s->download.state != STREAM_OVER && now - s->download.heard > c->o.limit_ns * 2)
		over(&s->download, DRILL_TIMEOUT, s->download.began, false);
	w = &s->websocket;
	if (w->state < STREAM_RUNS && now - w->began > c->o.limit_ns * 2)
		over(w, DRILL_TIMEOUT, w->began, false);
	if (w->state != STREAM_RUNS)
		return;
	if (w->echoed < w->sent && now - w->sent_at[w->echoed % ECHO_OPEN] > c->o.limit_ns * 2) {
		over(w, DRILL_TIMEOUT, w->sent_at[w->echoed % ECHO_OPEN], false);
		return;
	}
	/* It lasts as long as the download: a node that stops in order waits for it to end. */
	if (now - w->began >= c->o.download_ns) {
		if (w->echoed == w->sent)
			over(w, DRILL_OK, w->began, true);
		return;
	}
	for (; !s->stopping && w->next <= now; w->next += ECHO_EVERY)
		echo_send(w, w->next);
}

void drill_streams_stop(struct drill_client *c)
{
	if (c->streams)
		c->streams->stopping = true;
}

bool drill_streams_busy(const struct drill_client *c)
{
	const struct drill_streams *s = c->streams;

	return s && s->websocket.state == STREAM_RUNS && s->websocket.echoed < s->websocket.sent;
}

void drill_streams_end(struct drill_client *c)
{
	struct drill_streams *s = c->streams;

	if (!s)
		return;
	if (s->download.state != STREAM_OVER)
		over(&s->download, DRILL_OK, s->download.began, true);
	if (s->websocket.state != STREAM_OVER)
		over(&s->websocket, DRILL_OK, s->websocket.began, true);
}
