/* SPDX-License-Identifier: Apache-2.0 */
/* The table, continued: what listeners of TCP and UDP have; the type of their SNI map. */
#include <stdlib.h>

#include "base/check.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/value.h"
#include "conf/walk.h"

#define MAX_SNI 4096 /* names of a listener */

const char *const schema_send_proxy[] = { "off", "v1", "v2", NULL };

/* --- NAME: POOL ------------------------------------------------------------------------------- */

static int compare_sni(const void *pa, const void *pb)
{
	return str_compare(((const struct conf_sni_route *)pa)->name,
	                   ((const struct conf_sni_route *)pb)->name);
}

static struct str lower(struct load *l, struct str text)
{
	char *p = load_alloc(l, text.len + 1, 1);

	if (!p) {
		return STR("");
	}
	for (size_t i = 0; i < text.len; i++) {
		p[i] = (char)(text.s[i] >= 'A' && text.s[i] <= 'Z' ? text.s[i] + 32 : text.s[i]);
	}
	return str_n(p, text.len > 0 && p[text.len - 1] == '.' ? text.len - 1 : text.len);
}

static void sni_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	struct conf_sni_route *v;
	uint32_t used = 0;

	if (n->kind != NODE_MAP) {
		load_wrong_type(l, row, n);
		return;
	}
	if (n->n > MAX_SNI) {
		problem_error(l->problems, n->key_at, "\"%s\" has more than %u entries", row->name,
		              MAX_SNI);
		return;
	}
	v = load_alloc(l, n->n, sizeof(*v));
	for (const struct node *i = n->first; v && i; i = i->next) {
		const char *why = value_is_host(i->key);

		if (!why && i->key.len > 0 && i->key.s[0] == '[') {
			why = "is an address: a ClientHello names hosts only";
		}
		if (why) {
			problem_error(l->problems, i->key_at, "\"%.*s\" %s", STR_ARG(i->key), why);
		} else if (load_text(l, row, i, &v[used].to)) {
			v[used].name = lower(l, i->key);
			v[used].pool = CONF_NO_POOL;
			used++;
		}
	}
	if (v) {
		qsort(v, used, sizeof(*v), compare_sni);
	}
	for (uint32_t i = 1; i < used; i++) {
		if (str_eq(v[i].name, v[i - 1].name)) {
			problem_error(l->problems, n->key_at, "\"%s\" has \"%.*s\" twice",
			              row->name, STR_ARG(v[i].name));
		}
	}
	*ROW_AT(const struct conf_sni_route *, row, object) = v;
	*ROW_WITH(uint32_t, row, object) = used;
}

static void sni_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_sni_route *v = *ROW_CAT(struct conf_sni_route *, row, object);
	uint32_t n = *ROW_CWITH(uint32_t, row, object);

	if (n == 0) {
		return;
	}
	emit_open(o, row->name);
	for (uint32_t i = 0; i < n; i++) {
		emit_text_named(o, v[i].name, v[i].to);
	}
	emit_close(o);
}

static void sni_schema(const struct row *row, struct buf *out)
{
	buf_printf(out,
	           "\"type\": \"object\", \"maxProperties\": %u, \"additionalProperties\": "
	           "{\"type\": \"string\"}",
	           MAX_SNI);
}

static void sni_walk(const struct row *row, void *object, struct walk *w)
{
	uint32_t n = *ROW_CWITH(uint32_t, row, object);
	struct conf_sni_route *v = walk_block(w, ROW_AT(void *, row, object), n, sizeof(*v));

	for (uint32_t i = 0; v && i < n; i++) {
		walk_str(w, &v[i].name);
		walk_str(w, &v[i].to);
		if (walk_foreign(w) && i > 0) { /* look-ups rely on the order */
			walk_check(w, v[i - 1].name.s && v[i].name.s &&
			                  str_compare(v[i - 1].name, v[i].name) < 0);
		}
	}
}

const struct row_type type_sni = { "a map of host names and pools", sni_read, sni_print, sni_schema,
	                           sni_walk };

/* --- rows ------------------------------------------------------------------------------------- */

static const struct row tcp_rows[] = {
	{ "to", &type_text, OF(conf_listener, to), .check = value_is_word, .redo = REDO_LISTENER,
	  .flags = ROW_OPTIONAL,
	  .doc = "The pool of a tcp or udp listener. HTTP listeners find theirs by routes." },
	{ "sni", &type_sni, OF(conf_listener, sni), WITH(conf_listener, nsni),
	  .redo = REDO_LISTENER,
	  .doc =
	      "Pools of a tcp listener by the host name in the client's TLS ClientHello, exact or "
	      "*.NAME, without ending TLS there; other names, and what is no TLS, go to \"to\" or, "
	      "where that is not set, are refused." },
	{ "accept_proxy", &type_networks, OF(conf_listener, accept_proxy),
	  WITH(conf_listener, naccept_proxy), .redo = REDO_LISTENER,
	  .doc =
	      "Networks of proxies whose connections must begin with a PROXY header, version 1 or "
	      "2: the address in it counts as the client's. Connections from elsewhere are taken "
	      "without one." },
	END
};

const struct rows schema_listener_tcp = { "listener", 0, tcp_rows };
