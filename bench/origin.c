/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The origin of the measurements: a web server on one thread that costs little, so that the proxy
 * before it is what is measured. GET /bytes/N answers N bytes; a POST is read to its end and
 * answered with few bytes; GET /count tells how many requests came, itself not counted.
 *
 * usage: bench-origin PORT
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
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#define BODY_MAX   (4 * 1024 * 1024)
#define HEAD_MAX   8192
#define MAX_EVENTS 512

struct conn {
	int fd;
	size_t have;   /* bytes in head[] */
	uint64_t skip; /* bytes of the request's body still to come */
	bool in_body;
	bool closing;     /* after the answer */
	char answer[256]; /* head of the answer that is being sent */
	size_t answer_len, answer_pos;
	size_t body_len, body_pos;
	char head[HEAD_MAX];
};

static char body[BODY_MAX];
static uint64_t requests;
static int epfd;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void answer_with(struct conn *c, size_t n)
{
	c->answer_len = (size_t)snprintf(c->answer, sizeof c->answer,
	                                 "HTTP/1.1 200 OK\r\nServer: origin\r\n"
	                                 "Content-Type: application/octet-stream\r\n"
	                                 "Content-Length: %zu\r\n%s\r\n",
	                                 n, c->closing ? "Connection: close\r\n" : "");
	c->answer_pos = 0;
	c->body_len = n;
	c->body_pos = 0;
}

static void answer_count(struct conn *c)
{
	char text[32];
	int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)requests);

	c->answer_len =
	    (size_t)snprintf(c->answer, sizeof c->answer,
	                     "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", n, text);
	c->answer_pos = 0;
	c->body_len = 0;
	c->body_pos = 0;
}

/* Sends what is to be sent: 1 when all is out, 0 when the socket is full, -1 at an error. */
static int send_answer(struct conn *c)
{
	while (c->answer_pos < c->answer_len || c->body_pos < c->body_len) {
		struct iovec v[2] = {
			{ c->answer + c->answer_pos, c->answer_len - c->answer_pos },
			{ body + c->body_pos, c->body_len - c->body_pos },
		};
		ssize_t n = writev(c->fd, v, 2);
		size_t first;

		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		first = (size_t)n < v[0].iov_len ? (size_t)n : v[0].iov_len;
		c->answer_pos += first;
		c->body_pos += (size_t)n - first;
	}
	c->answer_len = 0;
	c->body_len = 0;
	c->answer_pos = 0;
	c->body_pos = 0;
	return c->closing ? -1 : 1;
}

/* The value of a field in the head, or NULL. */
static const char *field(const char *head, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = strstr(head, "\r\n"); p != NULL; p = strstr(p, "\r\n")) {
		p += 2;
		if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
			p += n + 1;
			return p + strspn(p, " \t");
		}
	}
	return NULL;
}

/* One head in c->head, ended with NUL at its empty line. False: not to be understood. */
static bool on_head(struct conn *c)
{
	const char *length = field(c->head, "content-length");
	const char *connection = field(c->head, "connection");
	size_t n = 13;

	if (field(c->head, "transfer-encoding") != NULL)
		return false;
	c->closing = connection != NULL && strncasecmp(connection, "close", 5) == 0;
	c->skip = length == NULL ? 0 : strtoull(length, NULL, 10);
	if (strncmp(c->head, "GET /count ", 11) == 0) {
		answer_count(c);
		return true;
	}
	requests++;
	if (strncmp(c->head, "GET /bytes/", 11) == 0)
		n = strtoull(c->head + 11, NULL, 10);
	if (n > BODY_MAX)
		return false;
	answer_with(c, n);
	return true;
}

/* Takes the next request out of c->head: 1 when one is complete, 0 when more must be read, -1 when
 * it is none. */
static int next_request(struct conn *c)
{
	if (!c->in_body) {
		char *end;
		size_t n;

		c->head[c->have] = '\0';
		end = strstr(c->head, "\r\n\r\n");
		if (end == NULL)
			return c->have < HEAD_MAX - 1 ? 0 : -1;
		n = (size_t)(end + 4 - c->head);
		end[2] = '\0';
		if (!on_head(c))
			return -1;
		memmove(c->head, c->head + n, c->have - n);
		c->have -= n;
		c->in_body = true;
	}
	if (c->skip > 0) {
		size_t n = c->have < c->skip ? c->have : (size_t)c->skip;

		memmove(c->head, c->head + n, c->have - n);
		c->have -= n;
		c->skip -= n;
		if (c->skip > 0)
			return 0;
	}
	c->in_body = false;
	return 1;
}

/* Reads body bytes that are of no interest. False at the end of the connection. */
static bool drain_body(struct conn *c, bool *drained)
{
	static char sink[64 * 1024];
	size_t want = c->skip < sizeof sink ? (size_t)c->skip : sizeof sink;
	ssize_t n = read(c->fd, sink, want);

	if (n > 0)
		c->skip -= (uint64_t)n;
	*drained = n < 0;
	return n > 0 || (n < 0 && errno == EAGAIN);
}

static bool serve(struct conn *c)
{
	for (;;) {
		int r = c->answer_len > 0 && !c->in_body ? 1 : next_request(c);

		if (r < 0)
			return false;
		if (r > 0) {
			r = send_answer(c);
			if (r <= 0)
				return r == 0;
			continue;
		}
		if (c->in_body && c->have == 0) {
			bool drained;

			if (!drain_body(c, &drained))
				return false;
			if (drained)
				return true;
			continue;
		}
		ssize_t n = read(c->fd, c->head + c->have, HEAD_MAX - 1 - c->have);

		if (n <= 0)
			return n < 0 && errno == EAGAIN;
		c->have += (size_t)n;
	}
}

static void accept_all(int listener)
{
	int fd;
	int one = 1;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct conn *c = calloc(1, sizeof *c);
		struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
			                  .data.ptr = c };

		if (c == NULL)
			die("calloc");
		c->fd = fd;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
		if (epoll_ctl(epfd, EPOLL_CTL_ADD, fd, &ev) < 0)
			die("epoll_ctl");
	}
}

static int listen_on(const char *port)
{
	struct sockaddr_in sa = { .sin_family = AF_INET,
		                  .sin_port = htons((uint16_t)atoi(port)),
		                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
	if (bind(fd, (struct sockaddr *)&sa, sizeof sa) < 0 || listen(fd, 4096) < 0)
		die("bind");
	return fd;
}

int main(int argc, char **argv)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = NULL };
	struct epoll_event events[MAX_EVENTS];
	struct rlimit files;
	int listener;

	if (argc != 2) {
		fprintf(stderr, "usage: %s PORT\n", argv[0]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	memset(body, 'x', sizeof body);
	listener = listen_on(argv[1]);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev) < 0)
		die("epoll");
	for (;;) {
		int n = epoll_wait(epfd, events, MAX_EVENTS, -1);

		for (int i = 0; i < n; i++) {
			struct conn *c = events[i].data.ptr;

			if (c == NULL) {
				accept_all(listener);
			} else if (!serve(c)) {
				close(c->fd);
				free(c);
			}
		}
	}
}
