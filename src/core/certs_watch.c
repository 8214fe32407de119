/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Watching what certificates come from, by folders, because files are replaced rather than written.
 * It tells only that it is time to look; what it misses (a link further up, a file system that does
 * not tell) the regular look finds. Main thread of the parent.
 */
#include <errno.h>
#include <linux/limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "core/certs_files.h"
#include "core/parent.h"
#include "tls/acme_dir.h"

#define CHANGES \
	(IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB | \
	 IN_DELETE_SELF | IN_MOVE_SELF)
#define WATCH_MAX     4096
#define WATCH_FOLDERS 1024 /* within one folder of certificates */

/* What counts in a folder: everything, or the entries of some names. */
struct certs_watched {
	int wd;
	char name[256]; /* "": everything */
};

static void note(struct certs_watch *w, int wd, const char *name)
{
	struct certs_watched *v;

	for (unsigned i = 0; i < w->n; i++) {
		if (w->v[i].wd == wd && strcmp(w->v[i].name, name) == 0)
			return;
	}
	if (w->n == WATCH_MAX)
		return;
	v = realloc(w->v, (w->n + 1) * sizeof(*v));
	if (!v)
		return;
	w->v = v;
	v[w->n].wd = wd;
	snprintf(v[w->n].name, sizeof(v[w->n].name), "%s", name);
	w->n++;
}

static bool watch(struct certs_watch *w, const char *folder, const char *name)
{
	int wd = inotify_add_watch(w->io.fd, folder, CHANGES | IN_ONLYDIR);

	if (wd >= 0)
		note(w, wd, name);
	return wd >= 0;
}

/* The folder that a path is in, and its name there. */
static const char *split(const char *path, char folder[PATH_MAX])
{
	const char *slash = strrchr(path, '/');

	snprintf(folder, PATH_MAX, "%.*s", slash && slash > path ? (int)(slash - path) : 1,
	         slash ? path : ".");
	return slash ? slash + 1 : path;
}

/* Where a folder is not there, the nearest one above it tells when it comes. */
static void watch_above(struct certs_watch *w, const char *path)
{
	char here[PATH_MAX], above[PATH_MAX];

	snprintf(here, sizeof(here), "%s", path);
	for (int depth = 0; depth < 64; depth++) {
		const char *name = split(here, above);

		if (watch(w, above, name) || strcmp(above, "/") == 0 || strcmp(above, ".") == 0)
			return;
		snprintf(here, sizeof(here), "%s", above);
	}
}

static void watch_file(struct certs_watch *w, struct str path)
{
	char folder[PATH_MAX];
	const char *name;

	if (path.len == 0)
		return;
	name = split(path.s, folder);
	if (!watch(w, folder, name))
		watch_above(w, folder);
}

static void watch_dir(struct certs_watch *w, const char *path, unsigned depth)
{
	struct certs_names names;
	char below[PATH_MAX], why[128];
	unsigned n = 0;
	struct stat st;

	watch_above(w, path); /* it may be replaced as a whole */
	if (!watch(w, path, "") || depth == 0 ||
	    certs_names_read(path, &names, why, sizeof(why)) != OK)
		return;
	for (unsigned i = 0; i < names.n && n < WATCH_FOLDERS; i++) {
		if (strchr(names.v[i], '.') && strlen(names.v[i]) > 4 &&
		    strcmp(names.v[i] + strlen(names.v[i]) - 4, ".pem") == 0)
			continue;
		snprintf(below, sizeof(below), "%s/%s", path, names.v[i]);
		if (stat(below, &st) == 0 && S_ISDIR(st.st_mode) && watch(w, below, ""))
			n++;
	}
	certs_names_free(&names);
}

static void watch_clients(struct certs_watch *w, const struct conf_client_certs *c)
{
	watch_file(w, c->ca);
	watch_file(w, c->crl);
}

static void watch_pool(struct certs_watch *w, const struct conf_pool_tls *t)
{
	watch_file(w, t->ca);
	watch_file(w, t->cert);
	watch_file(w, t->key);
}

static void watch_tls(struct certs_watch *w, const struct conf_tls *t)
{
	char ocsp[PATH_MAX];

	for (uint32_t i = 0; i < t->ncerts; i++) {
		const struct conf_cert *c = &t->certs[i];

		if (c->kind == CERT_DIR) {
			watch_dir(w, c->dir.s, 1);
			continue;
		}
		watch_file(w, c->cert);
		watch_file(w, c->key);
		watch_file(w, c->ocsp);
		if (c->kind == CERT_FILES && c->ocsp.len == 0) {
			snprintf(ocsp, sizeof(ocsp), "%s.ocsp", c->cert.s);
			watch_file(w, str_from(ocsp));
		}
	}
	watch_file(w, t->ticket_keys);
	watch_clients(w, &t->clients);
	for (uint32_t i = 0; i < t->nhosts; i++)
		watch_clients(w, &t->hosts[i].clients);
}

/* --- what the kernel tells ------------------------------------------------------------------ */

/* Kubernetes replaces the link "..data", which the files are links through. */
static bool counts(const struct certs_watch *w, const struct inotify_event *e)
{
	if (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_Q_OVERFLOW | IN_UNMOUNT))
		return true;
	for (unsigned i = 0; e->len > 0 && i < w->n; i++) {
		if (w->v[i].wd == e->wd &&
		    (w->v[i].name[0] == '\0' || strcmp(w->v[i].name, e->name) == 0 ||
		     strncmp(e->name, "..", 2) == 0))
			return true;
	}
	return false;
}

static bool moves_folders(const struct inotify_event *e)
{
	return (e->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_IGNORED | IN_Q_OVERFLOW | IN_UNMOUNT |
	                   IN_ISDIR)) != 0 ||
	       (e->len > 0 && (e->mask & (IN_CREATE | IN_MOVED_TO)) != 0);
}

static void on_events(struct loop_io *io, uint32_t events)
{
	struct parent *p = CONTAINER_OF(io, struct parent, certs.watch.io);
	char data[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool changed = false;
	ssize_t n;

	(void)events;
	for (int i = 0; i < 64 && (n = read(io->fd, data, sizeof(data))) > 0; i++) {
		for (char *at = data; at < data + n;) {
			const struct inotify_event *e = (void *)at;

			if (counts(&p->certs.watch, e)) {
				changed = true;
				p->certs.watch.stale |= moves_folders(e);
			}
			at += sizeof(*e) + e->len;
		}
	}
	if (changed)
		certs_changed(p);
}

void certs_watch_stop(struct parent *p)
{
	struct certs_watch *w = &p->certs.watch;

	if (!w->on)
		return;
	loop_remove(p->loop, &w->io);
	close(w->io.fd);
	free(w->v);
	*w = (struct certs_watch){ 0 };
}

void certs_watch_set(struct parent *p)
{
	const struct conf *c = p->cur->conf;
	struct certs_watch *w = &p->certs.watch;

	certs_watch_stop(p);
	w->io = (struct loop_io){ .fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .fn = on_events };
	if (w->io.fd < 0 || loop_add_level(p->loop, &w->io, LOOP_IN, false) != OK) {
		log_warning("certificates", NULL,
		            "files cannot be watched (%s): they are looked at once a minute",
		            strerror(errno));
		if (w->io.fd >= 0)
			close(w->io.fd);
		return;
	}
	w->on = true;
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		if (c->listeners[i].tls.on)
			watch_tls(w, &c->listeners[i].tls);
	}
	for (uint32_t i = 0; i < c->npools; i++) {
		if (c->pools[i].tls.on)
			watch_pool(w, &c->pools[i].tls);
		if (c->pools[i].check.tls.on)
			watch_pool(w, &c->pools[i].check.tls);
	}
	for (uint32_t i = 0; i < c->nchecks; i++) {
		if (c->checks[i].check.tls.on)
			watch_pool(w, &c->checks[i].check.tls);
	}
}
