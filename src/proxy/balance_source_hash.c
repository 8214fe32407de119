/* SPDX-License-Identifier: Apache-2.0 */
/* The same server for the same key, here the client's address (unix clients have none and go
 * anywhere). */
#include "proxy/balance_impl.h"

const struct balance_ops balance_source_hash = {
	.name = "source_hash",
	.id = BALANCE_SOURCE_HASH,
	.size = balance_hash_size,
	.init = balance_hash_init,
	.update = balance_hash_update,
	.pick = balance_hash_pick,
};
