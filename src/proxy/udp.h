/* SPDX-License-Identifier: Apache-2.0 */
/*
 * UDP listeners: datagrams of one client, by its address and port and the address that it sent to,
 * are a session with one server and go through a connected socket of their own, so that answers
 * find back and what the network reports is heard. A session ends when nothing came for its time.
 *
 * A UDP socket belongs to one thread, by the listener's slot on the board and the place of the
 * address in its `bind`: a second reader would tear sessions apart. More than one thread's worth of
 * datagrams needs more than one address or port.
 */
#ifndef PROXY_UDP_H
#define PROXY_UDP_H

#include "proxy/thread.h"

struct udp_listener;

/* Makes the thread's UDP listeners those of view v that are its own. */
void udp_update(struct thread *t, struct view *v);
/* Reads no more from clients; what servers still answer is passed on. */
void udp_close(struct thread *t);
/* Ends sessions with servers that are gone from the configuration or cut off. */
void udp_sweep(struct thread *t);

#endif
