/* SPDX-License-Identifier: Apache-2.0 */
/* Types of addresses and networks. */
#include "base/check.h"
#include "base/err.h"
#include "conf/load.h"
#include "conf/walk.h"

static void address_check(struct walk *w, const struct net_addr *a)
{
	walk_check(w, a->len <= sizeof(a->un) && *(const uint8_t *)&a->wildcard <= 1);
}

/* net's sentence in the form that load_refuse wants. */
static const char *no_address(struct load *l, const char *why)
{
	return arena_printf(l->arena, "is no usable address: %s", why);
}

/* An address to bind: never a name. */
static bool bind_parse(struct load *l, const struct row *row, const struct node *n, struct str text,
                       struct net_addr *ret)
{
	const char *why = "it looks like 127.0.0.1:80, [::1]:80, *:80 or unix:/path";
	int err = net_addr_parse(text, ret, &why);

	if (err == ERR_NOT_FOUND) {
		why = "a name cannot be bound, only an address like 127.0.0.1:80 or *:80";
	}
	if (err != OK) {
		load_refuse(l, row, n, text, no_address(l, why));
	}
	return err == OK;
}

static void address_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	struct str text;

	if (load_text(l, row, n, &text) &&
	    bind_parse(l, row, n, text, ROW_AT(struct net_addr, row, object))) {
		*ROW_WITH(struct str, row, object) = text;
	}
}

static void address_print(const struct row *row, const void *object, struct emit *o)
{
	char text[NET_ADDR_TEXT];

	if (row->flags & ROW_OPTIONAL && ROW_CWITH(struct str, row, object)->len == 0) {
		return;
	}
	emit_text(o, row->name, *ROW_CWITH(struct str, row, object));
	if (o->exact) { /* a name may stand for another address today */
		emit_text(o, row->name,
		          str_from(net_addr_format(ROW_CAT(struct net_addr, row, object), text)));
	}
}

static void address_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"$ref\": \"#/definitions/address\"");
}

static void address_walk(const struct row *row, void *object, struct walk *w)
{
	walk_str(w, ROW_WITH(struct str, row, object));
	address_check(w, ROW_CAT(struct net_addr, row, object));
}

const struct row_type type_address = { "an address", address_read, address_print, address_schema,
	                               address_walk };

/* A server's address may be a name, which is resolved now. */
static void server_address_read(struct load *l, const struct row *row, const struct node *n,
                                void *object)
{
	const char *why = "it looks like 10.0.0.21:80, [fd00::21]:80 or unix:/path";
	struct net_addr *a = ROW_AT(struct net_addr, row, object);
	struct str text;
	int err;

	if (!load_text(l, row, n, &text)) {
		return;
	}
	err = net_addr_parse(text, a, &why);
	if (err == ERR_NOT_FOUND && l->offline) {
		why = "names are not resolved here";
	} else if (err == ERR_NOT_FOUND) {
		err = net_resolve(text, a, &why);
	}
	if (err == OK && (a->wildcard || (a->sa.sa_family != AF_UNIX && net_addr_port(a) == 0))) {
		why = a->wildcard ? "it names no single server" : "it has no port";
		err = ERR_INVALID;
	}
	if (err != OK) {
		load_refuse(l, row, n, text, no_address(l, why));
		return;
	}
	*ROW_WITH(struct str, row, object) = text;
}

const struct row_type type_server_address = { "an address", server_address_read, address_print,
	                                      address_schema, address_walk };

/* An address without a port. */
static void ip_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	struct str text;

	if (!load_text(l, row, n, &text)) {
		return;
	}
	if (net_ip_parse(text, ROW_AT(struct net_addr, row, object)) != OK) {
		load_refuse(l, row, n, text, "is not an IP address (without port)");
		return;
	}
	*ROW_WITH(struct str, row, object) = text;
}

static void ip_print(const struct row *row, const void *object, struct emit *o)
{
	emit_text(o, row->name, *ROW_CWITH(struct str, row, object));
}

static void ip_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"type\": \"string\"");
}

const struct row_type type_ip = { "an IP address", ip_read, ip_print, ip_schema, address_walk };

/* What a listener binds: one address or several. */
static void binds_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	struct conf_listener *c = object;
	uint32_t count = load_items(l, row, n), used = 0;
	struct net_addr *v = count ? load_alloc(l, count, sizeof(*v)) : NULL;
	struct str *texts = count ? load_alloc(l, count, sizeof(*texts)) : NULL;

	if (count > 64) {
		load_refuse(l, row, n, STR("bind"), "has more than 64 addresses");
		return;
	}
	if (!v || !texts) {
		return;
	}
	for (const struct node *i = load_item_first(n); i; i = load_item_next(n, i)) {
		if (load_text(l, row, i, &texts[used]) &&
		    bind_parse(l, row, i, texts[used], &v[used])) {
			if (v[used].sa.sa_family != AF_UNIX && net_addr_port(&v[used]) == 0) {
				load_refuse(l, row, i, texts[used], "has no port");
				continue;
			}
			used++;
		}
	}
	c->bind = v;
	c->bind_text = texts;
	c->nbind = used;
}

static void binds_print(const struct row *row, const void *object, struct emit *o)
{
	const struct conf_listener *c = object;

	if (c->nbind == 1) {
		emit_text(o, row->name, c->bind_text[0]);
		return;
	}
	emit_list_open(o, row->name);
	for (uint32_t i = 0; i < c->nbind; i++) {
		emit_item(o, c->bind_text[i]);
	}
	emit_list_close(o);
}

static void binds_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"anyOf\": [{\"$ref\": \"#/definitions/address\"}, {\"type\": \"array\", "
	              "\"minItems\": 1, \"items\": {\"$ref\": \"#/definitions/address\"}}]");
}

static void binds_walk(const struct row *row, void *object, struct walk *w)
{
	struct conf_listener *c = object;
	struct net_addr *v = walk_block(w, &c->bind, c->nbind, sizeof(*v));
	struct str *texts = walk_block(w, &c->bind_text, c->nbind, sizeof(*texts));

	walk_check(w, c->nbind > 0 && c->nbind <= 64);
	for (uint32_t i = 0; v && texts && i < c->nbind; i++) {
		address_check(w, &v[i]);
		walk_str(w, &texts[i]);
	}
}

const struct row_type type_binds = { "an address or a list of them", binds_read, binds_print,
	                             binds_schema, binds_walk };

static void networks_read(struct load *l, const struct row *row, const struct node *n, void *object)
{
	uint32_t count = load_items(l, row, n), used = 0;
	struct net_cidr *v = count ? load_alloc(l, count, sizeof(*v)) : NULL;
	struct str text;

	if (!v) {
		return;
	}
	for (const struct node *i = load_item_first(n); i; i = load_item_next(n, i)) {
		if (!load_text(l, row, i, &text)) {
			continue;
		}
		if (net_cidr_parse(text, &v[used]) != OK) {
			load_refuse(
			    l, row, i, text,
			    "is not a network like 10.0.0.0/8, fd00::/8, 192.0.2.1 or unix");
			continue;
		}
		used++;
	}
	*ROW_AT(const struct net_cidr *, row, object) = v;
	*ROW_WITH(uint32_t, row, object) = used;
}

static void networks_print(const struct row *row, const void *object, struct emit *o)
{
	const struct net_cidr *v = *ROW_CAT(struct net_cidr *, row, object);
	uint32_t n = *ROW_CWITH(uint32_t, row, object);
	char text[NET_ADDR_TEXT];

	if (n == 0) {
		return;
	}
	emit_list_open(o, row->name);
	for (uint32_t i = 0; i < n; i++) {
		emit_item(o, str_from(net_cidr_format(&v[i], text)));
	}
	emit_list_close(o);
}

static void networks_schema(const struct row *row, struct buf *out)
{
	buf_adds(out, "\"anyOf\": [{\"type\": \"string\"}, {\"type\": \"array\", \"minItems\": 1, "
	              "\"items\": {\"type\": \"string\"}}]");
}

static void networks_walk(const struct row *row, void *object, struct walk *w)
{
	uint32_t n = *ROW_CWITH(uint32_t, row, object);
	struct net_cidr *v = walk_block(w, ROW_AT(void *, row, object), n, sizeof(*v));

	for (uint32_t i = 0; v && i < n; i++) {
		walk_check(w, v[i].bits <= 128 || v[i].bits == 255);
	}
}

const struct row_type type_networks = { "a network or a list of them", networks_read,
	                                networks_print, networks_schema, networks_walk };
