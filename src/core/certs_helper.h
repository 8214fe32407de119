/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making a store of certificates aside: a child (the program executed again as `certs`) reads all
 * the files that a configuration names and makes a sealed store out of them and of the former one,
 * so that neither the size of a folder nor a flaw of a parser touches the parent, and no role needs
 * the right to read keys. It keeps the parent's rights and gains none; its time and memory are
 * limited.
 */
#ifndef CORE_CERTS_HELPER_H
#define CORE_CERTS_HELPER_H

#include "core/helper.h"
#include "stat/cert.h"

#define CERTS_TIME 60 /* s; 16,000 pairs of P-256 take 15 s of a core when all are new */

struct certs_answer {
	int err;          /* OK, or why there is no answer */
	bool changed;     /* there are new stores; else the former ones say the same */
	int store;        /* the caller's; -1: none */
	int files;        /* the part of it that the role check gets */
	uint64_t number;  /* of the store */
	uint64_t next_ms; /* Unix time at which something has to be made anew; 0: never */
	char authority[256];
	struct board_cert *entries; /* malloc'd */
	uint32_t nentries, more;
};

/* Starts one for a configuration (an image), with the former store (-1: none). OK or ERR_SYSTEM. */
int certs_start(struct helper *j, int image, int former, const char *state_dir);
/* Takes the answer (blocks until it is there or the time is over) and ends the child. */
void certs_finish(struct helper *j, uint64_t timeout_ns, struct certs_answer *ret);
/* Closes and frees what an answer holds. */
void certs_answer_drop(struct certs_answer *a);

/* main() of the child: argv is the state folder. */
int certs_main(int argc, char **argv);

#endif
