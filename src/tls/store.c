/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store as a memory file; see store.h. Any process. What is in the file is a sequence of
 * numbers and texts, each text with its length before and a NUL behind it; a reader checks every
 * one against what is left of the file. Numbers are as this machine has them: the file never leaves
 * it.
 */
#include "tls/store.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"

#define STORE_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)

#define STORE_HEAD (sizeof(store_magic) + sizeof(uint64_t)) /* bytes: magic word, number */
#define STORE_TAIL sizeof(((struct store_cert *)0)->stamps) /* of each certificate */

static const char store_magic[8] = "hfstor2";

/* --- writing -------------------------------------------------------------------------------- */

static void put_u32(struct buf *b, uint32_t v)
{
	buf_add(b, &v, sizeof(v));
}

static void put_u64(struct buf *b, uint64_t v)
{
	buf_add(b, &v, sizeof(v));
}

static void put_str(struct buf *b, struct str s)
{
	put_u32(b, (uint32_t)s.len);
	buf_addstr(b, s);
	buf_addc(b, '\0');
}

static void put_list(struct buf *b, const struct str *v, uint32_t n)
{
	put_u32(b, n);
	for (uint32_t i = 0; i < n; i++)
		put_str(b, v[i]);
}

static void put_cert(struct buf *b, const struct store_cert *c)
{
	put_u32(b, c->use);
	put_u32(b, c->listener);
	put_u32(b, c->source);
	put_u32(b, c->ec);
	put_str(b, c->origin);
	put_list(b, c->names, c->nnames);
	put_list(b, c->chain, c->nchain);
	put_str(b, c->key);
	put_str(b, c->ocsp);
	put_u64(b, c->not_before);
	put_u64(b, c->not_after);
	buf_add(b, c->fingerprint, sizeof(c->fingerprint));
	put_str(b, c->kind);
	put_str(b, c->note);
	put_u64(b, c->ocsp_until);
}

static void put_tickets(struct buf *b, const struct store_tickets *t)
{
	put_u32(b, t->listener);
	put_u32(b, t->n);
	put_str(b, t->name);
	put_u32(b, t->own);
	for (uint32_t i = 0; i < t->n; i++) {
		put_u64(b, t->made[i]);
		buf_add(b, t->keys[i], sizeof(t->keys[i]));
	}
}

static int write_all(int fd, const struct buf *b)
{
	size_t done = 0;

	while (done < b->len) {
		ssize_t n = write(fd, b->p + done, b->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ERR_SYSTEM;
		done += (size_t)n;
	}
	return fcntl(fd, F_ADD_SEALS, STORE_SEALS) == 0 ? OK : ERR_SYSTEM;
}

int store_write(const struct store *s, int *ret_fd)
{
	struct buf b = BUF_INIT;
	int err, fd;

	b.max = STORE_MAX_SIZE;
	buf_add(&b, store_magic, sizeof(store_magic));
	put_u64(&b, s->number);
	put_u32(&b, s->ncerts);
	for (uint32_t i = 0; i < s->ncerts; i++)
		put_cert(&b, &s->certs[i]);
	put_u32(&b, s->ntickets);
	for (uint32_t i = 0; i < s->ntickets; i++)
		put_tickets(&b, &s->tickets[i]);
	put_u32(&b, s->nchallenges);
	for (uint32_t i = 0; i < s->nchallenges; i++) {
		put_str(&b, s->challenges[i].token);
		put_str(&b, s->challenges[i].answer);
	}
	put_u32(&b, s->nfiles);
	for (uint32_t i = 0; i < s->nfiles; i++) {
		put_str(&b, s->files[i].path);
		put_str(&b, s->files[i].bytes);
	}
	for (uint32_t i = 0; i < s->ncerts; i++)
		buf_add(&b, s->certs[i].stamps, sizeof(s->certs[i].stamps));
	if (b.failed) {
		buf_free(&b);
		return ERR_NOMEM;
	}
	fd = memfd_create("holdfast-certs", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	err = fd >= 0 ? write_all(fd, &b) : ERR_SYSTEM;
	OPENSSL_cleanse(b.p, b.len);
	buf_free(&b);
	if (err != OK && fd >= 0)
		close(fd);
	*ret_fd = err == OK ? fd : -1;
	return err;
}

/* --- reading -------------------------------------------------------------------------------- */

struct mapped {
	struct store pub;
	struct arena arena; /* the arrays; texts lie in the mapping */
};

struct reader {
	const char *p;
	size_t left;
	struct arena *arena;
	int err;
};

static const void *get(struct reader *r, size_t n)
{
	const void *at = r->p;

	if (r->err != OK || n > r->left) {
		r->err = r->err == OK ? ERR_INVALID : r->err;
		return NULL;
	}
	r->p += n;
	r->left -= n;
	return at;
}

static uint32_t get_u32(struct reader *r)
{
	const void *at = get(r, sizeof(uint32_t));
	uint32_t v = 0;

	if (at)
		memcpy(&v, at, sizeof(v));
	return v;
}

static uint64_t get_u64(struct reader *r)
{
	const void *at = get(r, sizeof(uint64_t));
	uint64_t v = 0;

	if (at)
		memcpy(&v, at, sizeof(v));
	return v;
}

static struct str get_str(struct reader *r)
{
	uint32_t len = get_u32(r);
	const char *at = get(r, (size_t)len + 1);

	if (at && at[len] != '\0')
		r->err = ERR_INVALID;
	return at && r->err == OK ? str_n(at, len) : STR_NONE;
}

/* A number of things, each of at least `least` bytes: what cannot fit is refused before memory is
 * asked for. NULL with *ret_n 0 where there are none or the file is broken. */
static void *get_array(struct reader *r, uint32_t max, size_t least, size_t size, uint32_t *ret_n)
{
	uint32_t n = get_u32(r);
	void *v;

	*ret_n = 0;
	if (n > max || n > r->left / least)
		r->err = r->err == OK ? ERR_INVALID : r->err;
	if (r->err != OK || n == 0)
		return NULL;
	v = arena_alloc(r->arena, n * size);
	if (!v) {
		r->err = ERR_NOMEM;
		return NULL;
	}
	*ret_n = n;
	return v;
}

static struct str *get_list(struct reader *r, uint32_t max, uint32_t *ret_n)
{
	struct str *v = get_array(r, max, 5, sizeof(*v), ret_n);

	for (uint32_t i = 0; i < *ret_n; i++)
		v[i] = get_str(r);
	return v;
}

static bool get_bool(struct reader *r)
{
	uint32_t v = get_u32(r);

	if (v > 1)
		r->err = ERR_INVALID;
	return v == 1;
}

static void get_cert(struct reader *r, struct store_cert *c)
{
	const void *print;

	c->use = get_u32(r);
	c->listener = get_u32(r);
	c->source = get_u32(r);
	c->ec = get_bool(r);
	c->origin = get_str(r);
	c->names = get_list(r, STORE_MAX_NAMES, &c->nnames);
	c->chain = get_list(r, STORE_MAX_CHAIN, &c->nchain);
	c->key = get_str(r);
	c->ocsp = get_str(r);
	c->not_before = get_u64(r);
	c->not_after = get_u64(r);
	print = get(r, sizeof(c->fingerprint));
	if (print)
		memcpy(c->fingerprint, print, sizeof(c->fingerprint));
	c->kind = get_str(r);
	c->note = get_str(r);
	c->ocsp_until = get_u64(r);
	if (r->err == OK && (c->use > STORE_ALPN || c->nchain == 0 || c->key.len == 0))
		r->err = ERR_INVALID;
}

static void get_tickets(struct reader *r, struct store_tickets *t)
{
	const void *key;

	t->listener = get_u32(r);
	t->n = get_u32(r);
	t->name = get_str(r);
	t->own = get_bool(r);
	if (t->n > STORE_TICKET_KEYS) {
		r->err = ERR_INVALID;
		return;
	}
	for (uint32_t i = 0; i < t->n; i++) {
		t->made[i] = get_u64(r);
		key = get(r, sizeof(t->keys[i]));
		if (key)
			memcpy(t->keys[i], key, sizeof(t->keys[i]));
	}
}

static void get_store(struct reader *r, struct store *s)
{
	const char *magic = get(r, sizeof(store_magic));
	struct store_challenge *challenges;
	struct store_tickets *tickets;
	struct store_cert *certs;
	struct store_file *files;

	if (!magic || memcmp(magic, store_magic, sizeof(store_magic)) != 0) {
		r->err = ERR_INVALID;
		return;
	}
	s->number = get_u64(r);
	s->certs = certs = get_array(r, STORE_MAX_CERTS, 80, sizeof(*certs), &s->ncerts);
	for (uint32_t i = 0; i < s->ncerts; i++)
		get_cert(r, &certs[i]);
	s->tickets = tickets = get_array(r, 65536, 17, sizeof(*tickets), &s->ntickets);
	for (uint32_t i = 0; i < s->ntickets; i++)
		get_tickets(r, &tickets[i]);
	s->challenges = challenges =
	    get_array(r, STORE_MAX_FILES, 10, sizeof(*challenges), &s->nchallenges);
	for (uint32_t i = 0; i < s->nchallenges; i++) {
		challenges[i].token = get_str(r);
		challenges[i].answer = get_str(r);
	}
	s->files = files = get_array(r, STORE_MAX_FILES, 10, sizeof(*files), &s->nfiles);
	for (uint32_t i = 0; i < s->nfiles; i++) {
		files[i].path = get_str(r);
		files[i].bytes = get_str(r);
	}
	for (uint32_t i = 0; certs != NULL && i < s->ncerts; i++) {
		const void *stamps = get(r, sizeof(certs[i].stamps));

		if (stamps)
			memcpy(certs[i].stamps, stamps, sizeof(certs[i].stamps));
	}
	if (r->left > 0)
		r->err = r->err == OK ? ERR_INVALID : r->err;
}

int store_map(int fd, struct store **ret)
{
	struct mapped *m = calloc(1, sizeof(*m));
	int seals = fcntl(fd, F_GET_SEALS);
	struct reader r = { 0 };
	struct stat st;

	*ret = NULL;
	if (!m)
		return ERR_NOMEM;
	if (seals < 0 || (seals & STORE_SEALS) != STORE_SEALS || fstat(fd, &st) != 0 ||
	    st.st_size <= 0 || st.st_size > (off_t)STORE_MAX_SIZE) {
		free(m);
		return ERR_INVALID; /* one that can still change or shrink under our hands */
	}
	m->pub.size = (size_t)st.st_size;
	m->pub.map = mmap(NULL, m->pub.size, PROT_READ, MAP_SHARED, fd, 0);
	if (m->pub.map == MAP_FAILED) {
		free(m);
		return ERR_SYSTEM;
	}
	r = (struct reader){ .p = m->pub.map, .left = m->pub.size, .arena = &m->arena };
	get_store(&r, &m->pub);
	if (r.err != OK) {
		store_unmap(&m->pub);
		return r.err;
	}
	*ret = &m->pub;
	return OK;
}

void store_unmap(struct store *s)
{
	struct mapped *m;

	if (!s)
		return;
	m = CONTAINER_OF(s, struct mapped, pub);
	munmap(s->map, s->size);
	arena_free(&m->arena);
	free(m);
}

/* What has the number in front and the stamps behind it. */
static size_t core_of(const char *p, size_t size)
{
	uint32_t ncerts;

	memcpy(&ncerts, p + STORE_HEAD, sizeof(ncerts));
	return size - STORE_HEAD - MIN(ncerts * STORE_TAIL, size - STORE_HEAD);
}

bool store_same(int a, int b)
{
	struct stat x, y;
	const char *p, *q;
	size_t size;
	bool equal;

	if (a < 0 || b < 0 || fstat(a, &x) != 0 || fstat(b, &y) != 0 || x.st_size != y.st_size ||
	    x.st_size < (off_t)(STORE_HEAD + sizeof(uint32_t)))
		return false;
	size = (size_t)x.st_size;
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, a, 0);
	q = mmap(NULL, size, PROT_READ, MAP_SHARED, b, 0);
	equal = p != MAP_FAILED && q != MAP_FAILED && core_of(p, size) == core_of(q, size) &&
	        memcmp(p + STORE_HEAD, q + STORE_HEAD, core_of(p, size)) == 0;
	if (p != MAP_FAILED)
		munmap((void *)p, size);
	if (q != MAP_FAILED)
		munmap((void *)q, size);
	return equal;
}

struct str store_file(const struct store *s, struct str path)
{
	for (uint32_t i = 0; i < s->nfiles; i++) {
		if (str_eq(s->files[i].path, path))
			return s->files[i].bytes;
	}
	return STR_NONE;
}
