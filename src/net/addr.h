/* SPDX-License-Identifier: Apache-2.0 */
/* Socket addresses and networks: IPv4, IPv6 and unix paths, parsed and printed. */
#ifndef NET_ADDR_H
#define NET_ADDR_H

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/str.h"

struct net_addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
		struct sockaddr_un un;
	};
	socklen_t len;
	bool wildcard; /* "*:80": IPv4 and IPv6 by one dual-stack socket */
};

#define NET_ADDR_TEXT 128 /* enough for every printed address */

/*
 * "1.2.3.4:80", "[::1]:80", "*:80", "0.0.0.0:80", "[::]:80", "unix:/path" (at most 107 bytes).
 * Returns OK, ERR_INVALID, or ERR_NOT_FOUND where the host is a name (see net_resolve); *ret_why
 * (may be NULL) gets a static sentence for the user on failure.
 */
int net_addr_parse(struct str text, struct net_addr *ret, const char **ret_why);
/* An IPv4 or IPv6 address alone, without port and zone: port 0. OK or ERR_INVALID. */
int net_ip_parse(struct str text, struct net_addr *ret);
/* "name:port" by getaddrinfo (blocks; loader only), first IPv4, else IPv6 address. */
int net_resolve(struct str text, struct net_addr *ret, const char **ret_why);
/* "1.2.3.4:80", "[::1]:80", "*:80", "unix:/path". Returns out. */
const char *net_addr_format(const struct net_addr *a, char out[NET_ADDR_TEXT]);
/* The address without the port, IPv4-mapped IPv6 as IPv4; "unix" for unix sockets. */
const char *net_addr_host(const struct net_addr *a, char out[NET_ADDR_TEXT]);
uint16_t net_addr_port(const struct net_addr *a);
/* The netmask of a prefix length, host order. */
static inline uint32_t net_ipv4_mask(uint32_t prefix)
{
	return prefix >= 32 ? UINT32_MAX : ~(UINT32_MAX >> prefix);
}

bool net_addr_eq(const struct net_addr *a, const struct net_addr *b);
/* Compares the IP addresses alone, as memcmp does: by family, then in network order. */
int net_addr_compare_ip(const struct net_addr *a, const struct net_addr *b);
static inline bool net_addr_same_ip(const struct net_addr *a, const struct net_addr *b)
{
	return net_addr_compare_ip(a, b) == 0;
}
/* The same first `bits` of two IP addresses. */
bool net_addr_near(const struct net_addr *a, const struct net_addr *b, uint32_t bits);

/* A network, IPv4 kept in its IPv6-mapped form: compare 128 bits under one mask length. */
struct net_cidr {
	uint8_t bytes[16];
	uint8_t bits; /* 0 … 128, counted in the mapped form */
};

/* "10.0.0.0/8", "fd00::/8", "192.0.2.1" (a /32); "unix" matches unix-socket clients (bits 255). */
int net_cidr_parse(struct str text, struct net_cidr *ret);
const char *net_cidr_format(const struct net_cidr *n, char out[NET_ADDR_TEXT]);
bool net_cidr_has(const struct net_cidr *n, const struct net_addr *a);

#endif
