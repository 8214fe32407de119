/* SPDX-License-Identifier: Apache-2.0 */
/* What an issuer does in its thread: keys, requests, records, files. What the thread reads is not
 * changed while it runs. Role acme. */
#include <openssl/evp.h>
#include <stdio.h>

#include "acme/dns.h"
#include "acme/impl.h"
#include "base/check.h"
#include "base/err.h"

static struct issuer *issuer_of(struct acme_job *job)
{
	return CONTAINER_OF(job, struct issuer, job);
}

static int begin(struct issuer *i, enum order_do what, void (*work)(struct acme_job *job))
{
	i->doing = what;
	i->job.work = work;
	i->job_err = OK;
	i->job_why[0] = '\0';
	return acme_job_start(&i->a->jobs, &i->job);
}

/* --- keys ----------------------------------------------------------------------------------- */

static int make_keys(struct issuer *i)
{
	const char *state = i->a->role->state_dir;

	if (acme_files_issuer(state, i->conf->name, i->job_why, sizeof(i->job_why)) != OK)
		return ERR_SYSTEM;
	if (!i->session.key)
		i->session.key =
		    acme_files_account(state, i->conf->name, i->job_why, sizeof(i->job_why));
	if (!i->session.key)
		return ERR_SYSTEM;
	i->key = acme_key_new((enum conf_acme_key)i->conf->key);
	if (!i->key || acme_thumbprint(i->session.key, i->session.thumbprint) != OK ||
	    acme_csr(i->key, &i->cert->hosts, &i->csr) != OK) {
		snprintf(i->job_why, sizeof(i->job_why), "OpenSSL makes no key or request");
		return ERR_SYSTEM;
	}
	return OK;
}

static void prepare(struct acme_job *job)
{
	struct issuer *i = issuer_of(job);

	i->job_err = make_keys(i);
}

int acme_work_prepare(struct issuer *i)
{
	return begin(i, ORDER_END, prepare);
}

/* --- requests ------------------------------------------------------------------------------- */

static void call(struct acme_job *job)
{
	struct issuer *i = issuer_of(job);

	acme_http_call(&i->curl, job, &i->call);
}

int acme_work_call(struct issuer *i, const struct order_action *act)
{
	static const char *const methods[] = { "GET", "HEAD", "POST" };

	i->call = (struct http_call){
		.method = methods[act->what],
		.url = act->url,
		.ca = i->conf->ca.len > 0 ? i->conf->ca.s : NULL,
		.type = act->what == ORDER_POST ? "application/jose+json" : NULL,
		.body = act->body,
		.clear = str_starts(i->conf->directory, STR("http://")),
	};
	return begin(i, act->what, call);
}

/* --- the certificate ------------------------------------------------------------------------ */

static int keep(struct issuer *i)
{
	char why[400];
	struct str chain = buf_str(&i->order.chain);
	int err = acme_leaf_check(chain, i->key, &i->cert->hosts, &i->leaf, why, sizeof(why));

	if (err == OK && i->leaf.not_after <= acme_now()) {
		snprintf(why, sizeof(why), "it has expired: is this machine's clock right?");
		err = ERR_INVALID;
	}
	if (err != OK) {
		snprintf(i->job_why, sizeof(i->job_why),
		         "the certificate that came is not taken: %s", why);
		return err;
	}
	return acme_files_store(i->a->role->state_dir, i->conf->name, i->cert->hosts.v[0], chain,
	                        i->key, i->job_why, sizeof(i->job_why));
}

static void store(struct acme_job *job)
{
	struct issuer *i = issuer_of(job);

	i->job_err = keep(i);
}

int acme_work_store(struct issuer *i)
{
	return begin(i, ORDER_STORE, store);
}

/* --- records -------------------------------------------------------------------------------- */

static void add_records(struct acme_job *job)
{
	struct issuer *i = issuer_of(job);

	i->job_err = acme_dns_add(i->conf, job, &i->order, i->job_why, sizeof(i->job_why));
}

static void remove_records(struct acme_job *job)
{
	struct issuer *i = issuer_of(job);

	i->job_err = acme_dns_remove(i->conf, job, &i->order, i->job_why, sizeof(i->job_why));
}

int acme_work_dns(struct issuer *i, bool add)
{
	return begin(i, add ? ORDER_PRESENT : ORDER_CLEAN, add ? add_records : remove_records);
}
