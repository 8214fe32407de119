/* SPDX-License-Identifier: Apache-2.0 */
/* Keys and certificates; see key.h. Role acme, any thread. */
#include "acme/key.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "base/err.h"

/* --- keys ----------------------------------------------------------------------------------- */

EVP_PKEY *acme_key_new(enum conf_acme_key kind)
{
	switch (kind) {
	case ACME_KEY_P384:
		return EVP_EC_gen("P-384");
	case ACME_KEY_RSA2048:
		return EVP_RSA_gen(2048);
	case ACME_KEY_RSA4096:
		return EVP_RSA_gen(4096);
	case ACME_KEY_P256:
	default:
		return EVP_EC_gen("P-256");
	}
}

bool acme_key_is(EVP_PKEY *key, enum conf_acme_key kind)
{
	bool rsa = EVP_PKEY_is_a(key, "RSA") == 1;
	int bits = EVP_PKEY_get_bits(key);

	switch (kind) {
	case ACME_KEY_P384:
		return !rsa && bits == 384;
	case ACME_KEY_RSA2048:
		return rsa && bits == 2048;
	case ACME_KEY_RSA4096:
		return rsa && bits == 4096;
	case ACME_KEY_P256:
	default:
		return !rsa && bits == 256;
	}
}

/* Hands what a memory BIO holds over to a buffer. */
static int drain_bio(BIO *bio, bool well, struct buf *out)
{
	char *data = NULL;
	long len = bio ? BIO_get_mem_data(bio, &data) : 0;

	if (well && len > 0)
		buf_add(out, data, (size_t)len);
	BIO_free(bio);
	ERR_clear_error();
	return well && len > 0 && !out->failed ? OK : ERR_INVALID;
}

int acme_key_write(EVP_PKEY *key, struct buf *out)
{
	BIO *bio = BIO_new(BIO_s_mem());
	bool well = bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;

	return drain_bio(bio, well, out);
}

static int no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

EVP_PKEY *acme_key_read(struct str pem)
{
	BIO *bio = pem.len <= INT_MAX ? BIO_new_mem_buf(pem.s, (int)pem.len) : NULL;
	EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;

	BIO_free(bio);
	ERR_clear_error();
	return key;
}

/* --- what is asked for ---------------------------------------------------------------------- */

static GENERAL_NAMES *names_of(const struct conf_list *hosts)
{
	GENERAL_NAMES *names = sk_GENERAL_NAME_new_null();

	for (uint32_t i = 0; names && i < hosts->n; i++) {
		GENERAL_NAME *n = GENERAL_NAME_new();
		ASN1_IA5STRING *text = ASN1_IA5STRING_new();

		if (!n || !text ||
		    ASN1_STRING_set(text, hosts->v[i].s, (int)hosts->v[i].len) != 1 ||
		    sk_GENERAL_NAME_push(names, n) == 0) {
			GENERAL_NAME_free(n);
			ASN1_IA5STRING_free(text);
			GENERAL_NAMES_free(names);
			return NULL;
		}
		GENERAL_NAME_set0_value(n, GEN_DNS, text);
	}
	return names;
}

int acme_csr(EVP_PKEY *key, const struct conf_list *hosts, struct buf *out)
{
	X509_REQ *req = X509_REQ_new();
	STACK_OF(X509_EXTENSION) *extensions = NULL;
	GENERAL_NAMES *names = names_of(hosts);
	uint8_t *der = NULL;
	int len = -1;

	/* No common name: the names stand in the extension, and a long one would not fit there. */
	if (req && names &&
	    X509V3_add1_i2d(&extensions, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1 &&
	    X509_REQ_set_version(req, X509_REQ_VERSION_1) == 1 &&
	    X509_REQ_set_pubkey(req, key) == 1 && X509_REQ_add_extensions(req, extensions) == 1 &&
	    X509_REQ_sign(req, key, EVP_sha256()) > 0)
		len = i2d_X509_REQ(req, &der);
	if (len > 0)
		buf_add(out, der, (size_t)len);
	OPENSSL_free(der);
	GENERAL_NAMES_free(names);
	sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
	X509_REQ_free(req);
	ERR_clear_error();
	return len > 0 && !out->failed ? OK : ERR_INVALID;
}

/* --- tls-alpn-01 ---------------------------------------------------------------------------- */

/* id-pe-acmeIdentifier, critical: the SHA-256 of the answer as an OCTET STRING (RFC 8737 3). */
static bool add_identifier(X509 *cert, struct str answer)
{
	uint8_t value[34] = { 0x04, 32 };
	ASN1_OCTET_STRING *data = ASN1_OCTET_STRING_new();
	ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
	X509_EXTENSION *e = NULL;
	bool done = data && oid &&
	            EVP_Digest(answer.s, answer.len, value + 2, NULL, EVP_sha256(), NULL) == 1 &&
	            ASN1_OCTET_STRING_set(data, value, sizeof(value)) == 1;

	if (done)
		e = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, data);
	done = e && X509_add_ext(cert, e, -1) == 1;
	X509_EXTENSION_free(e);
	ASN1_OCTET_STRING_free(data);
	ASN1_OBJECT_free(oid);
	return done;
}

static bool fill_alpn(X509 *cert, EVP_PKEY *key, struct str host, struct str answer)
{
	struct conf_list list = { &host, 1 };
	GENERAL_NAMES *names = names_of(&list);
	X509_NAME *subject = X509_NAME_new();
	bool done =
	    names && subject &&
	    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
	                               (const uint8_t *)"ACME challenge", -1, -1, 0) == 1 &&
	    X509_set_version(cert, X509_VERSION_3) == 1 &&
	    ASN1_INTEGER_set(X509_get_serialNumber(cert), (long)time(NULL)) == 1 &&
	    X509_set_subject_name(cert, subject) == 1 && X509_set_issuer_name(cert, subject) == 1 &&
	    X509_gmtime_adj(X509_getm_notBefore(cert), -3600L) != NULL &&
	    X509_gmtime_adj(X509_getm_notAfter(cert), 7L * 86400) != NULL &&
	    X509_set_pubkey(cert, key) == 1 &&
	    X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 0, X509V3_ADD_DEFAULT) == 1 &&
	    add_identifier(cert, answer) && X509_sign(cert, key, EVP_sha256()) > 0;

	X509_NAME_free(subject);
	GENERAL_NAMES_free(names);
	return done;
}

int acme_alpn_cert(struct str host, struct str answer, struct buf *out)
{
	EVP_PKEY *key = acme_key_new(ACME_KEY_P256);
	X509 *cert = X509_new();
	BIO *bio = BIO_new(BIO_s_mem());
	bool done = key && cert && bio && fill_alpn(cert, key, host, answer) &&
	            PEM_write_bio_X509(bio, cert) == 1 &&
	            PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1;

	EVP_PKEY_free(key);
	X509_free(cert);
	return drain_bio(bio, done, out);
}

/* --- what came ------------------------------------------------------------------------------ */

static uint64_t unix_time(const ASN1_TIME *t)
{
	struct tm tm = { 0 };
	time_t s = ASN1_TIME_to_tm(t, &tm) == 1 ? timegm(&tm) : 0;

	return s > 0 ? (uint64_t)s : 0;
}

static bool has_name(const GENERAL_NAMES *names, struct str host)
{
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);

		if (n->type == GEN_DNS &&
		    str_eq_nocase(host, str_n((const char *)ASN1_STRING_get0_data(n->d.dNSName),
		                              (size_t)ASN1_STRING_length(n->d.dNSName))))
			return true;
	}
	return false;
}

static bool names_fit(X509 *leaf, const struct conf_list *hosts, char *why, size_t why_size)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
	uint32_t missing = 0;

	while (names && missing < hosts->n && has_name(names, hosts->v[missing]))
		missing++;
	if (missing < hosts->n)
		snprintf(why, why_size, "it is not for \"%.*s\"", STR_ARG(hosts->v[missing]));
	else if (names && sk_GENERAL_NAME_num(names) > (int)hosts->n) {
		snprintf(why, why_size, "it is for other hosts as well");
		missing = hosts->n + 1;
	}
	GENERAL_NAMES_free(names);
	return missing == hosts->n;
}

static void serial_of(const X509 *leaf, char *out, size_t size)
{
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(leaf), NULL);
	char *hex = n ? BN_bn2hex(n) : NULL;

	snprintf(out, size, "%s", hex ? hex : "");
	OPENSSL_free(hex);
	BN_free(n);
}

int acme_leaf_check(struct str chain, EVP_PKEY *key, const struct conf_list *hosts,
                    struct acme_leaf *ret, char *why, size_t why_size)
{
	BIO *bio = chain.len <= INT_MAX ? BIO_new_mem_buf(chain.s, (int)chain.len) : NULL;
	X509 *leaf = bio ? PEM_read_bio_X509(bio, NULL, no_passphrase, NULL) : NULL;
	bool well = false;

	BIO_free(bio);
	*ret = (struct acme_leaf){ 0 };
	if (!leaf) {
		snprintf(why, why_size, "there is no certificate in it");
	} else if (X509_check_private_key(leaf, key) != 1) {
		snprintf(why, why_size, "the certificate and the key do not fit");
	} else if (names_fit(leaf, hosts, why, why_size)) {
		ret->not_before = unix_time(X509_get0_notBefore(leaf));
		ret->not_after = unix_time(X509_get0_notAfter(leaf));
		serial_of(leaf, ret->serial, sizeof(ret->serial));
		well = ret->not_after > ret->not_before;
		if (!well)
			snprintf(why, why_size, "its dates make no sense");
	}
	X509_free(leaf);
	ERR_clear_error();
	return well ? OK : ERR_INVALID;
}
