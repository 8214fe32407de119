/* SPDX-License-Identifier: Apache-2.0 */
/* Frames in which strangers claim addresses: the first byte says the family, the rest is one. What
 * claims an address passes the filter for it. */
#include <stdlib.h>

#include "base/check.h"
#include "vrrp/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sock_filter program[VRRP_FRAME_FILTER(1)];
	struct net_addr ip;
	uint8_t mac[6];
	uint8_t *frame;
	uint32_t word;
	bool ipv6;

	if (size < 2)
		return 0;
	ipv6 = data[0] & 1;
	frame = malloc(size - 1); /* a block that ends where the frame does */
	CHECK(frame != NULL);
	memcpy(frame, data + 1, size - 1);
	if (vrrp_frame_claim(frame, size - 1, ipv6, &ip, mac)) {
		CHECK(ip.sa.sa_family == (ipv6 ? AF_INET6 : AF_INET));
		CHECK(vrrp_frame_filter(program, &ip, 1, ipv6) == VRRP_FRAME_FILTER(1));
		CHECK(program[0].k + 4 <= size - 1);
		memcpy(&word, frame + program[0].k, 4);
		CHECK(ntohl(word) == program[1].k);
	}
	free(frame);
	return 0;
}
