/* SPDX-License-Identifier: Apache-2.0 */
/*
 * nftables rules for the time in which they are needed (libnftables). Each table belongs to the
 * socket that made it (`flags owner`): others' flushes pass it by, and when this process ends, in
 * whatever way, the kernel removes it. Role vrrp, its one thread.
 */
#ifndef VRRP_RULES_H
#define VRRP_RULES_H

#include "base/buf.h"
#include "net/addr.h"

struct rules; /* one table, or none */

/* ERR_NOMEM. Nothing is asked of the kernel yet. */
int rules_new(struct rules **ret);
/* Its table goes at once; waits for the kernel some ten milliseconds, unlike rules_clear. */
void rules_free(struct rules *r);

/*
 * Puts a table of that family ("ip", "ip6", "arp") in the place of the one that stands; body: the
 * chains, as nft(8) reads them. The name gets the process id, so that no two processes meet in one.
 * OK, or ERR_REFUSED with the kernel's words in why; then no table stands.
 */
int rules_set(struct rules *r, const char *family, const char *name, const char *body, char *why,
              size_t why_size);
void rules_clear(struct rules *r);

/* "{ 10.0.0.1, 10.0.0.2 }" of n addresses, at least one. */
void rules_addresses(struct buf *out, const struct net_addr *ips, unsigned n);

#endif
