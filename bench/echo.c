/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small messages through a proxy: a server that sends back what comes, and a client that keeps one
 * message under way on each of its connections. With "websocket" the client asks for an upgrade
 * first, which the server grants; what follows are frames as a browser sends them.
 *
 * usage: bench-echo serve PORT
 *        bench-echo load PORT CONNECTIONS SECONDS BYTES [websocket]
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_EVENTS  256
#define MAX_MESSAGE 65536

static const char upgrade_request[] =
    "GET /echo HTTP/1.1\r\nHost: bench.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/* The accept value belongs to that one key (RFC 6455, 1.3). */
static const char upgrade_answer[] =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

struct conn {
	int fd;
	bool upgrading; /* load: waits for the end of the answer's head */
	bool fresh;     /* serve: nothing has come yet */
	size_t left;    /* load: bytes of the message that are still to come back */
	uint32_t tail;  /* the last four bytes of a head */
};

static int epfd;
static char buffer[MAX_MESSAGE];

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void watch(struct conn *c)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = c };
	int one = 1;

	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, c->fd, &ev) < 0)
		die("epoll_ctl");
}

static struct sockaddr_in address(const char *port)
{
	return (struct sockaddr_in){ .sin_family = AF_INET,
		                     .sin_port = htons((uint16_t)atoi(port)),
		                     .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
}

/* Blocking: what is sent is small and the other side reads. */
static bool send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);

		if (n < 0)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

/* --- the server ----------------------------------------------------------------------------- */

/* False when the connection is over. A check's request is answered as a web server would. */
static bool serve_read(struct conn *c)
{
	ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
	bool first = c->fresh;

	if (n <= 0)
		return false;
	c->fresh = false;
	if (!first || n < 4 || memcmp(buffer, "GET ", 4) != 0)
		return send_all(c->fd, buffer, (size_t)n);
	if (memmem(buffer, (size_t)n, "pgrade: websocket", 17) != NULL)
		return send_all(c->fd, upgrade_answer, sizeof upgrade_answer - 1);
	send_all(c->fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 57);
	return false;
}

static void serve(const char *port)
{
	struct sockaddr_in a = address(port);
	struct conn listener = { .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	int one = 1;

	setsockopt(listener.fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(listener.fd, (struct sockaddr *)&a, sizeof a) < 0 || listen(listener.fd, 1024) < 0)
		die("listen");
	watch(&listener);
	for (;;) {
		struct epoll_event events[MAX_EVENTS];
		int n = epoll_wait(epfd, events, MAX_EVENTS, -1);

		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (c == &listener) {
				c = calloc(1, sizeof *c);
				if (c == NULL || (c->fd = accept(listener.fd, NULL, NULL)) < 0)
					die("accept");
				c->fresh = true;
				watch(c);
			} else if (!serve_read(c)) {
				close(c->fd);
				free(c);
			}
		}
	}
}

/* --- the client ----------------------------------------------------------------------------- */

static char message[MAX_MESSAGE];
static size_t message_len;
static uint64_t answered;

/* A masked text frame of that many bytes of payload (RFC 6455, 5.2). */
static void make_message(size_t bytes, bool websocket)
{
	memset(message, 'x', sizeof message);
	message_len = bytes;
	if (!websocket)
		return;
	message[0] = (char)0x81;
	message[1] = (char)(0x80 | (bytes < 126 ? bytes : 126));
	message_len += 6;
	if (bytes >= 126) {
		message[2] = (char)(bytes >> 8);
		message[3] = (char)bytes;
		message_len += 2;
	}
}

static void next_message(struct conn *c)
{
	c->left = message_len;
	if (!send_all(c->fd, message, message_len))
		die("send");
}

static void load_read(struct conn *c)
{
	ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);

	if (n <= 0) {
		fprintf(stderr, "the connection was closed\n");
		exit(1);
	}
	if (c->upgrading) {
		for (ssize_t i = 0; i < n; i++)
			c->tail = c->tail << 8 | (unsigned char)buffer[i];
		if (c->tail == 0x0d0a0d0a) {
			c->upgrading = false;
			next_message(c);
		}
		return;
	}
	if ((size_t)n > c->left) {
		fprintf(stderr, "more came back than was sent\n");
		exit(1);
	}
	c->left -= (size_t)n;
	if (c->left == 0) {
		answered++;
		next_message(c);
	}
}

static void load(const char *port, int connections, int seconds, size_t bytes, bool websocket)
{
	struct sockaddr_in a = address(port);
	uint64_t end = now_us() + (uint64_t)seconds * 1000000;

	make_message(bytes, websocket);
	for (int i = 0; i < connections; i++) {
		struct conn *c = calloc(1, sizeof *c);

		if (c == NULL || (c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0 ||
		    connect(c->fd, (struct sockaddr *)&a, sizeof a) < 0)
			die("connect");
		watch(c);
		c->upgrading = websocket;
		if (websocket && !send_all(c->fd, upgrade_request, sizeof upgrade_request - 1))
			die("send");
		if (!websocket)
			next_message(c);
	}
	while (now_us() < end) {
		struct epoll_event events[MAX_EVENTS];
		int n = epoll_wait(epfd, events, MAX_EVENTS, 100);

		for (int i = 0; i < n; i++)
			load_read(events[i].data.ptr);
	}
	printf("%llu messages\n", (unsigned long long)answered);
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		die("epoll_create1");
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		serve(argv[2]);
	if (argc >= 6 && strcmp(argv[1], "load") == 0 && atoi(argv[5]) > 0 &&
	    atoi(argv[5]) <= MAX_MESSAGE - 16) {
		load(argv[2], atoi(argv[3]), atoi(argv[4]), (size_t)atoi(argv[5]),
		     argc == 7 && strcmp(argv[6], "websocket") == 0);
		return 0;
	}
	fprintf(stderr, "usage: bench-echo serve PORT\n"
	                "       bench-echo load PORT CONNECTIONS SECONDS BYTES [websocket]\n");
	return 2;
}
