/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of the page of `holdfast status` share. */
#ifndef CLI_STATUS_IMPL_H
#define CLI_STATUS_IMPL_H

#include "cli/output.h"
#include "cli/views.h"

struct status_page {
	struct buf *out;
	bool colour;
	unsigned width;
	uint64_t now; /* the node's, wall ms */
};

/* A blank line and a heading. */
void status_title(struct status_page *p, const char *text);
/* How long ago the member "since" was. */
void status_cell_since(struct out_table *t, const struct status_page *p, const json_t *o);
/* "a, b" from an array of strings; `none` for an empty one. */
void status_cell_list(struct out_table *t, const json_t *list, const char *none);

/* --- status_certs.c ------------------------------------------------------------------------- */

void status_put_certs(struct status_page *p, const json_t *status);

/* --- status_acme.c -------------------------------------------------------------------------- */

void status_put_acme(struct status_page *p, const json_t *certificates);

/* --- status_vips.c -------------------------------------------------------------------------- */

void status_put_vips(struct status_page *p, const json_t *vips);
void status_put_checks(struct status_page *p, const json_t *checks);

#endif
