/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The key schedule of TLS 1.3 (RFC 8446, 7.1) as a TLS13-KDF of OpenSSL: HKDF (RFC 5869) by
 * SHA-256 and SHA-384 on the stack. A handshake derives some fifteen secrets; OpenSSL's own makes,
 * fills and frees several objects for each. No state: any thread.
 */
/* The hashes themselves: the calls that took their place cost more than the hashing. */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "tls/schedule.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <string.h>

#include "base/check.h"
#include "base/str.h"

#define PROVIDER  "holdfast"
#define HASH_MAX  SHA384_DIGEST_LENGTH
#define BLOCK_MAX SHA512_CBLOCK
#define LABEL_MAX (2 + 1 + 255 + 1 + 255)

union state {
	SHA256_CTX sha256;
	SHA512_CTX sha384;
};

struct hash {
	const char *names[2]; /* OpenSSL uses both */
	size_t size, block;   /* bytes */
	void (*init)(union state *s);
	void (*add)(union state *s, const void *p, size_t len);
	void (*end)(union state *s, uint8_t *out);
};

static void sha256_init(union state *s)
{
	SHA256_Init(&s->sha256);
}

static void sha256_add(union state *s, const void *p, size_t len)
{
	SHA256_Update(&s->sha256, p, len);
}

static void sha256_end(union state *s, uint8_t *out)
{
	SHA256_Final(out, &s->sha256);
}

static void sha384_init(union state *s)
{
	SHA384_Init(&s->sha384);
}

static void sha384_add(union state *s, const void *p, size_t len)
{
	SHA384_Update(&s->sha384, p, len);
}

static void sha384_end(union state *s, uint8_t *out)
{
	SHA384_Final(out, &s->sha384);
}

static const struct hash hashes[] = {
	{ { "SHA2-256", "SHA256" },
	  SHA256_DIGEST_LENGTH,
	  SHA256_CBLOCK,
	  sha256_init,
	  sha256_add,
	  sha256_end },
	{ { "SHA2-384", "SHA384" },
	  SHA384_DIGEST_LENGTH,
	  SHA512_CBLOCK,
	  sha384_init,
	  sha384_add,
	  sha384_end },
};

/* HMAC (RFC 2104) of up to three pieces. */
static void hmac(const struct hash *h, struct str key, const struct str *pieces, int n,
                 uint8_t *out)
{
	uint8_t pad[BLOCK_MAX] = { 0 }, inner[HASH_MAX];
	union state s;
	size_t i;
	int k;

	if (key.len > h->block) {
		h->init(&s);
		h->add(&s, key.s, key.len);
		h->end(&s, pad);
	} else if (key.len > 0) {
		memcpy(pad, key.s, key.len);
	}
	for (i = 0; i < h->block; i++)
		pad[i] ^= 0x36;
	h->init(&s);
	h->add(&s, pad, h->block);
	for (k = 0; k < n; k++)
		h->add(&s, pieces[k].s, pieces[k].len);
	h->end(&s, inner);
	for (i = 0; i < h->block; i++)
		pad[i] ^= 0x36 ^ 0x5c;
	h->init(&s);
	h->add(&s, pad, h->block);
	h->add(&s, inner, h->size);
	h->end(&s, out);
	OPENSSL_cleanse(&s, sizeof(s));
	OPENSSL_cleanse(pad, h->block);
	OPENSSL_cleanse(inner, h->size);
}

struct request {
	int mode;
	const struct hash *hash;
	struct str key, salt, prefix, label, data;
};

static uint8_t *put(uint8_t *to, struct str what)
{
	return what.len > 0 ? mempcpy(to, what.s, what.len) : to;
}

/* HKDF-Expand-Label (RFC 8446, 7.1). 1: done. */
static int expand(const struct request *q, struct str secret, struct str data, uint8_t *out,
                  size_t len)
{
	const size_t size = q->hash->size, named = q->prefix.len + q->label.len;
	uint8_t info[LABEL_MAX], block[HASH_MAX], counter = 1, *p = info;
	size_t done = 0;

	if (named > UINT8_MAX || data.len > UINT8_MAX || len > 255 * size)
		return 0;
	*p++ = (uint8_t)(len >> 8);
	*p++ = (uint8_t)len;
	*p++ = (uint8_t)named;
	p = put(p, q->prefix);
	p = put(p, q->label);
	*p++ = (uint8_t)data.len;
	p = put(p, data);
	for (; done < len; counter++) {
		const struct str pieces[] = {
			str_n((char *)block, done > 0 ? size : 0),
			str_n((char *)info, (size_t)(p - info)),
			str_n((char *)&counter, 1),
		};
		const size_t n = MIN(size, len - done);

		hmac(q->hash, secret, pieces, 3, block);
		memcpy(out + done, block, n);
		done += n;
	}
	OPENSSL_cleanse(block, size);
	return 1;
}

/* The next secret of the chain: HKDF-Extract with what Derive-Secret makes of the last one. */
static int extract(const struct request *q, uint8_t *out, size_t len)
{
	static const uint8_t zeros[HASH_MAX];
	const struct hash *h = q->hash;
	uint8_t salt[HASH_MAX], empty[HASH_MAX];
	struct str in = q->key.s != NULL ? q->key : str_n((const char *)zeros, h->size);
	union state s;

	if (len != h->size)
		return 0;
	if (q->salt.s == NULL) {
		hmac(h, STR_NONE, &in, 1, out);
		return 1;
	}
	h->init(&s);
	h->end(&s, empty);
	if (!expand(q, q->salt, str_n((char *)empty, h->size), salt, h->size))
		return 0;
	hmac(h, str_n((char *)salt, h->size), &in, 1, out);
	OPENSSL_cleanse(salt, sizeof(salt));
	return 1;
}

static const struct hash *find_hash(const char *name)
{
	unsigned i;

	for (i = 0; i < ARRAY_LEN(hashes); i++)
		if (strcasecmp(name, hashes[i].names[0]) == 0 ||
		    strcasecmp(name, hashes[i].names[1]) == 0)
			return &hashes[i];
	return NULL;
}

static bool read_param(struct request *q, const OSSL_PARAM *p)
{
	const struct {
		const char *name;
		struct str *to;
	} strings[] = {
		{ OSSL_KDF_PARAM_KEY, &q->key },       { OSSL_KDF_PARAM_SALT, &q->salt },
		{ OSSL_KDF_PARAM_PREFIX, &q->prefix }, { OSSL_KDF_PARAM_LABEL, &q->label },
		{ OSSL_KDF_PARAM_DATA, &q->data },
	};
	const char *text;
	unsigned i;

	for (i = 0; i < ARRAY_LEN(strings); i++) {
		if (strcmp(p->key, strings[i].name) == 0) {
			*strings[i].to = str_n(p->data, p->data_size);
			return p->data_type == OSSL_PARAM_OCTET_STRING;
		}
	}
	if (strcmp(p->key, OSSL_KDF_PARAM_MODE) == 0)
		return OSSL_PARAM_get_int(p, &q->mode) == 1;
	if (strcmp(p->key, OSSL_KDF_PARAM_DIGEST) != 0)
		return true;
	if (OSSL_PARAM_get_utf8_string_ptr(p, &text) == 1)
		q->hash = find_hash(text);
	return q->hash != NULL;
}

static int derive(void *context, unsigned char *out, size_t len, const OSSL_PARAM *params)
{
	struct request q = { .mode = -1 };

	for (; params != NULL && params->key != NULL; params++)
		if (!read_param(&q, params))
			return 0;
	if (q.hash == NULL)
		return 0;
	switch (q.mode) {
	case EVP_KDF_HKDF_MODE_EXPAND_ONLY:
		return expand(&q, q.key, q.data, out, len);
	case EVP_KDF_HKDF_MODE_EXTRACT_ONLY:
		return extract(&q, out, len);
	default:
		return 0;
	}
}

/* A derivation brings all it needs: there is nothing to keep, and nothing to free. */
static void *new_context(void *provider)
{
	return provider;
}

static void free_context(void *context)
{
}

static const OSSL_DISPATCH kdf[] = {
	{ OSSL_FUNC_KDF_NEWCTX, (void (*)(void))new_context },
	{ OSSL_FUNC_KDF_FREECTX, (void (*)(void))free_context },
	{ OSSL_FUNC_KDF_DERIVE, (void (*)(void))derive },
	{ 0, NULL },
};

static const OSSL_ALGORITHM kdfs[] = {
	{ OSSL_KDF_NAME_TLS1_3_KDF, "provider=" PROVIDER, kdf, "key schedule of TLS 1.3" },
	{ NULL, NULL, NULL, NULL },
};

static const OSSL_ALGORITHM *query(void *provider, int operation, int *no_store)
{
	*no_store = 0;
	return operation == OSSL_OP_KDF ? kdfs : NULL;
}

static const OSSL_DISPATCH provider[] = {
	{ OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query },
	{ 0, NULL },
};

static int begin(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out,
                 void **context)
{
	*out = provider;
	*context = (void *)kdfs; /* handed to new_context(), where NULL would be a failure */
	return 1;
}

static OSSL_PROVIDER *loaded; /* by load(), until the process ends */

static void unload(void)
{
	OSSL_PROVIDER_unload(loaded);
}

/*
 * OpenSSL's own is fetched before: the first one is for all who prefer none. The providers that
 * OpenSSL loads by itself stay: the last argument.
 */
static void load(void)
{
	EVP_KDF_free(EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, NULL));
	if (OSSL_PROVIDER_add_builtin(NULL, PROVIDER, begin) == 1)
		loaded = OSSL_PROVIDER_try_load(NULL, PROVIDER, 1);
	if (loaded != NULL)
		OPENSSL_atexit(unload);
	ERR_clear_error();
}

const char *tls_schedule(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, load);
	return "?provider=" PROVIDER;
}
