/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sending webhooks. The main thread of the role control puts posts into lines, one for each virtual
 * IP; the sending thread takes the first of each line and keeps it there until it is delivered or
 * given up. `lock` guards the lines; what a line has in flight is the sending thread's alone.
 */
#include "control/webhook.h"

#include <curl/curl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "control/jw.h"

#define MAX_TARGETS (2 * CONF_MAX_VIPS)
#define IDLE_MS     60000 /* the thread is woken when there is something to do */

struct post {
	TAILQ_ENTRY(post) link;
	uint64_t number;
	char from[16];
	char to[16];
	char *url;
	char *body;
	uint64_t timeout;
};

TAILQ_HEAD(posts, post);

/* The posts of one virtual IP. Freed by the sending thread when it is empty. */
struct line {
	TAILQ_ENTRY(line) link;
	char vip[64];
	struct posts posts;
	unsigned n;
	/* The sending thread's: */
	CURL *curl;       /* the first post is on its way; NULL: not */
	unsigned tries;   /* of the first post */
	uint64_t not_yet; /* monotonic ns: the next try is not before */
	char error[CURL_ERROR_SIZE];
};

TAILQ_HEAD(lines, line);

struct target {
	char vip[64];
	char *url;
	char cluster[64];
	uint64_t timeout;
	bool current; /* in the last configuration */
};

struct webhooks {
	char node[64];
	uint64_t retry;
	struct target targets[MAX_TARGETS]; /* the main thread's */
	unsigned ntargets;
	bool running;
	pthread_t thread;
	CURLM *multi;
	struct curl_slist *headers;
	pthread_mutex_t lock;
	bool stop;
	struct lines lines;
};

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

static void free_post(struct post *p)
{
	if (p == NULL)
		return;
	free(p->url);
	free(p->body);
	free(p);
}

/* Takes a post out of its line, delivered or not. lock is held. */
static void end_post(struct line *l, struct post *p, const char *why)
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
	free_post(p);
}

/* --- sending: the thread -------------------------------------------------------------------- */

static size_t discard(char *data, size_t size, size_t n, void *arg)
{
	(void)data;
	(void)arg;
	return size * n;
}

static bool begin(struct webhooks *w, struct line *l, const struct post *p)
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
	struct line *next;

	pthread_mutex_lock(&w->lock);
	for (struct line *l = TAILQ_FIRST(&w->lines); l != NULL; l = next) {
		struct post *p = TAILQ_FIRST(&l->posts);

		next = TAILQ_NEXT(l, link);
		if (p == NULL && l->curl == NULL) {
			TAILQ_REMOVE(&w->lines, l, link);
			free(l);
		} else if (l->curl == NULL && l->not_yet > now) {
			wait = MIN(wait, l->not_yet - now);
		} else if (l->curl == NULL && !begin(w, l, p)) {
			end_post(l, p, "out of memory");
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
	struct line *l = NULL;
	struct post *p;
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
		end_post(l, p, NULL);
		l->tries = 0;
	} else if (l->tries >= WEBHOOK_TRIES || !may_help(rc, status)) {
		end_post(l, p, why);
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
	struct line *l;

	pthread_mutex_lock(&w->lock);
	while ((l = TAILQ_FIRST(&w->lines)) != NULL) {
		/* Sees through no TAILQ_REMOVE. NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
		if (l->curl != NULL) {
			curl_multi_remove_handle(w->multi, l->curl);
			curl_easy_cleanup(l->curl);
		}
		while (!TAILQ_EMPTY(&l->posts))
			/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
			end_post(l, TAILQ_FIRST(&l->posts), "the node's control process ends");
		TAILQ_REMOVE(&w->lines, l, link);
		free(l);
	}
	pthread_mutex_unlock(&w->lock);
}

static void *send_all(void *arg)
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

/* --- queueing: the main thread -------------------------------------------------------------- */

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
	w->running = pthread_create(&w->thread, NULL, send_all, w) == 0;
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

static struct target *find_target(struct webhooks *w, const char *vip)
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
		struct target *t = find_target(w, v->name.s);
		char *url = v->notify.webhook.len > 0 ? strdup(v->notify.webhook.s) : NULL;

		if (t == NULL && url != NULL && w->ntargets < MAX_TARGETS)
			t = &w->targets[w->ntargets++];
		if (t == NULL) {
			free(url);
			continue;
		}
		free(t->url);
		*t = (struct target){ .url = url, .timeout = v->notify.timeout, .current = true };
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

static char *body_of(const struct webhooks *webhooks, const struct target *t,
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

static struct post *make_post(const struct webhooks *w, const struct target *t,
                              const struct ipc_hook *h)
{
	struct post *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->number = h->number;
	p->timeout = t->timeout;
	snprintf(p->from, sizeof(p->from), "%s", h->from);
	snprintf(p->to, sizeof(p->to), "%s", h->to);
	p->url = strdup(t->url);
	p->body = body_of(w, t, h);
	if (p->url == NULL || p->body == NULL) {
		free_post(p);
		return NULL;
	}
	return p;
}

/* The line of a virtual IP, made if need be. lock is held. */
static struct line *line_of(struct webhooks *w, const char *vip)
{
	struct line *l;

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
static void make_room(struct line *l)
{
	struct post *oldest = TAILQ_FIRST(&l->posts);

	if (l->n < WEBHOOK_QUEUE)
		return;
	if (l->curl != NULL || l->tries > 0)
		oldest = TAILQ_NEXT(oldest, link);
	end_post(l, oldest, "too many wait for an answer before it");
}

static bool append(struct webhooks *w, const char *vip, struct post *p)
{
	struct line *l;

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
	const struct target *t = find_target(w, h->vip);
	struct post *p;

	if (t == NULL || t->url == NULL)
		return;
	p = make_post(w, t, h);
	if (p == NULL || !start_thread(w) || !append(w, h->vip, p)) {
		log_warning("webhook_failed", h->vip,
		            "transition %llu, %s to %s: no memory or thread to send it",
		            (unsigned long long)h->number, h->from, h->to);
		free_post(p);
		return;
	}
	curl_multi_wakeup(w->multi);
}

bool webhooks_idle(struct webhooks *w)
{
	struct line *l;
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
