/* SPDX-License-Identifier: Apache-2.0 */
/* Spans of time on the command line. */
#include "base/clock.h"
#include "base/err.h"
#include "base/str.h"
#include "cli/command.h"

#define SPAN_MAX_S (7 * 24 * 3600ULL)

int cli_span(const char *text, uint64_t *ret)
{
	static const struct {
		const char *unit;
		uint64_t ns;
	} units[] = {
		{ "ms", NS_PER_MS }, /* before "s" */
		{ "s", NS_PER_S },        { "m", 60 * NS_PER_S },
		{ "h", 3600 * NS_PER_S }, { "d", 24 * 3600 * NS_PER_S },
	};
	struct str s = str_from(text);

	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		struct str unit = str_from(units[i].unit);
		uint64_t n;

		if (!str_ends(s, unit))
			continue;
		s.len -= unit.len;
		if (str_to_u64(s, SPAN_MAX_S * NS_PER_S / units[i].ns, &n) != OK)
			return ERR_INVALID;
		*ret = n * units[i].ns;
		return OK;
	}
	return ERR_INVALID;
}
