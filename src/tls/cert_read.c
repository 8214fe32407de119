/* SPDX-License-Identifier: Apache-2.0 */
/* Reading PEM and DER, names, dates, keys of tickets; see cert.h. Any process. */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/check.h"
#include "base/err.h"
#include "tls/cert_impl.h"

/* --- certificates --------------------------------------------------------------------------- */

static bool is_pem(struct str bytes)
{
	return memmem(bytes.s, bytes.len, "-----BEGIN", 10) != NULL;
}

static bool has(STACK_OF(X509) * all, const X509 *x)
{
	for (int i = 0; i < sk_X509_num(all); i++) {
		if (X509_cmp(sk_X509_value(all, i), x) == 0)
			return true;
	}
	return false;
}

static int read_der(struct str bytes, STACK_OF(X509) * all, char *why, size_t why_size)
{
	const unsigned char *at = (const unsigned char *)bytes.s;
	X509 *x = d2i_X509(NULL, &at, (long)bytes.len);

	if (x && sk_X509_push(all, x) > 0)
		return OK;
	X509_free(x);
	snprintf(why, why_size,
	         bytes.len == 0 ? "the file is empty" : "there is no certificate in it");
	return ERR_SYNTAX;
}

/* Whether the reading ended because there is nothing more. */
static bool at_end(void)
{
	return ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
}

static int read_pem(struct str bytes, unsigned max, STACK_OF(X509) * all, char *why,
                    size_t why_size)
{
	BIO *bio = BIO_new_mem_buf(bytes.s, (int)bytes.len);
	int err = bio ? OK : ERR_NOMEM;
	X509 *x;

	while (err == OK) {
		x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
		if (!x && at_end())
			break;
		if (!x) {
			snprintf(why, why_size, "certificate %d in it is cut short or broken",
			         sk_X509_num(all) + 1);
			err = ERR_SYNTAX;
		} else if (has(all, x)) {
			X509_free(x);
		} else if ((unsigned)sk_X509_num(all) >= max) {
			snprintf(why, why_size, "there are more than %u certificates in it", max);
			X509_free(x);
			err = ERR_TOO_LARGE;
		} else if (sk_X509_push(all, x) <= 0) {
			X509_free(x);
			err = ERR_NOMEM;
		}
	}
	BIO_free(bio);
	if (err == OK && sk_X509_num(all) == 0) {
		snprintf(why, why_size, "there is no certificate in it");
		err = ERR_SYNTAX;
	}
	return err;
}

int cert_read_all(struct str bytes, unsigned max, STACK_OF(X509) * *ret, char *why, size_t why_size)
{
	STACK_OF(X509) *all = sk_X509_new_null();
	int err = all ? OK : ERR_NOMEM;

	ERR_clear_error();
	if (err == OK && bytes.len > STORE_MAX_FILE) {
		snprintf(why, why_size, "it is larger than 1 MiB");
		err = ERR_TOO_LARGE;
	}
	if (err == OK)
		err = is_pem(bytes) ? read_pem(bytes, max, all, why, why_size)
		                    : read_der(bytes, all, why, why_size);
	ERR_clear_error();
	if (err != OK) {
		sk_X509_pop_free(all, X509_free);
		all = NULL;
	}
	*ret = all;
	return err;
}

uint64_t cert_time(const ASN1_TIME *t)
{
	struct tm tm = { 0 };
	time_t at;

	if (!t || ASN1_TIME_to_tm(t, &tm) != 1)
		return 0;
	at = timegm(&tm);
	return at > 0 ? (uint64_t)at : 0;
}

/* --- names ---------------------------------------------------------------------------------- */

/* A host name of a certificate in small letters; empty: it is none, as one with a NUL inside. */
static struct str host_name(struct arena *a, const unsigned char *s, int len)
{
	struct str name;
	char *p;

	if (len <= 0 || len > 253)
		return STR_NONE;
	name = arena_str(a, str_n((const char *)s, (size_t)len));
	for (p = (char *)name.s; p && p < name.s + name.len; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p | 0x20);
		if (!((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '-' ||
		      *p == '.' || *p == '_' || (*p == '*' && p == name.s)))
			return STR_NONE;
	}
	return name;
}

static struct str address_name(struct arena *a, const ASN1_OCTET_STRING *o)
{
	char text[INET6_ADDRSTRLEN];
	int len = ASN1_STRING_length(o);

	if ((len != 4 && len != 16) ||
	    !inet_ntop(len == 4 ? AF_INET : AF_INET6, ASN1_STRING_get0_data(o), text, sizeof(text)))
		return STR_NONE;
	return arena_str(a, str_from(text));
}

static struct str alternative(struct arena *a, const GENERAL_NAME *g)
{
	if (g->type == GEN_DNS)
		return host_name(a, ASN1_STRING_get0_data(g->d.dNSName),
		                 ASN1_STRING_length(g->d.dNSName));
	return g->type == GEN_IPADD ? address_name(a, g->d.iPAddress) : STR_NONE;
}

static struct str common_name(struct arena *a, const X509 *x)
{
	const X509_NAME *subject = X509_get_subject_name(x);
	int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
	const ASN1_STRING *s =
	    at >= 0 ? X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)) : NULL;

	return s ? host_name(a, ASN1_STRING_get0_data(s), ASN1_STRING_length(s)) : STR_NONE;
}

/* RFC 6125 6.4.4: the common name counts only where there are no alternative names. */
int cert_names(struct arena *a, const X509 *x, const struct str **ret, uint32_t *ret_n)
{
	GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, NULL, NULL);
	int count = all ? sk_GENERAL_NAME_num(all) : 0;
	struct str *v;
	uint32_t n = 0;

	*ret = NULL;
	*ret_n = 0;
	if (count > STORE_MAX_NAMES) {
		GENERAL_NAMES_free(all);
		return ERR_TOO_LARGE;
	}
	v = arena_alloc(a, ((size_t)count + 1) * sizeof(*v));
	for (int i = 0; v && i < count; i++) {
		v[n] = alternative(a, sk_GENERAL_NAME_value(all, i));
		n += v[n].len > 0;
	}
	GENERAL_NAMES_free(all);
	if (!v)
		return ERR_NOMEM;
	if (count == 0) {
		v[0] = common_name(a, x);
		n = v[0].len > 0;
	}
	*ret = v;
	*ret_n = n;
	return OK;
}

/* --- authorities, lists of revoked certificates --------------------------------------------- */

int cert_authorities(struct str pem, unsigned *ret_n, uint64_t *ret_until, char *why,
                     size_t why_size)
{
	STACK_OF(X509) * all;
	int err = cert_read_all(pem, CERT_MAX_AUTHORITIES, &all, why, why_size);

	*ret_n = 0;
	*ret_until = 0;
	for (int i = 0; err == OK && i < sk_X509_num(all); i++) {
		uint64_t until = cert_time(X509_get0_notAfter(sk_X509_value(all, i)));

		*ret_until = *ret_until == 0 ? until : MIN(*ret_until, until);
		++*ret_n;
	}
	sk_X509_pop_free(all, X509_free);
	return err;
}

int cert_revocations(struct str pem, unsigned *ret_n, uint64_t *ret_until, char *why,
                     size_t why_size)
{
	BIO *bio = BIO_new_mem_buf(pem.s, (int)pem.len);
	int err = bio ? OK : ERR_NOMEM;
	X509_CRL *crl;

	*ret_n = 0;
	*ret_until = 0;
	ERR_clear_error();
	while (err == OK && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL))) {
		uint64_t until = cert_time(X509_CRL_get0_nextUpdate(crl));

		if (until > 0)
			*ret_until = *ret_until == 0 ? until : MIN(*ret_until, until);
		++*ret_n;
		X509_CRL_free(crl);
	}
	if (err == OK && (!at_end() || *ret_n == 0)) {
		snprintf(why, why_size,
		         at_end() ? "there is no list of revoked certificates in it"
		                  : "list %u of revoked certificates in it is cut short or broken",
		         *ret_n + 1);
		err = ERR_SYNTAX;
	}
	BIO_free(bio);
	ERR_clear_error();
	return err;
}

/* --- keys of tickets ------------------------------------------------------------------------ */

static bool decode_line(struct str line, uint8_t key[STORE_TICKET_KEY])
{
	unsigned char out[STORE_TICKET_KEY + 3];

	/* 80 bytes are 107 characters and one "=" */
	return line.len == 108 && line.s[107] == '=' && line.s[106] != '=' &&
	       EVP_DecodeBlock(out, (const unsigned char *)line.s, 108) == STORE_TICKET_KEY + 1 &&
	       memcpy(key, out, STORE_TICKET_KEY) != NULL;
}

static int read_lines(struct str bytes, uint8_t keys[STORE_TICKET_KEYS][STORE_TICKET_KEY],
                      uint32_t *ret_n, char *why, size_t why_size)
{
	unsigned number = 0;

	for (struct str line, rest = bytes; rest.s;) {
		line = str_split(rest, '\n', &rest);
		number++;
		if (line.len > 0 && line.s[line.len - 1] == '\r')
			line.len--;
		line = str_trim(line);
		if (line.len == 0 || line.s[0] == '#')
			continue;
		if (*ret_n == STORE_TICKET_KEYS) {
			snprintf(why, why_size, "there are more than %d keys in it",
			         STORE_TICKET_KEYS);
			return ERR_TOO_LARGE;
		}
		if (!decode_line(line, keys[*ret_n])) {
			snprintf(why, why_size,
			         "line %u is not a key: 80 bytes in base64 (openssl rand 80 | "
			         "base64 -w0)",
			         number);
			return ERR_SYNTAX;
		}
		++*ret_n;
	}
	return OK;
}

int cert_ticket_keys(struct str bytes, uint8_t keys[STORE_TICKET_KEYS][STORE_TICKET_KEY],
                     uint32_t *ret_n, char *why, size_t why_size)
{
	bool text = true;
	int err;

	*ret_n = 0;
	for (size_t i = 0; i < bytes.len && text; i++)
		text = (unsigned char)bytes.s[i] < 0x7f &&
		       ((unsigned char)bytes.s[i] >= ' ' || strchr("\r\n\t", bytes.s[i]) != NULL);
	if (!text && bytes.len % STORE_TICKET_KEY == 0 &&
	    bytes.len <= STORE_TICKET_KEYS * STORE_TICKET_KEY) {
		memcpy(keys, bytes.s, bytes.len);
		*ret_n = (uint32_t)(bytes.len / STORE_TICKET_KEY);
		return OK;
	}
	if (!text) {
		snprintf(why, why_size, "%zu bytes are not one to %d keys of 80 bytes each",
		         bytes.len, STORE_TICKET_KEYS);
		return ERR_SYNTAX;
	}
	err = read_lines(bytes, keys, ret_n, why, why_size);
	if (err == OK && *ret_n == 0) {
		snprintf(why, why_size, "there is no key in it");
		err = ERR_SYNTAX;
	}
	return err;
}
