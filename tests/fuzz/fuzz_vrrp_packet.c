/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Advertisements that strangers send: two bytes say what is expected (see below), the rest is the
 * packet. What is taken is written again and read again, and means the same.
 */
#include <arpa/inet.h>
#include <stdlib.h>

#include "base/check.h"
#include "vrrp/packet.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { V2 = 1, IPV6 = 2, PASSWORD = 4, ANY_TTL = 8, WRONG_TTL = 16, RIGHT_CHECKSUM = 32 };

static struct net_addr address(bool ipv6, const char *v4, const char *v6)
{
	struct net_addr a = { .len = sizeof(a.in) };

	if (ipv6) {
		a.in6.sin6_family = AF_INET6;
		a.len = sizeof(a.in6);
		CHECK(inet_pton(AF_INET6, v6, &a.in6.sin6_addr) == 1);
	} else {
		a.in.sin_family = AF_INET;
		CHECK(inet_pton(AF_INET, v4, &a.in.sin_addr) == 1);
	}
	return a;
}

/* So that the fuzzer gets behind the checksum: the one without the pseudo-header. */
static void mend_checksum(uint8_t *p, size_t len)
{
	unsigned sum = 0;

	if (len < 8)
		return;
	p[6] = p[7] = 0;
	for (size_t i = 0; i < len; i++)
		sum += i % 2 == 0 ? (unsigned)p[i] << 8 : p[i];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	p[6] = (uint8_t)(sum >> 8);
	p[7] = (uint8_t)sum;
}

static void check_same(const struct vrrp_advert *a, const struct vrrp_wire *expected,
                       const struct net_addr *from, const struct net_addr *to)
{
	struct vrrp_wire wire = *expected;
	uint8_t out[VRRP_MAX_PACKET];
	struct vrrp_advert again;
	size_t len;

	wire.interval_cs = a->interval_cs;
	wire.plain_checksum = a->plain_checksum;
	len = vrrp_packet_write(out, &wire, a->priority, a->addresses, a->naddresses, from, to);
	CHECK(len <= sizeof(out) && vrrp_packet_vrid(out, len) == wire.vrid);
	CHECK(vrrp_packet_read(out, len, &wire, from, to, 255, &again) == VIP_DROPS);
	CHECK(again.priority == a->priority && again.interval_cs == a->interval_cs);
	CHECK(again.naddresses == a->naddresses);
	for (unsigned i = 0; i < a->naddresses; i++)
		CHECK(net_addr_eq(&again.addresses[i], &a->addresses[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct vrrp_wire wire = { .version = 3, .interval_cs = 100 };
	struct net_addr from, to;
	struct vrrp_advert a;
	enum vip_drop drop;
	uint8_t *packet;

	if (size < 2)
		return 0;
	wire.version = data[0] & V2 ? 2 : 3;
	wire.ipv6 = data[0] & IPV6 && wire.version == 3;
	wire.password = data[0] & PASSWORD ? "geheim" : NULL;
	wire.any_ttl = data[0] & ANY_TTL;
	wire.vrid = data[1];
	from = address(wire.ipv6, "10.9.0.1", "fe80::f071:e2ff:fe93:9b40");
	to = address(wire.ipv6, "224.0.0.18", "ff02::12");
	/* At an odd address, in a block that ends where the packet does. */
	packet = malloc(size - 1);
	CHECK(packet != NULL);
	memcpy(packet, data + 1, size - 1);
	if (data[0] & RIGHT_CHECKSUM)
		mend_checksum(packet + 1, size - 2);
	drop = vrrp_packet_read(packet + 1, size - 2, &wire, &from, &to,
	                        data[0] & WRONG_TTL ? 254 : 255, &a);
	CHECK(drop <= VIP_DROPS);
	if (drop == VIP_DROPS) {
		CHECK(a.vrid == wire.vrid && a.naddresses > 0 && a.interval_cs > 0);
		check_same(&a, &wire, &from, &to);
	}
	free(packet);
	return 0;
}
