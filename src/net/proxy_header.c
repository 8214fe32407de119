/* SPDX-License-Identifier: Apache-2.0 */
/* Headers of the PROXY protocol; see proxy_header.h. Quoted sections are those of its document. */
#include "net/proxy_header.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"

#define V1_MAX     107 /* with CRLF (2.1) */
#define V2_FIXED   16
#define UNIX_PATH  108
#define TLV_CRC32C 0x03

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

static ssize_t refuse(const char **ret_why, const char *why)
{
	*ret_why = why;
	return ERR_SYNTAX;
}

/* --- version 1 ------------------------------------------------------------------------------ */

/* One word up to the next single blank. */
static struct str word(struct str *rest)
{
	struct str tail, w = str_split(*rest, ' ', &tail);

	*rest = tail;
	return w;
}

static bool read_port(struct str text, uint16_t *ret)
{
	uint64_t port;

	/* "no leading zeroes" (2.1) */
	if (text.len == 0 || text.len > 5 || (text.len > 1 && text.s[0] == '0') ||
	    str_to_u64(text, 65535, &port) != OK)
		return false;
	*ret = (uint16_t)port;
	return true;
}

static bool read_ip(struct str text, uint16_t port, int family, struct net_addr *ret)
{
	if (net_ip_parse(text, ret) != OK || ret->sa.sa_family != family)
		return false;
	ret->in.sin_port = htons(port); /* at the same place in IPv6 */
	return true;
}

/* What stands between "PROXY " and CRLF. */
static const char *read_line(struct str line, struct proxy_header *ret)
{
	struct str protocol = word(&line), ip[2], port[2];
	uint16_t number[2];
	int family;

	if (str_eq(protocol,
	           STR("UNKNOWN"))) { /* "the receiver must ignore anything before CRLF" */
		ret->local = true;
		return NULL;
	}
	if (str_eq(protocol, STR("TCP4")))
		family = AF_INET;
	else if (str_eq(protocol, STR("TCP6")))
		family = AF_INET6;
	else
		return "it names neither TCP4, TCP6 nor UNKNOWN";
	ip[0] = word(&line);
	ip[1] = word(&line);
	port[0] = word(&line);
	port[1] = word(&line);
	if (line.s != NULL || !read_port(port[0], &number[0]) || !read_port(port[1], &number[1]))
		return "its ports are not two numbers from 0 to 65535";
	if (!read_ip(ip[0], number[0], family, &ret->source) ||
	    !read_ip(ip[1], number[1], family, &ret->destination))
		return "its addresses are not two of the family that it names";
	return NULL;
}

static ssize_t read_v1(const char *p, size_t len, struct proxy_header *ret, const char **ret_why)
{
	const char *lf = memchr(p, '\n', MIN(len, (size_t)V1_MAX));
	size_t n;

	if (lf == NULL)
		return len < V1_MAX ? 0 : refuse(ret_why, "a line of version 1 is too long");
	n = (size_t)(lf - p) + 1;
	if (n < 8 || p[n - 2] != '\r')
		return refuse(ret_why, "a line of version 1 does not end with CRLF");
	*ret_why = read_line(str_n(p + 6, n - 8), ret);
	return *ret_why != NULL ? ERR_SYNTAX : (ssize_t)n;
}

/* --- version 2 ------------------------------------------------------------------------------ */

uint32_t proxy_header_crc32c(const void *data, size_t len, size_t skip)
{
	const uint8_t *p = data;
	uint32_t crc = UINT32_MAX;
	size_t i;
	int bit;

	for (i = 0; i < len; i++) {
		crc ^= i >= skip && i < skip + 4 ? 0 : p[i];
		for (bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
	}
	return ~crc;
}

static size_t u16(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

static uint32_t u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* What follows the addresses (2.2.1): only the checksum means anything here. */
static const char *read_tlvs(const uint8_t *p, size_t at, size_t len)
{
	while (at < len) {
		size_t n;

		if (len - at < 3 || len - at - 3 < (n = u16(p + at + 1)))
			return "a value appended to it is cut off";
		if (p[at] == TLV_CRC32C) {
			if (n != 4)
				return "its checksum is not of four bytes";
			if (u32(p + at + 3) != proxy_header_crc32c(p, len, at + 3))
				return "its checksum is wrong";
		}
		at += 3 + n;
	}
	return NULL;
}

static void read_in(const uint8_t *p, const uint8_t *port, struct net_addr *ret)
{
	*ret = (struct net_addr){ .in = { .sin_family = AF_INET }, .len = sizeof(ret->in) };
	memcpy(&ret->in.sin_addr, p, 4);
	memcpy(&ret->in.sin_port, port, 2);
}

static void read_in6(const uint8_t *p, const uint8_t *port, struct net_addr *ret)
{
	*ret = (struct net_addr){ .in6 = { .sin6_family = AF_INET6 }, .len = sizeof(ret->in6) };
	memcpy(&ret->in6.sin6_addr, p, 16);
	memcpy(&ret->in6.sin6_port, port, 2);
}

static void read_un(const uint8_t *p, struct net_addr *ret)
{
	*ret = (struct net_addr){ .un = { .sun_family = AF_UNIX }, .len = sizeof(ret->un) };
	memcpy(ret->un.sun_path, p, sizeof(ret->un.sun_path) - 1);
}

/* The addresses' length by family and protocol; -1: not one that a connection can have. */
static int addresses_size(uint8_t family)
{
	switch (family) {
	case 0x00: /* UNSPEC */
		return 0;
	case 0x11: /* TCP over IPv4 */
		return 12;
	case 0x21: /* TCP over IPv6 */
		return 36;
	case 0x31: /* a unix stream */
		return 2 * UNIX_PATH;
	default: /* datagrams, and "other values are unspecified and must be rejected" (2.2) */
		return -1;
	}
}

static const char *read_block(const uint8_t *p, size_t len, struct proxy_header *ret)
{
	const uint8_t *a = p + V2_FIXED;
	int size = addresses_size(p[13]);

	if ((p[12] & 0x0f) == 0) { /* LOCAL: "must ... discard the protocol block" (2.2) */
		ret->local = true;
		return NULL;
	}
	if ((p[12] & 0x0f) != 1)
		return "its command is neither LOCAL nor PROXY";
	if (size < 0)
		return "it names a protocol that is no connection";
	if (len - V2_FIXED < (size_t)size)
		return "it is too short for its addresses";
	if (p[13] == 0x11) {
		read_in(a, a + 8, &ret->source);
		read_in(a + 4, a + 10, &ret->destination);
	} else if (p[13] == 0x21) {
		read_in6(a, a + 32, &ret->source);
		read_in6(a + 16, a + 34, &ret->destination);
	} else if (p[13] == 0x31) {
		read_un(a, &ret->source);
		read_un(a + UNIX_PATH, &ret->destination);
	} else {
		ret->local = true;
	}
	return read_tlvs(p, V2_FIXED + (size_t)size, len);
}

static ssize_t read_v2(const uint8_t *p, size_t len, struct proxy_header *ret, const char **ret_why)
{
	size_t whole;

	if (len < V2_FIXED)
		return 0;
	if (p[12] >> 4 != 2)
		return refuse(ret_why, "its version is neither 1 nor 2");
	whole = V2_FIXED + u16(p + 14);
	if (whole > PROXY_HEADER_MAX)
		return refuse(ret_why, "it is longer than 4 KiB");
	if (len < whole)
		return 0;
	*ret_why = read_block(p, whole, ret);
	return *ret_why != NULL ? ERR_SYNTAX : (ssize_t)whole;
}

ssize_t proxy_header_read(const void *data, size_t len, struct proxy_header *ret,
                          const char **ret_why)
{
	const size_t of_two = MIN(len, sizeof(signature)), of_one = MIN(len, (size_t)6);

	*ret = (struct proxy_header){ 0 };
	*ret_why = NULL;
	if (len == 0)
		return 0;
	if (memcmp(data, signature, of_two) == 0)
		return of_two < sizeof(signature) ? 0 : read_v2(data, len, ret, ret_why);
	if (memcmp(data, "PROXY ", of_one) == 0)
		return of_one < 6 ? 0 : read_v1(data, len, ret, ret_why);
	return refuse(ret_why, "the connection does not begin with a PROXY header");
}

/* --- writing -------------------------------------------------------------------------------- */

static const void *bytes_of(const struct net_addr *a)
{
	return a->sa.sa_family == AF_INET ? (const void *)&a->in.sin_addr
	                                  : (const void *)&a->in6.sin6_addr;
}

static size_t write_v1(const struct net_addr *s, const struct net_addr *d, char *out)
{
	char from[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
	const int family = s->sa.sa_family;

	if (family != d->sa.sa_family || (family != AF_INET && family != AF_INET6))
		return (size_t)snprintf(out, PROXY_HEADER_OUT, "PROXY UNKNOWN\r\n");
	/* An address alone: a zone (RFC 4007, 11) means nothing elsewhere. */
	inet_ntop(family, bytes_of(s), from, sizeof(from));
	inet_ntop(family, bytes_of(d), to, sizeof(to));
	return (size_t)snprintf(out, PROXY_HEADER_OUT, "PROXY TCP%c %s %s %u %u\r\n",
	                        family == AF_INET ? '4' : '6', from, to, net_addr_port(s),
	                        net_addr_port(d));
}

static size_t write_v2(const struct net_addr *s, const struct net_addr *d, char *out)
{
	const int family = s->sa.sa_family;
	uint8_t *p = (uint8_t *)out, *a = p + V2_FIXED;
	size_t size = 0;

	memcpy(p, signature, sizeof(signature));
	p[12] = 0x20; /* LOCAL */
	p[13] = 0;
	if (family == d->sa.sa_family && family == AF_INET) {
		p[12] = 0x21;
		p[13] = 0x11;
		memcpy(a, &s->in.sin_addr, 4);
		memcpy(a + 4, &d->in.sin_addr, 4);
		memcpy(a + 8, &s->in.sin_port, 2);
		memcpy(a + 10, &d->in.sin_port, 2);
		size = 12;
	} else if (family == d->sa.sa_family && family == AF_INET6) {
		p[12] = 0x21;
		p[13] = 0x21;
		memcpy(a, &s->in6.sin6_addr, 16);
		memcpy(a + 16, &d->in6.sin6_addr, 16);
		memcpy(a + 32, &s->in6.sin6_port, 2);
		memcpy(a + 34, &d->in6.sin6_port, 2);
		size = 36;
	}
	p[14] = 0;
	p[15] = (uint8_t)size;
	return V2_FIXED + size;
}

/* An IPv4 client of a dual-stack socket is one of IPv4. */
static struct net_addr unmapped(const struct net_addr *a)
{
	struct net_addr r = { .in = { .sin_family = AF_INET }, .len = sizeof(r.in) };

	if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->in6.sin6_addr))
		return *a;
	memcpy(&r.in.sin_addr, a->in6.sin6_addr.s6_addr + 12, 4);
	r.in.sin_port = a->in6.sin6_port;
	return r;
}

/* And where the other end is of IPv6, it is told as IPv6, too. */
static struct net_addr mapped(const struct net_addr *a)
{
	struct net_addr r = { .in6 = { .sin6_family = AF_INET6 }, .len = sizeof(r.in6) };

	if (a->sa.sa_family != AF_INET)
		return *a;
	memset(r.in6.sin6_addr.s6_addr + 10, 0xff, 2);
	memcpy(r.in6.sin6_addr.s6_addr + 12, &a->in.sin_addr, 4);
	r.in6.sin6_port = a->in.sin_port;
	return r;
}

size_t proxy_header_write(unsigned version, const struct net_addr *source,
                          const struct net_addr *destination, char out[PROXY_HEADER_OUT])
{
	struct net_addr s = unmapped(source), d = unmapped(destination);

	if (s.sa.sa_family == AF_INET6 || d.sa.sa_family == AF_INET6) {
		s = mapped(&s);
		d = mapped(&d);
	}
	return version == 1 ? write_v1(&s, &d, out) : write_v2(&s, &d, out);
}
