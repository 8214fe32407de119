/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An issuer: its certificates, one order at a time. Drives the machine of an order (order.h): gives
 * its requests to threads, and tells it what came of them. Role acme, main thread.
 */
#include <openssl/evp.h>
#include <stdio.h>

#include "acme/impl.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

static void drive(struct issuer *i);

static uint64_t seconds(const struct issuer *i)
{
	return i->a->role->loop->now / NS_PER_S;
}

static const char *object(const struct issuer *i, char out[160])
{
	snprintf(out, 160, "%.*s/%.90s", STR_ARG(i->conf->name), i->cert ? i->cert->name : "");
	return out;
}

/* --- one order ------------------------------------------------------------------------------ */

static void wait(struct issuer *i, enum issuer_phase phase, uint64_t ns)
{
	i->phase = phase;
	loop_timer_set(i->a->role->loop, &i->timer, ns);
}

static void report_failure(struct issuer *i, struct acme_cert *c, enum order_failure how)
{
	uint64_t now = acme_now();
	uint64_t until = c->plan.not_yet > now ? c->plan.not_yet - now : 0;
	char span[32];
	char name[160];
	char left[96] = "there is none so far";

	clock_format_span(until * NS_PER_S, span);
	if (c->plan.not_after > now) {
		char life[32];

		clock_format_span((c->plan.not_after - now) * NS_PER_S, life);
		snprintf(left, sizeof(left), "the present one is valid for another %s", life);
	}
	log_warning("acme_failed", object(i, name), "%s%s%s; next try in %s; %s",
	            c->error_type[0] ? c->error_type : "", c->error_type[0] ? ": " : "", c->error,
	            span, left);
	(void)how;
}

static void report_success(const struct issuer *i, const struct acme_cert *c, bool renewed)
{
	uint64_t now = acme_now();
	char life[32];
	char next[32];
	char name[160];
	uint64_t due = acme_plan_due(&c->plan, i->conf->renew_before / NS_PER_S, c->jitter);

	clock_format_span((c->plan.not_after > now ? c->plan.not_after - now : 0) * NS_PER_S, life);
	clock_format_span((due > now ? due - now : 0) * NS_PER_S, next);
	log_notice(renewed ? "acme_renewed" : "acme_issued", object(i, name),
	           "certificate %s for %u host%s, valid for %s, to be renewed in %s",
	           i->leaf.serial, c->hosts.n, c->hosts.n == 1 ? "" : "s", life, next);
}

/* The order under way is over, however: takes down what came of it. */
static void end_order(struct issuer *i, enum order_failure how, const char *type, const char *text,
                      uint64_t retry_after)
{
	struct acme_cert *c = i->cert;
	uint64_t now = acme_now();

	if (how == ORDER_WELL) {
		bool renewed = c->plan.not_after > 0;

		acme_plan_issued(&c->plan, now, i->leaf.not_before, i->leaf.not_after);
		c->error[0] = c->error_type[0] = '\0';
		c->orders++;
		report_success(i, c, renewed);
	} else if (!i->retired) {
		acme_plan_failed(&c->plan, now, how, retry_after, (unsigned)random_below(1000));
		snprintf(c->error, sizeof(c->error), "%s", text);
		snprintf(c->error_type, sizeof(c->error_type), "%s", type);
		c->failures++;
		report_failure(i, c, how);
	}
	if (i->begun)
		acme_order_free(&i->order);
	i->begun = false;
	EVP_PKEY_free(i->key);
	i->key = NULL;
	buf_free(&i->csr);
	c->ordering = false;
	i->cert = NULL;
	i->phase = ISSUER_IDLE;
	acme_status_save(i->a);
	acme_issuer_look(i);
}

static void fail_local(struct issuer *i, const char *why)
{
	end_order(i, ORDER_UNREACHABLE, "", why, 0);
}

static int tell_parent(struct issuer *i)
{
	i->asked = ++i->a->ids;
	return role_send(i->a->role, IPC_ISSUED, i->asked, NULL, 0);
}

/* Files for http-01 and tls-alpn-01; the proxies must have them before the authority looks. */
static void present(struct issuer *i)
{
	char why[FILES_PATH + 128];
	int err = OK;

	if (i->conf->challenge == ACME_DNS_01) {
		i->phase = ISSUER_JOB;
		if (acme_work_dns(i, true) != OK)
			acme_order_did(&i->order, seconds(i), ORDER_PRESENT, ERR_SYSTEM,
			               "no thread");
		return;
	}
	for (unsigned k = 0; k < i->order.nauths && err == OK; k++) {
		if (acme_order_needs(&i->order.auths[k]))
			err = acme_files_present(i->a->role->state_dir, i->conf, &i->order.auths[k],
			                         why, sizeof(why));
	}
	if (err == OK && tell_parent(i) != OK) {
		snprintf(why, sizeof(why), "the parent is away: nobody would serve the challenge");
		err = ERR_CLOSED;
	}
	if (err == OK)
		wait(i, ISSUER_ISSUED, ACME_ISSUED_WAIT);
	else
		acme_order_did(&i->order, seconds(i), ORDER_PRESENT, err, why);
}

static void clean(struct issuer *i)
{
	if (i->conf->challenge == ACME_DNS_01) {
		i->phase = ISSUER_JOB;
		if (acme_work_dns(i, false) != OK)
			acme_order_did(&i->order, seconds(i), ORDER_CLEAN, OK, "");
		return;
	}
	for (unsigned k = 0; k < i->order.nauths; k++) {
		if (i->order.auths[k].token[0])
			acme_files_clean(i->a->role->state_dir, i->conf, &i->order.auths[k]);
	}
	tell_parent(i);
	i->asked = 0; /* nothing waits for it */
	acme_order_did(&i->order, seconds(i), ORDER_CLEAN, OK, "");
}

static void end_by_machine(struct issuer *i)
{
	struct order *o = &i->order;
	char type[sizeof(o->error_type)];
	char text[sizeof(o->error)];

	if (o->failed == ORDER_WELL)
		tell_parent(i);
	memcpy(type, o->error_type, sizeof(type));
	memcpy(text, o->error, sizeof(text));
	end_order(i, o->failed, type, text, o->retry_after);
}

/* Does what the machine says until something has to be waited for. */
static void drive(struct issuer *i)
{
	struct order_action act;
	int err;

	i->phase = ISSUER_IDLE;
	while (i->phase == ISSUER_IDLE) {
		acme_order_next(&i->order, seconds(i), &act);
		switch (act.what) {
		case ORDER_GET:
		case ORDER_HEAD:
		case ORDER_POST:
		case ORDER_STORE:
			i->phase = ISSUER_JOB;
			err =
			    act.what == ORDER_STORE ? acme_work_store(i) : acme_work_call(i, &act);
			if (err == OK)
				break;
			i->phase = ISSUER_IDLE;
			acme_order_give_up(&i->order, "there is no thread or memory for it");
			break;
		case ORDER_PRESENT:
			present(i);
			break;
		case ORDER_CLEAN:
			clean(i);
			break;
		case ORDER_WAIT:
			wait(i, ISSUER_PAUSE, act.wait * NS_PER_S);
			break;
		case ORDER_END:
			end_by_machine(i);
			return;
		}
	}
}

/* Keys are there, the request for the certificate is written. */
static void prepared(struct issuer *i)
{
	if (i->job_err != OK || i->retired) {
		fail_local(i, i->job_why);
		return;
	}
	if (acme_order_begin(&i->order, &i->session, &i->cert->hosts, buf_str(&i->csr)) != OK) {
		fail_local(i, "out of memory");
		return;
	}
	i->begun = true;
	drive(i);
}

void acme_issuer_job_done(struct acme_job *job)
{
	struct issuer *i = CONTAINER_OF(job, struct issuer, job);
	struct order_answer a;

	i->phase = ISSUER_IDLE;
	if (!i->begun) {
		prepared(i);
		return;
	}
	switch (i->doing) {
	case ORDER_GET:
	case ORDER_HEAD:
	case ORDER_POST:
		a = (struct order_answer){ i->call.err,
			                   i->call.why,
			                   i->call.status,
			                   i->call.nonce,
			                   i->call.location,
			                   i->call.retry_after,
			                   buf_str(&i->call.answer) };
		acme_order_answer(&i->order, seconds(i), &a);
		buf_free(&i->call.answer);
		break;
	default:
		if (i->doing == ORDER_CLEAN && i->job_err != OK)
			log_warning("acme_dns", i->cert->name, "a record is left behind: %s",
			            i->job_why);
		acme_order_did(&i->order, seconds(i), i->doing, i->job_err, i->job_why);
		break;
	}
	drive(i);
}

void acme_issuer_issued(struct issuer *i, uint32_t id, int err, const char *why)
{
	if (i->phase != ISSUER_ISSUED || id != i->asked)
		return;
	loop_timer_stop(i->a->role->loop, &i->timer);
	acme_order_did(&i->order, seconds(i), ORDER_PRESENT, err, why);
	drive(i);
}

/* --- when ----------------------------------------------------------------------------------- */

static void begin(struct issuer *i, struct acme_cert *c)
{
	char name[160];

	i->cert = c;
	c->ordering = true;
	log_info("acme_order", object(i, name), "%s by %.*s",
	         c->plan.not_after > 0 ? "renewing" : "ordering", STR_ARG(i->conf->directory));
	acme_status_save(i->a);
	i->phase = ISSUER_JOB;
	if (acme_work_prepare(i) != OK)
		fail_local(i, "there is no thread for it");
}

/* Another one of that name still ends what it does: both would use the same folder. */
static bool must_wait(const struct issuer *i)
{
	const struct issuer *o;

	TAILQ_FOREACH (o, &i->a->issuers, link) {
		if (o != i && o->retired && str_eq(o->conf->name, i->conf->name))
			return true;
	}
	return i->a->role->parent < 0;
}

void acme_issuer_look(struct issuer *i)
{
	uint64_t now = acme_now();
	uint64_t before = i->conf->renew_before / NS_PER_S;
	uint64_t earliest = UINT64_MAX;
	struct acme_cert *first = NULL;

	if (i->phase != ISSUER_IDLE || i->cert)
		return;
	if (i->retired) {
		loop_timer_stop(i->a->role->loop, &i->timer);
		i->gone.fn = acme_issuer_on_gone;
		if (!i->gone.queued)
			loop_defer(i->a->role->loop, &i->gone);
		return;
	}
	for (unsigned k = 0; k < i->ncerts; k++) {
		uint64_t due = acme_plan_due(&i->certs[k].plan, before, i->certs[k].jitter);

		if (due < earliest) {
			earliest = due;
			first = &i->certs[k];
		}
	}
	if (first && earliest <= now && !must_wait(i))
		begin(i, first);
	else if (first)
		loop_timer_set(i->a->role->loop, &i->timer,
		               earliest <= now ? NS_PER_S
		                               : MIN((earliest - now) * NS_PER_S, ACME_LOOK));
}

void acme_issuer_on_timer(struct loop_timer *t)
{
	struct issuer *i = CONTAINER_OF(t, struct issuer, timer);

	switch (i->phase) {
	case ISSUER_PAUSE:
		drive(i);
		break;
	case ISSUER_ISSUED:
		acme_issuer_issued(i, i->asked, ERR_TIMEOUT,
		                   "the proxies have not taken the challenge in time");
		break;
	case ISSUER_IDLE:
		acme_issuer_look(i);
		break;
	case ISSUER_JOB:
		break;
	}
}

void acme_issuer_retire(struct issuer *i)
{
	if (i->retired)
		return;
	i->retired = true;
	if (i->begun)
		acme_order_give_up(&i->order, "the configuration has changed, or the node ends");
	switch (i->phase) {
	case ISSUER_IDLE:
		acme_issuer_look(i);
		break;
	case ISSUER_JOB:
		if (!(i->begun && i->doing == ORDER_CLEAN))
			acme_job_stop(&i->job);
		break;
	case ISSUER_PAUSE:
	case ISSUER_ISSUED:
		loop_timer_stop(i->a->role->loop, &i->timer);
		drive(i);
		break;
	}
}
