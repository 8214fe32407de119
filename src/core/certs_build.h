/* SPDX-License-Identifier: Apache-2.0 */
/* The making of a store, shared by its files (certs_build, certs_dir, certs_own, certs_helper). All
 * of it runs in the helper. */
#ifndef CORE_CERTS_BUILD_H
#define CORE_CERTS_BUILD_H

#include "base/arena.h"
#include "conf/conf.h"
#include "stat/cert.h"
#include "tls/store.h"

#define BUILD_NO_LISTENER UINT32_MAX

struct build {
	struct arena *arena;
	const struct conf *conf;
	const struct store *former; /* NULL: none */
	const char *state_dir;
	uint64_t now_ms;  /* Unix time */
	uint64_t next_ms; /* when something has to be made anew; 0: never */
	struct store_cert *certs;
	uint32_t ncerts, room_certs;
	struct store_tickets *tickets;
	uint32_t ntickets, room_tickets;
	struct store_challenge *challenges;
	uint32_t nchallenges, room_challenges;
	struct store_file *files;
	uint32_t nfiles, room_files;
	uint32_t files_of_check; /* the first ones: what the role check needs */
	struct board_cert *entries;
	uint32_t nentries, room_entries;
	uint32_t more;                       /* certificates that found no room */
	const struct store_cert **by_origin; /* the former's, sorted */
	uint32_t nby_origin;
	char authority[256];
	bool has_leaf; /* of the local authority */
	struct store_cert leaf;
	char leaf_problem[256];
	int err; /* ERR_NOMEM: it is of no use */
};

/* Where a certificate is to come from. */
struct build_pair {
	uint32_t listener; /* BUILD_NO_LISTENER: a challenge */
	uint32_t source;
	enum cert_from from;
	const char *cert; /* path: its origin */
	const char *key;  /* NULL: in cert's */
	const char *ocsp; /* NULL: cert's path with .ocsp, if there is one */
	const char
	    *folder; /* not NULL: cert and key are relative to it, and no links are followed */
};

/* Everything for b->conf; what it allocates goes with the process. */
void build_all(struct build *b);

/* A line on the board. */
struct board_cert *build_entry(struct build *b, uint32_t listener, enum cert_from from,
                               const char *origin);
/* That certificate is served; fills in the line too. */
void build_push(struct build *b, const struct store_cert *c, uint32_t listener, uint32_t source,
                struct board_cert *e);
/* Reads a pair and takes it, or what the former store had of it, or only says what is wrong. */
void build_pair(struct build *b, const struct build_pair *p);
/* What the former store had from there; NULL: nothing. */
const struct store_cert *build_former(const struct build *b, const char *origin);
/* certs_dir.c */
void build_dir(struct build *b, uint32_t listener, uint32_t source, struct str dir);
/* certs_acme.c */
void build_acme(struct build *b, uint32_t listener, uint32_t source, const struct conf_cert *c);
void build_challenges(struct build *b);
/* certs_own.c */
void build_internal(struct build *b, uint32_t listener, uint32_t source);
void build_tickets(struct build *b);
/* certs_named.c: files for the role check first, then those that only the proxy needs. */
void build_files(struct build *b);

/* Room for one more in a malloc'd array; false: no memory, noted. */
bool build_room(struct build *b, void **v, uint32_t n, uint32_t *room, size_t size);

#endif
