/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes TLS 1.3 handshakes with 127.0.0.1:PORT, CONNECTIONS at a time, for SECONDS, full or resumed
 * ones. A connection ends when its ticket has come, so that the server has done all of its part; a
 * resumed one offers the ticket that came last. Ends with an error when any handshake failed, or
 * was not of the kind that was asked for.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MAX_CONNECTIONS 1024
#define STALL           10 /* s without any progress */

struct slot {
	int fd;
	SSL *ssl;
	SSL_SESSION *session;
	bool offered;
	bool ticket;
};

static struct slot slots[MAX_CONNECTIONS];
static SSL_CTX *ctx;
static struct sockaddr_in to = { .sin_family = AF_INET };
static int epfd;
static bool resumed;
static unsigned long handshakes, wrong, failed;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what)
{
	fprintf(stderr, "bench-tls-load: %s: %s\n", what, strerror(errno));
	ERR_print_errors_fp(stderr);
	exit(1);
}

static int on_ticket(SSL *ssl, SSL_SESSION *session)
{
	struct slot *s = SSL_get_app_data(ssl);

	s->ticket = true;
	if (!resumed)
		return 0;
	SSL_SESSION_free(s->session);
	s->session = session;
	return 1;
}

static void begin(struct slot *s)
{
	struct epoll_event e = { .events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET,
		                 .data.ptr = s };
	const int one = 1;

	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0)
		die("socket");
	setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (connect(s->fd, (struct sockaddr *)&to, sizeof(to)) != 0 && errno != EINPROGRESS)
		die("connect");
	s->ssl = SSL_new(ctx);
	if (s->ssl == NULL || SSL_set_fd(s->ssl, s->fd) != 1)
		die("SSL_new");
	SSL_set_app_data(s->ssl, s);
	SSL_set_connect_state(s->ssl);
	s->offered = s->session != NULL;
	s->ticket = false;
	if (s->offered)
		SSL_set_session(s->ssl, s->session);
	if (epoll_ctl(epfd, EPOLL_CTL_ADD, s->fd, &e) != 0)
		die("epoll_ctl");
}

static void finish(struct slot *s, bool well)
{
	if (well) {
		handshakes++;
		wrong += SSL_session_reused(s->ssl) != (s->offered ? 1 : 0);
		SSL_shutdown(s->ssl);
	} else {
		failed++;
		SSL_SESSION_free(s->session);
		s->session = NULL;
	}
	SSL_free(s->ssl);
	close(s->fd);
	ERR_clear_error();
	begin(s);
}

static void work(struct slot *s)
{
	char byte;
	int r;

	if (!SSL_is_init_finished(s->ssl)) {
		r = SSL_do_handshake(s->ssl);
		if (r != 1) {
			r = SSL_get_error(s->ssl, r);
			/* Before it is connected, a write says ENOTCONN or EAGAIN. */
			if (r != SSL_ERROR_WANT_READ && r != SSL_ERROR_WANT_WRITE &&
			    !(r == SSL_ERROR_SYSCALL && errno == ENOTCONN))
				finish(s, false);
			return;
		}
	}
	r = SSL_read(s->ssl, &byte, 1);
	if (s->ticket)
		finish(s, true);
	else if (r > 0 || SSL_get_error(s->ssl, r) != SSL_ERROR_WANT_READ)
		finish(s, false);
}

static void make_context(void)
{
	ctx = SSL_CTX_new(TLS_client_method());
	if (ctx == NULL || SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set1_groups_list(ctx, "X25519") != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256") != 1)
		die("context");
	/* The client's own work is kept small: it does not look at the certificate. */
	SSL_CTX_set_verify(ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_ticket);
}

int main(int argc, char **argv)
{
	struct epoll_event events[256];
	unsigned long first = 0;
	double start, end;
	int i, n, count, seconds;

	if (argc != 5 || (strcmp(argv[4], "full") != 0 && strcmp(argv[4], "resumed") != 0)) {
		fprintf(stderr, "usage: bench-tls-load PORT CONNECTIONS SECONDS full|resumed\n");
		return 2;
	}
	to.sin_port = htons((uint16_t)atoi(argv[1]));
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	count = atoi(argv[2]);
	seconds = atoi(argv[3]);
	resumed = strcmp(argv[4], "resumed") == 0;
	if (count < 1 || count > MAX_CONNECTIONS || seconds < 1) {
		fprintf(stderr, "bench-tls-load: 1 … %d connections, 1 … seconds\n",
		        MAX_CONNECTIONS);
		return 2;
	}
	make_context();
	epfd = epoll_create1(EPOLL_CLOEXEC);
	if (epfd < 0)
		die("epoll_create1");
	for (i = 0; i < count; i++)
		begin(&slots[i]);
	start = now();
	end = start + seconds;
	while (now() < end && failed == 0 && wrong == 0) {
		n = epoll_wait(epfd, events, 256, STALL * 1000);
		if (n == 0) {
			fprintf(stderr, "bench-tls-load: nothing happened for %d s\n", STALL);
			return 1;
		}
		for (i = 0; i < n; i++)
			work(events[i].data.ptr);
		/* The first of each slot has nothing to resume. */
		if (first == 0 && resumed && handshakes > 0)
			first = (unsigned long)count;
	}
	if (failed > 0 || wrong > 0 || handshakes <= first) {
		fprintf(stderr, "bench-tls-load: %lu handshakes, %lu failed, %lu not %s\n",
		        handshakes, failed, wrong, argv[4]);
		ERR_print_errors_fp(stderr);
		return 1;
	}
	printf("%lu handshakes in %d s, %.0f/s\n", handshakes, seconds,
	       (double)handshakes / (now() - start));
	return 0;
}
