/* SPDX-License-Identifier: Apache-2.0 */
/* What became of each order, in a file: so that a restart does not forget failures and ask at once
 * again, and so that control can tell people. Role acme, main thread. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "acme/impl.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "base/log.h"

#define STATUS_MAX (1u << 20)

const char *const acme_state_name[] = { "none", "valid", "ordering", "failed" };

uint64_t acme_now(void)
{
	return clock_wall_ms() / 1000;
}

/* --- reading -------------------------------------------------------------------------------- */

static uint64_t number(const json_t *j, const char *key)
{
	json_int_t n = json_integer_value(json_object_get(j, key));

	return n > 0 ? (uint64_t)n : 0;
}

static void text(const json_t *j, const char *key, char *out, size_t size)
{
	const char *s = json_string_value(json_object_get(j, key));

	snprintf(out, size, "%s", s ? s : "");
}

static bool is(const json_t *j, const char *key, struct str want)
{
	const char *s = json_string_value(json_object_get(j, key));

	return s && str_eq(str_from(s), want);
}

/* The process that ordered was killed, or the machine was: again at once, and again, would meet the
 * authority's limits. */
static void cut_off(struct acme_cert *c)
{
	acme_plan_failed(&c->plan, acme_now(), ORDER_UNREACHABLE, 0, (unsigned)random_below(1000));
	snprintf(c->error, sizeof(c->error), "the process ended in the middle of the order");
	c->error_type[0] = '\0';
	c->failures++;
	log_warning("acme_failed", c->name, "%s; it is tried again in %llu s", c->error,
	            (unsigned long long)(c->plan.not_yet - acme_now()));
}

/* What was learned under other settings says nothing about these: then it is tried at once. */
static void take(struct issuer *i, struct acme_cert *c, const json_t *j)
{
	char settings[32];

	c->orders = number(j, "orders");
	c->failures = number(j, "failures_total");
	c->jitter = (unsigned)(number(j, "jitter") % 1000);
	text(j, "settings", settings, sizeof(settings));
	if (strtoull(settings, NULL, 16) != c->plan.settings)
		return;
	c->plan.issued = number(j, "issued");
	c->plan.failures = (unsigned)MIN(number(j, "failures"), 1000);
	c->plan.failed = number(j, "failed");
	c->plan.not_yet = number(j, "not_before_retry");
	/* A clock that was far ahead once must not silence an issuer for years. */
	c->plan.not_yet = MIN(c->plan.not_yet, acme_now() + PLAN_LONGEST_ASKED);
	c->plan.issued = MIN(c->plan.issued, acme_now());
	text(j, "error", c->error, sizeof(c->error));
	text(j, "error_type", c->error_type, sizeof(c->error_type));
	if (i->a->fresh && is(j, "state", str_from(acme_state_name[ACME_ORDERING])))
		cut_off(c);
}

void acme_status_load(struct issuer *i)
{
	char path[FILES_PATH];
	struct buf b = BUF_INIT;
	json_t *root = NULL;
	const json_t *j;
	size_t k;

	snprintf(path, sizeof(path), "%s/" ACME_DIR_STATUS, i->a->role->state_dir);
	if (buf_read_file(&b, path, STATUS_MAX) == OK)
		root = json_loadb(b.p, b.len, JSON_REJECT_DUPLICATES, NULL);
	json_array_foreach (json_object_get(root, "certificates"), k, j) {
		for (unsigned n = 0; n < i->ncerts; n++) {
			struct acme_cert *c = &i->certs[n];

			if (is(j, "issuer", i->conf->name) && is(j, "name", str_from(c->name)))
				take(i, c, j);
		}
	}
	json_decref(root);
	buf_free(&b);
}

/* --- writing -------------------------------------------------------------------------------- */

static enum acme_state state_of(const struct acme_cert *c)
{
	if (c->ordering)
		return ACME_ORDERING;
	if (c->plan.failures > 0)
		return ACME_FAILED;
	return c->plan.not_after > 0 ? ACME_VALID : ACME_NONE;
}

static void put_number(struct buf *out, const char *key, uint64_t n)
{
	buf_printf(out, ",\"%s\":%llu", key, (unsigned long long)n);
}

static void put_text(struct buf *out, const char *key, struct str s)
{
	buf_printf(out, ",\"%s\":", key);
	buf_json(out, s);
}

static void put_cert(const struct issuer *i, const struct acme_cert *c, struct buf *out)
{
	char settings[32];

	snprintf(settings, sizeof(settings), "%016llx", (unsigned long long)c->plan.settings);
	buf_adds(out, "{\"issuer\":");
	buf_json(out, i->conf->name);
	put_text(out, "name", str_from(c->name));
	buf_adds(out, ",\"hosts\":[");
	for (uint32_t k = 0; k < c->hosts.n; k++) {
		buf_adds(out, k ? "," : "");
		buf_json(out, c->hosts.v[k]);
	}
	buf_addc(out, ']');
	put_text(out, "state", str_from(acme_state_name[state_of(c)]));
	put_number(out, "not_after", c->plan.not_after);
	put_number(out, "issued", c->plan.issued);
	put_number(out, "next",
	           acme_plan_due(&c->plan, i->conf->renew_before / NS_PER_S, c->jitter));
	put_number(out, "failures", c->plan.failures);
	put_number(out, "failed", c->plan.failed);
	put_number(out, "not_before_retry", c->plan.not_yet);
	put_text(out, "error", str_from(c->error));
	put_text(out, "error_type", str_from(c->error_type));
	put_number(out, "orders", c->orders);
	put_number(out, "failures_total", c->failures);
	put_number(out, "jitter", c->jitter);
	put_text(out, "settings", str_from(settings));
	buf_addc(out, '}');
}

void acme_status_save(struct acme *a)
{
	char path[FILES_PATH];
	struct buf b = BUF_INIT;
	const struct issuer *i;
	bool some = false;

	buf_adds(&b, "{\"certificates\":[");
	TAILQ_FOREACH (i, &a->issuers, link) {
		for (unsigned k = 0; k < i->ncerts && !i->retired; k++) {
			buf_adds(&b, some ? ",\n" : "\n");
			put_cert(i, &i->certs[k], &b);
			some = true;
		}
	}
	buf_adds(&b, "\n]}\n");
	snprintf(path, sizeof(path), "%s/" ACME_DIR_STATUS, a->role->state_dir);
	/* While the role ends, its successor's word counts: nothing new came since. */
	if (!a->draining && buf_write_file(&b, path, 0600) != OK)
		log_warning("acme_status", NULL, "cannot write %s: %s", path, strerror(errno));
	buf_free(&b);
}

void acme_status_rest(struct acme *a)
{
	struct issuer *i;
	bool some = false;

	TAILQ_FOREACH (i, &a->issuers, link) {
		if (i->cert != NULL) {
			some = true;
			i->cert->ordering = false;
		}
	}
	if (some)
		acme_status_save(a);
}
