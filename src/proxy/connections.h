/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which connections last: TCP connections, tunnels, UDP sessions, and requests that have been under
 * way for a while. The main thread asks, each worker thread fills in its own.
 */
#ifndef PROXY_CONNECTIONS_H
#define PROXY_CONNECTIONS_H

#include "ipc/msg.h"
#include "proxy/thread.h"

struct list;

/* Answers LIST with LISTED. Main thread; waits for the workers, who answer in their next turn. */
void connections_answer(struct proxy *p, const struct ipc_msg *m);
/* Adds what a worker thread has, on that thread. */
void connections_fill(struct thread *t, struct list *l);

#endif
