/* SPDX-License-Identifier: Apache-2.0 */
/* Included files, merged into the main file's tree. */
#ifndef CONF_INCLUDE_H
#define CONF_INCLUDE_H

#include "conf/load.h"

/* load.c: reads one more file into a tree; NULL: reported, or the file has no content. */
struct node *load_source(struct load *l, struct tree *t, const char *path, struct place from);

/*
 * Follows `include` of the root, of what that includes, and so on (at most three levels), and adds
 * what the files hold to the root: named maps (listeners, routes, pools, nodes) are joined,
 * anything else may stand in one file only. Reports the rest.
 */
void include_all(struct load *l, struct tree *t, struct node *root);

#endif
