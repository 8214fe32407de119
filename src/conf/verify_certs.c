/* SPDX-License-Identifier: Apache-2.0 */
/* Files that TLS needs: whether they are there and hold what they should. Not in memory-only loads.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "conf/load.h"
#include "tls/cert.h"

#define DAY 86400ULL

typedef int check_fn(struct str pem, unsigned *ret_n, uint64_t *ret_until, char *why,
                     size_t why_size);

static uint64_t now(void)
{
	return clock_wall_ms() / 1000;
}

static const char *day(uint64_t s, char out[32])
{
	time_t t = (time_t)s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(out, 32, "%Y-%m-%d", &tm) == 0) {
		snprintf(out, 32, "?");
	}
	return out;
}

static void warn_dates(struct load *l, const struct node *n, uint64_t until)
{
	char text[32];

	if (until <= now()) {
		problem_warning(l->problems, n->at,
		                "the certificate expired on %s: clients refuse it",
		                day(until, text));
	} else if (until < now() + 14 * DAY) {
		problem_warning(l->problems, n->at, "the certificate expires on %s, in %llu days",
		                day(until, text), (unsigned long long)((until - now()) / DAY));
	}
}

/* Reads a certificate and its key; n: the map in which they are named. */
static void verify_pair(struct load *l, const struct node *n, struct str cert, struct str key)
{
	const struct node *at = node_get(n, "cert"), *at_key = node_get(n, "key");
	struct str chain, secret = STR_NONE;
	struct store_cert c = { 0 };
	char why[256], note[256];
	int err;

	if (!at || cert.len == 0 || load_file(l, at, cert, STORE_MAX_FILE, &chain) != OK ||
	    (at_key && load_file(l, at_key, key, STORE_MAX_FILE, &secret) != OK)) {
		return;
	}
	err = cert_parse(l->arena, chain, secret, NULL, &c, why, sizeof(why), note, sizeof(note));
	if (err != OK) {
		problem_error(l->problems, at->at, "\"%.*s\": %s", (int)MIN(cert.len, 200), cert.s,
		              why);
		return;
	}
	if (note[0]) {
		problem_warning(l->problems, at->at, "\"%.*s\": %s", (int)MIN(cert.len, 200),
		                cert.s, note);
	}
	warn_dates(l, at, c.not_after);
}

static void verify_file(struct load *l, const struct node *n, const char *key, struct str path,
                        check_fn *check)
{
	const struct node *at = node_get(n, key);
	uint64_t until = 0;
	struct str bytes;
	char why[256], text[32];
	unsigned count;

	if (!at || path.len == 0 || load_file(l, at, path, STORE_MAX_FILE, &bytes) != OK) {
		return;
	}
	if (check(bytes, &count, &until, why, sizeof(why)) != OK) {
		problem_error(l->problems, at->at, "\"%s\": \"%.*s\": %s", key,
		              (int)MIN(path.len, 200), path.s, why);
	} else if (until > 0 && until <= now() && check == cert_revocations) {
		problem_warning(l->problems, at->at,
		                "the list of revoked certificates was to be replaced by %s: no "
		                "client can be verified",
		                day(until, text));
	}
}

static void verify_dir(struct load *l, const struct node *n, struct str dir)
{
	const struct node *at = node_get(n, "dir");
	struct stat st;

	if (!at || dir.len == 0) {
		return;
	}
	if (stat(dir.s, &st) != 0 || !S_ISDIR(st.st_mode)) {
		problem_warning(l->problems, at->at,
		                "\"%.*s\": %s; until it is there no certificate of it is served",
		                (int)MIN(dir.len, 200), dir.s,
		                errno == ENOENT ? "there is no such folder" : "it is not a folder");
	}
}

static void verify_ticket_keys(struct load *l, const struct node *n, struct str path)
{
	static uint8_t keys[STORE_TICKET_KEYS][STORE_TICKET_KEY];
	const struct node *at = node_get(n, "ticket_keys");
	struct str bytes;
	uint32_t count;
	char why[256];

	if (at && path.len > 0 && load_file(l, at, path, STORE_MAX_FILE, &bytes) == OK &&
	    cert_ticket_keys(bytes, keys, &count, why, sizeof(why)) != OK) {
		problem_error(l->problems, at->at, "\"ticket_keys\": \"%.*s\": %s",
		              (int)MIN(path.len, 200), path.s, why);
	}
}

static void verify_clients(struct load *l, const struct node *n, const struct conf_client_certs *c)
{
	const struct node *at = n ? node_get(n, "client_certificates") : NULL;

	if (at && c->mode != CLIENT_CERTS_OFF) {
		verify_file(l, at, "ca", c->ca, cert_authorities);
		verify_file(l, at, "crl", c->crl, cert_revocations);
	}
}

void verify_cert_files(struct load *l, const struct conf_tls *t, const struct node *n)
{
	const struct node *certs = node_get(n, "certificates"), *hosts = node_get(n, "hosts");
	const struct node *item = certs && certs->kind == NODE_LIST ? certs->first : certs;

	if (l->offline || !t->on) {
		return;
	}
	for (uint32_t i = 0; item && i < t->ncerts; i++, item = item->next) {
		if (t->certs[i].kind == CERT_FILES) {
			verify_pair(l, item, t->certs[i].cert, t->certs[i].key);
		} else if (t->certs[i].kind == CERT_DIR) {
			verify_dir(l, item, t->certs[i].dir);
		}
	}
	verify_ticket_keys(l, n, t->ticket_keys);
	verify_clients(l, n, &t->clients);
	for (uint32_t i = 0; hosts && i < t->nhosts; i++) {
		verify_clients(l, node_get(hosts, t->hosts[i].name.s), &t->hosts[i].clients);
	}
}

void verify_pool_files(struct load *l, const struct conf_pool_tls *t, const struct node *n)
{
	if (!l->offline && t->on && n) {
		verify_file(l, n, "ca", t->ca, cert_authorities);
		verify_pair(l, n, t->cert, t->key);
	}
}
