/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677) without channel binding, as PostgreSQL
 * uses it: the user's name travels elsewhere. Pure but for the nonce.
 */
#ifndef CHECK_SCRAM_H
#define CHECK_SCRAM_H

#include <stdint.h>

#include "base/buf.h"

#define SCRAM_MAX_ROUNDS 100000 /* PostgreSQL's default is 4096; each costs us time */
#define SCRAM_NONCE      24     /* characters */

struct scram {
	char nonce[SCRAM_NONCE + 1];
	uint8_t server[32]; /* the signature that the server has to show */
};

/* The client's first message. The nonce is made by RAND_bytes unless given. OK or ERR_SYSTEM. */
int scram_first(struct scram *s, const char *nonce, struct buf *out);
/* The answer to the server's first message. OK, or ERR_SYNTAX where that is none, ERR_TOO_LARGE
 * where it asks for too much work, ERR_SYSTEM. */
int scram_final(struct scram *s, struct str server_first, struct str password, struct buf *out);
/* Whether the server's last message proves that it knows the password, too. */
bool scram_proved(const struct scram *s, struct str server_final);

#endif
