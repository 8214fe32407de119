/* SPDX-License-Identifier: Apache-2.0 */
/* Which of a file's nodes a machine is. */
#ifndef CORE_IDENTITY_H
#define CORE_IDENTITY_H

#include "conf/conf.h"

/* This machine's place in conf->nodes: the node called `name`, or without a name (NULL) the one
 * with the name or an address of this host. CONF_NO_NODE when none or several are. */
uint32_t identity_of(const struct conf *c, const char *name);

#endif
