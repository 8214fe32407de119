/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store of certificates (tls/store.h) as the threads of a proxy share it, and what listeners
 * and pools make of it: each thread contexts of its own. Immutable; a new store replaces the old
 * one, which goes with the last connection that was begun with it.
 */
#ifndef PROXY_CERTS_H
#define PROXY_CERTS_H

#include <stdatomic.h>

#include "conf/conf.h"
#include "tls/server.h"
#include "tls/store.h"

struct certs {
	const struct store *store;
	struct store *mapped; /* NULL: none was given, the store is empty */
	_Atomic unsigned users;
};

/* Maps a store; fd < 0: an empty one. OK, ERR_NOMEM, ERR_SYSTEM, ERR_INVALID. */
int certs_new(int fd, struct certs **ret);
void certs_use(struct certs *c);
void certs_drop(struct certs *c); /* any thread; NULL is allowed */

/* The context of a listener, index in conf->listeners; NULL with why. */
struct tls_server *certs_listener(struct certs *c, const struct conf *conf, uint32_t index,
                                  char *why, size_t why_size);
#define CERTS_ALPN(pool) ((pool)->protocol == POOL_H2 ? "\2h2" : NULL)
/* What a pool's servers are spoken to with. alpn: "\2h2" … or NULL. */
struct tls_client *certs_pool(const struct certs *c, const struct conf_pool_tls *tls,
                              const char *alpn, char *why, size_t why_size);
/* A number that two settings share only when connections of one may be used for the other. 0: clear
 * text. */
uint64_t certs_pool_key(const struct certs *c, const struct conf_pool_tls *tls);
/* Makes each of them once, to see that it can be done. OK, or an error with why. */
int certs_prove(struct certs *c, const struct conf *conf, char *why, size_t why_size);

#endif
