/* SPDX-License-Identifier: Apache-2.0 */
/* The pieces of the exposition. Private to this folder. */
#ifndef CONTROL_METRICS_IMPL_H
#define CONTROL_METRICS_IMPL_H

#include "control/api.h"

/* Adds name="value" to a list of labels: backslash, quote and newline escaped; other control bytes
 * become '?'. */
void metrics_label(struct buf *out, const char *name, struct str value);
/* HELP and TYPE of a family; its samples must follow. */
void metrics_head(struct buf *out, const char *name, const char *type, const char *help);
/* name{labels} value */
void metrics_line(struct buf *out, struct str name, const char *labels, uint64_t value);
/* A family of one sample. */
void metrics_single(struct buf *out, const char *name, const char *type, const char *help,
                    uint64_t value);

/* What listeners, routes and pools count. */
void metrics_traffic(const struct api *a, struct buf *out);
/* Servers: what they count, how they are, their checks. */
void metrics_servers(const struct api *a, struct buf *out);
/* Certificates. */
void metrics_certs(const struct api *a, struct buf *out);
/* Virtual IPs and named checks. */
void metrics_vips(const struct api *a, struct buf *out);
/* Certificates by ACME (view_acme.c). */
void metrics_acme(const struct api *a, struct buf *out);

#endif
