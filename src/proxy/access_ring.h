/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A ring of access records between one writer (access_log_put) and one reader. Neither ever waits;
 * a record that finds no room is dropped and counted. Only access_log.c and the tests include this.
 */
#ifndef PROXY_ACCESS_RING_H
#define PROXY_ACCESS_RING_H

#include "proxy/access_log.h"

#define ACCESS_RING_SIZE (1U << 20) /* bytes; memory that no record touched takes none */
#define ACCESS_MAX_TEXT  4096       /* bytes kept of one string */

/* wakefd: an eventfd that is written when the ring gets half full; -1: none. */
struct access_ring *access_ring_new(int wakefd);
void access_ring_free(struct access_ring *r);
/* The oldest record; its strings and *client lie in the ring till access_ring_done. */
bool access_ring_get(struct access_ring *r, uint32_t *slot, struct access_record *record,
                     struct net_addr *client);
void access_ring_done(struct access_ring *r);
uint64_t access_ring_dropped(const struct access_ring *r);

#endif
