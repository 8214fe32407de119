/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates: what is taken, what is refused and why; the local authority. */
#include "rows.h"

#include <openssl/ocsp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "tls/authority.h"
#include "tls/cert.h"

#define NOW 1700000000ULL

static struct arena arena;
static struct str ca, ca_key, leaf, leaf_key, other, other_key;
static const struct str names[] = {
	{ "shop.test", 9 }, { "*.shop.test", 11 }, { "127.0.0.1", 9 }, { "::1", 3 }
};
static char why[256], note[256];

static int make_files(void **state)
{
	(void)state;
	if (authority_make(&arena, "lb1", NOW, &ca, &ca_key) != OK ||
	    authority_issue(&arena, ca, ca_key, names, 4, NOW, AUTHORITY_LEAF_LIFE, &leaf,
	                    &leaf_key) != OK ||
	    authority_issue(&arena, STR_NONE, STR_NONE, names, 1, NOW, 86400, &other, &other_key) !=
	        OK)
		return -1;
	return 0;
}

static int free_files(void **state)
{
	(void)state;
	arena_free(&arena);
	return 0;
}

static struct str join(struct str a, struct str b)
{
	return str_from(arena_printf(&arena, "%.*s%.*s", STR_ARG(a), STR_ARG(b)));
}

static int parse(struct str chain, struct str key, struct store_cert *c)
{
	*c = (struct store_cert){ 0 };
	return cert_parse(&arena, chain, key, NULL, c, why, sizeof(why), note, sizeof(note));
}

/* --- what is taken -------------------------------------------------------------------------- */

static void test_pair(void **state)
{
	struct store_cert c;

	(void)state;
	assert_int_equal(parse(leaf, leaf_key, &c), OK);
	assert_string_equal(note, "");
	assert_true(c.ec);
	assert_int_equal(c.nchain, 1);
	assert_int_equal(c.nnames, 4);
	assert_string_equal(c.names[1].s, "*.shop.test");
	assert_string_equal(c.names[3].s, "::1");
	assert_int_equal(c.not_before, NOW - 3600);
	assert_int_equal(c.not_after, NOW + AUTHORITY_LEAF_LIFE);
	assert_string_equal(c.kind.s, "ECDSA P-256");
}

static void test_combined(void **state)
{
	struct store_cert c, d;

	(void)state;
	assert_int_equal(parse(join(leaf, leaf_key), STR_NONE, &c), OK);
	assert_int_equal(parse(join(leaf_key, leaf), STR_NONE, &d), OK);
	assert_true(str_eq(c.key, d.key));
	assert_true(str_eq(c.chain[0], d.chain[0]));
}

static void test_der(void **state)
{
	struct store_cert c, d;

	(void)state;
	assert_int_equal(parse(leaf, leaf_key, &c), OK);
	assert_int_equal(parse(c.chain[0], c.key, &d), OK);
	assert_memory_equal(c.fingerprint, d.fingerprint, 32);
}

static void test_order(void **state)
{
	struct store_cert c;

	(void)state;
	assert_int_equal(parse(join(leaf, ca), leaf_key, &c), OK);
	assert_string_equal(note, "");
	assert_int_equal(c.nchain, 2);
	assert_int_equal(parse(join(ca, leaf), leaf_key, &c), OK);
	assert_non_null(strstr(note, "in another order"));
	assert_int_equal(c.nchain, 2);
	assert_int_equal(c.nnames, 4); /* the leaf's, not the authority's */
	assert_int_equal(parse(join(leaf, join(leaf, other)), leaf_key, &c), OK);
	assert_non_null(strstr(note, "1 of its certificates are left out"));
	assert_int_equal(c.nchain, 1);
}

static void test_is_for(void **state)
{
	struct store_cert c;

	(void)state;
	assert_int_equal(parse(leaf, leaf_key, &c), OK);
	assert_true(cert_is_for(&c, STR("shop.test")));
	assert_true(cert_is_for(&c, STR("A.Shop.Test")));
	assert_false(cert_is_for(&c, STR("a.b.shop.test")));
	assert_false(cert_is_for(&c, STR(".shop.test")));
	assert_false(cert_is_for(&c, STR("test")));
	assert_false(cert_is_for(&c, STR("")));
}

/* --- what is refused ------------------------------------------------------------------------ */

static struct str rsa_key(int bits)
{
	EVP_PKEY *key = EVP_RSA_gen((unsigned)bits);
	BIO *bio = BIO_new(BIO_s_mem());
	struct str s;
	char *p;
	long n;

	PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
	n = BIO_get_mem_data(bio, &p);
	s = arena_str(&arena, str_n(p, (size_t)n));
	BIO_free(bio);
	EVP_PKEY_free(key);
	return s;
}

static struct str encrypted_key(void)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	BIO *bio = BIO_new(BIO_s_mem());
	struct str s;
	char *p;
	long n;

	PEM_write_bio_PKCS8PrivateKey(bio, key, EVP_aes_128_cbc(), "secret", 6, NULL, NULL);
	n = BIO_get_mem_data(bio, &p);
	s = arena_str(&arena, str_n(p, (size_t)n));
	BIO_free(bio);
	EVP_PKEY_free(key);
	return s;
}

static void refused(struct str chain, struct str key, int err, const char *part)
{
	struct store_cert c;

	assert_int_equal(parse(chain, key, &c), err);
	if (!strstr(why, part))
		print_error("missing \"%s\" in \"%s\"\n", part, why);
	assert_non_null(strstr(why, part));
}

static void test_refused(void **state)
{
	struct str many = ca;

	(void)state;
	refused(leaf, other_key, ERR_REFUSED, "does not belong to the certificate");
	refused(STR(""), leaf_key, ERR_SYNTAX, "is empty");
	refused(STR("hello\n"), leaf_key, ERR_SYNTAX, "no certificate in it");
	refused(leaf_key, leaf_key, ERR_SYNTAX, "no certificate in it");
	refused(leaf, STR_NONE, ERR_SYNTAX, "no private key in it");
	refused(leaf, STR("x"), ERR_SYNTAX, "no private key in it");
	refused(str_n(leaf.s, leaf.len / 2), leaf_key, ERR_SYNTAX, "cut short or broken");
	refused(leaf, str_n(leaf_key.s, leaf_key.len / 2), ERR_SYNTAX, "cut short or broken");
	refused(leaf, encrypted_key(), ERR_SYNTAX, "encrypted with a passphrase");
	refused(leaf, rsa_key(1024), ERR_DENIED, "1024 bits is too weak: 2048");
	for (unsigned i = 0; i < 11; i++) {
		struct str c, k;

		assert_int_equal(authority_issue(&arena, STR_NONE, STR_NONE, names, 1, NOW, 86400,
		                                 &c, &k),
		                 OK);
		many = join(many, c);
	}
	refused(many, leaf_key, ERR_TOO_LARGE, "more than 10 certificates");
	refused(str_n(arena_alloc(&arena, STORE_MAX_FILE + 1), STORE_MAX_FILE + 1), leaf_key,
	        ERR_TOO_LARGE, "larger than 1 MiB");
}

/* Cut anywhere, a pair is refused: nothing but the whole of it is served. */
static void test_cut(void **state)
{
	struct str both = join(leaf, leaf_key);
	struct store_cert c;

	(void)state;
	for (size_t n = 0; n + 30 < both.len; n++)
		assert_int_not_equal(parse(str_n(both.s, n), STR_NONE, &c), OK);
}

/* --- the authority -------------------------------------------------------------------------- */

static void test_due(void **state)
{
	struct store_cert c;

	(void)state;
	assert_int_equal(parse(leaf, leaf_key, &c), OK);
	assert_false(authority_is_due(&c, ca, names, 4, NOW));
	assert_false(authority_is_due(&c, ca, names, 4, NOW + 50 * 86400));
	assert_true(authority_is_due(&c, ca, names, 4, NOW + 61 * 86400));
	assert_true(authority_is_due(&c, ca, names, 3, NOW));
	assert_true(authority_is_due(&c, other, names, 4, NOW));
	assert_true(authority_is_due(&c, ca, names, 4, NOW - 86400));
}

static void test_verifies(void **state)
{
	BIO *a = BIO_new_mem_buf(ca.s, (int)ca.len), *b = BIO_new_mem_buf(leaf.s, (int)leaf.len);
	X509 *x = PEM_read_bio_X509(a, NULL, NULL, NULL),
	     *y = PEM_read_bio_X509(b, NULL, NULL, NULL);
	X509_STORE *store = X509_STORE_new();
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();

	(void)state;
	X509_STORE_add_cert(store, x);
	assert_int_equal(X509_STORE_CTX_init(ctx, store, y, NULL), 1);
	X509_VERIFY_PARAM_set_time(X509_STORE_CTX_get0_param(ctx), (time_t)NOW);
	X509_VERIFY_PARAM_set1_host(X509_STORE_CTX_get0_param(ctx), "www.shop.test", 0);
	X509_STORE_CTX_set_purpose(ctx, X509_PURPOSE_SSL_SERVER);
	assert_int_equal(X509_verify_cert(ctx), 1);
	assert_int_equal(X509_check_ip_asc(y, "::1", 0), 1);
	assert_int_equal(X509_check_ca(y), 0);
	X509_STORE_CTX_free(ctx);
	X509_STORE_free(store);
	X509_free(x);
	X509_free(y);
	BIO_free(a);
	BIO_free(b);
}

static void test_broken_authority(void **state)
{
	struct str c, k;

	(void)state;
	assert_int_equal(authority_issue(&arena, ca, other_key, names, 1, NOW, 86400, &c, &k),
	                 ERR_REFUSED);
	assert_int_equal(authority_issue(&arena, str_n(ca.s, 50), ca_key, names, 1, NOW, 86400, &c,
	                                 &k),
	                 ERR_SYNTAX);
}

/* --- OCSP ----------------------------------------------------------------------------------- */

static X509 *x509(struct str pem)
{
	BIO *bio = BIO_new_mem_buf(pem.s, (int)pem.len);
	X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);

	BIO_free(bio);
	return x;
}

static struct str answer(struct str about, struct str key, int status, uint64_t from,
                         uint64_t until)
{
	OCSP_BASICRESP *basic = OCSP_BASICRESP_new();
	X509 *x = x509(about), *issuer = x509(ca);
	X509 *signer = x509(str_eq(key, other_key) ? other : ca);
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), x, issuer);
	ASN1_TIME *this = ASN1_TIME_set(NULL, (time_t)from);
	ASN1_TIME *next = ASN1_TIME_set(NULL, (time_t)until);
	BIO *bio = BIO_new_mem_buf(key.s, (int)key.len);
	EVP_PKEY *pkey = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
	OCSP_RESPONSE *r;
	unsigned char *der = NULL;
	struct str s;
	int len;

	OCSP_basic_add1_status(basic, id, status, 0,
	                       status == V_OCSP_CERTSTATUS_REVOKED ? this : NULL, this, next);
	OCSP_basic_sign(basic, signer, pkey, EVP_sha256(), NULL, 0);
	r = OCSP_response_create(OCSP_RESPONSE_STATUS_SUCCESSFUL, basic);
	len = i2d_OCSP_RESPONSE(r, &der);
	s = arena_str(&arena, str_n((char *)der, (size_t)len));
	OPENSSL_free(der);
	OCSP_RESPONSE_free(r);
	OCSP_BASICRESP_free(basic);
	OCSP_CERTID_free(id);
	ASN1_TIME_free(this);
	ASN1_TIME_free(next);
	EVP_PKEY_free(pkey);
	BIO_free(bio);
	X509_free(x);
	X509_free(issuer);
	X509_free(signer);
	return s;
}

static void test_ocsp(void **state)
{
	struct str good = answer(leaf, ca_key, V_OCSP_CERTSTATUS_GOOD, NOW, NOW + 1000);
	struct store_cert c, alone;
	uint64_t until;

	(void)state;
	assert_int_equal(parse(join(leaf, ca), leaf_key, &c), OK);
	assert_int_equal(parse(leaf, leaf_key, &alone), OK);
	assert_int_equal(cert_ocsp(good, &c, NOW + 5, &until, why, sizeof(why)), OK);
	assert_int_equal(until, NOW + 1000);
	assert_int_equal(cert_ocsp(good, &alone, NOW + 5, &until, why, sizeof(why)), ERR_REFUSED);
	assert_non_null(strstr(why, "is not in its chain"));
	assert_int_equal(cert_ocsp(answer(leaf, other_key, V_OCSP_CERTSTATUS_GOOD, NOW, NOW + 9),
	                           &c, NOW, &until, why, sizeof(why)),
	                 ERR_REFUSED);
	assert_string_equal(why, "the certificate's issuer has not signed it");
	assert_int_equal(cert_ocsp(good, &c, NOW + 1000, &until, why, sizeof(why)), ERR_TIMEOUT);
	assert_string_equal(why, "it is outdated");
	assert_int_equal(cert_ocsp(good, &c, NOW - 1000, &until, why, sizeof(why)), ERR_TIMEOUT);
	assert_int_equal(cert_ocsp(str_n(good.s, good.len - 1), &c, NOW, &until, why, sizeof(why)),
	                 ERR_SYNTAX);
	assert_int_equal(cert_ocsp(STR(""), &c, NOW, &until, why, sizeof(why)), ERR_SYNTAX);
	assert_int_equal(cert_ocsp(answer(other, ca_key, V_OCSP_CERTSTATUS_GOOD, NOW, NOW + 9), &c,
	                           NOW, &until, why, sizeof(why)),
	                 ERR_REFUSED);
	assert_string_equal(why, "it is about another certificate");
	assert_int_equal(cert_ocsp(answer(leaf, ca_key, V_OCSP_CERTSTATUS_REVOKED, NOW, NOW + 9),
	                           &c, NOW, &until, why, sizeof(why)),
	                 ERR_REFUSED);
	assert_non_null(strstr(why, "revoked"));
}

/* --- other files ---------------------------------------------------------------------------- */

static void test_authorities(void **state)
{
	unsigned n;
	uint64_t until;

	(void)state;
	assert_int_equal(cert_authorities(join(ca, other), &n, &until, why, sizeof(why)), OK);
	assert_int_equal(n, 2);
	assert_int_equal(until, NOW + 86400);
	assert_int_equal(cert_authorities(leaf_key, &n, &until, why, sizeof(why)), ERR_SYNTAX);
	assert_int_equal(cert_revocations(ca, &n, &until, why, sizeof(why)), ERR_SYNTAX);
	assert_int_equal(cert_revocations(STR(""), &n, &until, why, sizeof(why)), ERR_SYNTAX);
	assert_non_null(strstr(why, "no list of revoked"));
}

static void test_ticket_keys(void **state)
{
	static uint8_t keys[STORE_TICKET_KEYS][STORE_TICKET_KEY];
	static const uint8_t raw[160] = { [0] = 1, [80] = 2 };
	char line[110];
	uint32_t n;

	(void)state;
	assert_int_equal(cert_ticket_keys(str_n((const char *)raw, 160), keys, &n, why,
	                                  sizeof(why)),
	                 OK);
	assert_int_equal(n, 2);
	assert_int_equal(keys[1][0], 2);
	assert_int_equal(cert_ticket_keys(str_n((const char *)raw, 159), keys, &n, why,
	                                  sizeof(why)),
	                 ERR_SYNTAX);
	EVP_EncodeBlock((unsigned char *)line, raw + 80, 80);
	assert_int_equal(strlen(line), 108);
	assert_int_equal(cert_ticket_keys(str_from(arena_printf(&arena, "# new\r\n%s\r\n\n%s", line,
	                                                        line)),
	                                  keys, &n, why, sizeof(why)),
	                 OK);
	assert_int_equal(n, 2);
	assert_int_equal(keys[0][0], 2);
	line[50] = '\0';
	assert_int_equal(cert_ticket_keys(str_from(line), keys, &n, why, sizeof(why)), ERR_SYNTAX);
	assert_non_null(strstr(why, "line 1 is not a key"));
	assert_int_equal(cert_ticket_keys(STR(""), keys, &n, why, sizeof(why)), ERR_SYNTAX);
	assert_int_equal(cert_ticket_keys(str_n((const char *)raw, 80 * 0 + 81), keys, &n, why,
	                                  sizeof(why)),
	                 ERR_SYNTAX);
}

int main(void)
{
	static struct rows r;

	rows_add(&r, "pair", test_pair, NULL);
	rows_add(&r, "combined", test_combined, NULL);
	rows_add(&r, "der", test_der, NULL);
	rows_add(&r, "order", test_order, NULL);
	rows_add(&r, "is_for", test_is_for, NULL);
	rows_add(&r, "refused", test_refused, NULL);
	rows_add(&r, "cut", test_cut, NULL);
	rows_add(&r, "due", test_due, NULL);
	rows_add(&r, "verifies", test_verifies, NULL);
	rows_add(&r, "broken_authority", test_broken_authority, NULL);
	rows_add(&r, "ocsp", test_ocsp, NULL);
	rows_add(&r, "authorities", test_authorities, NULL);
	rows_add(&r, "ticket_keys", test_ticket_keys, NULL);
	return _cmocka_run_group_tests("cert", r.tests, r.n, make_files, free_files);
}
