/* SPDX-License-Identifier: Apache-2.0 */
/* Networks: parsing, printing, membership. Pure functions; any role, any thread. */
#include <arpa/inet.h>
#include <stdio.h>

#include "base/err.h"
#include "net/addr.h"

#define BITS_UNIX    255
#define MAPPED_BITS  96
#define MAPPED_BYTES 12

static const uint8_t mapped[MAPPED_BYTES] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };

static bool is_mapped(const uint8_t bytes[16])
{
	return memcmp(bytes, mapped, MAPPED_BYTES) == 0;
}

/* Clears what lies behind the mask. */
static void mask(uint8_t bytes[16], unsigned bits)
{
	for (unsigned i = 0; i < 16; i++) {
		if (bits >= 8 * (i + 1)) {
			continue;
		}
		bytes[i] &= bits > 8 * i ? (uint8_t)(0xff << (8 * (i + 1) - bits)) : 0;
	}
}

int net_cidr_parse(struct str text, struct net_cidr *ret)
{
	char address[INET6_ADDRSTRLEN];
	struct str length, host = str_split(text, '/', &length);
	unsigned base = 0;
	uint64_t n;

	memset(ret, 0, sizeof(*ret));
	if (str_eq(text, STR("unix"))) {
		ret->bits = BITS_UNIX;
		return OK;
	}
	if (host.len == 0 || host.len >= sizeof(address) ||
	    memchr(host.s, '\0', host.len) != NULL) {
		return ERR_INVALID;
	}
	memcpy(address, host.s, host.len);
	address[host.len] = '\0';
	if (inet_pton(AF_INET, address, ret->bytes + MAPPED_BYTES) == 1) {
		memcpy(ret->bytes, mapped, MAPPED_BYTES);
		base = MAPPED_BITS;
	} else if (inet_pton(AF_INET6, address, ret->bytes) != 1) {
		return ERR_INVALID;
	}
	n = 128 - base;
	if (length.s != NULL && str_to_u64(length, 128 - base, &n) != OK) {
		return ERR_INVALID;
	}
	ret->bits = (uint8_t)(base + n);
	mask(ret->bytes, ret->bits);
	return OK;
}

const char *net_cidr_format(const struct net_cidr *n, char out[NET_ADDR_TEXT])
{
	bool v4 = n->bits >= MAPPED_BITS && is_mapped(n->bytes);
	size_t len;

	if (n->bits == BITS_UNIX) {
		return strcpy(out, "unix");
	}
	inet_ntop(v4 ? AF_INET : AF_INET6, v4 ? n->bytes + MAPPED_BYTES : n->bytes, out,
	          NET_ADDR_TEXT);
	if (n->bits < 128) {
		len = strlen(out);
		snprintf(out + len, NET_ADDR_TEXT - len, "/%u",
		         v4 ? n->bits - (unsigned)MAPPED_BITS : n->bits);
	}
	return out;
}

bool net_cidr_has(const struct net_cidr *n, const struct net_addr *a)
{
	uint8_t bytes[16];

	switch (a->sa.sa_family) {
	case AF_UNIX:
		return n->bits == BITS_UNIX;
	case AF_INET:
		memcpy(bytes, mapped, MAPPED_BYTES);
		memcpy(bytes + MAPPED_BYTES, &a->in.sin_addr, 4);
		break;
	case AF_INET6:
		memcpy(bytes, &a->in6.sin6_addr, 16);
		break;
	default:
		return false;
	}
	/* A short IPv6 prefix such as ::/0 means IPv6: it must not trust all of IPv4 too. */
	if (n->bits > 128 || (n->bits < MAPPED_BITS && is_mapped(bytes))) {
		return false;
	}
	mask(bytes, n->bits);
	return memcmp(bytes, n->bytes, 16) == 0;
}
