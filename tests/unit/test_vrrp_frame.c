/* SPDX-License-Identifier: Apache-2.0 */
/* Frames of ARP and neighbour discovery, byte for byte, and what is read from strangers'. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "base/check.h"
#include "net/raw.h"
#include "vrrp/frame.h"

static const uint8_t mac[6] = { 0x02, 0x11, 0x22, 0x33, 0x44, 0x55 };
static uint8_t f[VRRP_FRAME_MAX];

static struct net_addr addr(const char *text)
{
	struct net_addr a = { 0 };

	if (strchr(text, ':') != NULL) {
		a.in6.sin6_family = AF_INET6;
		a.len = sizeof(a.in6);
		assert_int_equal(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
	} else {
		a.in.sin_family = AF_INET;
		a.len = sizeof(a.in);
		assert_int_equal(inet_pton(AF_INET, text, &a.in.sin_addr), 1);
	}
	return a;
}

static void arp_is_as_in_rfc_826(void **state)
{
	static const uint8_t request[] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02, 0x11, 0x22,
		                           0x33, 0x44, 0x55, 0x08, 0x06, 0x00, 0x01, 0x08, 0x00,
		                           0x06, 0x04, 0x00, 0x01, 0x02, 0x11, 0x22, 0x33, 0x44,
		                           0x55, 10,   77,   0,    100,  0,    0,    0,    0,
		                           0,    0,    10,   77,   0,    100 };
	struct net_addr ip = addr("10.77.0.100");

	(void)state;
	assert_int_equal(vrrp_frame_write(f, VRRP_FRAME_REQUEST, &ip, mac), sizeof(request));
	assert_memory_equal(f, request, sizeof(request));
	assert_int_equal(vrrp_frame_write(f, VRRP_FRAME_REPLY, &ip, mac), sizeof(request));
	assert_int_equal(f[21], 2);
	assert_memory_equal(f + 32, mac, 6);
	/* RFC 5227: nobody's table is touched by a probe. */
	assert_int_equal(vrrp_frame_write(f, VRRP_FRAME_PROBE, &ip, mac), sizeof(request));
	assert_int_equal(f[21], 1);
	assert_memory_equal(f + 28, "\0\0\0\0", 4);
	assert_memory_equal(f + 38, request + 38, 4);
}

/* The sum over pseudo-header and message, its checksum included, is all ones. */
static uint16_t sum_of(const uint8_t *frame, size_t len)
{
	uint8_t all[40 + VRRP_FRAME_MAX] = { 0 };
	size_t payload = len - 54;

	memcpy(all, frame + 22, 32);
	all[35] = (uint8_t)payload;
	all[39] = 58;
	memcpy(all + 40, frame + 54, payload);
	return net_checksum(0, all, 40 + payload);
}

static void an_advertisement_is_as_in_rfc_9568(void **state)
{
	struct net_addr ip = addr("2001:db8::100");
	size_t len = vrrp_frame_write(f, VRRP_FRAME_REQUEST, &ip, mac);

	(void)state;
	assert_int_equal(len, 14 + 40 + 32);
	assert_memory_equal(f, "\x33\x33\0\0\0\x01", 6);
	assert_int_equal(f[14 + 7], 255);
	assert_memory_equal(f + 22, &ip.in6.sin6_addr, 16); /* from the address itself */
	assert_memory_equal(f + 38, addr("ff02::1").in6.sin6_addr.s6_addr, 16);
	assert_int_equal(f[54], 136);
	assert_int_equal(f[58], 0xa0); /* R=1 S=0 O=1 */
	assert_memory_equal(f + 62, &ip.in6.sin6_addr, 16);
	assert_memory_equal(f + 78, "\x02\x01\x02\x11\x22\x33\x44\x55", 8);
	assert_int_equal(sum_of(f, len), 0);
	assert_int_equal(vrrp_frame_write(f, VRRP_FRAME_REPLY, &ip, mac), 0);
}

static void a_probe_of_ipv6_is_one_of_duplicate_detection(void **state)
{
	struct net_addr ip = addr("2001:db8::aabb:ccdd");
	size_t len = vrrp_frame_write(f, VRRP_FRAME_PROBE, &ip, mac);

	(void)state;
	assert_int_equal(len, 14 + 40 + 24);
	assert_memory_equal(f, "\x33\x33\xff\xbb\xcc\xdd", 6);
	assert_memory_equal(f + 22, addr("::").in6.sin6_addr.s6_addr, 16);
	assert_memory_equal(f + 38, addr("ff02::1:ffbb:ccdd").in6.sin6_addr.s6_addr, 16);
	assert_int_equal(f[54], 135);
	assert_int_equal(sum_of(f, len), 0);
}

static void what_is_written_is_read_as_a_claim(void **state)
{
	static const char *const ips[] = { "10.77.0.100", "2001:db8::100" };
	struct net_addr got;
	uint8_t who[6];

	(void)state;
	for (unsigned i = 0; i < ARRAY_LEN(ips); i++) {
		struct net_addr ip = addr(ips[i]);
		bool ipv6 = ip.sa.sa_family == AF_INET6;
		size_t len = vrrp_frame_write(f, VRRP_FRAME_REQUEST, &ip, mac);

		assert_true(vrrp_frame_claim(f, len, ipv6, &got, who));
		assert_true(net_addr_same_ip(&got, &ip));
		assert_memory_equal(who, mac, 6);
		assert_false(vrrp_frame_claim(f, len, !ipv6, &got, who));
		for (size_t cut = 0; cut < (ipv6 ? 78U : len); cut++) {
			assert_false(vrrp_frame_claim(f, cut, ipv6, &got, who));
		}
		len = vrrp_frame_write(f, VRRP_FRAME_PROBE, &ip, mac);
		assert_false(vrrp_frame_claim(f, len, ipv6, &got, who));
	}
}

static void a_claim_without_the_option_is_the_senders(void **state)
{
	struct net_addr ip = addr("2001:db8::100");
	struct net_addr got;
	uint8_t who[6];

	(void)state;
	(void)vrrp_frame_write(f, VRRP_FRAME_REQUEST, &ip, mac);
	f[6] = 0x06;
	assert_true(vrrp_frame_claim(f, 78, true, &got, who));
	assert_int_equal(who[0], 0x06);
	f[21] = 254; /* routed: it cannot be from this link */
	assert_false(vrrp_frame_claim(f, 78, true, &got, who));
}

/* Runs a filter of these instructions over a frame. */
static unsigned run(const struct sock_filter *p, const uint8_t *frame)
{
	uint32_t acc = 0;

	for (;; p++) {
		switch (p->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			memcpy(&acc, frame + p->k, 4);
			acc = ntohl(acc);
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			p += acc == p->k ? p->jt : p->jf;
			break;
		default:
			assert_int_equal(p->code, BPF_RET | BPF_K);
			return p->k;
		}
	}
}

static void the_filter_passes_our_addresses_alone(void **state)
{
	struct net_addr ours[64];
	struct net_addr other = addr("10.77.0.99");
	struct sock_filter program[VRRP_FRAME_FILTER(64)];

	(void)state;
	for (unsigned i = 0; i < 64; i++) {
		ours[i] = addr("10.77.1.0");
		ours[i].in.sin_addr.s_addr |= htonl(i);
	}
	assert_int_equal(vrrp_frame_filter(program, ours, 64, false), VRRP_FRAME_FILTER(64));
	for (unsigned i = 0; i < 64; i++) {
		(void)vrrp_frame_write(f, VRRP_FRAME_REPLY, &ours[i], mac);
		assert_int_equal(run(program, f), VRRP_FRAME_MAX);
	}
	(void)vrrp_frame_write(f, VRRP_FRAME_REPLY, &other, mac);
	assert_int_equal(run(program, f), 0);
	(void)vrrp_frame_filter(program, ours, 0, false);
	assert_int_equal(run(program, f), 0);
	ours[0] = addr("2001:db8::7");
	other = addr("2001:db8::8");
	(void)vrrp_frame_filter(program, ours, 1, true);
	(void)vrrp_frame_write(f, VRRP_FRAME_REQUEST, &ours[0], mac);
	assert_int_equal(run(program, f), VRRP_FRAME_MAX);
	(void)vrrp_frame_write(f, VRRP_FRAME_REQUEST, &other, mac);
	assert_int_equal(run(program, f), 0);
}

static void advertisements_go_to_the_groups_mac(void **state)
{
	struct net_addr from = addr("10.77.0.11");
	struct net_addr to = addr("224.0.0.18");

	(void)state;
	assert_int_equal(vrrp_frame_packet(f, mac, &from, &to, "12345678", 8), 14 + 20 + 8);
	assert_memory_equal(f, "\x01\0\x5e\0\0\x12\x02\x11\x22\x33\x44\x55\x08\0\x45\xc0\0\x1c",
	                    18);
	assert_int_equal(f[14 + 8], 255);
	assert_int_equal(f[14 + 9], 112);
	assert_int_equal(net_checksum(0, f + 14, 20), 0);
	assert_memory_equal(f + 26,
	                    "\x0a\x4d\0\x0b\xe0\0\0\x12"
	                    "12345678",
	                    16);
	from = addr("fe80::1");
	to = addr("ff02::12");
	assert_int_equal(vrrp_frame_packet(f, mac, &from, &to, "12345678", 8), 14 + 40 + 8);
	assert_memory_equal(
	    f, "\x33\x33\0\0\0\x12\x02\x11\x22\x33\x44\x55\x86\xdd\x6c\0\0\0\0\x08\x70\xff", 22);
	assert_memory_equal(f + 38, &to.in6.sin6_addr, 16);
	assert_memory_equal(f + 54, "12345678", 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(arp_is_as_in_rfc_826),
		cmocka_unit_test(an_advertisement_is_as_in_rfc_9568),
		cmocka_unit_test(a_probe_of_ipv6_is_one_of_duplicate_detection),
		cmocka_unit_test(what_is_written_is_read_as_a_claim),
		cmocka_unit_test(a_claim_without_the_option_is_the_senders),
		cmocka_unit_test(the_filter_passes_our_addresses_alone),
		cmocka_unit_test(advertisements_go_to_the_groups_mac),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
