/* SPDX-License-Identifier: Apache-2.0 */
/* Making a store: pairs, and what each listener has of them. In the helper. */
#include "core/certs_build.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/check.h"
#include "base/err.h"
#include "core/certs_files.h"
#include "tls/cert.h"

#define EARLY 300 /* s by which a certificate may be ahead of this clock */

bool build_room(struct build *b, void **v, uint32_t n, uint32_t *room, size_t size)
{
	void *p;

	if (n < *room)
		return true;
	p = realloc(*v, (*room * 2 + 16) * size);
	if (!p) {
		b->err = ERR_NOMEM;
		return false;
	}
	*v = p;
	*room = *room * 2 + 16;
	return true;
}

/* --- the former store ----------------------------------------------------------------------- */

static int compare_origins(const void *a, const void *b)
{
	return str_compare((*(const struct store_cert *const *)a)->origin,
	                   (*(const struct store_cert *const *)b)->origin);
}

static void index_former(struct build *b)
{
	uint32_t n = b->former ? b->former->ncerts : 0;

	b->by_origin = calloc(n + 1, sizeof(*b->by_origin));
	if (!b->by_origin) {
		b->err = ERR_NOMEM;
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		b->by_origin[b->nby_origin++] = &b->former->certs[i];
	qsort(b->by_origin, b->nby_origin, sizeof(struct store_cert *), compare_origins);
}

const struct store_cert *build_former(const struct build *b, const char *origin)
{
	struct store_cert want = { .origin = str_from(origin) };
	const struct store_cert *key = &want, *const * found;

	found = b->nby_origin > 0 ? bsearch(&key, b->by_origin, b->nby_origin,
	                                    sizeof(struct store_cert *), compare_origins)
	                          : NULL;
	return found ? *found : NULL;
}

/* --- the board's lines ---------------------------------------------------------------------- */

struct board_cert *build_entry(struct build *b, uint32_t listener, enum cert_from from,
                               const char *origin)
{
	static struct board_cert nowhere;
	struct board_cert *e;

	if (!build_room(b, (void **)&b->entries, b->nentries, &b->room_entries, sizeof(*e)))
		return &nowhere;
	e = &b->entries[b->nentries++];
	*e = (struct board_cert){ .from = (uint8_t)from };
	if (listener != BUILD_NO_LISTENER)
		snprintf(e->listener, sizeof(e->listener), "%s",
		         b->conf->listeners[listener].name.s);
	snprintf(e->origin, sizeof(e->origin), "%s", origin);
	return e;
}

static void join_names(const struct store_cert *c, char *out, size_t size)
{
	size_t used = 0;

	out[0] = '\0';
	for (uint32_t i = 0; i < c->nnames; i++) {
		if (used + c->names[i].len + 8 >= size) {
			snprintf(out + used, size - used, ", …");
			return;
		}
		used += (size_t)snprintf(out + used, size - used, "%s%.*s", i > 0 ? ", " : "",
		                         STR_ARG(c->names[i]));
	}
}

static void describe(const struct build *b, const struct store_cert *c, struct board_cert *e)
{
	join_names(c, e->names, sizeof(e->names));
	e->nnames = c->nnames;
	e->not_before = c->not_before;
	e->not_after = c->not_after;
	e->stage = (uint8_t)cert_stage_of(c->not_before, c->not_after, b->now_ms / 1000);
	e->serving = 1;
	memcpy(e->fingerprint, c->fingerprint, sizeof(e->fingerprint));
	snprintf(e->key, sizeof(e->key), "%.*s", STR_ARG(c->kind));
}

void build_push(struct build *b, const struct store_cert *c, uint32_t listener, uint32_t source,
                struct board_cert *e)
{
	if (b->ncerts == STORE_MAX_CERTS) {
		b->more++;
		snprintf(e->problem, sizeof(e->problem),
		         "not served: a node holds at most %d certificates", STORE_MAX_CERTS);
		return;
	}
	if (!build_room(b, (void **)&b->certs, b->ncerts, &b->room_certs, sizeof(*c)))
		return;
	b->certs[b->ncerts] = *c;
	b->certs[b->ncerts].listener = listener;
	b->certs[b->ncerts].source = source;
	b->ncerts++;
	describe(b, c, e);
}

/* --- pairs ---------------------------------------------------------------------------------- */

static int read_one(struct build *b, const struct build_pair *p, const char *path, struct str *ret,
                    char *why, size_t why_size)
{
	char reason[200];
	int err;

	if (p->folder)
		err = certs_file_read_below(b->arena, p->folder, path, STORE_MAX_FILE, ret, reason,
		                            sizeof(reason));
	else
		err = certs_file_read(b->arena, path, STORE_MAX_FILE, ret, reason, sizeof(reason));
	if (err != OK)
		snprintf(why, why_size, "%s: %s", path, reason);
	return err;
}

/* Looked at before the files are read: whatever is written from then on shows. */
static void stamp(const struct build *b, const struct build_pair *p, struct store_cert *c)
{
	memset(c->stamps, 0, sizeof(c->stamps));
	if (p->folder)
		return; /* what acme writes is little, and is read through no links */
	c->stamps[STORE_STAMP_CERT] = certs_file_stamp(p->cert, b->now_ms);
	c->stamps[STORE_STAMP_KEY] =
	    p->key ? certs_file_stamp(p->key, b->now_ms) : c->stamps[STORE_STAMP_CERT];
}

static bool is_unchanged(const struct store_cert *c, const struct store_cert *former,
                         enum store_stamp i)
{
	return former && c->stamps[i] != 0 && c->stamps[i] == former->stamps[i];
}

/* The certificate may be new and the key old, or the other way round, while both are being written:
 * ACME's folder is exchanged as a whole, so that another look finds a pair. */
static int read_pair(struct build *b, const struct build_pair *p, const struct store_cert *former,
                     struct store_cert *c, char *why, size_t why_size)
{
	struct str chain, key = STR_NONE;
	char note[256] = "";
	int err = OK;

	stamp(b, p, c);
	if (is_unchanged(c, former, STORE_STAMP_CERT) && is_unchanged(c, former, STORE_STAMP_KEY)) {
		*c = *former;
		return OK;
	}
	for (int i = 0; i < 3; i++) {
		err = read_one(b, p, p->cert, &chain, why, why_size);
		if (err == OK && p->key)
			err = read_one(b, p, p->key, &key, why, why_size);
		if (err == OK)
			err = cert_parse(b->arena, chain, key, former, c, why, why_size, note,
			                 sizeof(note));
		if (err != ERR_REFUSED || !p->folder)
			break;
	}
	if (err == OK && note[0] != '\0')
		c->note = arena_str(b->arena, str_from(note));
	return err;
}

static void format_day(uint64_t s, char out[32])
{
	time_t t = (time_t)s;
	struct tm tm;

	if (!gmtime_r(&t, &tm) || strftime(out, 32, "%Y-%m-%d %H:%M UTC", &tm) == 0)
		snprintf(out, 32, "?");
}

/* One whose time is over does not replace one whose time is not. */
static int check_dates(const struct build *b, const struct store_cert *c,
                       const struct store_cert *former, char *why, size_t why_size)
{
	uint64_t now = b->now_ms / 1000;
	char day[32];

	if (!former || former->not_after <= now || former->not_before > now + EARLY)
		return OK;
	if (c->not_after <= now) {
		format_day(c->not_after, day);
		snprintf(why, why_size, "it has expired on %s", day);
		return ERR_TIMEOUT;
	}
	if (c->not_before > now + EARLY) {
		format_day(c->not_before, day);
		snprintf(why, why_size, "it counts from %s on only", day);
		return ERR_TIMEOUT;
	}
	return OK;
}

static void staple(struct build *b, const struct build_pair *p, const struct store_cert *former,
                   struct store_cert *c, struct board_cert *e)
{
	const char *path = p->ocsp ? p->ocsp : arena_printf(b->arena, "%s.ocsp", p->cert);
	uint64_t now = b->now_ms / 1000, until;
	char why[200];
	struct str der;
	int err;

	c->ocsp = STR_NONE;
	c->ocsp_until = 0;
	if (!path || p->folder)
		return;
	c->stamps[STORE_STAMP_OCSP] =
	    former && former->ocsp.len > 0 ? certs_file_stamp(path, b->now_ms) : 0;
	if (is_unchanged(c, former, STORE_STAMP_OCSP) &&
	    is_unchanged(c, former, STORE_STAMP_CERT) && former->ocsp.len > 0 &&
	    (former->ocsp_until == 0 || now < former->ocsp_until)) {
		c->ocsp = former->ocsp;
		c->ocsp_until = former->ocsp_until;
		return;
	}
	err = certs_file_read(b->arena, path, 65536, &der, why, sizeof(why));
	if (err == ERR_NOT_FOUND && !p->ocsp)
		return;
	if (err == OK)
		err = cert_ocsp(der, c, now, &until, why, sizeof(why));
	if (err == OK) {
		c->ocsp = der;
		c->ocsp_until = until;
		return;
	}
	c->stamps[STORE_STAMP_OCSP] = 0;
	snprintf(e->note, sizeof(e->note), "OCSP answer: %.100s", why);
	if (former && former->ocsp.len > 0 &&
	    cert_ocsp(former->ocsp, c, now, &until, why, sizeof(why)) == OK) {
		c->ocsp = former->ocsp;
		c->ocsp_until = until;
	}
}

void build_pair(struct build *b, const struct build_pair *p)
{
	const char *origin =
	    p->folder ? arena_printf(b->arena, "%s/%s", p->folder, p->cert) : p->cert;
	const struct store_cert *former = origin ? build_former(b, origin) : NULL;
	struct store_cert c = { .use = STORE_SERVE };
	char why[256];
	struct board_cert *e;
	int err;

	if (!origin) {
		b->err = ERR_NOMEM;
		return;
	}
	err = read_pair(b, p, former, &c, why, sizeof(why));
	if (err == OK)
		err = check_dates(b, &c, former, why, sizeof(why));
	e = build_entry(b, p->listener, p->from, origin);
	if (err == OK) {
		c.origin = str_from(origin);
		snprintf(e->note, sizeof(e->note), "%.*s", (int)MIN(c.note.len, 120U),
		         c.note.s ? c.note.s : "");
		staple(b, p, former, &c, e);
		build_push(b, &c, p->listener, p->source, e);
		if (e->stage == CERT_STAGE_OVER)
			snprintf(e->problem, sizeof(e->problem), "it has expired");
		return;
	}
	snprintf(e->problem, sizeof(e->problem), "%.250s", why);
	if (former)
		build_push(b, former, p->listener, p->source, e);
}

/* --- all of it ------------------------------------------------------------------------------ */

static void build_listener(struct build *b, uint32_t i)
{
	const struct conf_tls *t = &b->conf->listeners[i].tls;

	for (uint32_t k = 0; t->on && k < t->ncerts; k++) {
		const struct conf_cert *c = &t->certs[k];
		struct build_pair p = { .listener = i,
			                .source = k,
			                .from = CERT_FROM_FILES,
			                .cert = c->cert.s,
			                .key = c->key.len > 0 ? c->key.s : NULL,
			                .ocsp = c->ocsp.len > 0 ? c->ocsp.s : NULL };

		switch (c->kind) {
		case CERT_FILES:
			build_pair(b, &p);
			break;
		case CERT_DIR:
			build_dir(b, i, k, c->dir);
			break;
		case CERT_ACME:
			build_acme(b, i, k, c);
			break;
		case CERT_INTERNAL:
			build_internal(b, i, k);
			break;
		default:
			break;
		}
	}
}

void build_all(struct build *b)
{
	index_former(b);
	for (uint32_t i = 0; b->err == OK && i < b->conf->nlisteners; i++)
		build_listener(b, i);
	if (b->err == OK && b->conf->nissuers > 0)
		build_challenges(b);
	if (b->err == OK)
		build_tickets(b);
	if (b->err == OK)
		build_files(b);
}
