/* SPDX-License-Identifier: Apache-2.0 */
/* `holdfast whoami`: a test web server that says who answered, with switches for failures. */
#ifndef LAB_WHOAMI_H
#define LAB_WHOAMI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lab_whoami_options {
	const char *bind;    /* "127.0.0.1:8081", "*:80", "unix:/path" */
	const char *name;    /* NULL: the bound address */
	const char *record;  /* file that gets a line "METHOD ID" for each X-Test-Id; NULL: none */
	uint64_t latency_ns; /* before each answer */
	bool jitter;         /* the latency varies between half and one and a half */
	unsigned error_percent; /* of the requests get error_status */
	unsigned error_status;
	unsigned hang_percent; /* of the requests get no answer */
	uint64_t size;         /* least size of the page, bytes; at most 1 MiB */
	bool close;            /* close the connection after each answer */
	uint64_t idle_ns;      /* kept connections are closed after that time */
	unsigned threads;      /* 1 … 64 */
};

/* Its long bodies (/bytes/N, /slow/N …) repeat this text: the byte at position p is text[p % size].
 */
#define LAB_WHOAMI_TEXT 65536
void lab_whoami_text(char *out, size_t size);

/* What `--error`, `--latency` and the like stand at when nothing is said. */
struct lab_whoami_options lab_whoami_defaults(void);

/*
 * Serves until SIGTERM or SIGINT. Returns 0, or 1 after a message on stderr that says what failed.
 * The address it listens on is printed to stdout, one line.
 */
int lab_whoami(const struct lab_whoami_options *o);

#endif
