/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates of a node: the parent has stores of them made (certs_helper.h) whenever a source has
 * changed, when a key of tickets is due and once a minute, and hands them to the roles. What proved
 * broken keeps its former contents.
 */
#ifndef CORE_CERTS_H
#define CORE_CERTS_H

#include "core/certs_helper.h"

struct parent;
struct generation;
struct conf;

/* Whether a configuration needs any. */
bool certs_wanted(const struct conf *c);
/* Tells what has changed since the table on the board, which it then replaces. */
void certs_report(struct parent *p, struct certs_answer *a);

#endif
