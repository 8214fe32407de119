/* SPDX-License-Identifier: Apache-2.0 */
/* Raw sockets (raw(7), packet(7)). Any role that kept CAP_NET_RAW, on the thread of its loop. */
#include "net/raw.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/ip.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"

#ifndef IPV6_MULTICAST_ALL
#define IPV6_MULTICAST_ALL 29
#endif

#define CONTROL_CLASS 0xc0 /* precedence "internetwork control" */
#define CONTROL_PRIO  6    /* SO_PRIORITY: the most that needs no further right */

union control {
	char bytes[256];
	struct cmsghdr align;
};

static int failed(int fd)
{
	int saved = errno;

	if (fd >= 0) {
		close(fd);
	}
	errno = saved;
	return ERR_SYSTEM;
}

static int set(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof(value));
}

static int set_inet(int fd)
{
	return set(fd, IPPROTO_IP, IP_PKTINFO, 1) | set(fd, IPPROTO_IP, IP_TTL, 255) |
	       set(fd, IPPROTO_IP, IP_MULTICAST_TTL, 255) |
	       set(fd, IPPROTO_IP, IP_MULTICAST_LOOP, 0) |
	       set(fd, IPPROTO_IP, IP_MULTICAST_ALL, 0) |
	       set(fd, IPPROTO_IP, IP_TOS, CONTROL_CLASS);
}

static int set_inet6(int fd)
{
	/* Before Linux 4.20 there is no IPV6_MULTICAST_ALL: groups that others joined come too. */
	(void)set(fd, IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0);
	return set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1) |
	       set(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1) |
	       set(fd, IPPROTO_IPV6, IPV6_UNICAST_HOPS, 255) |
	       set(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, 255) |
	       set(fd, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0) |
	       set(fd, IPPROTO_IPV6, IPV6_TCLASS, CONTROL_CLASS);
}

int net_raw_open(int family, int protocol, uint32_t link, unsigned rcvbuf)
{
	int fd = socket(family, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);

	if (fd < 0) {
		return ERR_SYSTEM;
	}
	if ((family == AF_INET6 ? set_inet6(fd) : set_inet(fd)) != 0) {
		return failed(fd);
	}
	if (link != 0 && set(fd, SOL_SOCKET, SO_BINDTOIFINDEX, (int)link) != 0) {
		return failed(fd);
	}
	/* Both are for quality alone. */
	(void)set(fd, SOL_SOCKET, SO_PRIORITY, CONTROL_PRIO);
	if (set(fd, SOL_SOCKET, SO_RCVBUFFORCE, (int)rcvbuf) != 0) {
		(void)set(fd, SOL_SOCKET, SO_RCVBUF, (int)rcvbuf);
	}
	return fd;
}

int net_raw_join(int fd, const struct net_addr *group, uint32_t link)
{
	struct group_req req = { .gr_interface = link };
	int level = group->sa.sa_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;

	memcpy(&req.gr_group, &group->sa, group->len);
	return setsockopt(fd, level, MCAST_JOIN_GROUP, &req, sizeof(req)) != 0 ? ERR_SYSTEM : OK;
}

static void set_in(struct net_addr *a, struct in_addr ip)
{
	memset(a, 0, sizeof(*a));
	a->in.sin_family = AF_INET;
	a->in.sin_addr = ip;
	a->len = sizeof(a->in);
}

static void set_in6(struct net_addr *a, const struct in6_addr *ip)
{
	memset(a, 0, sizeof(*a));
	a->in6.sin6_family = AF_INET6;
	a->in6.sin6_addr = *ip;
	a->len = sizeof(a->in6);
}

static void read_control(struct msghdr *msg, struct net_raw_packet *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c != NULL; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
			struct in_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			ret->link = (uint32_t)info.ipi_ifindex;
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
			struct in6_pktinfo info;

			memcpy(&info, CMSG_DATA(c), sizeof(info));
			ret->link = info.ipi6_ifindex;
			set_in6(&ret->to, &info.ipi6_addr);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT) {
			memcpy(&ret->ttl, CMSG_DATA(c), sizeof(ret->ttl));
		}
	}
}

/* IPv4 comes with its header. */
static int read_header(struct net_raw_packet *p)
{
	struct iphdr ip;
	size_t header;

	if (p->len < sizeof(ip)) {
		return ERR_SYNTAX;
	}
	memcpy(&ip, p->payload, sizeof(ip));
	header = (size_t)ip.ihl * 4;
	if (header < sizeof(ip) || header > p->len) {
		return ERR_SYNTAX;
	}
	set_in(&p->from, (struct in_addr){ ip.saddr });
	set_in(&p->to, (struct in_addr){ ip.daddr });
	p->ttl = ip.ttl;
	p->payload += header;
	p->len -= header;
	return OK;
}

int net_raw_recv(int fd, int family, void *buf, size_t size, struct net_raw_packet *ret)
{
	struct sockaddr_in6 from = { 0 };
	struct iovec iov = { .iov_base = buf, .iov_len = size };
	union control control;
	struct msghdr msg = {
		.msg_name = &from,
		.msg_namelen = sizeof(from),
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	ssize_t n;

	do {
		n = recvmsg(fd, &msg, MSG_DONTWAIT);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return errno == EAGAIN ? ERR_AGAIN : ERR_SYSTEM;
	}
	memset(ret, 0, sizeof(*ret));
	ret->ttl = -1;
	ret->payload = buf;
	ret->len = (size_t)n;
	read_control(&msg, ret);
	if (family == AF_INET) {
		return read_header(ret);
	}
	set_in6(&ret->from, &from.sin6_addr);
	return OK;
}

/* The source address, and the link where there is one. */
static void write_control(struct msghdr *msg, union control *control, const struct net_addr *from,
                          uint32_t link)
{
	struct cmsghdr *c;

	memset(control, 0, sizeof(*control));
	msg->msg_control = control->bytes;
	if (from->sa.sa_family == AF_INET6) {
		struct in6_pktinfo info = { .ipi6_addr = from->in6.sin6_addr,
			                    .ipi6_ifindex = link };

		msg->msg_controllen = CMSG_SPACE(sizeof(info));
		c = CMSG_FIRSTHDR(msg);
		c->cmsg_level = IPPROTO_IPV6;
		c->cmsg_type = IPV6_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
	} else {
		struct in_pktinfo info = { .ipi_spec_dst = from->in.sin_addr,
			                   .ipi_ifindex = (int)link };

		msg->msg_controllen = CMSG_SPACE(sizeof(info));
		c = CMSG_FIRSTHDR(msg);
		c->cmsg_level = IPPROTO_IP;
		c->cmsg_type = IP_PKTINFO;
		c->cmsg_len = CMSG_LEN(sizeof(info));
		memcpy(CMSG_DATA(c), &info, sizeof(info));
	}
}

int net_raw_send(int fd, const struct net_addr *from, const struct net_addr *to, uint32_t link,
                 const void *payload, size_t len)
{
	struct net_addr dest = *to;
	struct iovec iov = { .iov_base = (void *)(uintptr_t)payload, .iov_len = len };
	struct msghdr msg = {
		.msg_name = &dest.sa, .msg_namelen = dest.len, .msg_iov = &iov, .msg_iovlen = 1
	};
	union control control;
	ssize_t n;

	if (dest.sa.sa_family == AF_INET6) {
		dest.in6.sin6_port = 0;
		if (IN6_IS_ADDR_LINKLOCAL(&dest.in6.sin6_addr) ||
		    IN6_IS_ADDR_MC_LINKLOCAL(&dest.in6.sin6_addr)) {
			dest.in6.sin6_scope_id = link;
		}
	}
	write_control(&msg, &control, from, link);
	do {
		n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return errno == EAGAIN || errno == ENOBUFS ? ERR_AGAIN : ERR_SYSTEM;
	}
	return OK;
}

int net_frame_filter(int fd, const struct sock_filter *program, unsigned n)
{
	struct sock_fprog prog = { .len = (unsigned short)n,
		                   .filter = (struct sock_filter *)(uintptr_t)program };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &prog, sizeof(prog)) != 0 ? ERR_SYSTEM
	                                                                              : OK;
}

int net_frame_open(uint32_t link, uint16_t type, const struct sock_filter *program, unsigned n)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
		                  .sll_protocol = htons(type),
		                  .sll_ifindex = (int)link };
	/* Protocol 0 until it is bound: no frame passes before the filter is there. */
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0) {
		return ERR_SYSTEM;
	}
	if (type == 0) {
		return fd;
	}
	(void)set(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1);
	if (net_frame_filter(fd, program, n) != OK ||
	    bind(fd, (struct sockaddr *)&ll, sizeof(ll)) != 0) {
		return failed(fd);
	}
	return fd;
}

int net_frame_send(int fd, uint32_t link, const void *frame, size_t len)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET,
		                  .sll_ifindex = (int)link,
		                  .sll_halen = ETH_ALEN };
	ssize_t n;

	CHECK(len >= ETH_HLEN);
	memcpy(ll.sll_addr, frame, ETH_ALEN);
	memcpy(&ll.sll_protocol, (const char *)frame + 12, sizeof(ll.sll_protocol));
	do {
		n = sendto(fd, frame, len, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&ll,
		           sizeof(ll));
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return errno == EAGAIN || errno == ENOBUFS ? ERR_AGAIN : ERR_SYSTEM;
	}
	return OK;
}

ssize_t net_frame_recv(int fd, void *buf, size_t size)
{
	struct sockaddr_ll from = { .sll_pkttype = PACKET_HOST };
	socklen_t len = sizeof(from);
	ssize_t n;

	do {
		n = recvfrom(fd, buf, size, MSG_DONTWAIT, (struct sockaddr *)&from, &len);
	} while ((n < 0 && errno == EINTR) || (n >= 0 && from.sll_pkttype == PACKET_OUTGOING));
	if (n < 0) {
		return errno == EAGAIN ? ERR_AGAIN : ERR_SYSTEM;
	}
	return n;
}

uint16_t net_checksum(uint32_t sum, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (; len > 1; len -= 2, p += 2) {
		sum += (uint32_t)p[0] << 8 | p[1];
	}
	if (len > 0) {
		sum += (uint32_t)p[0] << 8;
	}
	while (sum >> 16 != 0) {
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return htons((uint16_t)~sum);
}
