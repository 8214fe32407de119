/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of ACME against the examples of RFC 7515 and RFC 7638, and keys and certificates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "acme/jws.h"
#include "acme/key.h"
#include "base/check.h"
#include "base/err.h"

/* The key of RFC 7515 appendix A.3. */
static const char rfc_key[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n"
                              "H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n"
                              "7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n"
                              "-----END PRIVATE KEY-----\n";

static void base64url_is_that_of_rfc_7515_appendix_c(void **state)
{
	static const uint8_t octets[] = { 3, 236, 255, 224, 193 };
	uint8_t back[8];
	size_t len;
	struct buf b = BUF_INIT;

	acme_b64url(&b, octets, sizeof(octets));
	assert_string_equal(buf_cstr(&b), "A-z_4ME");
	assert_int_equal(acme_b64_decode(STR("A-z_4ME"), back, sizeof(back), &len), OK);
	assert_int_equal(len, sizeof(octets));
	assert_memory_equal(back, octets, len);
	assert_int_equal(acme_b64_decode(STR("A+z/4ME="), back, sizeof(back), &len), OK);
	assert_memory_equal(back, octets, len);
	assert_int_equal(acme_b64_decode(STR("A-z_4"), back, sizeof(back), &len), ERR_INVALID);
	assert_int_equal(acme_b64_decode(STR("A-z!"), back, sizeof(back), &len), ERR_INVALID);
	assert_int_equal(acme_b64_decode(STR("AAAAAAAAAAAAAAAA"), back, sizeof(back), &len),
	                 ERR_TOO_LARGE);
	buf_free(&b);
}

static void thumbprint_is_that_of_rfc_7638(void **state)
{
	char out[ACME_THUMBPRINT];

	acme_digest(STR("{\"e\":\"AQAB\",\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXE"
	                "ps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n"
	                "3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2Q"
	                "vzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrd"
	                "kt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kE"
	                "gU8awapJzKnqDKgw\"}"),
	            out);
	assert_string_equal(out, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

static void key_of_rfc_7515_is_written_as_there(void **state)
{
	EVP_PKEY *key = acme_key_read(str_from(rfc_key));
	char thumbprint[ACME_THUMBPRINT];
	struct buf b = BUF_INIT;

	assert_non_null(key);
	assert_int_equal(acme_jwk(key, &b), OK);
	assert_string_equal(buf_cstr(&b), "{\"crv\":\"P-256\",\"kty\":\"EC\","
	                                  "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
	                                  "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}");
	assert_int_equal(acme_thumbprint(key, thumbprint), OK);
	assert_string_equal(thumbprint, "oKIywvGUpTVTyxMQ3bwIIeQUudfr_CkLMjCE19ECD-U");
	EVP_PKEY_free(key);
	buf_free(&b);
}

/* The value of a member of a flat object of texts. */
static struct str member(struct str json, const char *key)
{
	char name[64];
	const char *at, *end;

	snprintf(name, sizeof(name), "\"%s\":\"", key);
	at = memmem(json.s, json.len, name, strlen(name));
	assert_non_null(at);
	at += strlen(name);
	end = strchr(at, '"');
	assert_non_null(end);
	return str_n(at, (size_t)(end - at));
}

static bool verifies(EVP_PKEY *key, const char *input, struct str signature)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	ECDSA_SIG *sig = ECDSA_SIG_new();
	uint8_t raw[64], *der = NULL;
	size_t len;
	int n;
	bool well;

	assert_int_equal(acme_b64_decode(signature, raw, sizeof(raw), &len), OK);
	assert_int_equal(len, sizeof(raw));
	assert_int_equal(ECDSA_SIG_set0(sig, BN_bin2bn(raw, 32, NULL),
	                                BN_bin2bn(raw + 32, 32, NULL)),
	                 1);
	n = i2d_ECDSA_SIG(sig, &der);
	EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, key);
	well = EVP_DigestVerify(ctx, der, (size_t)n, (const uint8_t *)input, strlen(input)) == 1;
	OPENSSL_free(der);
	ECDSA_SIG_free(sig);
	EVP_MD_CTX_free(ctx);
	return well;
}

/* RFC 7515 A.3.2: so that what `verifies` says of ours means something. */
static void signature_of_rfc_7515_is_taken(void **state)
{
	static const char input[] =
	    "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
	    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
	EVP_PKEY *key = acme_key_read(str_from(rfc_key));

	assert_true(verifies(key, input,
	                     STR("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSAp"
	                         "mWQxfKTUJqPP3-Kg6NU1Q")));
	EVP_PKEY_free(key);
}

static void requests_are_signed(void **state)
{
	EVP_PKEY *key = acme_key_read(str_from(rfc_key));
	struct acme_jws j = { STR("https://ca.test/order"), STR("n-1"), STR("https://ca.test/a/1"),
		              STR("{\"x\":1}") };
	struct buf b = BUF_INIT;
	char input[1024], header[512];
	size_t len;

	for (int i = 0; i < 50; i++) { /* numbers with leading zeros occur */
		buf_free(&b);
		assert_int_equal(acme_jws(key, &j, &b), OK);
		buf_cstr(&b);
		snprintf(input, sizeof(input), "%.*s.%.*s",
		         STR_ARG(member(buf_str(&b), "protected")),
		         STR_ARG(member(buf_str(&b), "payload")));
		assert_true(verifies(key, input, member(buf_str(&b), "signature")));
	}
	assert_true(str_eq(member(buf_str(&b), "payload"), STR("eyJ4IjoxfQ")));
	assert_int_equal(acme_b64_decode(member(buf_str(&b), "protected"), (uint8_t *)header,
	                                 sizeof(header), &len),
	                 OK);
	header[len] = '\0';
	assert_string_equal(header, "{\"alg\":\"ES256\",\"kid\":\"https://ca.test/a/1\","
	                            "\"nonce\":\"n-1\",\"url\":\"https://ca.test/order\"}");
	/* RFC 8555 section 6.3: POST-as-GET has an empty payload. */
	j.payload = j.kid = STR("");
	buf_free(&b);
	assert_int_equal(acme_jws(key, &j, &b), OK);
	buf_cstr(&b);
	assert_int_equal(member(buf_str(&b), "payload").len, 0);
	assert_int_equal(acme_b64_decode(member(buf_str(&b), "protected"), (uint8_t *)header,
	                                 sizeof(header), &len),
	                 OK);
	header[len] = '\0';
	assert_non_null(strstr(header, "\"jwk\":{\"crv\":\"P-256\""));
	assert_null(strstr(header, "kid"));
	buf_free(&b);
	EVP_PKEY_free(key);
}

/* Worked out by another program. */
static void external_accounts_are_bound(void **state)
{
	EVP_PKEY *key = acme_key_read(str_from(rfc_key));
	struct buf b = BUF_INIT;

	assert_int_equal(
	    acme_eab(key, STR("kid-1"),
	             STR("zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"),
	             STR("https://ca.test/acct"), &b),
	    OK);
	assert_string_equal(
	    buf_cstr(&b),
	    "{\"protected\":"
	    "\"eyJhbGciOiJIUzI1NiIsImtpZCI6ImtpZC0xIiwidXJsIjoiaHR0cHM6Ly9jYS50ZXN0L2FjY3QifQ\","
	    "\"payload\":"
	    "\"eyJjcnYiOiJQLTI1NiIsImt0eSI6IkVDIiwieCI6ImY4M09KM0QyeEYxQmc4dnViOXRMZTFnSE16Vjc2ZThU"
	    "d"
	    "XM5dVBIdlJWRVUiLCJ5IjoieF9GRXpSdTltMzZITE5fdHVlNjU5TE5wWFc2cEN5U3Rpa1lqS0lXSTVhMCJ9\","
	    "\"signature\":\"UynpkTKP3QpWRWnNhD1SLuWTiTBuDoGISQayZC1UrRM\"}");
	buf_free(&b);
	assert_int_equal(acme_eab(key, STR("k"), STR("!"), STR("u"), &b), ERR_INVALID);
	assert_int_equal(acme_eab(key, STR("k"), STR(""), STR("u"), &b), ERR_INVALID);
	buf_free(&b);
	EVP_PKEY_free(key);
}

/* --- keys and certificates ------------------------------------------------------------------ */

static void keys_are_of_the_kind_asked_for(void **state)
{
	static const enum conf_acme_key kinds[] = { ACME_KEY_P256, ACME_KEY_P384,
		                                    ACME_KEY_RSA2048 };

	for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
		EVP_PKEY *key = acme_key_new(kinds[i]), *back;
		struct buf b = BUF_INIT;

		for (unsigned k = 0; k < ARRAY_LEN(kinds); k++)
			assert_int_equal(acme_key_is(key, kinds[k]), i == k);
		assert_int_equal(acme_key_write(key, &b), OK);
		back = acme_key_read(buf_str(&b));
		assert_int_equal(EVP_PKEY_eq(key, back), 1);
		if (kinds[i] != ACME_KEY_P256) {
			buf_free(&b);
			assert_int_equal(acme_jwk(key, &b), ERR_INVALID);
		}
		buf_free(&b);
		EVP_PKEY_free(key);
		EVP_PKEY_free(back);
	}
	assert_null(acme_key_read(STR("no key")));
	assert_null(acme_key_read(STR("")));
}

static const struct str two[] = { { "shop.test", 9 }, { "*.shop.test", 11 } };
static const struct str other[] = { { "shop.test", 9 }, { "x.test", 6 } };

static void requests_name_the_hosts(void **state)
{
	EVP_PKEY *key = acme_key_new(ACME_KEY_P256);
	struct buf b = BUF_INIT;
	const uint8_t *p;
	X509_REQ *req;
	STACK_OF(X509_EXTENSION) * e;
	GENERAL_NAMES *names;

	assert_int_equal(acme_csr(key, &(struct conf_list){ two, 2 }, &b), OK);
	p = (const uint8_t *)b.p;
	req = d2i_X509_REQ(NULL, &p, (long)b.len);
	assert_non_null(req);
	assert_int_equal(X509_REQ_verify(req, key), 1);
	e = X509_REQ_get_extensions(req);
	names = X509V3_get_d2i(e, NID_subject_alt_name, NULL, NULL);
	assert_int_equal(sk_GENERAL_NAME_num(names), 2);
	GENERAL_NAMES_free(names);
	sk_X509_EXTENSION_pop_free(e, X509_EXTENSION_free);
	X509_REQ_free(req);
	buf_free(&b);
	EVP_PKEY_free(key);
}

/* RFC 8737 section 3: the name alone, and the digest in a critical extension. */
static void challenge_certificate_is_that_of_rfc_8737(void **state)
{
	struct buf b = BUF_INIT;
	uint8_t hash[32];
	X509 *cert;
	X509_EXTENSION *e;
	EVP_PKEY *key;
	ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
	const ASN1_OCTET_STRING *value;
	BIO *bio;
	int at;

	assert_int_equal(acme_alpn_cert(STR("shop.test"), STR("token.thumb"), &b), OK);
	bio = BIO_new_mem_buf(b.p, (int)b.len);
	cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
	key = acme_key_read(buf_str(&b));
	assert_non_null(cert);
	assert_int_equal(X509_check_private_key(cert, key), 1);
	assert_int_equal(X509_check_host(cert, "shop.test", 9, 0, NULL), 1);
	at = X509_get_ext_by_OBJ(cert, oid, -1);
	assert_true(at >= 0);
	e = X509_get_ext(cert, at);
	assert_int_equal(X509_EXTENSION_get_critical(e), 1);
	value = X509_EXTENSION_get_data(e);
	EVP_Digest("token.thumb", 11, hash, NULL, EVP_sha256(), NULL);
	assert_int_equal(ASN1_STRING_length(value), 34);
	assert_int_equal(ASN1_STRING_get0_data(value)[0], 4);
	assert_memory_equal(ASN1_STRING_get0_data(value) + 2, hash, 32);
	ASN1_OBJECT_free(oid);
	X509_free(cert);
	EVP_PKEY_free(key);
	BIO_free(bio);
	buf_free(&b);
}

static void certificates_are_looked_at_before_they_are_taken(void **state)
{
	struct buf b = BUF_INIT;
	struct acme_leaf leaf;
	EVP_PKEY *key, *stranger = acme_key_new(ACME_KEY_P256);
	char why[300] = "";

	assert_int_equal(acme_alpn_cert(STR("shop.test"), STR("x"), &b), OK);
	key = acme_key_read(buf_str(&b));
	assert_int_equal(acme_leaf_check(buf_str(&b), key, &(struct conf_list){ two, 1 }, &leaf,
	                                 why, sizeof(why)),
	                 OK);
	assert_true(leaf.not_after > leaf.not_before && leaf.serial[0]);
	assert_int_equal(acme_leaf_check(buf_str(&b), key, &(struct conf_list){ other, 2 }, &leaf,
	                                 why, sizeof(why)),
	                 ERR_INVALID);
	assert_string_equal(why, "it is not for \"x.test\"");
	assert_int_equal(acme_leaf_check(buf_str(&b), stranger, &(struct conf_list){ two, 1 },
	                                 &leaf, why, sizeof(why)),
	                 ERR_INVALID);
	assert_string_equal(why, "the certificate and the key do not fit");
	assert_int_equal(acme_leaf_check(STR("-----BEGIN CERTIFICATE-----\nAA==\n"), key,
	                                 &(struct conf_list){ two, 1 }, &leaf, why, sizeof(why)),
	                 ERR_INVALID);
	EVP_PKEY_free(key);
	EVP_PKEY_free(stranger);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64url_is_that_of_rfc_7515_appendix_c),
		cmocka_unit_test(thumbprint_is_that_of_rfc_7638),
		cmocka_unit_test(key_of_rfc_7515_is_written_as_there),
		cmocka_unit_test(signature_of_rfc_7515_is_taken),
		cmocka_unit_test(requests_are_signed),
		cmocka_unit_test(external_accounts_are_bound),
		cmocka_unit_test(keys_are_of_the_kind_asked_for),
		cmocka_unit_test(requests_name_the_hosts),
		cmocka_unit_test(challenge_certificate_is_that_of_rfc_8737),
		cmocka_unit_test(certificates_are_looked_at_before_they_are_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
