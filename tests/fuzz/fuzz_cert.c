/* SPDX-License-Identifier: Apache-2.0 */
/* Files of certificates: whatever they hold, the answer is a reason or something whole. The first
 * byte says which reader; a pair has its halves around a NUL. */
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "tls/cert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void pair(struct str bytes)
{
	struct arena a = ARENA_INIT;
	struct str key, chain = str_split(bytes, '\0', &key);
	struct store_cert c = { 0 };
	char why[256], note[256];

	if (cert_parse(&a, chain, key, NULL, &c, why, sizeof(why), note, sizeof(note)) == OK) {
		CHECK(c.nchain > 0 && c.key.len > 0 && c.not_after > c.not_before);
		for (uint32_t i = 0; i < c.nnames; i++)
			CHECK(c.names[i].len > 0 && strlen(c.names[i].s) == c.names[i].len);
	} else {
		CHECK(why[0] != '\0');
	}
	arena_free(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t keys[STORE_TICKET_KEYS][STORE_TICKET_KEY];
	struct str bytes = str_n((const char *)data + 1, size - (size > 0));
	struct store_cert c = { 0 };
	uint64_t until;
	unsigned n;
	uint32_t m;
	char why[256];

	if (size < 1)
		return 0;
	switch (data[0] % 5) {
	case 0:
		pair(bytes);
		break;
	case 1:
		cert_authorities(bytes, &n, &until, why, sizeof(why));
		break;
	case 2:
		cert_revocations(bytes, &n, &until, why, sizeof(why));
		break;
	case 3:
		CHECK(cert_ocsp(bytes, &c, 0, &until, why, sizeof(why)) != OK);
		break;
	default:
		if (cert_ticket_keys(bytes, keys, &m, why, sizeof(why)) == OK)
			CHECK(m > 0 && m <= STORE_TICKET_KEYS);
		break;
	}
	return 0;
}
