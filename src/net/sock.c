/* SPDX-License-Identifier: Apache-2.0 */
/* Stream sockets: listening, connecting, accepting, closing. Any role, any thread. */
#include "net/sock.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"

#define UNIX_MODE 0666

static int open_stream(int family)
{
	return socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Closes and keeps the errno of what failed. Returns ERR_SYSTEM. */
static int fail(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return ERR_SYSTEM;
}

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

/* absent: the address may come later. */
static int listen_ip(const struct net_addr *a, bool dual, bool absent, int backlog)
{
	int fd = open_stream(a->sa.sa_family);

	if (fd < 0) {
		return ERR_SYSTEM;
	}
	/* Accepted sockets inherit TCP_NODELAY: one system call less for each connection. */
	if (set(fd, SOL_SOCKET, SO_REUSEADDR, 1) < 0 || set(fd, IPPROTO_TCP, TCP_NODELAY, 1) < 0) {
		return fail(fd);
	}
	if (a->sa.sa_family == AF_INET6 && set(fd, IPPROTO_IPV6, IPV6_V6ONLY, dual ? 0 : 1) < 0) {
		return fail(fd);
	}
	if (absent && (a->sa.sa_family == AF_INET6 ? set(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1)
	                                           : set(fd, IPPROTO_IP, IP_FREEBIND, 1)) < 0) {
		return fail(fd);
	}
	if (bind(fd, &a->sa, a->len) < 0 || listen(fd, backlog) < 0) {
		return fail(fd);
	}
	return fd;
}

/* "*": one dual-stack socket, or IPv4 alone where the kernel has no IPv6. */
static int listen_any(const struct net_addr *a, int backlog)
{
	struct net_addr v4 = { .len = sizeof(v4.in) };
	int fd = listen_ip(a, true, false, backlog);

	if (fd >= 0 || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)) {
		return fd;
	}
	v4.in.sin_family = AF_INET;
	v4.in.sin_port = a->in6.sin6_port;
	return listen_ip(&v4, false, false, backlog);
}

/* Removes a socket file that nobody listens on. 0, or -1 with EADDRINUSE where it is in use. */
static int remove_stale(const struct net_addr *a)
{
	struct stat st;
	int fd, err;

	if (lstat(a->un.sun_path, &st) < 0) {
		return errno == ENOENT ? 0 : -1;
	}
	if (!S_ISSOCK(st.st_mode)) {
		errno = EADDRINUSE;
		return -1;
	}
	fd = open_stream(AF_UNIX);
	if (fd < 0) {
		return -1;
	}
	err = connect(fd, &a->sa, a->len) < 0 ? errno : 0;
	close(fd);
	if (err == ENOENT) {
		return 0;
	}
	if (err != ECONNREFUSED) {
		errno = EADDRINUSE;
		return -1;
	}
	return unlink(a->un.sun_path) < 0 && errno != ENOENT ? -1 : 0;
}

static int listen_unix(const struct net_addr *a, int backlog, unsigned mode)
{
	mode_t wanted = (mode_t)(mode != 0 ? mode : UNIX_MODE);
	int fd;

	if (remove_stale(a) < 0) {
		return ERR_SYSTEM;
	}
	fd = open_stream(AF_UNIX);
	if (fd < 0) {
		return ERR_SYSTEM;
	}
	/* The file is made with the socket's own mode less the umask: it is at no time open to
	 * more users than wanted. The second call adds what the umask took away. */
	if (fchmod(fd, wanted) < 0 || bind(fd, &a->sa, a->len) < 0) {
		return fail(fd);
	}
	if (chmod(a->un.sun_path, wanted) < 0 || listen(fd, backlog) < 0) {
		fail(fd);
		unlink(a->un.sun_path);
		return ERR_SYSTEM;
	}
	return fd;
}

int net_listen(const struct net_addr *a, int backlog, unsigned mode)
{
	if (a->sa.sa_family == AF_UNIX) {
		return listen_unix(a, backlog, mode);
	}
	return a->wildcard ? listen_any(a, backlog) : listen_ip(a, false, false, backlog);
}

int net_listen_absent(const struct net_addr *a, int backlog)
{
	return listen_ip(a, false, true, backlog);
}

/* --- datagrams -------------------------------------------------------------------------------- */

/* What all clients of a listener send while its thread is busy with others. */
#define LISTEN_BUFFER (4 * 1024 * 1024)

static int open_datagrams(int family, int buffer)
{
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && buffer > 0 && set(fd, SOL_SOCKET, SO_RCVBUFFORCE, buffer) < 0) {
		(void)set(fd, SOL_SOCKET, SO_RCVBUF, buffer);
	}
	return fd;
}

static int bind_datagrams(const struct net_addr *a, bool absent)
{
	const bool six = a->sa.sa_family == AF_INET6;
	int fd = open_datagrams(a->sa.sa_family, LISTEN_BUFFER);

	if (fd < 0) {
		return ERR_SYSTEM;
	}
	/* No SO_REUSEADDR: with datagrams it would share a port that is in use. */
	if (six && (set(fd, IPPROTO_IPV6, IPV6_V6ONLY, a->wildcard ? 0 : 1) < 0 ||
	            set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) < 0)) {
		return fail(fd);
	}
	if (!six && set(fd, IPPROTO_IP, IP_PKTINFO, 1) < 0) {
		return fail(fd);
	}
	if (absent && (six ? set(fd, IPPROTO_IPV6, IPV6_FREEBIND, 1)
	                   : set(fd, IPPROTO_IP, IP_FREEBIND, 1)) < 0) {
		return fail(fd);
	}
	return bind(fd, &a->sa, a->len) < 0 ? fail(fd) : fd;
}

int net_bind_datagrams(const struct net_addr *a, bool absent)
{
	struct net_addr v4 = { .len = sizeof(v4.in) };
	int fd = bind_datagrams(a, absent);

	if (fd >= 0 || !a->wildcard || (errno != EAFNOSUPPORT && errno != EADDRNOTAVAIL)) {
		return fd;
	}
	v4.in.sin_family = AF_INET; /* as listen_any() */
	v4.in.sin_port = a->in6.sin6_port;
	return bind_datagrams(&v4, absent);
}

int net_connect_datagrams(const struct net_addr *a, int buffer)
{
	int fd = open_datagrams(a->sa.sa_family, buffer);

	if (fd < 0) {
		return ERR_SYSTEM;
	}
	return connect(fd, &a->sa, a->len) < 0 ? fail(fd) : fd;
}

bool net_is_datagrams(int fd)
{
	int type = 0;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_DGRAM;
}

int net_connect(const struct net_addr *a, bool *ret_done)
{
	int fd = open_stream(a->sa.sa_family);

	if (fd < 0) {
		return ERR_SYSTEM;
	}
	if (a->sa.sa_family != AF_UNIX && set(fd, IPPROTO_TCP, TCP_NODELAY, 1) < 0) {
		return fail(fd);
	}
	if (connect(fd, &a->sa, a->len) == 0) {
		*ret_done = true;
		return fd;
	}
	/* An interrupted connect goes on by itself, as one in progress does (POSIX). */
	if (errno != EINPROGRESS && errno != EINTR) {
		return fail(fd);
	}
	*ret_done = false;
	return fd;
}

int net_connect_error(int fd)
{
	int err = 0;
	socklen_t len = sizeof(err);

	return getsockopt(fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0 ? errno : err;
}

int net_accept(int fd, struct net_addr *ret_peer)
{
	ret_peer->wildcard = false;
	for (;;) {
		int conn;

		ret_peer->len = sizeof(ret_peer->un);
		conn = accept4(fd, &ret_peer->sa, &ret_peer->len, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (conn >= 0) {
			return conn;
		}
		switch (errno) {
		case EAGAIN:
			return ERR_AGAIN;
		case EMFILE:
		case ENFILE:
		case ENOBUFS:
		case ENOMEM:
			return ERR_FULL;
		/* Linux passes on errors of the connection that was to be accepted; accept(2)
		 * says to go on to the next. */
		case EINTR:
		case ECONNABORTED:
		case EPROTO:
		case ENETDOWN:
		case ENETUNREACH:
		case EHOSTDOWN:
		case EHOSTUNREACH:
		case ENOPROTOOPT:
		case ENONET:
			continue;
		default:
			return ERR_SYSTEM;
		}
	}
}

typedef int name_fn(int fd, struct sockaddr *sa, socklen_t *len);

static void get_name(name_fn *get, int fd, struct net_addr *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->len = sizeof(ret->un);
	if (get(fd, &ret->sa, &ret->len) < 0) {
		ret->len = 0;
		ret->sa.sa_family = AF_UNSPEC;
	}
}

void net_local_addr(int fd, struct net_addr *ret)
{
	get_name(getsockname, fd, ret);
}

void net_close_reset(int fd)
{
	const struct linger now = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
}

void net_close(int fd)
{
	close(fd);
}
