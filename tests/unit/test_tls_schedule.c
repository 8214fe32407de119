/* SPDX-License-Identifier: Apache-2.0 */
/* The key schedule of TLS 1.3: the values of RFC 8448, section 3, and the same as OpenSSL's own. */
#include "rows.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <string.h>

#include "base/check.h"
#include "tls/schedule.h"

#define OUT_MAX 16384

/* One derivation, its inputs in hexadecimal; NULL: not given. */
struct step {
	const char *name;
	int mode;
	const char *digest, *key, *salt, *label, *data, *want;
};

#define EXPAND  EVP_KDF_HKDF_MODE_EXPAND_ONLY
#define EXTRACT EVP_KDF_HKDF_MODE_EXTRACT_ONLY
#define EARLY   "33ad0a1c607ec03b09e6cd9893680ce210adf300aa1f2660e1b22e10f170f92a"
#define SHARED  "8bd4054fb55b9d63fdfbacf9f04b9f0d35e6d63f537563efd46272900f89492d"
#define HANDSH  "1dc826e93606aa6fdc0aadc12f741b01046aa6b99f691ed221a9f0ca043fbeac"
#define SERVER  "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38"
#define EMPTY   "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define DERIVED "6f2615a108c702c5678f54fc9dbab69716c076189c48250cebeac3576c3611ba"

static const struct step steps[] = {
	{ "early secret", EXTRACT, "SHA256", NULL, NULL, "derived", NULL, EARLY },
	{ "derived", EXPAND, "SHA256", EARLY, NULL, "derived", EMPTY, DERIVED },
	{ "handshake secret", EXTRACT, "SHA256", SHARED, EARLY, "derived", NULL, HANDSH },
	{ "write key", EXPAND, "SHA256", SERVER, NULL, "key", NULL,
	  "3fce516009c21727d0f2e4e86ee403bc" },
	{ "write iv", EXPAND, "SHA2-256", SERVER, NULL, "iv", NULL, "5d313eb2671276ee13000b30" },
};

/* Runs one derivation with the schedule of ours or of OpenSSL. 1: done. */
static int derive(const char *query, int mode, const char *digest, const OSSL_PARAM *more,
                  uint8_t *out, size_t len)
{
	EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, query);
	EVP_KDF_CTX *context;
	OSSL_PARAM params[10], *p = params;
	int done;

	assert_non_null(kdf);
	context = EVP_KDF_CTX_new(kdf);
	assert_non_null(context);
	*p++ = OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode);
	if (digest != NULL)
		*p++ = OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)digest, 0);
	for (; more->key != NULL; more++)
		*p++ = *more;
	*p = OSSL_PARAM_construct_end();
	done = EVP_KDF_derive(context, out, len, params);
	EVP_KDF_CTX_free(context);
	EVP_KDF_free(kdf);
	return done;
}

static OSSL_PARAM octets(const char *key, const void *p, size_t len)
{
	return OSSL_PARAM_construct_octet_string(key, (void *)p, len);
}

static void test_step(void **state)
{
	const struct step *s = *state;
	OSSL_PARAM params[6], *p = params;
	uint8_t out[64];
	unsigned char *want;
	const struct {
		const char *name, *hex;
	} secrets[] = { { OSSL_KDF_PARAM_KEY, s->key },
		        { OSSL_KDF_PARAM_SALT, s->salt },
		        { OSSL_KDF_PARAM_DATA, s->data } };
	unsigned char *bytes[ARRAY_LEN(secrets)] = { NULL };
	long len;
	unsigned i;

	for (i = 0; i < ARRAY_LEN(secrets); i++) {
		if (secrets[i].hex == NULL)
			continue;
		bytes[i] = OPENSSL_hexstr2buf(secrets[i].hex, &len);
		assert_non_null(bytes[i]);
		*p++ = octets(secrets[i].name, bytes[i], (size_t)len);
	}
	*p++ = octets(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6);
	*p++ = octets(OSSL_KDF_PARAM_LABEL, s->label, strlen(s->label));
	*p = OSSL_PARAM_construct_end();
	want = OPENSSL_hexstr2buf(s->want, &len);
	assert_non_null(want);
	assert_int_equal(derive(tls_schedule(), s->mode, s->digest, params, out, (size_t)len), 1);
	assert_memory_equal(out, want, len);
	OPENSSL_free(want);
	for (i = 0; i < ARRAY_LEN(secrets); i++)
		OPENSSL_free(bytes[i]);
}

/* What OpenSSL derives, for keys beyond a block, outputs of many blocks, labels of every length. */
static void test_same(void **state)
{
	static const char *const digests[] = { "SHA256", "SHA2-256", "SHA384", "SHA2-384" };
	static const size_t keys[] = { 0, 1, 32, 48, 64, 65, 128, 129, 300 };
	static const size_t labels[] = { 0, 1, 12, 249 };
	static const size_t lengths[] = { 1, 12, 16, 32, 33, 48, 49, 96, 500, 255 * 32 };
	static uint8_t text[512], ours[OUT_MAX], theirs[OUT_MAX];
	unsigned d, k, l, n, i;

	for (i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7 + 1);
	for (d = 0; d < ARRAY_LEN(digests); d++)
		for (k = 0; k < ARRAY_LEN(keys); k++)
			for (l = 0; l < ARRAY_LEN(labels); l++)
				for (n = 0; n < ARRAY_LEN(lengths); n++) {
					const OSSL_PARAM params[] = {
						octets(OSSL_KDF_PARAM_KEY, text, keys[k]),
						octets(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6),
						octets(OSSL_KDF_PARAM_LABEL, text, labels[l]),
						octets(OSSL_KDF_PARAM_DATA, text + 9, n * 28),
						OSSL_PARAM_construct_end(),
					};

					assert_int_equal(derive(tls_schedule(), EXPAND, digests[d],
					                        params, ours, lengths[n]),
					                 1);
					assert_int_equal(derive("provider=default", EXPAND,
					                        digests[d], params, theirs,
					                        lengths[n]),
					                 1);
					assert_memory_equal(ours, theirs, lengths[n]);
				}
}

static void test_same_chain(void **state)
{
	static const char *const digests[] = { "SHA2-256", "SHA2-384" };
	static const size_t sizes[] = { 32, 48 };
	static const uint8_t key[66] = { 1, 2, 3 }, salt[48] = { 4, 5, 6 };
	uint8_t ours[48], theirs[48];
	unsigned d, what;

	for (d = 0; d < ARRAY_LEN(digests); d++)
		for (what = 0; what < 4; what++) {
			OSSL_PARAM params[5], *p = params;

			if (what & 1)
				*p++ = octets(OSSL_KDF_PARAM_KEY, key, sizeof(key));
			if (what & 2)
				*p++ = octets(OSSL_KDF_PARAM_SALT, salt, sizes[d]);
			*p++ = octets(OSSL_KDF_PARAM_PREFIX, "tls13 ", 6);
			*p++ = octets(OSSL_KDF_PARAM_LABEL, "derived", 7);
			*p = OSSL_PARAM_construct_end();
			assert_int_equal(derive(tls_schedule(), EXTRACT, digests[d], params, ours,
			                        sizes[d]),
			                 1);
			assert_int_equal(derive("provider=default", EXTRACT, digests[d], params,
			                        theirs, sizes[d]),
			                 1);
			assert_memory_equal(ours, theirs, sizes[d]);
		}
}

static void test_refused(void **state)
{
	static uint8_t text[300], out[OUT_MAX];
	const OSSL_PARAM good[] = { octets(OSSL_KDF_PARAM_KEY, text, 32),
		                    octets(OSSL_KDF_PARAM_LABEL, text, 3),
		                    OSSL_PARAM_construct_end() };
	const OSSL_PARAM long_label[] = { octets(OSSL_KDF_PARAM_KEY, text, 32),
		                          octets(OSSL_KDF_PARAM_PREFIX, text, 6),
		                          octets(OSSL_KDF_PARAM_LABEL, text, 250),
		                          OSSL_PARAM_construct_end() };
	const OSSL_PARAM long_data[] = { octets(OSSL_KDF_PARAM_KEY, text, 32),
		                         octets(OSSL_KDF_PARAM_DATA, text, 256),
		                         OSSL_PARAM_construct_end() };
	int number = 5;
	const OSSL_PARAM no_octets[] = { OSSL_PARAM_construct_int(OSSL_KDF_PARAM_KEY, &number),
		                         OSSL_PARAM_construct_end() };
	const struct {
		int mode;
		const char *digest;
		const OSSL_PARAM *params;
		size_t len;
	} rows[] = {
		{ EXPAND, "SHA256", long_label, 32 },
		{ EXPAND, "SHA256", long_data, 32 },
		{ EXPAND, "SHA256", no_octets, 32 },
		{ EXPAND, "SHA256", good, 255 * 32 + 1 },
		{ EXPAND, "MD5", good, 16 },
		{ EXPAND, NULL, good, 16 },
		{ EXTRACT, "SHA256", good, 31 },
		{ EVP_KDF_HKDF_MODE_EXTRACT_AND_EXPAND, "SHA256", good, 32 },
	};
	unsigned i;

	assert_int_equal(derive(tls_schedule(), EXPAND, "SHA256", good, out, 255 * 32), 1);
	for (i = 0; i < ARRAY_LEN(rows); i++)
		assert_int_equal(derive(tls_schedule(), rows[i].mode, rows[i].digest,
		                        rows[i].params, out, rows[i].len),
		                 0);
}

/* Ours is taken where it is asked for, and nowhere else. */
static void test_chosen(void **state)
{
	const struct {
		const char *query, *provider;
	} rows[] = { { tls_schedule(), "holdfast" }, { NULL, "default" } };
	EVP_MD *md;
	unsigned i;

	for (i = 0; i < ARRAY_LEN(rows); i++) {
		EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_TLS1_3_KDF, rows[i].query);

		assert_non_null(kdf);
		assert_string_equal(OSSL_PROVIDER_get0_name(EVP_KDF_get0_provider(kdf)),
		                    rows[i].provider);
		EVP_KDF_free(kdf);
	}
	md = EVP_MD_fetch(NULL, "SHA256", tls_schedule());
	assert_non_null(md);
	assert_string_equal(OSSL_PROVIDER_get0_name(EVP_MD_get0_provider(md)), "default");
	EVP_MD_free(md);
}

int main(void)
{
	static struct rows r;

	rows_add(&r, "ours is taken where it is asked for", test_chosen, NULL);
	ROWS_ADD_TABLE(&r, steps, test_step);
	rows_add(&r, "secrets are OpenSSL's", test_same, NULL);
	rows_add(&r, "the chain of secrets is OpenSSL's", test_same_chain, NULL);
	rows_add(&r, "what cannot be derived is refused", test_refused, NULL);
	return rows_run(&r, "key schedule");
}
