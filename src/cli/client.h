/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests of commands to the node's control socket: HTTP with JSON answers. Blocks; used by the
 * process the user started, on its one thread.
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <jansson.h>

#include "base/buf.h"
#include "cli/command.h"

/* What came back, or why nothing did. */
struct cli_answer {
	long status;     /* HTTP status; 0: the node was not reached */
	struct buf body; /* the caller frees it with buf_free */
	char why[1024];  /* for the user, when status is 0 */
};

/* The control socket's path for these arguments. Returns out. */
const char *cli_socket(const struct cli_args *a, char *out, unsigned size);

/*
 * One request, quietly. body may be NULL (it stays the caller's). timeout_ms bounds the whole.
 * The caller frees ret->body.
 */
void cli_fetch(const struct cli_args *a, const char *method, const char *path, const json_t *body,
               unsigned timeout_ms, struct cli_answer *ret);

/*
 * One request whose failure ends the command: prints what went wrong and what to do to standard
 * error itself. body: taken over, may be NULL. On CLI_WELL *ret_answer (may be NULL) is the JSON
 * answer, the caller's to json_decref; on CLI_FAILED it is the refusal where the node sent one,
 * else NULL. Returns the exit status: CLI_WELL, CLI_FAILED, CLI_UNREACHABLE.
 */
int cli_call(const struct cli_args *a, const char *method, const char *path, json_t *body,
             json_t **ret_answer);

/* Prints JSON with a newline to standard output, indented for a terminal. */
void cli_print_json(const json_t *j);

/* A query string's value: percent-encodes all but unreserved characters. */
void cli_url_encode(struct buf *out, const char *text);

#endif
