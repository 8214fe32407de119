/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a whoami has seen: requests by method, and how often each X-Test-Id came, so that a test can
 * prove that nothing was lost and nothing was sent twice. Of all threads; the table of ids has a
 * lock and a limit.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "lab/whoami_impl.h"

#define SLOTS   (1U << 19)
#define MAX_IDS (SLOTS / 2)

struct id {
	struct str text;
	uint32_t count;
};

struct whoami_ids {
	pthread_mutex_t lock;
	struct arena texts;
	uint8_t key[16];
	unsigned n;
	uint64_t lost; /* for want of room */
	struct id slots[SLOTS];
};

bool whoami_counts_init(struct whoami_counts *c, const char *record)
{
	c->record = -1;
	c->ids = calloc(1, sizeof(*c->ids)); /* touched only as it fills */
	if (!c->ids)
		return false;
	pthread_mutex_init(&c->ids->lock, NULL);
	random_secret(c->ids->key, sizeof(c->ids->key));
	if (record)
		c->record = open(record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
	return !record || c->record >= 0;
}

static void count_id(struct whoami_ids *ids, struct str text)
{
	uint64_t at = hash_keyed(ids->key, text.s, text.len);
	struct id *id;

	for (;; at++) {
		id = &ids->slots[at % SLOTS];
		if (!id->text.s || str_eq(id->text, text))
			break;
	}
	if (!id->text.s) {
		if (ids->n < MAX_IDS)
			id->text = arena_str(&ids->texts, text);
		if (!id->text.s) {
			ids->lost++;
			return;
		}
		ids->n++;
	}
	id->count++;
}

/* One line in one write: what was answered is in the file even if the process is killed next. */
static void record(int fd, const struct http_head *h, struct str id)
{
	char line[WHOAMI_MAX_ID + 64];
	int n = snprintf(line, sizeof(line), "%.*s %.*s\n", (int)MIN(h->method_text.len, 32U),
	                 h->method_text.s, STR_ARG(id));

	if (write(fd, line, (size_t)n) < 0)
		perror("whoami: record");
}

void whoami_counts_request(struct whoami_counts *c, const struct http_head *h)
{
	const struct http_field *f = http_field_named(h, STR("x-test-id"));

	atomic_fetch_add_explicit(&c->requests, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&c->methods[h->method], 1, memory_order_relaxed);
	if (!f || f->value.len == 0 || f->value.len > WHOAMI_MAX_ID)
		return;
	if (c->record >= 0)
		record(c->record, h, f->value);
	pthread_mutex_lock(&c->ids->lock);
	count_id(c->ids, f->value);
	pthread_mutex_unlock(&c->ids->lock);
}

void whoami_counts_json(struct whoami *w, bool ids, struct buf *out)
{
	struct whoami_counts *c = &w->counts;
	bool first = true;

	buf_adds(out, "{\"name\":");
	buf_json(out, str_from(w->name));
	buf_printf(out,
	           ",\"requests\":%lu,\"health\":%lu,\"body_bytes\":%lu,\"refused\":%lu,"
	           "\"aborted\":%lu,\"connections\":%lu,\"open\":%lu,\"methods\":{",
	           c->requests, c->health, c->body_bytes, c->refused, c->aborted, c->connections,
	           c->open);
	for (unsigned m = 0; m < HTTP_METHODS; m++)
		buf_printf(out, "%s\"%s\":%lu", m ? "," : "", http_method_name(m), c->methods[m]);
	buf_adds(out, "}");
	pthread_mutex_lock(&c->ids->lock);
	buf_printf(out, ",\"ids_lost\":%lu", c->ids->lost);
	if (ids) {
		buf_adds(out, ",\"ids\":{");
		for (unsigned i = 0; i < SLOTS; i++) {
			if (!c->ids->slots[i].text.s)
				continue;
			buf_adds(out, first ? "" : ",");
			first = false;
			buf_json(out, c->ids->slots[i].text);
			buf_printf(out, ":%u", c->ids->slots[i].count);
		}
		buf_adds(out, "}");
	}
	pthread_mutex_unlock(&c->ids->lock);
	buf_adds(out, "}\n");
}

void whoami_counts_reset(struct whoami_counts *c)
{
	c->requests = c->health = c->body_bytes = c->refused = c->aborted = 0;
	for (unsigned m = 0; m < HTTP_METHODS; m++)
		c->methods[m] = 0;
	pthread_mutex_lock(&c->ids->lock);
	memset(c->ids->slots, 0, sizeof(c->ids->slots));
	arena_free(&c->ids->texts);
	c->ids->n = 0;
	c->ids->lost = 0;
	pthread_mutex_unlock(&c->ids->lock);
}
