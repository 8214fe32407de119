/* SPDX-License-Identifier: Apache-2.0 */
/* The role `proxy`: all traffic. N threads that share nothing on the hot path. */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include "core/role.h"

extern const struct role_ops proxy_role;

#endif
