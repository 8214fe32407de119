/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board: that names keep their slots, that slots are clean when they change hands, that the
 * file stays small, that events are whole whoever writes them.
 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"
#include "stat/layout.h"

struct fixture {
	struct board *b;
	int fd;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(board_create(&f->b, &f->fd), OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	board_unmap(f->b);
	close(f->fd);
	free(f);
	return 0;
}

static uint32_t slot_of(struct board *b, enum board_kind kind, const char *name,
                        uint32_t generation)
{
	uint32_t slot = UINT32_MAX;

	assert_int_equal(board_slot(b, kind, str_from(name), generation, &slot), OK);
	return slot;
}

static uint32_t numbered(struct board *b, enum board_kind kind, unsigned n, uint32_t generation)
{
	char name[64];

	snprintf(name, sizeof(name), "pool%u/server%u", n % 50, n);
	return slot_of(b, kind, name, generation);
}

static uint64_t file_bytes(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void test_map(void **state)
{
	struct fixture *f = *state;
	struct board *other;

	assert_true(fcntl(f->fd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(board_map(f->fd, &other), OK);
	board_node(f->b)->generation = 7;
	assert_int_equal(board_node(other)->generation, 7);
	assert_int_equal(slot_of(f->b, BOARD_POOL, "web", 1), 0);
	assert_string_equal(board_slot_name(other, BOARD_POOL, 0), "web");
	board_unmap(other);
	board_unmap(NULL);
	assert_true(ftruncate(f->fd, 4096) < 0); /* sealed */
}

static void test_other_layout(void **state)
{
	struct fixture *f = *state;
	struct board *other = NULL;
	int fd = memfd_create("other", MFD_CLOEXEC);

	f->b->layout++;
	assert_int_equal(board_map(f->fd, &other), ERR_UNEXPECTED);
	f->b->layout--;
	f->b->magic++;
	assert_int_equal(board_map(f->fd, &other), ERR_UNEXPECTED);
	assert_int_equal(board_map(fd, &other), ERR_UNEXPECTED); /* too short to look into */
	close(fd);
	assert_int_equal(board_map(-1, &other), ERR_SYSTEM);
	assert_null(other);
}

static void test_slots_by_name(void **state)
{
	struct fixture *f = *state;
	uint32_t a = slot_of(f->b, BOARD_SERVER, "web/a", 1);
	uint32_t b = slot_of(f->b, BOARD_SERVER, "web/b", 1);

	assert_int_not_equal(a, b);
	assert_int_equal(slot_of(f->b, BOARD_SERVER, "web/a", 2), a);
	assert_string_equal(board_slot_name(f->b, BOARD_SERVER, b), "web/b");
	/* One name in two kinds is two objects. */
	assert_int_equal(slot_of(f->b, BOARD_ROUTE, "web/a", 1), 0);
	assert_int_equal(slot_of(f->b, BOARD_ROUTE, "other", 1), 1);
	assert_null(board_slot_name(f->b, BOARD_ROUTE, 2));
	assert_null(board_slot_name(f->b, BOARD_ROUTE, UINT32_MAX));
}

static void test_long_names(void **state)
{
	struct fixture *f = *state;
	char a[200], b[200];
	uint32_t slot;

	memset(a, 'n', sizeof(a));
	a[199] = '\0';
	memcpy(b, a, sizeof(b));
	b[198] = 'x';
	slot = slot_of(f->b, BOARD_SERVER, a, 1);
	assert_int_not_equal(slot_of(f->b, BOARD_SERVER, b, 1), slot);
	assert_int_equal(slot_of(f->b, BOARD_SERVER, a, 1), slot);
	assert_int_equal(strlen(board_slot_name(f->b, BOARD_SERVER, slot)), 119);
	a[119] = '\0'; /* the longest that is kept whole */
	slot = slot_of(f->b, BOARD_SERVER, a, 1);
	assert_string_equal(board_slot_name(f->b, BOARD_SERVER, slot), a);
}

static void test_sweep_keeps_slots(void **state)
{
	struct fixture *f = *state;
	uint32_t slots[100];

	for (unsigned i = 0; i < 100; i++) {
		slots[i] = numbered(f->b, BOARD_SERVER, i, 1);
	}
	for (unsigned i = 0; i < 100; i += 2) { /* the next configuration has every second */
		assert_int_equal(numbered(f->b, BOARD_SERVER, i, 2), slots[i]);
	}
	board_sweep(f->b, BOARD_SERVER, 2);
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(board_slot_name(f->b, BOARD_SERVER, slots[i]) != NULL, i % 2 == 0);
	}
	for (unsigned i = 0; i < 100; i += 2) {
		assert_int_equal(numbered(f->b, BOARD_SERVER, i, 3), slots[i]);
	}
	/* A new name gets none of those just freed: an old proxy may still count on them. */
	assert_int_equal(slot_of(f->b, BOARD_SERVER, "new", 3), 100);
}

static void test_full_and_reused(void **state)
{
	struct fixture *f = *state;
	uint32_t slot;

	for (unsigned i = 0; i < BOARD_MAX_LISTENERS; i++) {
		numbered(f->b, BOARD_LISTENER, i, 1);
	}
	assert_int_equal(board_slot(f->b, BOARD_LISTENER, STR("one more"), 1, &slot), ERR_FULL);
	for (unsigned i = 0; i < BOARD_MAX_LISTENERS; i++) {
		if (i != 77) {
			numbered(f->b, BOARD_LISTENER, i, 2);
		}
	}
	board_sweep(f->b, BOARD_LISTENER, 2);
	assert_int_equal(slot_of(f->b, BOARD_LISTENER, "one more", 2), 77);
	assert_int_equal(board_slot(f->b, BOARD_LISTENER, STR("another"), 2, &slot), ERR_FULL);
	assert_int_equal(slot_of(f->b, BOARD_LISTENER, "one more", 2), 77);
}

/* Every slot in use, and generations of other names after them: slots stay right, and quick. */
static void test_many_generations(void **state)
{
	struct fixture *f = *state;
	uint64_t start = clock_mono();

	for (uint32_t generation = 1; generation <= 12; generation++) {
		for (unsigned i = 0; i < 15000; i++) {
			/* Two thirds stay, one third is new each time. */
			unsigned n = i % 3 != 0 ? i : generation * 100000 + i;
			uint32_t slot = UINT32_MAX;
			char name[64];

			snprintf(name, sizeof(name), "p/%u", n);
			if (board_slot(f->b, BOARD_SERVER, str_from(name), generation, &slot) ==
			    ERR_FULL) { /* the old ones go only after the commit */
				board_sweep(f->b, BOARD_SERVER, generation);
				slot = slot_of(f->b, BOARD_SERVER, name, generation);
			}
			assert_string_equal(board_slot_name(f->b, BOARD_SERVER, slot), name);
		}
	}
	print_message("180,000 names placed in %u ms\n",
	              (unsigned)((clock_mono() - start) / NS_PER_MS));
}

/* A parent died while it rebuilt the index: the next one finds every name where it was. */
static void test_broken_index(void **state)
{
	struct fixture *f = *state;
	uint32_t slots[50];

	for (unsigned i = 0; i < 50; i++) {
		slots[i] = numbered(f->b, BOARD_SERVER, i, 1);
	}
	memset(f->b->index, 0, sizeof(f->b->index));
	f->b->index_broken = 1;
	for (unsigned i = 0; i < 50; i++) {
		assert_int_equal(numbered(f->b, BOARD_SERVER, i, 2), slots[i]);
	}
}

static void test_blocks_apart(void **state)
{
	struct fixture *f = *state;
	struct stat_block sum;

	for (unsigned kind = 0; kind < BOARD_KINDS; kind++) {
		uint32_t last = board_slots(kind) - 1;

		for (unsigned instance = 0; instance < BOARD_INSTANCES; instance++) {
			stat_add(&board_block(f->b, instance, 63, kind, last)->c[STAT_RETRIES], 1);
			stat_add(&board_block(f->b, instance, 0, kind, 0)->c[STAT_RETRIES], 10);
		}
	}
	for (unsigned kind = 0; kind < BOARD_KINDS; kind++) {
		board_total(f->b, kind, 0, &sum);
		assert_int_equal(sum.c[STAT_RETRIES], 40);
		board_total(f->b, kind, board_slots(kind) - 1, &sum);
		assert_int_equal(sum.c[STAT_RETRIES], 4);
		board_total(f->b, kind, 1, &sum);
		assert_int_equal(sum.c[STAT_RETRIES], 0);
	}
}

static void test_new_name_is_clean(void **state)
{
	struct fixture *f = *state;
	struct board_server *server;
	struct stat_block sum;
	uint32_t slot;

	for (unsigned i = 0; i < BOARD_MAX_SERVERS; i++) {
		numbered(f->b, BOARD_SERVER, i, 1);
	}
	slot = numbered(f->b, BOARD_SERVER, 5, 1);
	stat_request(board_block(f->b, 1, 3, BOARD_SERVER, slot), STAT_GET, 200, 1);
	stat_request(board_block(f->b, 0, 0, BOARD_SERVER, slot), STAT_GET, 200, 1);
	stat_request(board_block(f->b, 0, 0, BOARD_SERVER, slot ^ 1), STAT_GET, 200, 1);
	atomic_store(&board_live(f->b, 1, slot)->active, 3);
	server = board_server(f->b, slot);
	atomic_store(&server->word, ~0ULL);
	strcpy(server->reason, "connect refused");
	for (unsigned i = 0; i < BOARD_MAX_SERVERS; i++) {
		if (i != 5) {
			numbered(f->b, BOARD_SERVER, i, 2);
		}
	}
	board_sweep(f->b, BOARD_SERVER, 2);
	assert_int_equal(slot_of(f->b, BOARD_SERVER, "fresh", 2), slot);
	board_total(f->b, BOARD_SERVER, slot, &sum);
	assert_int_equal(sum.latency[0], 0);
	assert_int_equal(sum.codes[0], 0);
	assert_int_equal(atomic_load(&board_live(f->b, 1, slot)->active), 0);
	assert_string_equal(server->reason, "");
	assert_int_equal(board_server_word(server).state, SERVER_UNPROVED);
	assert_int_equal(board_server_word(server).order, ORDER_READY);
	assert_int_equal(board_server_word(server).ramp, 100);
	/* Its neighbour's are untouched. */
	board_total(f->b, BOARD_SERVER, slot ^ 1, &sum);
	assert_int_equal(sum.latency[0], 1);
}

/* Naming, counting, reading and clearing touch only pages in use. */
static void test_sparse(void **state)
{
	struct fixture *f = *state;
	struct stat_block sum;

	for (unsigned i = 0; i < 10000; i++) {
		numbered(f->b, BOARD_SERVER, i, 1);
	}
	board_thread_used(f->b, 0, 0);
	board_thread_used(f->b, 0, 1);
	for (unsigned i = 0; i < 800; i++) {
		stat_request(board_block(f->b, 0, i % 2, BOARD_SERVER, i), STAT_GET, 200, 1);
	}
	for (unsigned i = 0; i < BOARD_MAX_SERVERS; i++) {
		board_total(f->b, BOARD_SERVER, i, &sum);
		board_slot_name(f->b, BOARD_SERVER, i);
	}
	board_instance_reset(f->b, 0);
	board_instance_reset(f->b, 3);
	print_message("10,000 servers, 800 in use: %u KiB\n", (unsigned)(file_bytes(f->fd) / 1024));
	assert_true(file_bytes(f->fd) < 16 << 20);
}

static void test_instance_reset(void **state)
{
	struct fixture *f = *state;
	uint32_t slot = slot_of(f->b, BOARD_SERVER, "web/a", 1);
	struct stat_block sum;

	for (unsigned instance = 0; instance < 2; instance++) {
		struct stat_block *block = board_block(f->b, instance, 2, BOARD_SERVER, slot);

		stat_add(&block->c[STAT_OPEN], 5);
		stat_add(&block->c[STAT_ACTIVE], 2);
		stat_add(&block->c[STAT_CONNECTIONS], 9);
		atomic_store(&board_live(f->b, instance, slot)->active, 2);
		atomic_store(&board_node(f->b)->connections[instance], 5);
		atomic_store(&board_node(f->b)->listener_connections[instance][3], 5);
		atomic_store(&board_pulse(f->b, instance, 2)->ns, 7);
	}
	board_instance_reset(f->b, 1);
	board_total(f->b, BOARD_SERVER, slot, &sum);
	assert_int_equal(sum.c[STAT_OPEN], 5);
	assert_int_equal(sum.c[STAT_ACTIVE], 2);
	assert_int_equal(sum.c[STAT_CONNECTIONS], 18); /* what was counted stays */
	assert_int_equal(atomic_load(&board_live(f->b, 0, slot)->active), 2);
	assert_int_equal(atomic_load(&board_live(f->b, 1, slot)->active), 0);
	assert_int_equal(atomic_load(&board_node(f->b)->connections[1]), 0);
	assert_int_equal(atomic_load(&board_node(f->b)->connections[0]), 5);
	assert_int_equal(atomic_load(&board_node(f->b)->listener_connections[1][3]), 0);
	assert_int_equal(atomic_load(&board_pulse(f->b, 1, 2)->ns), 0);
	assert_int_equal(atomic_load(&board_pulse(f->b, 0, 2)->ns), 7);
}

static void test_gauge_never_below_zero(void **state)
{
	struct fixture *f = *state;
	struct stat_block sum;

	stat_add(&board_block(f->b, 0, 0, BOARD_POOL, 0)->c[STAT_ACTIVE], (uint64_t)-1);
	board_total(f->b, BOARD_POOL, 0, &sum);
	assert_int_equal(sum.c[STAT_ACTIVE], 0);
}

static void journal(struct board *b, unsigned n, const char *text)
{
	const struct log_line line = { .wall_ms = n,
		                       .level = LOG_LEVEL_NOTICE,
		                       .area = "check",
		                       .event = "server_down",
		                       .object = n % 2 ? "web/a" : NULL,
		                       .text = text };

	board_journal(&line, b);
}

static void test_events(void **state)
{
	struct fixture *f = *state;
	struct board_event e;

	assert_int_equal(board_events(f->b), 0);
	assert_false(board_event(f->b, 0, &e));
	journal(f->b, 1, "connect refused");
	journal(f->b, 2, "again");
	assert_int_equal(board_events(f->b), 2);
	assert_true(board_event(f->b, 0, &e));
	assert_int_equal(e.wall_ms, 1);
	assert_int_equal(e.level, LOG_LEVEL_NOTICE);
	assert_string_equal(e.area, "check");
	assert_string_equal(e.event, "server_down");
	assert_string_equal(e.object, "web/a");
	assert_string_equal(e.text, "connect refused");
	assert_true(board_event(f->b, 1, &e));
	assert_string_equal(e.object, "");
	assert_false(board_event(f->b, 2, &e));
}

static void test_events_wrap(void **state)
{
	struct fixture *f = *state;
	struct board_event e;

	for (unsigned i = 0; i < BOARD_EVENTS + 10; i++) {
		journal(f->b, i, "x");
	}
	assert_false(board_event(f->b, 9, &e));
	assert_true(board_event(f->b, 10, &e));
	assert_int_equal(e.wall_ms, 10);
	assert_true(board_event(f->b, BOARD_EVENTS + 9, &e));
	assert_int_equal(e.wall_ms, BOARD_EVENTS + 9);
}

static void test_events_long_text(void **state)
{
	struct fixture *f = *state;
	struct board_event e;
	char text[1000] = "";

	for (unsigned i = 0; i < 300; i++) {
		strcat(text, "\xe2\x82\xac"); /* three bytes each: 311 is within the last */
	}
	journal(f->b, 1, text);
	assert_true(board_event(f->b, 0, &e));
	assert_int_equal(strlen(e.text) % 3, 0);
	assert_in_range(strlen(e.text), 300, sizeof(e.text) - 1);
}

/* A process was killed while it wrote: its place is taken over, a revolution later. */
static void test_events_dead_writer(void **state)
{
	struct fixture *f = *state;
	struct board_event e;

	for (unsigned i = 0; i < BOARD_EVENTS; i++) {
		journal(f->b, i, "x");
	}
	atomic_store(&f->b->events[3].seq, 0);
	assert_false(board_event(f->b, 3, &e));
	for (unsigned i = 0; i < 5; i++) {
		journal(f->b, i, "y");
	}
	assert_true(board_event(f->b, BOARD_EVENTS + 3, &e));
	assert_string_equal(e.text, "y");
}

/* A writer that was taken for dead goes on: what it spoils is not shown. */
static void test_events_torn(void **state)
{
	struct fixture *f = *state;
	struct board_event e;

	journal(f->b, 1, "whole");
	assert_true(board_event(f->b, 0, &e));
	f->b->events[0].text[3] = 'x';
	assert_false(board_event(f->b, 0, &e));
}

struct writer {
	struct board *b;
	char letter;
};

#define WRITERS 4
#define WRITES  6000

static void *write_events(void *arg)
{
	const struct writer *w = arg;
	char text[301];

	memset(text, w->letter, 300);
	text[300] = '\0';
	for (unsigned i = 0; i < WRITES; i++) {
		journal(w->b, (unsigned)w->letter, text);
	}
	return NULL;
}

/* Four threads write revolutions while one reads: what is read is whole. */
static void test_events_whole(void **state)
{
	struct fixture *f = *state;
	struct writer writers[WRITERS];
	pthread_t threads[WRITERS];
	struct board_event e;
	unsigned whole = 0, kept = 0;

	for (unsigned i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ f->b, (char)('a' + i) };
		assert_int_equal(pthread_create(&threads[i], NULL, write_events, &writers[i]), 0);
	}
	for (uint64_t n = 0; n < (uint64_t)WRITERS * WRITES;) {
		uint64_t end = board_events(f->b);

		n = MAX(n,
		        end > BOARD_EVENTS ? end - BOARD_EVENTS : 0); /* the oldest: most at risk */
		if (n >= end || !board_event(f->b, n, &e)) {
			n += n < end;
			continue;
		}
		assert_in_range(e.text[0], 'a', 'a' + WRITERS - 1);
		assert_int_equal(e.wall_ms, e.text[0]);
		assert_int_equal(strspn(e.text, (char[]){ e.text[0], '\0' }), 300);
		whole++;
		n++;
	}
	for (unsigned i = 0; i < WRITERS; i++) {
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(board_events(f->b), WRITERS * WRITES);
	for (uint64_t n = WRITERS * WRITES - BOARD_EVENTS; n < WRITERS * WRITES; n++) {
		kept += board_event(f->b, n, &e);
	}
	assert_in_range(kept, BOARD_EVENTS - 200, BOARD_EVENTS); /* stalled writers may lose some */
	print_message("%u events read while they were written\n", whole);
}

static void *count_up(void *arg)
{
	struct stat_block *block = arg;

	for (unsigned i = 0; i < 50000; i++) {
		stat_request(block, STAT_GET, 200 + i % 40, 1000);
	}
	return NULL;
}

/* Readers add up while threads count; the end result is exact. */
static void test_total_while_counting(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[4];
	struct stat_block sum;
	uint64_t last = 0;

	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, count_up,
		                                board_block(f->b, i, i, BOARD_POOL, 3)),
		                 0);
	}
	for (unsigned i = 0; i < 1000; i++) {
		board_total(f->b, BOARD_POOL, 3, &sum);
		assert_true(sum.latency[0] >= last);
		last = sum.latency[0];
	}
	for (unsigned i = 0; i < 4; i++) {
		pthread_join(threads[i], NULL);
	}
	board_total(f->b, BOARD_POOL, 3, &sum);
	assert_int_equal(sum.latency[0], 200000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define BOARD(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
		BOARD(test_map),
		BOARD(test_other_layout),
		BOARD(test_slots_by_name),
		BOARD(test_long_names),
		BOARD(test_sweep_keeps_slots),
		BOARD(test_full_and_reused),
		BOARD(test_many_generations),
		BOARD(test_broken_index),
		BOARD(test_blocks_apart),
		BOARD(test_new_name_is_clean),
		BOARD(test_sparse),
		BOARD(test_instance_reset),
		BOARD(test_gauge_never_below_zero),
		BOARD(test_events),
		BOARD(test_events_wrap),
		BOARD(test_events_long_text),
		BOARD(test_events_dead_writer),
		BOARD(test_events_torn),
		BOARD(test_events_whole),
		BOARD(test_total_while_counting),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
