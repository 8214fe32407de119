/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures of DNS messages (TSIG, RFC 8945). Pure. */
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>

#include "acme/dns_message.h"
#include "base/buf.h"
#include "base/err.h"

#define ARCOUNT 10

enum { TSIG_BADSIG = 16, TSIG_BADKEY = 17, TSIG_BADTIME = 18 };

static const EVP_MD *digest_of(struct str algorithm)
{
	if (str_eq(algorithm, STR("hmac-sha512")))
		return EVP_sha512();
	return str_eq(algorithm, STR("hmac-sha384")) ? EVP_sha384() : EVP_sha256();
}

static void add_u16(struct buf *b, unsigned v)
{
	buf_addc(b, (char)(v >> 8));
	buf_addc(b, (char)v);
}

static bool add_name(struct buf *b, struct str name)
{
	uint8_t wire[DNS_MAX_WIRE];
	size_t len = acme_dns_name_wire(name, wire);

	buf_add(b, wire, len);
	return len > 0;
}

/* 48 bits of seconds, then the fudge. */
static void add_time(struct buf *b, uint64_t seconds, unsigned fudge)
{
	add_u16(b, (unsigned)(seconds >> 32 & 0xffff));
	add_u16(b, (unsigned)(seconds >> 16 & 0xffff));
	add_u16(b, (unsigned)(seconds & 0xffff));
	add_u16(b, fudge);
}

/* RFC 8945 section 4.3.3: the variables behind the message. */
static bool add_variables(struct buf *b, const struct dns_key *key, uint64_t seconds,
                          unsigned fudge, unsigned error, struct str other)
{
	bool well = add_name(b, key->name);

	add_u16(b, DNS_CLASS_ANY);
	add_u16(b, 0); /* TTL */
	add_u16(b, 0);
	well &= add_name(b, key->algorithm);
	add_time(b, seconds, fudge);
	add_u16(b, error);
	add_u16(b, (unsigned)other.len);
	buf_addstr(b, other);
	return well;
}

static bool mac_of(const struct dns_key *key, const struct buf *b, struct dns_mac *ret)
{
	unsigned len = sizeof(ret->p);

	if (b->failed || key->len == 0 ||
	    !HMAC(digest_of(key->algorithm), key->secret, (int)key->len, (const uint8_t *)b->p,
	          b->len, ret->p, &len))
		return false;
	ret->len = len;
	return true;
}

int acme_dns_sign(struct dns_out *m, const struct dns_key *key, uint64_t now, struct dns_mac *ret)
{
	struct buf input = BUF_INIT;
	struct buf record = BUF_INIT;
	unsigned n = acme_dns_u16(m->p + ARCOUNT) + 1;
	bool well = !m->bad;

	buf_add(&input, m->p, m->len);
	well = well && add_variables(&input, key, now, TSIG_FUDGE, 0, STR("")) &&
	       mac_of(key, &input, ret);
	if (well) {
		well = add_name(&record, key->name);
		add_u16(&record, DNS_TSIG);
		add_u16(&record, DNS_CLASS_ANY);
		add_u16(&record, 0);
		add_u16(&record, 0);
		/* Its data: the algorithm's name as on the wire, 16 bytes, and the MAC. */
		add_u16(&record, (unsigned)(key->algorithm.len + 2 + 16 + ret->len));
		well &= add_name(&record, key->algorithm);
		add_time(&record, now, TSIG_FUDGE);
		add_u16(&record, (unsigned)ret->len);
		buf_add(&record, ret->p, ret->len);
		add_u16(&record, acme_dns_u16(m->p)); /* original id */
		add_u16(&record, 0);
		add_u16(&record, 0);
	}
	if (well && !record.failed && record.len <= sizeof(m->p) - m->len) {
		memcpy(m->p + m->len, record.p, record.len);
		m->len += record.len;
		m->p[ARCOUNT] = (uint8_t)(n >> 8);
		m->p[ARCOUNT + 1] = (uint8_t)n;
	} else {
		well = false;
	}
	buf_free(&input);
	buf_free(&record);
	return well ? OK : ERR_INVALID;
}

/* --- looking at one ------------------------------------------------------------------------- */

struct tsig {
	char name[DNS_MAX_NAME];
	char algorithm[DNS_MAX_NAME];
	uint64_t seconds;
	unsigned fudge;
	const uint8_t *mac;
	size_t mac_len;
	unsigned id;
	unsigned error;
	struct str other;
};

/* The record was read once already, as to its length. */
static int read_tsig(const uint8_t *p, size_t len, size_t at, struct tsig *t)
{
	if (acme_dns_name_read(p, len, &at, t->name) != OK || len - at < 10)
		return ERR_SYNTAX;
	at += 10;
	if (acme_dns_name_read(p, len, &at, t->algorithm) != OK || len - at < 10)
		return ERR_SYNTAX;
	t->seconds = (uint64_t)acme_dns_u16(p + at) << 32 |
	             (uint64_t)acme_dns_u16(p + at + 2) << 16 | acme_dns_u16(p + at + 4);
	t->fudge = acme_dns_u16(p + at + 6);
	t->mac_len = acme_dns_u16(p + at + 8);
	at += 10;
	if (t->mac_len > len - at || len - at - t->mac_len < 6)
		return ERR_SYNTAX;
	t->mac = p + at;
	at += t->mac_len;
	t->id = acme_dns_u16(p + at);
	t->error = acme_dns_u16(p + at + 2);
	t->other.len = acme_dns_u16(p + at + 4);
	t->other.s = (const char *)p + at + 6;
	return t->other.len == len - at - 6 ? OK : ERR_SYNTAX;
}

static const char *error_text(unsigned error)
{
	switch (error) {
	case TSIG_BADSIG:
		return "the server says that the signature is wrong: is \"key\" the same there?";
	case TSIG_BADKEY:
		return "the server does not know the key: are \"key_name\" and \"algorithm\" the "
		       "same "
		       "there?";
	case TSIG_BADTIME:
		return "the server's clock and this machine's differ by more than 5 minutes";
	default:
		return "the server refuses the signature";
	}
}

/* RFC 8945 section 5.3: the MAC of the request, the answer without its TSIG and with its id as it
 * was, the variables. */
static bool is_signed(const uint8_t *p, size_t at, const struct tsig *t, const struct dns_key *key,
                      const struct dns_mac *request)
{
	struct buf input = BUF_INIT;
	struct dns_mac mac = { .len = 0 };
	unsigned n = acme_dns_u16(p + ARCOUNT) - 1;
	bool well;

	add_u16(&input, (unsigned)request->len);
	buf_add(&input, request->p, request->len);
	add_u16(&input, t->id);
	buf_add(&input, p + 2, ARCOUNT - 2);
	add_u16(&input, n);
	buf_add(&input, p + ARCOUNT + 2, at - ARCOUNT - 2);
	well = add_variables(&input, key, t->seconds, t->fudge, t->error, t->other) &&
	       mac_of(key, &input, &mac);
	buf_free(&input);
	return well && t->mac_len == mac.len && CRYPTO_memcmp(t->mac, mac.p, mac.len) == 0;
}

int acme_dns_verify(const uint8_t *p, size_t len, const struct dns_in *in,
                    const struct dns_key *key, const struct dns_mac *request, uint64_t now,
                    char *why, size_t why_size)
{
	struct tsig t = { .seconds = 0 };

	if (in->tsig == 0) {
		snprintf(why, why_size, "the server's answer is not signed");
		return ERR_DENIED;
	}
	if (read_tsig(p, len, in->tsig, &t) != OK) {
		snprintf(why, why_size, "the signature of the server's answer is broken");
		return ERR_DENIED;
	}
	/* RFC 8945 section 5.2: answers to a bad key or signature carry none themselves. */
	if (t.error == TSIG_BADKEY || t.error == TSIG_BADSIG) {
		snprintf(why, why_size, "%s", error_text(t.error));
		return ERR_DENIED;
	}
	if (!str_eq(str_from(t.name), key->name) ||
	    !str_eq(str_from(t.algorithm), key->algorithm) ||
	    !is_signed(p, in->tsig, &t, key, request)) {
		snprintf(why, why_size, "the signature of the server's answer is wrong");
		return ERR_DENIED;
	}
	if (t.error != 0) {
		snprintf(why, why_size, "%s", error_text(t.error));
		return ERR_DENIED;
	}
	if (now > t.seconds + t.fudge || t.seconds > now + t.fudge) {
		snprintf(why, why_size,
		         "the server's answer is signed at another time: are the "
		         "clocks right?");
		return ERR_DENIED;
	}
	return OK;
}
