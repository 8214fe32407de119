/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ethernet frames by which addresses are announced, asked for and claimed: ARP (RFC 826, 5227) and
 * neighbour discovery (RFC 4861); and those that carry advertisements. Pure: frames are built, and
 * strangers' read; fuzzed (tests/fuzz/fuzz_vrrp_frame.c).
 */
#ifndef VRRP_FRAME_H
#define VRRP_FRAME_H

#include <linux/filter.h>
#include <stdbool.h>

#include "net/addr.h"

#define VRRP_FRAME_MAX 128

enum vrrp_frame {
	VRRP_FRAME_REQUEST, /* gratuitous ARP request; IPv6: unsolicited advertisement, R=1 S=0 O=1
	                     */
	VRRP_FRAME_REPLY,   /* gratuitous ARP reply; IPv6: none */
	VRRP_FRAME_PROBE,   /* "does anybody hold this?", without saying who asks */
};

/* Writes a frame about ip from the interface with that MAC into out (VRRP_FRAME_MAX bytes). Returns
 * its length; 0: there is none of that kind in the family. */
size_t vrrp_frame_write(void *out, enum vrrp_frame kind, const struct net_addr *ip,
                        const uint8_t mac[6]);

#define VRRP_FRAME_HEADERS 54 /* at most, before the payload */
/* Writes an IP packet of protocol 112 to a multicast group as a frame: TTL or hop limit 255,
 * precedence of network control. Returns its length, at most len + VRRP_FRAME_HEADERS. */
size_t vrrp_frame_packet(void *out, const uint8_t mac[6], const struct net_addr *from,
                         const struct net_addr *to, const void *payload, size_t len);

/* Reads a frame in which somebody says that an address is his: an ARP packet with a sender, or a
 * neighbour advertisement. false: it is no such frame. */
bool vrrp_frame_claim(const void *frame, size_t len, bool ipv6, struct net_addr *ret_ip,
                      uint8_t ret_mac[6]);

#define VRRP_FRAME_FILTER(n) (2 * (n) + 2) /* instructions for n addresses */
/* A filter for a socket of that family's frames (ARP or IPv6), that passes those which may claim
 * one of the addresses. Returns the number of instructions. */
unsigned vrrp_frame_filter(struct sock_filter *out, const struct net_addr *ips, unsigned n,
                           bool ipv6);
/* The Ethernet type of the frames that may claim an address. */
uint16_t vrrp_frame_type(bool ipv6);

#endif
