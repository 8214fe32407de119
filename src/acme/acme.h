/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The role acme: orders certificates at the authorities of the map `acme`, renews them in time, and
 * keeps them in the state folder (tls/acme_dir.h), from where the parent has them taken into
 * service.
 */
#ifndef ACME_ACME_H
#define ACME_ACME_H

#include "core/role.h"

extern const struct role_ops acme_role;

#endif
