/* SPDX-License-Identifier: Apache-2.0 */
/* Types of what is tracked: conditions of virtual IPs, and what a named check probes. */
#include "base/check.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/value.h"
#include "conf/walk.h"

/* --- what is tracked -------------------------------------------------------------------------- */

static const struct {
	const char *prefix; /* what follows is the object; without a dot there is none */
	enum conf_condition kind;
	const char *map; /* of the file that has such objects */
} conditions[] = {
	{ "proxy", CONDITION_PROXY, NULL },          { "gateway", CONDITION_GATEWAY, NULL },
	{ "pool.", CONDITION_POOL, "pools" },        { "check.", CONDITION_CHECK, "checks" },
	{ "interface.", CONDITION_INTERFACE, NULL },
};

/* "; did you mean ...", "" where nothing is close. */
static const char *condition_hint(struct load *l, struct str text)
{
	const struct node *map;
	struct str copy = arena_str(l->arena, text);
	char hint[128];
	struct guess g;

	guess_init(&g, text);
	for (size_t i = 0; copy.s && i < ARRAY_LEN(conditions); i++) {
		map = conditions[i].map ? node_get(l->root, conditions[i].map) : NULL;
		if (map && node_get(map, copy.s)) {
			return arena_printf(l->arena, "; did you mean \"%s%s\"?",
			                    conditions[i].prefix, copy.s);
		}
		if (!strchr(conditions[i].prefix, '.')) {
			guess_try(&g, str_from(conditions[i].prefix));
		}
	}
	guess_text(&g, hint);
	return arena_printf(l->arena, "%s", hint);
}

static bool condition_parse(struct load *l, const struct row *row, const struct node *n,
                            struct str text, struct conf_track *ret)
{
	const char *why;

	for (size_t i = 0; i < ARRAY_LEN(conditions); i++) {
		struct str prefix = str_from(conditions[i].prefix);
		bool dot = prefix.s[prefix.len - 1] == '.';

		if (!(dot ? str_starts(text, prefix) && text.len > prefix.len
		          : str_eq(text, prefix))) {
			continue;
		}
		ret->name = text;
		ret->kind = conditions[i].kind;
		ret->object = dot ? str_n(text.s + prefix.len, text.len - prefix.len) : STR("");
		why = ret->kind == CONDITION_INTERFACE ? value_is_interface(ret->object) : NULL;
		if (why) {
			load_refuse(l, row, n, text, why);
		}
		return !why;
	}
	why = arena_printf(l->arena,
	                   "is no condition: proxy, pool.NAME, check.NAME, interface.NAME and "
	                   "gateway are%s",
	                   condition_hint(l, text));
	load_refuse(l, row, n, text, why);
	return false;
}

struct tracking {
	struct conf_track *v;
	uint32_t n;
};

/* One condition: its name, and what stands under it in the long form. */
static void track_add(struct load *l, const struct row *row, const struct node *n, struct str name,
                      bool is_long, struct tracking *all)
{
	struct conf_track t = { 0 };
	struct node empty = *n;

	if (!condition_parse(l, row, n, name, &t)) {
		return;
	}
	for (uint32_t i = 0; i < all->n; i++) {
		if (str_eq(all->v[i].name, name)) {
			load_refuse(l, row, n, name, "is there twice");
			return;
		}
	}
	if (all->n == row->max) {
		problem_error(l->problems, n->at, "more than %llu conditions in \"%s\"",
		              (unsigned long long)row->max, row->name);
		return;
	}
	load_defaults(l, row->sub, &t);
	if (is_long && n->kind != NODE_MAP && n->kind != NODE_NULL) {
		problem_error(l->problems, n->at,
		              "\"%.*s\" must be a map of \"min\" and \"weight\", not %s",
		              STR_ARG(name), node_what(n));
		return;
	}
	if (is_long) {
		empty.kind = NODE_MAP;
		load_rows(l, row->sub, &empty, &t);
	}
	if (is_long && t.kind != CONDITION_POOL && node_get(n, "min")) {
		problem_error(l->problems, node_get(n, "min")->key_at,
		              "\"min\" is for pools only: \"%.*s\" is well or it is not",
		              STR_ARG(name));
	}
	all->v[all->n++] = t;
}

/* A name, or a map of names and what stands under them. */
static void track_item(struct load *l, const struct row *row, const struct node *n,
                       struct tracking *all)
{
	struct str text;

	if (n->kind == NODE_MAP) {
		for (const struct node *i = n->first; i; i = i->next) {
			if (i->kind != NODE_BAD) {
				track_add(l, row, i, i->key, true, all);
			}
		}
	} else if (load_text(l, row, n, &text)) {
		track_add(l, row, n, text, false, all);
	}
}

static void track_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	struct tracking all = { load_alloc(l, row->max, sizeof(*all.v)), 0 };

	if (n->kind != NODE_LIST && n->kind != NODE_MAP && n->kind != NODE_TEXT) {
		load_wrong_type(l, row, n);
		return;
	}
	if (!all.v) {
		return;
	}
	if (n->kind == NODE_LIST) {
		for (const struct node *i = n->first; i; i = i->next) {
			track_item(l, row, i, &all);
		}
	} else {
		track_item(l, row, n, &all);
	}
	*ROW_AT(const struct conf_track *, row, object) = all.v;
	*ROW_WITH(uint32_t, row, object) = all.n;
}

static bool is_plain(const struct conf_track *t)
{
	return t->min == 1 && t->weight == 0;
}

static void track_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_track *v = *ROW_CAT(struct conf_track *, row, object);
	uint32_t n = *ROW_CWITH(uint32_t, row, object);
	bool plain = true;

	for (uint32_t i = 0; i < n; i++) {
		plain = plain && is_plain(&v[i]);
	}
	if (plain) {
		emit_list_open(o, row->name);
		for (uint32_t i = 0; i < n; i++) {
			emit_item(o, v[i].name);
		}
		emit_list_close(o);
		return;
	}
	emit_open(o, row->name);
	for (uint32_t i = 0; i < n; i++) {
		emit_open_named(o, v[i].name);
		if (v[i].kind == CONDITION_POOL) {
			print_rows(row->sub, &v[i], o);
		} else if (v[i].weight) {
			print_rows(&(struct rows){ .v = row->sub->v + 1 }, &v[i], o);
		}
		emit_close(o);
	}
	emit_close(o);
}

static void track_schema(const struct row *row, struct buf *out)
{
	struct buf map = BUF_INIT;

	buf_adds(&map, "{\"type\": \"object\", \"additionalProperties\": {\"anyOf\": "
	               "[{\"type\": \"null\"}, {");
	schema_object(row->sub, &map);
	buf_adds(&map, "}]}}");
	buf_printf(out,
	           "\"anyOf\": [{\"type\": \"string\"}, %s, {\"type\": \"array\", \"maxItems\": "
	           "%llu, \"items\": {\"anyOf\": [{\"type\": \"string\"}, %s]}}]",
	           buf_cstr(&map), (unsigned long long)row->max, buf_cstr(&map));
	buf_free(&map);
}

static void track_walk(const struct row *row, void *object, struct walk *w)
{
	uint32_t n = *ROW_CWITH(uint32_t, row, object);
	struct conf_track *v = walk_block(w, ROW_AT(void *, row, object), n, sizeof(*v));

	walk_check(w, n <= row->max);
	for (uint32_t i = 0; v && i < n; i++) {
		walk_str(w, &v[i].name);
		walk_str(w, &v[i].object);
		walk_rows(w, row->sub, &v[i]);
		walk_check(w, v[i].kind <= CONDITION_GATEWAY);
	}
}

const struct row_type type_track = { "a map of conditions", track_read, track_print, track_schema,
	                             track_walk };

/* --- what a named check probes: the one server of its pool ------------------------------------ */

static const struct row server_address = { "address", &type_server_address,
	                                   .offset = offsetof(struct conf_server, address),
	                                   .with = offsetof(struct conf_server, address_text) };

static void check_address_read(struct load *l, const struct row *row, const struct node *n,
                               void *object)
{
	struct conf_server *s = load_alloc(l, 1, sizeof(*s));

	if (s && n->kind == NODE_TEXT && net_ip_parse(n->text, &s->address) == OK) {
		s->address_text = n->text; /* whether it needs a port depends on the kind */
	} else if (s) {
		s->address_text = STR("");
		server_address.type->read(l, &server_address, n, s);
	}
	*ROW_AT(const struct conf_server *, row, object) = s;
	*ROW_WITH(uint32_t, row, object) = s != NULL;
}

static void check_address_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_server *s = *ROW_CAT(struct conf_server *, row, object);

	if (s->address_text.len) {
		server_address.type->print(&server_address, s, o);
	}
}

static void check_address_schema(const struct row *row, struct buf *out)
{
	server_address.type->schema(&server_address, out);
}

static void check_address_walk(const struct row *row, void *object, struct walk *w)
{
	struct conf_pool *p = object;
	struct conf_server *s = walk_block(w, &p->servers, p->nservers, sizeof(*s));

	/* what only pools have is empty */
	walk_check(w, p->nservers == 1 && !p->hash_header.s && !p->pages && p->npages == 0 &&
	                  *(const uint8_t *)&p->passive.on == 0);
	if (s) {
		walk_rows(w, &schema_server, s);
	}
}

const struct row_type type_check_address = { "an address", check_address_read, check_address_print,
	                                     check_address_schema, check_address_walk };
