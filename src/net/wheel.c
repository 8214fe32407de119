/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The timer wheel: 4096 slots of one tick, a revolution of 16 s, one bit for each slot that is not
 * empty. A timer lies in the slot of `tick`, which is at or before the tick of its `due`: one that
 * was moved later, or that is more than a revolution away, is put further on when its slot comes
 * round. On the thread of its loop only.
 */
#include "net/wheel.h"

#include "base/check.h"

#define SLOT(tick) ((tick) & (LOOP_WHEEL_SLOTS - 1))
#define WORDS      (LOOP_WHEEL_SLOTS / 64)

void wheel_init(struct loop *l)
{
	for (unsigned i = 0; i < LOOP_WHEEL_SLOTS; i++) {
		TAILQ_INIT(&l->wheel[i]);
	}
	l->tick = l->now / LOOP_TICK_NS + 1;
}

/* The first tick at which a timer that is due then may run. */
static uint64_t tick_of(const struct loop *l, uint64_t due)
{
	uint64_t tick = due / LOOP_TICK_NS + (due % LOOP_TICK_NS != 0);

	/* The last slot before l->tick stays free: it may be running just now. */
	return MIN(MAX(tick, l->tick), l->tick + LOOP_WHEEL_SLOTS - 2);
}

static void put(struct loop *l, struct loop_timer *t, uint64_t tick)
{
	unsigned slot = SLOT(tick);

	t->tick = tick;
	TAILQ_INSERT_TAIL(&l->wheel[slot], t, link);
	l->bitmap[slot / 64] |= 1ULL << slot % 64;
}

static void take(struct loop *l, struct loop_timer *t)
{
	unsigned slot = SLOT(t->tick);

	TAILQ_REMOVE(&l->wheel[slot], t, link);
	if (TAILQ_EMPTY(&l->wheel[slot])) {
		l->bitmap[slot / 64] &= ~(1ULL << slot % 64);
	}
}

void loop_timer_set(struct loop *l, struct loop_timer *t, uint64_t ns)
{
	uint64_t due, tick;

	if (__builtin_add_overflow(l->now, ns, &due)) {
		due = UINT64_MAX;
	}
	tick = tick_of(l, due);
	if (t->due != 0) {
		if (tick >= t->tick) { /* the frequent case: it moves when its slot comes round */
			t->due = due;
			return;
		}
		take(l, t);
	}
	t->due = due;
	put(l, t, tick);
}

void loop_timer_stop(struct loop *l, struct loop_timer *t)
{
	if (t->due != 0) {
		take(l, t);
		t->due = 0;
	}
}

/* The first tick, from l->tick on, whose slot is not empty; UINT64_MAX when all are. */
static uint64_t next_tick(const struct loop *l)
{
	unsigned start = SLOT(l->tick), word = start / 64;
	uint64_t bits = l->bitmap[word] & ~0ULL << start % 64;

	for (unsigned i = 0; i <= WORDS; i++) {
		if (bits != 0) {
			unsigned slot = word * 64 + (unsigned)__builtin_ctzll(bits);

			return l->tick + SLOT(slot - start);
		}
		word = (word + 1) % WORDS;
		bits = l->bitmap[word];
	}
	return UINT64_MAX;
}

/* l->tick is past this slot already, so nothing is put into it meanwhile. */
static void run_slot(struct loop *l, uint64_t tick)
{
	struct loop_timers *slot = &l->wheel[SLOT(tick)];
	struct loop_timer *t;

	while ((t = TAILQ_FIRST(slot)) != NULL) {
		take(l, t);
		if (t->due > tick * LOOP_TICK_NS) {
			put(l, t, tick_of(l, t->due));
		} else {
			t->due = 0;
			t->fn(t);
		}
	}
}

void wheel_run(struct loop *l)
{
	uint64_t last = l->now / LOOP_TICK_NS;
	uint64_t tick;

	while ((tick = next_tick(l)) <= last) {
		l->tick = tick + 1;
		run_slot(l, tick);
	}
	l->tick = MAX(l->tick, last + 1);
}

uint64_t wheel_wait(const struct loop *l, uint64_t now)
{
	uint64_t tick = next_tick(l);

	if (tick == UINT64_MAX) {
		return UINT64_MAX;
	}
	return tick * LOOP_TICK_NS > now ? tick * LOOP_TICK_NS - now : 0;
}
