/* SPDX-License-Identifier: Apache-2.0 */
/*
 * PROXY headers as a proxy, or somebody in its place, sends them: read whole and in growing parts;
 * what is taken is written again in both versions and means the same.
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "net/proxy_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_again(const struct proxy_header *h, unsigned version)
{
	char out[PROXY_HEADER_OUT];
	struct proxy_header again;
	const char *why;
	size_t n = proxy_header_write(version, &h->source, &h->destination, out);

	CHECK(n > 0 && n <= sizeof(out));
	CHECK(proxy_header_read(out, n, &again, &why) == (ssize_t)n);
	if (again.local)
		return;
	CHECK(h->source.sa.sa_family == AF_INET6 || net_addr_same_ip(&again.source, &h->source));
	CHECK(net_addr_port(&again.source) == net_addr_port(&h->source));
	CHECK(net_addr_port(&again.destination) == net_addr_port(&h->destination));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* In a block that ends where the bytes do. */
	uint8_t *copy = malloc(size + 1);
	struct proxy_header h, part;
	const char *why;
	char text[NET_ADDR_TEXT];
	ssize_t n;
	size_t i;

	CHECK(copy != NULL);
	memcpy(copy + 1, data, size);
	n = proxy_header_read(copy + 1, size, &h, &why);
	CHECK(n >= 0 ? n <= (ssize_t)size && n <= PROXY_HEADER_MAX
	             : n == ERR_SYNTAX && why != NULL);
	/* What the whole says, no part of it may contradict. */
	for (i = 0; i < MIN(size, (size_t)300); i++) {
		ssize_t m = proxy_header_read(copy + 1, i, &part, &why);

		CHECK(n > 0 && (ssize_t)i >= n ? m == n : n > 0 ? m == 0 : m <= 0);
		CHECK(n == 0 ? m == 0 : true);
	}
	if (n > 0 && !h.local) {
		net_addr_format(&h.source, text);
		net_addr_format(&h.destination, text);
		if (h.source.sa.sa_family != AF_UNIX) {
			check_again(&h, 1);
			check_again(&h, 2);
		}
	}
	free(copy);
	return 0;
}
