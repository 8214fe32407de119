/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers of what servers answer to probes: pure functions over bytes that a stranger sent. Each
 * takes what has come so far and returns how much of it one unit (a reply, a packet, a message) is;
 * 0: more is needed; ANSWER_BAD: it is none.
 */
#ifndef CHECK_ANSWER_H
#define CHECK_ANSWER_H

#include <sys/types.h>

#include "base/str.h"

#define ANSWER_BAD   (-1)
#define ANSWER_WORDS 64

/* A server's words for people: what does not print becomes "?", what is too long is cut. */
const char *answer_words(struct str said, char out[ANSWER_WORDS]);

/* --- Redis (RESP 2) ------------------------------------------------------------------------- */

struct answer_redis {
	char kind;       /* '+', '-', ':', '$' or '*' */
	struct str text; /* the line's, the bulk string's, of an array: its first bulk string's */
};
/* Of an array only as much as its first element is read. */
ssize_t answer_redis(struct str got, struct answer_redis *ret);

/* --- SMTP (RFC 5321 section 4.2) ------------------------------------------------------------ */

struct answer_smtp {
	unsigned code;
	struct str text; /* of the first line, behind the code */
	bool starttls;   /* one of the lines says so */
};
ssize_t answer_smtp(struct str got, struct answer_smtp *ret);

/* --- PostgreSQL (protocol 3.0) -------------------------------------------------------------- */

struct answer_postgres {
	char type;
	struct str body;
};
ssize_t answer_postgres(struct str got, struct answer_postgres *ret);
/* A field of an ErrorResponse: 'C' the SQLSTATE, 'M' the message; empty where it is not there. */
struct str answer_postgres_field(struct str body, char field);
/* The method that an Authentication message asks for, and what follows; false: too short. */
bool answer_postgres_auth(struct str body, uint32_t *method, struct str *rest);
/* Whether a list of SASL mechanisms has that one. */
bool answer_postgres_sasl(struct str list, struct str mechanism);
/* The first column of a DataRow; false: none, or NULL. */
bool answer_postgres_value(struct str body, struct str *ret);

/* --- MySQL and MariaDB (protocol 10) -------------------------------------------------------- */

struct answer_mysql {
	uint8_t sequence;
	struct str body;
};
ssize_t answer_mysql(struct str got, struct answer_mysql *ret);

struct answer_mysql_greeting {
	struct str version;
	uint32_t capabilities;
	uint8_t nonce[20];
	struct str plugin; /* "": not said */
};
bool answer_mysql_greeting(struct str body, struct answer_mysql_greeting *ret);
/* An ERR packet: its number, SQLSTATE ("" before one is known) and message. */
struct answer_mysql_error {
	unsigned number;
	struct str state;
	struct str text;
};
bool answer_mysql_error(struct str body, struct answer_mysql_error *ret);
/* An AuthSwitchRequest: the plugin asked for and its nonce, 20 bytes; false: it is none. */
bool answer_mysql_switch(struct str body, struct str *plugin, uint8_t nonce[20]);

/* --- DNS (RFC 1035) ------------------------------------------------------------------------- */

#define ANSWER_DNS_MAX 300 /* bytes of a question with its header */

/* A question for a name; its length, or 0 where the name is none. type: as in RFC 1035. */
size_t answer_dns_ask(uint16_t id, struct str name, uint16_t type, uint8_t out[ANSWER_DNS_MAX]);
uint16_t answer_dns_type(struct str word); /* 0: unknown */

struct answer_dns {
	unsigned rcode;
	unsigned answers;
	bool truncated;
};
/* Whether a datagram answers that question; others are not ours. */
bool answer_dns(struct str got, const uint8_t *question, size_t len, struct answer_dns *ret);
const char *answer_dns_rcode(unsigned rcode);

/* --- gRPC ----------------------------------------------------------------------------------- */

/* The status of a HealthCheckResponse in one length-prefixed message: enum ServingStatus. The
 * length of the message; 0: more is needed; ANSWER_BAD. */
ssize_t answer_grpc_health(struct str got, uint64_t *ret_status);
/* A HealthCheckRequest for a service of at most 256 bytes, with its prefix; its length. */
#define ANSWER_GRPC_MAX 272
size_t answer_grpc_ask(struct str service, uint8_t out[ANSWER_GRPC_MAX]);
/* grpc-message is percent-encoded; out gets the words. */
const char *answer_grpc_message(struct str said, char out[ANSWER_WORDS]);

#endif
