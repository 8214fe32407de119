/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The layout of the board, for the files of this folder alone. Everything in it is zero at first
 * and most of it is never touched: the file is sparse, 5 GiB long and a few megabytes large. Even
 * a read of an untouched page would make it real, hence the marks of what was touched.
 */
#ifndef STAT_LAYOUT_H
#define STAT_LAYOUT_H

#include "base/check.h"
#include "stat/board.h"
#include "stat/cert.h"

#define BOARD_MAGIC  0x64726f6274736648ULL /* "Hfstbord" */
#define BOARD_LAYOUT 6 /* to be raised when a struct here or in board.h changes */

#define BOARD_PAGE_SLOTS  8 /* blocks in one page */
#define BOARD_TOUCH_WORDS (BOARD_SLOTS / BOARD_PAGE_SLOTS / 64)
#define BOARD_INDEX       131072 /* a power of two, well above twice BOARD_SLOTS */

struct board {
	uint64_t magic;
	uint32_t layout;
	uint32_t kinds;
	uint64_t size;
	_Atomic uint64_t epoch;
	_Atomic uint64_t events_next;
	_Atomic uint64_t threads[BOARD_INSTANCES]; /* one bit for each thread that was ever used */
	struct board_node node;
	/* The parent's: */
	uint32_t cursor[BOARD_KINDS];        /* where the search for a free slot goes on */
	uint32_t used[BOARD_KINDS];          /* slots taken */
	_Atomic uint32_t limit[BOARD_KINDS]; /* no slot from here on was ever taken */
	uint32_t index_filled;               /* entries of index[], outdated ones included */
	uint32_t index_broken;               /* it is being rebuilt */
	uint32_t index[BOARD_INDEX];         /* by hash of kind and name: number of its slot + 1 */
	/* A bit for each page of blocks that was asked for. */
	_Atomic uint64_t touched[BOARD_INSTANCES][BOARD_THREADS][BOARD_TOUCH_WORDS];
	struct board_vip vips[BOARD_MAX_VIPS];
	struct board_certs certs;
	struct board_pulse pulses[BOARD_INSTANCES][BOARD_THREADS];
	struct board_event events[BOARD_EVENTS];
	struct board_name names[BOARD_SLOTS];
	struct board_server servers[BOARD_MAX_SERVERS];
	struct board_live live[BOARD_INSTANCES][BOARD_MAX_SERVERS];
	struct wire_block wires[BOARD_INSTANCES][BOARD_THREADS][BOARD_MAX_LISTENERS];
	struct stat_block blocks[BOARD_INSTANCES][BOARD_THREADS][BOARD_SLOTS]
	    __attribute__((aligned(4096)));
};

_Static_assert(sizeof(struct stat_block) * BOARD_PAGE_SLOTS == 4096, "blocks fill pages");
_Static_assert(BOARD_SLOTS % (BOARD_PAGE_SLOTS * 64) == 0, "marks fill words");
_Static_assert(BOARD_THREADS == 64, "one bit each in one word");

/* The number of a slot among those of all kinds. */
static inline uint32_t board_number(enum board_kind kind, uint32_t slot)
{
	static const uint32_t first[BOARD_KINDS] = {
		[BOARD_LISTENER] = 0,
		[BOARD_ROUTE] = BOARD_MAX_LISTENERS,
		[BOARD_POOL] = BOARD_MAX_LISTENERS + BOARD_MAX_ROUTES,
		[BOARD_SERVER] = BOARD_MAX_LISTENERS + BOARD_MAX_ROUTES + BOARD_MAX_POOLS,
	};

	return first[kind] + slot;
}

/* The block where it was ever asked for, else NULL. */
static inline struct stat_block *board_block_if(struct board *b, unsigned instance, unsigned thread,
                                                uint32_t number)
{
	uint32_t page = number / BOARD_PAGE_SLOTS;
	uint64_t marks =
	    atomic_load_explicit(&b->touched[instance][thread][page / 64], memory_order_relaxed);

	return (marks >> page % 64 & 1) != 0 ? &b->blocks[instance][thread][number] : NULL;
}

static inline uint64_t board_threads(struct board *b, unsigned instance)
{
	return atomic_load_explicit(&b->threads[instance], memory_order_acquire);
}

#endif
