/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates by name, and parsed when they are first needed. One thread each. */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/check.h"
#include "base/err.h"
#include "tls/server_impl.h"

#define NONE UINT32_MAX

static uint64_t hash_name(struct str name)
{
	return hash_bytes(0, name.s, name.len);
}

static int compare(const void *a, const void *b)
{
	const struct tls_entry *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return x->cert < y->cert ? -1 : x->cert > y->cert;
}

static bool is_here(const struct tls_server *s, const struct store_cert *c, uint32_t use)
{
	return c->use == use && (c->listener == s->listener || c->listener == NONE);
}

static int index_use(struct tls_server *s, uint32_t use, struct tls_entry **ret, uint32_t *ret_n)
{
	const struct store *store = s->store;
	uint32_t i, j, n = 0;

	for (i = 0; i < store->ncerts; i++)
		if (is_here(s, &store->certs[i], use))
			n += store->certs[i].nnames;
	*ret = calloc(n + 1, sizeof(**ret));
	if (*ret == NULL)
		return ERR_NOMEM;
	*ret_n = 0;
	for (i = 0; i < store->ncerts; i++) {
		const struct store_cert *c = &store->certs[i];

		for (j = 0; is_here(s, c, use) && j < c->nnames; j++)
			(*ret)[(*ret_n)++] = (struct tls_entry){ hash_name(c->names[j]), i, j };
	}
	qsort(*ret, n, sizeof(**ret), compare);
	return OK;
}

/* Of two certificates of one key type for a name: the one that is valid now, then the one that the
 * file names first, then the one that lasts longer. */
static bool is_better(const struct store *s, uint32_t a, uint32_t b)
{
	const uint64_t now = (uint64_t)time(NULL);
	const struct store_cert *x = &s->certs[a], *y = b != NONE ? &s->certs[b] : NULL;
	bool valid;

	if (y == NULL)
		return true;
	valid = x->not_before <= now && now < x->not_after;
	if (valid != (y->not_before <= now && now < y->not_after))
		return valid;
	if (x->source != y->source)
		return x->source < y->source;
	return x->not_after > y->not_after;
}

static void take(const struct tls_server *s, uint32_t cert, struct tls_host *h)
{
	uint32_t *slot = s->store->certs[cert].ec ? &h->ec : &h->rsa;

	if (is_better(s->store, cert, *slot))
		*slot = cert;
}

/* The default: the first certificate of the first source, and one of the other key type that has
 * the same first name. */
static void find_first(struct tls_server *s)
{
	const struct store *store = s->store;
	const struct store_cert *first = NULL;
	struct tls_host h;
	uint32_t i;

	s->first = (struct tls_host){ NONE, NONE };
	for (i = 0; i < store->ncerts; i++) {
		const struct store_cert *c = &store->certs[i];

		if (is_here(s, c, STORE_SERVE) && (first == NULL || c->source < first->source))
			first = c;
	}
	if (first == NULL)
		return;
	i = (uint32_t)(first - store->certs);
	*(first->ec ? &s->first.ec : &s->first.rsa) = i;
	if (first->nnames > 0 && tls_find_host(s, first->names[0], &h)) {
		if (s->first.ec == NONE)
			s->first.ec = h.ec;
		if (s->first.rsa == NONE)
			s->first.rsa = h.rsa;
	}
}

int tls_index(struct tls_server *s)
{
	int err = index_use(s, STORE_SERVE, &s->entries, &s->nentries);

	if (err == OK)
		err = index_use(s, STORE_ALPN, &s->challenges, &s->nchallenges);
	s->pairs = calloc(s->store->ncerts + 1, sizeof(struct tls_pair *));
	if (err != OK || s->pairs == NULL)
		return ERR_NOMEM;
	find_first(s);
	return OK;
}

/* The first entry with that hash; n where there is none. */
static uint32_t lower(const struct tls_entry *v, uint32_t n, uint64_t hash)
{
	uint32_t low = 0, high = n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (v[mid].hash < hash)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static bool find_exact(const struct tls_server *s, struct str name, struct tls_host *h)
{
	const uint64_t hash = hash_name(name);
	uint32_t i;

	for (i = lower(s->entries, s->nentries, hash);
	     i < s->nentries && s->entries[i].hash == hash; i++) {
		const struct store_cert *c = &s->store->certs[s->entries[i].cert];

		if (str_eq(c->names[s->entries[i].name], name))
			take(s, s->entries[i].cert, h);
	}
	return h->ec != NONE || h->rsa != NONE;
}

/* RFC 6125, 6.4.3: a wildcard stands for the whole first label and for no more than that. */
bool tls_find_host(const struct tls_server *s, struct str name, struct tls_host *ret)
{
	const char *dot = name.len > 0 ? memchr(name.s, '.', name.len) : NULL;
	char wild[256];
	size_t rest;

	*ret = (struct tls_host){ NONE, NONE };
	if (name.len == 0 || name.len >= sizeof(wild))
		return false;
	if (find_exact(s, name, ret))
		return true;
	if (dot == NULL || dot == name.s)
		return false;
	rest = name.len - (size_t)(dot - name.s);
	wild[0] = '*';
	memcpy(wild + 1, dot, rest);
	return find_exact(s, str_n(wild, rest + 1), ret);
}

uint32_t tls_find_challenge(const struct tls_server *s, struct str name)
{
	const uint64_t hash = hash_name(name);
	uint32_t i;

	for (i = lower(s->challenges, s->nchallenges, hash);
	     i < s->nchallenges && s->challenges[i].hash == hash; i++) {
		const struct store_cert *c = &s->store->certs[s->challenges[i].cert];

		if (str_eq(c->names[s->challenges[i].name], name))
			return s->challenges[i].cert;
	}
	return NONE;
}

static void pair_free(struct tls_pair *p)
{
	if (p == NULL)
		return;
	X509_free(p->leaf);
	sk_X509_pop_free(p->chain, X509_free);
	EVP_PKEY_free(p->key);
	free(p);
}

void tls_pairs_free(struct tls_server *s)
{
	uint32_t i;

	for (i = 0; s->pairs != NULL && i < s->store->ncerts; i++) {
		pair_free(s->pairs[i]);
		s->pairs[i] = NULL;
	}
	s->nloaded = 0;
}

static X509 *parse_cert(struct str der)
{
	const unsigned char *p = (const unsigned char *)der.s;

	return d2i_X509(NULL, &p, (long)der.len);
}

static struct tls_pair *parse(const struct store_cert *c)
{
	struct tls_pair *p = calloc(1, sizeof(*p));
	const unsigned char *key = (const unsigned char *)c->key.s;
	uint32_t i;

	if (p == NULL)
		return NULL;
	p->ocsp = c->ocsp;
	p->leaf = c->nchain > 0 ? parse_cert(c->chain[0]) : NULL;
	p->key = d2i_AutoPrivateKey(NULL, &key, (long)c->key.len);
	p->chain = sk_X509_new_null();
	for (i = 1; p->chain != NULL && i < c->nchain; i++) {
		X509 *x = parse_cert(c->chain[i]);

		if (x == NULL || sk_X509_push(p->chain, x) == 0) {
			X509_free(x);
			break;
		}
	}
	if (p->leaf == NULL || p->key == NULL || p->chain == NULL || i < c->nchain) {
		pair_free(p);
		return NULL;
	}
	return p;
}

/* The default's stay: they are in use all the time, and few. */
static void make_room(struct tls_server *s)
{
	uint32_t i;

	if (s->nloaded < TLS_LOADED_MAX)
		return;
	for (i = 0; i < s->store->ncerts; i++) {
		if (i == s->first.ec || i == s->first.rsa)
			continue;
		pair_free(s->pairs[i]);
		s->pairs[i] = NULL;
	}
	s->nloaded = 0;
}

struct tls_pair *tls_pair(struct tls_server *s, uint32_t cert)
{
	if (cert == NONE)
		return NULL;
	if (s->pairs[cert] == NULL) {
		make_room(s);
		s->pairs[cert] = parse(&s->store->certs[cert]);
		s->nloaded += s->pairs[cert] != NULL;
		ERR_clear_error();
	}
	return s->pairs[cert];
}
