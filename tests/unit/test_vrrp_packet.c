/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Advertisements on the wire. The packets in hexadecimal are those of keepalived 2.2.7, from
 * 10.9.0.1 or fe80::f071:e2ff:fe93:9b40, and such with one thing changed.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/check.h"
#include "vrrp/packet.h"

#define V3        "31339602000a39480a0900640a090065"
#define V3_IN6    "3136c80200329eedfe800000000000000000000000000054fd090000000000000000000000000054"
#define V2_SIMPLE "213496010101041a0a09006e67656865696d0000"
#define V2_NONE   "213501010002d3460a0900780000000000000000"

static struct net_addr ip(const char *text)
{
	struct net_addr a = { .len = sizeof(a.in) };

	if (inet_pton(AF_INET, text, &a.in.sin_addr) == 1) {
		a.in.sin_family = AF_INET;
		return a;
	}
	assert_int_equal(inet_pton(AF_INET6, text, &a.in6.sin6_addr), 1);
	a.in6.sin6_family = AF_INET6;
	a.len = sizeof(a.in6);
	return a;
}

static size_t bytes_of(const char *hex, uint8_t *out, size_t size)
{
	size_t n = 0;

	for (; hex[0] != '\0'; hex += 2) {
		unsigned byte;

		assert_int_equal(sscanf(hex, "%2x", &byte), 1);
		assert_true(n < size);
		out[n++] = (uint8_t)byte;
	}
	return n;
}

static const char *drop_name(enum vip_drop drop)
{
	return drop == VIP_DROPS ? "taken" : vip_drop_label[drop];
}

static const char *read_hex(const char *hex, struct vrrp_wire wire, unsigned ttl,
                            struct vrrp_advert *ret)
{
	struct net_addr from = ip(wire.ipv6 ? "fe80::f071:e2ff:fe93:9b40" : "10.9.0.1");
	struct net_addr to = ip(wire.ipv6 ? "ff02::12" : "224.0.0.18");
	uint8_t bytes[1200];
	size_t len = bytes_of(hex, bytes, sizeof(bytes));

	return drop_name(vrrp_packet_read(bytes, len, &wire, &from, &to, ttl, ret));
}

static const struct vrrp_wire v3 = { .version = 3, .vrid = 51, .interval_cs = 100 };
static const struct vrrp_wire v3_in6 = {
	.version = 3, .vrid = 54, .ipv6 = true, .interval_cs = 100
};
static const struct vrrp_wire v2_simple = {
	.version = 2, .vrid = 52, .interval_cs = 100, .password = "geheim"
};
static const struct vrrp_wire v2_none = {
	.version = 2, .vrid = 53, .interval_cs = 200, .password = ""
};

static void check_address(const struct net_addr *a, const char *text)
{
	struct net_addr want = ip(text);

	assert_true(net_addr_eq(a, &want));
}

static void test_reads_version_3(void **state)
{
	struct vrrp_advert a;

	assert_string_equal(read_hex(V3, v3, 255, &a), "taken");
	assert_int_equal(a.version, 3);
	assert_int_equal(a.vrid, 51);
	assert_int_equal(a.priority, 150);
	assert_int_equal(a.interval_cs, 10);
	assert_false(a.plain_checksum);
	assert_int_equal(a.naddresses, 2);
	check_address(&a.addresses[0], "10.9.0.100");
	check_address(&a.addresses[1], "10.9.0.101");
	assert_string_equal(read_hex(V3_IN6, v3_in6, 255, &a), "taken");
	assert_int_equal(a.priority, 200);
	assert_int_equal(a.interval_cs, 50);
	check_address(&a.addresses[0], "fe80::54");
	check_address(&a.addresses[1], "fd09::54");
}

static void test_reads_version_2(void **state)
{
	struct vrrp_advert a;

	assert_string_equal(read_hex(V2_SIMPLE, v2_simple, 255, &a), "taken");
	assert_int_equal(a.version, 2);
	assert_int_equal(a.priority, 150);
	assert_int_equal(a.interval_cs, 100);
	assert_int_equal(a.naddresses, 1);
	check_address(&a.addresses[0], "10.9.0.110");
	assert_string_equal(read_hex(V2_NONE, v2_none, 255, &a), "taken");
	assert_int_equal(a.priority, 1);
	assert_int_equal(a.interval_cs, 200);
}

/* RFC 9568 section 5.2.8: version 3 over IPv4 has no pseudo-header; keepalived has. */
static void test_takes_both_checksums_of_version_3(void **state)
{
	struct vrrp_advert a;

	assert_string_equal(read_hex("31339602000a23e50a0900640a090065", v3, 255, &a), "taken");
	assert_true(a.plain_checksum);
	/* Never over IPv6. */
	assert_string_equal(read_hex("3136c801003207c1fe800000000000000000000000000054", v3_in6,
	                             255, &a),
	                    "checksum");
}

static void test_ttl(void **state)
{
	struct vrrp_wire unicast = v3;
	struct vrrp_advert a;

	assert_string_equal(read_hex(V3, v3, 254, &a), "ttl");
	assert_string_equal(read_hex(V3, v3, 0, &a), "ttl");
	unicast.any_ttl = true;
	assert_string_equal(read_hex(V3, unicast, 64, &a), "taken");
}

static void test_length(void **state)
{
	struct vrrp_advert a;

	assert_string_equal(read_hex("", v3, 255, &a), "length");
	assert_string_equal(read_hex("31339602000a39", v3, 255, &a), "length");
	assert_string_equal(read_hex("31339602000a39480a0900640a0900", v3, 255, &a), "length");
	assert_string_equal(read_hex(V3 "00", v3, 255, &a), "length");
	assert_string_equal(read_hex("313396ff000a39480a0900640a090065", v3, 255, &a), "length");
	/* Version 2 without its eight bytes of authentication. */
	assert_string_equal(read_hex("213501010002d3460a090078", v2_none, 255, &a), "length");
}

static void test_version_and_type(void **state)
{
	struct vrrp_advert a;

	assert_string_equal(read_hex(V3, v2_simple, 255, &a), "version");
	assert_string_equal(read_hex(V2_NONE, v3, 255, &a), "version");
	assert_string_equal(read_hex("41339602000a39480a0900640a090065", v3, 255, &a), "version");
	assert_string_equal(read_hex("32339602000a39480a0900640a090065", v3, 255, &a), "type");
	assert_string_equal(read_hex("30339602000a39480a0900640a090065", v3, 255, &a), "type");
}

static void test_checksum(void **state)
{
	struct vrrp_wire other = v3;
	struct vrrp_advert a;

	assert_string_equal(read_hex("31339602000a39490a0900640a090065", v3, 255, &a), "checksum");
	assert_string_equal(read_hex("31339702000a39480a0900640a090065", v3, 255, &a), "checksum");
	assert_string_equal(read_hex("213496010101041a0a09006e67656865696d0001", v2_simple, 255,
	                             &a),
	                    "checksum");
	/* The router id is known from here on, whatever is wrong. */
	other.vrid = 9;
	assert_string_equal(read_hex("31339602000a39490a0900640a090065", other, 255, &a),
	                    "checksum");
	assert_int_equal(a.vrid, 51);
}

static void test_every_flipped_bit_is_seen(void **state)
{
	struct net_addr from = ip("10.9.0.1"), to = ip("224.0.0.18");
	uint8_t bytes[64];
	size_t len = bytes_of(V3, bytes, sizeof(bytes));

	for (size_t bit = 0; bit < len * 8; bit++) {
		struct vrrp_advert a;

		bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
		assert_int_not_equal(vrrp_packet_read(bytes, len, &v3, &from, &to, 255, &a),
		                     VIP_DROPS);
		bytes[bit / 8] ^= (uint8_t)(1U << bit % 8);
	}
}

static void test_router_id(void **state)
{
	struct vrrp_wire other = v3;
	struct vrrp_advert a;

	other.vrid = 52;
	assert_string_equal(read_hex(V3, other, 255, &a), "vrid");
	assert_int_equal(a.vrid, 51);
	assert_int_equal(vrrp_packet_vrid("\x31\x33", 2), 51);
	assert_int_equal(vrrp_packet_vrid("\x31\xff", 2), 255);
	assert_int_equal(vrrp_packet_vrid("\x31", 1), -1);
	assert_int_equal(vrrp_packet_vrid("", 0), -1);
}

static void test_count(void **state)
{
	struct vrrp_advert a;

	assert_string_equal(read_hex("31339600000a38c2", v3, 255, &a), "count");
}

/* RFC 1071, of a packet of even length. */
static void mend_checksum(uint8_t *p, size_t len)
{
	unsigned sum = 0;

	p[6] = p[7] = 0;
	for (size_t i = 0; i < len; i += 2)
		sum += (unsigned)p[i] << 8 | p[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	p[6] = (uint8_t)(sum >> 8);
	p[7] = (uint8_t)sum;
}

/* A packet as vrrp_packet_write makes it, with one byte changed and the checksum mended. */
static const char *read_changed(struct vrrp_wire wire, unsigned at, uint8_t value,
                                const struct vrrp_wire *expected)
{
	struct net_addr from = ip("10.9.0.1"), to = ip("224.0.0.18"), vip = ip("10.9.0.100");
	uint8_t out[VRRP_MAX_PACKET];
	struct vrrp_advert a;
	size_t len;

	wire.plain_checksum = true;
	len = vrrp_packet_write(out, &wire, 100, &vip, 1, &from, &to);
	out[at] = value;
	mend_checksum(out, len);
	return drop_name(vrrp_packet_read(out, len, expected, &from, &to, 255, &a));
}

static void test_interval(void **state)
{
	struct vrrp_wire other = v2_simple;

	assert_string_equal(read_changed(v3, 5, 1, &v3), "taken"); /* another one than ours */
	assert_string_equal(read_changed(v3, 5, 0, &v3), "interval");
	assert_string_equal(read_changed(v3, 4, 0xf0, &v3), "taken"); /* reserved bits */
	other.interval_cs = 300;
	assert_string_equal(read_changed(v2_simple, 5, 1, &v2_simple), "taken");
	assert_string_equal(read_changed(v2_simple, 5, 2, &v2_simple), "interval");
	assert_string_equal(read_changed(v2_simple, 5, 0, &v2_simple), "interval");
	assert_string_equal(read_changed(v2_simple, 5, 1, &other), "interval");
}

static void test_authentication(void **state)
{
	struct vrrp_wire none = v2_simple, longer = v2_simple, shorter = v2_simple;

	none.password = NULL;
	longer.password = "geheim12";
	shorter.password = "gehei";
	assert_string_equal(read_changed(v2_simple, 4, 1, &v2_simple), "taken");
	assert_string_equal(read_changed(v2_simple, 4, 0, &v2_simple), "auth");
	assert_string_equal(read_changed(v2_simple, 4, 2, &v2_simple), "auth");
	assert_string_equal(read_changed(v2_simple, 12, 'G', &v2_simple), "auth");
	assert_string_equal(read_changed(v2_simple, 4, 1, &none), "auth");
	assert_string_equal(read_changed(v2_simple, 4, 1, &longer), "auth");
	assert_string_equal(read_changed(v2_simple, 4, 1, &shorter), "auth");
	assert_string_equal(read_changed(longer, 4, 1, &longer), "taken");
	assert_string_equal(read_changed(none, 4, 0, &v2_simple), "auth");
	assert_string_equal(read_changed(none, 4, 0, &none), "taken");
	/* What is longer than eight characters is cut, as others do. */
	longer.password = "geheim12345";
	assert_string_equal(read_changed(longer, 4, 1, &longer), "taken");
}

static void test_family(void **state)
{
	struct net_addr from = ip("10.9.0.1"), to = ip("10.9.0.2"), vip = ip("fd09::54");
	struct vrrp_wire in6 = v3_in6, in4 = v3_in6;
	uint8_t out[VRRP_MAX_PACKET];
	struct vrrp_advert a;
	size_t len = vrrp_packet_write(out, &in6, 100, &vip, 1, &from, &to);

	in4.ipv6 = false;
	assert_int_equal(vrrp_packet_read(out, len, &in4, &from, &to, 255, &a), VIP_DROP_FAMILY);
	assert_int_equal(vrrp_packet_read(out, len, &in6, &from, &to, 255, &a), VIP_DROP_FAMILY);
}

static void test_more_addresses_than_are_looked_at(void **state)
{
	struct net_addr from = ip("10.9.0.1"), to = ip("224.0.0.18");
	uint8_t out[8 + 255 * 4] = { 0x31, 51, 100, 255, 0, 4 };
	struct vrrp_advert a;

	for (unsigned i = 0; i < 255; i++)
		out[8 + i * 4 + 3] = (uint8_t)i;
	mend_checksum(out, sizeof(out));
	assert_int_equal(vrrp_packet_read(out, sizeof(out), &v3, &from, &to, 255, &a), VIP_DROPS);
	assert_int_equal(a.naddresses, VRRP_MAX_ADDRESSES);
	check_address(&a.addresses[63], "0.0.0.63");
}

static void check_written(const char *want, const struct vrrp_wire *wire, unsigned priority,
                          const char *first, const char *second)
{
	struct net_addr from = ip(wire->ipv6 ? "fe80::f071:e2ff:fe93:9b40" : "10.9.0.1");
	struct net_addr to = ip(wire->ipv6 ? "ff02::12" : "224.0.0.18");
	struct net_addr vips[2] = { ip(first), ip(second != NULL ? second : first) };
	uint8_t out[VRRP_MAX_PACKET], expected[VRRP_MAX_PACKET];
	size_t len =
	    vrrp_packet_write(out, wire, priority, vips, second != NULL ? 2 : 1, &from, &to);

	assert_int_equal(len, bytes_of(want, expected, sizeof(expected)));
	assert_memory_equal(out, expected, len);
}

static void test_writes_what_keepalived_writes(void **state)
{
	struct vrrp_wire wire = v3;

	wire.interval_cs = 10;
	check_written(V3, &wire, 150, "10.9.0.100", "10.9.0.101");
	wire.plain_checksum = true;
	check_written("31339602000a23e50a0900640a090065", &wire, 150, "10.9.0.100", "10.9.0.101");
	wire = v3_in6;
	wire.interval_cs = 50;
	wire.plain_checksum = true; /* means nothing over IPv6 */
	check_written(V3_IN6, &wire, 200, "fe80::54", "fd09::54");
	check_written(V2_SIMPLE, &v2_simple, 150, "10.9.0.110", NULL);
	check_written(V2_NONE, &v2_none, 1, "10.9.0.120", NULL);
}

static void test_writes_the_largest(void **state)
{
	struct net_addr from = ip("fe80::1"), to = ip("ff02::12"), vips[VRRP_MAX_ADDRESSES];
	struct vrrp_wire wire = v3_in6;
	uint8_t out[VRRP_MAX_PACKET];
	struct vrrp_advert a;
	size_t len;

	for (unsigned i = 0; i < VRRP_MAX_ADDRESSES; i++)
		vips[i] = ip("fd09::1");
	wire.interval_cs = 4095;
	len = vrrp_packet_write(out, &wire, 254, vips, VRRP_MAX_ADDRESSES, &from, &to);
	assert_int_equal(vrrp_packet_read(out, len, &wire, &from, &to, 255, &a), VIP_DROPS);
	assert_int_equal(a.interval_cs, 4095);
	assert_int_equal(a.naddresses, VRRP_MAX_ADDRESSES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_version_3),
		cmocka_unit_test(test_reads_version_2),
		cmocka_unit_test(test_takes_both_checksums_of_version_3),
		cmocka_unit_test(test_ttl),
		cmocka_unit_test(test_length),
		cmocka_unit_test(test_version_and_type),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_every_flipped_bit_is_seen),
		cmocka_unit_test(test_router_id),
		cmocka_unit_test(test_count),
		cmocka_unit_test(test_interval),
		cmocka_unit_test(test_authentication),
		cmocka_unit_test(test_family),
		cmocka_unit_test(test_more_addresses_than_are_looked_at),
		cmocka_unit_test(test_writes_what_keepalived_writes),
		cmocka_unit_test(test_writes_the_largest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
