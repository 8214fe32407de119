/* SPDX-License-Identifier: Apache-2.0 */
/* The store as a memory file; see store.h. Any process. */
#include "tls/store.h"

struct str store_file(const struct store *s, struct str path)
{
	for (uint32_t i = 0; i < s->nfiles; i++) {
		if (str_eq(s->files[i].path, path))
			return s->files[i].bytes;
	}
	return STR_NONE;
}
