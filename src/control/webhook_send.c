/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Delivers webhooks: the first post of each line at a time, tried again where that may help. Role
 * control, the sending thread.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "control/webhook_impl.h"

#define IDLE_MS 60000 /* the thread is woken when there is something to do */

void webhook_post_free(struct webhook_post *p)
{
	if (p == NULL)
		return;
	free(p->url);
	free(p->body);
	free(p);
}

void webhook_post_end(struct webhook_line *l, struct webhook_post *p, const char *why)
{
	char shown[256];

	webhook_shown(p->url, shown, sizeof(shown));
	if (why != NULL)
		log_warning("webhook_failed", l->vip,
		            "transition %llu, %s to %s, not told to %s: %s",
		            (unsigned long long)p->number, p->from, p->to, shown, why);
	else
		log_info("webhook", l->vip, "transition %llu, %s to %s, told to %s",
		         (unsigned long long)p->number, p->from, p->to, shown);
	TAILQ_REMOVE(&l->posts, p, link);
	l->n--;
	webhook_post_free(p);
}

static size_t discard(char *data, size_t size, size_t n, void *arg)
{
	(void)data;
	(void)arg;
	return size * n;
}

static bool begin(struct webhooks *w, struct webhook_line *l, const struct webhook_post *p)
{
	CURL *c = curl_easy_init();

	if (c == NULL)
		return false;
	l->error[0] = '\0';
	curl_easy_setopt(c, CURLOPT_PRIVATE, l);
	curl_easy_setopt(c, CURLOPT_URL, p->url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(p->timeout / NS_PER_MS));
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, l->error);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, w->headers);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "holdfast/" HOLDFAST_VERSION);
	curl_easy_setopt(c, CURLOPT_POSTFIELDS, p->body); /* stays while it is on its way */
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, discard);
	if (curl_multi_add_handle(w->multi, c) != CURLM_OK) {
		curl_easy_cleanup(c);
		return false;
	}
	l->curl = c;
	l->tries++;
	return true;
}

/* Begins what may begin. Returns how long nothing else will, ms. */
static int begin_all(struct webhooks *w)
{
	uint64_t now = clock_mono();
	uint64_t wait = IDLE_MS * NS_PER_MS;
	struct webhook_line *next;

	pthread_mutex_lock(&w->lock);
	for (struct webhook_line *l = TAILQ_FIRST(&w->lines); l != NULL; l = next) {
		struct webhook_post *p = TAILQ_FIRST(&l->posts);

		next = TAILQ_NEXT(l, link);
		if (p == NULL && l->curl == NULL) {
			TAILQ_REMOVE(&w->lines, l, link);
			free(l);
		} else if (l->curl == NULL && l->not_yet > now) {
			wait = MIN(wait, l->not_yet - now);
		} else if (l->curl == NULL && !begin(w, l, p)) {
			webhook_post_end(l, p, "out of memory");
		}
	}
	pthread_mutex_unlock(&w->lock);
	return (int)(wait / NS_PER_MS) + 1;
}

/* Whether another try may help: the receiver was not reached, is overloaded or broken. */
static bool may_help(CURLcode rc, long status)
{
	return rc != CURLE_OK ? rc != CURLE_URL_MALFORMAT && rc != CURLE_UNSUPPORTED_PROTOCOL
	                      : status >= 500 || status == 408 || status == 429;
}

/* A try has ended. */
static void finish(struct webhooks *w, CURL *c, CURLcode rc)
{
	struct webhook_line *l = NULL;
	struct webhook_post *p;
	long status = 0;
	char why[CURL_ERROR_SIZE + 64];

	curl_easy_getinfo(c, CURLINFO_PRIVATE, (char **)&l);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
	CHECK(l != NULL && l->curl == c);
	if (rc != CURLE_OK)
		snprintf(why, sizeof(why), "%s (try %u)",
		         l->error[0] != '\0' ? l->error : curl_easy_strerror(rc), l->tries);
	else
		snprintf(why, sizeof(why), "status %ld (try %u)", status, l->tries);
	curl_multi_remove_handle(w->multi, c);
	curl_easy_cleanup(c);
	pthread_mutex_lock(&w->lock);
	p = TAILQ_FIRST(&l->posts);
	l->curl = NULL;
	if (rc == CURLE_OK && status >= 200 && status < 300) {
		webhook_post_end(l, p, NULL);
		l->tries = 0;
	} else if (l->tries >= WEBHOOK_TRIES || !may_help(rc, status)) {
		webhook_post_end(l, p, why);
		l->tries = 0;
	} else {
		uint64_t pause = w->retry;

		for (unsigned i = 1; i < l->tries; i++)
			pause *= 3;
		l->not_yet = clock_mono() + pause;
	}
	pthread_mutex_unlock(&w->lock);
}

static bool is_stopped(struct webhooks *w)
{
	bool stop;

	pthread_mutex_lock(&w->lock);
	stop = w->stop;
	pthread_mutex_unlock(&w->lock);
	return stop;
}

/* Gives up everything. */
static void end_all(struct webhooks *w)
{
	struct webhook_line *l;

	pthread_mutex_lock(&w->lock);
	while ((l = TAILQ_FIRST(&w->lines)) != NULL) {
		/* Sees through no TAILQ_REMOVE. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		if (l->curl != NULL) {
			curl_multi_remove_handle(w->multi, l->curl);
			curl_easy_cleanup(l->curl);
		}
		while (!TAILQ_EMPTY(&l->posts))
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
			webhook_post_end(l, TAILQ_FIRST(&l->posts),
			                 "the node's control process ends");
		TAILQ_REMOVE(&w->lines, l, link);
		free(l);
	}
	pthread_mutex_unlock(&w->lock);
}

void *webhook_thread(void *arg)
{
	struct webhooks *w = arg;

	while (!is_stopped(w)) {
		int wait = begin_all(w);
		int running;
		int left;
		CURLMsg *m;

		curl_multi_perform(w->multi, &running);
		m = curl_multi_info_read(w->multi, &left);
		if (m == NULL)
			curl_multi_poll(w->multi, NULL, 0, wait, NULL);
		for (; m != NULL; m = curl_multi_info_read(w->multi, &left))
			finish(w, m->easy_handle, m->data.result);
	}
	end_all(w);
	return NULL;
}
