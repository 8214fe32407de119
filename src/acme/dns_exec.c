/* SPDX-License-Identifier: Apache-2.0 */
/* Records by a program of the user's. This role may start nothing: the parent runs it, as the user
 * that the configuration names. Role acme, a job's thread. */
#include <stdio.h>

#include "acme/dns.h"
#include "acme/impl.h"
#include "base/err.h"

static int set(struct dns_task *t)
{
	struct acme_ask ask = { .x.remove = t->remove };
	int err;

	snprintf(ask.x.issuer, sizeof(ask.x.issuer), "%.*s", STR_ARG(t->issuer->name));
	snprintf(ask.x.name, sizeof(ask.x.name), "%s", t->name);
	snprintf(ask.x.value, sizeof(ask.x.value), "%s", t->value);
	/* The parent ends it at its time limit; it may have to wait for its turn before. */
	err = acme_ask(t->job, &ask, 2 * ACME_EXEC_MS);
	if (err != OK)
		snprintf(t->why, sizeof(t->why), "the program has not been run: %s", err_text(err));
	else if (ask.status > 0)
		snprintf(t->why, sizeof(t->why), "the program ended with exit status %d%s%s",
		         ask.status, ask.output[0] ? ": " : "", ask.output);
	else if (ask.status < 0)
		snprintf(t->why, sizeof(t->why), "the program failed: %s", ask.output);
	return err == OK && ask.status != 0 ? ERR_REFUSED : err;
}

const struct dns_provider dns_exec = { "exec", set };
