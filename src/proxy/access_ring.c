/* SPDX-License-Identifier: Apache-2.0 */
/* The ring: records of different sizes one behind the other, each in one piece; a filler covers
 * what is left at the end. Positions count bytes and never wrap. */
#include "proxy/access_ring.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"

#define FILLER UINT32_MAX /* slot of a record that only covers the end */
#define TEXTS  10

struct stored {        /* followed by the client's address and the strings */
	uint32_t size; /* of all, a multiple of 8 */
	uint32_t slot;
	uint64_t wall_ms, duration_us, upstream_us, bytes_in, bytes_out;
	uint32_t status, attempts, minor;
	uint32_t client; /* bytes of its address; 0: none */
	uint16_t texts[TEXTS];
};

struct access_ring {
	/* the writer's */
	_Atomic uint64_t head __attribute__((aligned(64)));
	uint64_t known_tail;
	_Atomic uint64_t dropped;
	int wakefd;
	/* the reader's */
	_Atomic uint64_t tail __attribute__((aligned(64)));
	char *bytes __attribute__((aligned(64)));
};

static struct str *text_of(struct access_record *r, unsigned i)
{
	struct str *const texts[TEXTS] = { &r->method,     &r->target,  &r->host,
		                           &r->user_agent, &r->referer, &r->request_id,
		                           &r->listener,   &r->route,   &r->server,
		                           &r->reason };

	return texts[i];
}

struct access_ring *access_ring_new(int wakefd)
{
	struct access_ring *r = aligned_alloc(64, sizeof(*r));

	if (r == NULL)
		return NULL;
	memset(r, 0, sizeof(*r));
	r->wakefd = wakefd;
	/* Pages come as they are first written. */
	r->bytes = mmap(NULL, ACCESS_RING_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
	                -1, 0);
	if (r->bytes == MAP_FAILED) {
		free(r);
		return NULL;
	}
	return r;
}

void access_ring_free(struct access_ring *r)
{
	if (r == NULL)
		return;
	munmap(r->bytes, ACCESS_RING_SIZE);
	free(r);
}

/* Room for size bytes in one piece, behind a filler where needed; NULL when there is none. */
static struct stored *reserve(struct access_ring *r, uint32_t size, uint64_t *ret_head)
{
	uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
	uint32_t left = ACCESS_RING_SIZE - (uint32_t)(head % ACCESS_RING_SIZE);
	uint32_t need = left < size ? left + size : size;
	struct stored *filler;

	if (ACCESS_RING_SIZE - (head - r->known_tail) < need) {
		r->known_tail = atomic_load_explicit(&r->tail, memory_order_acquire);
		if (ACCESS_RING_SIZE - (head - r->known_tail) < need)
			return NULL;
	}
	if (left < size) {
		/* There is always room for these two words: sizes are multiples of 8. */
		filler = (struct stored *)(r->bytes + head % ACCESS_RING_SIZE);
		filler->size = left;
		filler->slot = FILLER;
		head += left;
	}
	*ret_head = head + size;
	return (struct stored *)(r->bytes + head % ACCESS_RING_SIZE);
}

static void store(struct stored *s, struct access_record *record)
{
	char *p = (char *)(s + 1);

	s->wall_ms = record->wall_ms;
	s->duration_us = record->duration_us;
	s->upstream_us = record->upstream_us;
	s->bytes_in = record->bytes_in;
	s->bytes_out = record->bytes_out;
	s->status = record->status;
	s->attempts = record->attempts;
	s->minor = record->minor;
	if (s->client > 0)
		p = mempcpy(p, &record->client->sa, s->client);
	for (unsigned i = 0; i < TEXTS; i++) {
		struct str text = *text_of(record, i);

		s->texts[i] = (uint16_t)MIN(text.len, ACCESS_MAX_TEXT);
		if (s->texts[i] > 0)
			p = mempcpy(p, text.s, s->texts[i]);
	}
}

/* Wakes the reader when the ring is half full, then once for each further eighth. */
static void wake(struct access_ring *r, uint64_t before, uint64_t head)
{
	if (likely(head - r->known_tail <= ACCESS_RING_SIZE / 2))
		return;
	r->known_tail = atomic_load_explicit(&r->tail, memory_order_acquire);
	if (head - r->known_tail > ACCESS_RING_SIZE / 2 &&
	    before / (ACCESS_RING_SIZE / 8) != head / (ACCESS_RING_SIZE / 8) && r->wakefd >= 0)
		(void)!write(r->wakefd, &(uint64_t){ 1 }, sizeof(uint64_t));
}

void access_log_put(struct access_ring *r, uint32_t slot, const struct access_record *record)
{
	struct access_record copy = *record;
	size_t client = 0, size = sizeof(struct stored);
	uint64_t before, head;
	struct stored *s;

	if (r == NULL)
		return;
	before = atomic_load_explicit(&r->head, memory_order_relaxed);
	if (copy.client != NULL)
		client = MIN(copy.client->len, sizeof(struct sockaddr_un));
	size += client;
	for (unsigned i = 0; i < TEXTS; i++)
		size += MIN(text_of(&copy, i)->len, ACCESS_MAX_TEXT);
	size = (size + 7) & ~(size_t)7;
	s = reserve(r, (uint32_t)size, &head);
	if (s == NULL) {
		atomic_store_explicit(&r->dropped, access_ring_dropped(r) + 1,
		                      memory_order_relaxed);
		return;
	}
	s->size = (uint32_t)size;
	s->slot = slot;
	s->client = (uint32_t)client;
	store(s, &copy);
	atomic_store_explicit(&r->head, head, memory_order_release);
	wake(r, before, head);
}

bool access_ring_get(struct access_ring *r, uint32_t *slot, struct access_record *record,
                     struct net_addr *client)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	const struct stored *s = (struct stored *)(r->bytes + tail % ACCESS_RING_SIZE);
	const char *p;

	if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
		return false;
	if (s->slot == FILLER) {
		/* A record always follows in the same step of head. */
		atomic_store_explicit(&r->tail, tail + s->size, memory_order_release);
		s = (struct stored *)r->bytes;
	}
	*slot = s->slot;
	*record = (struct access_record){
		.wall_ms = s->wall_ms,
		.duration_us = s->duration_us,
		.upstream_us = s->upstream_us,
		.bytes_in = s->bytes_in,
		.bytes_out = s->bytes_out,
		.status = s->status,
		.attempts = s->attempts,
		.minor = s->minor,
		.client = s->client > 0 ? client : NULL,
	};
	p = (const char *)(s + 1);
	memset(client, 0, sizeof(*client));
	memcpy(&client->sa, p, s->client);
	client->len = s->client;
	p += s->client;
	for (unsigned i = 0; i < TEXTS; i++) {
		*text_of(record, i) = str_n(p, s->texts[i]);
		p += s->texts[i];
	}
	return true;
}

void access_ring_done(struct access_ring *r)
{
	uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	const struct stored *s = (struct stored *)(r->bytes + tail % ACCESS_RING_SIZE);

	atomic_store_explicit(&r->tail, tail + s->size, memory_order_release);
}

uint64_t access_ring_dropped(const struct access_ring *r)
{
	return atomic_load_explicit(&r->dropped, memory_order_relaxed);
}
