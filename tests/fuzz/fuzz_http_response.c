/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a response: the first says what was asked, the rest is the head. */
#include "http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum http_method asked;

static int parse(struct http_head *h, const char *data, size_t len,
                 const struct http_limits *limits, size_t *scanned)
{
	return http_parse_response(h, data, len, limits, scanned, asked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	asked = data[0] % HTTP_METHODS;
	return fuzz_head(parse, true, data + 1, size - 1);
}
