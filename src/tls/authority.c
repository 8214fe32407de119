/* SPDX-License-Identifier: Apache-2.0 */
/* The local authority; see authority.h. The helper that makes the store. */
#include "tls/authority.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "tls/cert_impl.h"

#define BEFORE 3600 /* s that a certificate counts before it was made: clocks differ */

/* --- pieces --------------------------------------------------------------------------------- */

static bool add(X509 *x, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509_EXTENSION *e;
	bool well;

	X509V3_set_ctx_nodb(&ctx);
	X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
	e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	well = e && X509_add_ext(x, e, -1) == 1;
	X509_EXTENSION_free(e);
	return well;
}

/* RFC 5280 4.1.2.2: positive, at most 20 octets, never used twice. */
static bool set_serial(X509 *x)
{
	unsigned char bytes[16];
	BIGNUM *n;
	bool well;

	if (RAND_bytes(bytes, sizeof(bytes)) != 1)
		return false;
	bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40);
	n = BN_bin2bn(bytes, sizeof(bytes), NULL);
	well = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x)) != NULL;
	BN_free(n);
	return well;
}

static bool set_subject(X509 *x, const char *name)
{
	return X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
	                                  (const unsigned char *)name, -1, -1, 0) == 1;
}

static X509 *begin(EVP_PKEY *key, const char *name, uint64_t now, uint64_t life)
{
	X509 *x = X509_new();

	if (x && X509_set_version(x, X509_VERSION_3) == 1 && set_serial(x) &&
	    set_subject(x, name) && X509_set_pubkey(x, key) == 1 &&
	    ASN1_TIME_set(X509_getm_notBefore(x), (time_t)(now - BEFORE)) &&
	    ASN1_TIME_set(X509_getm_notAfter(x), (time_t)(now + life)))
		return x;
	X509_free(x);
	return NULL;
}

static struct str take_bio(struct arena *a, BIO *bio)
{
	struct str s = STR_NONE;
	char *p;
	long n = bio ? BIO_get_mem_data(bio, &p) : 0;

	if (n > 0)
		s = arena_str(a, str_n(p, (size_t)n));
	BIO_free(bio);
	return s;
}

static int to_pem(struct arena *a, X509 *x, EVP_PKEY *key, struct str *ret_cert,
                  struct str *ret_key)
{
	BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
	bool well = c && k && PEM_write_bio_X509(c, x) == 1 &&
	            PEM_write_bio_PKCS8PrivateKey(k, key, NULL, NULL, 0, NULL, NULL) == 1;

	*ret_cert = take_bio(a, c);
	*ret_key = take_bio(a, k);
	return well && ret_cert->s && ret_key->s ? OK : ERR_NOMEM;
}

/* --- the authority -------------------------------------------------------------------------- */

int authority_make(struct arena *a, const char *name, uint64_t now, struct str *ret_cert,
                   struct str *ret_key)
{
	char subject[64 + 40];
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *x = NULL;
	int err = ERR_NOMEM;

	/* RFC 5280 appendix A: a common name has at most 64 characters */
	snprintf(subject, sizeof(subject), "Holdfast internal authority %.30s", name);
	if (key)
		x = begin(key, subject, now, AUTHORITY_CA_LIFE);
	if (x && X509_set_issuer_name(x, X509_get_subject_name(x)) == 1 &&
	    add(x, x, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
	    add(x, x, NID_key_usage, "critical,keyCertSign,cRLSign") &&
	    add(x, x, NID_subject_key_identifier, "hash") && X509_sign(x, key, EVP_sha256()) > 0)
		err = to_pem(a, x, key, ret_cert, ret_key);
	X509_free(x);
	EVP_PKEY_free(key);
	ERR_clear_error();
	return err;
}

static int read_authority(struct str cert, struct str key, X509 **ret_cert, EVP_PKEY **ret_key)
{
	BIO *c = BIO_new_mem_buf(cert.s, (int)cert.len), *k = BIO_new_mem_buf(key.s, (int)key.len);

	*ret_cert = c ? PEM_read_bio_X509(c, NULL, NULL, NULL) : NULL;
	*ret_key = k ? PEM_read_bio_PrivateKey(k, NULL, NULL, (void *)(uintptr_t) "") : NULL;
	BIO_free(c);
	BIO_free(k);
	if (!*ret_cert || !*ret_key)
		return ERR_SYNTAX;
	return X509_check_private_key(*ret_cert, *ret_key) == 1 ? OK : ERR_REFUSED;
}

/* --- leaves --------------------------------------------------------------------------------- */

static bool is_ip(struct str name)
{
	unsigned char ip[16];
	char text[64];

	if (name.len == 0 || name.len >= sizeof(text))
		return false;
	memcpy(text, name.s, name.len);
	text[name.len] = '\0';
	return inet_pton(AF_INET, text, ip) == 1 || inet_pton(AF_INET6, text, ip) == 1;
}

static bool add_name(GENERAL_NAMES *all, struct str name)
{
	GENERAL_NAME *g = GENERAL_NAME_new();
	ASN1_STRING *s;
	char text[64];

	if (!g)
		return false;
	if (is_ip(name)) {
		memcpy(text, name.s, name.len);
		text[name.len] = '\0';
		s = (ASN1_STRING *)a2i_IPADDRESS(text);
		GENERAL_NAME_set0_value(g, GEN_IPADD, s);
	} else {
		s = (ASN1_STRING *)ASN1_IA5STRING_new();
		if (s)
			ASN1_STRING_set(s, name.s, (int)name.len);
		GENERAL_NAME_set0_value(g, GEN_DNS, s);
	}
	if (s && sk_GENERAL_NAME_push(all, g) > 0)
		return true;
	GENERAL_NAME_free(g);
	return false;
}

static bool add_names(X509 *x, const struct str *names, uint32_t n)
{
	GENERAL_NAMES *all = sk_GENERAL_NAME_new_null();
	bool well = all != NULL;

	for (uint32_t i = 0; well && i < n && i < AUTHORITY_MAX_NAMES; i++)
		well = add_name(all, names[i]);
	well = well && (n == 0 || X509_add1_ext_i2d(x, NID_subject_alt_name, all, 0, 0) == 1);
	GENERAL_NAMES_free(all);
	return well;
}

static bool complete(X509 *x, X509 *issuer, EVP_PKEY *signer, const struct str *names, uint32_t n)
{
	return X509_set_issuer_name(x, X509_get_subject_name(issuer)) == 1 &&
	       add(x, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
	       add(x, issuer, NID_key_usage, "critical,digitalSignature") &&
	       add(x, issuer, NID_ext_key_usage, "serverAuth") &&
	       add(x, issuer, NID_subject_key_identifier, "hash") &&
	       (x == issuer || add(x, issuer, NID_authority_key_identifier, "keyid")) &&
	       add_names(x, names, n) && X509_sign(x, signer, EVP_sha256()) > 0;
}

int authority_issue(struct arena *a, struct str ca_cert, struct str ca_key, const struct str *names,
                    uint32_t n, uint64_t now, uint64_t life, struct str *ret_cert,
                    struct str *ret_key)
{
	EVP_PKEY *key = EVP_EC_gen("P-256"), *signer = NULL;
	X509 *ca = NULL, *x = NULL;
	char subject[64];
	int err = OK;

	ERR_clear_error();
	snprintf(subject, sizeof(subject), "%.*s", n > 0 ? (int)MIN(names[0].len, 60) : 8,
	         n > 0 ? names[0].s : "holdfast");
	if (ca_cert.s)
		err = read_authority(ca_cert, ca_key, &ca, &signer);
	if (err == OK) {
		err = ERR_NOMEM;
		x = key ? begin(key, subject, now, life) : NULL;
		if (x && complete(x, ca ? ca : x, signer ? signer : key, names, n))
			err = to_pem(a, x, key, ret_cert, ret_key);
	}
	X509_free(x);
	X509_free(ca);
	EVP_PKEY_free(key);
	EVP_PKEY_free(signer);
	ERR_clear_error();
	return err;
}

static bool same_names(const struct store_cert *leaf, const struct str *names, uint32_t n)
{
	n = MIN(n, AUTHORITY_MAX_NAMES);
	if (leaf->nnames != n)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (!str_eq_nocase(leaf->names[i], names[i]))
			return false;
	}
	return true;
}

static bool signed_by(const struct store_cert *leaf, struct str ca_cert)
{
	const unsigned char *at = (const unsigned char *)leaf->chain[0].s;
	X509 *x = d2i_X509(NULL, &at, (long)leaf->chain[0].len);
	BIO *bio = BIO_new_mem_buf(ca_cert.s, (int)ca_cert.len);
	X509 *ca = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	bool well = x && ca && X509_verify(x, X509_get0_pubkey(ca)) == 1;

	BIO_free(bio);
	X509_free(ca);
	X509_free(x);
	ERR_clear_error();
	return well;
}

bool authority_is_due(const struct store_cert *leaf, struct str ca_cert, const struct str *names,
                      uint32_t n, uint64_t now)
{
	uint64_t life = leaf->not_after - leaf->not_before;

	return leaf->nchain == 0 || !same_names(leaf, names, n) || now < leaf->not_before ||
	       now >= leaf->not_before + life / 3 * 2 || (ca_cert.s && !signed_by(leaf, ca_cert));
}
