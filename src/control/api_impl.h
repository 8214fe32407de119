/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the API share. Private to this folder. */
#ifndef CONTROL_API_IMPL_H
#define CONTROL_API_IMPL_H

#include "control/api.h"

#define API_JSON "application/json"

/* As api_handle: OK with *ans, or ERR_AGAIN with *change. */
typedef int endpoint_fn(const struct api *a, const struct api_request *q, struct api_answer *ans,
                        struct api_change *change);

/* Asks the parent: ERR_AGAIN, or OK with a refusal where it has gone. */
int api_ask_parent(const struct api *a, struct api_answer *ans, struct api_change *change,
                   enum ipc_type type);

/* --- api_change.c --------------------------------------------------------------------------- */

endpoint_fn api_post_reload;
endpoint_fn api_post_upgrade;
endpoint_fn api_post_order;
endpoint_fn api_post_switchover;

/* --- api_connections.c ---------------------------------------------------------------------- */

endpoint_fn api_get_connections;

#endif
