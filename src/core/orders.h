/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run-time orders of people (drain, disable) by server id, and whether the node itself is drained,
 * kept in a JSON file so that they survive reloads and restarts. Main thread of the parent. An
 * order for a server that the configuration no longer has is kept: the server may come back with
 * the next one.
 */
#ifndef CORE_ORDERS_H
#define CORE_ORDERS_H

#include "conf/conf.h"
#include "stat/board.h"

#define ORDERS_MAX 16384

struct orders;

/* Reads the file; a missing one is none. Never NULL but when out of memory. ERR_SYNTAX: the file is
 * broken (moved aside as PATH.broken) and the orders are empty; why says so. */
int orders_open(const char *path, struct orders **ret, char *why, size_t why_size);
void orders_free(struct orders *o);

/*
 * Sets an order for "pool/server", or all servers of "pool" or "pool/ *" (without the blank), of
 * that configuration. ORDER_READY takes orders back. *ret_count: servers named. ERR_NOT_FOUND with
 * why where the target names nothing; ERR_FULL. orders_save writes.
 */
int orders_set(struct orders *o, const struct conf *c, struct str target, enum server_order order,
               unsigned *ret_count, char *why, size_t why_size);
/* OK or ERR_SYSTEM (errno). Atomic. */
int orders_save(const struct orders *o);

/* Calls fn for each order of a server that c has. */
void orders_each(const struct orders *o, const struct conf *c,
                 void (*fn)(void *arg, struct str id, enum server_order order), void *arg);
/* Whether the node is drained: it is to hold no virtual IP. */
bool orders_node(const struct orders *o);
void orders_set_node(struct orders *o, bool drained);
unsigned orders_count(const struct orders *o);

#endif
