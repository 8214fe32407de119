/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made on the spot, a store of them, and both ends of a connection in one thread. */
#ifndef TLS_FIXTURE_H
#define TLS_FIXTURE_H

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "tls/server.h"

struct made { /* a certificate with its key */
	X509 *x;
	EVP_PKEY *key;
	char cert_pem[4096], key_pem[4096];
	unsigned char *der, *key_der;
	struct str chain;
	struct str names[2];
};

static inline struct str pem_of(X509 *x, EVP_PKEY *key, char *out, size_t size)
{
	BIO *b = BIO_new(BIO_s_mem());
	int n;

	assert_int_equal(x ? PEM_write_bio_X509(b, x)
	                   : PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL),
	                 1);
	n = BIO_read(b, out, (int)size - 1);
	assert_true(n > 0);
	out[n] = '\0';
	BIO_free(b);
	return str_n(out, (size_t)n);
}

static inline void add_ext(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, NULL, nid, value);

	assert_non_null(e);
	X509_add_ext(x, e, -1);
	X509_EXTENSION_free(e);
}

/* san as in a configuration of OpenSSL, "DNS:a.test"; NULL: an authority. */
static inline void make(struct made *m, const char *cn, const char *san, bool ec,
                        const struct made *ca)
{
	static long serial = 1;
	X509_NAME *name;

	m->key = ec ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
	m->x = X509_new();
	assert_true(m->key != NULL && m->x != NULL);
	X509_set_version(m->x, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(m->x), serial++);
	X509_gmtime_adj(X509_getm_notBefore(m->x), -3600);
	X509_gmtime_adj(X509_getm_notAfter(m->x), 86400);
	X509_set_pubkey(m->x, m->key);
	name = X509_get_subject_name(m->x);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(m->x, ca ? X509_get_subject_name(ca->x) : name);
	if (san != NULL)
		add_ext(m->x, NID_subject_alt_name, san);
	else
		add_ext(m->x, NID_basic_constraints, "critical,CA:TRUE");
	assert_true(X509_sign(m->x, ca ? ca->key : m->key, EVP_sha256()) > 0);
	pem_of(m->x, NULL, m->cert_pem, sizeof(m->cert_pem));
	pem_of(NULL, m->key, m->key_pem, sizeof(m->key_pem));
	m->chain.len = (size_t)i2d_X509(m->x, &m->der);
	m->chain.s = (char *)m->der;
}

static inline void unmake(struct made *m)
{
	X509_free(m->x);
	EVP_PKEY_free(m->key);
	OPENSSL_free(m->der);
	OPENSSL_free(m->key_der);
	memset(m, 0, sizeof(*m));
}

static inline struct store_cert stored(struct made *m, const char *name, uint32_t source, bool ec)
{
	int n;

	OPENSSL_free(m->key_der);
	m->key_der = NULL;
	n = i2d_PrivateKey(m->key, &m->key_der);
	m->names[0] = str_from(name);
	return (struct store_cert){ .listener = 0,
		                    .source = source,
		                    .ec = ec,
		                    .origin = STR("made"),
		                    .names = m->names,
		                    .nnames = 1,
		                    .chain = &m->chain,
		                    .nchain = 1,
		                    .key = { (char *)m->key_der, (size_t)n },
		                    .not_after = UINT64_MAX };
}

static inline void no_event(struct loop_io *io, uint32_t events)
{
}

/* A pair of connected sockets as streams. */
static inline void streams(struct stream *a, struct stream *b)
{
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds),
	                 0);
	stream_init(a, fds[0], no_event);
	stream_init(b, fds[1], no_event);
}

/* What epoll would report at most. */
static inline void wake(struct stream *s)
{
	stream_events(s, LOOP_IN | LOOP_OUT);
	stream_flush(s);
}

#endif
