/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets: the only place that opens them. Every descriptor is close-on-exec and non-blocking. */
#ifndef NET_SOCK_H
#define NET_SOCK_H

#include <sys/uio.h>

#include "net/addr.h"

/*
 * Opens a listening socket (SO_REUSEADDR, never SO_REUSEPORT: a port in use is an error). A unix
 * path that nobody listens on is replaced, else refused. Returns the descriptor or ERR_SYSTEM with
 * errno; mode applies to unix sockets (0: 0666).
 */
int net_listen(const struct net_addr *a, int backlog, unsigned mode);
/* The same for an IP address that this machine may not have now (IP_FREEBIND): a virtual one. */
int net_listen_absent(const struct net_addr *a, int backlog);

/*
 * The same for datagrams: bound, and telling of each datagram to which address it came. absent as
 * in net_listen_absent.
 */
int net_bind_datagrams(const struct net_addr *a, bool absent);
/*
 * A socket of datagrams that is connected to that IP address, from a port of the kernel's choice:
 * only what comes from there is received, and errors that the network reports are told. buffer:
 * bytes of datagrams that may wait to be read, as far as the system allows; 0: its default. The
 * descriptor or ERR_SYSTEM with errno.
 */
int net_connect_datagrams(const struct net_addr *a, int buffer);
/* Whether a socket is one of datagrams. */
bool net_is_datagrams(int fd);

/* Starts connecting (TCP_NODELAY set). Returns the descriptor, *ret_done says whether it is already
 * connected (unix sockets); ERR_SYSTEM with errno. */
int net_connect(const struct net_addr *a, bool *ret_done);
/* The error of a connection in the making: 0 or an errno. */
int net_connect_error(int fd);

/* accept4 with TCP_NODELAY. Returns the descriptor, or ERR_AGAIN, ERR_FULL (no descriptor or
 * memory), ERR_SYSTEM. */
int net_accept(int fd, struct net_addr *ret_peer);
void net_local_addr(int fd, struct net_addr *ret);

/* Closes with a reset (SO_LINGER 0): leaves no TIME_WAIT. */
void net_close_reset(int fd);
void net_close(int fd);

/* SOCK_SEQPACKET pair, both ends close-on-exec. OK or ERR_SYSTEM. */
int net_pair(int ret[2]);
/* Sends one packet with descriptors; OK, ERR_AGAIN, ERR_CLOSED, ERR_SYSTEM. */
int net_send_fds(int fd, const void *data, size_t len, const int *fds, int nfds);
/* Receives one packet of at most len bytes; bytes received or a negative error; ERR_CLOSED at the
 * end. Received descriptors are close-on-exec; *nfds is capacity in, number out. */
ssize_t net_recv_fds(int fd, void *data, size_t len, int *fds, int *nfds);

#endif
