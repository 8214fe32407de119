/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Certificates on the board: what is served, from where, until when, and what is wrong with its
 * source. One table, rewritten as a whole by the parent when something has changed.
 */
#ifndef STAT_CERT_H
#define STAT_CERT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BOARD_MAX_CERTS 16384 /* further ones are counted only */

enum cert_from { /* where it comes from; the first four as enum conf_cert_kind */
	         CERT_FROM_FILES,
	         CERT_FROM_DIR,
	         CERT_FROM_ACME,
	         CERT_FROM_INTERNAL,
	         CERT_FROM_CLIENT, /* shown to servers, or another file that TLS needs */
	         CERT_FROMS
};
extern const char *const cert_from_name[CERT_FROMS];

enum cert_stage { /* how near its end is: an event each */
	          CERT_STAGE_WELL,
	          CERT_STAGE_SOON,   /* less than 14 days, of a short-lived one less than a third of
	                                its life */
	          CERT_STAGE_URGENT, /* less than 7 days, or an eighth of its life */
	          CERT_STAGE_OVER,
	          CERT_STAGES
};
extern const char *const cert_stage_name[CERT_STAGES]; /* "well", "soon", "urgent", "expired" */

struct board_cert {
	char listener[64]; /* "": of no listener */
	char origin[256];  /* path, or what it is */
	char names[256];   /* "a.test, *.b.test"; cut with "…" */
	uint32_t nnames;
	uint8_t from;                   /* enum cert_from */
	uint8_t stage;                  /* enum cert_stage */
	uint8_t serving;                /* there is one; else only the problem */
	uint64_t not_before, not_after; /* Unix time, s */
	char key[24];                   /* "ECDSA P-256" */
	char problem[256];              /* why the source's present contents are not taken; "" */
	char note[128];                 /* what is odd about it and served all the same; "" */
	uint8_t fingerprint[32];        /* SHA-256 of the leaf */
};

struct board_certs {
	_Atomic uint32_t seq; /* odd while the parent rewrites what follows */
	uint32_t n;
	uint32_t more;       /* that found no room */
	uint64_t number;     /* of the store */
	char authority[256]; /* file with the certificate of the local authority; "": none */
	struct board_cert v[BOARD_MAX_CERTS];
};

enum cert_stage cert_stage_of(uint64_t not_before, uint64_t not_after, uint64_t now);

struct board;
struct board_certs *board_certs(struct board *b);
/* Writes the table: parent only. */
void board_certs_write(struct board *b, const struct board_cert *v, uint32_t n, uint32_t more,
                       uint64_t number, const char *authority);
/* A copy without tears, to be free()d; NULL: none yet, or out of memory. */
struct board_certs *board_certs_read(struct board *b);

#endif
