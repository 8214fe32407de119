/* SPDX-License-Identifier: Apache-2.0 */
/* The words of the error codes, from the one table in err.h. Any role, any thread. */
#include "base/err.h"

const char *err_text(int err)
{
	switch (err) {
#define ERR_CASE(name, value, text) \
	case name: \
		return text;
		ERR_ROWS(ERR_CASE)
#undef ERR_CASE
	default:
		return "unknown error";
	}
}
