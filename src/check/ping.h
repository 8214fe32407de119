/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Echo questions of all ping checks over one socket for each family, which the parent opened: this
 * role may not.
 */
#ifndef CHECK_PING_H
#define CHECK_PING_H

#include "check/probe.h"

/* Sockets for env, each a copy that stays ours; -1: none. What it has already stays in use. OK,
 * ERR_NOMEM, ERR_SYSTEM. */
int ping_use(struct probe_env *env, int inet, int inet6);
void ping_free(struct probe_env *env);

#endif
