/* SPDX-License-Identifier: Apache-2.0 */
/* Readers and writers of DNS datagrams and of gRPC's health messages; see answer.h. Pure functions.
 */
#include "base/check.h"
#include "base/err.h"
#include "check/answer.h"

/* --- DNS ------------------------------------------------------------------------------------ */

static const struct {
	const char *word;
	uint16_t type;
} dns_types[] = {
	{ "A", 1 },   { "NS", 2 },   { "CNAME", 5 }, { "SOA", 6 },  { "PTR", 12 },
	{ "MX", 15 }, { "TXT", 16 }, { "AAAA", 28 }, { "SRV", 33 },
};

uint16_t answer_dns_type(struct str word)
{
	for (size_t i = 0; i < ARRAY_LEN(dns_types); i++) {
		if (str_eq(word, str_from(dns_types[i].word))) {
			return dns_types[i].type;
		}
	}
	return 0;
}

const char *answer_dns_rcode(unsigned rcode)
{
	static const char *const words[] = { "NOERROR",  "FORMERR", "SERVFAIL",
		                             "NXDOMAIN", "NOTIMP",  "REFUSED" };

	return rcode < ARRAY_LEN(words) ? words[rcode] : "an error";
}

#define DNS_HEADER 12

static unsigned be16(const void *p)
{
	const uint8_t *b = p;

	return (unsigned)b[0] << 8 | b[1];
}

size_t answer_dns_ask(uint16_t id, struct str name, uint16_t type, uint8_t out[ANSWER_DNS_MAX])
{
	size_t n = DNS_HEADER;

	memset(out, 0, DNS_HEADER);
	out[0] = (uint8_t)(id >> 8);
	out[1] = (uint8_t)id;
	out[2] = 0x01; /* RD: recursion desired, RFC 1035 section 4.1.1 */
	out[5] = 1;    /* QDCOUNT */
	if (name.len > 0 && name.s[name.len - 1] == '.') {
		name.len--;
	}
	if (name.len > 253) {
		return 0;
	}
	while (name.s != NULL && name.len > 0) {
		struct str label = str_split(name, '.', &name);

		if (label.len == 0 || label.len > 63) {
			return 0;
		}
		out[n++] = (uint8_t)label.len;
		memcpy(out + n, label.s, label.len);
		n += label.len;
	}
	out[n++] = 0;
	out[n++] = (uint8_t)(type >> 8);
	out[n++] = (uint8_t)type;
	out[n++] = 0;
	out[n++] = 1; /* IN */
	return n;
}

bool answer_dns(struct str got, const uint8_t *question, size_t len, struct answer_dns *ret)
{
	const uint8_t *p = (const uint8_t *)got.s;

	*ret = (struct answer_dns){ 0 };
	/* RFC 5452 section 9.1: the id, and where it is there the question, have to be ours. */
	if (got.len < DNS_HEADER || memcmp(p, question, 2) != 0 || (p[2] & 0xf8) != 0x80) {
		return false;
	}
	ret->truncated = (p[2] & 0x02) != 0;
	ret->rcode = p[3] & 0x0f;
	ret->answers = be16(p + 6);
	if (be16(p + 4) == 0) { /* some servers leave it out of an error */
		return ret->rcode != 0;
	}
	return got.len >= len &&
	       str_eq_nocase(str_n(got.s + DNS_HEADER, len - DNS_HEADER),
	                     str_n((const char *)question + DNS_HEADER, len - DNS_HEADER));
}

/* --- gRPC ----------------------------------------------------------------------------------- */

#define GRPC_PREFIX  5
#define GRPC_MESSAGE 4096

/* A base 128 number; bytes used, 0: cut short or too long. */
static size_t varint(const uint8_t *p, size_t len, uint64_t *ret)
{
	*ret = 0;
	for (size_t i = 0; i < len && i < 10; i++) {
		*ret |= (uint64_t)(p[i] & 0x7f) << 7 * i;
		if ((p[i] & 0x80) == 0) {
			return i + 1;
		}
	}
	return 0;
}

/* Skips a field's value of that wire type; false: it is cut short or none. */
static bool skip(const uint8_t **p, size_t *len, unsigned wire)
{
	uint64_t v = 0;
	size_t n = wire == 0 || wire == 2 ? varint(*p, *len, &v) : 0;

	if ((wire == 0 || wire == 2) && n == 0) {
		return false;
	}
	if (wire == 2) {
		if (v > *len - n) {
			return false;
		}
		n += (size_t)v;
	} else if (wire == 1) {
		n = 8;
	} else if (wire == 5) {
		n = 4;
	} else if (wire != 0) {
		return false;
	}
	if (n > *len) {
		return false;
	}
	*p += n;
	*len -= n;
	return true;
}

ssize_t answer_grpc_health(struct str got, uint64_t *ret_status)
{
	const uint8_t *p = (const uint8_t *)got.s + GRPC_PREFIX;
	size_t len;

	*ret_status = 0; /* the default is not sent */
	if (got.len < GRPC_PREFIX) {
		return 0;
	}
	len = (size_t)be16(got.s + 1) << 16 | be16(got.s + 3);
	if (got.s[0] != 0 || len > GRPC_MESSAGE) { /* compression was not offered */
		return ANSWER_BAD;
	}
	if (got.len < GRPC_PREFIX + len) {
		return 0;
	}
	while (len > 0) {
		uint64_t key;
		size_t n = varint(p, len, &key);

		p += n;
		len -= n;
		if (n == 0 || key >> 3 == 0) {
			return ANSWER_BAD;
		}
		if (key == (1 << 3 | 0)) { /* status = 1 */
			n = varint(p, len, ret_status);
			p += n;
			len -= n;
			if (n == 0) {
				return ANSWER_BAD;
			}
		} else if (!skip(&p, &len, key & 7)) {
			return ANSWER_BAD;
		}
	}
	return (ssize_t)(p - (const uint8_t *)got.s);
}

size_t answer_grpc_ask(struct str service, uint8_t out[ANSWER_GRPC_MAX])
{
	size_t n = GRPC_PREFIX;

	CHECK(service.len <= 256);
	if (service.len > 0) { /* service = 1 */
		out[n++] = 1 << 3 | 2;
		if (service.len >= 0x80) {
			out[n++] = (uint8_t)(service.len | 0x80);
		}
		out[n++] = (uint8_t)(service.len >= 0x80 ? service.len >> 7 : service.len);
		memcpy(out + n, service.s, service.len);
		n += service.len;
	}
	memset(out, 0, GRPC_PREFIX);
	out[3] = (uint8_t)((n - GRPC_PREFIX) >> 8);
	out[4] = (uint8_t)(n - GRPC_PREFIX);
	return n;
}

static int hex(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

const char *answer_grpc_message(struct str said, char out[ANSWER_WORDS])
{
	char plain[ANSWER_WORDS];
	size_t n = 0;

	for (size_t i = 0; i < said.len && n < sizeof(plain); i++) {
		char c = said.s[i];

		if (c == '%' && i + 2 < said.len && hex(said.s[i + 1]) >= 0 &&
		    hex(said.s[i + 2]) >= 0) {
			c = (char)(hex(said.s[i + 1]) << 4 | hex(said.s[i + 2]));
			i += 2;
		}
		plain[n++] = c;
	}
	return answer_words(str_n(plain, n), out);
}
