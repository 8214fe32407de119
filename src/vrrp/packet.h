/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Advertisements on the wire: version 2 (RFC 3768) and version 3 (RFC 9568). Pure: bytes in, a
 * struct or the reason for a drop out. Strangers' bytes; fuzzed (tests/fuzz/fuzz_vrrp_packet.c).
 */
#ifndef VRRP_PACKET_H
#define VRRP_PACKET_H

#include <stddef.h>

#include "net/addr.h"
#include "stat/vip.h"

#define VRRP_PROTOCOL      112
#define VRRP_MAX_ADDRESSES 64 /* that we send or look at in one advertisement */
#define VRRP_MAX_PACKET    1100

enum vrrp_auth { VRRP_AUTH_NONE, VRRP_AUTH_SIMPLE };

/* What we expect of packets for one virtual router, and how we send them. */
struct vrrp_wire {
	uint8_t version; /* 2 or 3 */
	uint8_t vrid;
	bool ipv6;
	bool plain_checksum;  /* version 3 over IPv4 is sent without the pseudo-header */
	bool any_ttl;         /* unicast peers: the TTL is not checked */
	uint32_t interval_cs; /* version 2 drops another one than this */
	const char *password; /* version 2; "" or NULL: no authentication; at most 8 characters */
};

struct vrrp_advert {
	uint8_t version;
	uint8_t vrid;
	uint8_t priority;
	uint32_t interval_cs;
	bool plain_checksum; /* it came without the pseudo-header */
	unsigned naddresses;
	struct net_addr addresses[VRRP_MAX_ADDRESSES];
};

/*
 * Reads the payload of an IP packet of protocol 112 (without the IP header). from, to: its IP
 * addresses, for the pseudo-header. ttl: as received. Both checksums are accepted with version 3
 * over IPv4. VIP_DROPS when it is taken, else why not; *ret is complete only when it is taken, but
 * ret->vrid is set from VIP_DROP_CHECKSUM on for whoever must find the virtual router first.
 */
enum vip_drop vrrp_packet_read(const void *bytes, size_t len, const struct vrrp_wire *wire,
                               const struct net_addr *from, const struct net_addr *to, unsigned ttl,
                               struct vrrp_advert *ret);
/* The virtual router id of what may be an advertisement: -1 when it is too short to have one. */
int vrrp_packet_vrid(const void *bytes, size_t len);

/*
 * Writes an advertisement into out (VRRP_MAX_PACKET bytes). addresses: of the virtual router, at
 * most VRRP_MAX_ADDRESSES, IPv6 link-local first. Returns its length.
 */
size_t vrrp_packet_write(void *out, const struct vrrp_wire *wire, unsigned priority,
                         const struct net_addr *addresses, unsigned naddresses,
                         const struct net_addr *from, const struct net_addr *to);

#endif
