/* SPDX-License-Identifier: Apache-2.0 */
/* A chain and its key: read, checked, put in order; see cert.h. Any process. */
#include "tls/cert.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "tls/cert_impl.h"

#define LEAST_RSA 2048
#define MOST_RSA  8192 /* beyond it a handshake costs more than anybody should be made to pay */

/* --- the private key ------------------------------------------------------------------------ */

struct asked {
	bool passphrase;
};

/* A key that needs a passphrase cannot be used by a program that starts by itself. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	((struct asked *)arg)->passphrase = true;
	return -1;
}

static int read_key(struct str bytes, EVP_PKEY **ret, char *why, size_t why_size)
{
	const unsigned char *at = (const unsigned char *)bytes.s;
	BIO *bio = BIO_new_mem_buf(bytes.s, (int)bytes.len);
	struct asked asked = { false };

	if (!bio)
		return ERR_NOMEM;
	*ret = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &asked);
	BIO_free(bio);
	if (!*ret && !asked.passphrase && !memmem(bytes.s, bytes.len, "-----BEGIN", 10))
		*ret = d2i_AutoPrivateKey(NULL, &at, (long)bytes.len);
	ERR_clear_error();
	if (*ret)
		return OK;
	if (asked.passphrase)
		snprintf(why, why_size,
		         "the key is encrypted with a passphrase: take it off (openssl pkey -in "
		         "KEY -out PLAIN)");
	else if (memmem(bytes.s, bytes.len, "PRIVATE KEY-----", 16))
		snprintf(why, why_size, "the private key is cut short or broken");
	else
		snprintf(why, why_size, "there is no private key in it");
	return ERR_SYNTAX;
}

/* Strength, by the kinds of keys that TLS can use. */
static int check_key(const EVP_PKEY *key, char *why, size_t why_size)
{
	int bits = EVP_PKEY_get_bits(key);

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		if (bits >= LEAST_RSA && bits <= MOST_RSA)
			return OK;
		snprintf(why, why_size,
		         bits < LEAST_RSA ? "an RSA key of %d bits is too weak: %d are the least"
		                          : "an RSA key of %d bits is too slow: %d are the most",
		         bits, bits < LEAST_RSA ? LEAST_RSA : MOST_RSA);
		return ERR_DENIED;
	case EVP_PKEY_EC:
		if (bits >= 224)
			return OK;
		snprintf(why, why_size, "a key of %d bits is too weak for ECDSA", bits);
		return ERR_DENIED;
	case EVP_PKEY_ED25519:
	case EVP_PKEY_ED448:
		return OK;
	default:
		snprintf(why, why_size,
		         "its kind of key is not one that TLS uses: RSA, ECDSA or "
		         "EdDSA are");
		return ERR_DENIED;
	}
}

/* The private half does what the certificate's public half says: a key that is damaged inside
 * parses well and fails in every handshake. */
static bool key_signs(EVP_PKEY *private, EVP_PKEY *public)
{
	static const unsigned char text[32] = "holdfast looks whether it signs";
	int id = EVP_PKEY_get_base_id(private);
	const EVP_MD *md = id == EVP_PKEY_ED25519 || id == EVP_PKEY_ED448 ? NULL : EVP_sha256();
	EVP_MD_CTX *s = EVP_MD_CTX_new(), *v = EVP_MD_CTX_new();
	unsigned char sig[MOST_RSA / 8 + 64];
	size_t len = sizeof(sig);
	bool well;

	well = s && v && EVP_DigestSignInit(s, NULL, md, NULL, private) == 1 &&
	       EVP_DigestSign(s, sig, &len, text, sizeof(text)) == 1 &&
	       EVP_DigestVerifyInit(v, NULL, md, NULL, public) == 1 &&
	       EVP_DigestVerify(v, sig, len, text, sizeof(text)) == 1;
	EVP_MD_CTX_free(s);
	EVP_MD_CTX_free(v);
	ERR_clear_error();
	return well;
}

/* --- the chain ------------------------------------------------------------------------------ */

/* Takes the certificate that the key fits out of the stack. NULL: none. */
static X509 *take_leaf(STACK_OF(X509) * all, const EVP_PKEY *key, int *ret_place)
{
	for (int i = 0; i < sk_X509_num(all); i++) {
		if (X509_check_private_key(sk_X509_value(all, i), key) == 1) {
			*ret_place = i;
			return sk_X509_delete(all, i);
		}
		ERR_clear_error();
	}
	return NULL;
}

/* The place of the one that has signed `x`; -1: none. */
static int find_signer(STACK_OF(X509) * all, X509 *x)
{
	for (int i = 0; i < sk_X509_num(all); i++) {
		if (X509_check_issued(sk_X509_value(all, i), x) == X509_V_OK)
			return i;
	}
	return -1;
}

/* Servers send the leaf first and each certificate before the one that has signed it (RFC 5246
 * 7.4.2); many files have them in another order, which clients differ in forgiving. */
static STACK_OF(X509) * in_order(STACK_OF(X509) * all, X509 *leaf, bool *moved, int *ret_left)
{
	STACK_OF(X509) *chain = sk_X509_new_null();
	X509 *last = leaf;
	int at = 0;

	if (!chain || !sk_X509_push(chain, leaf)) {
		sk_X509_free(chain);
		X509_free(leaf);
		return NULL;
	}
	while (at >= 0 && sk_X509_num(all) > 0 && X509_check_issued(last, last) != X509_V_OK) {
		at = find_signer(all, last);
		if (at < 0)
			break;
		*moved = *moved || at > 0;
		last = sk_X509_delete(all, at);
		sk_X509_push(chain, last);
	}
	*ret_left = sk_X509_num(all);
	return chain;
}

static int keep_chain(struct arena *a, STACK_OF(X509) * chain, struct store_cert *ret)
{
	int n = sk_X509_num(chain);
	struct str *v = arena_alloc(a, (size_t)n * sizeof(*v));

	for (int i = 0; v && i < n; i++) {
		unsigned char *der = NULL;
		int len = i2d_X509(sk_X509_value(chain, i), &der);

		v[i] = len > 0 ? arena_str(a, str_n((char *)der, (size_t)len)) : STR_NONE;
		OPENSSL_free(der);
		if (!v[i].s)
			return ERR_NOMEM;
	}
	ret->chain = v;
	ret->nchain = v ? (uint32_t)n : 0;
	return v ? OK : ERR_NOMEM;
}

static int keep_key(struct arena *a, const EVP_PKEY *key, struct store_cert *ret)
{
	PKCS8_PRIV_KEY_INFO *p8 = EVP_PKEY2PKCS8(key);
	unsigned char *der = NULL;
	int len = p8 ? i2d_PKCS8_PRIV_KEY_INFO(p8, &der) : -1;

	PKCS8_PRIV_KEY_INFO_free(p8);
	if (len <= 0)
		return ERR_NOMEM;
	ret->key = arena_str(a, str_n((char *)der, (size_t)len));
	OPENSSL_clear_free(der, (size_t)len);
	return ret->key.s ? OK : ERR_NOMEM;
}

/* --- the leaf ------------------------------------------------------------------------------- */

/* Clients have refused signatures by MD5 and SHA-1 for years, and OpenSSL's own level does. */
static int check_signature(X509 *leaf, char *why, size_t why_size)
{
	int bits = 0;

	if (X509_check_issued(leaf, leaf) == X509_V_OK) /* nobody relies on its own signature */
		return OK;
	if (X509_get_signature_info(leaf, NULL, NULL, &bits, NULL) == 1 && bits < 80) {
		snprintf(why, why_size, "it is signed by a hash that is broken (MD5 or SHA-1)");
		ERR_clear_error();
		return ERR_DENIED;
	}
	ERR_clear_error();
	return OK;
}

static struct str kind_of(struct arena *a, const EVP_PKEY *key)
{
	int bits = EVP_PKEY_get_bits(key);

	switch (EVP_PKEY_get_base_id(key)) {
	case EVP_PKEY_RSA:
	case EVP_PKEY_RSA_PSS:
		return str_from(arena_printf(a, "RSA %d", bits));
	case EVP_PKEY_EC:
		return str_from(arena_printf(a, "ECDSA P-%d", bits));
	case EVP_PKEY_ED25519:
		return STR("Ed25519");
	case EVP_PKEY_ED448:
		return STR("Ed448");
	default:
		return STR("unknown");
	}
}

static int keep_leaf(struct arena *a, X509 *leaf, const EVP_PKEY *key, struct store_cert *ret,
                     char *why, size_t why_size)
{
	unsigned len = sizeof(ret->fingerprint);
	int id = EVP_PKEY_get_base_id(key);
	int err = check_signature(leaf, why, why_size);

	if (err != OK)
		return err;
	ret->ec = id != EVP_PKEY_RSA && id != EVP_PKEY_RSA_PSS;
	ret->kind = kind_of(a, key);
	ret->not_before = cert_time(X509_get0_notBefore(leaf));
	ret->not_after = cert_time(X509_get0_notAfter(leaf));
	if (ret->not_after == 0 || ret->not_after <= ret->not_before) {
		snprintf(why, why_size, "its dates make no sense");
		return ERR_SYNTAX;
	}
	if (X509_digest(leaf, EVP_sha256(), ret->fingerprint, &len) != 1)
		return ERR_NOMEM;
	err = cert_names(a, leaf, &ret->names, &ret->nnames);
	if (err == ERR_TOO_LARGE)
		snprintf(why, why_size, "it is for more than %d names", STORE_MAX_NAMES);
	return err;
}

/* Whether that pair has been tried out before. */
static bool is_known(const struct store_cert *c, const struct store_cert *former)
{
	return former && former->nchain > 0 && str_eq(former->chain[0], c->chain[0]) &&
	       str_eq(former->key, c->key);
}

static int keep(struct arena *a, STACK_OF(X509) * all, EVP_PKEY *key,
                const struct store_cert *former, struct store_cert *ret, char *why, size_t why_size,
                char *note, size_t note_size)
{
	STACK_OF(X509) *chain = NULL;
	bool moved = false;
	int place = 0, left = 0, err;
	X509 *leaf = take_leaf(all, key, &place);

	if (!leaf) {
		snprintf(why, why_size, "the private key does not belong to the certificate");
		return ERR_REFUSED;
	}
	moved = place > 0;
	chain = in_order(all, leaf, &moved, &left);
	if (!chain)
		return ERR_NOMEM;
	err = keep_leaf(a, leaf, key, ret, why, why_size);
	err = err == OK ? keep_chain(a, chain, ret) : err;
	err = err == OK ? keep_key(a, key, ret) : err;
	if (err == OK && !is_known(ret, former) && !key_signs(key, X509_get0_pubkey(leaf))) {
		snprintf(why, why_size, "the private key is damaged: it does not sign");
		err = ERR_SYNTAX;
	}
	if (err == OK && left > 0)
		snprintf(note, note_size,
		         "%d of its certificates are left out: they have not signed what stands "
		         "before them",
		         left);
	else if (err == OK && moved)
		snprintf(note, note_size,
		         "its certificates are served in another order than the file has them: the "
		         "own one first, then who signed it");
	else if (err == OK && ret->nnames == 0)
		snprintf(note, note_size, "it is for no host name");
	sk_X509_pop_free(chain, X509_free);
	return err;
}

int cert_parse(struct arena *a, struct str chain, struct str key, const struct store_cert *former,
               struct store_cert *ret, char *why, size_t why_size, char *note, size_t note_size)
{
	STACK_OF(X509) *all = NULL;
	EVP_PKEY *pkey = NULL;
	int err;

	why[0] = note[0] = '\0';
	err = cert_read_all(chain, STORE_MAX_CHAIN, &all, why, why_size);
	if (err == OK)
		err = read_key(key.s ? key : chain, &pkey, why, why_size);
	if (err == OK)
		err = check_key(pkey, why, why_size);
	if (err == OK)
		err = keep(a, all, pkey, former, ret, why, why_size, note, note_size);
	if (err == ERR_NOMEM)
		snprintf(why, why_size, "out of memory");
	sk_X509_pop_free(all, X509_free);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	return err;
}

bool cert_is_for(const struct store_cert *c, struct str host)
{
	const char *dot = host.len > 0 ? memchr(host.s, '.', host.len) : NULL;
	struct str below = dot ? str_n(dot, host.len - (size_t)(dot - host.s)) : STR_NONE;

	for (uint32_t i = 0; i < c->nnames; i++) {
		struct str name = c->names[i];

		if (str_eq_nocase(name, host))
			return true;
		if (below.s && dot > host.s && str_starts(name, STR("*.")) &&
		    str_eq_nocase(str_n(name.s + 1, name.len - 1), below))
			return true;
	}
	return false;
}
