/* SPDX-License-Identifier: Apache-2.0 */
/* The lines of posts that the main thread of control fills and the sending thread empties. */
#ifndef CONTROL_WEBHOOK_IMPL_H
#define CONTROL_WEBHOOK_IMPL_H

#include <curl/curl.h>
#include <pthread.h>
#include <sys/queue.h>

#include "control/webhook.h"

#define WEBHOOK_MAX_TARGETS (2 * CONF_MAX_VIPS)

struct webhook_post {
	TAILQ_ENTRY(webhook_post) link;
	uint64_t number;
	char from[16];
	char to[16];
	char *url;
	char *body;
	uint64_t timeout;
};

TAILQ_HEAD(webhook_posts, webhook_post);

/* The posts of one virtual IP. Freed by the sending thread when it is empty. */
struct webhook_line {
	TAILQ_ENTRY(webhook_line) link;
	char vip[64];
	struct webhook_posts posts;
	unsigned n;
	/* The sending thread's: */
	CURL *curl;       /* the first post is on its way; NULL: not */
	unsigned tries;   /* of the first post */
	uint64_t not_yet; /* monotonic ns: the next try is not before */
	char error[CURL_ERROR_SIZE];
};

TAILQ_HEAD(webhook_lines, webhook_line);

struct webhook_target {
	char vip[64];
	char *url;
	char cluster[64];
	uint64_t timeout;
	bool current; /* in the last configuration */
};

struct webhooks {
	char node[64];
	uint64_t retry;
	struct webhook_target targets[WEBHOOK_MAX_TARGETS]; /* the main thread's */
	unsigned ntargets;
	bool running;
	pthread_t thread;
	CURLM *multi;
	struct curl_slist *headers;
	pthread_mutex_t lock;
	bool stop;
	struct webhook_lines lines;
};

/* Delivers until w->stop is set, then gives everything up. arg: struct webhooks. */
void *webhook_thread(void *arg);
/* Takes a post out of its line and frees it; why: NULL where it was delivered. lock is held. */
void webhook_post_end(struct webhook_line *l, struct webhook_post *p, const char *why);
void webhook_post_free(struct webhook_post *p);

#endif
