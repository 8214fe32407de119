/* SPDX-License-Identifier: Apache-2.0 */
/* What only the whole shows of TLS: issuers that there are, names that OpenSSL knows. */
#include <openssl/ssl.h>

#include "base/check.h"
#include "base/err.h"
#include "conf/load.h"

/* --- names of OpenSSL ------------------------------------------------------------------------- */

/* The first element of a cipher list that OpenSSL does not know: it leaves such ones out in
 * silence. Empty: none. */
static struct str unknown_cipher(struct load *l, SSL_CTX *ctx, struct str list)
{
	for (struct str item, rest = list; rest.s;) {
		const char *name;

		item = str_split(rest, ':', &rest);
		if (item.len == 0 || item.s[0] == '@' || item.s[0] == '!' || item.s[0] == '-') {
			continue; /* orders and removals: harmless */
		}
		name =
		    arena_str(l->arena, item.s[0] == '+' ? str_n(item.s + 1, item.len - 1) : item)
		        .s;
		if (!name || SSL_CTX_set_cipher_list(ctx, name) != 1) {
			return item;
		}
	}
	return SSL_CTX_set_cipher_list(ctx, list.s) == 1 ? STR_NONE : list;
}

void verify_tls_names(struct load *l, const struct conf_tls *t, const struct node *n)
{
	const struct node *suites = node_get(n, "ciphersuites"), *groups = node_get(n, "groups");
	const struct node *ciphers = node_get(n, "ciphers");
	struct str bad;
	SSL_CTX *ctx;

	if (!suites && !groups && !ciphers) {
		return;
	}
	ctx = SSL_CTX_new(TLS_method());
	bad = ctx && ciphers ? unknown_cipher(l, ctx, t->ciphers) : STR_NONE;
	if (bad.s) {
		problem_error(l->problems, ciphers->at, "\"ciphers\": OpenSSL knows no \"%.*s\"",
		              (int)MIN(bad.len, 80), bad.s);
	}
	if (ctx && suites && SSL_CTX_set_ciphersuites(ctx, t->suites.s) != 1) {
		problem_error(l->problems, suites->at,
		              "\"ciphersuites\": OpenSSL does not know all of these; they look "
		              "like TLS_AES_128_GCM_SHA256, with \":\" between them");
	}
	if (ctx && groups && SSL_CTX_set1_groups_list(ctx, t->groups.s) != 1) {
		problem_error(l->problems, groups->at,
		              "\"groups\": OpenSSL does not know all of these; they look like "
		              "X25519:P-256");
	}
	SSL_CTX_free(ctx);
}

/* --- listeners -------------------------------------------------------------------------------- */

/* The item of a list, or the one thing that stands instead. */
static const struct node *item_of(const struct node *n, uint32_t i)
{
	if (n->kind == NODE_LIST) {
		for (n = n->first; i > 0 && n->next; i--) {
			n = n->next;
		}
	}
	return n;
}

static void find_issuer(struct load *l, struct conf_cert *c, const struct node *n)
{
	struct guess g;

	if (c->kind != CERT_ACME || c->acme.len == 0) {
		return;
	}
	guess_init(&g, c->acme);
	for (uint32_t i = 0; i < l->conf->nissuers; i++) {
		if (str_eq(l->conf->issuers[i].name, c->acme)) {
			c->issuer = i;
			return;
		}
		guess_try(&g, l->conf->issuers[i].name);
	}
	verify_undefined(l, node_get(n, "acme")->at, "issuer", &g);
}

static void verify_listener(struct load *l, const struct conf_listener *c, const struct node *n)
{
	const struct node *tls = node_get(n, "tls"),
	                  *certs = tls ? node_get(tls, "certificates") : 0;
	const struct node *redirect = node_get(n, "redirect_https");

	for (uint32_t i = 0; certs && i < c->tls.ncerts; i++) {
		find_issuer(l, (struct conf_cert *)&c->tls.certs[i], item_of(certs, i));
	}
	if (tls) {
		verify_cert_files(l, &c->tls, tls);
	}
	if (c->redirect_https && c->tls.on) {
		problem_error(
		    l->problems, redirect->key_at,
		    "\"redirect_https\" is for a listener without \"tls\": this one would "
		    "redirect to itself");
	}
}

void verify_tls(struct load *l)
{
	for (uint32_t i = 0; i < l->conf->nlisteners; i++) {
		verify_listener(l, &l->conf->listeners[i], l->listeners[i]);
	}
	for (uint32_t i = 0; i < l->conf->npools; i++) {
		verify_pool_files(l, &l->conf->pools[i].tls, node_get(l->pools[i], "tls"));
	}
}
