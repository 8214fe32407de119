/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listening sockets, keyed by address: they outlive configurations and roles. A socket that a
 * candidate configuration needs is opened when it is prepared and closed again when it is refused;
 * one that the committed configuration no longer names is shut down after the commit. Parent.
 */
#ifndef CORE_LISTEN_H
#define CORE_LISTEN_H

#include <sys/queue.h>

#include "conf/conf.h"

struct listen_socket {
	TAILQ_ENTRY(listen_socket) link;
	struct net_addr addr;
	bool datagrams; /* of UDP, whose ports are others than those of TCP */
	int fd;         /* -1: closed for now (crash loop) */
	bool wanted;
};

TAILQ_HEAD(listen_list, listen_socket);

struct listen_set {
	struct listen_list list;
};

void listen_init(struct listen_set *s);
/* Opens what c needs and is not open yet. ERR_SYSTEM with why that names the listener, the address,
 * the reason and, where it can be found out, who has the port. What was opened before the failure
 * stays for listen_sweep. */
int listen_open(struct listen_set *s, const struct conf *c, char *why, size_t why_size);
/* The descriptor of an address; -1 when there is none. */
int listen_fd(const struct listen_set *s, const struct net_addr *a, bool datagrams);
/* Takes a socket, of either kind, over from a role of an earlier parent; a second one of that
 * address is closed. */
int listen_adopt(struct listen_set *s, const struct net_addr *a, int fd);
/* Shuts down, in every process that holds them, and closes the sockets that c does not name;
 * c NULL: all. */
void listen_sweep(struct listen_set *s, const struct conf *c);

/* Shuts down and closes the sockets of c's listeners only. */
void listen_close(struct listen_set *s, const struct conf *c);

#endif
