/* SPDX-License-Identifier: Apache-2.0 */
/* A list of strings, as the configuration has many. */
#ifndef CONF_CONF_LIST_H
#define CONF_CONF_LIST_H

#include "base/str.h"

struct conf_list { /* of strings */
	const struct str *v;
	uint32_t n;
};

#endif
