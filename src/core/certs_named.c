/* SPDX-License-Identifier: Apache-2.0 */
/* Files that are handed on as they are, once it is sure that they are what they should be:
 * authorities, lists of revoked certificates, certificates shown to servers. In the helper. */
#include <stdio.h>

#include "base/err.h"
#include "core/certs_build.h"
#include "core/certs_files.h"
#include "tls/cert.h"

typedef int check_fn(struct str pem, unsigned *ret_n, uint64_t *ret_until, char *why,
                     size_t why_size);

static bool have(const struct build *b, struct str path)
{
	for (uint32_t i = 0; i < b->nfiles; i++) {
		if (str_eq(b->files[i].path, path))
			return true;
	}
	return false;
}

static void add(struct build *b, struct str path, struct str bytes)
{
	if (b->nfiles < STORE_MAX_FILES && !have(b, path) &&
	    build_room(b, (void **)&b->files, b->nfiles, &b->room_files, sizeof(*b->files)))
		b->files[b->nfiles++] = (struct store_file){ path, bytes };
}

/* What the former store had of a file; false: nothing. */
static bool add_former(struct build *b, struct str path)
{
	struct str bytes = b->former ? store_file(b->former, path) : STR_NONE;

	if (bytes.len == 0)
		return false;
	add(b, path, bytes);
	return true;
}

static void refuse(struct build *b, struct str path, const char *why)
{
	struct board_cert *e = build_entry(b, BUILD_NO_LISTENER, CERT_FROM_CLIENT, path.s);

	snprintf(e->problem, sizeof(e->problem), "%.250s", why);
}

static void one(struct build *b, struct str path, check_fn *check)
{
	uint64_t until = 0;
	struct str bytes;
	char why[200];
	unsigned n;
	int err;

	if (path.len == 0 || have(b, path))
		return;
	err = certs_file_read(b->arena, path.s, STORE_MAX_FILE, &bytes, why, sizeof(why));
	if (err == OK)
		err = check(bytes, &n, &until, why, sizeof(why));
	if (err == OK) {
		add(b, path, bytes);
		/* RFC 5280 6.3.3: a list whose time is over says nothing, and nobody gets in */
		if (check == cert_revocations && until > 0 && until <= b->now_ms / 1000)
			refuse(b, path,
			       "the list of revoked certificates is outdated: clients "
			       "cannot be verified");
		return;
	}
	refuse(b, path, why);
	add_former(b, path);
}

/* Certificate and key together: one without the other would break what works. */
static void pair(struct build *b, struct str cert, struct str key)
{
	struct store_cert c = { 0 };
	struct str chain, secret = STR_NONE;
	struct board_cert *e;
	char why[256], note[256];
	int err;

	if (cert.len == 0 || have(b, cert))
		return;
	err = certs_file_read(b->arena, cert.s, STORE_MAX_FILE, &chain, why, sizeof(why));
	if (err == OK && key.len > 0)
		err = certs_file_read(b->arena, key.s, STORE_MAX_FILE, &secret, why, sizeof(why));
	if (err == OK)
		err = cert_parse(b->arena, chain, secret, NULL, &c, why, sizeof(why), note,
		                 sizeof(note));
	if (err != OK) {
		refuse(b, cert, why);
		if (add_former(b, cert) && key.len > 0)
			add_former(b, key);
		return;
	}
	add(b, cert, chain);
	if (key.len > 0)
		add(b, key, secret);
	e = build_entry(b, BUILD_NO_LISTENER, CERT_FROM_CLIENT, cert.s);
	e->not_before = c.not_before;
	e->not_after = c.not_after;
	e->stage = (uint8_t)cert_stage_of(c.not_before, c.not_after, b->now_ms / 1000);
	e->serving = 1;
	memcpy(e->fingerprint, c.fingerprint, sizeof(e->fingerprint));
	snprintf(e->key, sizeof(e->key), "%.*s", STR_ARG(c.kind));
	if (e->stage == CERT_STAGE_OVER)
		snprintf(e->problem, sizeof(e->problem), "it has expired");
}

static void of_pool(struct build *b, const struct conf_pool *p)
{
	const struct conf_pool_tls *all[] = { &p->tls, &p->check.tls };

	for (unsigned i = 0; i < 2; i++) {
		if (!all[i]->on)
			continue;
		one(b, all[i]->ca, cert_authorities);
		pair(b, all[i]->cert, all[i]->key);
	}
}

static void of_clients(struct build *b, const struct conf_client_certs *c)
{
	if (c->mode == CLIENT_CERTS_OFF)
		return;
	one(b, c->ca, cert_authorities);
	one(b, c->crl, cert_revocations);
}

void build_files(struct build *b)
{
	const struct conf *c = b->conf;

	for (uint32_t i = 0; i < c->npools; i++)
		of_pool(b, &c->pools[i]);
	for (uint32_t i = 0; i < c->nchecks; i++)
		of_pool(b, &c->checks[i]);
	b->files_of_check = b->nfiles;
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		const struct conf_tls *t = &c->listeners[i].tls;

		if (!t->on)
			continue;
		of_clients(b, &t->clients);
		for (uint32_t k = 0; k < t->nhosts; k++)
			of_clients(b, &t->hosts[k].clients);
	}
}
