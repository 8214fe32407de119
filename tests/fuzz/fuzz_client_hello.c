/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ClientHellos from strangers, whole and in growing parts: no part contradicts the whole, and a
 * name that is found is one of a host.
 */
#include <stdlib.h>

#include "base/check.h"
#include "proxy/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* In a block that ends where the bytes do. */
	uint8_t *copy = malloc(size + 1);
	char out[HELLO_NAME];
	enum hello whole, part;
	struct str name;
	const char *why;
	size_t i;

	CHECK(copy != NULL);
	memcpy(copy + 1, data, size);
	whole = hello_read(copy + 1, size, out, &name, &why);
	CHECK((whole == HELLO_NAMED) == (name.len > 0));
	CHECK((whole == HELLO_OTHER || whole == HELLO_BAD) == (why != NULL));
	for (i = 0; i < name.len; i++)
		CHECK((unsigned char)name.s[i] > ' ' && (unsigned char)name.s[i] < 0x7f &&
		      !(name.s[i] >= 'A' && name.s[i] <= 'Z'));
	for (i = 0; i < MIN(size, (size_t)600); i++) {
		part = hello_read(copy + 1, i, out, &name, &why);
		CHECK(part == HELLO_MORE || part == whole);
	}
	free(copy);
	return 0;
}
