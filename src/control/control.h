/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The role `control`: the HTTP API on the control socket and on control.bind, metrics and health.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include "core/explain.h"
#include "core/role.h"

extern const struct role_ops control_role;

/* What answers `explain`; set by main() before the role runs. */
void control_set_explain(explain_fn *fn);

#endif
