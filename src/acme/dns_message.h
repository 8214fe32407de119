/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages of the DNS (RFC 1035), as far as dns-01 needs them: questions for SOA and TXT, updates
 * (RFC 2136) and their signature (TSIG, RFC 8945). The reader takes bytes of strangers.
 */
#ifndef ACME_DNS_MESSAGE_H
#define ACME_DNS_MESSAGE_H

#include "base/str.h"

#define DNS_MAX_NAME    254 /* characters of a name without its last dot, and NUL */
#define DNS_MAX_WIRE    255 /* bytes of a name in a message */
#define DNS_MAX_MESSAGE 65535
#define DNS_MAX_RECORDS 512 /* of a message that is read */
#define DNS_MAX_TEXTS   32  /* TXT records of one name that are looked at */

enum dns_type { DNS_CNAME = 5, DNS_SOA = 6, DNS_TXT = 16, DNS_TSIG = 250, DNS_ANY = 255 };
enum dns_class { DNS_IN = 1, DNS_NONE = 254, DNS_CLASS_ANY = 255 };
enum dns_opcode { DNS_QUERY = 0, DNS_UPDATE = 5 };
enum dns_rcode { DNS_NOERROR = 0, DNS_NXDOMAIN = 3, DNS_NOTAUTH = 9 };

/* A message being written. It stays as it is once something did not fit: bad. */
struct dns_out {
	uint8_t p[1024];
	size_t len;
	bool bad;
};

/* Begins a message; for a question recursion is asked for. */
void acme_dns_begin(struct dns_out *m, uint16_t id, enum dns_opcode opcode);
/* A question, or the zone of an update. */
void acme_dns_question(struct dns_out *m, struct str name, enum dns_type type);
/* A TXT record in the update section (RFC 2136 section 2.5): added, or removed. */
void acme_dns_change_txt(struct dns_out *m, struct str name, struct str value, uint32_t ttl,
                         bool remove);

/* What an answer says. */
struct dns_in {
	uint16_t id;
	unsigned rcode;
	bool response, truncated, authoritative;
	unsigned opcode;
	char soa[DNS_MAX_NAME];   /* the name that a SOA record belongs to; "": none */
	char asked[DNS_MAX_NAME]; /* the name of the question */
	char cname[DNS_MAX_NAME]; /* that name is an alias of; "": none */
	struct {                  /* of the TXT records of that name, at whatever alias */
		uint8_t s[256];
		size_t len;
	} texts[DNS_MAX_TEXTS];
	unsigned ntexts;
	size_t tsig; /* where its TSIG record begins; 0: none */
};

/* Reads a whole message. OK; ERR_SYNTAX. */
int acme_dns_read(const uint8_t *p, size_t len, struct dns_in *ret);
/* Whether a text is among the answers. */
bool acme_dns_has_text(const struct dns_in *in, struct str value);

/* --- TSIG (RFC 8945) ------------------------------------------------------------------------ */

#define TSIG_MAX_MAC 64
#define TSIG_FUDGE   300 /* seconds that clocks may differ */

struct dns_key {
	struct str name;      /* lower case, without its last dot */
	struct str algorithm; /* "hmac-sha256", "hmac-sha384", "hmac-sha512" */
	uint8_t secret[512];
	size_t len;
};

struct dns_mac {
	uint8_t p[TSIG_MAX_MAC];
	size_t len;
};

/* Signs a request with the time now (Unix, seconds); its MAC is needed for the answer. OK,
 * ERR_INVALID. */
int acme_dns_sign(struct dns_out *m, const struct dns_key *key, uint64_t now, struct dns_mac *ret);
/* Looks at the signature of an answer. OK, or ERR_DENIED with why. */
int acme_dns_verify(const uint8_t *p, size_t len, const struct dns_in *in,
                    const struct dns_key *key, const struct dns_mac *request, uint64_t now,
                    char *why, size_t why_size);

/* For both files. A name as in a message, lower case; its length, 0: it is none. */
size_t acme_dns_name_wire(struct str name, uint8_t out[DNS_MAX_WIRE]);
/* Reads a name at *at, compressed or not, and goes behind it. OK, ERR_SYNTAX. */
int acme_dns_name_read(const uint8_t *p, size_t len, size_t *at, char ret[DNS_MAX_NAME]);

static inline unsigned acme_dns_u16(const uint8_t *p)
{
	return (unsigned)p[0] << 8 | p[1];
}

#endif
