/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of the DNS; see dns_message.h. Pure. */
#include "acme/dns_message.h"

#include <stdio.h>

#include "base/check.h"
#include "base/err.h"

#define HEADER   12
#define QDCOUNT  4
#define NSCOUNT  8 /* of an update: its changes */
#define FLAG_QR  0x8000
#define FLAG_AA  0x0400
#define FLAG_TC  0x0200
#define FLAG_RD  0x0100
#define MAX_HOPS 64 /* pointers of one name */

/* --- writing -------------------------------------------------------------------------------- */

static void put(struct dns_out *m, const void *data, size_t len)
{
	if (m->bad || len > sizeof(m->p) - m->len) {
		m->bad = true;
		return;
	}
	memcpy(m->p + m->len, data, len);
	m->len += len;
}

static void put_u16(struct dns_out *m, unsigned v)
{
	uint8_t p[2] = { (uint8_t)(v >> 8), (uint8_t)v };

	put(m, p, sizeof(p));
}

static void put_name(struct dns_out *m, struct str name)
{
	uint8_t wire[DNS_MAX_WIRE];
	size_t len = acme_dns_name_wire(name, wire);

	m->bad |= len == 0;
	put(m, wire, len);
}

size_t acme_dns_name_wire(struct str name, uint8_t out[DNS_MAX_WIRE])
{
	size_t len = 0;
	struct str rest = name;

	if (rest.len > 0 && rest.s[rest.len - 1] == '.')
		rest.len--;
	while (rest.len > 0) {
		struct str label = str_split(rest, '.', &rest);

		if (label.len == 0 || label.len > 63 || len + label.len + 2 > DNS_MAX_WIRE)
			return 0;
		out[len++] = (uint8_t)label.len;
		for (size_t i = 0; i < label.len; i++)
			out[len++] = label.s[i] >= 'A' && label.s[i] <= 'Z'
			                 ? (uint8_t)(label.s[i] | 0x20)
			                 : (uint8_t)label.s[i];
	}
	out[len++] = 0;
	return len;
}

static void count(struct dns_out *m, size_t at)
{
	unsigned n = acme_dns_u16(m->p + at) + 1;

	m->p[at] = (uint8_t)(n >> 8);
	m->p[at + 1] = (uint8_t)n;
}

void acme_dns_begin(struct dns_out *m, uint16_t id, enum dns_opcode opcode)
{
	static const uint8_t none[8];

	*m = (struct dns_out){ .len = 0 };
	put_u16(m, id);
	put_u16(m, (unsigned)opcode << 11 | (opcode == DNS_QUERY ? FLAG_RD : 0));
	put(m, none, sizeof(none));
}

void acme_dns_question(struct dns_out *m, struct str name, enum dns_type type)
{
	put_name(m, name);
	put_u16(m, type);
	put_u16(m, DNS_IN);
	if (!m->bad)
		count(m, QDCOUNT);
}

void acme_dns_change_txt(struct dns_out *m, struct str name, struct str value, uint32_t ttl,
                         bool remove)
{
	uint8_t len = (uint8_t)value.len;

	m->bad |= value.len == 0 || value.len > 255;
	put_name(m, name);
	put_u16(m, DNS_TXT);
	/* RFC 2136 section 2.5.4: to delete one record its class is NONE, its TTL 0. */
	put_u16(m, remove ? DNS_NONE : DNS_IN);
	put_u16(m, remove ? 0 : ttl >> 16);
	put_u16(m, remove ? 0 : ttl & 0xffff);
	put_u16(m, (unsigned)value.len + 1);
	put(m, &len, 1);
	put(m, value.s, value.len);
	if (!m->bad)
		count(m, NSCOUNT);
}

/* --- reading -------------------------------------------------------------------------------- */

/* A label as text; a byte that could be mistaken makes the name one that matches nothing. */
static bool add_label(char ret[DNS_MAX_NAME], size_t *used, const uint8_t *label, size_t n)
{
	if (*used + n + 1 >= DNS_MAX_NAME)
		return false;
	if (*used > 0)
		ret[(*used)++] = '.';
	for (size_t i = 0; i < n; i++) {
		uint8_t c = label[i];

		ret[(*used)++] = c >= 'A' && c <= 'Z'                ? (char)(c | 0x20)
		                 : c <= ' ' || c >= 0x7f || c == '.' ? '?'
		                                                     : (char)c;
	}
	ret[*used] = '\0';
	return true;
}

int acme_dns_name_read(const uint8_t *p, size_t len, size_t *at, char ret[DNS_MAX_NAME])
{
	size_t pos = *at;
	size_t used = 0;
	bool jumped = false;

	ret[0] = '\0';
	for (unsigned hops = 0; pos < len;) {
		uint8_t n = p[pos];

		if (n == 0) {
			if (!jumped)
				*at = pos + 1;
			return OK;
		}
		if ((n & 0xc0) == 0xc0) { /* RFC 1035 section 4.1.4: a pointer, backwards */
			size_t to;

			if (pos + 2 > len || ++hops > MAX_HOPS)
				return ERR_SYNTAX;
			to = (size_t)(n & 0x3f) << 8 | p[pos + 1];
			if (to >= pos)
				return ERR_SYNTAX;
			if (!jumped)
				*at = pos + 2;
			jumped = true;
			pos = to;
			continue;
		}
		if (n > 63 || pos + 1 + n > len || !add_label(ret, &used, p + pos + 1, n))
			return ERR_SYNTAX;
		pos += 1 + (size_t)n;
	}
	return ERR_SYNTAX;
}

/* Character strings of a TXT record, one behind the other: what a value longer than 255 would be is
 * cut, it is none of ours. */
static void read_txt(const uint8_t *p, size_t len, struct dns_in *in)
{
	if (in->ntexts == DNS_MAX_TEXTS)
		return;
	in->texts[in->ntexts].len = 0;
	for (size_t i = 0; i < len && i + 1 + p[i] <= len; i += 1 + (size_t)p[i]) {
		size_t room = sizeof(in->texts[0].s) - in->texts[in->ntexts].len;
		size_t n = MIN(p[i], room);

		memcpy(in->texts[in->ntexts].s + in->texts[in->ntexts].len, p + i + 1, n);
		in->texts[in->ntexts].len += n;
	}
	in->ntexts++;
}

/* Whether a record belongs to the name that was asked for, or to what that is an alias of. */
static bool concerns(const struct dns_in *in, const char *name)
{
	return strcmp(name, in->cname[0] ? in->cname : in->asked) == 0;
}

static int read_record(const uint8_t *p, size_t len, size_t *at, struct dns_in *in)
{
	char name[DNS_MAX_NAME];
	size_t begin = *at;
	unsigned type;
	size_t rdata;
	size_t n;

	if (acme_dns_name_read(p, len, at, name) != OK || len - *at < 10)
		return ERR_SYNTAX;
	type = acme_dns_u16(p + *at);
	n = acme_dns_u16(p + *at + 8);
	rdata = *at + 10;
	if (n > len - rdata)
		return ERR_SYNTAX;
	*at = rdata + n;
	if (type == DNS_TSIG)
		in->tsig = begin;
	else if (type == DNS_SOA && in->soa[0] == '\0')
		memcpy(in->soa, name, sizeof(name));
	else if (type == DNS_TXT && concerns(in, name))
		read_txt(p + rdata, n, in);
	else if (type == DNS_CNAME && concerns(in, name))
		return acme_dns_name_read(p, *at, &rdata, in->cname);
	return OK;
}

int acme_dns_read(const uint8_t *p, size_t len, struct dns_in *ret)
{
	unsigned flags;
	unsigned questions;
	unsigned records;
	size_t at = HEADER;
	char name[DNS_MAX_NAME];

	memset(ret, 0, sizeof(*ret));
	if (len < HEADER || len > DNS_MAX_MESSAGE)
		return ERR_SYNTAX;
	ret->id = (uint16_t)acme_dns_u16(p);
	flags = acme_dns_u16(p + 2);
	ret->response = flags & FLAG_QR;
	ret->authoritative = flags & FLAG_AA;
	ret->truncated = flags & FLAG_TC;
	ret->opcode = flags >> 11 & 15;
	ret->rcode = flags & 15;
	questions = acme_dns_u16(p + 4);
	records = acme_dns_u16(p + 6) + acme_dns_u16(p + 8) + acme_dns_u16(p + 10);
	if (questions > 1 || records > DNS_MAX_RECORDS)
		return ERR_SYNTAX;
	for (unsigned i = 0; i < questions; i++) {
		if (acme_dns_name_read(p, len, &at, name) != OK || len - at < 4)
			return ERR_SYNTAX;
		memcpy(ret->asked, name, sizeof(name));
		at += 4;
	}
	for (unsigned i = 0; i < records; i++) {
		if (ret->tsig != 0) /* RFC 8945 section 5.1: it is the last one */
			return ERR_SYNTAX;
		if (read_record(p, len, &at, ret) != OK)
			return ERR_SYNTAX;
	}
	return at == len ? OK : ERR_SYNTAX;
}

bool acme_dns_has_text(const struct dns_in *in, struct str value)
{
	for (unsigned i = 0; i < in->ntexts; i++) {
		if (str_eq(str_n((const char *)in->texts[i].s, in->texts[i].len), value))
			return true;
	}
	return false;
}
