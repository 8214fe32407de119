/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Helper processes of the parent: the program executed again for one task that the parent does not
 * do itself, because it parses what others wrote. A helper answers over its pair and ends; it dies
 * with its parent.
 */
#ifndef CORE_HELPER_H
#define CORE_HELPER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define HELPER_MAX_FDS 4

struct helper {
	pid_t pid; /* 0: none */
	int fd;    /* its pair: readable when it has an answer or has ended */
};

/* Starts one. argv as for `--role NAME …`. It finds its end of the pair at ROLE_FD_NUMBER_PARENT
 * and behind it the descriptors of fds, /dev/null for each -1; no others. OK or ERR_SYSTEM. */
int helper_start(struct helper *h, const char *const *argv, const int *fds, unsigned nfds);
/* Whether an answer, or its end, has come within that time. */
bool helper_wait(const struct helper *h, uint64_t timeout_ns);
/* Ends it, whatever it does, and waits for that; nothing where there is none. */
void helper_end(struct helper *h);

#endif
