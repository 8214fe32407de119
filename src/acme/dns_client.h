/* SPDX-License-Identifier: Apache-2.0 */
/* Asking a DNS server, in a job's thread: UDP, then TCP where the answer is cut. */
#ifndef ACME_DNS_CLIENT_H
#define ACME_DNS_CLIENT_H

#include "acme/dns_message.h"
#include "acme/job.h"
#include "net/addr.h"

#define DNS_TRIES  3
#define DNS_WAIT_S 4 /* for an answer, each try */

/* Sends a message and reads the answer to it; answer: DNS_MAX_MESSAGE bytes. OK, or an error with
 * why. */
int acme_dns_exchange(struct acme_job *job, const struct net_addr *server, const struct dns_out *m,
                      uint8_t *answer, size_t *ret_len, struct dns_in *ret, char *why, size_t size);

#endif
