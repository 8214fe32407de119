/* SPDX-License-Identifier: Apache-2.0 */
/* A listening socket on one thread: accepts in batches, pauses at a limit. */
#ifndef PROXY_LISTENER_H
#define PROXY_LISTENER_H

#include "proxy/thread.h"
#include "tls/server.h"

struct listener {
	TAILQ_ENTRY(listener) link;
	struct loop_io io;
	struct thread *thread;
	struct view *view; /* the last configuration that named it */
	const struct conf_listener *conf;
	struct stat_block *stat;
	struct wire_block *wire;
	_Atomic uint32_t *connections; /* of all threads */
	struct tls_server *tls;        /* NULL: clear text */
	char *hsts;                    /* the field's line; NULL: none */
	uint64_t tls_said;             /* when a failed handshake was last told of */
	unsigned tls_unsaid;           /* failures since then */
	uint64_t inode;
	uint16_t port;
	uint64_t said_at; /* when a refusal was last logged, and how many were not since */
	unsigned unsaid;
	bool paused;  /* a limit is reached: clients wait in the kernel's queue */
	bool removed; /* no longer configured: its clients get one more answer */
	unsigned users;
};

/* Makes the thread's listeners those of view v: adds, updates, removes. */
void listeners_update(struct thread *t, struct view *v);
/* Stops accepting on all. */
void listeners_close(struct thread *t);
/* Accepts again where a limit had paused; called by the thread's tick. */
void listeners_resume(struct thread *t);
void listener_unuse(struct listener *l);
/* The thread has new certificates: listeners go on with them, connections with what they have. */
void listeners_certs(struct thread *t);

#endif
