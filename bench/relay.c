/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The floor of every measurement: a bare relay of bytes on one thread. It makes one connection to
 * the origin for each client connection and copies what comes, without looking at it: what the
 * kernel takes for two sockets, and nothing else. Edge triggered, registered once, read before
 * waiting, write before asking for writability.
 *
 * usage: bench-relay PORT ORIGIN_PORT
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
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER     (64 * 1024)
#define MAX_EVENTS 512

struct pair;

struct end { /* one socket of a pair, and what could not be written to it yet */
	struct pair *pair;
	struct end *other;
	int fd;
	bool readable; /* more may be there to read: it waits for the other end */
	bool eof;      /* the peer has ended its direction */
	char *left;    /* bytes read from the other end, not written yet */
	size_t left_pos, left_len;
};

struct pair {
	struct end client, origin;
	bool dead;
	struct pair *next_dead;
};

static char shared[BUFFER];
static struct pair *dead_pairs;
static struct sockaddr_in origin_address;
static int epfd;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(struct end *e)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		                  .data.ptr = e };

	if (epoll_ctl(epfd, EPOLL_CTL_ADD, e->fd, &ev) < 0)
		die("epoll_ctl");
}

/* Closes both ends; freed after the turn, as events for them may still be in the list. */
static void pair_kill(struct pair *p)
{
	if (p->dead)
		return;
	p->dead = true;
	close(p->client.fd);
	close(p->origin.fd);
	p->next_dead = dead_pairs;
	dead_pairs = p;
}

static void pairs_free(void)
{
	struct pair *p;

	while ((p = dead_pairs) != NULL) {
		dead_pairs = p->next_dead;
		free(p->client.left);
		free(p->origin.left);
		free(p);
	}
}

/* Keeps what could not be written. */
static bool keep(struct end *to, const char *data, size_t n)
{
	if (to->left == NULL)
		to->left = malloc(BUFFER);
	if (to->left == NULL)
		return false;
	memcpy(to->left, data, n);
	to->left_pos = 0;
	to->left_len = n;
	return true;
}

/* Copies from one end to the other until there is nothing to read or no room to write. Returns
 * false when the pair is at its end. */
static bool relay(struct end *from)
{
	struct end *to = from->other;

	while (from->readable && to->left_len == 0) {
		ssize_t n = read(from->fd, shared, sizeof shared);
		ssize_t w;

		if (n < 0) {
			if (errno != EAGAIN)
				return false;
			from->readable = false;
			return true;
		}
		if (n == 0) {
			from->eof = true;
			from->readable = false;
			shutdown(to->fd, SHUT_WR);
			return !to->eof;
		}
		w = write(to->fd, shared, (size_t)n);
		if (w < 0 && errno != EAGAIN)
			return false;
		if (w < 0)
			w = 0;
		if (w < n && !keep(to, shared + w, (size_t)(n - w)))
			return false;
		if ((size_t)n < sizeof shared && !from->eof)
			from->readable = false; /* a short read: the next data makes an edge */
	}
	return true;
}

static bool flush(struct end *to)
{
	ssize_t w;

	if (to->left_len == 0)
		return true;
	w = write(to->fd, to->left + to->left_pos, to->left_len);
	if (w < 0)
		return errno == EAGAIN;
	to->left_pos += (size_t)w;
	to->left_len -= (size_t)w;
	return true;
}

static void on_event(struct end *e, uint32_t events)
{
	struct pair *p = e->pair;

	if (p->dead)
		return;
	if (events & EPOLLERR) {
		pair_kill(p);
		return;
	}
	if (events & EPOLLOUT) {
		if (!flush(e) || !relay(e->other)) {
			pair_kill(p);
			return;
		}
	}
	if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP)) {
		e->readable = true;
		if (!relay(e))
			pair_kill(p);
	}
}

static void on_client(int fd)
{
	struct pair *p = calloc(1, sizeof *p);
	int one = 1;
	int up = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (p == NULL || up < 0)
		die("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	setsockopt(up, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
	p->client = (struct end){ .pair = p, .other = &p->origin, .fd = fd };
	p->origin = (struct end){ .pair = p, .other = &p->client, .fd = up };
	if (connect(up, (struct sockaddr *)&origin_address, sizeof origin_address) < 0 &&
	    errno != EINPROGRESS)
		die("connect");
	watch(&p->client);
	watch(&p->origin);
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

static void accept_all(int listener)
{
	int fd;

	while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		on_client(fd);
	if (errno != EAGAIN && errno != ECONNABORTED)
		die("accept4");
}

int main(int argc, char **argv)
{
	struct epoll_event ev = { .events = EPOLLIN | EPOLLET, .data.ptr = NULL };
	struct epoll_event events[MAX_EVENTS];
	struct rlimit files;
	int listener;

	if (argc != 3) {
		fprintf(stderr, "usage: %s PORT ORIGIN_PORT\n", argv[0]);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	origin_address = (struct sockaddr_in){ .sin_family = AF_INET,
		                               .sin_port = htons((uint16_t)atoi(argv[2])),
		                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	listener = listen_on(argv[1]);
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0 || epoll_ctl(epfd, EPOLL_CTL_ADD, listener, &ev) < 0)
		die("epoll");
	for (;;) {
		int n = epoll_wait(epfd, events, MAX_EVENTS, -1);

		for (int i = 0; i < n; i++) {
			if (events[i].data.ptr == NULL)
				accept_all(listener);
			else
				on_event(events[i].data.ptr, events[i].events);
		}
		pairs_free();
	}
}
