/* SPDX-License-Identifier: Apache-2.0 */
/* A client's certificate as header fields; see identity.h. */
#include "proxy/identity.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"

#define MAX_VALUE 2048 /* bytes of one field's value; the rest is cut */

/* The certificate's maker chose these bytes: what may not stand in a field is escaped. */
static void value(struct buf *b, const char *s, size_t len)
{
	size_t i, start = b->len;

	for (i = 0; i < len && b->len - start < MAX_VALUE; i++) {
		const unsigned char c = (unsigned char)s[i];

		if (c < 0x20 || c >= 0x7f)
			buf_printf(b, "\\%02X", c);
		else
			buf_addc(b, (char)c);
	}
}

static void name_field(struct buf *b, const char *field, const X509_NAME *name)
{
	BIO *m = BIO_new(BIO_s_mem());
	char *p = NULL;
	long len;

	/* RFC 2253, one line, bytes above 0x7f escaped. */
	if (m != NULL && X509_NAME_print_ex(m, name, 0, XN_FLAG_RFC2253) >= 0 &&
	    (len = BIO_get_mem_data(m, &p)) > 0) {
		buf_adds(b, field);
		value(b, p, (size_t)len);
		buf_adds(b, "\r\n");
	}
	BIO_free(m);
}

static void serial_field(struct buf *b, const X509 *x)
{
	BIGNUM *n = ASN1_INTEGER_to_BN(X509_get0_serialNumber(x), NULL);
	char *hex = n ? BN_bn2hex(n) : NULL;

	if (hex != NULL) {
		buf_adds(b, "X-Client-Serial: ");
		value(b, hex, strlen(hex));
		buf_adds(b, "\r\n");
	}
	OPENSSL_free(hex);
	BN_free(n);
}

static void fingerprint_field(struct buf *b, const X509 *x)
{
	unsigned char md[EVP_MAX_MD_SIZE];
	unsigned i, len = 0;

	if (X509_digest(x, EVP_sha256(), md, &len) != 1)
		return;
	buf_adds(b, "X-Client-Fingerprint: ");
	for (i = 0; i < len; i++)
		buf_printf(b, "%02x", md[i]);
	buf_adds(b, "\r\n");
}

static void address(struct buf *b, const ASN1_OCTET_STRING *ip)
{
	char text[INET6_ADDRSTRLEN];
	const int len = ASN1_STRING_length(ip);

	if ((len == 4 || len == 16) &&
	    inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(ip), text, sizeof(text)))
		buf_printf(b, "IP:%s", text);
}

/* A name that a comma could be taken for two: escaped as the rest is. */
static void san_text(struct buf *b, const char *kind, const ASN1_STRING *s)
{
	const char *p = (const char *)ASN1_STRING_get0_data(s);
	int i;

	buf_adds(b, kind);
	for (i = 0; i < ASN1_STRING_length(s); i++) {
		if (p[i] == ',' || p[i] == '\\')
			buf_printf(b, "\\%02X", (unsigned char)p[i]);
		else
			value(b, p + i, 1);
	}
}

static void san_field(struct buf *b, const X509 *x)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	struct buf out = { .max = MAX_VALUE };
	int i;

	for (i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *n = sk_GENERAL_NAME_value(names, i);
		const size_t before = out.len;

		if (out.len > 0)
			buf_addc(&out, ',');
		if (n->type == GEN_DNS)
			san_text(&out, "DNS:", n->d.dNSName);
		else if (n->type == GEN_EMAIL)
			san_text(&out, "email:", n->d.rfc822Name);
		else if (n->type == GEN_URI)
			san_text(&out, "URI:", n->d.uniformResourceIdentifier);
		else if (n->type == GEN_IPADD)
			address(&out, n->d.iPAddress);
		else
			out.len = before;
	}
	GENERAL_NAMES_free(names);
	/* A list that was cut could end in a name that is not there: then none is told. */
	if (out.len > 0 && !out.failed) {
		buf_adds(b, "X-Client-San: ");
		buf_addstr(b, buf_str(&out));
		buf_adds(b, "\r\n");
	}
	buf_free(&out);
}

int identity_make(SSL *ssl, char **ret)
{
	struct buf b = BUF_INIT;
	const long verify = SSL_get_verify_result(ssl);
	X509 *x;

	*ret = NULL;
	if ((SSL_get_verify_mode(ssl) & SSL_VERIFY_PEER) == 0)
		return OK;
	x = SSL_get0_peer_certificate(ssl);
	if (x == NULL) {
		*ret = strdup("X-Client-Verify: none\r\n");
		return *ret != NULL ? OK : ERR_NOMEM;
	}
	if (verify == X509_V_OK)
		buf_adds(&b, "X-Client-Verify: success\r\n");
	else
		buf_printf(&b, "X-Client-Verify: failed: %s\r\n",
		           X509_verify_cert_error_string(verify));
	name_field(&b, "X-Client-Subject: ", X509_get_subject_name(x));
	name_field(&b, "X-Client-Issuer: ", X509_get_issuer_name(x));
	serial_field(&b, x);
	fingerprint_field(&b, x);
	san_field(&b, x);
	ERR_clear_error();
	*ret = buf_take(&b);
	return *ret != NULL ? OK : ERR_NOMEM;
}

bool identity_is_field(struct str name)
{
	static const struct str rest[] = { { "verify", 6 }, { "subject", 7 },      { "issuer", 6 },
		                           { "serial", 6 }, { "fingerprint", 11 }, { "san", 3 } };
	static const char prefix[] = "x-client-";
	unsigned i;

	if (name.len < sizeof(prefix) + 2)
		return false;
	for (i = 0; i < sizeof(prefix) - 1; i++) {
		const char c = (char)(name.s[i] | 0x20);
		const bool letter = c >= 'a' && c <= 'z';

		/* Gateways make the same of all that is neither letter nor digit (RFC 3875,
		 * 4.1.18: a "_"). */
		if (prefix[i] == '-' ? letter || (c >= '0' && c <= '9') : c != prefix[i])
			return false;
	}
	for (i = 0; i < ARRAY_LEN(rest); i++)
		if (str_eq_nocase(str_n(name.s + sizeof(prefix) - 1, name.len - sizeof(prefix) + 1),
		                  rest[i]))
			return true;
	return false;
}
