/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a request: no crash, the same answer in pieces as at once. */
#include "http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	return fuzz_head(http_parse_request, false, data, size);
}
