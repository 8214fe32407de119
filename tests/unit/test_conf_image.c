/* SPDX-License-Identifier: Apache-2.0 */
/* The image: round trip, sealing, and that a broken one is refused without harm. */
#include "rows.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "conf_text.h"

#define CHECKSUM_AT   16
#define HEADER_SIZE   64
#define CHECKSUM_SEED 0x686f6c6466617374ULL

static struct conf *map_text(const char *text, int *ret_fd)
{
	struct loaded t = load_well(text);
	struct conf *c = NULL;

	assert_int_equal(conf_image_write(t.l, ret_fd), OK);
	assert_int_equal(conf_image_map(*ret_fd, &c), OK);
	assert_int_equal(c->hash, conf_of(t.l)->hash);
	unload(&t);
	return c;
}

static char *shown(const struct conf *c)
{
	struct buf out = BUF_INIT;

	conf_show(c, false, &out);
	return buf_take(&out);
}

static void test_round_trip(void **state)
{
	struct loaded t = load_well(everything);
	struct buf diff = BUF_INIT;
	char *before, *after;
	struct conf *c;
	int fd;

	(void)state;
	assert_int_equal(conf_image_write(t.l, &fd), OK);
	assert_int_equal(conf_image_map(fd, &c), OK);
	close(fd);
	before = shown(conf_of(t.l));
	after = shown(c);
	assert_string_equal(before, after);
	assert_int_equal(conf_diff(conf_of(t.l), c, false, &diff), 0);
	unload(&t); /* the image stands for itself */
	free(after);
	after = shown(c);
	assert_string_equal(before, after);
	assert_true(str_eq(c->control.token, STR("0123456789abcdef")));
	assert_true(str_eq(c->pools[1].servers[0].id, STR("web/a")));
	assert_int_equal(c->pools[1].servers[0].id.s[5], '\0');
	free(before);
	free(after);
	buf_free(&diff);
	conf_image_unmap(c);
}

static void test_hash(void **state)
{
	struct loaded a = load_well(everything), b = load_well(everything), m = load_well(MINIMAL);

	(void)state;
	assert_int_equal(conf_of(a.l)->hash, conf_of(b.l)->hash);
	assert_int_not_equal(conf_of(a.l)->hash, conf_of(m.l)->hash);
	unload(&a);
	unload(&b);
	unload(&m);
}

static void test_seal(void **state)
{
	struct conf *c, *again;
	int fd, seals;

	(void)state;
	c = map_text(everything, &fd);
	c->generation = 77;
	((struct conf_listener *)c->listeners)[1].slot = 11;
	((struct conf_route *)c->routes)[0].slot = 12;
	((struct conf_pool *)c->pools)[1].slot = 13;
	((struct conf_server *)c->pools[1].servers)[2].slot = 14;
	((struct conf_server *)c->checks[1].servers)[0].slot = 15;
	c->self = 1;
	assert_int_equal(conf_image_seal(fd, c), OK);
	conf_image_unmap(c);
	seals = fcntl(fd, F_GET_SEALS);
	assert_true((seals & F_SEAL_WRITE) && (seals & F_SEAL_SHRINK) && (seals & F_SEAL_GROW));
	assert_int_equal(write(fd, "x", 1), -1);
	assert_int_equal(conf_image_map(fd, &again), OK);
	assert_int_equal(again->generation, 77);
	assert_int_equal(again->listeners[1].slot, 11);
	assert_int_equal(again->routes[0].slot, 12);
	assert_int_equal(again->pools[1].slot, 13);
	assert_int_equal(again->pools[1].servers[2].slot, 14);
	assert_int_equal(again->checks[1].servers[0].slot, 15);
	assert_int_equal(again->self, 1);
	conf_image_unmap(again);
	close(fd);
}

static void test_writable(void **state)
{
	struct conf *a, *b;
	int fd;

	(void)state;
	a = map_text(MINIMAL, &fd);
	a->generation = 5; /* is its own */
	assert_int_equal(conf_image_map(fd, &b), OK);
	assert_int_equal(b->generation, 0);
	conf_image_unmap(a);
	conf_image_unmap(b);
	close(fd);
}

static int file_of(const void *data, size_t len)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, len), (ssize_t)len);
	return fd;
}

static void assert_refused(const void *data, size_t len, int want)
{
	struct conf *c = NULL;
	int fd = file_of(data, len);

	assert_int_equal(conf_image_map(fd, &c), want);
	close(fd);
}

static char *image_bytes(const char *text, size_t *len)
{
	struct loaded t = load_well(text);
	struct stat st;
	char *bytes;
	int fd;

	assert_int_equal(conf_image_write(t.l, &fd), OK);
	assert_int_equal(fstat(fd, &st), 0);
	*len = (size_t)st.st_size;
	bytes = malloc(*len);
	assert_int_equal(pread(fd, bytes, *len, 0), (ssize_t)*len);
	close(fd);
	unload(&t);
	return bytes;
}

static void test_garbage(void **state)
{
	char zeros[8192] = { 0 };
	size_t len;
	char *image = image_bytes(MINIMAL, &len);

	(void)state;
	assert_refused("", 0, ERR_INVALID);
	assert_refused(zeros, sizeof(zeros), ERR_INVALID);
	assert_refused(image, len - 1, ERR_INVALID);
	assert_refused(image, 100, ERR_INVALID);
	image[0] ^= 1; /* the magic */
	assert_refused(image, len, ERR_INVALID);
	image[0] ^= 1;
	image[24] ^= 1; /* the layout */
	assert_refused(image, len, ERR_UNEXPECTED);
	image[24] ^= 1;
	image[len / 2] ^= 1; /* under the checksum */
	assert_refused(image, len, ERR_INVALID);
	free(image);
}

static void set_checksum(char *image, size_t len)
{
	uint64_t sum = hash_bytes(CHECKSUM_SEED, image + HEADER_SIZE, len - HEADER_SIZE);

	memcpy(image + CHECKSUM_AT, &sum, sizeof(sum));
}

/* Writes a number where `field` of a mapped image lies in the file. */
static void patch(char *image, const struct conf *c, const void *field, uint32_t value)
{
	memcpy(image + HEADER_SIZE + ((const char *)field - (const char *)c), &value,
	       sizeof(value));
}

/* References between parts of a foreign image are looked at as well. */
static void test_references(void **state)
{
	size_t len;
	char *image = image_bytes(everything, &len), *copy = malloc(len);
	const struct conf_vip *web;
	struct conf *c;
	int fd;

	(void)state;
	c = map_text(everything, &fd);
	close(fd);
	web = conf_vip_find(c, STR("web"));
	for (int i = 0; i < 6; i++) {
		struct conf *again = NULL;

		memcpy(copy, image, len);
		patch(copy, c, &c->self, i == 1 ? c->nnodes : 0);
		patch(copy, c, &web->nodes[1].node, i == 2 ? c->nnodes : 1);
		patch(copy, c, &web->track[3].index, i == 3 ? c->nchecks : 0);
		patch(copy, c, &web->track[4].index, i == 4 ? c->npools : 0);
		patch(copy, c, &web->track[0].kind, i == 5 ? CONDITION_GATEWAY + 1 : 0);
		set_checksum(copy, len);
		fd = file_of(copy, len);
		assert_int_equal(conf_image_map(fd, &again), i == 0 ? OK : ERR_INVALID);
		conf_image_unmap(again);
		close(fd);
	}
	conf_image_unmap(c);
	free(image);
	free(copy);
}

/* A hostile image with a right checksum is refused, or is a configuration that can be used. */
static void test_hostile(void **state)
{
	uint64_t x = 88172645463325252ULL;
	size_t len, taken = 0;
	char *image = image_bytes(everything, &len), *copy = malloc(len), *text;

	(void)state;
	for (unsigned i = 0; i < 4000; i++) {
		struct conf *c = NULL;
		size_t at;
		int fd;

		memcpy(copy, image, len);
		for (unsigned k = 0; k <= i % 3; k++) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			at = HEADER_SIZE + x % (len - HEADER_SIZE);
			copy[at] = (char)(i % 2 ? (int)(x >> 32) : copy[at] + 1);
		}
		set_checksum(copy, len);
		fd = file_of(copy, len);
		if (conf_image_map(fd, &c) == OK) {
			text = shown(c);
			free(text);
			conf_image_unmap(c);
			taken++;
		}
		close(fd);
	}
	assert_true(taken > 0 && taken < 4000);
	free(image);
	free(copy);
}

/* Every 8-byte word replaced by values that pointers, counts and lengths must not have. */
static void test_words(void **state)
{
	static const uint64_t evil[] = { 0, 1, 64, UINT64_MAX, 1ULL << 32, 0x7fffffffffffffffULL };
	size_t len;
	char *image = image_bytes(everything, &len), *copy = malloc(len), *text;

	(void)state;
	for (size_t at = HEADER_SIZE; at + 8 <= len; at += 8) {
		struct conf *c = NULL;
		int fd;

		memcpy(copy, image, len);
		memcpy(copy + at, &evil[at / 8 % 6], 8);
		set_checksum(copy, len);
		fd = file_of(copy, len);
		if (conf_image_map(fd, &c) == OK) {
			text = shown(c);
			free(text);
			conf_image_unmap(c);
		}
		close(fd);
	}
	free(image);
	free(copy);
}

/* 10,000 routes and 10,000 servers. The bounds are ten times what it takes. */
static void test_large(void **state)
{
	struct buf text = BUF_INIT;
	uint64_t start = clock_mono(), loaded, mapped;
	struct loaded t;
	struct conf *c;
	int fd;

	(void)state;
	buf_adds(&text, LISTENER "pools:\n");
	for (int p = 0; p < 1000; p++) {
		buf_printf(&text, "  p%d:\n    check: { http: /health }\n    servers:\n", p);
		for (int s = 0; s < 10; s++) {
			buf_printf(&text, "      s%d: 10.%d.%d.%d:80\n", s, p / 250, p % 250,
			           s + 1);
		}
	}
	buf_adds(&text, "routes:\n");
	for (int i = 0; i < 10000; i++) {
		buf_printf(&text, "  r%d: { host: h%d.test, path: /api, to: p%d }\n", i, i,
		           i % 1000);
	}
	start = clock_mono();
	t = load_text_n(text.p, text.len);
	assert_non_null(t.l);
	assert_int_equal(conf_image_write(t.l, &fd), OK);
	loaded = clock_mono();
	assert_int_equal(conf_image_map(fd, &c), OK);
	mapped = clock_mono();
	print_message("load, check and image: %.1f ms; map: %.1f ms\n",
	              (double)(loaded - start) / 1e6, (double)(mapped - loaded) / 1e6);
	assert_int_equal(c->nroutes, 10000);
	assert_non_null(conf_server_find(c, STR("p999/s9"), NULL));
	assert_true(loaded - start < 5 * NS_PER_S);
	close(fd);
	conf_image_unmap(c);
	unload(&t);
	buf_free(&text);
}

int main(void)
{
	static struct rows r;

	rows_add(&r, "round_trip", test_round_trip, NULL);
	rows_add(&r, "hash", test_hash, NULL);
	rows_add(&r, "seal_keeps_slots", test_seal, NULL);
	rows_add(&r, "references", test_references, NULL);
	rows_add(&r, "mapping_is_private", test_writable, NULL);
	rows_add(&r, "garbage", test_garbage, NULL);
	rows_add(&r, "hostile_bytes", test_hostile, NULL);
	rows_add(&r, "hostile_words", test_words, NULL);
	rows_add(&r, "large", test_large, NULL);
	return rows_run(&r, "conf_image");
}
