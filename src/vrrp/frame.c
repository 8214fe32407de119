/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of ARP and neighbour discovery, written and read. Role vrrp; pure. */
#include "vrrp/frame.h"

#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>

#include "base/check.h"
#include "net/raw.h"

#define AT_IP6    ETH_HLEN
#define AT_ICMP6  (AT_IP6 + 40)
#define AT_TARGET (AT_ICMP6 + 8)
#define AT_OPTION (AT_TARGET + 16)
#define AT_SENDER (ETH_HLEN + 8) /* of ARP: hardware address, then protocol address */

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static unsigned get16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static size_t write_arp(uint8_t *f, enum vrrp_frame kind, const struct net_addr *ip,
                        const uint8_t mac[6])
{
	uint8_t *arp = f + ETH_HLEN;

	memset(f, 0xff, ETH_ALEN);
	memcpy(f + ETH_ALEN, mac, ETH_ALEN);
	put16(f + 12, ETHERTYPE_ARP);
	put16(arp, ARPHRD_ETHER);
	put16(arp + 2, ETHERTYPE_IP);
	arp[4] = ETH_ALEN;
	arp[5] = 4;
	put16(arp + 6, kind == VRRP_FRAME_REPLY ? ARPOP_REPLY : ARPOP_REQUEST);
	memcpy(arp + 8, mac, ETH_ALEN);
	/* RFC 5227 section 1.1: a probe has no sender address, so that it spoils no cache. */
	if (kind != VRRP_FRAME_PROBE) {
		memcpy(arp + 14, &ip->in.sin_addr, 4);
	}
	if (kind == VRRP_FRAME_REPLY) {
		memcpy(arp + 18, mac, ETH_ALEN);
	}
	memcpy(arp + 24, &ip->in.sin_addr, 4);
	return ETH_HLEN + 28;
}

static void end_icmp6(uint8_t *f, size_t payload)
{
	uint8_t *ip = f + AT_IP6;
	uint16_t sum;
	uint32_t pseudo = IPPROTO_ICMPV6 + (uint32_t)payload;

	ip[0] = 0x60;
	put16(ip + 4, (unsigned)payload);
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = 255;
	for (unsigned i = 8; i < 40; i += 2) { /* both addresses */
		pseudo += get16(ip + i);
	}
	sum = net_checksum(pseudo, f + AT_ICMP6, payload);
	memcpy(f + AT_ICMP6 + 2, &sum, sizeof(sum));
}

/* RFC 9568 section 8.2.2: router flag, not solicited, override. */
static size_t write_na(uint8_t *f, const struct in6_addr *ip, const uint8_t mac[6])
{
	static const uint8_t all_nodes_mac[6] = { 0x33, 0x33, 0, 0, 0, 1 };

	memcpy(f, all_nodes_mac, ETH_ALEN);
	memcpy(f + AT_IP6 + 8, ip, 16);
	f[AT_IP6 + 24] = 0xff;
	f[AT_IP6 + 25] = 0x02;
	f[AT_IP6 + 39] = 0x01;
	f[AT_ICMP6] = ND_NEIGHBOR_ADVERT;
	f[AT_ICMP6 + 4] = 0xa0;
	memcpy(f + AT_TARGET, ip, 16);
	f[AT_OPTION] = ND_OPT_TARGET_LINKADDR;
	f[AT_OPTION + 1] = 1;
	memcpy(f + AT_OPTION + 2, mac, ETH_ALEN);
	end_icmp6(f, 32);
	return AT_OPTION + 8;
}

/* As in duplicate address detection (RFC 4862 section 5.4.2): whoever holds it tells all nodes. */
static size_t write_ns(uint8_t *f, const struct in6_addr *ip)
{
	static const uint8_t solicited[13] = { 0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff };

	f[0] = f[1] = 0x33;
	f[2] = 0xff;
	memcpy(f + 3, &ip->s6_addr[13], 3);
	memcpy(f + AT_IP6 + 24, solicited, sizeof(solicited));
	memcpy(f + AT_IP6 + 24 + 13, &ip->s6_addr[13], 3);
	f[AT_ICMP6] = ND_NEIGHBOR_SOLICIT;
	memcpy(f + AT_TARGET, ip, 16);
	end_icmp6(f, 24);
	return AT_OPTION;
}

size_t vrrp_frame_write(void *out, enum vrrp_frame kind, const struct net_addr *ip,
                        const uint8_t mac[6])
{
	uint8_t *f = out;

	memset(f, 0, VRRP_FRAME_MAX);
	if (ip->sa.sa_family == AF_INET) {
		return write_arp(f, kind, ip, mac);
	}
	if (kind == VRRP_FRAME_REPLY) {
		return 0;
	}
	memcpy(f + ETH_ALEN, mac, ETH_ALEN);
	put16(f + 12, ETHERTYPE_IPV6);
	return kind == VRRP_FRAME_PROBE ? write_ns(f, &ip->in6.sin6_addr)
	                                : write_na(f, &ip->in6.sin6_addr, mac);
}

/* RFC 1112 section 6.4. */
static size_t write_ipv4(uint8_t *f, const struct in_addr *from, const struct in_addr *to,
                         size_t len)
{
	uint8_t *ip = f + ETH_HLEN;
	uint16_t sum;

	f[0] = 0x01;
	f[2] = 0x5e;
	memcpy(f + 3, (const uint8_t *)to + 1, 3);
	f[3] &= 0x7f;
	put16(f + 12, ETHERTYPE_IP);
	ip[0] = 0x45;
	ip[1] = 0xc0; /* precedence "internetwork control" */
	put16(ip + 2, (unsigned)(20 + len));
	put16(ip + 6, 0x4000); /* never in fragments, hence without an identification */
	ip[8] = 255;
	ip[9] = 112;
	memcpy(ip + 12, from, 4);
	memcpy(ip + 16, to, 4);
	sum = net_checksum(0, ip, 20);
	memcpy(ip + 10, &sum, sizeof(sum));
	return ETH_HLEN + 20;
}

/* RFC 2464 section 7. */
static size_t write_ipv6(uint8_t *f, const struct in6_addr *from, const struct in6_addr *to,
                         size_t len)
{
	uint8_t *ip = f + AT_IP6;

	f[0] = f[1] = 0x33;
	memcpy(f + 2, &to->s6_addr[12], 4);
	put16(f + 12, ETHERTYPE_IPV6);
	ip[0] = 0x6c; /* traffic class 0xc0 */
	put16(ip + 4, (unsigned)len);
	ip[6] = 112;
	ip[7] = 255;
	memcpy(ip + 8, from, 16);
	memcpy(ip + 24, to, 16);
	return AT_ICMP6;
}

size_t vrrp_frame_packet(void *out, const uint8_t mac[6], const struct net_addr *from,
                         const struct net_addr *to, const void *payload, size_t len)
{
	uint8_t *f = out;
	size_t at;

	memset(f, 0, VRRP_FRAME_HEADERS);
	memcpy(f + ETH_ALEN, mac, ETH_ALEN);
	at = to->sa.sa_family == AF_INET6
	         ? write_ipv6(f, &from->in6.sin6_addr, &to->in6.sin6_addr, len)
	         : write_ipv4(f, &from->in.sin_addr, &to->in.sin_addr, len);
	memcpy(f + at, payload, len);
	return at + len;
}

static bool claim_arp(const uint8_t *f, size_t len, struct net_addr *ret_ip, uint8_t ret_mac[6])
{
	const uint8_t *arp = f + ETH_HLEN;

	if (len < ETH_HLEN + 28 || get16(f + 12) != ETHERTYPE_ARP ||
	    get16(arp + 2) != ETHERTYPE_IP || arp[4] != ETH_ALEN || arp[5] != 4) {
		return false;
	}
	ret_ip->in.sin_family = AF_INET;
	memcpy(&ret_ip->in.sin_addr, f + AT_SENDER + ETH_ALEN, 4);
	ret_ip->len = sizeof(ret_ip->in);
	memcpy(ret_mac, f + AT_SENDER, ETH_ALEN);
	return ret_ip->in.sin_addr.s_addr != 0;
}

/* RFC 4861 section 7.1.2. */
static bool claim_na(const uint8_t *f, size_t len, struct net_addr *ret_ip, uint8_t ret_mac[6])
{
	if (len < AT_OPTION || get16(f + 12) != ETHERTYPE_IPV6 || f[AT_IP6 + 6] != IPPROTO_ICMPV6 ||
	    f[AT_IP6 + 7] != 255 || f[AT_ICMP6] != ND_NEIGHBOR_ADVERT || f[AT_ICMP6 + 1] != 0) {
		return false;
	}
	ret_ip->in6.sin6_family = AF_INET6;
	memcpy(&ret_ip->in6.sin6_addr, f + AT_TARGET, 16);
	ret_ip->len = sizeof(ret_ip->in6);
	memcpy(ret_mac, f + ETH_ALEN, ETH_ALEN);
	if (len >= AT_OPTION + 8 && f[AT_OPTION] == ND_OPT_TARGET_LINKADDR &&
	    f[AT_OPTION + 1] == 1) {
		memcpy(ret_mac, f + AT_OPTION + 2, ETH_ALEN);
	}
	return true;
}

bool vrrp_frame_claim(const void *frame, size_t len, bool ipv6, struct net_addr *ret_ip,
                      uint8_t ret_mac[6])
{
	memset(ret_ip, 0, sizeof(*ret_ip));
	return ipv6 ? claim_na(frame, len, ret_ip, ret_mac)
	            : claim_arp(frame, len, ret_ip, ret_mac);
}

unsigned vrrp_frame_filter(struct sock_filter *out, const struct net_addr *ips, unsigned n,
                           bool ipv6)
{
	unsigned k = 0;

	/* The last four bytes tell nearly all apart; the rest is compared when it is read. */
	out[k++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
	                                        ipv6 ? AT_TARGET + 12 : AT_SENDER + ETH_ALEN);
	for (unsigned i = 0; i < n; i++) {
		const uint8_t *word =
		    ipv6 ? &ips[i].in6.sin6_addr.s6_addr[12] : (const uint8_t *)&ips[i].in.sin_addr;

		out[k++] =
		    (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, get32(word), 0, 1);
		out[k++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, VRRP_FRAME_MAX);
	}
	out[k++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
	CHECK(k == VRRP_FRAME_FILTER(n));
	return k;
}

uint16_t vrrp_frame_type(bool ipv6)
{
	return ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_ARP;
}
