/* SPDX-License-Identifier: Apache-2.0 */
/* DNS messages and TSIG. What is expected was made by another implementation (dnspython). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "acme/dns_message.h"
#include "base/err.h"

#define NOW   1700000000ULL
#define VALUE "gfj9Xq0Rg85nMwhateverTHeDigestIsInTHisCase0"

static const char signed_request[] =
    "1234280000010000000100010473686f70047465737400000600010f5f61636d652d6368616c6c656e676503777777"
    "04"
    "73686f70047465737400001000010000003c002c2b67666a39587130526738356e4d77686174657665725448654469"
    "67"
    "65737449734"
    "96e544869734361736530016b04746573740000fa00ff00000000003d0b686d61632d7368613235360000006553f10"
    "00"
    "12c00206a0b07f5ec3502308988a77afd84d1a9d731b66399096629ec198bfa8af91d4d123400000000";
static const char signed_answer[] = "1234a80000010000000000010473686f7004746573740000060001016b0474"
                                    "6573740000fa00ff00000000003d0b686d"
                                    "61632d7368613235360000006553f101012c0020c87d7d6c32dbc7ec264951"
                                    "fb9570d202d8960c785bdd11f20193abf8"
                                    "8af2374e123400000000";
static const char texts_by_alias[] = "56ec810000010003000000000f5f61636d652d6368616c6c656e676504736"
                                     "86f7004746573740000100001c00c000500"
                                     "010000003c000601780179c021c037001000010000003c0007067365636f6"
                                     "e64c037001000010000003c000803616263"
                                     "03646566";
static const char authority[] =
    "cdbf850300010000000100000f5f61636d652d6368616c6c656e67650473686f7004746573740000060001c01c0006"
    "00"
    "010000003c0020026e73c01c04726f6f74c01c0000000100000002000000030000000400000005";

static size_t unhex(const char *hex, uint8_t *out, size_t size)
{
	size_t n = strlen(hex) / 2;

	assert_true(n <= size);
	for (size_t i = 0; i < n; i++) {
		unsigned v;

		assert_int_equal(sscanf(hex + 2 * i, "%2x", &v), 1);
		out[i] = (uint8_t)v;
	}
	return n;
}

static struct dns_key key_of(struct str algorithm)
{
	struct dns_key k = { STR("k.test"), algorithm, { 0 }, 32 };

	for (unsigned i = 0; i < 32; i++)
		k.secret[i] = (uint8_t)i;
	return k;
}

static void update(struct dns_out *m)
{
	acme_dns_begin(m, 0x1234, DNS_UPDATE);
	acme_dns_question(m, STR("Shop.test."), DNS_SOA);
	acme_dns_change_txt(m, STR("_acme-challenge.www.shop.test"), STR(VALUE), 60, false);
	assert_false(m->bad);
}

static void updates_are_signed_as_rfc_8945_says(void **state)
{
	struct dns_key key = key_of(STR("hmac-sha256"));
	struct dns_key key512 = key_of(STR("hmac-sha512"));
	uint8_t want[512], mac[64];
	size_t len = unhex(signed_request, want, sizeof(want));
	struct dns_out m;
	struct dns_mac got;

	update(&m);
	assert_int_equal(acme_dns_sign(&m, &key, NOW, &got), OK);
	assert_int_equal(m.len, len);
	assert_memory_equal(m.p, want, len);
	update(&m);
	assert_int_equal(acme_dns_sign(&m, &key512, NOW, &got), OK);
	unhex(
	    "1b0f874f4b36310f44bb270c3b0d436ff7f212f59202989e98ba1eafdc9b90139c718c8b2227f794a792a"
	    "9e4ea58aca91b07bdf980850f0cb525c77ccc633aa4",
	    mac, sizeof(mac));
	assert_int_equal(got.len, 64);
	assert_memory_equal(got.p, mac, 64);
}

static void answers_are_believed_only_when_signed(void **state)
{
	struct dns_key key = key_of(STR("hmac-sha256")), wrong = key;
	struct dns_in in;
	struct dns_mac mac;
	struct dns_out m;
	uint8_t p[512];
	char why[300];
	size_t len = unhex(signed_answer, p, sizeof(p));

	update(&m);
	acme_dns_sign(&m, &key, NOW, &mac);
	assert_int_equal(acme_dns_read(p, len, &in), OK);
	assert_true(in.response && in.rcode == DNS_NOERROR && in.opcode == DNS_UPDATE);
	assert_int_equal(acme_dns_verify(p, len, &in, &key, &mac, NOW, why, sizeof(why)), OK);
	assert_int_equal(acme_dns_verify(p, len, &in, &key, &mac, NOW + 400, why, sizeof(why)),
	                 ERR_DENIED);
	assert_non_null(strstr(why, "clocks"));
	wrong.secret[0] ^= 1;
	assert_int_equal(acme_dns_verify(p, len, &in, &wrong, &mac, NOW, why, sizeof(why)),
	                 ERR_DENIED);
	for (size_t i = 0; i < len; i++) { /* whatever is changed, it is not taken */
		for (unsigned bit = 1; bit < 256; bit <<= 1) {
			p[i] ^= (uint8_t)bit;
			if (acme_dns_read(p, len, &in) == OK && (i < 2 ? in.id != 0x1234 : true) &&
			    i >= 2 && in.tsig != 0) {
				int err =
				    acme_dns_verify(p, len, &in, &key, &mac, NOW, why, sizeof(why));

				/* Case of names, class and TTL of the record are not of it. */
				if (err == OK)
					assert_true(bit == 0x20 ||
					            (i >= in.tsig + 8 && i < in.tsig + 18));
			}
			p[i] ^= (uint8_t)bit;
		}
	}
	mac.p[0] ^= 1; /* the answer to another request */
	acme_dns_read(p, len, &in);
	assert_int_equal(acme_dns_verify(p, len, &in, &key, &mac, NOW, why, sizeof(why)),
	                 ERR_DENIED);
	in.tsig = 0;
	assert_int_equal(acme_dns_verify(p, len, &in, &key, &mac, NOW, why, sizeof(why)),
	                 ERR_DENIED);
	assert_string_equal(why, "the server's answer is not signed");
}

static void texts_are_found_behind_an_alias(void **state)
{
	struct dns_in in;
	uint8_t p[512];
	size_t len = unhex(texts_by_alias, p, sizeof(p));

	assert_int_equal(acme_dns_read(p, len, &in), OK);
	assert_string_equal(in.asked, "_acme-challenge.shop.test");
	assert_string_equal(in.cname, "x.y.test");
	assert_int_equal(in.ntexts, 2);
	assert_true(acme_dns_has_text(&in, STR("abcdef")));
	assert_true(acme_dns_has_text(&in, STR("second")));
	assert_false(acme_dns_has_text(&in, STR("abc")));
}

static void zone_is_where_the_authority_begins(void **state)
{
	struct dns_in in;
	uint8_t p[512];
	size_t len = unhex(authority, p, sizeof(p));

	assert_int_equal(acme_dns_read(p, len, &in), OK);
	assert_string_equal(in.soa, "shop.test");
	assert_true(in.authoritative && in.rcode == DNS_NXDOMAIN);
}

static void cut_messages_are_refused(void **state)
{
	static const char *const all[] = { signed_answer, texts_by_alias, authority };
	struct dns_in in;
	uint8_t p[512];

	for (unsigned i = 0; i < 3; i++) {
		size_t len = unhex(all[i], p, sizeof(p));

		for (size_t n = 0; n < len; n++)
			assert_int_equal(acme_dns_read(p, n, &in), ERR_SYNTAX);
		p[len] = 0;
		assert_int_equal(acme_dns_read(p, len + 1, &in), ERR_SYNTAX);
	}
}

static void names_have_their_limits(void **state)
{
	uint8_t wire[DNS_MAX_WIRE];
	char name[400], back[DNS_MAX_NAME];
	size_t at = 0, len;
	static const uint8_t loop[] = { 0xc0, 0x00 }, forward[] = { 0xc0, 0x02, 0x00 };

	memset(name, 'a', sizeof(name));
	assert_int_equal(acme_dns_name_wire(str_n(name, 63), wire), 65);
	assert_int_equal(acme_dns_name_wire(str_n(name, 64), wire), 0);
	for (size_t i = 3; i < sizeof(name); i += 4)
		name[i] = '.';
	len = acme_dns_name_wire(str_n(name, 253), wire);
	assert_int_equal(len, 255);
	assert_int_equal(acme_dns_name_read(wire, len, &at, back), OK);
	assert_int_equal(at, 255);
	assert_memory_equal(back, name, 253);
	assert_int_equal(acme_dns_name_wire(str_n(name, 257), wire), 0);
	assert_int_equal(acme_dns_name_wire(STR("a.test."), wire), 8);
	assert_int_equal(acme_dns_name_wire(STR("a..b"), wire), 0);
	assert_int_equal(acme_dns_name_wire(STR(".a"), wire), 0);
	assert_int_equal(acme_dns_name_wire(STR("."), wire), 1);
	at = 0;
	assert_int_equal(acme_dns_name_read(loop, 2, &at, back), ERR_SYNTAX);
	at = 0;
	assert_int_equal(acme_dns_name_read(forward, 3, &at, back), ERR_SYNTAX);
}

static void what_does_not_fit_is_not_sent(void **state)
{
	struct dns_key key = key_of(STR("hmac-sha256"));
	struct dns_out m;
	struct dns_mac mac;
	char value[300];

	memset(value, 'x', sizeof(value));
	acme_dns_begin(&m, 1, DNS_UPDATE);
	acme_dns_change_txt(&m, STR("a.test"), str_n(value, 256), 60, false);
	assert_true(m.bad);
	acme_dns_begin(&m, 1, DNS_UPDATE);
	for (int i = 0; i < 10; i++)
		acme_dns_change_txt(&m, STR("a.test"), str_n(value, 255), 60, false);
	assert_true(m.bad);
	assert_int_equal(acme_dns_sign(&m, &key, NOW, &mac), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(updates_are_signed_as_rfc_8945_says),
		cmocka_unit_test(answers_are_believed_only_when_signed),
		cmocka_unit_test(texts_are_found_behind_an_alias),
		cmocka_unit_test(zone_is_where_the_authority_begins),
		cmocka_unit_test(cut_messages_are_refused),
		cmocka_unit_test(names_have_their_limits),
		cmocka_unit_test(what_does_not_fit_is_not_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
