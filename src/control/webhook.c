/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Webhooks that wait. The main thread of the role control puts posts into lines, one for each
 * virtual IP; the sending thread (webhook_send.c) takes the first of each line and keeps it there
 * until it is delivered or given up. `lock` guards the lines; what a line has in flight is the
 * sending thread's alone. Main thread.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/jw.h"
#include "control/webhook_impl.h"

const char *webhook_shown(const char *url, char *out, size_t size)
{
	const char *host = strstr(url, "://");
	size_t scheme = host != NULL ? (size_t)(host - url) + 3 : 0;
	size_t len = strcspn(url + scheme, "/?#");
	const char *at = memrchr(url + scheme, '@', len);
	size_t user = at != NULL ? (size_t)(at - (url + scheme)) + 1 : 0;

	snprintf(out, size, "%.*s%.*s", (int)scheme, url, (int)(len - user), url + scheme + user);
	return out;
}

/* libcurl is initialised before there is a second thread, as it asks. */
static bool start_thread(struct webhooks *w)
{
	sigset_t all;
	sigset_t before;

	if (w->running)
		return true;
	if (w->multi == NULL && curl_global_init(CURL_GLOBAL_DEFAULT) == 0)
		w->multi = curl_multi_init();
	if (w->headers == NULL)
		w->headers = curl_slist_append(NULL, "Content-Type: application/json");
	if (w->multi == NULL || w->headers == NULL)
		return false;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	w->running = pthread_create(&w->thread, NULL, webhook_thread, w) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return w->running;
}

struct webhooks *webhooks_new(const char *node, uint64_t retry_ns)
{
	struct webhooks *w = calloc(1, sizeof(*w));

	if (w == NULL)
		return NULL;
	snprintf(w->node, sizeof(w->node), "%s", node);
	w->retry = retry_ns;
	TAILQ_INIT(&w->lines);
	pthread_mutex_init(&w->lock, NULL);
	return w;
}

static struct webhook_target *find_target(struct webhooks *w, const char *vip)
{
	for (unsigned i = 0; i < w->ntargets; i++) {
		if (strcmp(w->targets[i].vip, vip) == 0)
			return &w->targets[i];
	}
	return NULL;
}

/* Forgets what was not in the last configuration either. */
static void age_targets(struct webhooks *w)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < w->ntargets; i++) {
		if (!w->targets[i].current) {
			free(w->targets[i].url);
			continue;
		}
		w->targets[kept] = w->targets[i];
		w->targets[kept++].current = false;
	}
	w->ntargets = kept;
}

void webhooks_configure(struct webhooks *w, const struct conf *c)
{
	age_targets(w);
	for (uint32_t i = 0; i < c->nvips; i++) {
		const struct conf_vip *v = &c->vips[i];
		struct webhook_target *t = find_target(w, v->name.s);
		char *url = v->notify.webhook.len > 0 ? strdup(v->notify.webhook.s) : NULL;

		if (t == NULL && url != NULL && w->ntargets < WEBHOOK_MAX_TARGETS)
			t = &w->targets[w->ntargets++];
		if (t == NULL) {
			free(url);
			continue;
		}
		free(t->url);
		*t = (struct webhook_target){ .url = url,
			                      .timeout = v->notify.timeout,
			                      .current = true };
		snprintf(t->vip, sizeof(t->vip), "%s", v->name.s);
		snprintf(t->cluster, sizeof(t->cluster), "%.*s", STR_ARG(c->cluster));
	}
}

/* "a, b" as an array. */
static void put_addresses(struct jw *w, const char *text)
{
	struct str rest = str_from(text);

	jw_open(w, "addresses", '[');
	while (rest.s != NULL && rest.len > 0)
		jw_str(w, NULL, str_trim(str_split(rest, ',', &rest)));
	jw_close(w, ']');
}

static char *body_of(const struct webhooks *webhooks, const struct webhook_target *t,
                     const struct ipc_hook *h)
{
	struct buf out = BUF_INIT;
	struct jw w = JW(&out);

	jw_open(&w, NULL, '{');
	jw_text(&w, "cluster", t->cluster);
	jw_text(&w, "node", webhooks->node);
	jw_text(&w, "vip", h->vip);
	jw_text(&w, "from", h->from);
	jw_text(&w, "to", h->to);
	jw_text(&w, "reason", h->reason);
	jw_u64(&w, "number", h->number);
	jw_time(&w, "time", h->wall_ms);
	put_addresses(&w, h->addresses);
	jw_text(&w, "interface", h->interface);
	jw_u64(&w, "priority", h->priority > 0 ? (uint64_t)h->priority : 0);
	jw_close(&w, '}');
	buf_cstr(&out);
	return buf_take(&out);
}

static struct webhook_post *make_post(const struct webhooks *w, const struct webhook_target *t,
                                      const struct ipc_hook *h)
{
	struct webhook_post *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->number = h->number;
	p->timeout = t->timeout;
	snprintf(p->from, sizeof(p->from), "%s", h->from);
	snprintf(p->to, sizeof(p->to), "%s", h->to);
	p->url = strdup(t->url);
	p->body = body_of(w, t, h);
	if (p->url == NULL || p->body == NULL) {
		webhook_post_free(p);
		return NULL;
	}
	return p;
}

/* The line of a virtual IP, made if need be. lock is held. */
static struct webhook_line *line_of(struct webhooks *w, const char *vip)
{
	struct webhook_line *l;

	TAILQ_FOREACH (l, &w->lines, link) {
		if (strcmp(l->vip, vip) == 0)
			return l;
	}
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return NULL;
	snprintf(l->vip, sizeof(l->vip), "%s", vip);
	TAILQ_INIT(&l->posts);
	TAILQ_INSERT_TAIL(&w->lines, l, link);
	return l;
}

/* The first one may be on its way: the oldest that waits goes. */
static void make_room(struct webhook_line *l)
{
	struct webhook_post *oldest = TAILQ_FIRST(&l->posts);

	if (l->n < WEBHOOK_QUEUE)
		return;
	if (l->curl != NULL || l->tries > 0)
		oldest = TAILQ_NEXT(oldest, link);
	webhook_post_end(l, oldest, "too many wait for an answer before it");
}

static bool append(struct webhooks *w, const char *vip, struct webhook_post *p)
{
	struct webhook_line *l;

	pthread_mutex_lock(&w->lock);
	l = line_of(w, vip);
	if (l != NULL) {
		make_room(l);
		TAILQ_INSERT_TAIL(&l->posts, p, link);
		l->n++;
	}
	pthread_mutex_unlock(&w->lock);
	return l != NULL;
}

void webhooks_post(struct webhooks *w, const struct ipc_hook *h)
{
	const struct webhook_target *t = find_target(w, h->vip);
	struct webhook_post *p;

	if (t == NULL || t->url == NULL)
		return;
	p = make_post(w, t, h);
	if (p == NULL || !start_thread(w) || !append(w, h->vip, p)) {
		log_warning("webhook_failed", h->vip,
		            "transition %llu, %s to %s: no memory or thread to send it",
		            (unsigned long long)h->number, h->from, h->to);
		webhook_post_free(p);
		return;
	}
	curl_multi_wakeup(w->multi);
}

bool webhooks_idle(struct webhooks *w)
{
	struct webhook_line *l;
	bool idle = true;

	pthread_mutex_lock(&w->lock);
	TAILQ_FOREACH (l, &w->lines, link)
		idle = idle && l->n == 0;
	pthread_mutex_unlock(&w->lock);
	return idle;
}

void webhooks_free(struct webhooks *w)
{
	if (w == NULL)
		return;
	if (w->running) {
		pthread_mutex_lock(&w->lock);
		w->stop = true;
		pthread_mutex_unlock(&w->lock);
		curl_multi_wakeup(w->multi);
		pthread_join(w->thread, NULL);
	}
	curl_multi_cleanup(w->multi);
	curl_slist_free_all(w->headers);
	for (unsigned i = 0; i < w->ntargets; i++)
		free(w->targets[i].url);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
