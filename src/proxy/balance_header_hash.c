/* SPDX-License-Identifier: Apache-2.0 */
/* The same server for the same key, here a header field (hash_header); a request without one goes
 * anywhere. */
#include "proxy/balance_impl.h"

const struct balance_ops balance_header_hash = {
	.name = "header_hash",
	.id = BALANCE_HEADER_HASH,
	.size = balance_hash_size,
	.init = balance_hash_init,
	.update = balance_hash_update,
	.pick = balance_hash_pick,
};
