/* SPDX-License-Identifier: Apache-2.0 */
/* Folders of certificates. What is in them comes and goes in pieces: a pair of which one half is
 * there keeps what it was, and so does a folder that is gone or empty all at once. In the helper.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/err.h"
#include "core/certs_build.h"
#include "core/certs_files.h"

struct dir {
	struct build *b;
	uint32_t listener, source;
	const char *path;
	struct certs_names names;
	unsigned pairs;
};

static const char *join(const struct dir *d, const char *name)
{
	const char *p = arena_printf(d->b->arena, "%s/%s", d->path, name);

	if (!p)
		d->b->err = ERR_NOMEM;
	return p ? p : "";
}

static void take(struct dir *d, const char *cert, const char *key)
{
	struct build_pair p = { .listener = d->listener,
		                .source = d->source,
		                .from = CERT_FROM_DIR,
		                .cert = join(d, cert),
		                .key = key ? join(d, key) : NULL };

	if (d->b->err != OK)
		return;
	d->pairs++;
	build_pair(d->b, &p);
}

/* As certbot has it: a folder for each, in which links point at the newest files. */
static void look_into(struct dir *d, const char *name)
{
	const char *path = join(d, name);
	char cert[600], key[600];
	struct stat st;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode))
		return;
	snprintf(cert, sizeof(cert), "%s/fullchain.pem", name);
	snprintf(key, sizeof(key), "%s/privkey.pem", name);
	path = join(d, cert);
	/* a link that leads nowhere is a pair that is broken, not one that is not there */
	if (lstat(path, &st) == 0)
		take(d, cert, key);
}

static bool has_end(const char *name, const char *end)
{
	size_t a = strlen(name), b = strlen(end);

	return a > b && strcmp(name + a - b, end) == 0;
}

static const char *const ends[] = { ".pem", ".crt", ".cert" };

/* A key that is left alone: its certificate may be on its way. */
static void look_for_rest(struct dir *d, const char *name)
{
	char cert[300];

	for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
		snprintf(cert, sizeof(cert), "%.*s%s", (int)strlen(name) - 4, name, ends[i]);
		if (!certs_names_has(&d->names, cert) && build_former(d->b, join(d, cert)))
			take(d, cert, name);
	}
}

static void look_at(struct dir *d, const char *name)
{
	char key[300];

	for (unsigned i = 0; i < ARRAY_LEN(ends); i++) {
		if (!has_end(name, ends[i]))
			continue;
		snprintf(key, sizeof(key), "%.*s.key", (int)(strlen(name) - strlen(ends[i])), name);
		take(d, name, i > 0 || certs_names_has(&d->names, key) ? key : NULL);
		return;
	}
	if (has_end(name, ".key"))
		look_for_rest(d, name);
	else if (!has_end(name, ".ocsp"))
		look_into(d, name);
}

static bool is_below(struct str path, const char *folder)
{
	size_t n = strlen(folder);

	return path.len > n + 1 && memcmp(path.s, folder, n) == 0 && path.s[n] == '/';
}

/* All that was there before. Returns how many. */
static unsigned keep_all(struct dir *d, const char *why)
{
	struct build *b = d->b;
	const char *last = "";
	unsigned n = 0;

	for (uint32_t i = 0; i < b->nby_origin; i++) {
		const struct store_cert *c = b->by_origin[i];
		struct board_cert *e;

		if (c->use != STORE_SERVE || !is_below(c->origin, d->path) ||
		    strcmp(c->origin.s, last) == 0) /* another listener's */
			continue;
		last = c->origin.s;
		e = build_entry(b, d->listener, CERT_FROM_DIR, c->origin.s);
		snprintf(e->problem, sizeof(e->problem), "%.250s", why);
		build_push(b, c, d->listener, d->source, e);
		n++;
	}
	return n;
}

void build_dir(struct build *b, uint32_t listener, uint32_t source, struct str path)
{
	struct dir d = { .b = b, .listener = listener, .source = source, .path = path.s };
	struct board_cert *e;
	char why[200], text[256];

	if (certs_names_read(d.path, &d.names, why, sizeof(why)) != OK)
		snprintf(text, sizeof(text), "the folder cannot be read: %s", why);
	else
		snprintf(text, sizeof(text), "the folder holds no certificates");
	for (unsigned i = 0; b->err == OK && i < d.names.n; i++)
		look_at(&d, d.names.v[i]);
	if (d.pairs == 0 && keep_all(&d, text) == 0) {
		e = build_entry(b, listener, CERT_FROM_DIR, d.path);
		snprintf(e->problem, sizeof(e->problem), "%.250s", text);
	}
	if (d.names.more) {
		e = build_entry(b, listener, CERT_FROM_DIR, d.path);
		snprintf(e->problem, sizeof(e->problem),
		         "the folder has more than %d entries: the others are not looked at",
		         CERTS_FILES_MAX_NAMES);
	}
	certs_names_free(&d.names);
}
