/* SPDX-License-Identifier: Apache-2.0 */
/* Units for the tables of rows: durations in nanoseconds, sizes in bytes. */
#ifndef CONF_UNITS_H
#define CONF_UNITS_H

#include "base/clock.h"

#define MS   NS_PER_MS
#define S    NS_PER_S
#define HOUR (3600 * NS_PER_S)
#define DAY  (24 * HOUR)
#define KIB  1024ULL
#define TIB  (KIB * KIB * KIB * KIB)

#endif
