/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A hostile client: as many connections as said to 127.0.0.1:PORT, all of which send what KIND
 * stands for as fast as they can for SECONDS, and come back at once when they are thrown out. It
 * keeps a core busy. Prints how many connections it made, bytes it sent, and GOAWAYs it was given.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 4096
#define ROOM            65536

enum {
	DATA,
	HEADERS,
	PRIORITY,
	RST_STREAM,
	SETTINGS,
	PUSH_PROMISE,
	PING,
	GOAWAY,
	WINDOW_UPDATE,
	CONTINUATION
};
enum { END_STREAM = 1, END_HEADERS = 4 };

struct conn {
	int fd; /* -1: to be made */
	uint32_t stream;
	uint64_t turn; /* how often it was filled */
	uint32_t at, len;
	uint8_t out[ROOM];
	uint8_t head[9]; /* of the frame that comes */
	uint32_t have, skip;
	double due; /* slow kinds: when it may send again */
};

struct kind {
	const char *name;
	const char *what;
	void (*fill)(struct conn *c); /* puts more into out */
	bool http2;
	bool deaf;    /* does not read */
	double every; /* s between two sends of a connection; 0: at once */
};

static struct conn *conns[MAX_CONNECTIONS];
static unsigned nconns;
static const struct kind *kind;
static struct sockaddr_in to = { .sin_family = AF_INET };
static int epfd;
static unsigned long made, refused, sent, goaways;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* --- frames --------------------------------------------------------------------------------- */

static void put(struct conn *c, const void *p, size_t n)
{
	if (c->len + n <= ROOM) {
		memcpy(c->out + c->len, p, n);
		c->len += (uint32_t)n;
	}
}

static bool room(const struct conn *c, size_t n)
{
	return c->len + n + 9 <= ROOM;
}

static void frame(struct conn *c, int type, int flags, uint32_t stream, const void *p, size_t n)
{
	const uint8_t head[9] = {
		(uint8_t)(n >> 16),      (uint8_t)(n >> 8),      (uint8_t)n,
		(uint8_t)type,           (uint8_t)flags,         (uint8_t)(stream >> 24 & 127),
		(uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream
	};

	if (!room(c, n))
		return;
	put(c, head, 9);
	put(c, p, n);
}

/* :method GET or POST, :scheme http, :path /, :authority "test"; the path as literal if given */
static size_t request(uint8_t *b, bool post, const char *path)
{
	size_t n = 0;

	b[n++] = post ? 0x83 : 0x82;
	b[n++] = 0x86;
	if (path == NULL) {
		b[n++] = 0x84;
	} else {
		b[n++] = 0x04;
		b[n++] = (uint8_t)strlen(path);
		memcpy(b + n, path, strlen(path));
		n += strlen(path);
	}
	memcpy(b + n, "\x01\x04test", 6);
	return n + 6;
}

static void open_stream(struct conn *c, bool post, const char *path, bool end)
{
	uint8_t b[256];
	size_t n = request(b, post, path);

	frame(c, HEADERS, END_HEADERS | (end ? END_STREAM : 0), c->stream, b, n);
	c->stream += 2;
}

static void number(struct conn *c, int type, uint32_t stream, uint32_t value)
{
	const uint8_t b[4] = { (uint8_t)(value >> 24), (uint8_t)(value >> 16),
		               (uint8_t)(value >> 8), (uint8_t)value };

	frame(c, type, 0, stream, b, 4);
}

static void setting(struct conn *c, uint16_t id, uint32_t value)
{
	const uint8_t b[6] = { (uint8_t)(id >> 8),     (uint8_t)id,
		               (uint8_t)(value >> 24), (uint8_t)(value >> 16),
		               (uint8_t)(value >> 8),  (uint8_t)value };

	frame(c, SETTINGS, 0, 0, b, 6);
}

/* --- kinds ---------------------------------------------------------------------------------- */

static void rapid_reset(struct conn *c)
{
	while (room(c, 64)) {
		open_stream(c, false, NULL, true);
		number(c, RST_STREAM, c->stream - 2, 8);
	}
}

static void continuation(struct conn *c)
{
	static const uint8_t field[8] = { 0x00, 0x01, 'x', 0x04, 'a', 'b', 'c', 'd' };
	uint8_t b[64];

	if (c->turn == 0)
		frame(c, HEADERS, END_STREAM, c->stream, b, request(b, false, NULL));
	while (room(c, 16))
		frame(c, CONTINUATION, 0, c->stream, field, sizeof(field));
}

static void empty_continuation(struct conn *c)
{
	uint8_t b[64];

	if (c->turn == 0)
		frame(c, HEADERS, END_STREAM, c->stream, b, request(b, false, NULL));
	while (room(c, 0))
		frame(c, CONTINUATION, 0, c->stream, b, 0);
}

static void settings_flood(struct conn *c)
{
	while (room(c, 6))
		setting(c, 3, 100);
}

static void ping_flood(struct conn *c)
{
	while (room(c, 8))
		frame(c, PING, 0, 0, "hostile!", 8);
}

static void priority_flood(struct conn *c)
{
	while (room(c, 5))
		frame(c, PRIORITY, 0, 2 * (uint32_t)c->turn + 1, "\0\0\0\0\1", 5);
}

static void empty_data(struct conn *c)
{
	if (c->turn == 0)
		open_stream(c, true, "/hang", false);
	while (room(c, 0))
		frame(c, DATA, 0, c->stream - 2, "", 0);
}

static void empty_headers(struct conn *c)
{
	while (room(c, 0)) {
		frame(c, HEADERS, END_HEADERS | END_STREAM, c->stream, "", 0);
		c->stream += 2;
	}
}

/* A long answer whose windows are opened byte by byte. */
static void tiny_windows(struct conn *c)
{
	if (c->turn == 0) {
		setting(c, 4, 0);
		open_stream(c, false, "/bytes/1000000", true);
	}
	while (room(c, 4))
		number(c, WINDOW_UPDATE, c->stream - 2, 1);
}

/* Many answers that may not be sent. */
static void zero_windows(struct conn *c)
{
	if (c->turn > 0)
		return;
	setting(c, 4, 0);
	for (int i = 0; i < 100; i++)
		open_stream(c, false, "/bytes/1000000", true);
}

/* The windows are wide open, and nothing is read. */
static void slow_read(struct conn *c)
{
	if (c->turn > 0)
		return;
	setting(c, 4, 0x7fffffff);
	number(c, WINDOW_UPDATE, 0, 0x7fff0000);
	for (int i = 0; i < 100; i++)
		open_stream(c, false, "/bytes/1000000", true);
}

/* One large field in the table, then named as often as a frame holds. */
static void hpack_bomb(struct conn *c)
{
	static uint8_t b[ROOM];
	size_t n = request(b, false, NULL);

	if (c->turn == 0) {
		b[n++] = 0x40;
		memcpy(b + n, "\x01x\x7f\xa1\x1e",
		       5); /* a value of 4000 bytes: 127 + 0x21 + 0x1e * 128 */
		n += 5;
		memset(b + n, 'a', 4000);
		n += 4000;
		frame(c, HEADERS, END_HEADERS | END_STREAM, c->stream, b, n);
		c->stream += 2;
	}
	memset(b, 0xbe, 16000);
	n = request(b, false, NULL);
	while (room(c, 16000)) {
		frame(c, HEADERS, END_HEADERS | END_STREAM, c->stream, b, 16000);
		c->stream += 2;
	}
}

static void many_fields(struct conn *c)
{
	static uint8_t b[16384];
	size_t n = request(b, false, NULL);

	while (n + 5 < sizeof(b)) {
		memcpy(b + n, "\x00\x01x\x01y", 5);
		n += 5;
	}
	while (room(c, n)) {
		frame(c, HEADERS, END_HEADERS | END_STREAM, c->stream, b, n);
		c->stream += 2;
	}
}

static void many_requests(struct conn *c)
{
	for (int i = 0; i < 1000 && room(c, 64); i++)
		open_stream(c, false, NULL, true);
}

static void slow_heads(struct conn *c)
{
	static const char head[] = "GET / HTTP/1.1\r\nHost: test\r\nX-Slow: ";

	if (c->turn == 0)
		put(c, head, sizeof(head) - 1);
	else
		put(c, "a", 1);
}

static void slow_heads_http2(struct conn *c)
{
	if (c->turn == 0)
		frame(c, HEADERS, END_STREAM, c->stream, "\x82", 1);
	else
		frame(c, CONTINUATION, 0, c->stream, "\x00\x01x\x01y", 5);
}

static void garbage(struct conn *c)
{
	static uint32_t state = 1;

	put(c, "PROXY TCP4 ", c->turn % 2 == 0 ? 11 : 0);
	for (int i = 0; i < 1000; i++) {
		state = state * 1664525 + 1013904223;
		put(c, &state, 4);
	}
}

static const struct kind kinds[] = {
	{ "reset", "streams opened and reset at once", rapid_reset, true, false, 0 },
	{ "continuation", "a field block without end", continuation, true, false, 0 },
	{ "empty-continuation", "a field block of nothing, without end", empty_continuation, true,
	  false, 0 },
	{ "settings", "SETTINGS", settings_flood, true, false, 0 },
	{ "settings-deaf", "SETTINGS, the ACKs not read", settings_flood, true, true, 0 },
	{ "ping", "PING", ping_flood, true, false, 0 },
	{ "ping-deaf", "PING, the answers not read", ping_flood, true, true, 0 },
	{ "priority", "PRIORITY", priority_flood, true, false, 0 },
	{ "empty-data", "DATA without content", empty_data, true, false, 0 },
	{ "empty-headers", "HEADERS without content", empty_headers, true, false, 0 },
	{ "tiny-windows", "windows opened byte by byte", tiny_windows, true, false, 0 },
	{ "zero-windows", "100 answers behind closed windows", zero_windows, true, false, 0 },
	{ "slow-read", "100 answers that are not read", slow_read, true, true, 0 },
	{ "hpack-bomb", "a field named 16,000 times", hpack_bomb, true, false, 0 },
	{ "many-fields", "3,000 fields", many_fields, true, false, 0 },
	{ "requests", "requests without a pause", many_requests, true, false, 0 },
	{ "slow-heads", "HTTP/1.1 heads, a byte each second", slow_heads, false, false, 1 },
	{ "slow-heads-http2", "HTTP/2 heads, a field each second", slow_heads_http2, true, false,
	  1 },
	{ "garbage", "noise, half of it after PROXY", garbage, false, false, 0 },
};

/* --- connections ---------------------------------------------------------------------------- */

static void again(struct conn *c)
{
	close(c->fd);
	c->fd = -1;
}

static void start(struct conn *c)
{
	static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = c };
	const int one = 1, small = 4096;

	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		return;
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (kind->deaf) {
		setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
		e.events = EPOLLOUT | EPOLLRDHUP | EPOLLET;
	}
	c->at = c->len = c->have = c->skip = 0;
	c->stream = 1;
	c->turn = 0;
	c->due = 0;
	if (kind->http2) {
		put(c, preface, sizeof(preface) - 1);
		frame(c, SETTINGS, 0, 0, "", 0);
	}
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS) {
		refused++;
		again(c);
		return;
	}
	made++;
	epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &e);
}

/* Counts GOAWAYs; all else is passed over. False: the connection is over. */
static bool take(struct conn *c)
{
	static uint8_t b[262144];

	for (;;) {
		ssize_t n = recv(c->fd, b, sizeof(b), 0);

		if (n < 0)
			return errno == EAGAIN;
		if (n == 0)
			return false;
		for (ssize_t i = 0; kind->http2 && i < n;) {
			size_t step;

			if (c->skip > 0) {
				step = c->skip < (size_t)(n - i) ? c->skip : (size_t)(n - i);
				c->skip -= (uint32_t)step;
			} else {
				step = 1;
				c->head[c->have++] = b[i];
				if (c->have == 9) {
					c->have = 0;
					c->skip = (uint32_t)(c->head[0] << 16 | c->head[1] << 8 |
					                     c->head[2]);
					goaways += c->head[3] == GOAWAY;
				}
			}
			i += (ssize_t)step;
		}
	}
}

/* Sends until the socket takes no more, or for a while. False: the connection is over. */
static bool give(struct conn *c)
{
	for (int i = 0; i < 8; i++) {
		ssize_t n;

		if (c->at == c->len) {
			if (kind->every > 0 && now() < c->due)
				return true;
			c->due = now() + kind->every;
			if (c->turn > 0) /* the preface goes along with the first */
				c->at = c->len = 0;
			kind->fill(c);
			c->turn++;
			if (c->at == c->len)
				return true;
		} else if (c->turn == 0) {
			kind->fill(c);
			c->turn++;
			c->due = now() + kind->every;
		}
		n = send(c->fd, c->out + c->at, c->len - c->at, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == ENOTCONN;
		sent += (unsigned long)n;
		c->at += (uint32_t)n;
	}
	return true;
}

static void run(double seconds)
{
	const double end = now() + seconds;
	struct epoll_event events[256];

	while (now() < end) {
		int n = epoll_wait(epfd, events, 256, kind->every > 0 ? 50 : 0);

		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (c->fd >= 0 && (events[i].events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) &&
			    (kind->deaf || !take(c)))
				again(c);
			else if (c->fd >= 0 && (events[i].events & EPOLLIN) && !take(c))
				again(c);
		}
		for (unsigned i = 0; i < nconns; i++) {
			struct conn *c = conns[i];

			if (c->fd < 0)
				start(c);
			if (c->fd >= 0 && !give(c)) {
				if (!kind->deaf)
					take(c); /* what it said before it closed */
				again(c);
			}
		}
	}
}

int main(int argc, char **argv)
{
	struct rlimit files;

	if (argc != 5) {
		fprintf(stderr, "usage: %s KIND PORT CONNECTIONS SECONDS\nkinds:\n", argv[0]);
		for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
			fprintf(stderr, "  %-20s %s\n", kinds[i].name, kinds[i].what);
		return 2;
	}
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(kinds[i].name, argv[1]) == 0)
			kind = &kinds[i];
	nconns = (unsigned)strtoul(argv[3], NULL, 10);
	if (kind == NULL || nconns == 0 || nconns > MAX_CONNECTIONS) {
		fprintf(stderr, "%s: no kind %s, or not 1 to %d connections\n", argv[0], argv[1],
		        MAX_CONNECTIONS);
		return 2;
	}
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	to.sin_port = htons((uint16_t)strtoul(argv[2], NULL, 10));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < nconns; i++) {
		conns[i] = calloc(1, sizeof(struct conn));
		if (conns[i] == NULL)
			return 1;
		conns[i]->fd = -1;
	}
	run(strtod(argv[4], NULL));
	printf("{\"connections\":%lu,\"refused\":%lu,\"sent\":%lu,\"goaways\":%lu}\n", made,
	       refused, sent, goaways);
	return 0;
}
