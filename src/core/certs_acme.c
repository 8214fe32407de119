/* SPDX-License-Identifier: Apache-2.0 */
/* What the role acme has got, and the challenges that it has to answer. The folder is that role's
 * to write, and this is read with more rights than it has: no links are followed. In the helper. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/check.h"
#include "base/err.h"
#include "core/certs_build.h"
#include "core/certs_files.h"
#include "tls/acme_dir.h"
#include "tls/authority.h"
#include "tls/cert.h"

/* So that the listener works until there is one: signed by nobody. */
static void push_temporary(struct build *b, uint32_t listener, uint32_t source,
                           const struct conf_cert *c, struct board_cert *e)
{
	const char *origin = arena_printf(b->arena, "temporary until %s has issued %.200s",
	                                  c->acme.s, c->hosts.v[0].s);
	const struct store_cert *former = origin ? build_former(b, origin) : NULL;
	struct store_cert made = { .use = STORE_SERVE };
	uint64_t now = b->now_ms / 1000;
	struct str cert, key;
	char why[128], note[128];

	snprintf(e->problem, sizeof(e->problem),
	         "there is none yet: a temporary one that nobody has signed is served");
	if (former && !authority_is_due(former, STR_NONE, c->hosts.v, c->hosts.n, now)) {
		build_push(b, former, listener, source, e);
		return;
	}
	if (!origin ||
	    authority_issue(b->arena, STR_NONE, STR_NONE, c->hosts.v, c->hosts.n, now,
	                    AUTHORITY_LEAF_LIFE, &cert, &key) != OK ||
	    cert_parse(b->arena, cert, key, NULL, &made, why, sizeof(why), note, sizeof(note)) !=
	        OK) {
		b->err = ERR_NOMEM;
		return;
	}
	made.origin = str_from(origin);
	build_push(b, &made, listener, source, e);
}

void build_acme(struct build *b, uint32_t listener, uint32_t source, const struct conf_cert *c)
{
	const char *folder = arena_printf(b->arena, "%s/" ACME_DIR, b->state_dir);
	char live[1024];
	struct build_pair p = { .listener = listener, .source = source, .from = CERT_FROM_ACME };
	struct stat st;
	const char *full;

	if (!folder || c->hosts.n == 0) {
		b->err = folder ? b->err : ERR_NOMEM;
		return;
	}
	acme_dir_live(b->state_dir, c->acme, c->hosts.v[0], live, sizeof(live));
	full = arena_printf(b->arena, "%s/fullchain.pem", live);
	if (!full || strlen(live) <= strlen(folder)) {
		b->err = full ? b->err : ERR_NOMEM;
		return;
	}
	if (lstat(full, &st) != 0 && !build_former(b, full)) {
		push_temporary(b, listener, source, c,
		               build_entry(b, listener, CERT_FROM_ACME, full));
		return;
	}
	p.folder = folder;
	p.cert = full + strlen(folder) + 1;
	p.key = arena_printf(b->arena, "%s/privkey.pem", live + strlen(folder) + 1);
	if (!p.key)
		b->err = ERR_NOMEM;
	else
		build_pair(b, &p);
}

/* --- challenges ----------------------------------------------------------------------------- */

/* Only what RFC 8555 8.1 has in a token and a key authorization: nothing else is shown to
 * strangers, whatever the folder holds. */
static bool is_token(struct str s, size_t max, bool dot)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.s[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      c == '-' || c == '_' || (dot && c == '.')))
			return false;
	}
	return s.len > 0 && s.len <= max;
}

static void add_http(struct build *b, const char *folder, const char *name)
{
	const char *path = arena_printf(b->arena, "%s", name);
	struct str answer;
	char why[128];

	if (!path || !is_token(str_from(name), ACME_MAX_TOKEN, false) ||
	    certs_file_read_below(b->arena, folder, name, ACME_MAX_ANSWER + 2, &answer, why,
	                          sizeof(why)) != OK)
		return;
	while (answer.len > 0 && (answer.s[answer.len - 1] == '\n'))
		answer.len--;
	if (!is_token(answer, ACME_MAX_ANSWER, true) || b->nchallenges == STORE_MAX_FILES ||
	    !build_room(b, (void **)&b->challenges, b->nchallenges, &b->room_challenges,
	                sizeof(*b->challenges)))
		return;
	b->challenges[b->nchallenges++] = (struct store_challenge){ str_from(path), answer };
}

static void add_alpn(struct build *b, const char *folder, const char *name)
{
	struct store_cert c = { .use = STORE_ALPN };
	struct str bytes, *host = arena_alloc(b->arena, sizeof(*host));
	char why[256], note[256];
	size_t len = strlen(name);

	if (!host || len <= 4 || strcmp(name + len - 4, ".pem") != 0 ||
	    certs_file_read_below(b->arena, folder, name, STORE_MAX_FILE, &bytes, why,
	                          sizeof(why)) != OK ||
	    cert_parse(b->arena, bytes, STR_NONE, NULL, &c, why, sizeof(why), note, sizeof(note)) !=
	        OK)
		return;
	*host = arena_str(b->arena, str_n(name, len - 4));
	c.names = host;
	c.nnames = 1;
	c.origin = STR("challenge");
	c.listener = UINT32_MAX;
	if (b->ncerts < STORE_MAX_CERTS &&
	    build_room(b, (void **)&b->certs, b->ncerts, &b->room_certs, sizeof(c)))
		b->certs[b->ncerts++] = c;
}

static void each(struct build *b, const char *below,
                 void (*fn)(struct build *b, const char *folder, const char *name))
{
	const char *folder = arena_printf(b->arena, "%s/%s", b->state_dir, below);
	struct certs_names names;
	char why[128];

	if (!folder || certs_names_read(folder, &names, why, sizeof(why)) != OK)
		return;
	for (unsigned i = 0; i < names.n && i < 1000; i++)
		fn(b, folder, names.v[i]);
	certs_names_free(&names);
}

void build_challenges(struct build *b)
{
	each(b, ACME_DIR_HTTP_01, add_http);
	each(b, ACME_DIR_TLS_ALPN_01, add_alpn);
}
