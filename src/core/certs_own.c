/* SPDX-License-Identifier: Apache-2.0 */
/* What a node makes itself: certificates of its own authority, keys of tickets. In the helper. */
#include <errno.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/err.h"
#include "core/certs_build.h"
#include "core/certs_files.h"
#include "tls/authority.h"
#include "tls/cert.h"

#define TICKETS_KEPT 3 /* the one that encrypts, and two before it */

/* --- files of the authority ----------------------------------------------------------------- */

static const char *own_path(struct build *b, const char *name)
{
	const char *p = arena_printf(b->arena, "%s/tls/%s", b->state_dir, name);

	if (!p)
		b->err = ERR_NOMEM;
	return p ? p : "";
}

static int write_own(const char *path, struct str bytes, unsigned mode, char *why, size_t why_size)
{
	struct buf out = BUF_INIT;
	int err;

	buf_addstr(&out, bytes);
	err = out.failed ? ERR_NOMEM : buf_write_file(&out, path, mode);
	if (err != OK)
		snprintf(why, why_size, "cannot write %.150s: %s", path, strerror(errno));
	buf_free(&out);
	return err;
}

/* Reads two files that belong together. ERR_NOT_FOUND: neither is there. */
static int read_two(struct build *b, const char *cert, const char *key, struct str *ret_cert,
                    struct str *ret_key, char *why, size_t why_size)
{
	char one[128] = "", two[128] = "";
	int a = certs_file_read(b->arena, cert, STORE_MAX_FILE, ret_cert, one, sizeof(one));
	int c = certs_file_read(b->arena, key, STORE_MAX_FILE, ret_key, two, sizeof(two));

	if (a == ERR_NOT_FOUND && c == ERR_NOT_FOUND)
		return ERR_NOT_FOUND;
	if (a != OK || c != OK)
		snprintf(why, why_size, "%.100s: %s", a != OK ? cert : key, a != OK ? one : two);
	return a != OK ? ERR_SYSTEM : c != OK ? ERR_SYSTEM : OK;
}

static const char *node_name(const struct build *b)
{
	static char host[64];

	if (b->conf->self < b->conf->nnodes)
		return b->conf->nodes[b->conf->self].name.s;
	if (gethostname(host, sizeof(host) - 1) != 0 || !host[0])
		snprintf(host, sizeof(host), "node");
	return host;
}

static int find_authority(struct build *b, struct str *ca, struct str *key, char *why,
                          size_t why_size)
{
	const char *cert_path = own_path(b, "ca.pem"), *key_path = own_path(b, "ca.key");
	const char *folder = arena_printf(b->arena, "%s/tls", b->state_dir);
	const char *public = arena_printf(b->arena, "%s/internal-ca.pem", b->state_dir);
	struct str shown;
	char ignored[128];
	int err;

	if (b->err != OK || !folder || !public)
		return ERR_NOMEM;
	if (mkdir(folder, 0700) != 0 && errno != EEXIST) {
		snprintf(why, why_size, "cannot make the folder %.150s: %s", folder,
		         strerror(errno));
		return ERR_SYSTEM;
	}
	err = read_two(b, cert_path, key_path, ca, key, why, why_size);
	if (err == ERR_NOT_FOUND) {
		err = authority_make(b->arena, node_name(b), b->now_ms / 1000, ca, key);
		err = err == OK ? write_own(key_path, *key, 0600, why, why_size) : err;
		err = err == OK ? write_own(cert_path, *ca, 0644, why, why_size) : err;
	}
	if (err != OK)
		return err;
	/* beside the folder that only the node may look into: others have to trust it */
	if (certs_file_read(b->arena, public, STORE_MAX_FILE, &shown, ignored, sizeof(ignored)) !=
	        OK ||
	    !str_eq(shown, *ca))
		err = write_own(public, *ca, 0644, why, why_size);
	snprintf(b->authority, sizeof(b->authority), "%s", public);
	return err;
}

/* --- names of the leaf ---------------------------------------------------------------------- */

struct names {
	struct str v[AUTHORITY_MAX_NAMES];
	uint32_t n;
	bool more;
};

static void add(struct names *l, struct str name)
{
	if (name.len > 2 && name.s[0] == '[') /* an IPv6 address as URLs have it */
		name = str_n(name.s + 1, name.len - 2);
	for (uint32_t i = 0; i < l->n; i++) {
		if (str_eq_nocase(l->v[i], name))
			return;
	}
	if (l->n == AUTHORITY_MAX_NAMES)
		l->more = true;
	else if (name.len > 0)
		l->v[l->n++] = name;
}

static void add_address(struct build *b, struct names *l, const struct net_addr *a)
{
	char text[NET_ADDR_TEXT];

	if (a->wildcard || (a->sa.sa_family != AF_INET && a->sa.sa_family != AF_INET6) ||
	    (a->sa.sa_family == AF_INET && a->in.sin_addr.s_addr == INADDR_ANY) ||
	    (a->sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a->in6.sin6_addr)))
		return;
	add(l, arena_str(b->arena, str_from(net_addr_host(a, text))));
}

static bool is_host_name(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '.'))
			return false;
	}
	return s.len > 0;
}

static void collect(struct build *b, struct names *l)
{
	const struct conf *c = b->conf;

	for (uint32_t i = 0; i < c->nlisteners; i++) { /* asked for by name */
		for (uint32_t k = 0; k < c->listeners[i].tls.ncerts; k++) {
			const struct conf_cert *s = &c->listeners[i].tls.certs[k];

			for (uint32_t h = 0; s->kind == CERT_INTERNAL && h < s->hosts.n; h++)
				add(l, s->hosts.v[h]);
		}
	}
	add(l, STR("localhost"));
	add(l, STR("127.0.0.1"));
	add(l, STR("::1"));
	for (uint32_t i = 0; i < c->nnodes; i++) {
		if (is_host_name(c->nodes[i].name))
			add(l, c->nodes[i].name);
		add_address(b, l, &c->nodes[i].ip);
	}
	for (uint32_t i = 0; i < c->nvips; i++) {
		for (uint32_t k = 0; k < c->vips[i].naddresses; k++)
			add_address(b, l, &c->vips[i].addresses[k].ip);
	}
	for (uint32_t i = 0; i < c->nlisteners; i++) {
		if (is_host_name(c->listeners[i].name))
			add(l, c->listeners[i].name);
		for (uint32_t k = 0; k < c->listeners[i].nbind; k++)
			add_address(b, l, &c->listeners[i].bind[k]);
	}
	for (uint32_t i = 0; i < c->nroutes; i++) {
		for (uint32_t k = 0; k < c->routes[i].hosts.n; k++)
			add(l, c->routes[i].hosts.v[k]);
	}
}

/* --- the leaf ------------------------------------------------------------------------------- */

static int find_leaf(struct build *b, struct str ca, struct str ca_key, const struct names *l,
                     char *why, size_t why_size)
{
	const char *cert_path = own_path(b, "leaf.pem"), *key_path = own_path(b, "leaf.key");
	struct str cert, key;
	char note[128], ignored[256];
	int err;

	if (b->err != OK)
		return ERR_NOMEM;
	b->leaf = (struct store_cert){ .use = STORE_SERVE };
	if (read_two(b, cert_path, key_path, &cert, &key, ignored, sizeof(ignored)) == OK &&
	    cert_parse(b->arena, cert, key, build_former(b, cert_path), &b->leaf, ignored,
	               sizeof(ignored), note, sizeof(note)) == OK &&
	    !authority_is_due(&b->leaf, ca, l->v, l->n, b->now_ms / 1000)) {
		b->leaf.origin = str_from(cert_path);
		return OK;
	}
	b->leaf = (struct store_cert){ .use = STORE_SERVE };
	err = authority_issue(b->arena, ca, ca_key, l->v, l->n, b->now_ms / 1000,
	                      AUTHORITY_LEAF_LIFE, &cert, &key);
	if (err != OK)
		snprintf(why, why_size,
		         "the local authority in %.120s/tls is broken: take the folder away to "
		         "have a new one made",
		         b->state_dir);
	err = err == OK ? cert_parse(b->arena, cert, key, NULL, &b->leaf, why, why_size, note,
	                             sizeof(note))
	                : err;
	err = err == OK ? write_own(key_path, key, 0600, why, why_size) : err;
	err = err == OK ? write_own(cert_path, cert, 0644, why, why_size) : err;
	b->leaf.origin = str_from(cert_path);
	return err;
}

/* One leaf for all listeners: it is for labs, and for whatever the file names. */
static void make_leaf(struct build *b)
{
	struct names *l = calloc(1, sizeof(*l));
	struct str ca, key;

	b->has_leaf = true;
	if (!l) {
		b->err = ERR_NOMEM;
		return;
	}
	collect(b, l);
	if (find_authority(b, &ca, &key, b->leaf_problem, sizeof(b->leaf_problem)) == OK &&
	    find_leaf(b, ca, key, l, b->leaf_problem, sizeof(b->leaf_problem)) == OK && l->more)
		snprintf(b->leaf_problem, sizeof(b->leaf_problem),
		         "it is for the first %d names only", AUTHORITY_MAX_NAMES);
	free(l);
}

void build_internal(struct build *b, uint32_t listener, uint32_t source)
{
	const struct store_cert *c;
	struct board_cert *e;
	const char *path;

	if (!b->has_leaf)
		make_leaf(b);
	path = own_path(b, "leaf.pem");
	if (b->err != OK)
		return;
	c = b->leaf.nchain > 0 ? &b->leaf : build_former(b, path);
	e = build_entry(b, listener, CERT_FROM_INTERNAL, path);
	snprintf(e->problem, sizeof(e->problem), "%s", b->leaf_problem);
	if (c)
		build_push(b, c, listener, source, e);
}

/* --- keys of tickets ------------------------------------------------------------------------ */

static const struct store_tickets *former_tickets(const struct build *b, struct str listener)
{
	for (uint32_t i = 0; b->former && i < b->former->ntickets; i++) {
		if (str_eq(b->former->tickets[i].name, listener))
			return &b->former->tickets[i];
	}
	return NULL;
}

/* The next key, with the ones before it; none of them from a file. */
static void rotate(struct build *b, const struct conf_listener *l, const struct store_tickets *f,
                   struct store_tickets *t)
{
	uint64_t step = l->tls.ticket_rotation / 1000000;

	if (f && f->own && f->n > 0) {
		t->n = f->n;
		memcpy(t->made, f->made, sizeof(t->made));
		memcpy(t->keys, f->keys, sizeof(t->keys));
	}
	t->own = true;
	/* a clock that was set back would keep a key for ever */
	if (t->n == 0 || b->now_ms >= t->made[0] + step || t->made[0] > b->now_ms + step) {
		memmove(t->keys[1], t->keys[0], sizeof(t->keys[0]) * (TICKETS_KEPT - 1));
		memmove(&t->made[1], &t->made[0], sizeof(t->made[0]) * (TICKETS_KEPT - 1));
		t->n = MIN(t->n + 1, (uint32_t)TICKETS_KEPT);
		t->made[0] = b->now_ms;
		if (RAND_bytes(t->keys[0], sizeof(t->keys[0])) != 1)
			b->err = ERR_SYSTEM;
	}
	if (b->next_ms == 0 || t->made[0] + step < b->next_ms)
		b->next_ms = t->made[0] + step;
}

static void from_file(struct build *b, uint32_t i, const struct store_tickets *f,
                      struct store_tickets *t)
{
	const struct conf_listener *l = &b->conf->listeners[i];
	struct board_cert *e;
	struct str bytes;
	char why[200];

	if (certs_file_read(b->arena, l->tls.ticket_keys.s, STORE_MAX_FILE, &bytes, why,
	                    sizeof(why)) == OK &&
	    cert_ticket_keys(bytes, t->keys, &t->n, why, sizeof(why)) == OK)
		return;
	e = build_entry(b, i, CERT_FROM_CLIENT, l->tls.ticket_keys.s);
	snprintf(e->problem, sizeof(e->problem), "keys of tickets: %.200s", why);
	if (f) {
		t->n = f->n;
		memcpy(t->keys, f->keys, sizeof(t->keys));
	} else {
		rotate(b, l, NULL, t);
	}
}

void build_tickets(struct build *b)
{
	for (uint32_t i = 0; i < b->conf->nlisteners && b->err == OK; i++) {
		const struct conf_listener *l = &b->conf->listeners[i];
		const struct store_tickets *f = former_tickets(b, l->name);
		struct store_tickets *t;

		if (!l->tls.on || !l->tls.resumption ||
		    !build_room(b, (void **)&b->tickets, b->ntickets, &b->room_tickets, sizeof(*t)))
			continue;
		t = &b->tickets[b->ntickets++];
		*t = (struct store_tickets){ .listener = i, .name = l->name };
		if (l->tls.ticket_keys.len > 0)
			from_file(b, i, f, t);
		else
			rotate(b, l, f, t);
	}
}
