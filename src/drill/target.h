/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of a drill's target share. All return OK, or an error with d->why. */
#ifndef DRILL_TARGET_H
#define DRILL_TARGET_H

#include "drill/impl.h"

/* target.c: reads the file. */
int drill_target_load(struct drill *d, const char *path);
/* target_request.c: the virtual IP that was named, or the first. */
int drill_target_vip(struct drill *d);
/* What to ask, by the file or by d->o->url. */
int drill_target_of_file(struct drill *d);
int drill_target_of_url(struct drill *d);
/* target_lab.c: finds or makes the lab, and what is in it. */
int drill_target_lab(struct drill *d);
/* Takes down the lab that was made for the drill, and removes the copy of the file. */
void drill_target_lab_close(struct drill *d);

#endif
