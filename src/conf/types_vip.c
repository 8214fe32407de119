/* SPDX-License-Identifier: Apache-2.0 */
/* Types that only virtual IPs and named checks have. */
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/value.h"

/* --- addresses with a prefix length ----------------------------------------------------------- */

/* Why an address cannot be shared; NULL when it can. */
static const char *unfit(const struct conf_vip_address *a)
{
	uint32_t ip, mask;

	if (a->ip.sa.sa_family == AF_INET6) {
		const struct in6_addr *in6 = &a->ip.in6.sin6_addr;

		return IN6_IS_ADDR_UNSPECIFIED(in6) || IN6_IS_ADDR_LOOPBACK(in6) ||
		               IN6_IS_ADDR_MULTICAST(in6) || IN6_IS_ADDR_V4MAPPED(in6)
		           ? "is no address that a host can have in a network"
		           : NULL;
	}
	ip = ntohl(a->ip.in.sin_addr.s_addr);
	mask = a->prefix ? UINT32_MAX << (32 - a->prefix) : 0;
	if (ip >> 24 == 0 || ip >> 24 == 127 || ip >> 28 >= 14) {
		return "is no address that a host can have in a network";
	}
	if (a->prefix < 31 && (ip & ~mask) == 0) {
		return "is a network, not the address of a host in it";
	}
	return a->prefix < 31 && (ip | mask) == UINT32_MAX
	           ? "is the broadcast address of its network"
	           : NULL;
}

static const char *address_parse(struct str text, struct conf_vip_address *ret)
{
	struct str prefix, ip = str_split(text, '/', &prefix);
	uint64_t bits, most;

	if (net_ip_parse(ip, &ret->ip) != OK) {
		return "is not an address like 10.0.0.100/24 or fd00::100/64";
	}
	most = ret->ip.sa.sa_family == AF_INET ? 32 : 128;
	bits = most;
	if (prefix.s && (str_to_u64(prefix, most, &bits) != OK || bits == 0)) {
		return most == 32 ? "has a prefix length that is not between 1 and 32"
		                  : "has a prefix length that is not between 1 and 128";
	}
	ret->text = text;
	ret->prefix = (uint32_t)bits;
	return unfit(ret);
}

static const char *address_among(const struct conf_vip_address *v, uint32_t n)
{
	if (v[0].ip.sa.sa_family != v[n].ip.sa.sa_family) {
		return "is of another family than the one before it: make two virtual IPs, one for "
		       "IPv4 and one for IPv6, with the same \"sync_group\"";
	}
	for (uint32_t i = 0; i < n; i++) {
		if (net_addr_eq(&v[i].ip, &v[n].ip)) {
			return "is there twice";
		}
	}
	return NULL;
}

static void vip_address_read(struct load *l, const struct row *row, const struct node *n,
                             void *object)
{
	uint32_t count = load_items(l, row, n), used = 0;
	struct conf_vip_address *v;
	struct str text;

	if (count >= CONF_MAX_VIP_ADDRESSES) {
		problem_error(l->problems, n->key_at, "more than %d addresses in \"%s\"",
		              CONF_MAX_VIP_ADDRESSES - 1, row->name);
		return;
	}
	v = load_alloc(l, count, sizeof(*v));
	for (const struct node *i = v && count ? load_item_first(n) : NULL; i;
	     i = load_item_next(n, i)) {
		const char *why;

		if (!load_text(l, row, i, &text)) {
			continue;
		}
		why = address_parse(text, &v[used]);
		if (!why && used) {
			why = address_among(v, used);
		}
		if (why) {
			load_refuse(l, row, i, text, why);
		} else {
			used++;
		}
	}
	*ROW_AT(const struct conf_vip_address *, row, object) = v;
	*ROW_WITH(uint32_t, row, object) = used;
}

/* How many of them the file has. */
static uint32_t given(const struct conf_vip *v)
{
	return v->naddresses - (v->naddresses && v->addresses[0].derived);
}

static void vip_address_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_vip *v = object;

	if (given(v) == 1) {
		emit_text(o, row->name, v->addresses[v->naddresses - 1].text);
	}
}

static void vip_addresses_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_vip *v = object;

	if (given(v) > 1) {
		emit_list_open(o, row->name);
		for (uint32_t i = v->addresses[0].derived; i < v->naddresses; i++) {
			emit_item(o, v->addresses[i].text);
		}
		emit_list_close(o);
	}
}

static void vip_address_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"minItems\": 1, "
	              "\"items\": {\"type\": \"string\"}}]");
}

static void vip_address_walk(const struct row *row, void *object, struct walk *w)
{
	struct conf_vip *v = object;
	struct conf_vip_address *a = walk_block(w, &v->addresses, v->naddresses, sizeof(*a));

	walk_check(w, v->naddresses > 0 && v->naddresses <= CONF_MAX_VIP_ADDRESSES);
	for (uint32_t i = 0; a && i < v->naddresses; i++) {
		int family = a[i].ip.sa.sa_family;

		walk_str(w, &a[i].text);
		walk_check(w, family == a[0].ip.sa.sa_family &&
		                  ((family == AF_INET && a[i].prefix <= 32) ||
		                   (family == AF_INET6 && a[i].prefix <= 128)) &&
		                  *(const uint8_t *)&a[i].derived <= (i == 0));
	}
}

const struct row_type type_vip_address = { "an address with its prefix length", vip_address_read,
	                                   vip_address_print, vip_address_schema,
	                                   vip_address_walk };
/* The same member, written as a list. */
const struct row_type type_vip_addresses = { "a list of addresses with their prefix lengths",
	                                     vip_address_read, vip_addresses_print,
	                                     vip_address_schema, NULL };

/* --- priorities of nodes ---------------------------------------------------------------------- */

static int compare_vip_nodes(const void *pa, const void *pb)
{
	const struct conf_vip_node *a = pa, *b = pb;

	return str_compare(a->name, b->name);
}

static void priorities_read(struct load *l, const struct row *row, const struct node *n,
                            void *object)
{
	struct conf_vip_node *v;
	uint32_t used = 0;
	struct str text;
	uint64_t number;

	if (n->kind != NODE_MAP || n->n == 0) {
		load_wrong_type(l, row, n);
		return;
	}
	if (n->n > CONF_MAX_NODES) {
		problem_error(l->problems, n->key_at, "more than %d nodes in \"%s\"",
		              CONF_MAX_NODES, row->name);
		return;
	}
	v = load_alloc(l, n->n, sizeof(*v));
	for (const struct node *i = n->first; v && i; i = i->next) {
		v[used].name = i->key;
		v[used].node = CONF_NO_NODE;
		if (!load_text(l, row, i, &text)) {
			continue;
		}
		if (str_to_u64(text, 255, &number) != OK || number == 0) {
			load_refuse(l, row, i, text, "is not a priority between 1 and 254");
			continue;
		}
		if (number == 255) {
			load_refuse(l, row, i, text,
			            "is the priority of an address's owner, which has it for "
			            "itself: a virtual IP is nobody's own; use 1 to 254");
			continue;
		}
		v[used++].priority = (uint32_t)number;
	}
	if (v) {
		qsort(v, used, sizeof(*v), compare_vip_nodes);
	}
	*ROW_AT(const struct conf_vip_node *, row, object) = v;
	*ROW_WITH(uint32_t, row, object) = used;
}

static void priorities_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_vip_node *v = *ROW_CAT(struct conf_vip_node *, row, object);
	char text[16];

	emit_open(o, row->name);
	for (uint32_t i = 0; i < *ROW_CWITH(uint32_t, row, object); i++) {
		snprintf(text, sizeof(text), "%u", v[i].priority);
		emit_literal_named(o, v[i].name, text);
	}
	emit_close(o);
}

static void priorities_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"type\": \"object\", \"minProperties\": 1, \"propertyNames\": {\"$ref\": "
	              "\"#/definitions/name\"}, \"additionalProperties\": {\"anyOf\": [{\"type\": "
	              "\"integer\", \"minimum\": 1, \"maximum\": 254}, "
	              "{\"$ref\": \"#/definitions/variable\"}]}");
}

static void priorities_walk(const struct row *row, void *object, struct walk *w)
{
	uint32_t n = *ROW_CWITH(uint32_t, row, object);
	struct conf_vip_node *v = walk_block(w, ROW_AT(void *, row, object), n, sizeof(*v));

	walk_check(w, n > 0 && n <= CONF_MAX_NODES);
	for (uint32_t i = 0; v && i < n; i++) {
		walk_str(w, &v[i].name);
		walk_check(w, v[i].priority >= 1 && v[i].priority <= 254);
	}
}

const struct row_type type_priorities = { "a map of nodes and their priorities", priorities_read,
	                                  priorities_print, priorities_schema, priorities_walk };

/* --- `preempt: true | false | DURATION` ------------------------------------------------------- */

static void preempt_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	const char *why = "";
	struct str text;
	uint64_t delay = 0;
	bool on = true;

	if (!load_text(l, row, n, &text)) {
		return;
	}
	if (value_bool(text, &on, &why) != OK &&
	    (value_duration(text, &delay, &why) != OK || delay > row->max)) {
		load_refuse(l, row, n, text, "is neither true, false nor a duration up to 24h");
		return;
	}
	*ROW_AT(bool, row, object) = on;
	*ROW_WITH(uint64_t, row, object) = delay;
}

static void preempt_print(const struct row *row, const void *object, struct emit *o)
{
	uint64_t delay = *ROW_CWITH(uint64_t, row, object);
	char text[32];

	if (delay) {
		clock_format_conf(delay, text);
		emit_word(o, row->name, text);
	} else {
		emit_literal(o, row->name, *ROW_CAT(bool, row, object) ? "true" : "false");
	}
}

static void preempt_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"anyOf\": [{\"type\": \"boolean\"}, {\"enum\": [\"on\", \"off\", \"yes\", "
	              "\"no\"]}, {\"$ref\": \"#/definitions/duration\"}, "
	              "{\"$ref\": \"#/definitions/variable\"}]");
}

static void preempt_walk(const struct row *row, void *object, struct walk *w)
{
	walk_check(w, *ROW_CAT(uint8_t, row, object) <= 1 &&
	                  *ROW_CWITH(uint64_t, row, object) <= row->max);
}

const struct row_type type_preempt = { "true, false or a duration", preempt_read, preempt_print,
	                               preempt_schema, preempt_walk };

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

	if (s) {
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
