/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the report. */
#ifndef DRILL_REPORT_H
#define DRILL_REPORT_H

#include "drill/impl.h"

/* The course of a drill in time, as inline SVG. */
void drill_report_chart(const struct drill_report *about, const struct drill_result *r,
                        struct buf *out);

#endif
