/* SPDX-License-Identifier: Apache-2.0 */
/* The loop's timer wheel, for loop.c alone. */
#ifndef NET_WHEEL_H
#define NET_WHEEL_H

#include "net/loop.h"

/* l->now must be set. */
void wheel_init(struct loop *l);
/* Calls every timer that is due at l->now. */
void wheel_run(struct loop *l);
/* Nanoseconds from `now` until the wheel wants to run; UINT64_MAX when it is empty. */
uint64_t wheel_wait(const struct loop *l, uint64_t now);

#endif
