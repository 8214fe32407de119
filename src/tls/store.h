/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: every certificate with its key, ticket key, authority file and open ACME challenge of
 * a node in one sealed memory file. A helper process that may read keys makes it (core/certs.h),
 * the roles that need it map it. Immutable; a change makes a new one, in which what proved broken
 * keeps its former contents.
 */
#ifndef TLS_STORE_H
#define TLS_STORE_H

#include "base/str.h"

#define STORE_MAX_CERTS 16384
#define STORE_MAX_FILE  (1u << 20) /* bytes of one file read for it */
#define STORE_MAX_NAMES 1000       /* of one certificate */
#define STORE_MAX_CHAIN 10         /* certificates of one chain */
#define STORE_MAX_FILES 8192
#define STORE_MAX_SIZE  (256u << 20) /* bytes of a store */

enum store_use {
	STORE_SERVE, /* shown to clients of its listener */
	STORE_ALPN,  /* tls-alpn-01: shown for its name to who offers acme-tls/1 alone (RFC 8737) */
};

enum store_stamp {
	STORE_STAMP_CERT,
	STORE_STAMP_KEY,
	STORE_STAMP_OCSP,
	STORE_STAMPS,
};

struct store_cert {
	uint32_t use;      /* enum store_use */
	uint32_t listener; /* index in conf->listeners; UINT32_MAX: all */
	uint32_t source;   /* index in its tls.certs; the first one of source 0 is the default */
	bool ec;           /* key type: ECDSA or EdDSA, else RSA */
	struct str origin; /* for people: the path it came from */
	const struct str *names; /* lower case, DNS names and "*.x" */
	uint32_t nnames;
	const struct str *chain; /* DER, leaf first */
	uint32_t nchain;
	struct str key;                 /* DER, PKCS #8 */
	struct str ocsp;                /* DER; empty: none */
	uint64_t not_before, not_after; /* Unix time, seconds */
	uint8_t fingerprint[32];        /* SHA-256 of the leaf */
	struct str kind;                /* of the key, for people: "ECDSA P-256" */
	struct str note;                /* what is odd about it and served all the same */
	uint64_t ocsp_until;            /* Unix time, seconds; 0: no end */
	uint64_t stamps[STORE_STAMPS];  /* of its files, certs_file_stamp(); 0: not known */
};

#define STORE_TICKET_KEYS 8
#define STORE_TICKET_KEY  80 /* bytes: 16 name, 32 HMAC-SHA-256, 32 AES-256 */
struct store_tickets {
	uint32_t listener; /* index in conf->listeners */
	uint32_t n;        /* the first one encrypts, all decrypt */
	struct str name;   /* of the listener: by it keys are found again in the former store */
	bool own;          /* made by this node, to be rotated; else from a file */
	uint64_t made[STORE_TICKET_KEYS]; /* Unix time, ms */
	uint8_t keys[STORE_TICKET_KEYS][STORE_TICKET_KEY];
};

struct store_challenge { /* http-01 */
	struct str token;
	struct str answer; /* the key authorization */
};

struct store_file {      /* whole files that others need: authorities, CRLs, keys towards servers */
	struct str path; /* as configured */
	struct str bytes;
};

struct store {
	uint64_t number; /* grows with each that a node makes */
	const struct store_cert *certs;
	uint32_t ncerts;
	const struct store_tickets *tickets;
	uint32_t ntickets;
	const struct store_challenge *challenges;
	uint32_t nchallenges;
	const struct store_file *files;
	uint32_t nfiles;
	void *map; /* the mapping's own */
	size_t size;
};

/* Packs into a sealed memory file; *ret_fd is the caller's. OK, ERR_NOMEM, ERR_SYSTEM. */
int store_write(const struct store *s, int *ret_fd);
/* Whether two hold the same, whatever their numbers and stamps. -1: none. */
bool store_same(int a, int b);
/* Maps one read-only. OK, ERR_NOMEM, ERR_SYSTEM, ERR_INVALID (not one of ours). */
int store_map(int fd, struct store **ret);
void store_unmap(struct store *s);
/* The bytes of a file by its configured path; empty: not there. */
struct str store_file(const struct store *s, struct str path);

#endif
