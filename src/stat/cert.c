/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates on the board: writing by the parent, reading by anybody. */
#include "stat/cert.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "stat/layout.h"

#define READ_TRIES 100 /* a writer that died in the middle leaves seq odd */
#define DAY        86400ULL

const char *const cert_from_name[CERT_FROMS] = { "files", "dir", "acme", "internal", "client" };
const char *const cert_stage_name[CERT_STAGES] = { "well", "soon", "urgent", "expired" };

enum cert_stage cert_stage_of(uint64_t not_before, uint64_t not_after, uint64_t now)
{
	uint64_t life = not_after > not_before ? not_after - not_before : 0;

	if (now >= not_after)
		return CERT_STAGE_OVER;
	if (not_after - now < MIN(7 * DAY, life / 8))
		return CERT_STAGE_URGENT;
	if (not_after - now < MIN(14 * DAY, life / 3))
		return CERT_STAGE_SOON;
	return CERT_STAGE_WELL;
}

struct board_certs *board_certs(struct board *b)
{
	return &b->certs;
}

void board_certs_write(struct board *b, const struct board_cert *v, uint32_t n, uint32_t more,
                       uint64_t number, const char *authority)
{
	struct board_certs *t = &b->certs;

	if (n > BOARD_MAX_CERTS) {
		more += n - BOARD_MAX_CERTS;
		n = BOARD_MAX_CERTS;
	}
	/* Odd already: an earlier writer died in the middle of it. */
	if ((atomic_load_explicit(&t->seq, memory_order_relaxed) & 1) == 0)
		atomic_fetch_add_explicit(&t->seq, 1, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	t->n = n;
	t->more = more;
	t->number = number;
	memset(t->authority, 0, sizeof(t->authority));
	strncpy(t->authority, authority, sizeof(t->authority) - 1);
	if (n > 0)
		memcpy(t->v, v, n * sizeof(*v));
	atomic_fetch_add_explicit(&t->seq, 1, memory_order_release);
}

static void terminate(struct board_cert *c)
{
	c->listener[sizeof(c->listener) - 1] = '\0';
	c->origin[sizeof(c->origin) - 1] = '\0';
	c->names[sizeof(c->names) - 1] = '\0';
	c->key[sizeof(c->key) - 1] = '\0';
	c->problem[sizeof(c->problem) - 1] = '\0';
	c->note[sizeof(c->note) - 1] = '\0';
	c->from = MIN(c->from, (uint8_t)(CERT_FROMS - 1));
	c->stage = MIN(c->stage, (uint8_t)(CERT_STAGES - 1));
}

struct board_certs *board_certs_read(struct board *b)
{
	struct board_certs *t = &b->certs, *copy;
	size_t head = offsetof(struct board_certs, v);
	uint32_t n;

	if (atomic_load_explicit(&t->seq, memory_order_acquire) == 0)
		return NULL;
	n = MIN(t->n + 64, (uint32_t)BOARD_MAX_CERTS); /* it may grow while we look */
	copy = calloc(1, head + (n + 1) * sizeof(t->v[0]));
	for (unsigned i = 0; copy && i < READ_TRIES; i++) {
		uint32_t before = atomic_load_explicit(&t->seq, memory_order_acquire);

		memcpy(copy, t, head + n * sizeof(t->v[0]));
		atomic_thread_fence(memory_order_acquire);
		if ((before & 1) == 0 &&
		    atomic_load_explicit(&t->seq, memory_order_relaxed) == before)
			break;
		sched_yield();
	}
	if (!copy)
		return NULL;
	copy->n = MIN(copy->n, n);
	copy->authority[sizeof(copy->authority) - 1] = '\0';
	for (uint32_t i = 0; i < copy->n; i++)
		terminate(&copy->v[i]);
	return copy;
}
