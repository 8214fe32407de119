/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ring of events: any thread of any process appends, any reads. A
 * writer takes a number, empties the place, fills it and signs it with the number; a reader that
 * finds the same signature before and after its copy has a whole event. The hash covers the rest: a
 * writer that stood still for a whole revolution, was taken for dead and then went on.
 */
#include <sched.h>
#include <stdio.h>

#include "base/log.h"
#include "stat/layout.h"

#define WORDS      (sizeof(struct board_event) / sizeof(uint64_t)) /* the first is seq */
#define WAIT_TURNS 1000

_Static_assert(sizeof(struct board_event) % sizeof(uint64_t) == 0, "events are whole words");
_Static_assert(offsetof(struct board_event, seq) == 0, "seq comes first");

static uint64_t sum_of(const struct board_event *e)
{
	return hash_bytes(BOARD_MAGIC, &e->wall_ms,
	                  sizeof(*e) - offsetof(struct board_event, wall_ms));
}

/* Cuts between two characters of UTF-8, not within one. */
static void copy_text(char *out, size_t size, const char *text)
{
	size_t n = strnlen(text, size);

	if (n == size) {
		for (n = size - 1; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80; n--) {
		}
	}
	memcpy(out, text, n);
	memset(out + n, 0, size - n);
}

/* The place of event n is ours to write; false when a newer event is there already. */
static bool claim(struct board_event *e, uint64_t n)
{
	uint64_t seq = atomic_load(&e->seq);

	for (unsigned turns = 0; n >= BOARD_EVENTS;) {
		if (seq > n) {
			return false;
		}
		if (seq != 0) {
			if (atomic_compare_exchange_weak(&e->seq, &seq, 0)) {
				break;
			}
			continue;
		}
		/* The writer of one revolution ago is at work, or has died over it. */
		if (++turns > WAIT_TURNS) {
			break;
		}
		sched_yield();
		seq = atomic_load(&e->seq);
	}
	return true;
}

void board_journal(const struct log_line *line, void *board)
{
	struct board *b = board;
	struct board_event filled = { .wall_ms = line->wall_ms, .level = (uint8_t)line->level };
	const uint64_t *from = (const uint64_t *)&filled;
	struct board_event *e;
	uint64_t *to, n;

	copy_text(filled.area, sizeof(filled.area), line->area);
	copy_text(filled.event, sizeof(filled.event), line->event);
	copy_text(filled.object, sizeof(filled.object), line->object != NULL ? line->object : "");
	copy_text(filled.text, sizeof(filled.text), line->text);
	filled.sum = sum_of(&filled);
	n = atomic_fetch_add(&b->events_next, 1);
	e = &b->events[n % BOARD_EVENTS];
	if (!claim(e, n)) {
		return;
	}
	to = (uint64_t *)e;
	for (size_t i = 1; i < WORDS; i++) { /* release: who sees a new word sees the empty seq */
		__atomic_store_n(&to[i], from[i], __ATOMIC_RELEASE);
	}
	atomic_store_explicit(&e->seq, n + 1, memory_order_release);
}

bool board_event(struct board *b, uint64_t n, struct board_event *ret)
{
	struct board_event *e = &b->events[n % BOARD_EVENTS];
	const uint64_t *from = (const uint64_t *)e;
	uint64_t *to = (uint64_t *)ret;

	if (n >= board_events(b) || atomic_load_explicit(&e->seq, memory_order_acquire) != n + 1) {
		return false;
	}
	for (size_t i = 1; i < WORDS; i++) {
		to[i] = __atomic_load_n(&from[i], __ATOMIC_ACQUIRE);
	}
	atomic_store_explicit(&ret->seq, n + 1, memory_order_relaxed);
	return atomic_load_explicit(&e->seq, memory_order_relaxed) == n + 1 &&
	       ret->sum == sum_of(ret);
}

uint64_t board_events(struct board *b)
{
	return atomic_load(&b->events_next);
}
