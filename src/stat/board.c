/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board's segment and what lies in it. Made by the parent, mapped by every role; each function
 * says who may call it, those that only look may be called by all.
 */
#include "stat/board.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "stat/layout.h"

const char *const server_state_name[SERVER_STATES] = { "starting", "up", "down" };
const char *const server_order_name[ORDER_COUNT] = { "ready", "drain", "disable" };

#define READ_TRIES 1000 /* a writer that died in the middle leaves the sequence odd */

static int map(int fd, struct board **ret)
{
	void *p = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE,
	               MAP_SHARED | MAP_NORESERVE, fd, 0);

	if (p == MAP_FAILED) {
		return ERR_SYSTEM;
	}
	/* Huge pages would fill the holes, and so would a core file. Both are only wishes. */
	madvise(p, sizeof(struct board), MADV_NOHUGEPAGE);
	madvise(p, sizeof(struct board), MADV_DONTDUMP);
	*ret = p;
	return OK;
}

int board_create(struct board **ret, int *ret_fd)
{
	int fd = memfd_create("holdfast-board", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct board *b;

	if (fd < 0) {
		return ERR_SYSTEM;
	}
	/* Sealed: no process that holds it can cut it under the others. */
	if (ftruncate(fd, (off_t)sizeof(struct board)) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0 ||
	    map(fd, &b) != OK) {
		int saved = errno;

		close(fd);
		errno = saved;
		return ERR_SYSTEM;
	}
	b->layout = BOARD_LAYOUT;
	b->kinds = BOARD_KINDS;
	b->size = sizeof(*b);
	b->magic = BOARD_MAGIC;
	*ret = b;
	*ret_fd = fd;
	return OK;
}

int board_map(int fd, struct board **ret)
{
	struct board *b;
	struct stat st;

	if (fstat(fd, &st) < 0) {
		return ERR_SYSTEM;
	}
	if (st.st_size != (off_t)sizeof(struct board)) {
		return ERR_UNEXPECTED;
	}
	if (map(fd, &b) != OK) {
		return ERR_SYSTEM;
	}
	if (b->magic != BOARD_MAGIC || b->layout != BOARD_LAYOUT || b->kinds != BOARD_KINDS ||
	    b->size != sizeof(*b)) {
		board_unmap(b);
		return ERR_UNEXPECTED;
	}
	*ret = b;
	return OK;
}

void board_unmap(struct board *b)
{
	if (b != NULL) {
		munmap(b, sizeof(*b));
	}
}

struct board_node *board_node(struct board *b)
{
	return &b->node;
}

struct board_server *board_server(struct board *b, uint32_t slot)
{
	CHECK(slot < BOARD_MAX_SERVERS);
	return &b->servers[slot];
}

struct board_server board_server_read(struct board_server *s)
{
	struct board_server copy;

	for (unsigned tries = 0; tries < READ_TRIES; tries++) {
		uint32_t seq = atomic_load_explicit(&s->detail_seq, memory_order_acquire);

		memcpy(&copy, s, sizeof(copy));
		atomic_thread_fence(memory_order_acquire);
		if ((seq & 1) == 0 && atomic_load(&s->detail_seq) == seq)
			break;
	}
	copy.reason[sizeof(copy.reason) - 1] = '\0';
	return copy;
}

struct board_pulse *board_pulse(struct board *b, unsigned instance, unsigned thread)
{
	CHECK(instance < BOARD_INSTANCES && thread < BOARD_THREADS);
	return &b->pulses[instance][thread];
}

struct board_vip *board_vip(struct board *b, unsigned n)
{
	CHECK(n < BOARD_MAX_VIPS);
	return &b->vips[n];
}

struct board_live *board_live(struct board *b, unsigned instance, uint32_t slot)
{
	CHECK(instance < BOARD_INSTANCES && slot < BOARD_MAX_SERVERS);
	return &b->live[instance][slot];
}

struct stat_block *board_block(struct board *b, unsigned instance, unsigned thread,
                               enum board_kind kind, uint32_t slot)
{
	uint32_t number = board_number(kind, slot);
	uint32_t page = number / BOARD_PAGE_SLOTS;
	_Atomic uint64_t *marks;

	CHECK(instance < BOARD_INSTANCES && thread < BOARD_THREADS && slot < board_slots(kind));
	marks = &b->touched[instance][thread][page / 64];
	if (unlikely((atomic_load_explicit(marks, memory_order_relaxed) >> page % 64 & 1) == 0)) {
		atomic_fetch_or(marks, 1ULL << page % 64);
		board_thread_used(b, instance, thread);
	}
	return &b->blocks[instance][thread][number];
}

struct wire_block *board_wire(struct board *b, unsigned instance, unsigned thread, uint32_t slot)
{
	CHECK(instance < BOARD_INSTANCES && thread < BOARD_THREADS && slot < BOARD_MAX_LISTENERS);
	board_thread_used(b, instance, thread);
	return &b->wires[instance][thread][slot];
}

void board_wire_total(struct board *b, uint32_t slot, struct wire_block *sum)
{
	CHECK(slot < BOARD_MAX_LISTENERS);
	memset(sum, 0, sizeof(*sum));
	for (unsigned instance = 0; instance < BOARD_INSTANCES; instance++) {
		uint64_t threads = board_threads(b, instance);

		for (; threads != 0; threads &= threads - 1) {
			unsigned thread = (unsigned)__builtin_ctzll(threads);

			for (unsigned i = 0; i < WIRE_COUNTERS; i++) {
				sum->c[i] += stat_get(&b->wires[instance][thread][slot].c[i]);
			}
		}
	}
}

_Atomic uint64_t *board_epoch(struct board *b)
{
	return &b->epoch;
}

void board_thread_used(struct board *b, unsigned instance, unsigned thread)
{
	CHECK(instance < BOARD_INSTANCES && thread < BOARD_THREADS);
	atomic_fetch_or_explicit(&b->threads[instance], 1ULL << thread, memory_order_release);
}

/* A slot that was given away while an old proxy still counted on it could show -1. */
static void floor_gauge(uint64_t *gauge)
{
	if (*gauge > INT64_MAX) {
		*gauge = 0;
	}
}

void board_total(struct board *b, enum board_kind kind, uint32_t slot, struct stat_block *sum)
{
	uint32_t number = board_number(kind, slot);

	CHECK(slot < board_slots(kind));
	memset(sum, 0, sizeof(*sum));
	for (unsigned instance = 0; instance < BOARD_INSTANCES; instance++) {
		uint64_t threads = board_threads(b, instance);

		for (; threads != 0; threads &= threads - 1) {
			unsigned thread = (unsigned)__builtin_ctzll(threads);
			struct stat_block *block = board_block_if(b, instance, thread, number);

			if (block != NULL) {
				stat_sum(sum, block);
			}
		}
	}
	floor_gauge(&sum->c[STAT_OPEN]);
	floor_gauge(&sum->c[STAT_ACTIVE]);
}

static void reset_gauges(struct board *b, unsigned instance, unsigned thread)
{
	for (uint32_t number = 0; number < BOARD_SLOTS; number++) {
		struct stat_block *block = board_block_if(b, instance, thread, number);

		if (block == NULL) {
			number |= BOARD_PAGE_SLOTS - 1; /* nor has the rest of its page */
			continue;
		}
		__atomic_store_n(&block->c[STAT_OPEN], 0, __ATOMIC_RELAXED);
		__atomic_store_n(&block->c[STAT_ACTIVE], 0, __ATOMIC_RELAXED);
	}
}

void board_instance_reset(struct board *b, unsigned instance)
{
	uint32_t servers = atomic_load(&b->limit[BOARD_SERVER]);
	uint64_t threads;

	CHECK(instance < BOARD_INSTANCES);
	threads = board_threads(b, instance);
	for (; threads != 0; threads &= threads - 1) {
		unsigned thread = (unsigned)__builtin_ctzll(threads);

		reset_gauges(b, instance, thread);
		atomic_store(&b->pulses[instance][thread].ns, 0);
	}
	for (uint32_t slot = 0; slot < servers; slot++) {
		atomic_store(&b->live[instance][slot].active, 0);
		atomic_store(&b->live[instance][slot].queued, 0);
	}
	atomic_store(&b->node.connections[instance], 0);
	for (unsigned i = 0; i < BOARD_MAX_LISTENERS; i++) {
		atomic_store(&b->node.listener_connections[instance][i], 0);
	}
}
