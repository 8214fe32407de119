/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw sockets: packets of one IP protocol, and frames of a link. They need CAP_NET_RAW. Every
 * descriptor is close-on-exec and non-blocking.
 */
#ifndef NET_RAW_H
#define NET_RAW_H

#include <linux/filter.h>

#include "net/addr.h"

struct net_raw_packet {
	struct net_addr from; /* port 0, no scope */
	struct net_addr to;
	uint32_t link;          /* on which it came in */
	int ttl;                /* TTL or hop limit; -1: unknown */
	const uint8_t *payload; /* in the caller's buffer, without the IP header */
	size_t len;
};

/*
 * A socket for packets of that protocol: AF_INET or AF_INET6. link: the only interface it sends and
 * receives on; 0: any. Packets to groups that it has not joined do not reach it, nor do those it
 * sends to a group. What it sends has TTL 255 and the precedence of network control. rcvbuf: bytes.
 * The descriptor, or ERR_SYSTEM with errno.
 */
int net_raw_open(int family, int protocol, uint32_t link, unsigned rcvbuf);
/* Receives what is sent to a group on a link. OK or ERR_SYSTEM. */
int net_raw_join(int fd, const struct net_addr *group, uint32_t link);
/* One packet: OK, ERR_AGAIN, ERR_SYNTAX (no whole IP header), ERR_SYSTEM. Longer ones are cut. */
int net_raw_recv(int fd, int family, void *buf, size_t size, struct net_raw_packet *ret);
/* Sends a payload with that source address over a link (0: as routed). OK, ERR_AGAIN, ERR_SYSTEM.
 */
int net_raw_send(int fd, const struct net_addr *from, const struct net_addr *to, uint32_t link,
                 const void *payload, size_t len);

/*
 * A socket for whole Ethernet frames. type: of the frames that it receives from others on that
 * link, as filtered by the program (n instructions); 0: it only sends, on any link. The descriptor,
 * or ERR_SYSTEM.
 */
int net_frame_open(uint32_t link, uint16_t type, const struct sock_filter *program, unsigned n);
/* Replaces the filter. OK or ERR_SYSTEM: the old one stays. */
int net_frame_filter(int fd, const struct sock_filter *program, unsigned n);
/* OK, ERR_AGAIN, ERR_SYSTEM. */
int net_frame_send(int fd, uint32_t link, const void *frame, size_t len);
/* The length of one frame, cut to size; ERR_AGAIN, ERR_SYSTEM. */
ssize_t net_frame_recv(int fd, void *buf, size_t size);

/* The internet checksum (RFC 1071) over bytes, begun with `sum`; to be stored as it is. */
uint16_t net_checksum(uint32_t sum, const void *bytes, size_t len);

#endif
