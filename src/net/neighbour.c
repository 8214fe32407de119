/* SPDX-License-Identifier: Apache-2.0 */
/* Questions to neighbours on a link, and their answers. Role vrrp, main thread. */
#include "net/neighbour.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"

#define TAKEN_AT_ONCE 64
#define ND_HOP_LIMIT  255

/* Closes and keeps the errno of what failed. Returns ERR_SYSTEM. */
static int fail(int fd)
{
	int saved = errno;

	close(fd);
	errno = saved;
	return ERR_SYSTEM;
}

/* --- ARP ------------------------------------------------------------------------------------ */

/* Only replies: other hosts' broadcasts need not wake us. */
static int only_replies(int fd)
{
	static struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, offsetof(struct arphdr, ar_op)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARPOP_REPLY, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, sizeof(struct ether_arp)),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = ARRAY_LEN(code), .filter = code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static int open_arp(uint32_t link)
{
	struct sockaddr_ll on = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ARP),
		.sll_ifindex = (int)link,
	};
	/* Protocol 0 until it is bound and filtered: nothing of other links gets in. */
	int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return ERR_SYSTEM;
	if (only_replies(fd) < 0 || bind(fd, (struct sockaddr *)&on, sizeof(on)) < 0)
		return fail(fd);
	return fd;
}

static int ask_arp(int fd, uint32_t link, const uint8_t mac[6], const struct net_addr *from,
                   const struct net_addr *target)
{
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_ARP),
		.sll_ifindex = (int)link,
		.sll_halen = ETH_ALEN,
		.sll_addr = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
	};
	struct ether_arp arp = {
		.ea_hdr = { .ar_hrd = htons(ARPHRD_ETHER),
		            .ar_pro = htons(ETH_P_IP),
		            .ar_hln = ETH_ALEN,
		            .ar_pln = sizeof(struct in_addr),
		            .ar_op = htons(ARPOP_REQUEST) },
	};

	memcpy(arp.arp_sha, mac, ETH_ALEN);
	if (from != NULL)
		memcpy(arp.arp_spa, &from->in.sin_addr, sizeof(arp.arp_spa));
	memcpy(arp.arp_tpa, &target->in.sin_addr, sizeof(arp.arp_tpa));
	return sendto(fd, &arp, sizeof(arp), 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? ERR_SYSTEM
	                                                                                : OK;
}

static bool is_arp_of(const void *packet, size_t len, const struct net_addr *target)
{
	struct ether_arp arp;

	if (len < sizeof(arp))
		return false;
	memcpy(&arp, packet, sizeof(arp));
	return arp.ea_hdr.ar_op == htons(ARPOP_REPLY) && arp.ea_hdr.ar_pln == sizeof(arp.arp_spa) &&
	       arp.ea_hdr.ar_hln == ETH_ALEN &&
	       memcmp(arp.arp_spa, &target->in.sin_addr, sizeof(arp.arp_spa)) == 0;
}

/* --- neighbour solicitation ----------------------------------------------------------------- */

static int open_nd(uint32_t link)
{
	struct icmp6_filter filter;
	int hops = ND_HOP_LIMIT;
	int index = (int)link;
	int on = 1;
	int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6);

	if (fd < 0)
		return ERR_SYSTEM;
	ICMP6_FILTER_SETBLOCKALL(&filter);
	ICMP6_FILTER_SETPASS(ND_NEIGHBOR_ADVERT, &filter);
	if (setsockopt(fd, IPPROTO_ICMPV6, ICMP6_FILTER, &filter, sizeof(filter)) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops)) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT, &on, sizeof(on)) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof(index)) < 0)
		return fail(fd);
	return fd;
}

/* To the solicited-node multicast address of the target (RFC 4291 section 2.7.1). */
static int ask_nd(int fd, uint32_t link, const uint8_t mac[6], const struct net_addr *target)
{
	struct {
		struct nd_neighbor_solicit head;
		struct nd_opt_hdr option;
		uint8_t mac[ETH_ALEN];
	} __attribute__((packed)) ask = {
		.head.nd_ns_type = ND_NEIGHBOR_SOLICIT,
		.head.nd_ns_target = target->in6.sin6_addr,
		.option = { .nd_opt_type = ND_OPT_SOURCE_LINKADDR, .nd_opt_len = 1 },
	};
	struct sockaddr_in6 to = {
		.sin6_family = AF_INET6,
		.sin6_scope_id = link,
		.sin6_addr = { .s6_addr = { 0xff, 0x02, [11] = 0x01, [12] = 0xff } },
	};

	memcpy(ask.mac, mac, ETH_ALEN);
	memcpy(&to.sin6_addr.s6_addr[13], &target->in6.sin6_addr.s6_addr[13], 3);
	return sendto(fd, &ask, sizeof(ask), 0, (struct sockaddr *)&to, sizeof(to)) < 0 ? ERR_SYSTEM
	                                                                                : OK;
}

/* Another hop limit has come through a router: not from the link (RFC 4861 section 7.1.2). */
static bool is_nd_of(const void *packet, size_t len, int hops, const struct net_addr *target)
{
	struct nd_neighbor_advert advert;

	if (len < sizeof(advert) || hops != ND_HOP_LIMIT)
		return false;
	memcpy(&advert, packet, sizeof(advert));
	return advert.nd_na_type == ND_NEIGHBOR_ADVERT &&
	       memcmp(&advert.nd_na_target, &target->in6.sin6_addr, sizeof(struct in6_addr)) == 0;
}

/* --- both ----------------------------------------------------------------------------------- */

int net_neighbour_open(int family, uint32_t link)
{
	return family == AF_INET6 ? open_nd(link) : open_arp(link);
}

int net_neighbour_ask(int fd, uint32_t link, const uint8_t mac[6], const struct net_addr *from,
                      const struct net_addr *target)
{
	return target->sa.sa_family == AF_INET6 ? ask_nd(fd, link, mac, target)
	                                        : ask_arp(fd, link, mac, from, target);
}

/* One packet and its hop limit (-1: not told). Its length, or -1 with errno. */
static ssize_t take(int fd, void *packet, size_t size, int *ret_hops)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = packet, .iov_len = size };
	struct msghdr m = { .msg_iov = &iov,
		            .msg_iovlen = 1,
		            .msg_control = &control,
		            .msg_controllen = sizeof(control) };
	ssize_t n = recvmsg(fd, &m, 0);

	*ret_hops = -1;
	for (struct cmsghdr *c = n >= 0 ? CMSG_FIRSTHDR(&m) : NULL; c != NULL;
	     c = CMSG_NXTHDR(&m, c)) {
		if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT)
			memcpy(ret_hops, CMSG_DATA(c), sizeof(*ret_hops));
	}
	return n;
}

bool net_neighbour_answered(int fd, const struct net_addr *target)
{
	bool nd = target->sa.sa_family == AF_INET6;
	bool found = false;
	char packet[256];

	for (unsigned i = 0; i < TAKEN_AT_ONCE; i++) {
		int hops;
		ssize_t n = take(fd, packet, sizeof(packet), &hops);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		found |= nd ? is_nd_of(packet, (size_t)n, hops, target)
		            : is_arp_of(packet, (size_t)n, target);
	}
	return found;
}
