/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ICMP echo (RFC 792, RFC 4443 section 4): one socket for a family, for questions to any address. A
 * datagram socket where the host permits that to this process (ping_group_range, icmp(7)), else a
 * raw one, which needs CAP_NET_RAW.
 */
#ifndef NET_PING_H
#define NET_PING_H

#include <sys/types.h>

#include "net/addr.h"

#define NET_PING_PAYLOAD 64 /* bytes at most */

/* The descriptor for AF_INET or AF_INET6, close-on-exec and non-blocking; ERR_SYSTEM with errno. */
int net_ping_open(int family);
/* Asks; the kernel chooses the id of a datagram socket. OK, ERR_AGAIN, ERR_SYSTEM. */
int net_ping_send(int fd, const struct net_addr *to, uint16_t id, uint16_t sequence,
                  const void *payload, size_t len);
/* One answer: the length of its payload, 0 of what is none; ERR_AGAIN, ERR_SYSTEM. The id is not
 * looked at: the payload has to tell whose it is. */
ssize_t net_ping_recv(int fd, struct net_addr *from, uint16_t *sequence,
                      uint8_t payload[NET_PING_PAYLOAD]);

#endif
