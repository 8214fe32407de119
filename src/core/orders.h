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
#include "ipc/msg.h"
#include "stat/board.h"

#define ORDERS_MAX 16384

struct orders;

/* Reads the file; a missing one is none. The servers' times are noted on b, which outlives it.
 * Never NULL but when out of memory. ERR_SYNTAX: the file is broken (moved aside as PATH.broken)
 * and the orders are empty; why says so. */
int orders_open(const char *path, struct board *b, struct orders **ret, char *why, size_t why_size);
void orders_free(struct orders *o);

/*
 * Sets an order for "pool/server", or all servers of "pool" or "pool/ *" (without the blank), of
 * that configuration. ORDER_READY takes orders back. end_wall_ms: with ORDER_DRAIN, when what is
 * still open is ended; 0: never. The former order's time is forgotten. *ret_count: servers named.
 * ERR_NOT_FOUND with why where the target names nothing; ERR_FULL. orders_save writes.
 */
int orders_set(struct orders *o, const struct conf *c, struct str target, enum server_order order,
               uint64_t end_wall_ms, unsigned *ret_count, char *why, size_t why_size);
/* OK or ERR_SYSTEM (errno). Atomic. */
int orders_save(const struct orders *o);

/* Calls fn for each order of a server that c has. */
void orders_each(const struct orders *o, const struct conf *c,
                 void (*fn)(void *arg, struct str id, enum server_order order), void *arg);
/* Notes the times of c's servers on the board: slots may have changed hands. */
void orders_publish(const struct orders *o, const struct conf *c);
/*
 * What is to be ended by now_wall_ms: a pool of c when the time of all of its servers has come,
 * else a server. False: there is none. An order that check has not carried out yet is waited for:
 * clients would come back to the server at once.
 */
bool orders_due(const struct orders *o, const struct conf *c, uint64_t now_wall_ms,
                struct ipc_list *ret);
/* What was open on a target is ended: forgets times up to that. The orders stay. */
void orders_ended(struct orders *o, const struct conf *c, struct str target,
                  uint64_t until_wall_ms);
/* Whether the node is drained: it is to hold no virtual IP. */
bool orders_node(const struct orders *o);
void orders_set_node(struct orders *o, bool drained);
unsigned orders_count(const struct orders *o);

#endif
