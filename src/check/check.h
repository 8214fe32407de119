/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The role check: probes every server, judges live traffic's reports, keeps people's orders, and is
 * the only writer of the servers' states on the board.
 */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include "core/role.h"

extern const struct role_ops check_role;

#endif
