/* SPDX-License-Identifier: Apache-2.0 */
/* The access log: golden lines, what strangers send in them, the ring, the writer thread. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <pthread.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "proxy/access_log.h"
#include "proxy/access_ring.h"

static struct net_addr client;

static struct access_record sample(void)
{
	assert_int_equal(net_addr_parse(STR("192.0.2.7:4711"), &client, NULL), OK);
	return (struct access_record){
		.wall_ms = 1795262400123, /* 2026-11-21 12:00:00.123 UTC */
		.duration_us = 12345,
		.upstream_us = 11007,
		.bytes_in = 120,
		.bytes_out = 5120,
		.status = 200,
		.attempts = 2,
		.minor = 1,
		.client = &client,
		.method = STR("GET"),
		.target = STR("/index.html?q=1"),
		.host = STR("shop.test"),
		.user_agent = STR("curl/7.88.1"),
		.referer = STR("http://a.test/"),
		.request_id = STR("0123abcd"),
		.listener = STR("http"),
		.route = STR("shop"),
		.server = STR("web/web1"),
	};
}

static const char *line(const struct access_record *r, enum conf_log_format f)
{
	static struct buf out;

	out.len = 0;
	access_log_format(r, f, &out);
	return buf_cstr(&out);
}

/* --- lines --- */

static void json_golden(void **state)
{
	struct access_record r = sample();

	assert_string_equal(
	    line(&r, LOG_FORMAT_JSON),
	    "{\"time\":\"2026-11-21T12:00:00.123Z\",\"client\":\"192.0.2.7\",\"method\":\"GET\","
	    "\"host\":\"shop.test\",\"target\":\"/index.html?q=1\",\"version\":\"1.1\","
	    "\"status\":200,\"bytes_in\":120,\"bytes_out\":5120,\"duration_ms\":12.345,"
	    "\"upstream_ms\":11.007,\"attempts\":2,\"listener\":\"http\",\"route\":\"shop\","
	    "\"server\":\"web/web1\",\"request_id\":\"0123abcd\","
	    "\"user_agent\":\"curl/7.88.1\",\"referer\":\"http://a.test/\"}\n");
}

static void combined_golden(void **state)
{
	struct access_record r = sample();

	assert_string_equal(line(&r, LOG_FORMAT_COMBINED),
	                    "192.0.2.7 - - [21/Nov/2026:12:00:00 +0000] "
	                    "\"GET /index.html?q=1 HTTP/1.1\" 200 5120 "
	                    "\"http://a.test/\" \"curl/7.88.1\"\n");
}

static void bare_record(void **state)
{
	struct access_record r = { .wall_ms = 1795262400123, .reason = STR("malformed method") };

	assert_string_equal(line(&r, LOG_FORMAT_COMBINED),
	                    "- - - [21/Nov/2026:12:00:00 +0000] \"-\" 0 0 \"-\" \"-\"\n");
	assert_string_equal(line(&r, LOG_FORMAT_JSON),
	                    "{\"time\":\"2026-11-21T12:00:00.123Z\",\"version\":\"1.0\","
	                    "\"status\":0,\"bytes_in\":0,\"bytes_out\":0,\"duration_ms\":0.000,"
	                    "\"attempts\":0,\"reason\":\"malformed method\"}\n");
}

static void clients(void **state)
{
	static const char *const pairs[][2] = { { "[2001:db8::1]:80", "2001:db8::1 - - " },
		                                { "[::ffff:192.0.2.1]:80", "192.0.2.1 - - " },
		                                { "unix:/run/x.sock", "unix - - " } };

	for (unsigned i = 0; i < ARRAY_LEN(pairs); i++) {
		struct access_record r = sample();

		assert_int_equal(net_addr_parse(str_from(pairs[i][0]), &client, NULL), OK);
		assert_memory_equal(line(&r, LOG_FORMAT_COMBINED), pairs[i][1],
		                    strlen(pairs[i][1]));
	}
}

static void combined_cannot_be_forged(void **state)
{
	struct access_record r = sample();
	const char *text;

	r.target = STR("/\"\\ x\x01\x1b[2J\xff");
	r.user_agent = STR("a\nb\r\tc\" 200 0 \"");
	r.referer = STR("\x7f");
	text = line(&r, LOG_FORMAT_COMBINED);
	assert_non_null(strstr(text, "\"GET /\\\"\\\\ x\\x01\\x1b[2J\\xff HTTP/1.1\""));
	assert_non_null(strstr(text, "\"a\\x0ab\\x0d\\x09c\\\" 200 0 \\\"\""));
	assert_non_null(strstr(text, "\"\\x7f\""));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void json_is_json(void **state)
{
	struct access_record r = sample();
	char all[256];
	json_t *root;
	const char *text;

	for (unsigned i = 0; i < sizeof(all); i++)
		all[i] = (char)(255 - i);
	r.target = r.user_agent = r.host = str_n(all, sizeof(all));
	r.referer = STR("\xc3\xa4 \xe2\x82\xac");
	text = line(&r, LOG_FORMAT_JSON);
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
	root = json_loads(text, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
	assert_non_null(root);
	assert_string_equal(json_string_value(json_object_get(root, "referer")),
	                    "\xc3\xa4 \xe2\x82\xac");
	assert_int_equal(json_integer_value(json_object_get(root, "status")), 200);
	json_decref(root);
}

/* --- which requests --- */

static void sampling(void **state)
{
	struct conf_access_log c = { .on = true, .sample = 0.25 };
	unsigned n = 0;

	for (unsigned i = 0; i < 40000; i++)
		n += access_log_wants(&c, 200);
	assert_in_range(n, 9000, 11000);
	for (unsigned i = 0; i < 1000; i++)
		assert_true(access_log_wants(&c, 503));
	c.sample = 0;
	assert_false(access_log_wants(&c, 404));
	assert_true(access_log_wants(&c, 500));
	c.sample = 1;
	for (unsigned i = 0; i < 1000; i++)
		assert_true(access_log_wants(&c, 200));
	c.on = false;
	assert_false(access_log_wants(&c, 503));
}

/* --- the ring --- */

static void ring_keeps_everything(void **state)
{
	struct access_ring *ring = access_ring_new(-1);
	struct access_record r = sample(), got;
	struct net_addr from;
	uint32_t slot;

	assert_false(access_ring_get(ring, &slot, &got, &from));
	access_log_put(ring, 17, &r);
	assert_true(access_ring_get(ring, &slot, &got, &from));
	assert_int_equal(slot, 17);
	assert_true(net_addr_eq(&from, &client));
	assert_string_equal(line(&got, LOG_FORMAT_JSON), line(&got, LOG_FORMAT_JSON));
	assert_true(str_eq(got.target, r.target) && str_eq(got.server, r.server));
	assert_int_equal(got.upstream_us, r.upstream_us);
	assert_int_equal(got.attempts, 2);
	access_ring_done(ring);
	assert_false(access_ring_get(ring, &slot, &got, &from));
	access_ring_free(ring);
}

static void ring_full_drops_and_counts(void **state)
{
	struct access_ring *ring = access_ring_new(-1);
	struct access_record r = sample(), got;
	unsigned put = 0, taken = 0;
	struct net_addr from;
	uint32_t slot;

	while (access_ring_dropped(ring) == 0 && put < 1000000) {
		r.status = put++;
		access_log_put(ring, 0, &r);
	}
	assert_in_range(put, 2000, 10000);
	for (unsigned i = 0; i < 9; i++)
		access_log_put(ring, 0, &r);
	assert_int_equal(access_ring_dropped(ring), 10);
	while (access_ring_get(ring, &slot, &got, &from)) {
		assert_int_equal(got.status, taken++);
		access_ring_done(ring);
	}
	assert_int_equal(taken, put - 1);
	/* And it goes on. */
	access_log_put(ring, 0, &r);
	assert_true(access_ring_get(ring, &slot, &got, &from));
	assert_int_equal(access_ring_dropped(ring), 10);
	access_ring_free(ring);
}

static void ring_cuts_long_strings(void **state)
{
	static char text[100000];
	struct access_ring *ring = access_ring_new(-1);
	struct access_record r = sample(), got;
	struct net_addr from;
	uint32_t slot;

	memset(text, 'x', sizeof(text));
	r.target = r.user_agent = r.referer = r.host = str_n(text, sizeof(text));
	access_log_put(ring, 0, &r);
	assert_true(access_ring_get(ring, &slot, &got, &from));
	assert_int_equal(got.target.len, ACCESS_MAX_TEXT);
	assert_int_equal(got.referer.len, ACCESS_MAX_TEXT);
	assert_true(str_eq(got.server, r.server));
	access_ring_free(ring);
	access_log_put(NULL, 0, &r);
}

/* Records of many sizes over many rounds of the ring, one thread writing and one reading. */
#define MANY 300000

static void *put_many(void *arg)
{
	static char text[3000];
	uint64_t x = 1;

	memset(text, 'y', sizeof(text));
	for (unsigned i = 0; i < MANY;) {
		struct access_record r = { .bytes_in = i, .client = &client };
		uint64_t before = access_ring_dropped(arg);

		x = x * 6364136223846793005ULL + 1442695040888963407ULL;
		r.target = str_n(text, (x >> 33) % 300);
		if (x >> 58 == 0)
			r.referer = str_n(text, sizeof(text));
		r.bytes_out = r.target.len;
		access_log_put(arg, (uint32_t)r.target.len, &r);
		/* Full: again, so that no number is missing. */
		i += access_ring_dropped(arg) == before;
	}
	return NULL;
}

static void ring_between_threads(void **state)
{
	struct access_ring *ring = access_ring_new(-1);
	struct access_record got;
	struct net_addr from;
	pthread_t thread;
	uint32_t slot;

	sample();
	assert_int_equal(pthread_create(&thread, NULL, put_many, ring), 0);
	for (unsigned i = 0; i < MANY;) {
		if (!access_ring_get(ring, &slot, &got, &from)) {
			sched_yield();
			continue;
		}
		if (got.bytes_in != i || got.bytes_out != got.target.len || slot != got.target.len)
			fail_msg("record %u is wrong", i);
		for (size_t k = 0; k < got.target.len; k++)
			assert_true(got.target.s[k] == 'y');
		access_ring_done(ring);
		i++;
	}
	pthread_join(thread, NULL);
	assert_false(access_ring_get(ring, &slot, &got, &from));
	access_ring_free(ring);
}

/* --- the writer --- */

static char folder[] = "/tmp/test_access_log.XXXXXX";

static const char *path_of(const char *name)
{
	static char path[4][256];
	static unsigned n;
	char *p = path[n++ % 4];

	snprintf(p, sizeof(path[0]), "%s/%s", folder, name);
	return p;
}

static int open_log(const char *name)
{
	int fd = open(path_of(name), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	return fd;
}

/* *ret_whole: whether the last line is complete; it need not be while the writer writes. */
static unsigned count_lines(const char *name, bool *ret_whole)
{
	struct buf b = BUF_INIT;
	unsigned n = 0;

	*ret_whole = true;
	if (buf_read_file(&b, path_of(name), 1 << 28) != OK)
		return 0;
	for (size_t i = 0; i < b.len; i++)
		n += b.p[i] == '\n';
	*ret_whole = b.len == 0 || b.p[b.len - 1] == '\n';
	buf_free(&b);
	return n;
}

static unsigned lines_in(const char *name)
{
	bool whole;

	return count_lines(name, &whole);
}

/* Waits for the writer, generously. */
static void await_lines(const char *name, unsigned n)
{
	bool whole;

	for (unsigned i = 0; i < 3000 && lines_in(name) < n; i++)
		poll(NULL, 0, 10);
	assert_int_equal(count_lines(name, &whole), n);
	assert_true(whole);
}

static void writer_writes(void **state)
{
	struct access_log *a = access_log_new(4);
	struct access_record r = sample();

	access_log_set(a, 3, open_log("three"), LOG_FORMAT_JSON);
	access_log_set(a, 5, open_log("five"), LOG_FORMAT_COMBINED);
	for (unsigned i = 0; i < 1000; i++) {
		access_log_put(access_log_ring(a, i % 4), 3, &r);
		access_log_put(access_log_ring(a, i % 4), 5, &r);
		access_log_put(access_log_ring(a, i % 4), 6, &r); /* has no file */
	}
	/* By itself, not only at the end. */
	await_lines("three", 1000);
	await_lines("five", 1000);
	assert_int_equal(access_log_dropped(a), 0);
	access_log_free(a);
}

static void free_writes_the_rest(void **state)
{
	struct access_log *a = access_log_new(1);
	struct access_record r = sample();

	access_log_set(a, 0, open_log("rest"), LOG_FORMAT_JSON);
	for (unsigned i = 0; i < 500; i++)
		access_log_put(access_log_ring(a, 0), 0, &r);
	access_log_free(a);
	assert_int_equal(lines_in("rest"), 500);
}

static void reopening_loses_nothing(void **state)
{
	struct access_log *a = access_log_new(1);
	struct access_record r = sample();
	unsigned sum = 0;

	for (unsigned turn = 0; turn < 20; turn++) {
		char name[32];

		snprintf(name, sizeof(name), "turn%u", turn);
		access_log_set(a, 0, open_log(name), LOG_FORMAT_COMBINED);
		/* Fewer in all than the ring takes, however slow the writer is. */
		for (unsigned i = 0; i < 100; i++)
			access_log_put(access_log_ring(a, 0), 0, &r);
	}
	assert_int_equal(access_log_dropped(a), 0);
	access_log_free(a);
	for (unsigned turn = 0; turn < 20; turn++) {
		char name[32];

		snprintf(name, sizeof(name), "turn%u", turn);
		sum += lines_in(name);
	}
	assert_int_equal(sum, 20 * 100);
}

static void off_again(void **state)
{
	struct access_log *a = access_log_new(1);
	struct access_record r = sample();

	access_log_set(a, 0, -1, LOG_FORMAT_JSON);
	access_log_put(access_log_ring(a, 0), 0, &r);
	access_log_set(a, 0, open_log("off"), LOG_FORMAT_JSON);
	access_log_put(access_log_ring(a, 0), 0, &r);
	await_lines("off", 2);
	access_log_set(a, 0, -1, LOG_FORMAT_JSON);
	for (unsigned i = 0; i < 100; i++)
		access_log_put(access_log_ring(a, 0), 0, &r);
	access_log_free(a);
	/* A batch in the making may still get a few. */
	assert_in_range(lines_in("off"), 2, 102);
}

static void full_disk_is_counted(void **state)
{
	struct access_log *a = access_log_new(1);
	struct access_record r = sample();
	int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

	if (fd < 0) {
		access_log_free(a);
		return; /* this machine has none */
	}
	access_log_set(a, 0, fd, LOG_FORMAT_JSON);
	for (unsigned i = 0; i < 100; i++)
		access_log_put(access_log_ring(a, 0), 0, &r);
	for (unsigned i = 0; i < 3000 && access_log_dropped(a) < 100; i++)
		poll(NULL, 0, 10);
	assert_int_equal(access_log_dropped(a), 100);
	access_log_free(a);
}

static void closed_pipe_is_counted(void **state)
{
	struct access_log *a = access_log_new(1);
	struct access_record r = sample();
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	access_log_set(a, 0, fds[1], LOG_FORMAT_JSON);
	access_log_put(access_log_ring(a, 0), 0, &r);
	for (unsigned i = 0; i < 3000 && access_log_dropped(a) < 1; i++)
		poll(NULL, 0, 10);
	assert_int_equal(access_log_dropped(a), 1);
	access_log_free(a);
}

/* A pipe that nobody reads stops neither the proxy thread nor, for long, the other logs; what it
 * got is whole lines but for one. */
static void stuck_pipe(void **state)
{
	struct access_log *a = access_log_new(1);
	struct access_record r = sample();
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
	access_log_set(a, 0, fds[1], LOG_FORMAT_JSON);
	access_log_set(a, 1, open_log("beside"), LOG_FORMAT_JSON);
	for (unsigned i = 0; i < 1000; i++) {
		access_log_put(access_log_ring(a, 0), 0, &r);
		access_log_put(access_log_ring(a, 0), 1, &r);
	}
	await_lines("beside", 1000);
	access_log_free(a);
	close(fds[0]);
}

static int make_folder(void **state)
{
	return mkdtemp(folder) != NULL ? 0 : -1;
}

static int remove_folder(void **state)
{
	char command[128];

	line(&(struct access_record){ 0 }, LOG_FORMAT_JSON);
	snprintf(command, sizeof(command), "rm -r %s", folder);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_golden),
		cmocka_unit_test(combined_golden),
		cmocka_unit_test(bare_record),
		cmocka_unit_test(clients),
		cmocka_unit_test(combined_cannot_be_forged),
		cmocka_unit_test(json_is_json),
		cmocka_unit_test(sampling),
		cmocka_unit_test(ring_keeps_everything),
		cmocka_unit_test(ring_full_drops_and_counts),
		cmocka_unit_test(ring_cuts_long_strings),
		cmocka_unit_test(ring_between_threads),
		cmocka_unit_test(writer_writes),
		cmocka_unit_test(free_writes_the_rest),
		cmocka_unit_test(reopening_loses_nothing),
		cmocka_unit_test(off_again),
		cmocka_unit_test(full_disk_is_counted),
		cmocka_unit_test(closed_pipe_is_counted),
		cmocka_unit_test(stuck_pipe),
	};

	return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
