/* SPDX-License-Identifier: Apache-2.0 */
/* The role acme: its issuers, and what the parent says. Main thread. */
#include <stdio.h>
#include <stdlib.h>

#include "acme/acme.h"
#include "acme/impl.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#define DRAIN_PATIENCE (10 * NS_PER_S) /* for what is under way when the role ends */

static bool wanted(const struct conf *c)
{
	for (uint32_t i = 0; i < c->nissuers; i++) {
		if (acme_issuer_is_used(c, i))
			return true;
	}
	return false;
}

static bool send_ask(struct acme_jobs *jobs, struct acme_ask *ask)
{
	struct acme *a = CONTAINER_OF(jobs, struct acme, jobs);

	return role_send(a->role, IPC_EXEC, ask->id, &ask->x, sizeof(ask->x)) == OK;
}

/* --- configurations ------------------------------------------------------------------------- */

/* One that goes by just that part of a configuration already. */
static bool is_there(const struct acme *a, const struct conf *c, uint32_t index)
{
	const struct issuer *i;

	TAILQ_FOREACH (i, &a->issuers, link) {
		if (!i->retired && str_eq(i->conf->name, c->issuers[index].name) &&
		    i->settings == acme_issuer_settings(c, index))
			return true;
	}
	return false;
}

static bool goes_on(const struct issuer *i, const struct conf *c)
{
	for (uint32_t k = 0; k < c->nissuers; k++) {
		if (str_eq(c->issuers[k].name, i->conf->name))
			return acme_issuer_settings(c, k) == i->settings &&
			       acme_issuer_is_used(c, k);
	}
	return false;
}

/* Issuers whose part of the configuration is as before go on with what they do. */
static void take_conf(struct acme *a, const struct role_conf *rc)
{
	struct acme_conf *held = calloc(1, sizeof(*held));
	struct issuer *i;
	struct issuer *next;

	CHECK(held != NULL);
	*held = (struct acme_conf){ a->role, rc, 1 };
	/* First the new ones: what they take over of the failures of old ones is still there. */
	for (uint32_t k = 0; k < rc->conf->nissuers; k++) {
		if (!acme_issuer_is_used(rc->conf, k) || is_there(a, rc->conf, k))
			continue;
		i = acme_issuer_new(a, held, k);
		CHECK(i != NULL);
		TAILQ_INSERT_TAIL(&a->issuers, i, link);
	}
	for (i = TAILQ_FIRST(&a->issuers); i; i = next) {
		next = TAILQ_NEXT(i, link);
		if (!goes_on(i, rc->conf))
			acme_issuer_retire(i);
	}
	acme_conf_put(held);
	acme_status_save(a);
	TAILQ_FOREACH (i, &a->issuers, link) {
		acme_issuer_look(i);
	}
}

static int start(struct role *r, const struct role_conf *first, char *why, size_t why_size)
{
	struct acme *a = calloc(1, sizeof(*a));

	if (!a)
		return ERR_NOMEM;
	r->data = a;
	a->role = r;
	a->jobs.send = send_ask;
	TAILQ_INIT(&a->issuers);
	acme_http_init();
	if (acme_jobs_init(&a->jobs, r->loop) != OK)
		return ERR_SYSTEM;
	/* Without its folder the role still says what is wrong: each order fails with the reason.
	 */
	if (acme_files_prepare(r->state_dir, why, why_size) != OK)
		log_error("acme_failed", NULL, "%s", why);
	a->fresh = true;
	take_conf(a, first);
	a->fresh = false;
	role_ready(r);
	return OK;
}

static int prepare(struct role *r, const struct role_conf *next, char *why, size_t why_size)
{
	return OK;
}

static void commit(struct role *r)
{
	take_conf(r->data, r->conf);
}

static void forget(struct role *r)
{
}

/* --- the end -------------------------------------------------------------------------------- */

static void on_end(struct loop_timer *t)
{
	role_exit(CONTAINER_OF(t, struct acme, end)->role);
}

void acme_issuer_gone(struct acme *a)
{
	struct issuer *i;

	if (a->draining && TAILQ_EMPTY(&a->issuers))
		role_exit(a->role);
	TAILQ_FOREACH (i, &a->issuers, link) {
		acme_issuer_look(i); /* it may have waited for this one's end */
	}
}

static void drain(struct role *r)
{
	struct acme *a = r->data;
	struct issuer *i;
	struct issuer *next;

	acme_status_rest(a);
	a->draining = true;
	a->end.fn = on_end;
	loop_timer_set(r->loop, &a->end, DRAIN_PATIENCE);
	if (TAILQ_EMPTY(&a->issuers))
		role_exit(r);
	for (i = TAILQ_FIRST(&a->issuers); i; i = next) {
		next = TAILQ_NEXT(i, link);
		acme_issuer_retire(i);
	}
}

/* --- messages ------------------------------------------------------------------------------- */

static void on_issued(struct acme *a, const struct ipc_msg *m)
{
	struct ipc_result result = { .err = OK };
	struct issuer *i;
	struct issuer *next;

	if (m->len > 0 && !ipc_result(m, &result))
		return;
	for (i = TAILQ_FIRST(&a->issuers); i; i = next) {
		next = TAILQ_NEXT(i, link);
		acme_issuer_issued(i, m->id, result.err, result.text);
	}
}

static void message(struct role *r, struct ipc_msg *m)
{
	struct acme *a = r->data;
	struct ipc_exec x;

	if (m->type == IPC_ISSUED) {
		on_issued(a, m);
	} else if (m->type == IPC_EXECUTED && ipc_payload(m, &x, sizeof(x))) {
		x.output[sizeof(x.output) - 1] = '\0';
		acme_answered(&a->jobs, m->id, x.status, x.output);
	}
}

const struct role_ops acme_role = {
	.name = "acme",
	.keeps_conf = true,
	.folder = ACME_DIR,
	.wanted = wanted,
	.start = start,
	.prepare = prepare,
	.commit = commit,
	.abort = forget,
	.drain = drain,
	.message = message,
};
