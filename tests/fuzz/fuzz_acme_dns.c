/* SPDX-License-Identifier: Apache-2.0 */
/* Answers of DNS servers, and their signatures: whatever comes, nothing outside of it is read, and
 * nothing is believed that the key did not sign. */
#include <stdlib.h>

#include "acme/dns_message.h"
#include "base/check.h"
#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s)
{
	size_t len = strnlen(s, DNS_MAX_NAME);

	CHECK(len < DNS_MAX_NAME);
	for (size_t i = 0; i < len; i++)
		CHECK((unsigned char)s[i] > ' ' && (unsigned char)s[i] < 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_key key = { STR("k.test"), STR("hmac-sha256"), { 7 }, 32 };
	struct dns_mac mac = { { 9 }, 32 };
	struct dns_in in;
	uint8_t *p = malloc(size ? size : 1); /* ends where the message does */
	char why[200];

	CHECK(p != NULL);
	if (size > 0)
		memcpy(p, data, size);
	if (acme_dns_read(p, size, &in) == OK) {
		CHECK(in.ntexts <= DNS_MAX_TEXTS && in.tsig < size);
		check_text(in.asked);
		check_text(in.soa);
		check_text(in.cname);
		for (unsigned i = 0; i < in.ntexts; i++)
			CHECK(in.texts[i].len <= sizeof(in.texts[i].s));
		acme_dns_has_text(&in, STR("x"));
		CHECK(acme_dns_verify(p, size, &in, &key, &mac, 1700000000, why, sizeof(why)) !=
		      OK);
	}
	free(p);
	return 0;
}
