/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the configuration aside: a child (the program executed again as `loader`) parses and
 * checks the file, so that neither its size nor a flaw of the parser touches the parent. It hands
 * back the problems as text and, where there is no error, the image.
 */
#ifndef CORE_LOADER_H
#define CORE_LOADER_H

#include "base/buf.h"
#include "core/helper.h"

#define LOADER_TIME (20 * NS_PER_S)

struct loader_answer {
	int err; /* OK: image is valid; ERR_INVALID: the file is; else why is in problems */
	unsigned errors;
	unsigned warnings;
	int image;           /* the caller's; -1: none */
	struct buf problems; /* the caller's */
};

/* Starts one. OK or ERR_SYSTEM. */
int loader_start(struct helper *l, const char *path, bool colour);
/* Takes the answer (blocks until it is there or `timeout_ns` passed) and ends the child. */
void loader_finish(struct helper *l, uint64_t timeout_ns, struct loader_answer *ret);
/* main() of the child: argv is the path and "1" for colour. */
int loader_main(int argc, char **argv);

#endif
