/* SPDX-License-Identifier: Apache-2.0 */
/* The store of certificates: round trip, and that a broken or open file is refused without harm. */
#include "rows.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/err.h"
#include "tls/store.h"

static const struct str names[] = { { "a.test", 6 }, { "*.b.test", 8 } };
static const struct str chain[] = { { "leaf\0x", 6 }, { "issuer", 6 } };

static struct store_cert cert = { .use = STORE_ALPN,
	                          .listener = UINT32_MAX,
	                          .source = 3,
	                          .ec = true,
	                          .origin = { "/etc/a.pem", 10 },
	                          .names = names,
	                          .nnames = 2,
	                          .chain = chain,
	                          .nchain = 2,
	                          .key = { "key", 3 },
	                          .not_before = 5,
	                          .not_after = 1ULL << 40,
	                          .fingerprint = { 1, 2, 3 },
	                          .kind = { "Ed25519", 7 },
	                          .note = { "odd", 3 },
	                          .ocsp_until = 6,
	                          .stamps = { 1, 2, 1ULL << 63 } };
static struct store_tickets tickets = {
	.listener = 7, .n = 2, .name = { "web", 3 }, .own = true, .made = { 9, 8 }
};
static const struct store_challenge challenge = { { "tok", 3 }, { "tok.print", 9 } };
static const struct store_file file = { { "/ca.pem", 7 }, { "bytes", 5 } };

static struct store whole(void)
{
	memset(tickets.keys[1], 0xab, sizeof(tickets.keys[1]));
	return (struct store){ .number = 42,
		               .certs = &cert,
		               .ncerts = 1,
		               .tickets = &tickets,
		               .ntickets = 1,
		               .challenges = &challenge,
		               .nchallenges = 1,
		               .files = &file,
		               .nfiles = 1 };
}

static void test_round_trip(void **state)
{
	struct store s = whole(), *m;
	int fd;

	(void)state;
	assert_int_equal(store_write(&s, &fd), OK);
	assert_int_equal(store_map(fd, &m), OK);
	close(fd);
	assert_int_equal(m->number, 42);
	assert_int_equal(m->ncerts, 1);
	assert_int_equal(m->certs[0].use, STORE_ALPN);
	assert_int_equal(m->certs[0].listener, UINT32_MAX);
	assert_int_equal(m->certs[0].source, 3);
	assert_true(m->certs[0].ec);
	assert_string_equal(m->certs[0].origin.s, "/etc/a.pem");
	assert_string_equal(m->certs[0].names[1].s, "*.b.test");
	assert_true(str_eq(m->certs[0].chain[0], chain[0]));
	assert_true(str_eq(m->certs[0].key, STR("key")));
	assert_int_equal(m->certs[0].ocsp.len, 0);
	assert_int_equal(m->certs[0].not_after, 1ULL << 40);
	assert_memory_equal(m->certs[0].fingerprint, cert.fingerprint, 32);
	assert_string_equal(m->certs[0].kind.s, "Ed25519");
	assert_string_equal(m->certs[0].note.s, "odd");
	assert_int_equal(m->certs[0].ocsp_until, 6);
	assert_memory_equal(m->certs[0].stamps, cert.stamps, sizeof(cert.stamps));
	assert_int_equal(m->tickets[0].listener, 7);
	assert_int_equal(m->tickets[0].n, 2);
	assert_true(m->tickets[0].own);
	assert_int_equal(m->tickets[0].made[1], 8);
	assert_memory_equal(m->tickets[0].keys, tickets.keys, 160);
	assert_true(str_eq(m->challenges[0].answer, STR("tok.print")));
	assert_true(str_eq(store_file(m, STR("/ca.pem")), STR("bytes")));
	assert_int_equal(store_file(m, STR("/ca")).len, 0);
	store_unmap(m);
}

static void test_empty(void **state)
{
	struct store s = { .number = 1 }, *m;
	int fd;

	(void)state;
	assert_int_equal(store_write(&s, &fd), OK);
	assert_int_equal(store_map(fd, &m), OK);
	assert_int_equal(m->ncerts + m->ntickets + m->nchallenges + m->nfiles, 0);
	store_unmap(m);
	close(fd);
}

/* Numbers and stamps are not what a store is about; all else is. */
static void test_same(void **state)
{
	struct store_cert other = cert;
	struct store s = whole(), t = whole();
	int a, b;

	(void)state;
	assert_int_equal(store_write(&s, &a), OK);
	t.number++;
	t.certs = &other;
	other.stamps[0]++;
	assert_int_equal(store_write(&t, &b), OK);
	assert_true(store_same(a, b));
	assert_false(store_same(a, -1));
	close(b);
	other.ocsp_until++;
	assert_int_equal(store_write(&t, &b), OK);
	assert_false(store_same(a, b));
	close(b);
	t.ncerts = 0;
	assert_int_equal(store_write(&t, &b), OK);
	assert_false(store_same(a, b));
	close(a);
	close(b);
}

static int sealed(const void *bytes, size_t len)
{
	int fd = memfd_create("x", MFD_ALLOW_SEALING);

	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(fcntl(fd, F_ADD_SEALS,
	                       F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL),
	                 0);
	return fd;
}

/* Cut anywhere, and with any byte of its beginning changed: refused, or another store, never a read
 * beyond the file. */
static void test_broken(void **state)
{
	struct store s = whole(), *m;
	char bytes[2048];
	ssize_t len;
	int fd, other;

	(void)state;
	assert_int_equal(store_write(&s, &fd), OK);
	len = pread(fd, bytes, sizeof(bytes), 0);
	assert_true(len > 100 && len < (ssize_t)sizeof(bytes));
	for (ssize_t cut = 1; cut < len; cut++) {
		other = sealed(bytes, (size_t)cut);
		assert_int_equal(store_map(other, &m), ERR_INVALID);
		close(other);
	}
	for (ssize_t i = 0; i < len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			bytes[i] ^= (char)(1u << bit);
			other = sealed(bytes, (size_t)len);
			if (store_map(other, &m) == OK)
				store_unmap(m);
			else
				assert_null(m);
			close(other);
			bytes[i] ^= (char)(1u << bit);
		}
	}
	close(fd);
}

static void test_not_sealed(void **state)
{
	struct store s = whole(), *m;
	char bytes[2048];
	int fd, open_fd = memfd_create("x", MFD_ALLOW_SEALING);
	ssize_t len;

	(void)state;
	assert_int_equal(store_write(&s, &fd), OK);
	len = pread(fd, bytes, sizeof(bytes), 0);
	assert_int_equal(write(open_fd, bytes, (size_t)len), len);
	assert_int_equal(store_map(open_fd, &m), ERR_INVALID);
	assert_true(pwrite(fd, "x", 1, 0) < 0); /* and what we write is */
	close(open_fd);
	close(fd);
}

int main(void)
{
	static struct rows r;

	rows_add(&r, "round_trip", test_round_trip, NULL);
	rows_add(&r, "empty", test_empty, NULL);
	rows_add(&r, "same", test_same, NULL);
	rows_add(&r, "broken", test_broken, NULL);
	rows_add(&r, "not_sealed", test_not_sealed, NULL);
	return rows_run(&r, "store");
}
