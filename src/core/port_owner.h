/* SPDX-License-Identifier: Apache-2.0 */
/* Who listens on a port: for error messages. */
#ifndef CORE_PORT_OWNER_H
#define CORE_PORT_OWNER_H

#include "net/addr.h"

/* "nginx (pid 812) has it", or another sentence that helps with that errno; "" when nothing can be
 * said. Looks through /proc: slow, once per error. */
void port_owner(const struct net_addr *a, bool datagrams, int err, char *out, size_t size);

#endif
