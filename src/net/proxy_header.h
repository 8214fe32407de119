/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The PROXY protocol, versions 1 and 2 (HAProxy's proxy-protocol.txt, 2020): what a proxy says of a
 * connection before its first byte. Pure: bytes in, addresses out, and back.
 */
#ifndef NET_PROXY_HEADER_H
#define NET_PROXY_HEADER_H

#include <sys/types.h>

#include "net/addr.h"

#define PROXY_HEADER_MAX 4096 /* bytes of a header that is taken, with what is appended to it */
#define PROXY_HEADER_OUT 232  /* enough for every header that is written */

struct proxy_header {
	bool local; /* no addresses (LOCAL, UNKNOWN): those of the connection count */
	struct net_addr source;
	struct net_addr destination;
};

/*
 * Reads the header at the beginning of what came so far. Returns its length; 0: it is not whole
 * yet; ERR_SYNTAX with *ret_why, a static sentence: this is none, or a bad one.
 */
ssize_t proxy_header_read(const void *data, size_t len, struct proxy_header *ret,
                          const char **ret_why);

/* Writes a header of version 1 or 2; what is no address of IP is not told (UNKNOWN, LOCAL). Returns
 * its length. */
size_t proxy_header_write(unsigned version, const struct net_addr *source,
                          const struct net_addr *destination, char out[PROXY_HEADER_OUT]);

/* CRC-32C (RFC 3720, B.4) of bytes of which those from skip to skip + 4 count as zero. */
uint32_t proxy_header_crc32c(const void *data, size_t len, size_t skip);

#endif
