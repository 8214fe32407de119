/* SPDX-License-Identifier: Apache-2.0 */
/* ICMP echo; see ping.h. The parent opens the sockets, the role check uses them. */
#include "net/ping.h"

#include <errno.h>
#include <linux/icmp.h>
#include <netinet/icmp6.h>
#include <unistd.h>

#include "base/err.h"
#include "net/raw.h"

#define HEADER 8
#define BUFFER (512 * 1024) /* answers to many questions may come at a time */

static void only_answers(int fd, int family)
{
	struct icmp6_filter six;
	const struct icmp_filter four = { ~(1U << ICMP_ECHOREPLY) };

	if (family == AF_INET) {
		(void)setsockopt(fd, SOL_RAW, ICMP_FILTER, &four, sizeof(four));
		return;
	}
	ICMP6_FILTER_SETBLOCKALL(&six);
	ICMP6_FILTER_SETPASS(ICMP6_ECHO_REPLY, &six);
	(void)setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &six, sizeof(six));
}

int net_ping_open(int family)
{
	int protocol = family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	const int size = BUFFER;
	int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);

	if (fd < 0) {
		fd = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
		if (fd < 0) {
			return ERR_SYSTEM;
		}
		only_answers(fd, family);
	}
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	return fd;
}

int net_ping_send(int fd, const struct net_addr *to, uint16_t id, uint16_t sequence,
                  const void *payload, size_t len)
{
	uint8_t packet[HEADER + NET_PING_PAYLOAD] = { 0 };
	struct net_addr at = *to;
	uint16_t sum;

	if (len > NET_PING_PAYLOAD) {
		return ERR_TOO_LARGE;
	}
	packet[0] = to->sa.sa_family == AF_INET ? ICMP_ECHO : ICMP6_ECHO_REQUEST;
	packet[4] = (uint8_t)(id >> 8);
	packet[5] = (uint8_t)id;
	packet[6] = (uint8_t)(sequence >> 8);
	packet[7] = (uint8_t)sequence;
	memcpy(packet + HEADER, payload, len);
	if (to->sa.sa_family == AF_INET) { /* of ICMPv6 the kernel knows the pseudo-header */
		sum = net_checksum(0, packet, HEADER + len);
		memcpy(packet + 2, &sum, sizeof(sum));
		at.in.sin_port = 0;
	} else {
		at.in6.sin6_port = 0; /* a raw socket would take it for a protocol */
	}
	if (sendto(fd, packet, HEADER + len, 0, &at.sa, at.len) >= 0) {
		return OK;
	}
	return errno == EAGAIN || errno == ENOBUFS ? ERR_AGAIN : ERR_SYSTEM;
}

/* A raw socket of IPv4 shows the IP header, too (raw(7)). */
static size_t ip_header(const uint8_t *p, size_t len)
{
	return len > 0 && p[0] >> 4 == 4 ? (size_t)(p[0] & 15) * 4 : 0;
}

ssize_t net_ping_recv(int fd, struct net_addr *from, uint16_t *sequence,
                      uint8_t payload[NET_PING_PAYLOAD])
{
	uint8_t buf[60 + HEADER + NET_PING_PAYLOAD];
	const uint8_t *p = buf;
	ssize_t n;
	size_t skip;

	*from = (struct net_addr){ .len = sizeof(from->in6) };
	do {
		n = recvfrom(fd, buf, sizeof(buf), 0, &from->sa, &from->len);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return errno == EAGAIN ? ERR_AGAIN : ERR_SYSTEM;
	}
	/* Type 0 of an answer in IPv4 cannot be taken for the first byte of an IP header. */
	skip = from->sa.sa_family == AF_INET ? ip_header(p, (size_t)n) : 0;
	if ((size_t)n < skip + HEADER || (size_t)n > skip + HEADER + NET_PING_PAYLOAD) {
		return 0;
	}
	p += skip;
	if (p[0] != (from->sa.sa_family == AF_INET ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY)) {
		return 0;
	}
	*sequence = (uint16_t)(p[6] << 8 | p[7]);
	memcpy(payload, p + HEADER, (size_t)n - skip - HEADER);
	return n - (ssize_t)(skip + HEADER);
}
