/* SPDX-License-Identifier: Apache-2.0 */
/* sd_notify(3) by hand: telling systemd (or whoever set NOTIFY_SOCKET) how the node is. Parent. */
#ifndef CORE_NOTIFY_H
#define CORE_NOTIFY_H

#include <stdint.h>

/* Each does nothing without NOTIFY_SOCKET and cannot fail for the caller. status: one line, may be
 * NULL. */
void notify_ready(const char *status);
void notify_reloading(void);
void notify_stopping(const char *status);
void notify_watchdog(void);
/* How often notify_watchdog is to be called, ns; 0: never. Half of WATCHDOG_USEC. */
uint64_t notify_watchdog_interval(void);

#endif
