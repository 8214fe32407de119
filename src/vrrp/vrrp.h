/* SPDX-License-Identifier: Apache-2.0 */
/* The role vrrp: virtual IPs. One thread. */
#ifndef VRRP_VRRP_H
#define VRRP_VRRP_H

#include "core/role.h"

extern const struct role_ops vrrp_role;

#endif
