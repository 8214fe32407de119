/* SPDX-License-Identifier: Apache-2.0 */
/* What a listener shows: certificates by name and key type, rules for clients' certificates, and
 * that no session crosses from one rule to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/identity.h"
#include "tls_fixture.h"

/* The program's table of roles; the proxy's folder hangs on it. */
const struct role_ops *const role_table[];
const struct role_ops *const role_table[] = { NULL };

enum { EC_A, RSA_A, EC_WILD, EC_B, EXPIRED_B, EC_OTHER, CHALLENGE, CERTS };
static struct made ca, made[CERTS], user, stranger, revoked;
static struct store_cert certs[CERTS];
static struct store store;
static struct tls_server_options options;
static struct tls_server *server;
static struct stream s, c;
static char why[256], crl_pem[4096];
static SSL_CTX *ctx; /* of bare clients */
static SSL_SESSION *last;

static void make_crl(long seconds, char *out, size_t size)
{
	X509_CRL *crl = X509_CRL_new();
	X509_REVOKED *r = X509_REVOKED_new();
	ASN1_TIME *now = X509_gmtime_adj(NULL, -60), *later = X509_gmtime_adj(NULL, seconds);
	BIO *b = BIO_new(BIO_s_mem());
	int n;

	X509_CRL_set_version(crl, 1);
	X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca.x));
	X509_CRL_set1_lastUpdate(crl, now);
	X509_CRL_set1_nextUpdate(crl, later);
	X509_REVOKED_set_serialNumber(r, X509_get_serialNumber(revoked.x));
	X509_REVOKED_set_revocationDate(r, now);
	X509_CRL_add0_revoked(crl, r);
	assert_true(X509_CRL_sign(crl, ca.key, EVP_sha256()) > 0);
	PEM_write_bio_X509_CRL(b, crl);
	n = BIO_read(b, out, (int)size - 1);
	out[n] = '\0';
	BIO_free(b);
	X509_CRL_free(crl);
	ASN1_TIME_free(now);
	ASN1_TIME_free(later);
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	SSL_SESSION_free(last);
	last = session;
	return 1;
}

static int group_setup(void **state)
{
	make(&ca, "ca", NULL, true, NULL);
	make(&made[EC_A], "ec-a", "DNS:a.test", true, &ca);
	make(&made[RSA_A], "rsa-a", "DNS:a.test", false, &ca);
	make(&made[EC_WILD], "ec-wild", "DNS:*.w.test", true, &ca);
	make(&made[EC_B], "ec-b", "DNS:b.test", true, &ca);
	make(&made[EXPIRED_B], "expired-b", "DNS:b.test", true, &ca);
	make(&made[EC_OTHER], "ec-other", "DNS:other.test", true, &ca);
	make(&made[CHALLENGE], "challenge", "DNS:acme.test", true, &ca);
	make(&user, "Jane, \xc3\xa4 \"user\"", "email:jane@a.test,DNS:jane.test", true, &ca);
	make(&revoked, "gone", "DNS:gone.test", true, &ca);
	make(&stranger, "stranger", "DNS:stranger.test", true, NULL);
	make_crl(86400, crl_pem, sizeof(crl_pem));
	certs[0] = stored(&made[EC_A], "a.test", 0, true);
	certs[1] = stored(&made[EXPIRED_B], "b.test", 0, true);
	certs[1].not_after = 1000;
	certs[2] = stored(&made[RSA_A], "a.test", 1, false);
	certs[3] = stored(&made[EC_WILD], "*.w.test", 1, true);
	certs[4] = stored(&made[EC_B], "b.test", 1, true);
	certs[5] = stored(&made[EC_OTHER], "other.test", 0, true);
	certs[5].listener = 7;
	certs[6] = stored(&made[CHALLENGE], "acme.test", 0, true);
	certs[6].use = STORE_ALPN;
	certs[0].ocsp = STR("stapled answer of a");
	certs[3].ocsp = STR("stapled answer of w");
	store = (struct store){ .certs = certs, .ncerts = CERTS };
	ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, on_session);
	return 0;
}

static int group_teardown(void **state)
{
	int i;

	for (i = 0; i < CERTS; i++)
		unmake(&made[i]);
	unmake(&ca);
	unmake(&user);
	unmake(&revoked);
	unmake(&stranger);
	SSL_CTX_free(ctx);
	return 0;
}

static int setup(void **state)
{
	options = (struct tls_server_options){ .store = &store,
		                               .context = STR("web"),
		                               .min_version = TLS1_2_VERSION,
		                               .max_version = TLS1_3_VERSION,
		                               .alpn = "\10http/1.1",
		                               .resumption = true };
	SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION);
	return 0;
}

static void serve(void)
{
	tls_server_free(server);
	server = tls_server_new(&options, why, sizeof(why));
	if (server == NULL)
		fail_msg("%s", why);
}

static int teardown(void **state)
{
	tls_server_free(server);
	server = NULL;
	SSL_SESSION_free(last);
	last = NULL;
	ERR_clear_error();
	return 0;
}

struct ask {
	const char *name;
	const char *sigalgs;
	const struct made *cert;
	SSL_SESSION *session;
	const char *alpn;
	bool status;
};

/* A handshake; the client's end, the server's is in s. Whether the server completed it. */
static bool shake(struct ask a, SSL **ret)
{
	SSL *ssl = SSL_new(ctx);
	int i, r = ERR_AGAIN;
	char byte;

	streams(&s, &c);
	SSL_set_fd(ssl, c.io.fd);
	SSL_set_connect_state(ssl);
	if (a.name)
		SSL_set_tlsext_host_name(ssl, a.name);
	if (a.sigalgs)
		assert_int_equal(SSL_set1_sigalgs_list(ssl, a.sigalgs), 1);
	if (a.cert) {
		SSL_use_certificate(ssl, a.cert->x);
		SSL_use_PrivateKey(ssl, a.cert->key);
	}
	if (a.session)
		SSL_set_session(ssl, a.session);
	if (a.alpn)
		SSL_set_alpn_protos(ssl, (const unsigned char *)a.alpn, (unsigned)strlen(a.alpn));
	if (a.status)
		SSL_set_tlsext_status_type(ssl, TLSEXT_STATUSTYPE_ocsp);
	assert_int_equal(tls_server_accept(server, &s, STR_NONE), OK);
	for (i = 0; i < 10; i++) {
		SSL_do_handshake(ssl);
		wake(&s);
		if (r == ERR_AGAIN)
			r = tls_handshake(&s);
	}
	SSL_read(ssl, &byte, 1); /* its ticket */
	assert_true(r != ERR_AGAIN);
	*ret = ssl;
	return r == OK;
}

static void end(SSL *ssl)
{
	SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(ssl);
	stream_close(&s, false);
	stream_close(&c, false);
	ERR_clear_error();
}

static void shows(struct ask a, int want)
{
	X509 *x;
	SSL *ssl;

	if (!shake(a, &ssl))
		fail_msg("%s: %s", a.name ? a.name : "no name", tls_why(&s));
	x = SSL_get0_peer_certificate(ssl);
	assert_non_null(x);
	if (X509_cmp(x, made[want].x) != 0)
		fail_msg("%s: not certificate %d", a.name ? a.name : "no name", want);
	end(ssl);
}

#define RSA_ONLY "rsa_pss_rsae_sha256:RSA+SHA256"

static void certificates(void)
{
	serve();
	shows((struct ask){ .name = "a.test" }, EC_A);
	shows((struct ask){ .name = "A.Test" }, EC_A);
	shows((struct ask){ .name = "a.test", .sigalgs = RSA_ONLY }, RSA_A);
	shows((struct ask){ .name = "x.w.test" }, EC_WILD);
	shows((struct ask){ .name = "y.w.test" }, EC_WILD);
	/* A wildcard is one label; what is not there gets the first one. */
	shows((struct ask){ .name = "x.y.w.test" }, EC_A);
	shows((struct ask){ .name = "w.test" }, EC_A);
	shows((struct ask){ .name = "nowhere.test" }, EC_A);
	shows((struct ask){ .name = NULL }, EC_A);
	shows((struct ask){ .name = NULL, .sigalgs = RSA_ONLY }, RSA_A);
	/* A valid one rather than an expired one that comes first. */
	shows((struct ask){ .name = "b.test" }, EC_B);
	/* Another listener's, and one that is there for a challenge only. */
	shows((struct ask){ .name = "other.test" }, EC_A);
	shows((struct ask){ .name = "acme.test" }, EC_A);
}

static void test_certificates(void **state)
{
	certificates();
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	certificates();
}

static void test_wildcard_has_no_rsa(void **state)
{
	SSL *ssl;

	serve();
	assert_false(shake((struct ask){ .name = "x.w.test", .sigalgs = RSA_ONLY }, &ssl));
	end(ssl);
}

static void test_strict(void **state)
{
	SSL *ssl;

	options.strict_sni = true;
	serve();
	shows((struct ask){ .name = "a.test" }, EC_A);
	shows((struct ask){ .name = "x.w.test" }, EC_WILD);
	assert_false(shake((struct ask){ .name = "nowhere.test" }, &ssl));
	assert_string_equal(tls_why(&s), "no certificate for the name asked for");
	assert_int_equal(ERR_GET_REASON(ERR_peek_last_error()), SSL_R_TLSV1_UNRECOGNIZED_NAME);
	end(ssl);
	assert_false(shake((struct ask){ .name = NULL }, &ssl));
	assert_string_equal(tls_why(&s), "the client named no host");
	end(ssl);
}

static void test_none(void **state)
{
	static struct store empty;
	SSL *ssl;

	options.store = &empty;
	serve();
	assert_false(shake((struct ask){ .name = "a.test" }, &ssl));
	end(ssl);
}

static void stapled(const char *name, const char *sigalgs, const char *want)
{
	const char *p = NULL;
	long n;
	SSL *ssl;

	assert_true(shake((struct ask){ .name = name, .sigalgs = sigalgs, .status = true }, &ssl));
	n = SSL_get_tlsext_status_ocsp_resp(ssl, &p);
	assert_int_equal(n, want ? (long)strlen(want) : -1);
	if (want)
		assert_memory_equal(p, want, strlen(want));
	end(ssl);
}

static void test_stapling(void **state)
{
	serve();
	stapled("a.test", NULL, "stapled answer of a");
	stapled("a.test", RSA_ONLY, NULL);
	stapled("x.w.test", NULL, "stapled answer of w");
	stapled("b.test", NULL, NULL);
	SSL_CTX_set_max_proto_version(ctx, TLS1_2_VERSION);
	stapled("x.w.test", NULL, "stapled answer of w");
}

static void test_challenge(void **state)
{
	SSL *ssl;

	serve();
	assert_true(shake((struct ask){ .name = "acme.test", .alpn = "\12acme-tls/1" }, &ssl));
	assert_true(tls_is_challenge(&s));
	assert_true(str_eq(tls_alpn(&s), STR("acme-tls/1")));
	assert_int_equal(X509_cmp(SSL_get0_peer_certificate(ssl), made[CHALLENGE].x), 0);
	end(ssl);
	/* For no other name, and not beside other protocols (RFC 8737, 3). */
	assert_false(shake((struct ask){ .name = "a.test", .alpn = "\12acme-tls/1" }, &ssl));
	end(ssl);
	assert_true(
	    shake((struct ask){ .name = "acme.test", .alpn = "\12acme-tls/1\10http/1.1" }, &ssl));
	assert_false(tls_is_challenge(&s));
	assert_true(str_eq(tls_alpn(&s), STR("http/1.1")));
	end(ssl);
	shows((struct ask){ .name = "x.w.test", .alpn = "\10http/1.1" }, EC_WILD);
}

/* --- clients' certificates -------------------------------------------------------------------- */

static void identity(const struct made *cert, const char *has, const char *lacks)
{
	char *text;
	SSL *ssl;

	if (!shake((struct ask){ .name = "a.test", .cert = cert }, &ssl))
		fail_msg("%s", tls_why(&s));
	assert_int_equal(identity_make(tls_ssl(&s), &text), OK);
	if (has == NULL)
		assert_null(text);
	else if (text == NULL || strstr(text, has) == NULL)
		fail_msg("\"%s\" is missing in:\n%s", has, text ? text : "nothing");
	if (lacks != NULL)
		assert_null(strstr(text, lacks));
	free(text);
	end(ssl);
}

static void test_request(void **state)
{
	serve();
	identity(NULL, NULL, NULL);
	options.clients =
	    (struct tls_rule){ TLS_CLIENTS_REQUEST, str_from(ca.cert_pem), str_from(crl_pem) };
	serve();
	identity(NULL, "X-Client-Verify: none\r\n", "Subject");
	identity(
	    &user,
	    "X-Client-Verify: success\r\nX-Client-Subject: CN=Jane\\, \\C3\\A4 \\\"user\\\"\r\n"
	    "X-Client-Issuer: CN=ca\r\nX-Client-Serial: ",
	    NULL);
	identity(&user, "X-Client-San: email:jane@a.test,DNS:jane.test\r\n", NULL);
	identity(&stranger, "X-Client-Verify: failed: self-signed certificate\r\n", "success");
	identity(&revoked, "X-Client-Verify: failed: certificate revoked\r\n", "success");
}

static void test_require(void **state)
{
	SSL *ssl;
	int i;

	for (i = 0; i < 2; i++) {
		SSL_CTX_set_max_proto_version(ctx, i == 0 ? TLS1_3_VERSION : TLS1_2_VERSION);
		options.clients = (struct tls_rule){ TLS_CLIENTS_REQUIRE, str_from(ca.cert_pem),
			                             str_from(crl_pem) };
		serve();
		identity(&user, "X-Client-Verify: success\r\n", NULL);
		assert_false(shake((struct ask){ .name = "a.test" }, &ssl));
		assert_string_equal(tls_why(&s), "peer did not return a certificate");
		end(ssl);
		assert_false(shake((struct ask){ .name = "a.test", .cert = &stranger }, &ssl));
		assert_string_equal(tls_why(&s),
		                    "certificate not accepted: self-signed certificate");
		end(ssl);
		assert_false(shake((struct ask){ .name = "a.test", .cert = &revoked }, &ssl));
		assert_string_equal(tls_why(&s), "certificate not accepted: certificate revoked");
		end(ssl);
	}
}

static void test_bad_files(void **state)
{
	options.clients = (struct tls_rule){ TLS_CLIENTS_REQUIRE, STR("nothing"), STR_NONE };
	assert_null(tls_server_new(&options, why, sizeof(why)));
	assert_non_null(strstr(why, "no certificate in it"));
	options.clients.ca = str_from(ca.cert_pem);
	options.clients.crl = STR("nothing");
	assert_null(tls_server_new(&options, why, sizeof(why)));
	assert_non_null(strstr(why, "no revocation list in it"));
	options.clients = (struct tls_rule){ 0 };
	options.ciphers = "NO-SUCH-CIPHER";
	assert_null(tls_server_new(&options, why, sizeof(why)));
	assert_non_null(strstr(why, "ciphers: "));
}

static bool resumes(const char *name, const struct made *cert, SSL_SESSION *session, bool *whole)
{
	/* One that was refused once would not be offered again. */
	SSL_SESSION *copy = session ? SSL_SESSION_dup(session) : NULL;
	SSL *ssl;
	bool r;

	assert_true(copy == NULL || SSL_SESSION_is_resumable(copy));
	*whole = shake((struct ask){ .name = name, .cert = cert, .session = copy }, &ssl);
	r = *whole && tls_resumed(&s);
	end(ssl);
	SSL_SESSION_free(copy);
	return r;
}

/* A session begun where no certificate is asked for must not open the host that requires one. */
static void crossing(int version)
{
	static const struct tls_host_rule hosts[] = {
		{ { "admin.w.test", 12 }, { .mode = TLS_CLIENTS_REQUIRE } },
		{ { "*.b.test", 8 }, { .mode = TLS_CLIENTS_REQUEST } },
	};
	struct tls_host_rule rules[2] = { hosts[0], hosts[1] };
	SSL_SESSION *open, *closed;
	bool whole;

	SSL_CTX_set_max_proto_version(ctx, version);
	rules[0].clients.ca = rules[1].clients.ca = str_from(ca.cert_pem);
	options.hosts = rules;
	options.nhosts = 2;
	serve();
	assert_false(resumes("x.w.test", NULL, NULL, &whole));
	assert_true(whole);
	open = last;
	last = NULL;
	assert_true(resumes("x.w.test", NULL, open, &whole));
	assert_true(resumes("y.w.test", NULL, open, &whole)); /* the same rule */
	assert_false(resumes("admin.w.test", NULL, open, &whole));
	assert_false(whole);
	assert_false(resumes("admin.w.test", &user, open, &whole));
	assert_true(whole);
	closed = last;
	last = NULL;
	assert_true(resumes("admin.w.test", NULL, closed, &whole));
	assert_false(resumes("x.w.test", NULL, closed, &whole));
	assert_true(whole);
	assert_false(resumes("x.b.test", NULL, closed, &whole));
	assert_true(whole);
	/* Another listener, and the same one with a revocation list. */
	options.context = STR("other");
	serve();
	assert_false(resumes("x.w.test", NULL, open, &whole));
	assert_false(resumes("admin.w.test", &user, closed, &whole));
	options.context = STR("web");
	rules[0].clients.crl = str_from(crl_pem);
	serve();
	assert_true(resumes("x.w.test", NULL, open, &whole));
	assert_false(resumes("admin.w.test", &user, closed, &whole));
	assert_true(whole);
	SSL_SESSION_free(open);
	SSL_SESSION_free(closed);
}

static void test_crossing(void **state)
{
	crossing(TLS1_3_VERSION);
	teardown(NULL);
	setup(NULL);
	crossing(TLS1_2_VERSION);
}

/* The listener lets everybody in who shows something; the host does not. */
static void test_stricter_host(void **state)
{
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };
	struct tls_host_rule strict = { STR("admin.w.test"), { .mode = TLS_CLIENTS_REQUIRE } };
	struct tls_host_rule lax = { STR("x.w.test"), { .mode = TLS_CLIENTS_REQUEST } };
	unsigned i;
	SSL *ssl;

	strict.clients.ca = lax.clients.ca = options.clients.ca = str_from(ca.cert_pem);
	options.nhosts = 1;
	for (i = 0; i < ARRAY_LEN(versions); i++) {
		SSL_CTX_set_max_proto_version(ctx, versions[i]);
		options.clients.mode = TLS_CLIENTS_REQUEST;
		options.hosts = &strict;
		serve();
		assert_true(shake((struct ask){ .name = "x.w.test", .cert = &stranger }, &ssl));
		end(ssl);
		assert_true(shake((struct ask){ .name = "admin.w.test", .cert = &user }, &ssl));
		end(ssl);
		assert_false(
		    shake((struct ask){ .name = "admin.w.test", .cert = &stranger }, &ssl));
		assert_string_equal(tls_why(&s),
		                    "certificate not accepted: self-signed certificate");
		end(ssl);
		/* And the other way round. */
		options.clients.mode = TLS_CLIENTS_REQUIRE;
		options.hosts = &lax;
		serve();
		assert_true(shake((struct ask){ .name = "x.w.test", .cert = &stranger }, &ssl));
		end(ssl);
		assert_false(shake((struct ask){ .name = "a.test", .cert = &stranger }, &ssl));
		end(ssl);
	}
}

static SSL_SESSION *begin(const char *name, const struct made *cert)
{
	SSL_SESSION *session;
	bool whole;

	resumes(name, cert, NULL, &whole);
	assert_true(whole && last != NULL);
	session = last;
	last = NULL;
	return session;
}

/* What was proved by a certificate or a list of revoked ones ends with it. */
static void test_outlived(void **state)
{
	struct tls_host_rule rules[2] = { { STR("admin.w.test"), { .mode = TLS_CLIENTS_REQUIRE } },
		                          { STR("x.w.test"), { .mode = TLS_CLIENTS_REQUIRE } } };
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };
	SSL_SESSION *of_brief[2], *of_user[2], *of_list[2];
	const time_t start = time(NULL);
	char brief_crl[4096];
	struct made brief = { 0 };
	unsigned i;
	bool whole;

	make(&brief, "brief", "DNS:brief.test", true, &ca);
	X509_gmtime_adj(X509_getm_notAfter(brief.x), 5);
	assert_true(X509_sign(brief.x, ca.key, EVP_sha256()) > 0);
	make_crl(5, brief_crl, sizeof(brief_crl));
	rules[0].clients.ca = rules[1].clients.ca = str_from(ca.cert_pem);
	rules[1].clients.crl = str_from(brief_crl);
	rules[0].clients.id = 1;
	rules[1].clients.id = 2;
	options.hosts = rules;
	options.nhosts = 2;
	serve();
	for (i = 0; i < 2; i++) {
		SSL_CTX_set_max_proto_version(ctx, versions[i]);
		of_brief[i] = begin("admin.w.test", &brief);
		of_user[i] = begin("admin.w.test", &user);
		of_list[i] = begin("x.w.test", &user);
	}
	while (time(NULL) < start + 7)
		usleep(100000);
	for (i = 0; i < 2; i++) {
		SSL_CTX_set_max_proto_version(ctx, versions[i]);
		assert_true(resumes("admin.w.test", &user, of_user[i], &whole));
		assert_false(resumes("admin.w.test", &brief, of_brief[i], &whole));
		assert_false(whole);
		assert_false(resumes("x.w.test", &user, of_list[i], &whole));
		assert_false(whole);
		SSL_SESSION_free(of_brief[i]);
		SSL_SESSION_free(of_user[i]);
		SSL_SESSION_free(of_list[i]);
	}
	unmake(&brief);
}

/* A challenge asks nobody for a certificate: no session may come of it. */
static void test_challenge_leaves_no_session(void **state)
{
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };
	const struct ask challenge = { .name = "acme.test", .alpn = "\12acme-tls/1" };
	SSL_SESSION *session;
	unsigned i;
	bool whole;
	SSL *ssl;

	options.clients = (struct tls_rule){ TLS_CLIENTS_REQUIRE, str_from(ca.cert_pem), STR_NONE };
	for (i = 0; i < ARRAY_LEN(versions); i++) {
		SSL_CTX_set_max_proto_version(ctx, versions[i]);
		serve();
		assert_true(shake(challenge, &ssl));
		session = SSL_get1_session(ssl);
		end(ssl);
		if (last != NULL || SSL_SESSION_is_resumable(session)) {
			assert_false(resumes("a.test", NULL, last ? last : session, &whole));
			assert_false(whole);
		}
		SSL_SESSION_free(session);
		SSL_SESSION_free(last);
		last = NULL;
	}
}

static void test_rules_of_hosts(void **state)
{
	static const struct tls_host_rule hosts[] = {
		{ { "admin.w.test", 12 }, { .mode = TLS_CLIENTS_REQUIRE, .id = 1 } },
		{ { "*.w.test", 8 }, { .mode = TLS_CLIENTS_REQUEST, .id = 2 } },
	};
	struct tls_host_rule rules[2] = { hosts[0], hosts[1] };
	uint64_t none;

	rules[0].clients.ca = rules[1].clients.ca = str_from(ca.cert_pem);
	options.hosts = rules;
	options.nhosts = 2;
	serve();
	none = tls_server_rule(server, STR("a.test"));
#define RULE(name) tls_server_rule(server, STR(name))
	assert_true(RULE("") == none && RULE("w.test") == none && RULE("xw.test") == none);
	assert_true(RULE("x.w.test") != none && RULE("X.Y.W.TEST") == RULE("x.w.test"));
	assert_true(RULE("ADMIN.w.test") != RULE("x.w.test"));
	assert_true(RULE("admin.w.test.") == RULE("admin.w.test"));
	assert_true(RULE("x.admin.w.test") == RULE("x.w.test"));
}

static void test_field_names(void **state)
{
	static const char *const ours[] = { "X-Client-Verify",      "x_client_subject",
		                            "X-CLIENT_Issuer",      "X-Client-Serial",
		                            "x-client-fingerprint", "X-Client-San",
		                            "X.Client.San",         "x~CLIENT^serial" };
	static const char *const others[] = { "X-Client-Sand", "X-Client-",     "X-Client",
		                              "X-Clien",       "XX-Client-San", "X-Client-Name",
		                              "X-ClientSan",   "X0Client0San",  "XxClient-San" };
	unsigned i;

	for (i = 0; i < ARRAY_LEN(ours); i++)
		assert_true(identity_is_field(str_from(ours[i])));
	for (i = 0; i < ARRAY_LEN(others); i++)
		assert_false(identity_is_field(str_from(others[i])));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_certificates),   TEST(test_wildcard_has_no_rsa),
		TEST(test_strict),         TEST(test_none),
		TEST(test_stapling),       TEST(test_challenge),
		TEST(test_request),        TEST(test_require),
		TEST(test_bad_files),      TEST(test_crossing),
		TEST(test_rules_of_hosts), TEST(test_field_names),
		TEST(test_stricter_host),  TEST(test_challenge_leaves_no_session),
		TEST(test_outlived),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
