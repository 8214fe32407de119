/* SPDX-License-Identifier: Apache-2.0 */
/* Where ACME's files lie; see acme_dir.h. Any process. */
#include "tls/acme_dir.h"

#include <stdio.h>

const char *acme_dir_live(const char *state_dir, struct str issuer, struct str host, char *out,
                          size_t size)
{
	bool wildcard = str_starts(host, STR("*."));
	int n;

	if (wildcard)
		host = str_n(host.s + 1, host.len - 1);
	n = snprintf(out, size, "%s/" ACME_DIR "/%.*s/live/%s%.*s", state_dir, STR_ARG(issuer),
	             wildcard ? "_" : "", STR_ARG(host));
	if (n < 0 || (size_t)n >= size)
		out[0] = '\0';
	return out;
}
