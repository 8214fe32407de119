/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Advertisements on the wire, both versions. Role vrrp; pure.
 *
 *  0                   1                   2                   3
 * +-------+-------+---------------+---------------+---------------+
 * |version| type  |   router id   |   priority    | addresses (n) |
 * +-------+-------+---------------+---------------+---------------+
 * | 3: reserved 4, interval 12 cs |           checksum            |
 * | 2: kind of auth., interval s  |                               |
 * +-------------------------------+-------------------------------+
 * | n addresses; with version 2 eight bytes of authentication     |
 */
#include "vrrp/packet.h"

#include <string.h>

#include "base/check.h"

#define HEADER    8
#define AUTH_DATA 8 /* RFC 3768 section 5.3.10: always there */

#define TYPE_ADVERTISEMENT 1
#define TTL_WANTED         255
#define MAX_INTERVAL_CS    4095 /* 12 bits */
#define MAX_INTERVAL_S     255
#define CS_PER_S           100

static unsigned get_u16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

/* Adds the big-endian 16-bit words of data to a sum that is folded later (RFC 1071). */
static uint64_t sum_words(uint64_t sum, const void *data, size_t len)
{
	const uint8_t *p = data;

	for (; len > 1; p += 2, len -= 2)
		sum += get_u16(p);
	return len > 0 ? sum + ((unsigned)p[0] << 8) : sum;
}

static uint16_t fold(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static const void *ip_bytes(const struct net_addr *a, size_t *ret_len)
{
	if (a->sa.sa_family == AF_INET6) {
		*ret_len = sizeof(a->in6.sin6_addr);
		return &a->in6.sin6_addr;
	}
	*ret_len = sizeof(a->in.sin_addr);
	return &a->in.sin_addr;
}

/* RFC 8200 section 8.1, and the like for IPv4. */
static uint64_t sum_pseudo_header(const struct net_addr *from, const struct net_addr *to,
                                  size_t len)
{
	uint64_t sum = VRRP_PROTOCOL + (len >> 16) + (len & 0xffff);
	const void *bytes;
	size_t n;

	bytes = ip_bytes(from, &n);
	sum = sum_words(sum, bytes, n);
	bytes = ip_bytes(to, &n);
	return sum_words(sum, bytes, n);
}

static size_t address_size(bool ipv6)
{
	return ipv6 ? sizeof(struct in6_addr) : sizeof(struct in_addr);
}

static size_t expected_len(unsigned version, unsigned naddresses, bool ipv6)
{
	return HEADER + naddresses * address_size(ipv6) + (version == 2 ? AUTH_DATA : 0);
}

/* Whether the checksum is one that is taken; which one it is goes to *ret_plain. */
static bool checksum_holds(const uint8_t *p, size_t len, const struct vrrp_wire *wire,
                           const struct net_addr *from, const struct net_addr *to, bool *ret_plain)
{
	uint64_t sum = sum_words(0, p, len);

	if (wire->version == 2)
		return fold(sum) == 0xffff;
	if (fold(sum + sum_pseudo_header(from, to, len)) == 0xffff) {
		*ret_plain = false;
		return true;
	}
	/* RFC 9568 section 5.2.8: none over IPv4; others send one nevertheless. */
	*ret_plain = true;
	return !wire->ipv6 && fold(sum) == 0xffff;
}

/* RFC 3768 section 5.3.6 (types as RFC 2338 has them): the same kind and the same password. */
static bool auth_holds(const uint8_t *p, size_t len, const struct vrrp_wire *wire)
{
	char want[AUTH_DATA] = "";
	unsigned differ = 0;

	if (wire->password == NULL || wire->password[0] == '\0')
		return p[4] == VRRP_AUTH_NONE;
	if (p[4] != VRRP_AUTH_SIMPLE)
		return false;
	memcpy(want, wire->password, strnlen(wire->password, AUTH_DATA));
	for (unsigned i = 0; i < AUTH_DATA; i++)
		differ |= (unsigned)(uint8_t)want[i] ^ p[len - AUTH_DATA + i];
	return differ == 0;
}

static void read_addresses(struct vrrp_advert *ret, const uint8_t *p, unsigned n, bool ipv6)
{
	ret->naddresses = MIN(n, (unsigned)VRRP_MAX_ADDRESSES);
	for (unsigned i = 0; i < ret->naddresses; i++) {
		struct net_addr *a = &ret->addresses[i];

		*a = (struct net_addr){ .len = sizeof(a->in) };
		if (ipv6) {
			a->in6.sin6_family = AF_INET6;
			memcpy(&a->in6.sin6_addr, p, sizeof(a->in6.sin6_addr));
			a->len = sizeof(a->in6);
		} else {
			a->in.sin_family = AF_INET;
			memcpy(&a->in.sin_addr, p, sizeof(a->in.sin_addr));
		}
		p += address_size(ipv6);
	}
}

/* RFC 9568 section 7.1, RFC 3768 section 7.1; in the order of enum vip_drop. */
enum vip_drop vrrp_packet_read(const void *bytes, size_t len, const struct vrrp_wire *wire,
                               const struct net_addr *from, const struct net_addr *to, unsigned ttl,
                               struct vrrp_advert *ret)
{
	const uint8_t *p = bytes;
	bool fits, other_fits;

	*ret = (struct vrrp_advert){ .vrid = 0 };
	if (!wire->any_ttl && ttl != TTL_WANTED)
		return VIP_DROP_TTL;
	if (len < HEADER)
		return VIP_DROP_LENGTH;
	ret->version = p[0] >> 4;
	if (ret->version != wire->version)
		return VIP_DROP_VERSION;
	if ((p[0] & 0xf) != TYPE_ADVERTISEMENT)
		return VIP_DROP_TYPE;
	fits = len == expected_len(wire->version, p[3], wire->ipv6);
	other_fits = len == expected_len(wire->version, p[3], !wire->ipv6);
	if (!fits && !other_fits)
		return VIP_DROP_LENGTH;
	ret->vrid = p[1];
	if (!checksum_holds(p, len, wire, from, to, &ret->plain_checksum))
		return VIP_DROP_CHECKSUM;
	if (ret->vrid != wire->vrid)
		return VIP_DROP_VRID;
	if (p[3] == 0)
		return VIP_DROP_COUNT;
	ret->priority = p[2];
	ret->interval_cs = wire->version == 2 ? p[5] * CS_PER_S : get_u16(p + 4) & MAX_INTERVAL_CS;
	if (ret->interval_cs == 0 || (wire->version == 2 && ret->interval_cs != wire->interval_cs))
		return VIP_DROP_INTERVAL;
	if (wire->version == 2 && !auth_holds(p, len, wire))
		return VIP_DROP_AUTH;
	if (!fits || (from->sa.sa_family == AF_INET6) != wire->ipv6)
		return VIP_DROP_FAMILY;
	read_addresses(ret, p + HEADER, p[3], wire->ipv6);
	return VIP_DROPS;
}

int vrrp_packet_vrid(const void *bytes, size_t len)
{
	return len < 2 ? -1 : ((const uint8_t *)bytes)[1];
}

size_t vrrp_packet_write(void *out, const struct vrrp_wire *wire, unsigned priority,
                         const struct net_addr *addresses, unsigned naddresses,
                         const struct net_addr *from, const struct net_addr *to)
{
	size_t len = expected_len(wire->version, naddresses, wire->ipv6), size;
	uint8_t *p = out, *at = p + HEADER;
	uint64_t sum;
	uint16_t checksum;

	CHECK(naddresses <= VRRP_MAX_ADDRESSES && priority <= UINT8_MAX);
	memset(p, 0, len);
	p[0] = (uint8_t)(wire->version << 4 | TYPE_ADVERTISEMENT);
	p[1] = wire->vrid;
	p[2] = (uint8_t)priority;
	p[3] = (uint8_t)naddresses;
	for (unsigned i = 0; i < naddresses; i++, at += size) {
		const void *ip = ip_bytes(&addresses[i], &size);

		CHECK(size == address_size(wire->ipv6));
		memcpy(at, ip, size);
	}
	if (wire->version == 2) {
		p[5] = (uint8_t)MIN(wire->interval_cs / CS_PER_S, (uint32_t)MAX_INTERVAL_S);
		if (wire->password != NULL && wire->password[0] != '\0') {
			p[4] = VRRP_AUTH_SIMPLE;
			memcpy(at, wire->password, strnlen(wire->password, AUTH_DATA));
		}
	} else {
		uint32_t interval = MIN(wire->interval_cs, (uint32_t)MAX_INTERVAL_CS);

		p[4] = (uint8_t)(interval >> 8);
		p[5] = (uint8_t)interval;
	}
	sum = sum_words(0, p, len);
	if (wire->version != 2 && (wire->ipv6 || !wire->plain_checksum))
		sum += sum_pseudo_header(from, to, len);
	checksum = (uint16_t)~fold(sum);
	p[6] = (uint8_t)(checksum >> 8);
	p[7] = (uint8_t)checksum;
	return len;
}
