/* SPDX-License-Identifier: Apache-2.0 */
/* Looking things up by name: the arrays are sorted. */
#include "base/check.h"
#include "conf/conf.h"

static int compare_names(struct str a, struct str b)
{
	int order = memcmp(a.s, b.s, MIN(a.len, b.len));

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

/* The element of that name in an array of structs that start with their name. */
static const void *find(const void *v, uint32_t n, size_t size, struct str name)
{
	uint32_t low = 0, high = n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const char *element = (const char *)v + mid * size;
		int order = compare_names(*(const struct str *)element, name);

		if (order == 0) {
			return element;
		}
		if (order < 0) {
			low = mid + 1;
		} else {
			high = mid;
		}
	}
	return NULL;
}

const struct conf_pool *conf_pool_find(const struct conf *c, struct str name)
{
	return name.s ? find(c->pools, c->npools, sizeof(*c->pools), name) : NULL;
}

const struct conf_server *conf_server_find(const struct conf *c, struct str id,
                                           const struct conf_pool **ret_pool)
{
	struct str server, pool = str_split(id, '/', &server);
	const struct conf_pool *p = conf_pool_find(c, pool);

	if (ret_pool) {
		*ret_pool = p;
	}
	return p && server.s ? find(p->servers, p->nservers, sizeof(*p->servers), server) : NULL;
}
