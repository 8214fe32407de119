/* SPDX-License-Identifier: Apache-2.0 */
/* Socket addresses as text, and their comparison. Pure functions; any role, any thread. */
#include "net/addr.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <stddef.h>
#include <stdio.h>

/* The bare address; an IPv4-mapped one (RFC 4291, section 2.5.5.2) as IPv4. True for IPv6 text. */
static bool format_ip(const struct net_addr *a, char out[NET_ADDR_TEXT])
{
	char zone[IF_NAMESIZE];
	size_t n;

	if (a->sa.sa_family == AF_INET) {
		inet_ntop(AF_INET, &a->in.sin_addr, out, NET_ADDR_TEXT);
		return false;
	}
	if (IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr)) {
		inet_ntop(AF_INET, &a->in6.sin6_addr.s6_addr[12], out, NET_ADDR_TEXT);
		return false;
	}
	inet_ntop(AF_INET6, &a->in6.sin6_addr, out, NET_ADDR_TEXT);
	if (a->in6.sin6_scope_id != 0) {
		n = strlen(out);
		if (if_indextoname(a->in6.sin6_scope_id, zone) != NULL) {
			snprintf(out + n, NET_ADDR_TEXT - n, "%%%s", zone);
		} else {
			snprintf(out + n, NET_ADDR_TEXT - n, "%%%u", a->in6.sin6_scope_id);
		}
	}
	return true;
}

/* Length of the path; 0 for an unnamed socket or one without a path in the file system. */
static int unix_path_length(const struct net_addr *a)
{
	size_t offset = offsetof(struct sockaddr_un, sun_path);

	if (a->len <= offset) {
		return 0;
	}
	return (int)strnlen(a->un.sun_path, a->len - offset);
}

const char *net_addr_format(const struct net_addr *a, char out[NET_ADDR_TEXT])
{
	char host[NET_ADDR_TEXT];

	if (a->wildcard) {
		snprintf(out, NET_ADDR_TEXT, "*:%u", net_addr_port(a));
	} else if (a->sa.sa_family == AF_UNIX) {
		snprintf(out, NET_ADDR_TEXT, "unix:%.*s", unix_path_length(a), a->un.sun_path);
	} else if (a->sa.sa_family != AF_INET && a->sa.sa_family != AF_INET6) {
		strcpy(out, "unknown");
	} else if (format_ip(a, host)) {
		snprintf(out, NET_ADDR_TEXT, "[%.*s]:%u", NET_ADDR_TEXT - 10, host,
		         net_addr_port(a));
	} else {
		snprintf(out, NET_ADDR_TEXT, "%.*s:%u", INET_ADDRSTRLEN, host, net_addr_port(a));
	}
	return out;
}

const char *net_addr_host(const struct net_addr *a, char out[NET_ADDR_TEXT])
{
	if (a->wildcard) {
		strcpy(out, "*");
	} else if (a->sa.sa_family == AF_UNIX) {
		strcpy(out, "unix");
	} else if (a->sa.sa_family == AF_INET || a->sa.sa_family == AF_INET6) {
		format_ip(a, out);
	} else {
		strcpy(out, "unknown");
	}
	return out;
}

uint16_t net_addr_port(const struct net_addr *a)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		return ntohs(a->in.sin_port);
	case AF_INET6:
		return ntohs(a->in6.sin6_port);
	default:
		return 0;
	}
}

static bool unix_eq(const struct net_addr *a, const struct net_addr *b)
{
	int n = unix_path_length(a);

	return n == unix_path_length(b) && memcmp(a->un.sun_path, b->un.sun_path, (size_t)n) == 0;
}

int net_addr_compare_ip(const struct net_addr *a, const struct net_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family) {
		return a->sa.sa_family < b->sa.sa_family ? -1 : 1;
	}
	return a->sa.sa_family == AF_INET6
	           ? memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr))
	           : memcmp(&a->in.sin_addr, &b->in.sin_addr, sizeof(a->in.sin_addr));
}

bool net_addr_eq(const struct net_addr *a, const struct net_addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family || a->wildcard != b->wildcard) {
		return false;
	}
	switch (a->sa.sa_family) {
	case AF_INET:
		return a->in.sin_port == b->in.sin_port &&
		       a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	case AF_INET6:
		return a->in6.sin6_port == b->in6.sin6_port &&
		       a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
		       memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, 16) == 0;
	case AF_UNIX:
		return unix_eq(a, b);
	default:
		return false;
	}
}

static const uint8_t *ip_bytes(const struct net_addr *a, uint32_t *ret_bits)
{
	switch (a->sa.sa_family) {
	case AF_INET:
		*ret_bits = 32;
		return (const uint8_t *)&a->in.sin_addr;
	case AF_INET6:
		*ret_bits = 128;
		return a->in6.sin6_addr.s6_addr;
	default:
		*ret_bits = 0;
		return NULL;
	}
}

bool net_addr_near(const struct net_addr *a, const struct net_addr *b, uint32_t bits)
{
	uint32_t have, same;
	const uint8_t *x = ip_bytes(a, &have), *y = ip_bytes(b, &same);
	unsigned rest = bits % 8;

	if (x == NULL || have != same || bits > have || memcmp(x, y, bits / 8) != 0) {
		return false;
	}
	return rest == 0 || (x[bits / 8] ^ y[bits / 8]) >> (8 - rest) == 0;
}
