/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which object has which slot. The parent alone writes; the roles read names for display. All of it
 * lies in the segment, so that a new parent finds every object where the old one had put it. An
 * entry of the index may be outdated (its slot has another name by now); it is rebuilt when such
 * entries crowd it, or when a parent died while it rebuilt it.
 */
#include <stdio.h>

#include "base/err.h"
#include "stat/layout.h"

#define NAME_SIZE     sizeof(((struct board_name *)0)->name)
#define INDEX_CROWDED (BOARD_INDEX / 4 * 3)

static const uint32_t slots_of[BOARD_KINDS] = {
	[BOARD_LISTENER] = BOARD_MAX_LISTENERS,
	[BOARD_ROUTE] = BOARD_MAX_ROUTES,
	[BOARD_POOL] = BOARD_MAX_POOLS,
	[BOARD_SERVER] = BOARD_MAX_SERVERS,
};

uint32_t board_slots(enum board_kind kind)
{
	return slots_of[kind];
}

/* The name as it is kept: one that is too long ends in a hash of the whole. */
static void keep_name(char out[NAME_SIZE], struct str name)
{
	char hash[24];
	size_t n;

	memset(out, 0, NAME_SIZE);
	if (name.len < NAME_SIZE) {
		memcpy(out, name.s, name.len);
		return;
	}
	n = (size_t)snprintf(hash, sizeof(hash), "~%016llx",
	                     (unsigned long long)hash_bytes(0, name.s, name.len));
	memcpy(out, name.s, NAME_SIZE - 1 - n);
	memcpy(out + NAME_SIZE - 1 - n, hash, n);
}

static uint32_t index_first(enum board_kind kind, const char *name)
{
	return (uint32_t)hash_bytes((uint64_t)kind + 1, name, strlen(name)) % BOARD_INDEX;
}

static void index_add(struct board *b, enum board_kind kind, uint32_t slot)
{
	uint32_t number = board_number(kind, slot);
	uint32_t i = index_first(kind, b->names[number].name);

	while (b->index[i] != 0) {
		i = (i + 1) % BOARD_INDEX;
	}
	b->index[i] = number + 1;
	b->index_filled++;
}

static void index_rebuild(struct board *b)
{
	b->index_broken = 1;
	memset(b->index, 0, sizeof(b->index));
	b->index_filled = 0;
	for (unsigned kind = 0; kind < BOARD_KINDS; kind++) {
		uint32_t limit = atomic_load(&b->limit[kind]);

		for (uint32_t slot = 0; slot < limit; slot++) {
			if (b->names[board_number(kind, slot)].used) {
				index_add(b, kind, slot);
			}
		}
	}
	b->index_broken = 0;
}

/* The slot of a name in use; UINT32_MAX where there is none. */
static uint32_t find(struct board *b, enum board_kind kind, const char *name)
{
	uint32_t first = board_number(kind, 0);
	uint32_t i = index_first(kind, name);

	for (; b->index[i] != 0; i = (i + 1) % BOARD_INDEX) {
		uint32_t number = b->index[i] - 1;

		if (number >= first && number - first < slots_of[kind] && b->names[number].used &&
		    strcmp(b->names[number].name, name) == 0) {
			return number - first;
		}
	}
	return UINT32_MAX;
}

static void clear_words(void *block, size_t size)
{
	uint64_t *words = block;

	for (size_t i = 0; i < size / sizeof(*words); i++) {
		__atomic_store_n(&words[i], 0, __ATOMIC_RELAXED);
	}
}

/* Takes away what the last object of the slot has left. */
static void clear(struct board *b, enum board_kind kind, uint32_t slot)
{
	const union server_word fresh = { .state = SERVER_UNPROVED, .ramp = 100 };
	uint32_t number = board_number(kind, slot);

	for (unsigned instance = 0; instance < BOARD_INSTANCES; instance++) {
		uint64_t threads = board_threads(b, instance);

		for (; threads != 0; threads &= threads - 1) {
			unsigned thread = (unsigned)__builtin_ctzll(threads);
			struct stat_block *block = board_block_if(b, instance, thread, number);

			if (block != NULL) {
				clear_words(block, sizeof(*block));
			}
			if (kind == BOARD_LISTENER) {
				clear_words(&b->wires[instance][thread][slot],
				            sizeof(struct wire_block));
			}
		}
		if (kind == BOARD_SERVER && board_threads(b, instance) != 0) {
			atomic_store(&b->live[instance][slot].active, 0);
			atomic_store(&b->live[instance][slot].queued, 0);
		}
	}
	if (kind == BOARD_SERVER) {
		memset(&b->servers[slot], 0, sizeof(b->servers[slot]));
		atomic_store(&b->servers[slot].word, fresh.word);
	}
}

/*
 * Free slots are given out in turn, not the last freed one first: a proxy that still drains an
 * older configuration goes on counting on the slots that were its own.
 */
static uint32_t take_free(struct board *b, enum board_kind kind)
{
	uint32_t slot = b->cursor[kind];

	if (b->used[kind] >= slots_of[kind]) {
		return UINT32_MAX;
	}
	for (uint32_t i = 0; i < slots_of[kind]; i++, slot++) {
		if (slot >= slots_of[kind]) {
			slot = 0;
		}
		if (slot >= atomic_load(&b->limit[kind]) ||
		    !b->names[board_number(kind, slot)].used) {
			b->cursor[kind] = slot + 1;
			return slot;
		}
	}
	return UINT32_MAX;
}

int board_slot(struct board *b, enum board_kind kind, struct str name, uint32_t generation,
               uint32_t *ret)
{
	char kept[NAME_SIZE];
	struct board_name *entry;
	uint32_t slot;

	if (b->index_broken || b->index_filled >= INDEX_CROWDED) {
		index_rebuild(b);
	}
	keep_name(kept, name);
	slot = find(b, kind, kept);
	if (slot == UINT32_MAX) {
		slot = take_free(b, kind);
		if (slot == UINT32_MAX) {
			return ERR_FULL;
		}
		entry = &b->names[board_number(kind, slot)];
		clear(b, kind, slot);
		memcpy(entry->name, kept, sizeof(kept));
		__atomic_store_n(&entry->used, 1, __ATOMIC_RELEASE);
		b->used[kind]++;
		if (slot >= atomic_load(&b->limit[kind])) {
			atomic_store(&b->limit[kind], slot + 1);
		}
		index_add(b, kind, slot);
	}
	b->names[board_number(kind, slot)].generation = generation;
	*ret = slot;
	return OK;
}

void board_sweep(struct board *b, enum board_kind kind, uint32_t generation)
{
	uint32_t limit = atomic_load(&b->limit[kind]);
	uint32_t used = 0;

	for (uint32_t slot = 0; slot < limit; slot++) {
		struct board_name *entry = &b->names[board_number(kind, slot)];

		if (entry->used && entry->generation != generation) {
			__atomic_store_n(&entry->used, 0, __ATOMIC_RELEASE);
		}
		used += entry->used;
	}
	b->used[kind] = used;
}

const char *board_slot_name(struct board *b, enum board_kind kind, uint32_t slot)
{
	struct board_name *entry;

	if (slot >= atomic_load(&b->limit[kind])) {
		return NULL;
	}
	entry = &b->names[board_number(kind, slot)];
	return __atomic_load_n(&entry->used, __ATOMIC_ACQUIRE) ? entry->name : NULL;
}
