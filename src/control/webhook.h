/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Webhooks: each transition of a virtual IP is POSTed as JSON to the URL that the configuration
 * names. In order for each virtual IP, those of several at the same time; a receiver that is slow
 * or away holds up nothing but its own virtual IP's. A thread of its own sends (libcurl); all
 * functions here are for the main thread of the role control and never wait, but webhooks_free.
 */
#ifndef CONTROL_WEBHOOK_H
#define CONTROL_WEBHOOK_H

#include "conf/conf.h"
#include "ipc/msg.h"

#define WEBHOOK_QUEUE 64 /* of one virtual IP; the oldest is dropped, with an event */
#define WEBHOOK_TRIES 3

struct webhooks;

/* retry_ns: pause after the first failed try; each later one is three times as long. node: copied.
 * NULL when out of memory. */
struct webhooks *webhooks_new(const char *node, uint64_t retry_ns);
/* The URLs of a configuration, copied. What it no longer has is kept until the next call: what a
 * reload removes is given up after it. */
void webhooks_configure(struct webhooks *w, const struct conf *c);
/* A transition. */
void webhooks_post(struct webhooks *w, const struct ipc_hook *h);
/* Whether nothing waits or is being sent. */
bool webhooks_idle(struct webhooks *w);
/* Gives up what is not sent yet, with an event; waits for the thread, which ends at once. */
void webhooks_free(struct webhooks *w);

/* "https://hooks.example.com" of a URL: what may be shown of it, since path, query and user may be
 * secret. Returns out. */
const char *webhook_shown(const char *url, char *out, size_t size);

#endif
